"""Read the books: balances, statements, holds, and the proof that all of it is right."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from billing.domain import Balance, Entry, Hold, Proof
from billing.domain.checks import printable_id, storable
from billing.ports import BooksReader, Ledger
from kit.errors import HoldNotFound

PROOF_TIMEOUT_S: Final = 300.0  # A million postings take seconds; an operator waits, a hung database must not.


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One page of a statement."""

    entries: list[Entry]
    next_before: tuple[int, int] | None  #: Where the next page begins; None at the end.


class ReadBooks:
    """Answers questions about the books."""

    def __init__(self, *, ledger: Ledger, on_proof: Callable[[Proof], None]) -> None:
        """Use `ledger`; `on_proof` is told of every check of the books."""
        self._ledger = ledger
        self._on_proof = on_proof

    async def hold(self, hold_id: str) -> Hold:
        """Return any client's hold. Raises HoldNotFound."""
        printable_id(hold_id, field="hold_id")
        hold = await self._ledger.read(lambda books: books.find_hold(hold_id))
        if hold is None:
            raise HoldNotFound(hold_id=hold_id)
        return hold

    async def balances(self, client_id: str) -> list[Balance]:
        """Return what the client has, a line for each unit it ever had."""
        return await self._ledger.read(lambda books: books.balances(client_id))

    async def entries(self, client_id: str, *, job_id: str, before: tuple[int, int] | None, page_size: int) -> Page:
        """Return a page of the client's statement, newest first; only one job's lines unless `job_id` is empty."""
        storable(client_id, field="client_id")
        storable(job_id, field="job_id")

        def read(books: BooksReader) -> list[Entry]:  # One more than asked tells whether there is a next page.
            return books.entries(client_id, job_id=job_id, before=before, limit=page_size + 1)

        found = await self._ledger.read(read)
        page = found[:page_size]
        return Page(entries=page, next_before=page[-1].position if len(found) > page_size else None)

    async def prove(self) -> Proof:
        """Check every rule of the books; repairs nothing."""
        proof = await self._ledger.read(lambda books: books.prove(), timeout_s=PROOF_TIMEOUT_S)
        self._on_proof(proof)
        return proof
