"""The attempts of jobs."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, select, text, update

from job_orchestrator.domain.attempt import Attempt
from job_orchestrator.sql.rows import attempt_of, attempt_row
from job_orchestrator.sql.tables import ATTEMPTS
from kit.db import Tx
from kit.errors import RequestIdReused

_OF_JOBS = (
    select(ATTEMPTS)
    .where(ATTEMPTS.c.job_id.in_(bindparam("job_ids", expanding=True)))
    .order_by(ATTEMPTS.c.job_id, ATTEMPTS.c.number)
)
_FIND = select(ATTEMPTS).where(ATTEMPTS.c.id == bindparam("attempt_id"))
_COLUMNS: Final = [column.name for column in ATTEMPTS.columns if column.name != "number"]
_ADD = text(
    f"INSERT INTO attempts ({', '.join(_COLUMNS)}, number) VALUES (:{', :'.join(_COLUMNS)},"  # noqa: S608 - our own names
    " (SELECT COALESCE(MAX(number), 0) + 1 FROM attempts WHERE job_id = :job_id)) ON CONFLICT (id) DO NOTHING"
)
_UPDATE = (
    update(ATTEMPTS)
    .where(ATTEMPTS.c.id == bindparam("old_id"))
    .values({name: bindparam(name) for name in _COLUMNS if name != "id"})
)


class SqlJournal:
    """The port `Journal`."""

    def of_jobs(self, tx: Tx, job_ids: Sequence[str]) -> dict[str, list[Attempt]]:
        """See `Journal.of_jobs`."""
        found: dict[str, list[Attempt]] = {}
        for row in tx.conn.execute(_OF_JOBS, {"job_ids": list(job_ids)}).mappings():
            found.setdefault(row["job_id"], []).append(attempt_of(row))
        return found

    def find(self, tx: Tx, attempt_id: str) -> Attempt | None:
        """See `Journal.find`."""
        row = tx.conn.execute(_FIND, {"attempt_id": attempt_id}).mappings().one_or_none()
        return None if row is None else attempt_of(row)

    def add(self, tx: Tx, attempt: Attempt) -> None:
        """See `Journal.add`."""
        if tx.conn.execute(_ADD, attempt_row(attempt)).rowcount != 1:
            raise RequestIdReused("The attempt id is taken.", field="attempt_id")

    def update(self, tx: Tx, attempt: Attempt) -> None:
        """See `Journal.update`."""
        updated = tx.conn.execute(_UPDATE, attempt_row(attempt) | {"old_id": attempt.id})
        assert updated.rowcount == 1
