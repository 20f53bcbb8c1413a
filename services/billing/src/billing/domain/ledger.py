"""Double entry: accounts, postings and the transactions that hold them together.

Every account belongs to one client and one unit. The house's side (funding, revenue, adjust) is kept per client
too: its total is a sum away, no row is shared between clients, so clients never wait for each other, and what
a client has spent is simply the balance of its revenue account.

    grant    funding   ▸ available        capture  held ▸ revenue, the remainder ▸ available
    hold     available ▸ held             release, timeout  held ▸ available
    adjust   adjust    ▸ available, or back    refund   revenue ▸ available
    expire   available ▸ lapsed
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from billing.domain.money import Unit


class AccountKind(StrEnum):
    """What an account stands for. The order is the order in which a transaction locks accounts."""

    AVAILABLE = "available"  #: What the client can spend now.
    HELD = "held"  #: Set aside for jobs that are not finished.
    REVENUE = "revenue"  #: What the client has spent.
    LAPSED = "lapsed"  #: What the client lost by expiry.
    FUNDING = "funding"  #: Where granted units come from; minus all grants.
    ADJUST = "adjust"  #: The other side of corrections.


LOCK_ORDER: Final = {kind: place for place, kind in enumerate(AccountKind)}
FLOORLESS: Final = frozenset({AccountKind.FUNDING, AccountKind.ADJUST})  # Sources: below zero is their nature.
WALLET: Final = (AccountKind.AVAILABLE, AccountKind.HELD)  # What a client sees of its statement.


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """One client's account in one unit."""

    kind: AccountKind
    unit: Unit
    client_id: str

    def __post_init__(self) -> None:
        if not self.client_id:
            raise ValueError("an account belongs to a client")

    @property
    def id(self) -> str:
        """Return the stable name; the client comes last, so no client id can imitate another account."""
        return f"{self.kind}/{self.unit}/{self.client_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Posting:
    """One line of a transaction: `delta` units come to the account, negative ones leave it."""

    account: Account
    delta: int

    def __post_init__(self) -> None:
        if type(self.delta) is not int or self.delta == 0:
            raise ValueError(f"a posting moves a whole number of units and never none: {self.delta!r}")


class TransactionKind(StrEnum):
    """Why units moved."""

    GRANT = "grant"
    ADJUST = "adjust"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    TIMEOUT = "timeout"
    REFUND = "refund"
    EXPIRE = "expire"


@dataclass(frozen=True, kw_only=True, slots=True)
class Transaction:
    """Postings of one client that sum to zero, written once under an id that names the cause.

    A free job's transactions have no postings: they say that it happened, and that it cost nothing.
    """

    id: str  #: `hold:<job>`, `resolve:<job>`, `grant:<id>`, `adjust:<id>`, `refund:<id>`, …: each can exist once.
    kind: TransactionKind
    client_id: str
    input_hash: str  #: Of what the caller asked, to tell a retry from a reused id.
    postings: tuple[Posting, ...]
    job_id: str = ""
    note: str = ""
    author: str = ""  #: Of a correction or a refund.

    def __post_init__(self) -> None:
        sums: dict[Unit, int] = {}
        for posting in self.postings:
            sums[posting.account.unit] = sums.get(posting.account.unit, 0) + posting.delta
        if any(sums.values()):
            raise ValueError(f"transaction {self.id} does not sum to zero: {sums}")
        accounts = {posting.account for posting in self.postings}
        if len(accounts) != len(self.postings):
            raise ValueError(f"transaction {self.id} posts twice to one account")
        if any(account.client_id != self.client_id for account in accounts):
            raise ValueError(f"transaction {self.id} touches another client's account")

    @property
    def in_lock_order(self) -> tuple[Posting, ...]:
        """Return the postings in the one order in which accounts are locked, so that writers cannot deadlock."""
        return tuple(sorted(self.postings, key=lambda posting: LOCK_ORDER[posting.account.kind]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """One unit of a wallet."""

    unit: Unit
    available: int  #: Without what has expired, whether or not it was taken away yet.
    held: int
    spent: int
    expire_ms: int | None = None  #: When the first part of it expires; None when nothing does.


@dataclass(frozen=True, kw_only=True, slots=True)
class BalanceFell:
    """A wallet fell below its mark."""

    transaction_id: str  #: Which took it there.
    client_id: str
    unit: Unit
    available: int
    below: int  #: The mark.
    time_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One posting as a statement shows it."""

    transaction_id: str
    kind: TransactionKind
    account: AccountKind
    unit: Unit
    delta: int
    job_id: str
    note: str
    time_ms: int
    position: tuple[int, ...]  #: Where it stands in the books: (time, transaction number, line).


def fingerprint(*parts: object) -> str:
    """Return the SHA-256 (hex) of `parts`: strings, whole numbers, None and sequences of them."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()
