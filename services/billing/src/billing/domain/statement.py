"""What moved in a wallet on one day."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from billing.domain.ledger import AccountKind, TransactionKind
from billing.domain.money import Unit

#: (transaction, account) → the column it counts to, and by which sign.
_COLUMNS: Final[Mapping[tuple[TransactionKind, AccountKind], tuple[str, int]]] = {
    (TransactionKind.GRANT, AccountKind.AVAILABLE): ("granted", 1),
    (TransactionKind.HOLD, AccountKind.AVAILABLE): ("held", -1),
    (TransactionKind.CAPTURE, AccountKind.REVENUE): ("captured", 1),
    (TransactionKind.CAPTURE, AccountKind.AVAILABLE): ("released", 1),
    (TransactionKind.RELEASE, AccountKind.AVAILABLE): ("released", 1),
    (TransactionKind.TIMEOUT, AccountKind.AVAILABLE): ("released", 1),
    (TransactionKind.REFUND, AccountKind.AVAILABLE): ("refunded", 1),
    (TransactionKind.EXPIRE, AccountKind.AVAILABLE): ("lapsed", -1),
    (TransactionKind.ADJUST, AccountKind.AVAILABLE): ("adjusted", 1),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Movement:
    """What all transactions of one kind together brought to the client's accounts of one kind."""

    unit: Unit
    kind: TransactionKind
    account: AccountKind
    delta: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DayTotal:
    """One unit of a wallet on one day; every column counts upwards but `adjusted`, which has a sign."""

    date: str  #: "2026-03-01", in the house's time zone.
    unit: Unit
    opening: int
    granted: int = 0
    held: int = 0
    captured: int = 0
    released: int = 0
    refunded: int = 0
    lapsed: int = 0
    adjusted: int = 0

    @property
    def closing(self) -> int:
        """Return what is available when the day ends."""
        given = self.granted + self.released + self.refunded + self.adjusted
        return self.opening + given - self.held - self.lapsed


def day_totals(date: str, opening: Mapping[Unit, int], movements: Iterable[Movement]) -> list[DayTotal]:
    """Return a line for each unit that moved on the day, in the order of `Unit`."""
    columns: dict[Unit, dict[str, int]] = {}
    for movement in movements:
        column = _COLUMNS.get((movement.kind, movement.account))
        if column is not None:
            name, sign = column
            sums = columns.setdefault(movement.unit, {})
            sums[name] = sums.get(name, 0) + sign * movement.delta
    return [
        DayTotal(date=date, unit=unit, opening=opening.get(unit, 0), **columns[unit])
        for unit in Unit
        if unit in columns
    ]
