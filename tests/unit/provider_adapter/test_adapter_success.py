"""A leased job becomes stored, verified outputs: inputs in, attempt journalled, progress told, report made."""

import asyncio
import hashlib
from typing import Any

from atelier.jobs.v1 import job_pb2
from atelier.providers.v1 import provider_service_pb2 as provider_pb2
from atelier.providers.v1 import provider_service_pb2_grpc as provider_grpc
from kit.errors import DeadlineExceeded, DependencyUnavailable, Internal, StorageFull
from kit.ids import is_id
from provider_adapter.domain import output_asset_id, seed_of
from testkit.fakeprovider import Behavior, picture


async def test_job_is_reported_with_its_stored_output_when_the_provider_answers_at_once(house: Any) -> None:
    job = house.jobs.put(retention_s=3600)
    await house.work()
    await house.reported(job)
    (output,) = job.report.outputs
    assert job.outcome == "SUCCEEDED"
    assert output.asset_id == output_asset_id("job_1", 1, 0)
    assert is_id(output.asset_id, "asset")
    assert output.sha256 == hashlib.sha256(picture(7)).hexdigest()
    assert (output.role, output.mime_type, output.width, output.height) == ("image", "image/png", 8, 8)
    assert output.size_bytes == len(picture(7))
    assert house.assets.bytes[output.asset_id] == picture(7)
    (ticket,) = house.assets.uploads
    assert (ticket.client_id, ticket.job_id, ticket.retention_s) == ("client-1", "job_1", 3600)


async def test_intent_is_written_before_the_provider_is_called(house: Any) -> None:
    house.jobs.blocked["BeginAttempt"] = asyncio.Event()
    job = house.jobs.put()
    await house.work(house.provider())
    await asyncio.sleep(0.1)
    assert house.upstream.submits == []
    house.jobs.blocked["BeginAttempt"].set()
    await house.reported(job)
    assert house.upstream.submits == [job.attempts[0].id] == [job.report.attempt_id]
    assert job.attempts[0].repeatable is False


async def test_task_id_is_recorded_and_polled_until_the_end_when_the_provider_has_one(house: Any) -> None:
    house.upstream.behavior = Behavior(progress=(0.1, 0.5, 0.9), cost_fen=12)
    job = house.jobs.put()
    await house.work(house.provider(task_ids=True))
    await house.reported(job)
    (task,) = house.upstream.tasks.values()
    assert job.outcome == "SUCCEEDED"
    assert job.attempts[0].upstream_task_id == task.id
    assert len(house.upstream.polls) == 4
    assert job.report.provider_cost_fen == 12


async def test_seed_follows_from_the_job_when_the_parameters_have_none(house: Any) -> None:
    job = house.jobs.put(parameters={"prompt": "a fox"})
    await house.work()
    await house.reported(job)
    assert house.assets.bytes[job.report.outputs[0].asset_id] == picture(seed_of("job_1"))


async def test_every_file_is_stored_in_order_when_there_are_several(house: Any) -> None:
    house.upstream.behavior = Behavior(files=[picture(1), picture(2), picture(3)])
    job = house.jobs.put()
    await house.work()
    await house.reported(job)
    assert [house.assets.bytes[each.asset_id] for each in job.report.outputs] == [picture(1), picture(2), picture(3)]


async def test_assets_and_urls_are_read_by_the_provider_in_the_order_given(house: Any) -> None:
    house.assets.keep(picture(1), asset_id="asset_a")
    house.assets.urls["https://example.com/b.png"] = picture(2)
    inputs = (
        job_pb2.Input(role="image", asset_id="asset_a"),
        job_pb2.Input(role="mask", url="https://example.com/b.png"),
    )
    job = house.jobs.put(inputs=inputs)
    await house.work()
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert house.upstream.inputs == [picture(1), picture(2)]


async def test_url_is_fetched_once_when_the_job_is_tried_twice(house: Any) -> None:
    house.assets.urls["https://example.com/b.png"] = picture(2)
    job = house.jobs.put(inputs=(job_pb2.Input(role="image", url="https://example.com/b.png"),))
    house.upstream.behavior = Behavior(raised=ConnectionError("broken"))
    await house.work()
    await house.reported(job)
    assert job.outcome == "RETRYABLE"
    house.assets.urls["https://example.com/b.png"] = picture(3)
    job.report = None
    house.upstream.behavior = Behavior()
    house.jobs.queue_again("job_1")
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert house.upstream.inputs == [picture(2), picture(2)]


async def test_progress_is_told_with_the_renewals(house: Any, eventually: Any) -> None:
    go_on = asyncio.Event()
    house.upstream.behavior = Behavior(progress=(0.25, 0.5), until=go_on)
    job = house.jobs.put()
    await house.work()
    await eventually(lambda: job.progress)
    assert job.progress[0] == 50
    go_on.set()
    await house.reported(job)


async def test_many_renewals_keep_the_lease_while_the_work_takes_long(house: Any, eventually: Any) -> None:
    go_on = asyncio.Event()
    house.upstream.behavior = Behavior(until=go_on)
    job = house.jobs.put()
    await house.work()
    await eventually(lambda: len(house.jobs.called("RenewLease")) >= 3)
    assert all(request.lease.ToMilliseconds() == 1000 for request in house.jobs.called("RenewLease"))
    go_on.set()
    await house.reported(job)


async def test_report_is_repeated_when_the_orchestrator_is_away(house: Any) -> None:
    house.jobs.faults["FinishAttempt"].extend([DependencyUnavailable(), DeadlineExceeded(), Internal()])
    job = house.jobs.put()
    await house.work()
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert len({request.attempt_id for request in house.jobs.called("FinishAttempt")}) == 1


async def test_report_is_repeated_when_its_answer_was_lost(house: Any, eventually: Any) -> None:
    house.jobs.lost_answers["FinishAttempt"] = 1
    job = house.jobs.put()
    adapter = await house.work()
    await house.reported(job)
    await eventually(lambda: adapter.worker.running == 0)
    assert len(house.jobs.called("FinishAttempt")) == 2
    assert len(house.upstream.submits) == 1


async def test_upload_is_repeated_under_the_same_id_when_the_asset_store_is_away(house: Any) -> None:
    house.assets.faults["UploadAsset"].extend([DependencyUnavailable(), StorageFull()])
    house.assets.lost_answers["UploadAsset"] = 1
    job = house.jobs.put()
    await house.work()
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert len(house.upstream.submits) == 1
    assert list(house.assets.records) == [job.report.outputs[0].asset_id]


async def test_intent_is_repeated_with_the_same_id_when_its_answer_was_lost(house: Any) -> None:
    house.jobs.lost_answers["BeginAttempt"] = 1
    house.jobs.lost_answers["RecordUpstream"] = 1
    job = house.jobs.put()
    await house.work(house.provider(task_ids=True))
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert len(job.attempts) == 1
    assert len(house.upstream.submits) == 1


async def test_leasing_goes_on_when_the_orchestrator_was_away(house: Any) -> None:
    house.jobs.faults["LeaseJobs"].extend([DependencyUnavailable(), DependencyUnavailable()])
    job = house.jobs.put()
    adapter = await house.work()
    await house.reported(job)
    assert adapter.worker.connected


async def test_no_more_is_leased_than_there_are_slots(house: Any, eventually: Any) -> None:
    go_on = asyncio.Event()
    house.upstream.behavior = Behavior(until=go_on)
    jobs = [house.jobs.put(f"job_{number}") for number in range(5)]
    adapter = await house.work(house.provider(repeatable=True, running_max=2), slots=None)
    await eventually(lambda: house.upstream.running == 2)
    await asyncio.sleep(0.1)
    assert adapter.worker.running == 3, "two at work and one prefetched"
    go_on.set()
    for job in jobs:
        await house.reported(job)
    assert house.upstream.running_most == 2


async def test_providers_are_listed_as_they_are(house: Any, eventually: Any) -> None:
    go_on = asyncio.Event()
    house.upstream.behavior = Behavior(until=go_on)
    house.jobs.put()
    stub = provider_grpc.ProviderServiceStub(await house.serve(await house.work(house.provider(running_max=3))))
    await eventually(lambda: house.upstream.running)
    answer = await stub.ListProviders(provider_pb2.ListProvidersRequest(), timeout=5)
    (one,) = answer.providers
    assert (one.name, one.configured, one.running, one.running_max) == ("fake", True, 1, 3)
    assert list(one.capabilities) == ["image.generate"]
    go_on.set()


async def test_orchestrator_that_does_not_let_us_wait_is_not_asked_in_a_loop(house: Any) -> None:
    house.jobs.impatient = True
    await house.work()
    await asyncio.sleep(0.3)
    assert len(house.jobs.called("LeaseJobs")) <= 3
