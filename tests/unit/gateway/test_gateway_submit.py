"""Admission: everything about a job is decided, or it is refused by name, before anything is written."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from catalog import Catalog, InputRule, Measure, Model, Pixels, PriceOption, PriceRule, RouteRule, Size
from gateway.domain import Client, Day
from gateway.quotes import SignedQuotes
from gateway.usecases.inputs import CheckInputs
from gateway.usecases.moderate import Moderate
from gateway.usecases.price import QUOTE_TTL_S, Cost, Priced
from gateway.usecases.quote import QuoteJob
from gateway.usecases.request import JobInput, JobRequest
from gateway.usecases.submit import AdmittedJob, Submit
from gateway.wordlist import WordList
from kit.errors import (
    AppError,
    AssetNotFound,
    ContentModerated,
    CostAboveMax,
    InputFetchRefused,
    InvalidArgument,
    JobFenced,
    ModelDisabled,
    ModelNotGranted,
    ModelUnknown,
    QuoteInvalid,
)

CLIENT = Client(id="partner-a")


def model(**changes: Any) -> Model:
    facts: dict[str, Any] = {
        "name": "image.generate",
        "capability": "image.generate",
        "title": "t",
        "schema": {
            "type": "object",
            "additionalProperties": False,
            "required": ["prompt"],
            "properties": {
                "prompt": {"type": "string", "minLength": 1},
                "num": {"type": "integer", "minimum": 1, "maximum": 6, "default": 1},
                "seed": {"type": "integer", "minimum": 0},
            },
        },
        "inputs": (InputRule(role="reference", maximum=2),),
        "price": (PriceRule(unit="count", amount=1), PriceRule(unit="fen", amount=30)),
        "routes": (RouteRule(provider="local", upstream_model="x", parameters={"text": "$prompt", "s": "$seed"}),),
        "outputs_parameter": "num",
    }
    return Model(**(facts | changes))


@dataclass
class Jobs:
    """An orchestrator that fences the first `fenced` ids."""

    fenced: int = 0
    accepted: list[AdmittedJob] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def accept(self, job: AdmittedJob) -> AdmittedJob:
        self.asked.append(job.job_id)
        if len(self.asked) <= self.fenced:
            raise JobFenced
        self.accepted.append(job)
        return job

    async def exists(self, job_id: str, *, client_id: str) -> bool:
        return any((job.job_id, job.client.id) == (job_id, client_id) for job in self.accepted)


class Inputs:
    """One asset of 1000 x 500 pixels, and a web on which every picture has 2000 x 1000."""

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self.taken_in: list[str] = []

    async def check_asset(self, asset_id: str, *, client_id: str, field: str) -> Size | None:
        if asset_id == "asset_vector":
            return None
        if asset_id != "asset_mine" or client_id != CLIENT.id:
            raise AssetNotFound(field=field)
        return Size(width=1000, height=500)

    async def take_in(self, url: str, *, client_id: str, field: str) -> tuple[str, Size | None]:
        await self.check_url(url, field=field)
        self.taken_in.append(f"asset_taken_{len(self.taken_in)}")
        return self.taken_in[-1], None if url.endswith(".svg") else Size(width=2000, height=1000)

    async def drop(self, asset_id: str, *, client_id: str) -> None:
        self.dropped.append(asset_id)

    async def check_url(self, url: str, *, field: str) -> None:
        if "127.0.0.1" in url:
            raise InputFetchRefused(field=field)


class Webhooks:
    def check(self, url: str, *, field: str) -> None:
        if not url.startswith("https://"):
            raise InvalidArgument(field=field)


class House:
    def __init__(self, one: Model | None = None, *, fenced: int = 0) -> None:
        chosen = one or model()
        self.jobs = Jobs(fenced=fenced)
        self.inputs, self.now_ms = Inputs(), 1_000
        self.change_catalogue(chosen)

    def change_catalogue(self, one: Model, *, version: str = "v1", secret: str = "s" * 32) -> None:
        """Start anew with another catalogue."""
        catalog = Catalog(models={one.name: one}, version=version)
        inputs = CheckInputs(inputs=self.inputs)
        quotes = SignedQuotes(SecretStr(secret), now_ms=lambda: self.now_ms)
        self.quote_job = QuoteJob(catalog=catalog, inputs=inputs, quotes=quotes)
        self.submit = Submit(
            catalog=catalog,
            jobs=self.jobs,
            inputs=inputs,
            webhooks=Webhooks(),
            moderate=Moderate(words=WordList(["赌博"])),
            quotes=quotes,
            today=lambda: Day(number=20_000, left_s=3600.0),
        )

    async def __call__(
        self, parameters: str = '{"prompt":"猫"}', *, client: Client = CLIENT, **changes: Any
    ) -> AdmittedJob:
        request = JobRequest(**({"model": "image.generate", "parameters_json": parameters} | changes))
        job = await self.submit(request, client)
        assert isinstance(job, AdmittedJob)
        return job

    async def quote(
        self, parameters: str = '{"prompt":"猫"}', *, client: Client = CLIENT, **changes: Any
    ) -> tuple[str, int, Priced]:
        request = JobRequest(**({"model": "image.generate", "parameters_json": parameters} | changes))
        return await self.quote_job(request, client)


async def test_everything_is_frozen_with_the_job() -> None:
    job = await House()('{"prompt":"猫","num":3}')
    parameters = orjson.loads(job.parameters_json)
    assert list(parameters) == ["num", "prompt", "seed"]
    assert (job.price.outputs, job.price.catalog_version) == (3, "v1")
    (route,) = job.routes
    assert orjson.loads(route.parameters_json) == {"text": "猫", "s": parameters["seed"]}


async def test_moderated_prompt_is_refused_by_name() -> None:
    house = House()
    with pytest.raises(ContentModerated) as caught:
        await house('{"prompt":"赌 博"}')
    assert caught.value.field == "parameters.prompt"
    assert not house.jobs.asked


async def test_seed_of_the_partner_is_kept() -> None:
    job = await House()('{"prompt":"a","seed":7}')
    assert orjson.loads(job.parameters_json)["seed"] == 7


@pytest.mark.parametrize(
    ("parameters", "field_name"),
    [
        ("{}", "parameters.prompt"),
        ('{"prompt":"a","num":7}', "parameters.num"),
        ('{"prompt":"a","wdith":7}', "parameters.wdith"),
        ("[1]", "parameters_json"),
        ('{"prompt":NaN}', "parameters_json"),
        ("[" * 100_000, "parameters_json"),
    ],
)
async def test_wrong_parameters_are_refused_by_name(parameters: str, field_name: str) -> None:
    house = House()
    with pytest.raises(InvalidArgument) as caught:
        await house(parameters)
    assert caught.value.field == field_name
    assert not house.jobs.asked


@pytest.mark.parametrize(
    ("changes", "expected", "field_name"),
    [
        ({"model": "none"}, ModelUnknown, "model"),
        ({"inputs": [JobInput(role="mask", asset_id="asset_mine")]}, InvalidArgument, "inputs.mask"),
        ({"inputs": [JobInput(role="reference", asset_id="asset_mine")] * 3}, InvalidArgument, "inputs.reference"),
        (
            {"inputs": [JobInput(role="reference", asset_id=i) for i in ("asset_mine", "asset_b")]},
            AssetNotFound,
            "inputs[1]",
        ),
        ({"inputs": [JobInput(role="reference", url="http://127.0.0.1/")]}, InputFetchRefused, "inputs[0]"),
        ({"webhook_url": "gopher://x"}, InvalidArgument, "webhook_url"),
        ({"idempotency_key": "schlüssel"}, InvalidArgument, "idempotency_key"),
        ({"max_cost": Cost(unit="fen", amount=29)}, CostAboveMax, "max_cost"),
        ({"max_cost": Cost(unit="points", amount=99)}, CostAboveMax, "max_cost"),
    ],
)
async def test_refusal_comes_before_anything_is_written(
    changes: dict[str, Any], expected: type[AppError], field_name: str
) -> None:
    house = House()
    with pytest.raises(expected) as caught:
        await house(**changes)
    assert caught.value.field == field_name
    assert not house.jobs.asked


async def test_disabled_and_ungranted_models_are_refused() -> None:
    with pytest.raises(ModelDisabled):
        await House(model(enabled=False))()
    with pytest.raises(ModelNotGranted):
        await House()(client=Client(id="partner-b", models=("other",)))


async def test_max_cost_leaves_only_the_ways_to_pay_within_it() -> None:
    job = await House()(max_cost=Cost(unit="fen", amount=30))
    assert job.price.options == (PriceOption(unit="fen", amount_per_output=30),)
    two = model(price=(PriceRule(unit="fen", amount=40), PriceRule(unit="fen", amount=20)))
    job = await House(two)('{"prompt":"a","num":2}', max_cost=Cost(unit="fen", amount=79))
    assert job.price.options == (PriceOption(unit="fen", amount_per_output=20),)


async def test_same_key_gives_the_same_job_id() -> None:
    house = House()
    first, second = await house(idempotency_key="k"), await house(idempotency_key="k")
    other_client = await house(idempotency_key="k", client=Client(id="partner-b"))
    assert first.job_id == second.job_id != other_client.job_id
    assert first.fingerprint == second.fingerprint
    assert (await house()).job_id != (await house()).job_id


async def test_fingerprint_ignores_how_the_request_is_written() -> None:
    house = House()
    first = await house('{"prompt":"a","num":1}')
    assert first.fingerprint == (await house('{ "num":1.0, "prompt":"a"}')).fingerprint
    assert first.fingerprint == (await house('{"prompt":"a"}')).fingerprint
    assert first.fingerprint != (await house('{"prompt":"b"}')).fingerprint


async def test_fenced_id_is_replaced_by_the_next_one() -> None:
    house = House(fenced=2)
    job = await house(idempotency_key="k")
    assert len(set(house.jobs.asked)) == 3
    assert job.job_id == house.jobs.asked[-1]


async def test_fencing_for_ever_is_reported() -> None:
    with pytest.raises(JobFenced):
        await House(fenced=99)()


def dearer() -> Model:
    return model(price=(PriceRule(unit="fen", amount=999),), charges={"expired": 100})


def measured(**changes: Any) -> Model:
    pixels = Pixels(input="reference", scale_default=Fraction(2))
    facts = {"inputs": (InputRule(role="reference", minimum=1, maximum=2),), "measure": Measure(megapixel=pixels)}
    return model(**facts, price=(PriceRule(unit="points", amount=10, per="megapixel"),), **changes)


async def test_a_quote_is_honoured_across_a_changed_catalogue_and_a_restart() -> None:
    house = House(model(charges={"cancelled_running": 50}))
    quote_id, expire_ms, quoted = await house.quote('{"prompt":"a","num":2}')
    assert expire_ms == 1_000 + QUOTE_TTL_S * 1_000
    assert [option.amount_per_output for option in quoted.options] == [1, 30]
    house.change_catalogue(dearer(), version="v2")
    job = await house('{"prompt":"another","num":2,"seed":4}', quote_id=quote_id)
    assert job.price == quoted
    assert (job.price.catalog_version, job.price.charges) == ("v1", {"cancelled_running": 50})
    assert (await house('{"prompt":"a"}')).price.options == (PriceOption(unit="fen", amount_per_output=999),)


async def test_a_quote_is_refused_for_anything_it_was_not_made_for() -> None:
    house = House()
    quote_id, expire_ms, _ = await house.quote('{"prompt":"a","num":2}')
    forged = quote_id[:-6] + "AAAAAA"
    cases: list[tuple[str, dict[str, Any]]] = [
        ('{"prompt":"a","num":3}', {}),
        ('{"prompt":"a"}', {}),
        ('{"prompt":"a","num":2}', {"client": Client(id="partner-b")}),
        ('{"prompt":"a","num":2}', {"quote_id": forged}),
        ('{"prompt":"a","num":2}', {"quote_id": "x"}),
        ('{"prompt":"a","num":2}', {"quote_id": "é" * 40}),
    ]
    for parameters, changes in cases:
        with pytest.raises(QuoteInvalid) as caught:
            await house(parameters, **({"quote_id": quote_id} | changes))
        assert caught.value.field == "quote_id"
    house.now_ms = expire_ms
    with pytest.raises(QuoteInvalid):
        await house('{"prompt":"a","num":2}', quote_id=quote_id)
    house.now_ms = expire_ms - 1
    house.change_catalogue(model(), secret="t" * 32)
    with pytest.raises(QuoteInvalid):
        await house('{"prompt":"a","num":2}', quote_id=quote_id)
    assert not house.jobs.asked


async def test_a_repeat_of_an_accepted_request_is_heard_after_its_quote_lapsed() -> None:
    house = House(fenced=1)
    quote_id, expire_ms, quoted = await house.quote()
    first = await house(quote_id=quote_id, idempotency_key="k")
    house.now_ms = expire_ms + 1
    again = await house(quote_id=quote_id, idempotency_key="k")
    assert (again.job_id[:4], again.fingerprint, again.price) == ("job_", first.fingerprint, quoted)
    for key in ("other", ""):
        with pytest.raises(QuoteInvalid):
            await house(quote_id=quote_id, idempotency_key=key)
    with pytest.raises(QuoteInvalid):
        await house(quote_id=quote_id, idempotency_key="k", client=Client(id="partner-b"))


async def test_a_quote_of_another_model_is_refused() -> None:
    house = House()
    quote_id, _, _ = await house.quote()
    house.change_catalogue(model(name="image.other"))
    with pytest.raises(QuoteInvalid):
        await house(model="image.other", quote_id=quote_id)


async def test_a_quote_that_is_above_max_cost_is_refused_too() -> None:
    house = House()
    quote_id, _, _ = await house.quote()
    with pytest.raises(CostAboveMax):
        await house(quote_id=quote_id, max_cost=Cost(unit="fen", amount=29))


async def test_an_asset_is_priced_by_its_size() -> None:
    house = House(measured())
    mine = [JobInput(role="reference", asset_id="asset_mine")]
    job = await house(inputs=mine)
    assert job.price.options == (PriceOption(unit="points", amount_per_output=20),)  # 2000 x 1000.
    quote_id, _, quoted = await house.quote(inputs=mine)
    assert quoted == job.price
    assert (await house(inputs=mine, quote_id=quote_id)).price == quoted
    with pytest.raises(InvalidArgument) as caught:
        await house(inputs=[JobInput(role="reference", asset_id="asset_vector")])
    assert caught.value.field == "inputs[0]"


async def test_a_picture_on_the_web_is_taken_in_before_it_is_priced() -> None:
    house = House(measured())
    url = JobInput(role="reference", url="https://example.com/a.png")
    job = await house(inputs=[url, url])
    assert [(one.asset_id, one.url) for one in job.inputs] == [("asset_taken_0", ""), ("", url.url)]
    assert job.price.options == (PriceOption(unit="points", amount_per_output=80),)  # 4000 x 2000.
    assert house.inputs.dropped == []
    assert job.fingerprint == (await house(inputs=[url, url])).fingerprint


@pytest.mark.parametrize(
    ("url", "changes", "expected"),
    [
        ("https://example.com/a.png", {"max_cost": Cost(unit="points", amount=79)}, CostAboveMax),
        ("https://example.com/a.svg", {}, InvalidArgument),
    ],
)
async def test_a_picture_taken_in_for_a_refused_job_is_dropped(
    url: str, changes: dict[str, Any], expected: type[AppError]
) -> None:
    house = House(measured())
    with pytest.raises(expected):
        await house(inputs=[JobInput(role="reference", url=url)], **changes)
    assert house.inputs.dropped == house.inputs.taken_in == ["asset_taken_0"]
    assert not house.jobs.asked


async def test_a_quote_for_an_input_of_another_size_is_refused() -> None:
    house = House(measured())
    quote_id, _, _ = await house.quote(inputs=[JobInput(role="reference", asset_id="asset_mine")])
    with pytest.raises(QuoteInvalid):
        await house(inputs=[JobInput(role="reference", url="https://example.com/a.png")], quote_id=quote_id)
    assert house.inputs.dropped == ["asset_taken_0"]


async def test_a_quote_by_size_wants_an_asset() -> None:
    with pytest.raises(InvalidArgument) as caught:
        await House(measured()).quote(inputs=[JobInput(role="reference", url="https://example.com/a.png")])
    assert caught.value.field == "inputs[0]"
