"""Every finished job is settled for what it says was charged, and a check stalls nobody."""

import asyncio
from typing import Any

import pytest

from billing.config import BillingSettings
from billing.domain import Proof, Unit
from billing.ports import FinishedJob, FinishedPage
from billing.usecases import VerifyBooks
from billing.usecases.verify import FAULTS_PER_RULE_MAX, JOB_RULES, UNDER_WAY_MS
from billing.verifier import Verifier
from kit.errors import DependencyUnavailable


@pytest.fixture
async def settled(house: Any) -> Any:
    """job-0 to job-4 are captured for 30 and said so long ago."""
    await house.grant(1000)
    for number in range(5):
        await house.place(f"job-{number}")
        await house.settle(f"job-{number}", 30)
    house.jobs.jobs = [over(house, f"job-{number}", charged=30) for number in range(5)]
    return house


def over(house: Any, job_id: str, *, charged: int, unit: Unit | None = Unit.POINTS, **changes: Any) -> FinishedJob:
    fields = {"client_id": "partner-a", "finish_ms": house.clock.now_ms() - UNDER_WAY_MS, **changes}
    return FinishedJob(id=job_id, charged=charged, unit=unit, **fields)


async def test_finished_jobs_are_looked_at_page_by_page(settled: Any) -> None:
    proof = await settled.verify()
    assert (proof.faults, proof.jobs, proof.jobs_under_way, settled.jobs.pages) == ((), 5, 0, 3)
    assert settled.proofs[-1] == proof
    alone = await settled.verify(books_only=True)
    assert (alone.faults, alone.jobs, settled.jobs.pages) == ((), 0, 3)


async def test_a_job_that_is_not_settled_as_it_says_is_named(settled: Any) -> None:
    await settled.place("held")
    await settled.place("just-over")
    await settled.place("free", (Unit.POINTS, 0))
    await settled.settle("free")
    await settled.sweep.begin()
    settled.fates.alive("held", "just-over")
    await settled.place("fenced")
    await settled.sweep.begin()
    await settled.sweep()
    settled.jobs.jobs += [
        over(settled, "no-hold", charged=0, unit=None),
        over(settled, "held", charged=0),
        over(settled, "just-over", charged=30, finish_ms=settled.clock.now_ms() - UNDER_WAY_MS + 1),
        over(settled, "free", charged=0, unit=None),
        over(settled, "fenced", charged=0),
        over(settled, "job-0", charged=29),
        over(settled, "job-1", charged=30, unit=Unit.FEN),
        over(settled, "job-2", charged=30, client_id="partner-b"),
    ]
    proof = await settled.verify()
    assert (proof.jobs, proof.jobs_under_way) == (13, 1)
    assert [(fault.rule, fault.subject) for fault in proof.faults] == [
        ("finished_job_has_hold", "no-hold"),
        ("finished_job_is_settled", "held"),
        ("finished_job_and_hold_agree", "fenced"),
        ("finished_job_and_hold_agree", "job-2"),
        ("finished_job_is_charged_as_it_says", "job-0"),
        ("finished_job_is_charged_as_it_says", "job-1"),
    ]
    assert {fault.rule for fault in proof.faults} == JOB_RULES.keys()
    assert all(fault.detail for fault in proof.faults)
    assert proof.faults[4].detail == "charged 29 points by its own account, 30 points by the books"


async def test_a_refund_afterwards_does_not_change_what_was_charged(settled: Any) -> None:
    await settled.refund("job-1", 7)
    assert (await settled.verify()).faults == ()


async def test_a_flood_of_faulty_jobs_is_cut_off(settled: Any) -> None:
    count = FAULTS_PER_RULE_MAX + 20
    settled.jobs.jobs = [over(settled, f"gone-{number}", charged=0) for number in range(count)]
    proof = await settled.verify()
    assert (len(proof.faults), proof.jobs) == (FAULTS_PER_RULE_MAX, count)


async def test_nothing_is_called_proven_while_the_orchestrator_is_away(settled: Any) -> None:
    class Away:
        async def page(self, token: str) -> FinishedPage:
            raise DependencyUnavailable("away")

    proofs: list[Proof] = []
    verify = VerifyBooks(ledger=settled.ledger, jobs=Away(), on_proof=proofs.append)
    with pytest.raises(DependencyUnavailable):
        await verify()
    assert proofs == []
    assert (await verify(books_only=True)).faults == ()


async def test_writers_go_on_while_the_books_are_checked(settled: Any) -> None:
    reading, go_on = asyncio.Event(), asyncio.Event()

    class Slow:
        async def page(self, token: str) -> FinishedPage:
            reading.set()
            await go_on.wait()
            return FinishedPage(jobs=(), next_token="")

    check = asyncio.create_task(VerifyBooks(ledger=settled.ledger, jobs=Slow(), on_proof=settled.proofs.append)())
    await reading.wait()
    async with asyncio.timeout(5):
        await settled.place("meanwhile")
        await settled.settle("meanwhile", 10)
    go_on.set()
    assert (await check).faults == ()


async def test_the_check_runs_by_schedule_and_survives_its_failures(settled: Any) -> None:
    class Shaky:
        calls = 0

        async def page(self, token: str) -> FinishedPage:
            Shaky.calls += 1
            if Shaky.calls == 1:
                raise DependencyUnavailable("away")
            if Shaky.calls == 2:
                raise RuntimeError("a mistake of ours")
            return FinishedPage(jobs=(), next_token="")

    verify = VerifyBooks(ledger=settled.ledger, jobs=Shaky(), on_proof=settled.proofs.append)
    task = asyncio.create_task(Verifier(verify=verify, interval_s=0.01).run())
    async with asyncio.timeout(10):
        while len(settled.proofs) < 2:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert settled.proofs[0].faults == ()


async def test_no_check_runs_when_it_is_switched_off(settled: Any) -> None:
    await Verifier(verify=settled.verify, interval_s=0).run()
    assert settled.proofs == []


def test_the_schedule_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_INTERNAL_SECRET", "unit-test-secret-of-at-least-32-characters")
    monkeypatch.setenv("ATELIER_TIMEZONE", "Europe/Berlin")
    assert (BillingSettings().verify_interval_s, BillingSettings().timezone) == (3600, "Europe/Berlin")
    monkeypatch.setenv("BILLING_VERIFY_INTERVAL_S", "0")
    assert BillingSettings().verify_interval_s == 0
