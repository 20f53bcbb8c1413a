"""What billing knows about money, without any I/O."""

from billing.domain.hold import Hold, HoldState, JobEnd, Settlement
from billing.domain.ledger import (
    Account,
    AccountKind,
    Balance,
    BalanceFell,
    Entry,
    Posting,
    Transaction,
    TransactionKind,
    fingerprint,
)
from billing.domain.lots import Lapse
from billing.domain.money import Amount, Price, PriceOption, Unit
from billing.domain.orders import Adjustment, Grant, HoldOrder, Mark, Refund
from billing.domain.proof import Fault, Proof

__all__ = [
    "Account",
    "AccountKind",
    "Adjustment",
    "Amount",
    "Balance",
    "BalanceFell",
    "Entry",
    "Fault",
    "Grant",
    "Hold",
    "HoldOrder",
    "HoldState",
    "JobEnd",
    "Lapse",
    "Mark",
    "Posting",
    "Price",
    "PriceOption",
    "Proof",
    "Refund",
    "Settlement",
    "Transaction",
    "TransactionKind",
    "Unit",
    "fingerprint",
]
