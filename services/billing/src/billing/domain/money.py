"""Units, amounts and prices: integers that refuse to be anything else."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from billing.domain.checks import storable, whole
from kit.errors import InvalidArgument

AMOUNT_MAX: Final = 10**12  # Far above any order; thousands of them still fit 64 bits.
PER_OUTPUT_MAX: Final = 10**9  # Times OUTPUTS_MAX stays below AMOUNT_MAX.
OUTPUTS_MAX: Final = 16  # The largest batch any of the public contracts lets a partner ask for, with room.
OPTIONS_MAX: Final = 8  # Three units exist; more than a few alternatives is a mistake in the catalogue.
BALANCE_MAX: Final = 10**15  # Below 2**53, so a balance is exact in every JSON reader.


class Unit(StrEnum):
    """What a wallet counts in."""

    POINTS = "points"
    COUNT = "count"  #: Package uses.
    FEN = "fen"  #: 1/100 yuan.


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """A number of units, never negative."""

    unit: Unit
    value: int

    def __post_init__(self) -> None:
        whole(self.value, field="amount.value", at_least=0, at_most=AMOUNT_MAX)


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceOption:
    """One way to pay: so much for each output delivered; 0 is free."""

    unit: Unit
    amount_per_output: int

    def __post_init__(self) -> None:
        whole(self.amount_per_output, field="price.options.amount_per_output", at_least=0, at_most=PER_OUTPUT_MAX)


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What a job costs: the first option that the wallet covers for all outputs is taken."""

    options: tuple[PriceOption, ...]
    outputs: int
    catalog_version: str = ""  #: Which catalogue said so; empty for a price made by hand.

    def __post_init__(self) -> None:
        if not 1 <= len(self.options) <= OPTIONS_MAX:
            raise InvalidArgument(
                f"a price has 1 to {OPTIONS_MAX} options; a free one has an option of 0", field="price.options"
            )
        whole(self.outputs, field="price.outputs", at_least=1, at_most=OUTPUTS_MAX)
        storable(self.catalog_version, field="price.catalog_version")
