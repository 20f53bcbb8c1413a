"""What billing measures beyond its calls."""

from typing import Final

from prometheus_client import Gauge

from billing.domain import Proof

ledger_drift: Final = Gauge(
    "atelier_billing_ledger_drift", "Faults found by the last check of the books; anything but 0 is an alarm."
)


def measure_proof(proof: Proof) -> None:
    """Show the result of a check of the books."""
    ledger_drift.set(len(proof.faults))
