"""Prove the books, and that every finished job is settled for what it says was charged."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from billing.domain import Fault, Hold, HoldState, Proof
from billing.ports import BooksReader, FinishedJob, FinishedJobs, Ledger

PROOF_TIMEOUT_S: Final = 300.0  # A million postings take seconds; an operator waits, a hung database must not.
FAULTS_PER_RULE_MAX: Final = 100  # As of the rules in the database.
#: A job is settled within a second of its end, by its event; one that ended less than this ago is under way.
UNDER_WAY_MS: Final = 60_000


def _disagreement(hold: Hold | None, job: FinishedJob) -> str:
    if hold is None:
        return ""
    if hold.client_id != job.client_id:
        return f"of {job.client_id}, paid by {hold.client_id}"
    return "its hold timed out as if it had never been" if hold.state is HoldState.TIMED_OUT else ""


def _other_charge(hold: Hold | None, job: FinishedJob) -> str:
    if hold is None or hold.state is HoldState.HELD:
        return ""
    if hold.captured == job.charged and (job.charged == 0 or hold.unit == job.unit):
        return ""
    return f"charged {job.charged} {job.unit or ''} by its own account, {hold.captured} {hold.unit} by the books"


#: rule → the hold, if there is one, and the job → what is wrong, or "".
JOB_RULES: Final[dict[str, Callable[[Hold | None, FinishedJob], str]]] = {
    "finished_job_has_hold": lambda hold, job: "no hold" if hold is None else "",
    "finished_job_is_settled": lambda hold, job: (
        f"over, {hold.amount} {hold.unit} still held" if hold is not None and hold.state is HoldState.HELD else ""
    ),
    "finished_job_and_hold_agree": _disagreement,
    "finished_job_is_charged_as_it_says": _other_charge,
}


@dataclass
class _Found:
    """What the jobs looked at so far have shown."""

    jobs: int = 0
    under_way: int = 0
    faults: dict[str, list[Fault]] = field(default_factory=lambda: {rule: [] for rule in JOB_RULES})

    def look(self, jobs: Iterable[FinishedJob], holds: dict[str, Hold], *, now_ms: int) -> None:
        for job in jobs:
            hold = holds.get(job.id)
            self.jobs += 1
            if hold is not None and hold.state is HoldState.HELD and now_ms - job.finish_ms < UNDER_WAY_MS:
                self.under_way += 1
                continue
            for rule, judge in JOB_RULES.items():
                detail = judge(hold, job)
                if detail and len(self.faults[rule]) < FAULTS_PER_RULE_MAX:
                    self.faults[rule].append(Fault(rule=rule, subject=job.id, detail=detail))


class VerifyBooks:
    """Checks; repairs nothing."""

    def __init__(self, *, ledger: Ledger, jobs: FinishedJobs, on_proof: Callable[[Proof], None]) -> None:
        """Use `ledger`, ask `jobs`; `on_proof` is told of every check."""
        self._ledger = ledger
        self._jobs = jobs
        self._on_proof = on_proof

    async def __call__(self, *, books_only: bool = False) -> Proof:
        """Check every rule, page by page where jobs are concerned: memory does not grow with the books.

        Raises what `FinishedJobs.page` raises.
        """
        proof = await self._ledger.read(lambda books: books.prove(), timeout_s=PROOF_TIMEOUT_S)
        if not books_only:
            found = await self._look_at_jobs()
            faults = [fault for faults in found.faults.values() for fault in faults]
            proof = replace(proof, faults=(*proof.faults, *faults), jobs=found.jobs, jobs_under_way=found.under_way)
        self._on_proof(proof)
        return proof

    async def _look_at_jobs(self) -> _Found:
        found, token = _Found(), ""
        while True:
            page = await self._jobs.page(token)
            ids = [job.id for job in page.jobs]

            def read(books: BooksReader, ids: list[str] = ids) -> tuple[dict[str, Hold], int]:
                return books.find_holds(ids), books.now_ms

            holds, now_ms = await self._ledger.read(read)  # After the page: what it says is over may be settled by now.
            found.look(page.jobs, holds, now_ms=now_ms)
            token = page.next_token
            if not token:
                return found
