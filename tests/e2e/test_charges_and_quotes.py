"""What a job costs follows its end and the rules it was accepted under; a quote keeps its price whatever comes.

The house's own worker is idle and its catalogue is the story's: the tests are the worker, so every end is
theirs to choose.
"""

from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from google.protobuf.duration_pb2 import Duration

from atelier.billing.v1 import hold_pb2, hold_service_pb2, hold_service_pb2_grpc
from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from atelier.common.v1 import error_reason_pb2
from atelier.jobs.v1 import attempt_pb2, job_pb2, lease_service_pb2, lease_service_pb2_grpc
from atelier.jobs.v1 import job_admin_service_pb2 as jobs_pb2
from kit.errors import DependencyUnavailable
from kit.ids import new_id
from testkit.deployments import Deployment, new_partner
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.waiting import until
from testkit.web import Site, respond

CALL_TIMEOUT_S: Final = 30.0
BODY: Final = {"capability": "image.generate", "prompt": "山", "width": 1000, "height": 1000}
CATALOGUE: Final = """
models:
  - name: image.generate
    capability: image.generate
    title: t
    contracts: [open, grpc]
    price: [{%s}]
    %s
    measure: {megapixel: {width: width, height: height}}
    required: [prompt, width, height]
    parameters:
      prompt: {type: string, minLength: 1, maxLength: 100}
      width: {type: integer, minimum: 64, maximum: 4096}
      height: {type: integer, minimum: 64, maximum: 4096}
    routes: [{provider: local, upstream_model: image.generate}]
  - name: image.upscale
    capability: image.upscale
    title: t
    contracts: [open, grpc]
    price: [{points: 100, per: megapixel}]
    measure: {megapixel: {input: image, scale: scale, scale_default: 2}}
    parameters:
      scale: {type: number, minimum: 1, maximum: 8}
    inputs: [{role: image, min: 1}]
    routes: [{provider: local, upstream_model: image.upscale}]
"""
BY_PIXELS: Final = CATALOGUE % ("points: 11, per: megapixel", "charges: {cancelled_running: 50, moderated_output: 100}")
DEARER: Final = CATALOGUE % ("points: 99", "charges: {cancelled_running: 100}")


class Worker:
    """Takes one job and ends it as it is told."""

    def __init__(self, house: Deployment) -> None:
        channel = house.channel("job-orchestrator", identity="provider-adapter")
        self._leases: Any = lease_service_pb2_grpc.LeaseServiceStub(channel)
        self._which: dict[str, Any] = {}

    async def begin(self, job_id: str) -> None:
        """Lease the job, which is the only one that waits, and begin an attempt."""
        request = lease_service_pb2.LeaseJobsRequest(
            pool="default", worker_id="worker", slots=1, wait=Duration(seconds=10), lease=Duration(seconds=60)
        )
        (lease,) = (await self._leases.LeaseJobs(request, timeout=CALL_TIMEOUT_S)).leases
        assert lease.job.id == job_id
        which = {"job_id": job_id, "epoch": lease.epoch, "attempt_id": new_id("att")}
        begin = lease_service_pb2.BeginAttemptRequest(**which, route=0, repeatable=True)
        await self._leases.BeginAttempt(begin, timeout=CALL_TIMEOUT_S)
        self._which = which

    async def end(self, outcome: str, **facts: Any) -> None:
        """Report how the attempt ended."""
        number = attempt_pb2.AttemptOutcome.Value(f"ATTEMPT_OUTCOME_{outcome}")
        request = lease_service_pb2.FinishAttemptRequest(**self._which, outcome=number, **facts)
        await self._leases.FinishAttempt(request, timeout=CALL_TIMEOUT_S)


async def restart_with(house: Deployment, folder: Path, catalogue: str) -> None:
    """Give the house this catalogue and an idle worker."""
    (folder / "models.yaml").write_text(catalogue, encoding="utf-8")
    house.configure(
        ATELIER_CATALOG_DIR=str(folder),
        GATEWAY_CATALOG_DIR=str(folder),
        PROVIDERS_POOL="idle",
        PROVIDERS_ENGINE_WORKERS="0",
    )
    await house.restart()
    wallets = house.operator().wallets

    async def answers() -> bool:  # Until then channels made before have not noticed that the house is back.
        try:
            await wallets.VerifyLedger(wallet_pb2.VerifyLedgerRequest(), timeout=CALL_TIMEOUT_S)
            await house.operator().jobs.GetQueueStats(jobs_pb2.GetQueueStatsRequest(), timeout=CALL_TIMEOUT_S)
        except DependencyUnavailable:
            return False
        return True

    await until(answers, bool)


async def hold_of(house: Deployment, job_id: str) -> hold_pb2.Hold:
    """The job's hold once it is resolved."""
    stub: Any = hold_service_pb2_grpc.HoldServiceStub(house.channel("billing", identity="operator"))

    async def look() -> hold_pb2.Hold:
        hold: hold_pb2.Hold = (
            await stub.GetHold(hold_service_pb2.GetHoldRequest(hold_id=job_id), timeout=CALL_TIMEOUT_S)
        ).hold
        return hold

    return await until(look, lambda hold: hold.state != hold_pb2.HOLD_STATE_HELD)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the story's catalogue lies."""
    (tmp_path / "catalogue").mkdir()
    return tmp_path / "catalogue"


async def test_ends_are_charged_by_the_rules_and_told_with_their_refund(
    own_house: Deployment, folder: Path, site: Site
) -> None:
    await restart_with(own_house, folder, BY_PIXELS)
    async with await new_partner(own_house.operator(), own_house.url) as partner:
        worker = Worker(own_house)
        await _half_for_a_running_job_that_was_cancelled(own_house, partner, worker)
        await _all_for_a_picture_that_was_moderated(own_house, partner, worker)
        await _nothing_for_any_other_end(own_house, partner, worker)
        await _the_size_of_a_picture_on_the_web(partner, site)


async def _half_for_a_running_job_that_was_cancelled(house: Deployment, partner: OpenClient, worker: Worker) -> None:
    job = await partner.create_job(**BODY)
    await worker.begin(job["id"])
    await partner.cancel(job["id"])
    await worker.end("CANCELLED")

    ended = await partner.finished_job(job["id"])

    assert ended["cost"] == {"unit": "points", "amount": 11, "charged": True, "refunded": True}
    error = ended["error"]
    assert (error["code"], error["charged"], error["chargedAmount"]) == ("job_cancelled", True, 5)
    assert error["refundId"] == f"resolve:{job['id']}"
    hold = await hold_of(house, job["id"])
    assert (hold.state, hold.captured) == (hold_pb2.HOLD_STATE_CAPTURED, 5)
    assert (hold.model, hold.outcome, hold.reason) == ("image.generate", "cancelled_running", "job_cancelled")
    assert await partner.points() == {"available": 995, "held": 0, "spent": 5}


async def _all_for_a_picture_that_was_moderated(house: Deployment, partner: OpenClient, worker: Worker) -> None:
    job = await partner.create_job(**BODY)
    await worker.begin(job["id"])
    failure = job_pb2.Failure(reason=error_reason_pb2.ERROR_REASON_PROVIDER_MODERATED, message="It was refused.")
    await worker.end("FAILED", failure=failure, provider_cost_fen=12)

    ended = await partner.finished_job(job["id"])

    assert ended["cost"] == {"unit": "points", "amount": 11, "charged": True, "refunded": False}
    assert (ended["error"]["chargedAmount"], ended["error"]["refundId"]) == (11, None)
    hold = await hold_of(house, job["id"])
    assert (hold.captured, hold.outcome, hold.provider, hold.provider_cost_fen) == (11, "moderated_output", "local", 12)
    assert await partner.points() == {"available": 984, "held": 0, "spent": 16}


async def _nothing_for_any_other_end(house: Deployment, partner: OpenClient, worker: Worker) -> None:
    queued = await partner.create_job(**BODY)
    await partner.cancel(queued["id"])
    failed = await partner.create_job(**BODY)
    await worker.begin(failed["id"])
    failure = job_pb2.Failure(reason=error_reason_pb2.ERROR_REASON_PROVIDER_TIMEOUT, message="It took too long.")
    await worker.end("FAILED", failure=failure)
    for job in (queued, failed):
        ended = await partner.finished_job(job["id"])
        assert (ended["error"]["charged"], ended["error"]["refundId"]) == (False, f"resolve:{job['id']}")
        assert (await hold_of(house, job["id"])).state == hold_pb2.HOLD_STATE_RELEASED
    assert await partner.points() == {"available": 984, "held": 0, "spent": 16}


async def _the_size_of_a_picture_on_the_web(partner: OpenClient, site: Site) -> None:
    picture = encoded(photo((300, 200)), "PNG")
    site.reply("/picture.png", respond(picture, headers={"Content-Type": "image/png"}))
    url = f"http://127.0.0.1:{site.port}/picture.png"

    job = await partner.create_job(capability="image.upscale", imageUrls=[url])

    assert (job["cost"]["amount"], job["inputUrls"]) == (24, [])  # 600 x 400 pixels.
    (asset_id,) = job["inputAssetIds"]
    assert (await partner.asset(asset_id))["width"] == 300
    body = {"capability": "image.upscale", "imageUrls": [url]}
    refused = await partner.submit({**body, "maxCost": {"points": 23}})
    assert refused.status_code == httpx.codes.PAYMENT_REQUIRED
    assert "maxCost" in refused.json()["error"]
    assert [one["id"] for one in await partner.assets()] == [asset_id]  # What was taken in for nothing is gone.
    assert (await partner.submit({**body, "maxCost": {"points": 24}})).is_success


async def test_a_quote_and_an_accepted_job_outlive_the_catalogue(own_house: Deployment, folder: Path) -> None:
    await restart_with(own_house, folder, BY_PIXELS)
    async with await new_partner(own_house.operator(), own_house.url) as partner:
        running = await partner.create_job(**BODY)
        quote = (await partner.post("/quotes", json=BODY)).json()["quote"]
        assert quote["price"] == [{"points": 11}]
        assert quote["charges"] == {"cancelledRunning": 50, "moderatedOutput": 100}

        await restart_with(own_house, folder, DEARER)

        today = (await partner.post("/quotes", json=BODY)).json()["quote"]
        assert (today["price"], today["charges"]) == ([{"points": 99}], {"cancelledRunning": 100})
        await _an_accepted_job_keeps_its_price_and_rules(own_house, partner, running["id"])
        quoted = await partner.create_job(**BODY | {"prompt": "海"}, quoteId=quote["quoteId"], maxCost={"points": 11})
        plain = await partner.create_job(**BODY)
        assert (quoted["cost"]["amount"], plain["cost"]["amount"]) == (11, 99)
        await partner.cancel(plain["id"])
        await _cancel_running(own_house, partner, quoted["id"])
        assert (await partner.finished_job(quoted["id"]))["error"]["chargedAmount"] == 5  # Its rule was quoted, too.
        await _a_quote_is_for_nobody_and_nothing_else(own_house, partner, quote["quoteId"])
        points = await until(partner.points, lambda points: points["held"] == 0)
        assert points == {"available": 990, "held": 0, "spent": 10}


async def _an_accepted_job_keeps_its_price_and_rules(house: Deployment, partner: OpenClient, job_id: str) -> None:
    await _cancel_running(house, partner, job_id)
    ended = await partner.finished_job(job_id)
    assert (ended["cost"]["amount"], ended["error"]["chargedAmount"]) == (11, 5)
    assert (await hold_of(house, job_id)).captured == 5


async def _cancel_running(house: Deployment, partner: OpenClient, job_id: str) -> None:
    worker = Worker(house)
    await worker.begin(job_id)
    await partner.cancel(job_id)
    await worker.end("CANCELLED")


async def _a_quote_is_for_nobody_and_nothing_else(house: Deployment, partner: OpenClient, quote_id: str) -> None:
    refusals = [
        await partner.submit({**BODY, "width": 1001, "quoteId": quote_id}),
        await partner.submit({**BODY, "quoteId": quote_id[:-4] + "AAAA"}),
    ]
    async with await new_partner(house.operator(), house.url) as other:
        refusals.append(await other.submit({**BODY, "quoteId": quote_id}))
    for refusal in refusals:
        assert refusal.status_code == httpx.codes.CONFLICT
        assert "quoteId" in refusal.json()["error"]
    dear = await partner.submit({**BODY, "quoteId": quote_id, "maxCost": {"points": 10}})
    assert dear.status_code == httpx.codes.PAYMENT_REQUIRED
