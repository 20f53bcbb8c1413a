"""What billing does, one verb a module."""

from billing.usecases.adjust import Adjust
from billing.usecases.grant import GrantUnits
from billing.usecases.place_hold import PlaceHold
from billing.usecases.read import ReadBooks
from billing.usecases.settle_hold import SettleHold
from billing.usecases.sweep import Sweep, SweepRules

__all__ = ["Adjust", "GrantUnits", "PlaceHold", "ReadBooks", "SettleHold", "Sweep", "SweepRules"]
