"""What callers ask for: each order carries its own id and a fingerprint, so that asking twice is safe."""

from dataclasses import dataclass
from typing import Final

from billing.domain.checks import printable_id, storable, whole
from billing.domain.hold import Hold
from billing.domain.ledger import Account, AccountKind, Posting, Transaction, TransactionKind, fingerprint
from billing.domain.lots import NEVER_MS
from billing.domain.money import AMOUNT_MAX, Amount, Price, PriceOption, Unit
from kit.errors import InvalidArgument

PRIORITY_MAX: Final = 100  # A few levels are a policy; more is a mistake.


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldOrder:
    """Set aside what a job may cost."""

    hold_id: str
    client_id: str
    price: Price
    expire_ms: int
    model: str = ""  #: The catalogue's, for statements; "" when the caller does not say.

    def __post_init__(self) -> None:
        printable_id(self.hold_id, field="hold_id")
        storable(self.client_id, field="client_id")
        storable(self.model, field="model")

    @property
    def input_hash(self) -> str:
        """Return the fingerprint of whose money, how much and what for.

        `expire_ms` is left out: it only tells the sweeper when to look, and a caller that retries may well
        compute it from its clock again.
        """
        return fingerprint(
            "hold",
            self.client_id,
            [(option.unit, option.amount_per_output) for option in self.price.options],
            self.price.outputs,
            self.price.catalog_version,
            self.model,
        )

    def hold_with(self, option: PriceOption, *, now_ms: int) -> Hold:
        """Return the hold that `option` would pay."""
        return Hold(
            id=self.hold_id,
            client_id=self.client_id,
            unit=option.unit,
            amount_per_output=option.amount_per_output,
            outputs=self.price.outputs,
            input_hash=self.input_hash,
            create_ms=now_ms,
            expire_ms=self.expire_ms,
            catalog_version=self.price.catalog_version,
            model=self.model,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """Add units to a wallet."""

    id: str  #: The caller's: an order number, say.
    client_id: str
    amount: Amount
    note: str = ""
    expire_ms: int | None = None  #: When what is left of it lapses; None is never.
    priority: int = 0  #: Units of a higher one are spent first.

    def __post_init__(self) -> None:
        printable_id(self.id, field="grant_id")
        whole(self.priority, field="priority", at_least=0, at_most=PRIORITY_MAX)
        if self.expire_ms is not None:
            whole(self.expire_ms, field="expire_time", at_least=1, at_most=NEVER_MS - 1)
        storable(self.client_id, field="client_id")
        storable(self.note, field="note")
        whole(self.amount.value, field="amount.value", at_least=1, at_most=AMOUNT_MAX)

    @property
    def is_lot(self) -> bool:
        """Return whether its units have to be told from the rest of the wallet."""
        return self.expire_ms is not None or self.priority > 0

    def transaction(self) -> Transaction:
        """Return the transaction that books it."""
        return Transaction(
            id=f"grant:{self.id}",
            kind=TransactionKind.GRANT,
            client_id=self.client_id,
            input_hash=fingerprint(
                "grant",
                self.client_id,
                self.amount.unit,
                self.amount.value,
                self.note,
                self.expire_ms,
                self.priority,
            ),
            postings=_transfer(self.client_id, self.amount.unit, AccountKind.FUNDING, self.amount.value),
            note=self.note or self.id,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Adjustment:
    """Correct a wallet up or down, with a reason and an author."""

    id: str
    client_id: str
    unit: Unit
    delta: int
    reason: str
    author: str

    def __post_init__(self) -> None:
        printable_id(self.id, field="adjustment_id")
        storable(self.client_id, field="client_id")
        whole(self.delta, field="delta", at_least=-AMOUNT_MAX, at_most=AMOUNT_MAX)
        for field, value in (("delta", self.delta), ("reason", self.reason), ("author", self.author)):
            if not value:
                raise InvalidArgument(f"a correction needs a {field}", field=field)
        storable(self.reason, field="reason")
        storable(self.author, field="author")

    def transaction(self) -> Transaction:
        """Return the transaction that books it."""
        return Transaction(
            id=f"adjust:{self.id}",
            kind=TransactionKind.ADJUST,
            client_id=self.client_id,
            input_hash=fingerprint("adjust", self.client_id, self.unit, self.delta, self.reason, self.author),
            postings=_transfer(self.client_id, self.unit, AccountKind.ADJUST, self.delta),
            note=self.reason,
            author=self.author,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Refund:
    """Give back what a job has spent: goodwill."""

    id: str
    job_id: str
    amount: int  #: 0 means all that was not refunded yet.
    reason: str
    author: str

    def __post_init__(self) -> None:
        printable_id(self.id, field="refund_id")
        printable_id(self.job_id, field="job_id")
        whole(self.amount, field="amount", at_least=0, at_most=AMOUNT_MAX)
        for field, value in (("reason", self.reason), ("author", self.author)):
            if not value:
                raise InvalidArgument(f"a refund needs a {field}", field=field)
            storable(value, field=field)

    @property
    def input_hash(self) -> str:
        """Return the fingerprint of what is asked."""
        return fingerprint("refund", self.job_id, self.amount, self.reason, self.author)

    def transaction(self, hold: Hold, amount: int) -> Transaction:
        """Return the transaction that books `amount` of what `hold` spent."""
        return Transaction(
            id=f"refund:{self.id}",
            kind=TransactionKind.REFUND,
            client_id=hold.client_id,
            input_hash=self.input_hash,
            postings=_transfer(hold.client_id, hold.unit, AccountKind.REVENUE, amount),
            job_id=hold.id,
            note=self.reason,
            author=self.author,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """Below which balance a wallet is low."""

    client_id: str
    unit: Unit
    below: int  #: 0 takes the mark away.

    def __post_init__(self) -> None:
        storable(self.client_id, field="client_id")
        whole(self.below, field="below", at_least=0, at_most=AMOUNT_MAX)


def _transfer(client_id: str, unit: Unit, source: AccountKind, delta: int) -> tuple[Posting, ...]:
    available = Account(kind=AccountKind.AVAILABLE, unit=unit, client_id=client_id)
    other = Account(kind=source, unit=unit, client_id=client_id)
    return Posting(account=available, delta=delta), Posting(account=other, delta=-delta)
