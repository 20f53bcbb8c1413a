"""Units of work on the books, each in one database transaction."""

from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy.exc import IntegrityError

from billing.ports import Announced, Books, BooksReader
from billing.sql.books import SqlBooks
from billing.sql.errors import Raced
from billing.sql.reader import SqlBooksReader
from kit.db import READ_TIMEOUT_S, Database, Tx
from kit.errors import Conflict
from kit.events import Event

T = TypeVar("T")
RUNS_MAX: Final = 4  # A lost race is settled by the second run; a constraint that still fails is our mistake.


class SqlLedger:
    """A `billing.ports.Ledger` on a kit database."""

    def __init__(self, database: Database, *, announce: Callable[[Announced], Event]) -> None:
        """Use `database`; `announce` words the events."""
        self._database = database
        self._announce = announce

    async def write(self, work: Callable[[Books], T]) -> T:
        """See `Ledger.write`. Raises Conflict when other writers won every time."""

        def run(tx: Tx) -> T:
            return work(SqlBooks(tx, announce=self._announce))

        for _ in range(RUNS_MAX - 1):
            try:
                return await self._database.write(run)
            except (Raced, IntegrityError):
                continue
        try:
            return await self._database.write(run)
        except Raced as raced:
            raise Conflict from raced

    async def read(self, work: Callable[[BooksReader], T], *, timeout_s: float | None = None) -> T:
        """See `Ledger.read`."""
        return await self._database.read(
            lambda tx: work(SqlBooksReader(tx)), timeout_s=READ_TIMEOUT_S if timeout_s is None else timeout_s
        )
