"""Billing as a process of its own: `python -m billing`, configured by `BILLING_…` and `ATELIER_…`."""

from typing import Final

import uvloop

from billing.config import BillingSettings
from billing.main import NAME, Billing, Resources
from kit import crash
from kit.db import migrate, open_database
from kit.events import EventBus, InProcessBus, JetStreamBus
from kit.identity import IdentitySigner
from kit.lifecycle import Lifecycle
from kit.logging import configure
from kit.metrics import MetricsPage
from kit.rpc import Channel, connect, open_server

STOP_MARGIN_S: Final = 5.0  # Beyond drain and grace: cancelled handlers end, the port closes.


def open_bus(url: str) -> EventBus:
    """Return the bus of `events_url`: NATS by its address, this process alone for `local`."""
    return InProcessBus() if url == "local" else JetStreamBus(url)


async def serve(settings: BillingSettings) -> None:
    """Run until a signal ends it."""
    database = open_database(settings.database_url)
    bus = open_bus(settings.events_url)
    signer = IdentitySigner(NAME, settings.internal_secret)
    channels: list[Channel] = []

    def connect_to(target: str) -> Channel:
        channels.append(connect(target, identity=signer))
        return channels[-1]

    async def close_channels() -> None:
        for channel in channels:
            await channel.close()

    billing = Billing(settings, Resources(database=database, bus=bus, connect=connect_to))
    server = open_server(NAME, settings, ready=billing.ready)
    billing.register(server)
    metrics = MetricsPage(settings.metrics_listen)
    stop_s = settings.drain_wait_s + settings.stop_grace_s + STOP_MARGIN_S

    life = Lifecycle()
    life.add("database", stop=database.close)
    life.add("metrics", start=metrics.start, stop=metrics.stop)
    life.add("channels", stop=close_channels)
    life.add("bus", start=bus.start, stop=bus.stop)
    life.add("billing", start=billing.start, stop=billing.stop)
    life.add("rpc", start=server.start, stop=server.stop, stop_timeout_s=stop_s)
    await life.run_until_signal()


def main() -> None:
    """Read the settings, bring the tables up to date, serve."""
    settings = BillingSettings()
    configure(NAME, level=settings.log_level, format=settings.log_format)
    crash.check()
    migrate(settings.database_url, NAME)
    uvloop.run(serve(settings))


if __name__ == "__main__":
    main()
