"""What billing does, one verb a module."""

from billing.usecases.adjust import Adjust
from billing.usecases.grant import GrantUnits
from billing.usecases.lapse import LapseLots
from billing.usecases.mark import SetMark
from billing.usecases.place_hold import PlaceHold
from billing.usecases.read import ReadBooks
from billing.usecases.refund import RefundJob
from billing.usecases.settle_hold import SettleHold
from billing.usecases.statements import Statements
from billing.usecases.sweep import Sweep, SweepRules
from billing.usecases.verify import VerifyBooks

__all__ = [
    "Adjust",
    "GrantUnits",
    "LapseLots",
    "PlaceHold",
    "ReadBooks",
    "RefundJob",
    "SetMark",
    "SettleHold",
    "Statements",
    "Sweep",
    "SweepRules",
    "VerifyBooks",
]
