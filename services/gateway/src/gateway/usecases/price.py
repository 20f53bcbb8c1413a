"""What a job will cost: worked out from the catalogue, or as a quote promised it; frozen with the job either way.

A quote says for whom, for which model and for which of the parameters that matter to the price it was made. It holds
for every request that agrees with it in these, whatever has become of the catalogue since.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from catalog import Model, PriceOption, Size
from gateway.domain import Client
from kit.errors import CostAboveMax, QuoteInvalid

QUOTE_TTL_S: Final = 600.0  # Long enough for a person to decide, too short to trade on an old price.


@dataclass(frozen=True, kw_only=True)
class Cost:
    """So many of a unit, for the whole job."""

    unit: str
    amount: int


@dataclass(frozen=True, kw_only=True)
class Priced:
    """What a job costs and what it costs when it ends without a result."""

    options: tuple[PriceOption, ...]  #: Ways to pay, tried in order.
    outputs: int
    catalog_version: str
    charges: Mapping[str, int] = field(default_factory=dict)  #: Percent by outcome.

    def within(self, max_cost: Cost | None) -> "Priced":
        """Return the price with only those ways to pay that are in the unit of `max_cost` and not above it.

        So whatever the wallet covers, no more than `max_cost` is taken. Raises CostAboveMax when no way is left.
        """
        if max_cost is None:
            return self
        costs = [option.amount_per_output * self.outputs for option in self.options if option.unit == max_cost.unit]
        left = tuple(
            option
            for option in self.options
            if option.unit == max_cost.unit and option.amount_per_output * self.outputs <= max_cost.amount
        )
        if not left:
            raise CostAboveMax(field="max_cost", cost=min(costs, default="not in this unit"))
        return replace(self, options=left)


@dataclass(frozen=True, kw_only=True)
class Quote:
    """A price, and what it was promised for."""

    client_id: str
    model: str
    price: Priced
    parameters: Mapping[str, Any]  #: Those the price depends on, with the values it was made for.
    input: str = ""  #: The role of the input whose size it depends on; empty for none.
    size: Size | None = None

    def check(self, *, client: Client, model: Model, parameters: Mapping[str, Any]) -> None:
        """Raise QuoteInvalid unless it was made for such a request. The input's size is checked by `check_size`."""
        if self.client_id != client.id or self.model != model.name:
            raise _invalid("The quote is for another model.")
        if self.price.outputs != model.outputs(dict(parameters)):
            raise _invalid("The quote is for another number of outputs.")
        for name, value in self.parameters.items():
            if parameters.get(name) != value:
                raise _invalid(f"The quote is for another {name}.")

    def check_size(self, size: Size | None) -> None:
        """Raise QuoteInvalid unless the input has the size it was made for."""
        if self.size != size:
            raise _invalid("The quote is for an input of another size.")


class Quotes(Protocol):
    """Keeps quotes in their own ids, so that nothing is stored and every process knows them."""

    def sign(self, quote: Quote, *, ttl_s: float) -> tuple[str, int]:
        """Return the quote's id and when it lapses, unix milliseconds."""
        ...

    def open(self, quote_id: str, *, lapsed: bool = False) -> Quote:
        """Return the quote. Raises QuoteInvalid for an id that is not one of ours or, unless it may be, has lapsed."""
        ...


def price_of(model: Model, parameters: dict[str, Any], size: Size | None, *, catalog_version: str) -> Priced:
    """Return today's price; `size` is of the input that the model measures."""
    return Priced(
        options=model.price_options(parameters, size),
        outputs=model.outputs(parameters),
        catalog_version=catalog_version,
        charges=model.charges,
    )


def _invalid(message: str) -> QuoteInvalid:
    return QuoteInvalid(message, field="quote_id")
