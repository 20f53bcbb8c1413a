"""What Prometheus may read: measurements that two or more services share, and the page that shows them.

A service's own measurements live beside the code they measure. Labels have few values: names of services, methods and
statuses; never an id.
"""

from typing import Final

import prometheus_client
from prometheus_client import Histogram

# From half a millisecond (an in-process call) to a minute (a long poll).
RPC_SECONDS_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

rpc_server_seconds: Final = Histogram(
    "atelier_rpc_server_seconds",
    "Duration of the calls a service answered, from the first byte of its request to its status.",
    ("service", "method", "code"),
    buckets=RPC_SECONDS_BUCKETS,
)


class RpcTimings:
    """The histogram of one service's calls; keeps the children at hand because finding one costs more than using it."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._children: dict[tuple[str, str], Histogram] = {}

    def observe(self, method: str, code: str, seconds: float) -> None:
        """Count one call of `method` that ended with the gRPC status `code`."""
        child = self._children.get((method, code))
        if child is None:
            child = self._children[method, code] = rpc_server_seconds.labels(self._service, method, code)
        child.observe(seconds)


class MetricsPage:
    """Serves everything measured in this process at `http://host:port/metrics`, from a thread of its own."""

    def __init__(self, listen: str) -> None:
        """`listen` is `host:port`; empty for a page that is never served. Raises ValueError for anything else."""
        host, colon, port = listen.rpartition(":")
        if listen and not (colon and port.isdecimal()):
            raise ValueError(f"not host:port: {listen!r}")
        self._host, self._port = host, int(port) if listen else None

    async def start(self) -> None:
        """Bind and serve. Raises OSError when the address is taken."""
        if self._port is not None:
            self._server, self._thread = prometheus_client.start_http_server(self._port, addr=self._host)

    async def stop(self) -> None:
        """Stop serving."""
        if self._port is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
