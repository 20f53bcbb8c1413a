"""What billing measures beyond its calls."""

from typing import Final

from prometheus_client import Gauge

from billing.domain import Proof

ledger_drift: Final = Gauge(
    "atelier_billing_ledger_drift", "Faults found by the last check of the books; anything but 0 is an alarm."
)
ledger_checks: Final = Gauge(
    "atelier_billing_ledger_checked_timestamp_seconds", "When the books were last checked, whatever was found."
)
holds_open: Final = Gauge("atelier_billing_holds_open", "Holds that are not resolved yet.")
oldest_hold_s: Final = Gauge(
    "atelier_billing_oldest_open_hold_seconds", "Age of the oldest of them; far above the longest deadline is an alarm."
)


def measure_proof(proof: Proof) -> None:
    """Show the result of a check of the books."""
    ledger_drift.set(len(proof.faults))
    ledger_checks.set_to_current_time()


def measure_open_holds(count: int, oldest_ms: int | None, now_ms: int) -> None:
    """Show what is set aside now."""
    holds_open.set(count)
    oldest_hold_s.set(0 if oldest_ms is None else max(now_ms - oldest_ms, 0) / 1000)
