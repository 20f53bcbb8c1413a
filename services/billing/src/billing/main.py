"""Wiring of billing: the same for a process of its own and inside the standalone."""

import asyncio
from typing import Final
from zoneinfo import ZoneInfo

from atelier.billing.v1 import hold_service_pb2_grpc, wallet_service_pb2_grpc
from billing.api import HoldService, JobEvents, WalletService
from billing.api.mapping import event_of
from billing.config import BillingSettings
from billing.jobs_client import OrchestratorFates, OrchestratorJobs
from billing.metrics import measure_open_holds, measure_proof
from billing.sql import SqlLedger
from billing.sweeper import Sweeper
from billing.usecases import (
    Adjust,
    GrantUnits,
    LapseLots,
    PlaceHold,
    ReadBooks,
    RefundJob,
    SetMark,
    SettleHold,
    Statements,
    Sweep,
    VerifyBooks,
)
from billing.usecases.settle_hold import CONSUMER
from billing.verifier import Verifier
from kit.events import OutboxRelay
from kit.rpc import AnyServer
from kit.service import Resources
from kit.tasks import end

NAME: Final = "billing"


class Billing:
    """Billing, ready to be put on a server."""

    name = NAME

    def __init__(self, settings: BillingSettings, resources: Resources) -> None:
        """Build everything; nothing runs yet."""
        ledger = SqlLedger(resources.database, announce=event_of)
        read = ReadBooks(ledger=ledger)
        settle_hold = SettleHold(ledger=ledger)
        self._holds = HoldService(
            place_hold=PlaceHold(ledger=ledger, orphan_grace_ms=round(settings.orphan_grace_s * 1000)),
            settle_hold=settle_hold,
            read=read,
        )
        jobs = resources.connect(settings.jobs_target)
        verify = VerifyBooks(ledger=ledger, jobs=OrchestratorJobs(jobs), on_proof=measure_proof)
        self._wallets = WalletService(
            grant=GrantUnits(ledger=ledger),
            adjust=Adjust(ledger=ledger),
            refund=RefundJob(ledger=ledger),
            set_mark=SetMark(ledger=ledger),
            read=read,
            statements=Statements(ledger=ledger, timezone=ZoneInfo(settings.timezone)),
            verify=verify,
        )
        self._sweeper = Sweeper(
            sweep=Sweep(ledger=ledger, fates=OrchestratorFates(jobs), settle=settle_hold),
            lapse=LapseLots(ledger=ledger),
            read=read,
            on_open_holds=measure_open_holds,
            interval_s=settings.sweep_interval_s,
        )
        self._verifier = Verifier(verify=verify, interval_s=settings.verify_interval_s)
        self._relay = OutboxRelay(resources.database, resources.bus)
        self._tasks: list[asyncio.Task[None]] = []
        resources.bus.subscribe(CONSUMER, JobEvents.SUBJECTS, JobEvents(settle_hold=settle_hold))

    def register(self, server: AnyServer) -> None:
        """Put the servicers on a server."""
        server.add(hold_service_pb2_grpc.add_HoldServiceServicer_to_server, self._holds)
        server.add(wallet_service_pb2_grpc.add_WalletServiceServicer_to_server, self._wallets)

    async def start(self) -> None:
        """Begin to send events, to sweep and to check."""
        self._tasks = [
            asyncio.create_task(self._relay.run(), name="relay-billing"),
            asyncio.create_task(self._sweeper.run(), name="sweep-billing"),
            asyncio.create_task(self._verifier.run(), name="verify-billing"),
        ]

    async def stop(self) -> None:
        """Stop all; whatever they had not done is done by the next process."""
        await end(*self._tasks)
