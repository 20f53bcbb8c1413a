"""Admit a job: validate, price and freeze everything, then hand it to the orchestrator."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import orjson

from catalog import Catalog, Model, Size
from gateway.domain import Client, Day
from gateway.usecases.inputs import CheckInputs
from gateway.usecases.moderate import Moderate
from gateway.usecases.price import Priced, Quote, Quotes, price_of
from gateway.usecases.request import JobInput, JobRequest, check_roles, fingerprint_of, job_id_of, read
from kit.errors import (
    AppError,
    DailyQuotaExceeded,
    ErrorReason,
    InvalidArgument,
    JobFenced,
    QuoteInvalid,
)

T_co = TypeVar("T_co", covariant=True)

FENCED_TRIES_MAX: Final = 4  # Each costs a crash between hold and commit; more means something else is wrong.
SEED_BITS: Final = 32
#: After these the job may have been accepted all the same; a repeat with the same idempotency key tells.
OUTCOME_UNKNOWN: Final = frozenset(
    {ErrorReason.INTERNAL, ErrorReason.DEPENDENCY_UNAVAILABLE, ErrorReason.DEADLINE_EXCEEDED, ErrorReason.CANCELLED}
)
IDEMPOTENCY_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")


@dataclass(frozen=True, kw_only=True)
class FrozenRoute:
    """A way to make the result, the catalogue's mapping already applied."""

    provider: str
    upstream_model: str
    parameters_json: str
    weight: int


@dataclass(frozen=True, kw_only=True)
class AdmittedJob:
    """Everything about a job, decided before it is accepted."""

    job_id: str
    request: JobRequest
    model: Model
    parameters_json: str
    routes: tuple[FrozenRoute, ...]
    inputs: tuple[JobInput, ...]  #: Those of the request, but a URL that had to be measured is an asset now.
    price: Priced
    fingerprint: str
    client: Client
    day: Day  #: Which it is counted to.


class Jobs(Protocol[T_co]):
    """The orchestrator, as far as submitting goes."""

    async def accept(self, job: AdmittedJob) -> T_co:
        """Accept. Raises JobFenced when the id was given up after a crash, and every refusal of AcceptJob."""
        ...

    async def exists(self, job_id: str, *, client_id: str) -> bool:
        """Return whether the client has this job."""
        ...


class Webhooks(Protocol):
    """The wall, as far as submitting goes."""

    def check(self, url: str, *, field: str) -> None:
        """Raise InvalidArgument unless a webhook may be sent there."""
        ...


class Submit:
    """Admits jobs. Refusals leave nothing behind: the first write anywhere is the orchestrator's."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        jobs: Jobs[Any],
        inputs: CheckInputs,
        webhooks: Webhooks,
        moderate: Moderate,
        quotes: Quotes,
        today: Callable[[], Day],
    ) -> None:
        self._catalog = catalog
        self._jobs = jobs
        self._inputs = inputs
        self._webhooks = webhooks
        self._moderate = moderate
        self._quotes = quotes
        self._today = today

    async def __call__(self, request: JobRequest, client: Client) -> Any:
        """Return what the orchestrator answers. Raises every refusal named at `SubmitJob` in the contract."""
        if request.idempotency_key and not IDEMPOTENCY_KEY.fullmatch(request.idempotency_key):
            raise InvalidArgument(
                "idempotency_key must be 1 to 255 printable ASCII characters", field="idempotency_key"
            )
        model, parameters = read(request, client, self._catalog)
        check_roles(model, request.inputs)
        quote = await self._quote_of(request, client)
        if quote is not None:
            quote.check(client=client, model=model, parameters=parameters)
        measured = quote.input if quote is not None else model.measure.input
        price: Priced | None = None
        if not measured:  # Refused before anything is asked of others.
            price = self._price(model, parameters, None, quote).within(request.max_cost)
        if request.webhook_url:
            self._webhooks.check(request.webhook_url, field="webhook_url")
        texts = [(f"parameters.{name}", text) for name, text in model.moderated_texts(parameters)]
        await self._moderate(texts, client_id=client.id)
        inputs, size = await self._inputs(request.inputs, client, measured=measured)
        taken_in = {one.asset_id for one in inputs} - {one.asset_id for one in request.inputs} - {""}
        try:
            if price is None:
                price = self._price(model, parameters, size, quote).within(request.max_cost)
            answer = await self._accept(
                request, client, model=model, parameters=parameters, inputs=inputs, size=size, price=price
            )
        except AppError as error:
            if error.reason not in OUTCOME_UNKNOWN:  # Else the job may exist and use it.
                await self._inputs.drop(taken_in, client)
            raise
        if getattr(answer, "reused", False):
            await self._inputs.drop(taken_in - {one.asset_id for one in answer.job.inputs}, client)
        return answer

    def _price(self, model: Model, parameters: dict[str, Any], size: Size | None, quote: Quote | None) -> Priced:
        if quote is None:
            return price_of(model, parameters, size, catalog_version=self._catalog.version)
        quote.check_size(size)
        return quote.price

    async def _quote_of(self, request: JobRequest, client: Client) -> Quote | None:
        if not request.quote_id:
            return None
        try:
            return self._quotes.open(request.quote_id)
        except QuoteInvalid:
            # A repeat of a request that was accepted in time gets its job, however late it comes.
            if not request.idempotency_key or not await self._accepted_before(request, client):
                raise
            return self._quotes.open(request.quote_id, lapsed=True)

    async def _accepted_before(self, request: JobRequest, client: Client) -> bool:
        for attempt in range(FENCED_TRIES_MAX):
            if await self._jobs.exists(job_id_of(client.id, request.idempotency_key, attempt), client_id=client.id):
                return True
        return False

    async def _accept(
        self,
        request: JobRequest,
        client: Client,
        *,
        model: Model,
        parameters: dict[str, Any],
        inputs: tuple[JobInput, ...],
        size: Size | None,
        price: Priced,
    ) -> Any:
        fingerprint = fingerprint_of(request, parameters)
        day = self._today()
        for attempt in range(FENCED_TRIES_MAX):
            job_id = job_id_of(client.id, request.idempotency_key, attempt)
            try:
                return await self._jobs.accept(
                    AdmittedJob(
                        job_id=job_id,
                        request=request,
                        model=model,
                        **_frozen(model, parameters, job_id, size=size, price=price),
                        inputs=inputs,
                        price=price,
                        fingerprint=fingerprint,
                        client=client,
                        day=day,
                    )
                )
            except DailyQuotaExceeded as error:
                error.retry_after_s = day.left_s
                raise
            except JobFenced:
                # A crash left this id between hold and commit, and it was given up since; the next id is free.
                if attempt == FENCED_TRIES_MAX - 1:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")


def _frozen(
    model: Model, parameters: dict[str, Any], job_id: str, *, size: Size | None, price: Priced
) -> dict[str, Any]:
    """The parameters and routes of a job as they will stay, whatever becomes of the catalogue."""
    if "seed" in model.schema["properties"] and "seed" not in parameters:
        # Part of the job, so that a second attempt makes the same picture.
        parameters = dict(sorted({**parameters, "seed": _seed(job_id)}.items()))
    routes = tuple(
        FrozenRoute(
            provider=route.provider,
            upstream_model=route.upstream_model,
            parameters_json=orjson.dumps(route.map_parameters(parameters)).decode(),
            weight=route.weight,
        )
        for route in model.plan_routes(job_id, parameters, size, price.options)
    )
    return {"parameters_json": orjson.dumps(parameters).decode(), "routes": routes}


def _seed(job_id: str) -> int:
    return int.from_bytes(hashlib.sha256(job_id.encode()).digest()[: SEED_BITS // 8], "big")
