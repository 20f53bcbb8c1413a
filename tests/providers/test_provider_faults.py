"""Every upstream fault on every adapter, in a whole house: the right end, nothing charged for it, no secret told."""

import asyncio
import time
from typing import Any, Final

import pytest

from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from atelier.common.v1 import error_reason_pb2 as reasons
from atelier.jobs.v1 import attempt_pb2, job_pb2
from atelier.jobs.v1 import job_admin_service_pb2 as admin_pb2
from testkit.providers.faults import Fault

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("providers"), pytest.mark.timeout(280)]

PRICE: Final = 10
END_S: Final = 90.0
SUCCEEDED, FAILED, EXPIRED = job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_EXPIRED
ANY_FAILURE: Final = job_pb2.JOB_STATE_UNSPECIFIED
TERMINAL: Final = frozenset({SUCCEEDED, FAILED, EXPIRED, job_pb2.JOB_STATE_CANCELLED})

#: Fault → how the job ends, with which reason, and how its first attempt did. "": one of several, as the vendor has it.
ENDS: Final[dict[Fault, tuple[Any, str, str]]] = {
    Fault.TOO_MANY: (FAILED, "PROVIDER_UNAVAILABLE", "DEFERRED"),
    Fault.BROKEN: (FAILED, "PROVIDER_UNAVAILABLE", "RETRYABLE"),
    Fault.UNAVAILABLE: (FAILED, "PROVIDER_UNAVAILABLE", "RETRYABLE"),
    Fault.ACCOUNT: (FAILED, "PROVIDER_UNAVAILABLE", "ROUTE_FAILED"),
    Fault.RESET: (EXPIRED, "JOB_EXPIRED", "UNKNOWN"),
    Fault.HANG: (EXPIRED, "JOB_EXPIRED", "UNKNOWN"),
    Fault.ERROR_BODY: (FAILED, "", ""),
    Fault.MODERATED: (FAILED, "PROVIDER_MODERATED", "FAILED"),
    Fault.FAILED: (FAILED, "", "RETRYABLE"),
    Fault.OUTPUT_MODERATED: (FAILED, "PROVIDER_MODERATED", "RETRYABLE"),
    Fault.TRUNCATED: (FAILED, "PROVIDER_RESULT_INVALID", "RETRYABLE"),
    Fault.HTML: (FAILED, "PROVIDER_RESULT_INVALID", "RETRYABLE"),
    Fault.EMPTY: (FAILED, "PROVIDER_RESULT_INVALID", "RETRYABLE"),
    Fault.WRONG_TYPE: (FAILED, "PROVIDER_RESULT_INVALID", "RETRYABLE"),
    Fault.EXPIRED: (FAILED, "PROVIDER_RESULT_INVALID", "RETRYABLE"),
    Fault.ENDLESS: (ANY_FAILURE, "", ""),  # Refused for its size or its pace, or the deadline passes meanwhile.
    Fault.DRIP: (ANY_FAILURE, "", ""),
}
#: The first questions fail, and the job ends well.
WELL: Final = (Fault.POLL_BROKEN,)
REASON: Final = "ERROR_REASON_"
OUTCOME: Final = "ATTEMPT_OUTCOME_"


async def ended(house: Any, job_id: str, timeout_s: float = END_S) -> job_pb2.Job:
    until = time.monotonic() + timeout_s
    while (job := await house.job(job_id)).state not in TERMINAL:
        assert time.monotonic() < until, f"{job_id} has not ended: {job}"
        await asyncio.sleep(0.25)
    return job


async def attempts(house: Any, job_id: str) -> list[Any]:
    request = admin_pb2.InspectJobRequest(job_id=job_id)
    return list((await house.deployment.operator().jobs.InspectJob(request, timeout=30)).attempts)


async def test_every_provider_serves_a_whole_job(house: Any) -> None:
    before = await house.available()
    jobs = {kind: await house.submit(kind, "a fox") for kind in house.subjects}
    for kind, job_id in jobs.items():
        job = await ended(house, job_id)
        assert job.state == SUCCEEDED, (kind, job.failure)
        assert job.provider == kind
        assert [output.mime_type for output in job.outputs] == [house.plain_ask(house.subjects[kind]).mime_type]
        assert len(await attempts(house, job_id)) == 1
        assert not job.reconciling
    assert await house.available() == before - PRICE * len(jobs)


def _expected(house: Any, kind: str, fault: Fault) -> tuple[Any, str, str]:
    """A lost answer ends well where the vendor calls back or can be asked; else nobody ever knows."""
    subject = house.subjects[kind]
    if fault in WELL:
        return (SUCCEEDED, "", "SUCCEEDED")
    if fault is Fault.HANG and (subject.found_by_attempt or house.simulators[kind].callbacks):
        return (SUCCEEDED, "", "SUCCEEDED")
    if fault is Fault.RESET and subject.found_by_attempt:  # The vendor has never heard of it, time after time.
        return (ANY_FAILURE, "", "DEFERRED")
    return ENDS[fault]


async def test_every_fault_of_every_provider_ends_rightly_and_costs_nothing(house: Any) -> None:
    before = await house.available()
    cases = [
        (kind, fault)
        for kind, subject in house.subjects.items()
        for fault in (*ENDS, *WELL)
        if fault not in subject.without
    ]
    submitted = [
        (kind, fault, await house.submit(f"{kind}-{fault}", f"a fox [fault:{fault}]")) for kind, fault in cases
    ]
    well, wrong = 0, []
    for kind, fault, job_id in submitted:
        job = await ended(house, job_id)
        first = (await attempts(house, job_id))[0]
        outcome = attempt_pb2.AttemptOutcome.Name(first.outcome).removeprefix(OUTCOME)
        reason = reasons.ErrorReason.Name(job.failure.reason).removeprefix(REASON) if job.HasField("failure") else ""
        found = (job.state, reason, outcome)
        expected = _expected(house, kind, fault)
        well += job.state == SUCCEEDED
        spoilt = expected[0] == ANY_FAILURE and job.state == SUCCEEDED
        if spoilt or any(want not in ("", ANY_FAILURE, have) for want, have in zip(expected, found, strict=True)):
            wrong.append((kind, str(fault), *found))
    assert not wrong, "\n".join(map(str, wrong))
    print(f"{len(cases)} faults of {len(house.subjects)} providers")
    assert await house.available() == before - PRICE * well


async def test_books_are_proven_and_logs_hold_no_secret(house: Any) -> None:
    wallets = house.deployment.operator().wallets
    proof = await wallets.VerifyLedger(wallet_pb2.VerifyLedgerRequest(), timeout=60)
    assert not proof.faults
    logs = house.deployment.logs()
    assert "submit_outcome_unknown" in logs
    for subject in house.subjects.values():
        for value in subject.secrets.values():
            assert value not in logs
