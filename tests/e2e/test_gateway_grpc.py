"""An internal service uses the front door over gRPC, and moves bytes with tickets."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from atelier.assets.v1 import asset_pb2
from atelier.assets.v1 import asset_service_pb2 as assets_pb2
from atelier.assets.v1 import asset_service_pb2_grpc as assets_grpc
from atelier.common.v1 import money_pb2
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from atelier.gateway.v1 import gateway_service_pb2_grpc as grpc2
from atelier.jobs.v1 import job_pb2
from kit.errors import (
    AssetNotFound,
    CostAboveMax,
    CredentialInvalid,
    CredentialMissing,
    IdempotencyKeyReused,
    InvalidArgument,
    JobAlreadyFinished,
    JobNotFound,
    ModelUnknown,
    QuoteInvalid,
    TicketInvalid,
)
from testkit.deployments import Deployment, NewPartner
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo

TIMEOUT_S = 20.0
TERMINAL = {
    job_pb2.JOB_STATE_SUCCEEDED,
    job_pb2.JOB_STATE_FAILED,
    job_pb2.JOB_STATE_EXPIRED,
    job_pb2.JOB_STATE_CANCELLED,
}
CHUNK = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Caller:
    """An internal service with a client's API key."""

    gateway: Any
    assets: Any
    key: str

    async def call(self, method: str, request: Any, *, key: str | None = None) -> Any:
        """One unary call to the front door."""
        metadata = (("authorization", f"Bearer {self.key if key is None else key}"),)
        return await getattr(self.gateway, method)(request, timeout=TIMEOUT_S, metadata=metadata)

    async def watch(self, job_id: str, *, after: int = 0) -> list[Any]:
        """Every change of a job until its end."""
        request = pb2.WatchJobsRequest(job_id=job_id, after_position=after)
        changes = []
        metadata = (("authorization", f"Bearer {self.key}"),)
        async for change in self.gateway.WatchJobs(request, timeout=60, metadata=metadata):
            changes.append(change)
            if change.job.state in TERMINAL:
                break
        return changes

    async def upload(self, content: bytes, ticket: str) -> Any:
        """Send bytes with a ticket; no other credential is asked for."""

        async def parts() -> AsyncIterator[Any]:
            yield assets_pb2.UploadAssetRequest(header=assets_pb2.UploadHeader(ticket=ticket, name="a.png"))
            for start in range(0, len(content), CHUNK):
                yield assets_pb2.UploadAssetRequest(chunk=content[start : start + CHUNK])

        return (await self.assets.UploadAsset(parts(), timeout=TIMEOUT_S)).asset

    async def read(self, ticket: str, *, offset: int = 0, length: int = 0) -> bytes:
        """Bytes with a ticket."""
        request = assets_pb2.ReadAssetRequest(ticket=ticket, offset=offset, length=length)
        parts = [part async for part in self.assets.ReadAsset(request, timeout=TIMEOUT_S)]
        return b"".join(part.chunk for part in parts if part.WhichOneof("part") == "chunk")


@pytest_asyncio.fixture(loop_scope="session")
async def caller(house: Deployment, partner: OpenClient) -> AsyncIterator[Caller]:
    async with house.gateway_channel() as gateway, house.channel("asset-store") as assets:
        yield Caller(
            gateway=grpc2.GatewayServiceStub(gateway), assets=assets_grpc.AssetServiceStub(assets), key=partner.key
        )


def _submission(**fields: Any) -> Any:
    parameters = json.dumps({"prompt": "山", "width": 64, "height": 64, "seed": 5})
    return pb2.SubmitJobRequest(**{"model": "image.generate", "parameters_json": parameters, **fields})


async def test_job_runs_and_every_change_is_streamed(caller: Caller) -> None:
    accepted = await caller.call("SubmitJob", _submission(idempotency_key="k", labels={"order": "7"}))
    again = await caller.call("SubmitJob", _submission(idempotency_key="k", labels={"order": "7"}))

    changes = await caller.watch(accepted.job.id)

    assert (accepted.reused, again.reused) == (False, True)
    assert again.job.id == accepted.job.id
    states = list(dict.fromkeys(change.job.state for change in changes))
    assert states == [job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_SUCCEEDED]
    read = await caller.call("GetJob", pb2.GetJobRequest(job_id=accepted.job.id))
    assert read.job.state == job_pb2.JOB_STATE_SUCCEEDED
    assert dict(read.job.labels) == {"order": "7"}
    assert await caller.watch(accepted.job.id, after=changes[0].event.position) == changes[1:]


async def test_bytes_go_in_and_out_by_ticket(caller: Caller) -> None:
    content = encoded(photo((640, 480)), "PNG")
    allowed = await caller.call("AuthorizeUpload", pb2.AuthorizeUploadRequest(kind="image"))

    asset = await caller.upload(content, allowed.tickets[0])

    assert asset.sha256 == hashlib.sha256(content).hexdigest()
    assert (asset.width, asset.height, asset.size_bytes) == (640, 480, len(content))
    assert asset.origin == asset_pb2.ASSET_ORIGIN_UPLOAD
    readable = await caller.call("AuthorizeRead", pb2.AuthorizeReadRequest(asset_id=asset.id))
    assert readable.asset == asset
    assert await caller.read(readable.ticket) == content
    assert await caller.read(readable.ticket, offset=1000, length=500) == content[1000:1500]
    with pytest.raises(TicketInvalid):
        await caller.read(allowed.tickets[0])  # A permission to write is none to read.
    with pytest.raises(TicketInvalid):
        await caller.upload(content, readable.ticket)
    with pytest.raises(TicketInvalid):
        await caller.read("forged")


async def test_asset_over_grpc_is_an_input_and_is_deleted(caller: Caller) -> None:
    allowed = await caller.call("AuthorizeUpload", pb2.AuthorizeUploadRequest(kind="image"))
    asset = await caller.upload(encoded(photo((64, 48)), "PNG"), allowed.tickets[0])

    accepted = await caller.call(
        "SubmitJob",
        pb2.SubmitJobRequest(
            model="image.upscale",
            parameters_json='{"scale": 2}',
            inputs=[job_pb2.Input(role="image", asset_id=asset.id)],
        ),
    )
    done = (await caller.watch(accepted.job.id))[-1].job

    assert done.state == job_pb2.JOB_STATE_SUCCEEDED
    output = await caller.call("GetAsset", pb2.GetAssetRequest(asset_id=done.outputs[0].asset_id))
    assert (output.asset.width, output.asset.height) == (128, 96)
    listed = await caller.call("ListAssets", pb2.ListAssetsRequest(origin=asset_pb2.ASSET_ORIGIN_OUTPUT))
    assert [one.id for one in listed.assets] == [output.asset.id]
    await caller.call("DeleteAsset", pb2.DeleteAssetRequest(asset_id=asset.id))
    with pytest.raises(AssetNotFound):
        await caller.call("GetAsset", pb2.GetAssetRequest(asset_id=asset.id))


async def test_lists_count_and_page(caller: Caller) -> None:
    jobs = [(await caller.call("SubmitJob", _submission())).job for _ in range(5)]
    for job in jobs:
        await caller.watch(job.id)

    first = await caller.call("ListJobs", pb2.ListJobsRequest(page_size=2, with_total=True))
    second = await caller.call("ListJobs", pb2.ListJobsRequest(page_size=2, page_token=first.next_page_token))
    rest = await caller.call("ListJobs", pb2.ListJobsRequest(page_size=200, skip=4))

    newest_first = [job.id for job in reversed(jobs)]
    assert first.total == 5
    assert [job.id for page in (first, second, rest) for job in page.jobs] == newest_first
    failed = await caller.call("ListJobs", pb2.ListJobsRequest(states=[job_pb2.JOB_STATE_FAILED]))
    assert not failed.jobs


async def test_price_is_quoted_and_capped(caller: Caller, partner: OpenClient) -> None:
    quote = await caller.call("QuoteJob", pb2.QuoteJobRequest(model="image.generate", parameters_json='{"prompt":"x"}'))
    assert [(option.unit, option.amount_per_output) for option in quote.price.options] == [(money_pb2.UNIT_POINTS, 30)]

    with pytest.raises(CostAboveMax) as refused:
        await caller.call("SubmitJob", _submission(max_cost=money_pb2.Amount(unit=money_pb2.UNIT_POINTS, value=29)))
    assert (refused.value.field, refused.value.metadata["charged"]) == ("max_cost", "false")
    with pytest.raises(QuoteInvalid) as refused_quote:
        await caller.call("SubmitJob", _submission(quote_id=quote.quote_id[:-8] + "AAAAAAAA"))
    assert refused_quote.value.field == "quote_id"

    balance = await caller.call("GetBalance", pb2.GetBalanceRequest())
    assert [(line.available, line.held) for line in balance.balances] == [(1000, 0)]
    assert await partner.jobs() == []


async def test_models_are_listed(caller: Caller) -> None:
    models = {model.name: model for model in (await caller.call("ListModels", pb2.ListModelsRequest())).models}

    assert models["image.generate"].enabled
    assert models["video.generate"].enabled
    assert json.loads(models["image.generate"].parameters_schema_json)["required"] == ["prompt"]


async def test_errors_keep_reason_and_field(caller: Caller) -> None:
    with pytest.raises(ModelUnknown):
        await caller.call("SubmitJob", _submission(model="image.sing"))
    with pytest.raises(InvalidArgument) as caught:
        await caller.call("SubmitJob", _submission(parameters_json='{"prompt": "x", "width": -1}'))
    assert caught.value.field == "parameters.width"
    with pytest.raises(InvalidArgument) as caught:
        await caller.call("SubmitJob", _submission(parameters_json="[" * 30_000))
    assert caught.value.field == "parameters_json"
    with pytest.raises(JobNotFound):
        await caller.call("GetJob", pb2.GetJobRequest(job_id="job_nobody"))
    with pytest.raises(JobNotFound):
        await caller.call("GetJob", pb2.GetJobRequest(job_id="a\x00b"))
    with pytest.raises(AssetNotFound):
        await caller.call("GetAsset", pb2.GetAssetRequest(asset_id="a\x00b"))
    with pytest.raises(CredentialInvalid):
        await caller.call("GetBalance", pb2.GetBalanceRequest(), key="sk-wrong")
    with pytest.raises(CredentialMissing):
        await caller.gateway.GetBalance(pb2.GetBalanceRequest(), timeout=TIMEOUT_S)


async def test_key_with_another_request_is_refused(caller: Caller) -> None:
    first = await caller.call("SubmitJob", _submission(idempotency_key="k"))

    with pytest.raises(IdempotencyKeyReused):
        await caller.call("SubmitJob", _submission(idempotency_key="k", parameters_json='{"prompt": "other"}'))

    await caller.watch(first.job.id)


async def test_cancel_over_grpc(caller: Caller) -> None:
    accepted = await caller.call("SubmitJob", _submission())
    done = (await caller.watch(accepted.job.id))[-1].job

    with pytest.raises(JobAlreadyFinished):
        await caller.call("CancelJob", pb2.CancelJobRequest(job_id=done.id))
    with pytest.raises(JobNotFound):
        await caller.call("CancelJob", pb2.CancelJobRequest(job_id="job_nobody"))


async def test_caller_that_leaves_a_stream_leaves_nothing_running(caller: Caller) -> None:
    accepted = await caller.call("SubmitJob", _submission(parameters_json='{"prompt":"x","width":2048,"height":2048}'))
    metadata = (("authorization", f"Bearer {caller.key}"),)
    stream = caller.gateway.WatchJobs(pb2.WatchJobsRequest(job_id=accepted.job.id), timeout=60, metadata=metadata)
    async for _ in stream:
        break
    stream.cancel()

    await caller.watch(accepted.job.id)
    await asyncio.gather(*(caller.call("GetBalance", pb2.GetBalanceRequest()) for _ in range(20)))


async def test_allow_list_is_checked_against_the_callers_address(
    house: Deployment, caller: Caller, make_partner: NewPartner
) -> None:
    from kit.errors import IpNotAllowed

    inside = await make_partner(ip_allow=["127.0.0.0/8"])
    outside = await make_partner(ip_allow=["203.0.113.0/24"])

    assert (await caller.call("GetBalance", pb2.GetBalanceRequest(), key=inside.key)).client_id == inside.client_id
    with pytest.raises(IpNotAllowed):
        await caller.call("GetBalance", pb2.GetBalanceRequest(), key=outside.key)
    assert (await inside.get("/balance")).status_code == 200
    assert (await outside.get("/balance")).status_code == 403
