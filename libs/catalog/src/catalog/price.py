"""What a model costs: rules of the catalogue, and the whole numbers they come to for one request.

A rule asks so much for each output, or for each second or megapixel of it. What is measured is an exact fraction; only
the sum for one output is rounded, up to a whole unit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, Literal

UNITS: Final = ("points", "count", "fen")
PER: Final = ("output", "second", "megapixel")
MEGAPIXEL: Final = 1_000_000
AMOUNT_MAX: Final = 10**9  # What one output may cost at most; the wire refuses more.

#: Ends without a result that a model may charge for; see docs/operating.md.
OUTCOMES: Final = (
    "moderated_input",
    "moderated_output",
    "provider_fault",
    "our_fault",
    "expired",
    "cancelled_queued",
    "cancelled_running",
)

Per = Literal["output", "second", "megapixel"]
Quantities = Mapping[str, Fraction]  #: "second", "megapixel" → how many of them one output has.


@dataclass(frozen=True, kw_only=True)
class PriceRule:
    """One way to pay, as the catalogue says it."""

    unit: str  #: "points", "count" or "fen".
    amount: int  #: For one output, second or megapixel.
    per: str = "output"
    minimum: int = 0  #: One output costs at least this.

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit must be one of {', '.join(UNITS)}, not {self.unit!r}")
        if self.per not in PER:
            raise ValueError(f"per must be one of {', '.join(PER)}, not {self.per!r}")
        for name, value in ((self.unit, self.amount), ("minimum", self.minimum)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(f"{name} must be a whole number")
            if value < 0:
                raise ValueError(f"{name} must not be negative")
            if value > AMOUNT_MAX:
                raise ValueError(f"{name} must be at most {AMOUNT_MAX}")

    def option(self, quantities: Quantities) -> "PriceOption":
        """Return what one output of a request costs."""
        amount = self.amount if self.per == "output" else math.ceil(self.amount * quantities[self.per])
        return PriceOption(unit=self.unit, amount_per_output=max(self.minimum, amount))


@dataclass(frozen=True, kw_only=True)
class PriceOption:
    """One way to pay for a certain request: `amount_per_output` of `unit` for each output delivered."""

    unit: str
    amount_per_output: int


@dataclass(frozen=True, kw_only=True)
class Size:
    """A picture's, in pixels."""

    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """Where an output's size comes from: two parameters, or the first input of a role and how it is enlarged."""

    width: str = ""  #: Parameters; both or none.
    height: str = ""
    input: str = ""  #: The role whose first input is enlarged.
    longer_side: str = ""  #: A parameter that says what the longer side becomes; goes before `scale`.
    longer_side_pixels: Mapping[str, int] = field(default_factory=dict)  #: Its words; empty when it is a number.
    scale: str = ""  #: A parameter: the factor for both sides.
    scale_default: Fraction = Fraction(1)  #: When neither is given.

    def __post_init__(self) -> None:
        if bool(self.width) != bool(self.height) or bool(self.width) == bool(self.input):
            raise ValueError("measure.megapixel needs either width and height, or input")
        if self.width and (self.longer_side or self.scale or self.longer_side_pixels):
            raise ValueError("measure.megapixel: longer_side and scale go with input")
        if any(pixels < 1 for pixels in self.longer_side_pixels.values()) or self.scale_default <= 0:
            raise ValueError("measure.megapixel: sizes and factors are more than 0")

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that are looked at."""
        return tuple(filter(None, (self.width, self.height, self.longer_side, self.scale)))

    def megapixels(self, parameters: Mapping[str, Any], size: Size | None) -> Fraction:
        """Return the output's exact size; `size` is the input's."""
        if not self.input:
            return _exact(parameters[self.width]) * _exact(parameters[self.height]) / MEGAPIXEL
        assert size is not None, "a model that measures an input is priced with its size"
        factor = self.scale_default
        if parameters.get(self.longer_side) is not None:
            wanted = parameters[self.longer_side]
            pixels = self.longer_side_pixels[wanted] if self.longer_side_pixels else wanted
            factor = _exact(pixels) / max(size.width, size.height)
        elif parameters.get(self.scale) is not None:
            factor = _exact(parameters[self.scale])
        return size.width * size.height * factor * factor / MEGAPIXEL


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How much of an output there is, from the request alone."""

    second: str = ""  #: The parameter that says how many seconds; empty when seconds are not measured.
    megapixel: Pixels | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """What can be asked for in `per`."""
        found = {"output"} | ({"second"} if self.second else set()) | ({"megapixel"} if self.megapixel else set())
        return frozenset(found)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that are looked at."""
        pixels = self.megapixel.parameters if self.megapixel else ()
        return (self.second, *pixels) if self.second else pixels

    @property
    def input(self) -> str:
        """The role of the input whose size must be known; empty for none."""
        return self.megapixel.input if self.megapixel else ""

    def quantities(self, parameters: Mapping[str, Any], size: Size | None) -> Quantities:
        """Return how much of everything measured one output has."""
        found: dict[str, Fraction] = {}
        if self.second:
            found["second"] = _exact(parameters[self.second])
        if self.megapixel:
            found["megapixel"] = self.megapixel.megapixels(parameters, size)
        return found


NOT_MEASURED: Final = Measure()


def _exact(number: int | float) -> Fraction:
    """The number as it was written, not as binary stores it: 1.1 is 11/10."""
    return Fraction(str(number))
