"""Answer what a job would cost, without a job."""

from catalog import Catalog, Size
from gateway.domain import Client
from gateway.usecases.inputs import CheckInputs
from gateway.usecases.price import QUOTE_TTL_S, Priced, Quote, Quotes, price_of
from gateway.usecases.request import JobRequest, check_roles, read
from kit.errors import InvalidArgument


class QuoteJob:
    """Makes quotes. Writes nothing anywhere."""

    def __init__(self, *, catalog: Catalog, inputs: CheckInputs, quotes: Quotes) -> None:
        self._catalog = catalog
        self._inputs = inputs
        self._quotes = quotes

    async def __call__(self, request: JobRequest, client: Client) -> tuple[str, int, Priced]:
        """Return (quote id, when it lapses in unix milliseconds, the price) of what would be submitted.

        Inputs matter only to a model that measures one. Raises every refusal named at `QuoteJob` in the contract.
        """
        model, parameters = read(request, client, self._catalog)
        role = model.measure.input
        size: Size | None = None
        if role:
            check_roles(model, request.inputs)
            index = next(index for index, one in enumerate(request.inputs) if one.role == role)
            if not request.inputs[index].asset_id:
                raise InvalidArgument("A price by this input needs it as an asset.", field=f"inputs[{index}]")
            size = await self._inputs.size(request.inputs[index].asset_id, client, field=f"inputs[{index}]")
        price = price_of(model, parameters, size, catalog_version=self._catalog.version)
        quote = Quote(
            client_id=client.id,
            model=model.name,
            price=price,
            parameters=model.priced_by(parameters),
            input=role,
            size=size,
        )
        quote_id, expire_ms = self._quotes.sign(quote, ttl_s=QUOTE_TTL_S)
        return quote_id, expire_ms, price
