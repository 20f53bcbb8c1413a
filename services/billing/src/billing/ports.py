"""What billing needs from outside: its books, and the fate of jobs.

The books are used inside a unit of work: a plain function that gets `Books`, runs in one transaction, and may run
more than once (so it does nothing but use its books).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from billing.domain import Balance, Entry, Grant, Hold, JobEnd, Proof, Transaction, Unit
from billing.domain.hold import NOT_ENDED

T = TypeVar("T")


class BooksReader(Protocol):
    """The books as one transaction sees them."""

    @property
    def now_ms(self) -> int:
        """Return database time, unix milliseconds."""
        ...

    def find_hold(self, hold_id: str) -> Hold | None:
        """Return the hold as it stands, or None."""
        ...

    def balances(self, client_id: str, unit: Unit | None = None) -> list[Balance]:
        """Return a line for each unit (or the one asked for) that the client ever had, in the order of `Unit`."""
        ...

    def entries(self, client_id: str, *, job_id: str, before: tuple[int, int] | None, limit: int) -> list[Entry]:
        """Return at most `limit` postings on the client's wallet, newest first, that stand before `before`.

        An empty `job_id` means all jobs; so does a transaction without one.
        """
        ...

    def holds_due(self, *, limit: int) -> list[Hold]:
        """Return the open holds whose next look is due, the longest due first."""
        ...

    def prove(self) -> Proof:
        """Check every rule of the books on one snapshot. Repairs nothing."""
        ...


class Books(BooksReader, Protocol):
    """The books, writable."""

    def find_transaction(self, transaction_id: str) -> str | None:
        """Return the input hash of a transaction that was posted, or None."""
        ...

    def open_wallet(self, client_id: str, unit: Unit) -> None:
        """Make sure that the client's accounts in `unit` exist."""
        ...

    def post(self, transaction: Transaction) -> bool:
        """Write the transaction and move the balances of its accounts.

        Returns False, having changed nothing, when the client's available units do not cover it; the check is in
        the statement that takes them. Raises BooksBroken when any other account would fall below its floor.
        An id that exists already makes the whole unit of work run again.
        """
        ...

    def add_grant(self, grant: Grant) -> None:
        """Remember a grant as such, for the day when grants expire."""
        ...

    def add_hold(self, hold: Hold, *, next_look_ms: int) -> None:
        """Write a new hold, which the sweeper looks at from `next_look_ms` on.

        An id that exists already makes the whole unit of work run again.
        """
        ...

    def resolve_hold(self, hold: Hold) -> None:
        """Write the end of a hold that is still open, and the event that tells of it.

        When another writer ended it meanwhile, the whole unit of work runs again.
        """
        ...

    def postpone(self, looks: Mapping[str, int]) -> None:
        """Set when to look at open holds again: hold id → unix milliseconds."""
        ...

    def look_at_all(self) -> int:
        """Make every open hold due now; return how many there are."""
        ...

    def seen(self, consumer: str, event_id: str) -> bool:
        """Remember that `consumer` handled the event; return whether it had before."""
        ...


class Ledger(Protocol):
    """Runs units of work on the books."""

    async def write(self, work: Callable[[Books], T]) -> T:
        """Run `work` in one transaction, commit it durably and return its result.

        A work that raises leaves nothing behind. Raises DependencyUnavailable when the database is away.
        """
        ...

    async def read(self, work: Callable[[BooksReader], T], *, timeout_s: float | None = None) -> T:
        """Run `work` on one snapshot that includes every write answered before."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """What became of a job."""

    job_id: str
    fenced: bool = False  #: Never committed, and now it never will be.
    finished: bool = False  #: In a terminal state.
    amount: int = 0  #: What it costs; 0 unless finished.
    unit: Unit | None = None  #: Of the amount; None when there is none.
    end: JobEnd = NOT_ENDED  #: For statements.


class JobFates(Protocol):
    """Asks the orchestrator what became of jobs."""

    async def resolve(self, job_ids: Sequence[str]) -> list[Fate]:
        """Return a fate for each id, in order; ids never committed are fenced by the asking.

        Raises DependencyUnavailable or DeadlineExceeded when the orchestrator does not answer.
        """
        ...
