"""Billing as a whole in one process: RPCs over the in-process channel, events over the in-process bus."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from atelier.billing.v1 import (
    hold_pb2,
    hold_service_pb2,
    hold_service_pb2_grpc,
    wallet_service_pb2,
    wallet_service_pb2_grpc,
)
from atelier.common.v1 import money_pb2
from atelier.events.v1 import job_events_pb2
from atelier.jobs.v1 import job_admin_service_pb2, job_admin_service_pb2_grpc, job_pb2
from billing.api.mapping import to_timestamp
from billing.config import BillingSettings
from billing.main import Billing, Resources
from billing.metrics import ledger_drift
from kit import identity
from kit.db import migrate, open_database
from kit.errors import (
    AppError,
    ErrorReason,
    HoldAlreadyResolved,
    HoldNotFound,
    InsufficientFunds,
    InvalidArgument,
    PageTokenInvalid,
    PermissionDenied,
    Unimplemented,
)
from kit.events import Event, InProcessBus
from kit.identity import IdentitySigner
from kit.rpc import LocalDirectory, LocalServer, connect
from testkit.clock import FakeClock

SECRET = SecretStr("unit-test-secret-of-at-least-32-characters")
CALL_S = 5.0
POINTS = money_pb2.UNIT_POINTS


class FakeOrchestrator(job_admin_service_pb2_grpc.JobAdminServiceServicer):
    """Fences what it does not know."""

    def __init__(self) -> None:
        self.states: dict[str, tuple[int, int]] = {}
        self.callers: list[str] = []

    async def ResolveFate(self, request: Any, context: Any) -> Any:
        self.callers.append(identity.current().service)
        return job_admin_service_pb2.ResolveFateResponse(fates=map(self.fate, request.job_ids))

    def fate(self, job_id: str) -> job_admin_service_pb2.Fate:
        if job_id not in self.states:
            return job_admin_service_pb2.Fate(job_id=job_id, fenced=True)
        state, delivered = self.states[job_id]
        return job_admin_service_pb2.Fate(job_id=job_id, state=state, outputs_delivered=delivered)


class Desk:
    """Billing with everything around it, and stubs to call it."""

    def __init__(self, url: str) -> None:
        self.clock, self.bus, self.directory = FakeClock(), InProcessBus(), LocalDirectory()
        settings = BillingSettings(internal_secret=SECRET, database_url=url, sweep_interval_s=0.1)
        self.database = open_database(url, clock=self.clock)
        self.orchestrator = FakeOrchestrator()
        self.billing = Billing(
            settings,
            Resources(database=self.database, bus=self.bus, connect=lambda target: self.channel("billing", target)),
        )
        self.servers = [LocalServer("billing", settings), LocalServer("job-orchestrator", settings)]
        self.billing.register(self.servers[0])
        self.servers[1].add(job_admin_service_pb2_grpc.add_JobAdminServiceServicer_to_server, self.orchestrator)

    def channel(self, service: str, target: str = "local:billing") -> Any:
        return connect(target, identity=IdentitySigner(service, SECRET), directory=self.directory)

    async def start(self) -> None:
        for server in self.servers:
            self.directory.add(server)
            await server.start()
        await self.bus.start()

    async def stop(self) -> None:
        await self.billing.stop()
        for server in self.servers:
            await server.stop(1)
        await self.bus.stop()
        await self.database.close()

    def holds(self, service: str = "job-orchestrator") -> Any:
        return hold_service_pb2_grpc.HoldServiceStub(self.channel(service))

    def wallets(self, service: str = "operator") -> Any:
        return wallet_service_pb2_grpc.WalletServiceStub(self.channel(service))

    async def grant(self, value: int, **fields: Any) -> Any:
        request = {"grant_id": "g1", "client_id": "partner-a", "amount": money_pb2.Amount(unit=POINTS, value=value)}
        return await self.wallets().Grant(wallet_service_pb2.GrantRequest(**{**request, **fields}), timeout=CALL_S)

    async def place(self, hold_id: str, options: Iterable[tuple[int, int]] = ((POINTS, 30),), outputs: int = 1) -> Any:
        price = money_pb2.Price(
            options=[money_pb2.PriceOption(unit=unit, amount_per_output=amount) for unit, amount in options],  # type: ignore[arg-type]
            outputs=outputs,
        )
        request = hold_service_pb2.PlaceHoldRequest(
            hold_id=hold_id, price=price, expire_time=to_timestamp(self.clock.now_ms() + 3_600_000)
        )
        with identity.acting_as("partner-a"):
            return (await self.holds().PlaceHold(request, timeout=CALL_S)).hold

    async def balance(self) -> Any:
        with identity.acting_as("partner-a"):
            response = await self.wallets("gateway").GetBalance(wallet_service_pb2.GetBalanceRequest(), timeout=CALL_S)
        return [(line.unit, line.available, line.held, line.spent) for line in response.balances]

    async def hold(self, hold_id: str) -> Any:
        request = hold_service_pb2.GetHoldRequest(hold_id=hold_id)
        return (await self.holds().GetHold(request, timeout=CALL_S)).hold

    async def settle(self, hold_id: str, outputs: int) -> Any:
        request = hold_service_pb2.SettleHoldRequest(hold_id=hold_id, outputs_delivered=outputs)
        return (await self.holds().SettleHold(request, timeout=CALL_S)).hold

    async def publish(self, kind: str, job_id: str, event_id: str = "evt-1", **fields: Any) -> None:
        message = getattr(job_events_pb2, kind)(
            header=job_events_pb2.JobEventHeader(event_id=event_id, job_id=job_id), **fields
        )
        subject = {"JobSucceeded": "job_succeeded", "JobFailed": "job_failed", "JobExpired": "job_expired"}
        await self.bus.publish(
            Event(
                id=event_id,
                subject=f"atelier.jobs.v1.{subject.get(kind, 'job_cancelled')}",
                payload=message.SerializeToString(),
                key=job_id,
            )
        )


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    url = f"sqlite:///{tmp_path}/billing.db"
    migrate(url, "billing")
    desk = Desk(url)
    await desk.start()
    yield desk
    await desk.stop()


async def test_a_hold_crosses_the_wire_whole(desk: Desk) -> None:
    granted = await desk.grant(100)
    assert (granted.balance.available, granted.reused) == (100, False)
    hold = await desk.place("job-1", outputs=2)
    assert (hold.id, hold.client_id, hold.state) == ("job-1", "partner-a", hold_pb2.HOLD_STATE_HELD)
    assert (hold.amount.unit, hold.amount.value, hold.amount_per_output, hold.outputs) == (POINTS, 60, 30, 2)
    assert not hold.HasField("resolve_time")
    assert await desk.hold("job-1") == hold
    settled = await desk.settle("job-1", 1)
    assert (settled.state, settled.captured) == (hold_pb2.HOLD_STATE_CAPTURED, 30)
    assert settled.resolve_time == to_timestamp(desk.clock.now_ms())
    assert await desk.balance() == [(POINTS, 70, 0, 30)]


async def test_refusals_carry_their_reason_and_facts(desk: Desk) -> None:
    await desk.grant(29)
    with pytest.raises(InsufficientFunds) as refused:
        await desk.place("job-1")
    assert refused.value.metadata == {"points_requested": "30", "points_available": "29"}
    for attempt, error in (
        (desk.settle("job-1", 1), HoldNotFound),
        (desk.hold("job-1"), HoldNotFound),
        (desk.place("job 1", [(POINTS, 0)]), InvalidArgument),
        (desk.place("job-1", []), InvalidArgument),
        (desk.place("job-1", [(0, 1)]), InvalidArgument),
        (desk.place("job-1", [(POINTS, -1)]), InvalidArgument),
        (desk.place("job-1", outputs=0), InvalidArgument),
        (desk.grant(0, grant_id="g2"), InvalidArgument),
    ):
        with pytest.raises(error):
            await attempt
    await desk.place("job-2", [(POINTS, 29)])
    await desk.settle("job-2", 0)
    with pytest.raises(HoldAlreadyResolved):
        await desk.settle("job-2", 1)


async def test_only_a_client_spends_and_only_the_house_settles(desk: Desk) -> None:
    request = hold_service_pb2.PlaceHoldRequest(
        hold_id="job-1",
        price=money_pb2.Price(options=[money_pb2.PriceOption(unit=POINTS)], outputs=1),
        expire_time=to_timestamp(1),
    )
    with pytest.raises(PermissionDenied):
        await desk.holds().PlaceHold(request, timeout=CALL_S)
    with pytest.raises(PermissionDenied):
        await desk.wallets().GetBalance(wallet_service_pb2.GetBalanceRequest(), timeout=CALL_S)
    stranger, amount = "provider-adapter", money_pb2.Amount(unit=POINTS, value=5)
    for call, message in (
        (desk.holds(stranger).SettleHold, hold_service_pb2.SettleHoldRequest(hold_id="job-1")),
        (desk.holds(stranger).GetHold, hold_service_pb2.GetHoldRequest(hold_id="job-1")),
        (desk.wallets(stranger).Grant, wallet_service_pb2.GrantRequest(grant_id="g", client_id="x", amount=amount)),
        (
            desk.wallets(stranger).Adjust,
            wallet_service_pb2.AdjustRequest(
                adjustment_id="a", client_id="x", unit=POINTS, delta=5, reason="r", author="a"
            ),
        ),
        (desk.wallets(stranger).ListEntries, wallet_service_pb2.ListEntriesRequest(client_id="x")),
        (desk.wallets(stranger).VerifyLedger, wallet_service_pb2.VerifyLedgerRequest()),
    ):
        with pytest.raises(PermissionDenied):
            await call(message, timeout=CALL_S)


async def test_what_is_not_built_yet_says_so(desk: Desk) -> None:
    with pytest.raises(Unimplemented):
        await desk.wallets().QuotePrice(wallet_service_pb2.QuotePriceRequest(model="m"), timeout=CALL_S)
    with pytest.raises(Unimplemented):
        await desk.grant(5, expire_time=to_timestamp(desk.clock.now_ms() + 1000))
    assert await desk.balance() == []


async def test_a_statement_is_read_in_pages(desk: Desk) -> None:
    await desk.grant(100)
    for number in range(3):
        await desk.place(f"job-{number}")
    entries, token = [], ""
    while True:
        request = wallet_service_pb2.ListEntriesRequest(client_id="partner-a", page_size=2, page_token=token)
        page = await desk.wallets().ListEntries(request, timeout=CALL_S)
        entries += page.entries
        token = page.next_page_token
        if not token:
            break
    assert [(entry.transaction_id, entry.account, entry.delta) for entry in entries[:2]] == [
        ("hold:job-2", "held", 30),
        ("hold:job-2", "available", -30),
    ]
    assert (len(entries), entries[-1].kind, entries[-1].note) == (7, "grant", "g1")
    other = wallet_service_pb2.ListEntriesRequest(client_id="partner-b", page_token=page.next_page_token or "1.1.x")
    with pytest.raises(PageTokenInvalid):
        await desk.wallets().ListEntries(other, timeout=CALL_S)


async def test_the_proof_crosses_the_wire_and_shows_as_a_measurement(desk: Desk) -> None:
    await desk.grant(100)
    await desk.place("job-1")
    request = wallet_service_pb2.VerifyLedgerRequest()
    sound = await desk.wallets().VerifyLedger(request, timeout=CALL_S)
    assert (list(sound.faults), sound.transactions, sound.postings, sound.accounts, sound.holds_open) == (
        [],
        2,
        4,
        5,
        1,
    )
    assert ledger_drift._value.get() == 0
    await desk.database.write(
        lambda tx: tx.conn.exec_driver_sql("UPDATE accounts SET balance = 71 WHERE kind = 'available'")
    )
    broken = await desk.wallets().VerifyLedger(request, timeout=CALL_S)
    assert [(fault.rule, fault.subject) for fault in broken.faults] == [
        ("balance_equals_postings", "available/points/partner-a")
    ]
    assert broken.faults[0].detail == "balance 71, postings sum to 70"
    assert ledger_drift._value.get() == 1


@pytest.mark.parametrize(
    ("kind", "fields", "state", "wallet"),
    [
        ("JobSucceeded", {"outputs_delivered": 1}, hold_pb2.HOLD_STATE_CAPTURED, (POINTS, 70, 0, 30)),
        ("JobSucceeded", {"outputs_delivered": 2}, hold_pb2.HOLD_STATE_CAPTURED, (POINTS, 40, 0, 60)),
        ("JobFailed", {}, hold_pb2.HOLD_STATE_RELEASED, (POINTS, 100, 0, 0)),
        ("JobExpired", {}, hold_pb2.HOLD_STATE_RELEASED, (POINTS, 100, 0, 0)),
        ("JobCancelled", {}, hold_pb2.HOLD_STATE_RELEASED, (POINTS, 100, 0, 0)),
    ],
)
async def test_a_job_that_ends_settles_its_hold_however_often_it_is_told(
    desk: Desk, kind: str, fields: dict[str, Any], state: int, wallet: tuple[int, ...]
) -> None:
    await desk.grant(100)
    await desk.place("job-1", outputs=2)
    for event_id in ("evt-1", "evt-1", "evt-1", "evt-2"):
        await desk.publish(kind, "job-1", event_id, **fields)
    assert (await desk.hold("job-1")).state == state
    assert await desk.balance() == [wallet]


async def test_events_that_cannot_be_applied_are_given_up_and_change_nothing(desk: Desk) -> None:
    await desk.grant(100)
    await desk.place("job-1")
    await desk.publish("JobSucceeded", "no-such-job", "evt-1", outputs_delivered=1)
    await desk.publish("JobSucceeded", "job-1", "evt-2", outputs_delivered=-1)
    await desk.publish("JobSucceeded", "", "evt-3")
    await desk.bus.publish(Event(id="evt-4", subject="atelier.jobs.v1.job_failed", payload=b"\xff\xff"))
    assert (await desk.hold("job-1")).state == hold_pb2.HOLD_STATE_HELD
    await desk.publish("JobFailed", "job-1", "evt-5")
    await desk.publish("JobSucceeded", "job-1", "evt-6", outputs_delivered=1)
    assert await desk.balance() == [(POINTS, 100, 0, 0)]


async def test_orphans_are_gone_soon_after_the_start(desk: Desk) -> None:
    """Placed by a process that died: no grace, no waiting for their expiry."""
    await desk.grant(120)
    for job in ("job-1", "job-2", "job-3", "job-4"):
        await desk.place(job)
    desk.orchestrator.states |= {
        "job-2": (job_pb2.JOB_STATE_RUNNING, 0),
        "job-3": (job_pb2.JOB_STATE_SUCCEEDED, 1),
        "job-4": (job_pb2.JOB_STATE_FAILED, 1),
    }
    await desk.billing.start()
    async with asyncio.timeout(5):
        while await desk.balance() != [(POINTS, 60, 30, 30)]:
            await asyncio.sleep(0.01)
    states = [(await desk.hold(f"job-{number}")).state for number in (1, 2, 3, 4)]
    assert states == [
        hold_pb2.HOLD_STATE_TIMED_OUT,
        hold_pb2.HOLD_STATE_HELD,
        hold_pb2.HOLD_STATE_CAPTURED,
        hold_pb2.HOLD_STATE_RELEASED,
    ]
    assert set(desk.orchestrator.callers) == {"billing"}


async def test_the_sweeper_survives_an_orchestrator_that_fails(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.grant(30)
    await desk.place("job-1")
    answers: list[Exception] = [
        AppError.of(ErrorReason.DEPENDENCY_UNAVAILABLE),
        RuntimeError("a bug"),
        ValueError("another"),
    ]
    honest = desk.orchestrator.fate

    def fate(job_id: str) -> Any:
        if answers:
            raise answers.pop()
        return honest(job_id)

    monkeypatch.setattr(desk.orchestrator, "fate", fate)
    await desk.billing.start()
    async with asyncio.timeout(10):
        while (await desk.hold("job-1")).state != hold_pb2.HOLD_STATE_TIMED_OUT:
            await asyncio.sleep(0.01)
    assert await desk.balance() == [(POINTS, 30, 0, 0)]


async def test_a_resolved_hold_is_told_to_whoever_listens(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/billing.db"
    migrate(url, "billing")
    desk = Desk(url)
    heard: asyncio.Queue[Event] = asyncio.Queue()
    desk.bus.subscribe("listener", ["atelier.billing.v1.hold_resolved"], heard.put)
    await desk.start()
    await desk.billing.start()
    assert await desk.billing.ready()
    await desk.grant(30)
    await desk.place("job-1")
    await desk.publish("JobSucceeded", "job-1", outputs_delivered=1)
    async with asyncio.timeout(5):
        event = await heard.get()
    assert event.id == "hold_resolved:job-1"
    await desk.stop()
