"""Wiring of billing: the same for a process of its own and inside the standalone."""

import asyncio
from typing import Final

from atelier.billing.v1 import hold_service_pb2_grpc, wallet_service_pb2_grpc
from billing.api import HoldService, JobEvents, WalletService
from billing.api.mapping import hold_resolved_event
from billing.config import BillingSettings
from billing.jobs_client import OrchestratorFates
from billing.metrics import measure_proof
from billing.sql import SqlLedger
from billing.sweeper import Sweeper
from billing.usecases import Adjust, GrantUnits, PlaceHold, ReadBooks, SettleHold, Sweep
from billing.usecases.settle_hold import CONSUMER
from kit.events import OutboxRelay
from kit.rpc import AnyServer
from kit.service import Resources

NAME: Final = "billing"


class Billing:
    """Billing, ready to be put on a server."""

    name = NAME

    def __init__(self, settings: BillingSettings, resources: Resources) -> None:
        """Build everything; nothing runs yet."""
        ledger = SqlLedger(resources.database, announce=hold_resolved_event)
        read = ReadBooks(ledger=ledger, on_proof=measure_proof)
        settle_hold = SettleHold(ledger=ledger)
        self._holds = HoldService(
            place_hold=PlaceHold(ledger=ledger, orphan_grace_ms=round(settings.orphan_grace_s * 1000)),
            settle_hold=settle_hold,
            read=read,
        )
        self._wallets = WalletService(grant=GrantUnits(ledger=ledger), adjust=Adjust(ledger=ledger), read=read)
        fates = OrchestratorFates(resources.connect(settings.jobs_target))
        self._sweeper = Sweeper(
            sweep=Sweep(ledger=ledger, fates=fates, settle=settle_hold), interval_s=settings.sweep_interval_s
        )
        self._relay = OutboxRelay(resources.database, resources.bus)
        self._tasks: list[asyncio.Task[None]] = []
        resources.bus.subscribe(CONSUMER, JobEvents.SUBJECTS, JobEvents(settle_hold=settle_hold))

    def register(self, server: AnyServer) -> None:
        """Put the servicers on a server."""
        server.add(hold_service_pb2_grpc.add_HoldServiceServicer_to_server, self._holds)
        server.add(wallet_service_pb2_grpc.add_WalletServiceServicer_to_server, self._wallets)

    async def start(self) -> None:
        """Begin to send events and to sweep."""
        self._tasks = [
            asyncio.create_task(self._relay.run(), name="relay-billing"),
            asyncio.create_task(self._sweeper.run(), name="sweep-billing"),
        ]

    async def stop(self) -> None:
        """Stop both; whatever they had not done is done by the next process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
