"""What billing needs from outside: its books, and the fate of jobs.

The books are used inside a unit of work: a plain function that gets `Books`, runs in one transaction, and may run
more than once (so it does nothing but use its books).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from billing.domain import (
    Balance,
    BalanceFell,
    Entry,
    Grant,
    Hold,
    JobEnd,
    Lapse,
    Mark,
    Proof,
    Refund,
    Transaction,
    Unit,
)
from billing.domain.hold import NOT_ENDED
from billing.domain.lots import NEVER_MS
from billing.domain.statement import Movement

T = TypeVar("T")
Announced = Hold | BalanceFell | Lapse  #: What the books tell the house: a resolved hold, a low wallet, lapsed units.


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A part of a client's statement: what was written in [start_ms, end_ms)."""

    client_id: str
    start_ms: int = 0
    end_ms: int = NEVER_MS


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
        """Return a line for each unit (or the one asked for) that the client ever had, in the order of `Unit`.

        What has expired is not available, whether or not it was taken away yet.
        """
        ...

    def entries(self, span: Span, *, job_id: str, before: tuple[int, ...] | None, limit: int) -> list[Entry]:
        """Return at most `limit` postings on the client's wallet, newest first, that stand before `before`.

        An empty `job_id` means all jobs; so does a transaction without one.
        """
        ...

    def jobs(self, span: Span, *, after: tuple[int, ...] | None, limit: int) -> list[tuple[Hold, tuple[int, ...]]]:
        """Return at most `limit` holds placed in the span, oldest first, each with where it stands, after `after`."""
        ...

    def first_movement_ms(self, span: Span) -> int | None:
        """Return when something first moved in the span, or None."""
        ...

    def movements(self, span: Span) -> list[Movement]:
        """Return what moved in the span, summed by unit, kind of transaction and kind of account."""
        ...

    def find_refund(self, refund_id: str) -> int | None:
        """Return how much a refund gave back, or None when there is none of that id."""
        ...

    def find_holds(self, hold_ids: Sequence[str]) -> dict[str, Hold]:
        """Return those of the holds that exist, by id."""
        ...

    def open_holds(self) -> tuple[int, int | None]:
        """Return how many holds are open, and when the oldest of them was placed."""
        ...

    def lots_due(self, *, limit: int) -> list[tuple[str, Unit]]:
        """Return wallets with units that have expired, the longest due first; of at most `limit` lots."""
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
        the statement that takes them, and what has expired covers nothing: it lapses on the way. Units are taken from
        the wallet's lots in their order, and a job's units go back to where they came from.
        Tells, once, of a wallet that falls below its mark. Raises BooksBroken when any other account would fall below
        its floor. An id that exists already makes the whole unit of work run again.
        """
        ...

    def lapse(self, client_id: str, unit: Unit) -> int:
        """Take away what has expired in a wallet that exists, and tell of it; return how many lots lapsed."""
        ...

    def add_grant(self, grant: Grant) -> None:
        """Remember a grant that was posted, and keep it apart from the rest of its wallet if it is a lot."""
        ...

    def count_lots(self, client_id: str, unit: Unit) -> int:
        """Return how many lots of the wallet have something left."""
        ...

    def add_refund(self, refund: Refund, amount: int) -> None:
        """Remember a refund of `amount`, in the hold too.

        When less than that is left of what was captured, or the id exists, the whole unit of work runs again.
        """
        ...

    def set_mark(self, mark: Mark) -> None:
        """Set below which balance the wallet, which exists, is low."""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedJob:
    """A job in a terminal state, as the orchestrator tells it."""

    id: str
    client_id: str
    charged: int
    unit: Unit | None  #: None when nothing was held.
    finish_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedPage:
    """Some of them."""

    jobs: Sequence[FinishedJob]
    next_token: str  #: Of the next page; "" at the end.


class FinishedJobs(Protocol):
    """Lists the orchestrator's finished jobs."""

    async def page(self, token: str) -> FinishedPage:
        """Return the page of a former page's token, the first one for "".

        Raises DependencyUnavailable or DeadlineExceeded when the orchestrator does not answer.
        """
        ...


class JobFates(Protocol):
    """Asks the orchestrator what became of jobs."""

    async def resolve(self, job_ids: Sequence[str]) -> list[Fate]:
        """Return a fate for each id, in order; ids never committed are fenced by the asking.

        Raises DependencyUnavailable or DeadlineExceeded when the orchestrator does not answer.
        """
        ...
