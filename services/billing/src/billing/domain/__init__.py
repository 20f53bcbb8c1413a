"""What billing knows about money, without any I/O."""

from billing.domain.hold import Hold, HoldState, JobEnd, Settlement
from billing.domain.ledger import (
    Account,
    AccountKind,
    Balance,
    Entry,
    Posting,
    Transaction,
    TransactionKind,
    fingerprint,
)
from billing.domain.money import Amount, Price, PriceOption, Unit
from billing.domain.orders import Adjustment, Grant, HoldOrder
from billing.domain.proof import Fault, Proof

__all__ = [
    "Account",
    "AccountKind",
    "Adjustment",
    "Amount",
    "Balance",
    "Entry",
    "Fault",
    "Grant",
    "Hold",
    "HoldOrder",
    "HoldState",
    "JobEnd",
    "Posting",
    "Price",
    "PriceOption",
    "Proof",
    "Settlement",
    "Transaction",
    "TransactionKind",
    "Unit",
    "fingerprint",
]
