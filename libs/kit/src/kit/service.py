"""Hosting a service: what every `main` does around its own wiring, in one process of its own or beside others.

    class Billing:                                    # billing/main.py: the service's own wiring
        def __init__(self, settings: BillingSettings, resources: Resources) -> None: ...
        def register(self, server: AnyServer) -> None: ...
        async def start(self) -> None: ...
        async def stop(self) -> None: ...

    serve(BillingSettings(), Billing, name="billing", package="billing")        # python -m billing
    host(life, settings, Billing, name="billing", package="billing", bus=bus, directory=directory)   # standalone

`host` adds to a Lifecycle, in the order of starting: database (migrated first), the service's background work, its
server. The bus is started by whoever opened it, after all subscriptions are made.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import uvloop

from kit import crash
from kit.clock import Clock, SystemClock
from kit.db import Database, migrate, open_database
from kit.events import EventBus, InProcessBus
from kit.identity import IdentitySigner
from kit.lifecycle import Lifecycle
from kit.logging import configure
from kit.metrics import MetricsPage
from kit.rpc import AnyServer, Channel, LocalDirectory, connect, open_server
from kit.settings import ServiceSettings

LOCAL_EVENTS: Final = "local"
STOP_SLACK_S: Final = 5.0  # On top of what the server was promised, for closing sockets.
APP_STOP_TIMEOUT_S: Final = 40.0  # A worker hands back its jobs; everything else takes a moment.

Settings = TypeVar("Settings", bound=ServiceSettings)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a service is given; whoever opened it closes it."""

    bus: EventBus
    connect: Callable[[str], Channel]  #: `dns:///host:port` or `local:<service>` → a channel for generated stubs.
    clock: Clock = field(default_factory=SystemClock)
    opened_database: Database | None = None  #: None for a service that keeps nothing.

    @property
    def database(self) -> Database:
        """The service's own database. Only for services whose settings name one."""
        if self.opened_database is None:
            raise ValueError("database_url is not set")
        return self.opened_database


class App(Protocol):
    """A service, wired. One with long polls or streams also has `async drain()`: let them end, the stop begins.

    One whose stop may take longer than APP_STOP_TIMEOUT_S has `stop_timeout_s`.
    """

    def register(self, server: AnyServer) -> None:
        """Put the servicers on a server."""
        ...

    async def start(self) -> None:
        """Begin the background work."""
        ...

    async def stop(self) -> None:
        """End the background work; what is left undone is found again by the next process."""
        ...


def open_bus(url: str) -> EventBus:
    """Return the bus at `url`: `local` or `nats://host:port`. Raises ValueError for anything else."""
    if url == LOCAL_EVENTS:
        return InProcessBus()
    if not url.startswith("nats://"):
        raise ValueError(f"events_url must be local or nats://host:port, not {url.partition('@')[2] or url!r}")
    from kit.events.jetstream import JetStreamBus

    return JetStreamBus(url)


def host(
    life: Lifecycle,
    settings: Settings,
    build: Callable[[Settings, Resources], App],
    *,
    name: str,
    package: str,
    bus: EventBus,
    directory: LocalDirectory | None = None,
    clock: Clock | None = None,
    background: bool = True,
) -> App:
    """Wire a service and add its parts to `life`. With a directory its server is in-process.

    `package` holds the migrations. Without `background` the service only answers calls: what an operator's tool wants
    that works on the databases of a deployment whose own processes may be running. Raises ValueError for settings that
    cannot work.
    """
    database = open_database(settings.database_url, clock=clock) if settings.database_url else None
    signer = IdentitySigner(name, settings.internal_secret)
    channels: list[Channel] = []

    def connect_to(target: str) -> Channel:
        channel = connect(target, identity=signer, directory=directory)
        channels.append(channel)
        return channel

    async def prepare() -> None:
        if database is not None:
            await asyncio.to_thread(migrate, settings.database_url, package)
            await database.ping()

    async def ready() -> bool:
        if database is not None:
            await database.ping()
        return bus.ready

    async def close_database() -> None:
        if database is not None:
            await database.close()

    async def close_channels() -> None:
        for channel in channels:
            await channel.close()

    app = build(
        settings, Resources(opened_database=database, bus=bus, connect=connect_to, clock=clock or SystemClock())
    )
    server = open_server(name, settings, ready=ready, directory=directory)
    app.register(server)
    life.add(f"{name} database", start=prepare, stop=close_database)
    life.add(f"{name} channels", stop=close_channels)
    if background:
        stop_timeout_s = getattr(app, "stop_timeout_s", APP_STOP_TIMEOUT_S)
        life.add(name, start=app.start, stop=app.stop, stop_timeout_s=stop_timeout_s)
    grace_s = settings.drain_wait_s + settings.stop_grace_s
    life.add(f"{name} server", start=server.start, stop=server.stop, stop_timeout_s=grace_s + STOP_SLACK_S)
    drain = getattr(app, "drain", None)
    if drain is not None:  # Added last, so it stops first: the server need not wait for long polls and streams.
        life.add(f"{name} drain", stop=drain)
    return app


def serve(settings: Settings, build: Callable[[Settings, Resources], App], *, name: str, package: str) -> None:
    """Run one service as a process of its own until SIGTERM or SIGINT."""
    configure(name, level=settings.log_level, format=settings.log_format)
    crash.check()

    async def run() -> None:
        life = Lifecycle()
        metrics = MetricsPage(settings.metrics_listen)
        life.add("metrics", start=metrics.start, stop=metrics.stop)
        bus = open_bus(settings.events_url)
        host(life, settings, build, name=name, package=package, bus=bus)
        # After the service's server: an event may make its handler call back into it.
        life.add("bus", start=bus.start, stop=bus.stop)
        await life.run_until_signal()

    uvloop.run(run())
