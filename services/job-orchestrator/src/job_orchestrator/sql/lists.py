"""Reading many jobs or events."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    tuple_,
    union_all,
)

from job_orchestrator.domain.event import JobEvent
from job_orchestrator.domain.job import EventKind, Job, JobState
from job_orchestrator.ports import Cursor, JobFilter, PoolStats
from job_orchestrator.sql.rows import job_at_event, job_of
from job_orchestrator.sql.tables import CLIENTS, EVENTS, JOBS, LIVE
from kit.db import Tx

_EVENTS = select(EVENTS, *(column for column in JOBS.c if column.name not in EVENTS.c)).join(
    JOBS, JOBS.c.id == EVENTS.c.job_id
)
_OF_JOB = (
    _EVENTS.where(EVENTS.c.job_id == bindparam("job_id"), EVENTS.c.sequence > bindparam("after"))
    .order_by(EVENTS.c.sequence)
    .limit(bindparam("limit"))
)
_OF_CLIENT = (
    _EVENTS.where(EVENTS.c.client_id == bindparam("client_id"), EVENTS.c.position > bindparam("after"))
    .order_by(EVENTS.c.position)
    .limit(bindparam("limit"))
)
_OF_CLIENTS_JOB = (
    _EVENTS.where(EVENTS.c.job_id == bindparam("job_id"), EVENTS.c.position > bindparam("after"))
    .order_by(EVENTS.c.sequence)
    .limit(bindparam("limit"))
)
_LAST_POSITION = select(CLIENTS.c.last_position).where(CLIENTS.c.client_id == bindparam("client_id"))
_STATS = (
    select(
        JOBS.c.pool,
        func.sum(JOBS.c.waiting).label("waiting"),
        func.count().label("live"),
        func.sum(JOBS.c.reconciling).label("reconciling"),
        func.sum(literal_column("CASE WHEN state = 2 THEN 1 ELSE 0 END")).label("running"),
        func.min(literal_column("CASE WHEN waiting = 1 THEN create_ms END")).label("oldest_ms"),
    )
    .where(literal_column(LIVE))
    .group_by(JOBS.c.pool)
    .order_by(JOBS.c.pool)
)


class SqlLists:
    """The port `Lists`."""

    def page(self, tx: Tx, wanted: JobFilter, *, after: Cursor | None, skip: int, limit: int) -> list[Job]:
        """See `Lists.page`.

        One ordered index range for each state, merged: neither the length of the client's history nor rare states
        cost anything.
        """
        keys = (JOBS.c.create_ms, JOBS.c.accept_position)
        conditions = _conditions(wanted)
        if after is not None:
            conditions.append(tuple_(*keys) < tuple_(literal(after.create_ms), literal(int(after.tie))))
        ranges = [
            select(JOBS.c.id, *keys).where(JOBS.c.state == int(state), *conditions)
            for state in sorted(wanted.states or JobState)
        ]
        newest_first: tuple[ColumnElement[Any], ...] = (
            literal_column("create_ms").desc(),
            literal_column("accept_position").desc(),
        )
        merged = union_all(*ranges).order_by(*newest_first).limit(limit).offset(skip)
        ids = list(tx.conn.execute(merged).scalars())
        rows = tx.conn.execute(select(JOBS).where(JOBS.c.id.in_(ids))).mappings()
        jobs = {row["id"]: job_of(row) for row in rows}
        return [jobs[job_id] for job_id in ids]

    def count(self, tx: Tx, wanted: JobFilter) -> int:
        """See `Lists.count`."""
        states = [int(state) for state in wanted.states or JobState]
        statement = select(func.count()).select_from(JOBS)
        return int(tx.conn.execute(statement.where(JOBS.c.state.in_(states), *_conditions(wanted))).scalar_one())

    def page_of_all(self, tx: Tx, wanted: JobFilter, *, after: Cursor | None, limit: int) -> list[Job]:
        """See `Lists.page_of_all`."""
        statement: Select[Any] = select(JOBS)
        if wanted.client_id:
            statement = statement.where(JOBS.c.client_id == wanted.client_id)
        if wanted.states:
            statement = statement.where(JOBS.c.state.in_([int(state) for state in wanted.states]))
        if after is not None:
            behind = tuple_(JOBS.c.create_ms, JOBS.c.id) < tuple_(literal(after.create_ms), literal(after.tie))
            statement = statement.where(behind)
        statement = statement.order_by(JOBS.c.create_ms.desc(), JOBS.c.id.desc()).limit(limit)
        return [job_of(row) for row in tx.conn.execute(statement).mappings()]

    def events_of_job(self, tx: Tx, job_id: str, *, after_sequence: int, limit: int) -> list[JobEvent]:
        """See `Lists.events_of_job`."""
        return _events(tx, _OF_JOB, {"job_id": job_id, "after": after_sequence, "limit": limit})

    def events_of_client(
        self, tx: Tx, client_id: str, *, job_id: str, after_position: int, limit: int
    ) -> list[JobEvent]:
        """See `Lists.events_of_client`."""
        wanted: dict[str, Any] = {"after": after_position, "limit": limit}
        if job_id:
            return _events(tx, _OF_CLIENTS_JOB, wanted | {"job_id": job_id})
        return _events(tx, _OF_CLIENT, wanted | {"client_id": client_id})

    def last_position(self, tx: Tx, client_id: str) -> int:
        """See `Lists.last_position`."""
        return tx.conn.execute(_LAST_POSITION, {"client_id": client_id}).scalar_one_or_none() or 0

    def pool_stats(self, tx: Tx) -> list[PoolStats]:
        """See `Lists.pool_stats`."""
        return [
            PoolStats(
                pool=row.pool,
                queued=int(row.live - row.running),
                running=int(row.running),
                reconciling=int(row.reconciling),
                oldest_wait_ms=0 if row.oldest_ms is None else max(0, tx.now_ms - row.oldest_ms),
            )
            for row in tx.conn.execute(_STATS)
        ]


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [JOBS.c.client_id == wanted.client_id]
    if wanted.capability:
        conditions.append(JOBS.c.capability == wanted.capability)
    if wanted.models:
        conditions.append(JOBS.c.model.in_(sorted(wanted.models)))
    if wanted.with_inputs is not None:
        none = JOBS.c.inputs_json == "[]"
        conditions.append(~none if wanted.with_inputs else none)
    if wanted.before_ms is not None:
        conditions.append(and_(JOBS.c.create_ms < wanted.before_ms))
    return conditions


def _events(tx: Tx, statement: Select[Any], wanted: dict[str, Any]) -> list[JobEvent]:
    return [
        JobEvent(
            position=row["position"],
            kind=EventKind(row["kind"]),
            time_ms=row["time_ms"],
            job=job_at_event(row),
        )
        for row in tx.conn.execute(statement, wanted).mappings()
    ]
