"""Jobs, with the event log, the counters of clients and lanes, and the outbox that change with them."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, delete, insert, literal_column, select, text, update

from job_orchestrator.domain.event import JobEvent
from job_orchestrator.domain.job import Change, EventKind, Job
from job_orchestrator.domain.order import Amount, Order, Terms
from job_orchestrator.ports import Renewal
from job_orchestrator.sql.rows import STANDING_COLUMNS, job_of, order_row, standing_json, standing_row
from job_orchestrator.sql.tables import ATTEMPTS, EVENTS, JOB_IDS, JOBS, LEASED
from kit.db import Tx
from kit.errors import Conflict, DailyQuotaExceeded, JobNotFound, RequestIdReused, TooManyJobs

Announce = Callable[[Tx, JobEvent], None]

_SELECT = select(JOBS).where(JOBS.c.id == bindparam("job_id"))
_SELECT_LOCKED = _SELECT.with_for_update()
_SELECT_EXTERNAL = select(JOBS).where(JOBS.c.external_id == bindparam("external_id"))
_COLUMNS: Final = [column.name for column in JOBS.columns]
_INSERT = text(
    f"INSERT INTO jobs ({', '.join(_COLUMNS)}) VALUES (:{', :'.join(_COLUMNS)})"  # noqa: S608 - our own names
    " ON CONFLICT (external_id) DO NOTHING"
)
_UPDATE = (
    update(JOBS)
    .where(
        JOBS.c.id == bindparam("old_id"),
        JOBS.c.state == bindparam("old_state"),
        JOBS.c.epoch == bindparam("old_epoch"),
        JOBS.c.sequence == bindparam("old_sequence"),
    )
    .values({name: bindparam(name) for name in STANDING_COLUMNS})
)
# In the order of ids, so that two workers' renewals never wait for each other.
_LOCK_HELD = (
    select(JOBS.c.id, JOBS.c.epoch, JOBS.c.progress, JOBS.c.cancel_ms)
    .where(JOBS.c.id.in_(bindparam("job_ids", expanding=True)), literal_column(LEASED), JOBS.c.holder != "")
    .order_by(JOBS.c.id)
    .with_for_update()
)
_PROLONG = (
    update(JOBS)
    .where(JOBS.c.id.in_(bindparam("job_ids", expanding=True)))
    .values(lease_expire_ms=bindparam("expire_ms"))
)
_INSERT_EVENT = insert(EVENTS)
_ARRIVE_CLIENT = text(
    "INSERT INTO clients (client_id, last_position, in_flight, quota_day, quota_jobs)"
    " VALUES (:client_id, 1, 1, :day, 1)"
    " ON CONFLICT (client_id) DO UPDATE"
    " SET last_position = clients.last_position + 1, in_flight = clients.in_flight + 1,"
    " quota_jobs = CASE WHEN excluded.quota_day > clients.quota_day THEN 1 ELSE clients.quota_jobs + 1 END,"
    " quota_day = CASE WHEN excluded.quota_day > clients.quota_day"
    " THEN excluded.quota_day ELSE clients.quota_day END"
    " RETURNING last_position, in_flight, quota_jobs"
)
_MOVE_CLIENT = text(
    "UPDATE clients SET last_position = last_position + :events, in_flight = in_flight + :in_flight"
    " WHERE client_id = :client_id RETURNING last_position"
)
# A lane without ready jobs begins, at the earliest, where the pool is being served now (domain/fairness.py).
_ARRIVE_LANE = text(
    "INSERT INTO lanes (pool, client_id, pass, weight, ready, delayed) VALUES (:pool, :client_id,"
    " COALESCE((SELECT served_pass FROM pools WHERE pool = :pool), 0), :weight, 1, 0)"
    " ON CONFLICT (pool, client_id) DO UPDATE SET ready = lanes.ready + 1, weight = excluded.weight,"
    " pass = CASE WHEN lanes.ready = 0 AND lanes.pass < excluded.pass THEN excluded.pass ELSE lanes.pass END"
)
_MOVE_LANE = text(
    "UPDATE lanes SET ready = ready + :ready, delayed = delayed + :delayed,"
    " pass = CASE WHEN ready = 0 AND pass < (SELECT served_pass FROM pools WHERE pool = :pool)"
    " THEN (SELECT served_pass FROM pools WHERE pool = :pool) ELSE pass END"
    " WHERE pool = :pool AND client_id = :client_id"
)

_DELETE_ALL_OF = [
    delete(table).where(column.in_(bindparam("job_ids", expanding=True)))
    for table, column in (
        (JOB_IDS, JOB_IDS.c.id),
        (JOBS, JOBS.c.id),
        (EVENTS, EVENTS.c.job_id),
        (ATTEMPTS, ATTEMPTS.c.job_id),
    )
]


class SqlJobs:
    """The port `Jobs`."""

    def __init__(self, announce: Announce) -> None:
        """`announce` writes an event to the outbox and wakes who waits for it, in the same transaction."""
        self._announce = announce

    def add(self, tx: Tx, order: Order, terms: Terms, held: Amount) -> JobEvent:
        """See `Jobs.add`."""
        client = tx.conn.execute(_ARRIVE_CLIENT, {"client_id": order.client_id, "day": terms.day}).one()
        if 0 < terms.in_flight_max < client.in_flight:
            raise TooManyJobs(jobs_in_flight_max=terms.in_flight_max)
        if 0 < terms.per_day_max < client.quota_jobs:
            raise DailyQuotaExceeded(jobs_per_day_max=terms.per_day_max)
        tx.conn.execute(_ARRIVE_LANE, {"pool": order.pool, "client_id": order.client_id, "weight": terms.weight})
        job, kind = Job.accepted(order, held=held, position=client.last_position, now_ms=tx.now_ms)
        standing = standing_row(job)
        if tx.conn.execute(_INSERT, order_row(job) | standing).rowcount != 1:
            raise RequestIdReused("Another job has this external id.", field="external_id")
        assert kind is not None
        return self._log(tx, [(client.last_position, kind, job, standing)])[0]

    def find(self, tx: Tx, job_id: str) -> Job | None:
        """See `Jobs.find`."""
        row = tx.conn.execute(_SELECT, {"job_id": job_id}).mappings().one_or_none()
        return None if row is None else job_of(row)

    def find_external(self, tx: Tx, external_id: str) -> Job | None:
        """See `Jobs.find_external`."""
        row = tx.conn.execute(_SELECT_EXTERNAL, {"external_id": external_id}).mappings().one_or_none()
        return None if row is None else job_of(row)

    def lock(self, tx: Tx, job_id: str) -> Job:
        """See `Jobs.lock`."""
        row = tx.conn.execute(_SELECT_LOCKED, {"job_id": job_id}).mappings().one_or_none()
        if row is None:
            raise JobNotFound(job_id=job_id)
        return job_of(row)

    def save(self, tx: Tx, changes: Sequence[tuple[Job, Change]]) -> list[JobEvent]:
        """See `Jobs.save`."""
        next_position = _move_clients(tx, changes)
        _move_lanes(tx, changes)
        entries: list[tuple[int, EventKind, Job, dict[str, Any]]] = []
        for before, (job, kind) in changes:
            standing = standing_row(job)
            _update(tx, before, standing)
            if kind is not None:
                entries.append((next_position[job.client_id], kind, job, standing))
                next_position[job.client_id] += 1
        return self._log(tx, entries)

    def prolong(self, tx: Tx, renewals: Sequence[Renewal], *, lease_ms: int) -> dict[str, bool]:
        """See `Jobs.prolong`."""
        wanted = {renewal.job_id: renewal for renewal in renewals}
        held = {
            row.id: row.cancel_ms is not None
            for row in tx.conn.execute(_LOCK_HELD, {"job_ids": list(wanted)})
            if wanted[row.id].epoch == row.epoch and wanted[row.id].progress <= row.progress
        }
        if held:
            tx.conn.execute(_PROLONG, {"job_ids": list(held), "expire_ms": tx.now_ms + lease_ms})
        return held

    def delete(self, tx: Tx, job_ids: Sequence[str]) -> None:
        """See `Jobs.delete`."""
        for statement in _DELETE_ALL_OF:
            tx.conn.execute(statement, {"job_ids": list(job_ids)})

    def _log(self, tx: Tx, entries: Sequence[tuple[int, EventKind, Job, dict[str, Any]]]) -> list[JobEvent]:
        if not entries:
            return []
        rows = [
            {
                "client_id": job.client_id,
                "position": position,
                "job_id": job.id,
                "sequence": job.sequence,
                "kind": str(kind),
                "time_ms": tx.now_ms,
                "standing_json": standing_json(standing),
            }
            for position, kind, job, standing in entries
        ]
        tx.conn.execute(_INSERT_EVENT, rows if len(rows) > 1 else rows[0])
        events = [
            JobEvent(position=position, kind=kind, time_ms=tx.now_ms, job=job) for position, kind, job, _ in entries
        ]
        for event in events:
            self._announce(tx, event)
        return events


def _update(tx: Tx, before: Job, standing: dict[str, Any]) -> None:
    guard = {
        "old_id": before.id,
        "old_state": int(before.state),
        "old_epoch": before.epoch,
        "old_sequence": before.sequence,
    }
    if tx.conn.execute(_UPDATE, standing | guard).rowcount != 1:
        raise Conflict("The job has changed meanwhile.", job_id=before.id)


def _move_clients(tx: Tx, changes: Sequence[tuple[Job, Change]]) -> dict[str, int]:
    """Take positions for the events and count unfinished jobs; return each client's first position."""
    events: Counter[str] = Counter()
    in_flight: Counter[str] = Counter()
    for before, (job, kind) in changes:
        events[job.client_id] += kind is not None
        in_flight[job.client_id] += job.live - before.live
    first: dict[str, int] = {}
    for client_id in sorted(events):
        if not (events[client_id] or in_flight[client_id]):
            continue
        move = {"client_id": client_id, "events": events[client_id], "in_flight": in_flight[client_id]}
        last = tx.conn.execute(_MOVE_CLIENT, move).scalar_one()
        first[client_id] = last - events[client_id] + 1
    return first


def _move_lanes(tx: Tx, changes: Sequence[tuple[Job, Change]]) -> None:
    moves: dict[tuple[str, str], list[int]] = {}
    for before, (job, _) in changes:
        move = moves.setdefault((job.order.pool, job.client_id), [0, 0])
        move[0] += job.ready - before.ready
        move[1] += job.delayed - before.delayed
    for (pool, client_id), (ready, delayed) in sorted(moves.items()):
        if ready or delayed:
            move_row = {"pool": pool, "client_id": client_id, "ready": ready, "delayed": delayed}
            tx.conn.execute(_MOVE_LANE, move_row)
