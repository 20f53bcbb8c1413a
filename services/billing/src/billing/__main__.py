"""`python -m billing`: billing as a process of its own, set up by `BILLING_…` and `ATELIER_…`."""

from billing.config import BillingSettings
from billing.main import NAME, Billing
from kit.service import serve

if __name__ == "__main__":
    serve(BillingSettings(), Billing, name=NAME, package="billing")
