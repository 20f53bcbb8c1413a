"""A hold: units set aside for one job, resolved exactly once."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from billing.domain.checks import printable_id, storable, whole
from billing.domain.ledger import (
    Account,
    AccountKind,
    Posting,
    Transaction,
    TransactionKind,
    fingerprint,
)
from billing.domain.money import AMOUNT_MAX, OUTPUTS_MAX, PER_OUTPUT_MAX, Amount, Unit
from kit.errors import HoldAlreadyResolved, InvalidArgument


class HoldState(StrEnum):
    """Where a hold stands; it leaves HELD once and for all."""

    HELD = "held"
    CAPTURED = "captured"  #: Spent, all or part; the remainder went back.
    RELEASED = "released"  #: Given back whole.
    TIMED_OUT = "timed_out"  #: Given back whole because its job never came to be and was fenced.


_KIND_OF_RESOLUTION = {
    HoldState.CAPTURED: TransactionKind.CAPTURE,
    HoldState.RELEASED: TransactionKind.RELEASE,
    HoldState.TIMED_OUT: TransactionKind.TIMEOUT,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class JobEnd:
    """How the job of a hold ended, as statements tell it. It decides nothing: the amount is in the settlement."""

    outcome: str = ""  #: "succeeded", "provider_fault" …; "" for a job that never was, and before the end.
    reason: str = ""  #: Why there is no result, e.g. "provider_timeout"; "" when there is one.
    provider: str = ""  #: Who worked on it last; "" when nobody did.
    provider_cost_fen: int | None = None  #: By the providers' own reports; None when none was made.

    def __post_init__(self) -> None:
        for field, value in (("outcome", self.outcome), ("reason", self.reason), ("provider", self.provider)):
            storable(value, field=field)
        if self.provider_cost_fen is not None:
            whole(self.provider_cost_fen, field="provider_cost_fen", at_least=0, at_most=AMOUNT_MAX)


NOT_ENDED: Final = JobEnd()


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """How a hold is to end: so much is captured, the rest goes back; 0 gives everything back."""

    hold_id: str
    amount: int = 0
    unit: Unit | None = None  #: Of the amount; None takes the hold's.
    fenced: bool = False  #: The job never existed and never will.
    end: JobEnd = NOT_ENDED

    def __post_init__(self) -> None:
        printable_id(self.hold_id, field="hold_id")
        whole(self.amount, field="amount", at_least=0, at_most=0 if self.fenced else AMOUNT_MAX)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """Units set aside for one job until they are captured, released or timed out."""

    id: str  #: The job's id.
    client_id: str
    unit: Unit
    amount_per_output: int  #: 0 for a free job: such a hold moves nothing and still resolves once.
    outputs: int
    input_hash: str  #: Of the order that placed it.
    create_ms: int
    expire_ms: int  #: When it should long have been resolved; only orders the sweeper's looks.
    catalog_version: str = ""
    state: HoldState = HoldState.HELD
    captured: int = 0  #: Units spent in the end.
    refunded: int = 0  #: Of these, given back afterwards as goodwill.
    resolve_ms: int | None = None
    model: str = ""  #: The catalogue's, for statements.
    end: JobEnd = NOT_ENDED  #: For statements.

    def __post_init__(self) -> None:
        whole(self.amount_per_output, field="amount_per_output", at_least=0, at_most=PER_OUTPUT_MAX)
        whole(self.outputs, field="outputs", at_least=1, at_most=OUTPUTS_MAX)
        most = self.amount if self.state is HoldState.CAPTURED else 0
        whole(self.captured, field="captured", at_least=0, at_most=most)
        if (self.state is HoldState.HELD) != (self.resolve_ms is None):
            raise ValueError(f"hold {self.id} is {self.state} and resolved at {self.resolve_ms}")

    @property
    def amount(self) -> int:
        """Return how many units are set aside."""
        return self.amount_per_output * self.outputs

    @property
    def set_aside(self) -> Amount:
        """Return the same with its unit."""
        return Amount(unit=self.unit, value=self.amount)

    def resolve(self, settlement: Settlement, *, now_ms: int) -> "Hold":
        """Return the hold as `settlement` leaves it.

        A hold that ended with the same amount before is returned as it is; what else the settlement says of the job
        does not make it another one. Raises HoldAlreadyResolved when it ended otherwise (released and timed out count
        as the same end, because both gave everything back), InvalidArgument when more than was set aside, or another
        unit, is to be captured.
        """
        captured = settlement.amount
        if captured and settlement.unit not in (None, self.unit):
            raise InvalidArgument(f"the hold is in {self.unit}, not in {settlement.unit}", field="amount.unit")
        if self.state is not HoldState.HELD:
            if self.captured != captured:
                raise HoldAlreadyResolved(hold_id=self.id, state=self.state, captured=self.captured)
            return self
        whole(captured, field="amount", at_least=0, at_most=self.amount)
        state = HoldState.CAPTURED if captured else HoldState.RELEASED
        if settlement.fenced:
            state = HoldState.TIMED_OUT
        return replace(self, state=state, captured=captured, resolve_ms=now_ms, end=settlement.end)

    def placing(self) -> Transaction:
        """Return the transaction that sets the units aside."""
        return Transaction(
            id=f"hold:{self.id}",
            kind=TransactionKind.HOLD,
            client_id=self.client_id,
            input_hash=self.input_hash,
            postings=self._postings((AccountKind.AVAILABLE, -self.amount), (AccountKind.HELD, self.amount)),
            job_id=self.id,
        )

    def resolving(self) -> Transaction:
        """Return the transaction that ends this resolved hold. One id for all ends: there can be only one."""
        return Transaction(
            id=f"resolve:{self.id}",
            kind=_KIND_OF_RESOLUTION[self.state],
            client_id=self.client_id,
            input_hash=fingerprint("resolve", self.id, self.state, self.captured),
            postings=self._postings(
                (AccountKind.AVAILABLE, self.amount - self.captured),
                (AccountKind.HELD, -self.amount),
                (AccountKind.REVENUE, self.captured),
            ),
            job_id=self.id,
        )

    def _postings(self, *lines: tuple[AccountKind, int]) -> tuple[Posting, ...]:
        return tuple(
            Posting(account=Account(kind=kind, unit=self.unit, client_id=self.client_id), delta=delta)
            for kind, delta in lines
            if delta
        )
