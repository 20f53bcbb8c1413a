"""Ids and idempotency keys: each is decided by one unique key, on which concurrent claims wait for one another."""

from typing import Final

from sqlalchemy import bindparam, delete, func, literal_column, select, text

from job_orchestrator.domain.order import Order, Terms
from job_orchestrator.ports import Probe
from job_orchestrator.sql.tables import CLIENTS, IDEMPOTENCY_KEYS, JOB_IDS, LANES
from kit.db import Tx

LANES_COUNTED_MAX: Final = 100_000

_KEY = select(IDEMPOTENCY_KEYS.c.job_id, IDEMPOTENCY_KEYS.c.fingerprint).where(
    IDEMPOTENCY_KEYS.c.client_id == bindparam("client_id"), IDEMPOTENCY_KEYS.c.key == bindparam("key")
)
_FENCED = select(JOB_IDS.c.fenced).where(JOB_IDS.c.id == bindparam("job_id"))
# The order is that of the index of lanes with waiting jobs, and so makes SQLite use it; without the limit it would
# forget the order. More clients than this never wait at once.
_WAITING = (
    select(literal_column("ready + delayed").label("jobs"))
    .where(LANES.c.pool == bindparam("pool"), literal_column("ready + delayed > 0"))
    .order_by(LANES.c.ready)
    .limit(LANES_COUNTED_MAX)
    .subquery()
)
_PROBE = select(
    _FENCED.scalar_subquery().label("fenced"),
    select(CLIENTS.c.in_flight)
    .where(CLIENTS.c.client_id == bindparam("client_id"))
    .scalar_subquery()
    .label("in_flight"),
    select(CLIENTS.c.quota_jobs)
    .where(CLIENTS.c.client_id == bindparam("client_id"), CLIENTS.c.quota_day >= bindparam("day"))
    .scalar_subquery()
    .label("on_day"),
    select(func.sum(_WAITING.c.jobs)).scalar_subquery().label("waiting"),
    _KEY.with_only_columns(IDEMPOTENCY_KEYS.c.job_id).scalar_subquery().label("key_job_id"),
    _KEY.with_only_columns(IDEMPOTENCY_KEYS.c.fingerprint).scalar_subquery().label("key_fingerprint"),
)
_CLAIM_ID = text("INSERT INTO job_ids (id, fenced) VALUES (:job_id, :fenced) ON CONFLICT (id) DO NOTHING")
_CLAIM_KEY = text(
    "INSERT INTO idempotency_keys (client_id, key, fingerprint, job_id, create_ms)"
    " VALUES (:client_id, :key, :fingerprint, :job_id, :create_ms) ON CONFLICT (client_id, key) DO NOTHING"
)
_OLD_KEYS = (
    select(IDEMPOTENCY_KEYS.c.client_id, IDEMPOTENCY_KEYS.c.key)
    .where(IDEMPOTENCY_KEYS.c.create_ms < bindparam("before_ms"))
    .order_by(IDEMPOTENCY_KEYS.c.create_ms)
    .limit(bindparam("limit"))
)
_FORGET_KEY = delete(IDEMPOTENCY_KEYS).where(
    IDEMPOTENCY_KEYS.c.client_id == bindparam("old_client_id"), IDEMPOTENCY_KEYS.c.key == bindparam("old_key")
)


class SqlAdmission:
    """The port `Admission`."""

    def probe(self, tx: Tx, order: Order, terms: Terms) -> Probe:
        """See `Admission.probe`."""
        seen = {
            "job_id": order.job_id,
            "client_id": order.client_id,
            "pool": order.pool,
            "day": terms.day,
            "key": terms.idempotency_key,  # "" is nobody's key.
        }
        row = tx.conn.execute(_PROBE, seen).one()
        return Probe(
            key_job_id=row.key_job_id,
            key_fingerprint=row.key_fingerprint,
            id_fenced=row.fenced == 1,
            id_taken=row.fenced == 0,
            in_flight=row.in_flight or 0,
            on_day=row.on_day or 0,
            waiting=int(row.waiting or 0),
        )

    def claim_id(self, tx: Tx, job_id: str) -> bool:
        """See `Admission.claim_id`."""
        return tx.conn.execute(_CLAIM_ID, {"job_id": job_id, "fenced": 0}).rowcount == 1

    def is_fenced(self, tx: Tx, job_id: str) -> bool:
        """See `Admission.is_fenced`."""
        return tx.conn.execute(_FENCED, {"job_id": job_id}).scalar_one_or_none() == 1

    def fence(self, tx: Tx, job_id: str) -> bool:
        """See `Admission.fence`."""
        tx.conn.execute(_CLAIM_ID, {"job_id": job_id, "fenced": 1})
        return self.is_fenced(tx, job_id)

    def claim_key(self, tx: Tx, order: Order, key: str) -> bool:
        """See `Admission.claim_key`."""
        row = {
            "client_id": order.client_id,
            "key": key,
            "fingerprint": order.fingerprint,
            "job_id": order.job_id,
            "create_ms": tx.now_ms,
        }
        return tx.conn.execute(_CLAIM_KEY, row).rowcount == 1

    def key_holder(self, tx: Tx, client_id: str, key: str) -> tuple[str, str] | None:
        """See `Admission.key_holder`."""
        row = tx.conn.execute(_KEY, {"client_id": client_id, "key": key}).one_or_none()
        return None if row is None else (row.job_id, row.fingerprint)

    def forget_keys(self, tx: Tx, *, before_ms: int, limit: int) -> int:
        """See `Admission.forget_keys`."""
        old = tx.conn.execute(_OLD_KEYS, {"before_ms": before_ms, "limit": limit}).all()
        if old:
            tx.conn.execute(_FORGET_KEY, [{"old_client_id": row.client_id, "old_key": row.key} for row in old])
        return len(old)
