"""Protos in, protos out: the two services' RPCs and the job events."""

from billing.api.hold_service import HoldService
from billing.api.job_events import JobEvents
from billing.api.wallet_service import WalletService

__all__ = ["HoldService", "JobEvents", "WalletService"]
