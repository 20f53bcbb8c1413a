"""What Prometheus may read of the provider adapter."""

from typing import Final

from prometheus_client import Histogram

POLL_LAG: Final = Histogram(
    "atelier_provider_poll_lag_seconds",
    "How much later than planned an open task was asked after.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60),
)
