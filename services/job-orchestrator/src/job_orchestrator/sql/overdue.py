"""Jobs that nobody moves any more."""

from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, literal_column, select

from job_orchestrator.domain.job import Job, JobState
from job_orchestrator.sql.rows import job_of
from job_orchestrator.sql.tables import CANCEL_ASKED, DELAYED, JOBS, KEPT_FOR_A_TIME, LEASED, LIVE
from kit.db import Tx


def _lock_oldest(condition: str, column: ColumnElement[int | None]) -> Select[Any]:
    return (
        select(JOBS)
        .where(literal_column(condition), column <= bindparam("until_ms"))
        .order_by(column)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
    )


_LOST_LEASES = _lock_oldest(LEASED, JOBS.c.lease_expire_ms)
_PAST_DEADLINE = _lock_oldest(LIVE, JOBS.c.deadline_ms)
_IGNORED_CANCELS = _lock_oldest(CANCEL_ASKED, JOBS.c.cancel_ms)
_PAST_RETENTION = (
    select(JOBS.c.id)
    .where(
        literal_column(KEPT_FOR_A_TIME),
        JOBS.c.forget_ms <= bindparam("now_ms"),
        JOBS.c.state >= int(JobState.SUCCEEDED),
    )
    .order_by(JOBS.c.forget_ms)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_DUE_POOLS = select(JOBS.c.pool).where(literal_column(DELAYED), JOBS.c.not_before_ms <= bindparam("now_ms")).distinct()


class SqlOverdue:
    """The port `Overdue`."""

    def lost_leases(self, tx: Tx, limit: int) -> list[Job]:
        """See `Overdue.lost_leases`."""
        return _locked(tx, _LOST_LEASES, tx.now_ms, limit)

    def past_deadline(self, tx: Tx, limit: int) -> list[Job]:
        """See `Overdue.past_deadline`."""
        return _locked(tx, _PAST_DEADLINE, tx.now_ms, limit)

    def ignored_cancels(self, tx: Tx, *, asked_before_ms: int, limit: int) -> list[Job]:
        """See `Overdue.ignored_cancels`."""
        return _locked(tx, _IGNORED_CANCELS, asked_before_ms, limit)

    def due_pools(self, tx: Tx) -> list[str]:
        """See `Overdue.due_pools`."""
        return list(tx.conn.execute(_DUE_POOLS, {"now_ms": tx.now_ms}).scalars())

    def past_retention(self, tx: Tx, limit: int) -> list[str]:
        """See `Overdue.past_retention`."""
        return list(tx.conn.execute(_PAST_RETENTION, {"now_ms": tx.now_ms, "limit": limit}).scalars())


def _locked(tx: Tx, statement: Select[Any], until_ms: int, limit: int) -> list[Job]:
    rows = tx.conn.execute(statement, {"until_ms": until_ms, "limit": limit}).mappings()
    return [job_of(row) for row in rows]
