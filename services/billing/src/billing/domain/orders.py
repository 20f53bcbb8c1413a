"""What callers ask for: each order carries its own id and a fingerprint, so that asking twice is safe."""

from dataclasses import dataclass

from billing.domain.checks import printable_id, storable, whole
from billing.domain.hold import Hold
from billing.domain.ledger import Account, AccountKind, Posting, Transaction, TransactionKind, fingerprint
from billing.domain.money import AMOUNT_MAX, Amount, Price, PriceOption, Unit
from kit.errors import InvalidArgument


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

    def __post_init__(self) -> None:
        printable_id(self.id, field="grant_id")
        storable(self.client_id, field="client_id")
        storable(self.note, field="note")
        whole(self.amount.value, field="amount.value", at_least=1, at_most=AMOUNT_MAX)

    def transaction(self) -> Transaction:
        """Return the transaction that books it."""
        return Transaction(
            id=f"grant:{self.id}",
            kind=TransactionKind.GRANT,
            client_id=self.client_id,
            input_hash=fingerprint("grant", self.client_id, self.amount.unit, self.amount.value, self.note),
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


def _transfer(client_id: str, unit: Unit, source: AccountKind, delta: int) -> tuple[Posting, ...]:
    available = Account(kind=AccountKind.AVAILABLE, unit=unit, client_id=client_id)
    other = Account(kind=source, unit=unit, client_id=client_id)
    return Posting(account=available, delta=delta), Posting(account=other, delta=-delta)
