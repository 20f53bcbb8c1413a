"""The lanes of the pools: who is next, and what he has."""

from collections.abc import Sequence

from sqlalchemy import Select, bindparam, exists, literal_column, select, text

from job_orchestrator.domain.fairness import Lane, Plan
from job_orchestrator.domain.job import Job
from job_orchestrator.ports import Readiness
from job_orchestrator.sql.rows import job_of
from job_orchestrator.sql.tables import DELAYED, JOBS, LANES, READY
from kit.db import Tx

# The order is that of the index of lanes with ready jobs, and so makes SQLite use it.
_ANY_READY: Select[tuple[int]] = (
    select(literal_column("1"))
    .where(LANES.c.pool == bindparam("pool"), literal_column("ready > 0"))
    .order_by(LANES.c["pass"])
    .limit(1)
)
_LOOK = select(
    _ANY_READY.scalar_subquery().label("ready"),
    exists()
    .where(JOBS.c.pool == bindparam("pool"), literal_column(DELAYED), JOBS.c.not_before_ms <= bindparam("now_ms"))
    .label("due"),
)
_LOCK_POOL = text("SELECT pg_advisory_xact_lock(hashtextextended('jobs.pool:' || CAST(:pool AS text), 0))")
_LANES = (
    select(LANES.c.client_id, LANES.c["pass"].label("pass_"), LANES.c.weight)
    .where(LANES.c.pool == bindparam("pool"), literal_column("ready > 0"))
    .order_by(LANES.c["pass"], LANES.c.client_id)
    .limit(bindparam("limit"))
)
_READY_IDS = (
    select(JOBS.c.id)
    .where(JOBS.c.pool == bindparam("pool"), JOBS.c.client_id == bindparam("client_id"), literal_column(READY))
    .order_by(JOBS.c.priority_rank, JOBS.c.accept_position)
    .limit(bindparam("limit"))
)
_LOCK_READY = (
    select(JOBS)
    .where(JOBS.c.id.in_(bindparam("job_ids", expanding=True)), literal_column(READY))
    .with_for_update(skip_locked=True)
)
_LOCK_DUE = (
    select(JOBS)
    .where(
        JOBS.c.pool == bindparam("pool"),
        literal_column(DELAYED),
        JOBS.c.not_before_ms <= bindparam("now_ms"),
    )
    .order_by(JOBS.c.not_before_ms)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_SERVE_LANE = text("UPDATE lanes SET pass = :pass_ WHERE pool = :pool AND client_id = :client_id")
_SERVE_POOL = text(
    "INSERT INTO pools (pool, served_pass) VALUES (:pool, :served_pass)"
    " ON CONFLICT (pool) DO UPDATE SET served_pass = excluded.served_pass"
)


class SqlQueue:
    """The port `Queue`."""

    def look(self, tx: Tx, pool: str) -> Readiness:
        """See `Queue.look`."""
        row = tx.conn.execute(_LOOK, {"pool": pool, "now_ms": tx.now_ms}).one()
        return Readiness(ready=row.ready is not None, due=bool(row.due))

    def lock_pool(self, tx: Tx, pool: str) -> None:
        """See `Queue.lock_pool`. SQLite runs writes one after another anyway."""
        if tx.dialect == "postgresql":
            tx.conn.execute(_LOCK_POOL, {"pool": pool})

    def lanes(self, tx: Tx, pool: str, limit: int) -> list[Lane]:
        """See `Queue.lanes`."""
        rows = tx.conn.execute(_LANES, {"pool": pool, "limit": limit})
        return [Lane(client_id=row.client_id, pass_=row.pass_, weight=row.weight) for row in rows]

    def ready_ids(self, tx: Tx, pool: str, client_id: str, limit: int) -> list[str]:
        """See `Queue.ready_ids`."""
        wanted = {"pool": pool, "client_id": client_id, "limit": limit}
        return list(tx.conn.execute(_READY_IDS, wanted).scalars())

    def lock_ready(self, tx: Tx, job_ids: Sequence[str]) -> dict[str, Job]:
        """See `Queue.lock_ready`."""
        rows = tx.conn.execute(_LOCK_READY, {"job_ids": list(job_ids)}).mappings()
        return {row["id"]: job_of(row) for row in rows}

    def lock_due(self, tx: Tx, pool: str, limit: int) -> list[Job]:
        """See `Queue.lock_due`."""
        wanted = {"pool": pool, "now_ms": tx.now_ms, "limit": limit}
        return [job_of(row) for row in tx.conn.execute(_LOCK_DUE, wanted).mappings()]

    def remember(self, tx: Tx, pool: str, done: Plan) -> None:
        """See `Queue.remember`."""
        for client_id, pass_ in sorted(done.passes.items()):
            tx.conn.execute(_SERVE_LANE, {"pool": pool, "client_id": client_id, "pass_": pass_})
        if done.served_pass is not None:
            tx.conn.execute(_SERVE_POOL, {"pool": pool, "served_pass": done.served_pass})
