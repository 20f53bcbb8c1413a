"""What an operation may be told, checked in one place so that every refusal names its field."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from imageops.errors import ParameterRefused

Value = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One named setting: `kind` is integer, number, boolean, text or choice; None as default means optional."""

    name: str
    kind: str
    summary: str
    default: Value = None
    required: bool = False
    minimum: float | None = None  #: Of the number, or of the text's length in characters.
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    def read(self, given: object) -> Value:
        """Return the checked value. Raises ParameterRefused. None and absent mean the same."""
        if given is None:
            if self.required:
                raise ParameterRefused(self.name, f"{self.name} is required.")
            return self.default
        if self.kind in ("integer", "number"):
            return self._number(given)
        if self.kind == "boolean":
            return self._boolean(given)
        return self._text(given)

    def _boolean(self, given: object) -> bool:
        if not isinstance(given, bool):
            raise ParameterRefused(self.name, f"{self.name} must be true or false.")
        return given

    def _number(self, given: object) -> int | float:
        # JSON and protobuf's Struct know one kind of number, so 1024.0 is a good integer; True is none.
        if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
            raise ParameterRefused(self.name, f"{self.name} must be a number.")
        if self.kind == "integer" and given != int(given):
            raise ParameterRefused(self.name, f"{self.name} must be a whole number.")
        self._check_range(given, f"{self.name} must be")
        return int(given) if self.kind == "integer" else float(given)

    def _text(self, given: object) -> str:
        if not isinstance(given, str):
            raise ParameterRefused(self.name, f"{self.name} must be text.")
        if self.choices and given not in self.choices:
            raise ParameterRefused(self.name, f"{self.name} must be one of {', '.join(self.choices)}.")
        self._check_range(len(given), f"{self.name}'s length must be")
        return given

    def _check_range(self, number: float, what: str) -> None:
        low, high = self.minimum, self.maximum
        if (low is not None and number < low) or (high is not None and number > high):
            bounds = f"at least {low:g}" if high is None else f"from {low or 0:g} to {high:g}"
            raise ParameterRefused(self.name, f"{what} {bounds}.")


def read_parameters(known: tuple[Parameter, ...], given: Mapping[str, object]) -> dict[str, Value]:
    """Return every known parameter checked. Raises ParameterRefused, for unknown names too."""
    names = {parameter.name for parameter in known}
    for name in given:
        if name not in names:
            raise ParameterRefused(name, f"{name} is not a parameter of this operation.")
    return {parameter.name: parameter.read(given.get(parameter.name)) for parameter in known}
