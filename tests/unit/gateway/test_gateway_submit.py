"""Admission: everything about a job is decided, or it is refused by name, before anything is written."""

from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from catalog import Catalog, InputRule, Model, PriceOption, RouteRule
from gateway.domain import Client, Day
from gateway.usecases.moderate import Moderate
from gateway.usecases.submit import AdmittedJob, JobInput, JobRequest, Submit
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
        "price": (PriceOption(unit="count", amount_per_output=1), PriceOption(unit="fen", amount_per_output=30)),
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


class Inputs:
    async def check_asset(self, asset_id: str, *, client_id: str, field: str) -> None:
        if asset_id != "asset_mine" or client_id != CLIENT.id:
            raise AssetNotFound(field=field)

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
        catalog = Catalog(models={chosen.name: chosen}, version="v1")
        self.submit = Submit(
            catalog=catalog,
            jobs=self.jobs,
            inputs=Inputs(),
            webhooks=Webhooks(),
            moderate=Moderate(words=WordList(["赌博"])),
            today=lambda: Day(number=20_000, left_s=3600.0),
        )

    async def __call__(
        self, parameters: str = '{"prompt":"猫"}', *, client: Client = CLIENT, **changes: Any
    ) -> AdmittedJob:
        request = JobRequest(**({"model": "image.generate", "parameters_json": parameters} | changes))
        job = await self.submit(request, client)
        assert isinstance(job, AdmittedJob)
        return job


async def test_everything_is_frozen_with_the_job() -> None:
    job = await House()('{"prompt":"猫","num":3}')
    parameters = orjson.loads(job.parameters_json)
    assert list(parameters) == ["num", "prompt", "seed"]
    assert (job.outputs, job.catalog_version) == (3, "v1")
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
        ({"max_cost": PriceOption(unit="fen", amount_per_output=29)}, CostAboveMax, "max_cost"),
        ({"max_cost": PriceOption(unit="points", amount_per_output=99)}, CostAboveMax, "max_cost"),
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


async def test_max_cost_that_covers_one_way_to_pay_is_enough() -> None:
    assert (await House()(max_cost=PriceOption(unit="fen", amount_per_output=30))).outputs == 1


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
