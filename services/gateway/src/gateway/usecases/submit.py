"""Admit a job: validate, price and freeze everything, then hand it to the orchestrator."""

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeVar

import orjson

from catalog import Catalog, Model, ParametersInvalid, Size
from gateway.domain import Client, Day
from gateway.usecases.moderate import Moderate
from gateway.usecases.price import QUOTE_TTL_S, Cost, Priced, Quote, Quotes, price_of
from kit.errors import (
    AppError,
    DailyQuotaExceeded,
    DeadlineExceeded,
    DependencyUnavailable,
    InvalidArgument,
    JobFenced,
    ModelDisabled,
    ModelNotGranted,
    ModelUnknown,
    QuoteInvalid,
)
from kit.ids import new_id

T_co = TypeVar("T_co", covariant=True)

FENCED_TRIES_MAX: Final = 4  # Each costs a crash between hold and commit; more means something else is wrong.
SEED_BITS: Final = 32
IDEMPOTENCY_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")


@dataclass(frozen=True, kw_only=True)
class JobInput:
    """One input: exactly one of `asset_id` and `url`."""

    role: str
    asset_id: str = ""
    url: str = ""
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """What a client asks for."""

    model: str
    parameters_json: str = ""
    inputs: Sequence[JobInput] = ()
    idempotency_key: str = ""
    webhook_url: str = ""
    max_cost: Cost | None = None
    quote_id: str = ""
    contract: str = "grpc"
    external_id: str = ""
    labels: dict[str, str] = field(default_factory=dict)


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


class Inputs(Protocol):
    """The asset store, as far as submitting goes."""

    async def check_asset(self, asset_id: str, *, client_id: str, field: str) -> Size | None:
        """Return the size of the client's asset, None when it has none. Raises AssetNotFound."""
        ...

    async def take_in(self, url: str, *, client_id: str, field: str) -> tuple[str, Size | None]:
        """Store what the URL has and return the asset's id and size. Raises every refusal of FetchAsset."""
        ...

    async def drop(self, asset_id: str, *, client_id: str) -> None:
        """Delete an asset that was taken in for nothing; as well as it goes."""
        ...

    async def check_url(self, url: str, *, field: str) -> None:
        """Raise InputFetchRefused unless the URL may be fetched."""
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
        inputs: Inputs,
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
        model, parameters = self._asked(request, client)
        _check_roles(model, request.inputs)
        quote = await self._quote_of(request, client)
        if quote is not None:
            quote.check(client=client, model=model, parameters=parameters)
        measured = quote.input if quote is not None else model.measure.input
        if not measured:  # Refused before anything is asked of others.
            self._price(model, parameters, None, quote).within(request.max_cost)
        if request.webhook_url:
            self._webhooks.check(request.webhook_url, field="webhook_url")
        texts = [(f"parameters.{name}", text) for name, text in model.moderated_texts(parameters)]
        await self._moderate(texts, client_id=client.id)
        inputs, size = await self._check_inputs(request.inputs, client, measured=measured)
        taken_in = {one.asset_id for one in inputs} - {one.asset_id for one in request.inputs}
        try:
            price = self._price(model, parameters, size, quote).within(request.max_cost)
            answer = await self._accept(request, client, model=model, parameters=parameters, inputs=inputs, price=price)
        except (DependencyUnavailable, DeadlineExceeded):
            raise  # The job may exist and use it.
        except AppError:
            await self._drop(taken_in, client)
            raise
        if getattr(answer, "reused", False):
            await self._drop(taken_in - {one.asset_id for one in answer.job.inputs}, client)
        return answer

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
            if await self._jobs.exists(_job_id(client.id, request.idempotency_key, attempt), client_id=client.id):
                return True
        return False

    async def quote(self, request: JobRequest, client: Client) -> tuple[str, int, Priced]:
        """Return (quote id, when it lapses in unix milliseconds, the price) of what would be submitted.

        Inputs matter only to a model that measures one. Raises every refusal named at `QuoteJob` in the contract.
        """
        model, parameters = self._asked(request, client)
        role, size = model.measure.input, None
        if role:
            _check_roles(model, request.inputs)
            index = next(index for index, one in enumerate(request.inputs) if one.role == role)
            if not request.inputs[index].asset_id:
                raise InvalidArgument("A price by this input needs it as an asset.", field=f"inputs[{index}]")
            size = await self._size(request.inputs[index].asset_id, client, field=f"inputs[{index}]")
        price = self._price(model, parameters, size, None)
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

    def _asked(self, request: JobRequest, client: Client) -> tuple[Model, dict[str, Any]]:
        model = find_model(self._catalog, request.model, client)
        return model, validated(model, parse_parameters(request.parameters_json))

    def _price(self, model: Model, parameters: dict[str, Any], size: Size | None, quote: Quote | None) -> Priced:
        if quote is None:
            return price_of(model, parameters, size, catalog_version=self._catalog.version)
        quote.check_size(size)
        return quote.price

    async def _check_inputs(
        self, inputs: Sequence[JobInput], client: Client, *, measured: str
    ) -> tuple[tuple[JobInput, ...], Size | None]:
        """Return the inputs as the job gets them, and the size of the first one of the `measured` role."""
        checked: list[JobInput] = []
        size: Size | None = None
        wanted = next((index for index, one in enumerate(inputs) if measured and one.role == measured), None)
        for index, one in enumerate(inputs):
            field_name = f"inputs[{index}]"
            if index != wanted:
                if one.asset_id:
                    await self._inputs.check_asset(one.asset_id, client_id=client.id, field=field_name)
                else:
                    await self._inputs.check_url(one.url, field=field_name)
            elif one.asset_id:
                size = await self._size(one.asset_id, client, field=field_name)
            checked.append(one)
        if wanted is not None and inputs[wanted].url:  # Last: the others may be refused without writing anything.
            field_name = f"inputs[{wanted}]"
            asset_id, size = await self._inputs.take_in(inputs[wanted].url, client_id=client.id, field=field_name)
            checked[wanted] = replace(inputs[wanted], url="", asset_id=asset_id)
            if size is None:
                await self._inputs.drop(asset_id, client_id=client.id)
                raise _unmeasurable(field_name)
        return tuple(checked), size

    async def _size(self, asset_id: str, client: Client, *, field: str) -> Size:
        size = await self._inputs.check_asset(asset_id, client_id=client.id, field=field)
        if size is None:
            raise _unmeasurable(field)
        return size

    async def _accept(
        self,
        request: JobRequest,
        client: Client,
        *,
        model: Model,
        parameters: dict[str, Any],
        inputs: tuple[JobInput, ...],
        price: Priced,
    ) -> Any:
        fingerprint = _fingerprint(request, parameters)
        day = self._today()
        for attempt in range(FENCED_TRIES_MAX):
            job_id = _job_id(client.id, request.idempotency_key, attempt)
            try:
                return await self._jobs.accept(
                    AdmittedJob(
                        job_id=job_id,
                        request=request,
                        model=model,
                        **_frozen(model, parameters, job_id),
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

    async def _drop(self, asset_ids: set[str], client: Client) -> None:
        for asset_id in asset_ids - {""}:
            await self._inputs.drop(asset_id, client_id=client.id)


def _check_roles(model: Model, inputs: Sequence[JobInput]) -> None:
    try:
        model.check_inputs(one.role for one in inputs)
    except ParametersInvalid as error:
        raise InvalidArgument(error.message, field=f"inputs.{error.field}") from error


def _unmeasurable(field_name: str) -> InvalidArgument:
    return InvalidArgument("The price depends on this input's size, which is not known.", field=field_name)


def _frozen(model: Model, parameters: dict[str, Any], job_id: str) -> dict[str, Any]:
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
        for route in model.routes
    )
    return {"parameters_json": orjson.dumps(parameters).decode(), "routes": routes}


def find_model(catalog: Catalog, name: str, client: Client) -> Model:
    """Return a model the client may use now. Raises ModelUnknown, ModelNotGranted, ModelDisabled."""
    model = catalog.get(name)
    if model is None:
        raise ModelUnknown(field="model")
    if not client.may_use(name):
        raise ModelNotGranted(field="model")
    if not model.enabled:
        raise ModelDisabled(field="model")
    return model


def parse_parameters(text: str) -> dict[str, Any]:
    """Parse the parameters' JSON. orjson refuses NaN, infinities, and nesting deeper than 1,024 on its own."""
    if not text:
        return {}
    try:
        parameters = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument("parameters_json is not JSON", field="parameters_json") from error
    if not isinstance(parameters, dict):
        raise InvalidArgument("parameters_json must be a JSON object", field="parameters_json")
    return parameters


def validated(model: Model, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with defaults. Raises InvalidArgument naming the parameter as `parameters.<name>`."""
    try:
        return model.validate(parameters)
    except ParametersInvalid as error:
        name = f"parameters.{error.field}" if error.field else "parameters"
        raise InvalidArgument(error.message, field=name) from error


def _job_id(client_id: str, key: str, attempt: int) -> str:
    """A random id, or with an idempotency key always the same one, so that two racing submits share job and hold."""
    if not key:
        return new_id("job")
    digest = hashlib.sha256(f"{client_id}\n{key}\n{attempt}".encode()).digest()
    return "job_" + base64.b32hexencode(digest[:17]).decode().lower()[:26]


def _seed(job_id: str) -> int:
    return int.from_bytes(hashlib.sha256(job_id.encode()).digest()[: SEED_BITS // 8], "big")


def _fingerprint(request: JobRequest, parameters: dict[str, Any]) -> str:
    """SHA-256 over what the client asked for: the same request written in another way has the same one."""
    facts = {
        "contract": request.contract,
        "inputs": [[one.role, one.asset_id, one.url, one.label] for one in request.inputs],
        "model": request.model,
        "parameters": parameters,
        "webhook_url": request.webhook_url,
    }
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()
