"""Every way for a job not to succeed is reported with the outcome that decides what happens next."""

from typing import Any

import pytest

from atelier.jobs.v1 import attempt_pb2, job_pb2
from kit.errors import DependencyUnavailable, ErrorReason, InputTooLarge, LeaseLost
from provider_adapter.ports import Failed, Outcome
from testkit.fakeprovider import Behavior, picture

FINISHED = attempt_pb2.ATTEMPT_STATE_FINISHED


def failed(outcome: Outcome, **options: Any) -> Failed:
    return Failed.of(outcome, ErrorReason.PROVIDER_FAILED, "It did not work.", **options)


@pytest.mark.parametrize("outcome", ["UNSENT", "RETRYABLE", "ROUTE_FAILED", "FAILED", "UNKNOWN"])
@pytest.mark.parametrize("task_ids", [False, True])
async def test_outcome_is_reported_as_the_provider_tells_it(house: Any, outcome: str, task_ids: bool) -> None:
    told = failed(Outcome[outcome], field="prompt", retry_after_s=2.5, cost_fen=3)
    house.upstream.behavior = Behavior(failed=told)
    job = house.jobs.put()
    await house.work(house.provider(task_ids=task_ids))
    await house.reported(job)
    assert (job.outcome, job.reason) == (outcome, "PROVIDER_FAILED")
    assert (job.report.failure.message, job.report.failure.field) == ("It did not work.", "prompt")
    assert job.report.retry_after.ToMilliseconds() == 2500
    assert job.report.provider_cost_fen == 3
    assert job.report.attempt_id == job.attempts[0].id


async def test_refused_submit_is_reported_without_a_task(house: Any) -> None:
    house.upstream.behavior = Behavior(refused=failed(Outcome.ROUTE_FAILED))
    job = house.jobs.put()
    await house.work(house.provider(task_ids=True))
    await house.reported(job)
    assert job.outcome == "ROUTE_FAILED"
    assert house.upstream.tasks == {}


@pytest.mark.parametrize(("repeatable", "outcome"), [(True, "RETRYABLE"), (False, "UNKNOWN")])
async def test_exception_of_a_provider_is_unknown_unless_it_may_be_repeated(
    house: Any, repeatable: bool, outcome: str
) -> None:
    house.upstream.behavior = Behavior(raised=RuntimeError("a vendor's own words"))
    job = house.jobs.put()
    await house.work(house.provider(repeatable=repeatable))
    await house.reported(job)
    assert (job.outcome, job.reason) == (outcome, "PROVIDER_FAILED")
    assert "vendor" not in job.report.failure.message


async def test_job_fails_when_no_route_has_a_provider_here(house: Any) -> None:
    job = house.jobs.put(providers=("elsewhere", "nowhere"))
    await house.work()
    await house.reported(job)
    assert (job.outcome, job.reason, job.report.attempt_id) == ("FAILED", "PROVIDER_UNAVAILABLE", "")


async def test_next_route_is_taken_when_the_first_has_no_provider_here(house: Any) -> None:
    job = house.jobs.put(providers=("elsewhere", "fake"))
    await house.work()
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert job.attempts[0].route == 1


async def test_next_route_is_taken_when_the_first_has_failed_before(house: Any) -> None:
    spent = attempt_pb2.Attempt(
        id="att_1",
        route=0,
        provider="fake",
        state=FINISHED,
        outcome=attempt_pb2.ATTEMPT_OUTCOME_ROUTE_FAILED,
    )
    job = house.jobs.put(providers=("fake", "other"), attempts=(spent,))
    await house.work(house.provider(), house.provider(name="other"))
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert [attempt.provider for attempt in job.attempts] == ["fake", "other"]


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (job_pb2.Input(role="image", asset_id="asset_gone"), "ASSET_NOT_FOUND"),
        (job_pb2.Input(role="image", asset_id="asset_foreign"), "ASSET_NOT_FOUND"),
        (job_pb2.Input(role="image", url="https://example.com/gone.png"), "INPUT_FETCH_REFUSED"),
        (job_pb2.Input(role="image", url="https://example.com/page.html"), "INPUT_UNSUPPORTED"),
    ],
)
async def test_job_fails_before_any_attempt_when_an_input_cannot_be_had(
    house: Any, one: job_pb2.Input, reason: str
) -> None:
    house.assets.keep(picture(1), asset_id="asset_mine")
    house.assets.keep(picture(2), asset_id="asset_foreign", client_id="client-2")
    house.assets.urls["https://example.com/page.html"] = b"<html></html>"
    job = house.jobs.put(inputs=(job_pb2.Input(role="image", asset_id="asset_mine"), one))
    await house.work()
    await house.reported(job)
    assert (job.outcome, job.reason, job.report.failure.field) == ("FAILED", reason, "inputs[1]")
    assert job.report.attempt_id == ""
    assert house.upstream.submits == []


async def test_input_is_waited_for_when_the_asset_store_is_away(house: Any) -> None:
    house.assets.keep(picture(1), asset_id="asset_a")
    house.assets.faults["GetAsset"].append(DependencyUnavailable())
    job = house.jobs.put(inputs=(job_pb2.Input(role="image", asset_id="asset_a"),))
    await house.work()
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"


async def test_refusal_of_a_fetch_keeps_its_own_words(house: Any) -> None:
    house.assets.faults["FetchAsset"].append(InputTooLarge("The picture has 99 pixels too many."))
    job = house.jobs.put(inputs=(job_pb2.Input(role="image", url="https://example.com/big.png"),))
    await house.work()
    await house.reported(job)
    assert (job.outcome, job.reason) == ("FAILED", "INPUT_TOO_LARGE")
    assert job.report.failure.message == "The picture has 99 pixels too many."


async def test_input_that_arrives_damaged_costs_the_provider_nothing(house: Any) -> None:
    house.assets.keep(picture(1), asset_id="asset_a")
    house.assets.bytes["asset_a"] = picture(1)[:-1]
    job = house.jobs.put(inputs=(job_pb2.Input(role="image", asset_id="asset_a"),))
    await house.work(house.provider())
    await house.reported(job)
    assert (job.outcome, job.reason, job.report.failure.field) == ("UNSENT", "DEPENDENCY_UNAVAILABLE", "inputs[0]")
    assert house.upstream.submits == []


async def test_result_that_is_no_picture_is_a_failed_attempt(house: Any) -> None:
    house.upstream.behavior = Behavior(files=[b"<html>busy</html>"], cost_fen=9)
    job = house.jobs.put()
    await house.work()
    await house.reported(job)
    assert (job.outcome, job.reason) == ("RETRYABLE", "PROVIDER_RESULT_INVALID")
    assert job.report.provider_cost_fen == 9, "it cost us all the same"


async def test_finish_without_files_is_a_failed_attempt(house: Any) -> None:
    house.upstream.behavior = Behavior(files=[])
    job = house.jobs.put()
    await house.work()
    await house.reported(job)
    assert (job.outcome, job.reason) == ("RETRYABLE", "PROVIDER_RESULT_INVALID")
    assert house.assets.uploads == []


async def test_record_that_differs_from_what_was_sent_is_never_a_success(house: Any) -> None:
    house.assets.damages = True
    job = house.jobs.put()
    await house.work()
    await house.reported(job)
    assert (job.outcome, job.reason) == ("RETRYABLE", "PROVIDER_RESULT_INVALID")


async def test_other_bytes_under_the_output_id_are_never_a_success(house: Any) -> None:
    from provider_adapter.domain import output_asset_id

    house.assets.keep(picture(99), asset_id=output_asset_id("job_1", 1, 0))
    job = house.jobs.put()
    await house.work()
    await house.reported(job)
    assert (job.outcome, job.reason) == ("RETRYABLE", "PROVIDER_RESULT_INVALID")


async def test_unreadable_job_does_not_take_the_others_with_it(house: Any) -> None:
    broken = house.jobs.put("job_0")
    broken.routes[0].parameters_json = "no json"
    job = house.jobs.put("job_1")
    await house.work()
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert broken.report is None


async def test_nothing_more_is_said_when_begin_finds_the_lease_lost(house: Any, eventually: Any) -> None:
    house.jobs.faults["BeginAttempt"].append(LeaseLost())
    job = house.jobs.put()
    adapter = await house.work(house.provider())
    await eventually(lambda: house.jobs.called("BeginAttempt"))
    await eventually(lambda: adapter.worker.running == 0)
    assert job.report is None
    assert house.upstream.submits == []


async def test_job_is_reported_as_broken_off_when_the_journal_refuses_the_attempt(house: Any) -> None:
    open_elsewhere = attempt_pb2.Attempt(id="att_9", route=0, provider="fake", state=FINISHED, repeatable=False)
    job = house.jobs.put(attempts=(open_elsewhere,))
    job.attempts.append(attempt_pb2.Attempt(id="att_10", state=attempt_pb2.ATTEMPT_STATE_INTENDED))
    house.jobs.hidden_attempts = 1
    await house.work()
    await house.reported(job)
    assert (job.outcome, job.reason, job.report.attempt_id) == ("RETRYABLE", "INTERNAL", "")
    assert house.upstream.submits == []
