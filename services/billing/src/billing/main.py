"""Wiring of billing: the same for a process of its own and inside the standalone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from atelier.billing.v1 import hold_service_pb2_grpc, wallet_service_pb2_grpc
from kit.db import Database
from kit.events import EventBus, OutboxRelay
from kit.rpc import AnyServer, Channel

from billing.api import HoldService, JobEvents, WalletService
from billing.api.mapping import hold_resolved_event
from billing.config import BillingSettings
from billing.jobs_client import OrchestratorFates
from billing.metrics import measure_proof
from billing.sql import SqlLedger
from billing.sweeper import Sweeper
from billing.usecases import Adjust, GrantUnits, PlaceHold, ReadBooks, SettleHold, Sweep
from billing.usecases.settle_hold import CONSUMER

NAME: Final = "billing"


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What billing is given; whoever opened it closes it."""

    database: Database
    bus: EventBus
    connect: Callable[[str], Channel]


class Billing:
    """Billing, ready to be put on a server."""

    name = NAME

    def __init__(self, settings: BillingSettings, resources: Resources) -> None:
        """Build everything; nothing runs yet."""
        self._relay = OutboxRelay(resources.database, resources.bus)
        ledger = SqlLedger(resources.database, announce=hold_resolved_event)
        read = ReadBooks(ledger=ledger, on_proof=measure_proof)
        place_hold = PlaceHold(ledger=ledger, orphan_grace_ms=round(settings.orphan_grace_s * 1000))
        settle_hold = SettleHold(ledger=ledger)
        fates = OrchestratorFates(resources.connect(settings.jobs_target))
        self._holds = HoldService(place_hold=place_hold, settle_hold=settle_hold, read=read)
        self._wallets = WalletService(grant=GrantUnits(ledger=ledger), adjust=Adjust(ledger=ledger), read=read)
        self._sweeper = Sweeper(
            sweep=Sweep(ledger=ledger, fates=fates, settle=settle_hold), interval_s=settings.sweep_interval_s
        )
        resources.bus.subscribe(CONSUMER, JobEvents.SUBJECTS, JobEvents(settle_hold=settle_hold))

    def register(self, server: AnyServer) -> None:
        """Put the servicers on a server."""
        server.add(hold_service_pb2_grpc.add_HoldServiceServicer_to_server, self._holds)
        server.add(wallet_service_pb2_grpc.add_WalletServiceServicer_to_server, self._wallets)

    async def start(self) -> None:
        """Begin to send events and to sweep."""

    async def stop(self) -> None:
        """Stop both."""
