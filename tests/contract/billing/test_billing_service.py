"""Billing as a whole, called from outside: in one process on SQLite, and over real gRPC, NATS and Postgres."""

import asyncio
from collections.abc import AsyncIterator, Iterable
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
from billing.main import Billing
from billing.metrics import holds_open, ledger_drift, oldest_hold_s
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
    RequestIdReused,
)
from kit.events import Event
from kit.identity import IdentitySigner
from kit.rpc import LocalDirectory, connect, open_server
from kit.service import LOCAL_EVENTS, Resources, open_bus
from testkit.clock import FakeClock

SECRET = SecretStr("unit-test-secret-of-at-least-32-characters")
CALL_S = 5.0
POINTS = money_pb2.UNIT_POINTS
SUBJECTS = {
    "JobSucceeded": "atelier.jobs.v1.job_succeeded",
    "JobFailed": "atelier.jobs.v1.job_failed",
    "JobExpired": "atelier.jobs.v1.job_expired",
    "JobCancelled": "atelier.jobs.v1.job_cancelled",
}


class FakeOrchestrator(job_admin_service_pb2_grpc.JobAdminServiceServicer):
    """Fences what it does not know."""

    def __init__(self) -> None:
        self.states: dict[str, tuple[int, int]] = {}
        self.callers: list[str] = []
        self.finished: list[job_pb2.Job] = []

    async def ResolveFate(self, request: Any, context: Any) -> Any:
        self.callers.append(identity.current().service)
        return job_admin_service_pb2.ResolveFateResponse(fates=map(self.fate, request.job_ids))

    def fate(self, job_id: str) -> job_admin_service_pb2.Fate:
        if job_id not in self.states:
            return job_admin_service_pb2.Fate(job_id=job_id, fenced=True)
        state, amount = self.states[job_id]
        charge = job_pb2.Charge(amount=points(amount)) if state >= job_pb2.JOB_STATE_SUCCEEDED else None
        return job_admin_service_pb2.Fate(job_id=job_id, state=state, charge=charge)

    async def ListAllJobs(self, request: Any, context: Any) -> Any:
        begin = int(request.page_token or 0)
        jobs = self.finished[begin : begin + 1]
        more = str(begin + 1) if begin + 1 < len(self.finished) else ""
        return job_admin_service_pb2.ListAllJobsResponse(jobs=jobs, next_page_token=more)


def points(amount: int) -> money_pb2.Amount:
    return money_pb2.Amount(unit=POINTS, value=amount)


class Desk:
    """Billing with everything around it, and stubs to call it."""

    def __init__(self, url: str, events_url: str) -> None:
        self.settings = BillingSettings(internal_secret=SECRET, database_url=url, sweep_interval_s=0.1)
        self.directory = LocalDirectory() if events_url == LOCAL_EVENTS else None
        self.clock, self.bus, self.orchestrator = FakeClock(), open_bus(events_url), FakeOrchestrator()
        self.database = open_database(url, clock=self.clock)
        self.jobs_server = open_server("job-orchestrator", self.settings, directory=self.directory)
        self.server = open_server("billing", self.settings, directory=self.directory)
        self.channels: list[Any] = []

    async def start(self) -> None:
        self.jobs_server.add(job_admin_service_pb2_grpc.add_JobAdminServiceServicer_to_server, self.orchestrator)
        await self.jobs_server.start()
        settings = self.settings.model_copy(update={"jobs_target": self.target(self.jobs_server)})
        resources = Resources(
            opened_database=self.database, bus=self.bus, connect=lambda target: self.channel("billing", target)
        )
        self.billing = Billing(settings, resources)
        self.billing.register(self.server)
        await self.server.start()
        await self.bus.start()

    async def stop(self) -> None:
        await self.bus.stop()
        await self.billing.stop()
        await self.server.stop(1)
        await self.jobs_server.stop(1)
        for channel in self.channels:
            await channel.close()
        await self.database.close()

    def target(self, server: Any) -> str:
        return f"local:{server.name}" if self.directory is not None else f"127.0.0.1:{server.port}"

    def channel(self, service: str, target: str) -> Any:
        self.channels.append(connect(target, identity=IdentitySigner(service, SECRET), directory=self.directory))
        return self.channels[-1]

    def holds(self, service: str = "job-orchestrator") -> Any:
        return hold_service_pb2_grpc.HoldServiceStub(self.channel(service, self.target(self.server)))

    def wallets(self, service: str = "operator") -> Any:
        return wallet_service_pb2_grpc.WalletServiceStub(self.channel(service, self.target(self.server)))

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

    async def settle(self, hold_id: str, amount: int) -> Any:
        request = hold_service_pb2.SettleHoldRequest(hold_id=hold_id, amount=amount)
        return (await self.holds().SettleHold(request, timeout=CALL_S)).hold

    async def publish(
        self, kind: str, job_id: str, event_id: str = "evt-1", *, key: str = "", charged: int = 0, **charge: Any
    ) -> None:
        """Publish a job's end; events of one `key` (by default the job's) are handled in order."""
        header = job_events_pb2.JobEventHeader(event_id=event_id, job_id=job_id)
        charge = {"amount": points(charged), **charge}
        payload = getattr(job_events_pb2, kind)(header=header, charge=charge).SerializeToString()
        await self.bus.publish(Event(id=event_id, subject=SUBJECTS[kind], payload=payload, key=key or job_id))

    async def eventually_held(self, hold_id: str, state: int) -> None:
        """Wait until the hold is in the state: over NATS an event is handled after it was published."""
        async with asyncio.timeout(20):
            while (await self.hold(hold_id)).state != state:
                await asyncio.sleep(0.01)


@pytest.fixture
def events_url(request: pytest.FixtureRequest, database_url: str) -> str:
    """Everything in one process beside SQLite, everything over the wire beside Postgres."""
    return LOCAL_EVENTS if database_url.startswith("sqlite") else str(request.getfixturevalue("nats_url"))


@pytest.fixture
async def desk(database_url: str, events_url: str) -> AsyncIterator[Desk]:
    migrate(database_url, "billing")
    desk = Desk(database_url, events_url)
    yield desk
    await desk.stop()


@pytest.fixture
async def open_desk(desk: Desk) -> Desk:
    await desk.start()
    return desk


async def test_a_hold_crosses_the_wire_whole(open_desk: Desk) -> None:
    granted = await open_desk.grant(100)
    assert (granted.balance.available, granted.reused) == (100, False)
    hold = await open_desk.place("job-1", outputs=2)
    assert (hold.id, hold.client_id, hold.state) == ("job-1", "partner-a", hold_pb2.HOLD_STATE_HELD)
    assert (hold.amount.unit, hold.amount.value, hold.amount_per_output, hold.outputs) == (POINTS, 60, 30, 2)
    assert not hold.HasField("resolve_time")
    assert await open_desk.hold("job-1") == hold
    settled = await open_desk.settle("job-1", 30)
    assert (settled.state, settled.captured) == (hold_pb2.HOLD_STATE_CAPTURED, 30)
    assert settled.resolve_time == to_timestamp(open_desk.clock.now_ms())
    assert await open_desk.balance() == [(POINTS, 70, 0, 30)]


async def test_refusals_carry_their_reason_and_facts(open_desk: Desk) -> None:
    await open_desk.grant(29)
    with pytest.raises(InsufficientFunds) as refused:
        await open_desk.place("job-1")
    assert refused.value.metadata == {"points_requested": "30", "points_available": "29"}
    for attempt, error in (
        (open_desk.settle("job-1", 30), HoldNotFound),
        (open_desk.hold("job-1"), HoldNotFound),
        (open_desk.place("job 1", [(POINTS, 0)]), InvalidArgument),
        (open_desk.place("job-1", []), InvalidArgument),
        (open_desk.place("job-1", [(0, 1)]), InvalidArgument),
        (open_desk.place("job-1", [(POINTS, -1)]), InvalidArgument),
        (open_desk.place("job-1", outputs=0), InvalidArgument),
        (open_desk.grant(0, grant_id="g2"), InvalidArgument),
    ):
        with pytest.raises(error):
            await attempt
    await open_desk.place("job-2", [(POINTS, 29)])
    await open_desk.settle("job-2", 0)
    with pytest.raises(HoldAlreadyResolved):
        await open_desk.settle("job-2", 30)


async def test_only_a_client_spends_and_only_the_house_settles(open_desk: Desk) -> None:
    request = hold_service_pb2.PlaceHoldRequest(
        hold_id="job-1",
        price=money_pb2.Price(options=[money_pb2.PriceOption(unit=POINTS)], outputs=1),
        expire_time=to_timestamp(1),
    )
    with pytest.raises(PermissionDenied):
        await open_desk.holds().PlaceHold(request, timeout=CALL_S)
    with pytest.raises(PermissionDenied):
        await open_desk.wallets().GetBalance(wallet_service_pb2.GetBalanceRequest(), timeout=CALL_S)
    stranger = "provider-adapter"
    grant = wallet_service_pb2.GrantRequest(grant_id="g", client_id="x", amount=money_pb2.Amount(unit=POINTS, value=5))
    for call, message in (
        (open_desk.holds(stranger).SettleHold, hold_service_pb2.SettleHoldRequest(hold_id="job-1")),
        (open_desk.holds(stranger).GetHold, hold_service_pb2.GetHoldRequest(hold_id="job-1")),
        (
            open_desk.wallets(stranger).Grant,
            grant,
        ),
        (
            open_desk.wallets(stranger).Adjust,
            wallet_service_pb2.AdjustRequest(
                adjustment_id="a", client_id="x", unit=POINTS, delta=5, reason="r", author="a"
            ),
        ),
        (open_desk.wallets(stranger).ListEntries, wallet_service_pb2.ListEntriesRequest(client_id="x")),
        (open_desk.wallets(stranger).ListJobCharges, wallet_service_pb2.ListJobChargesRequest(client_id="x")),
        (open_desk.wallets(stranger).ListDayTotals, wallet_service_pb2.ListDayTotalsRequest(client_id="x")),
        (
            open_desk.wallets(stranger).RefundJob,
            wallet_service_pb2.RefundJobRequest(refund_id="r", job_id="job-1", reason="r", author="a"),
        ),
        (
            open_desk.wallets(stranger).SetLowBalanceMark,
            wallet_service_pb2.SetLowBalanceMarkRequest(client_id="x", unit=POINTS),
        ),
        (open_desk.wallets(stranger).VerifyLedger, wallet_service_pb2.VerifyLedgerRequest()),
    ):
        with pytest.raises(PermissionDenied):
            await call(message, timeout=CALL_S)


async def test_a_statement_is_read_in_pages(open_desk: Desk) -> None:
    await open_desk.grant(100)
    for number in range(3):
        await open_desk.place(f"job-{number}")
    entries, token = [], ""
    while True:
        request = wallet_service_pb2.ListEntriesRequest(client_id="partner-a", page_size=2, page_token=token)
        page = await open_desk.wallets().ListEntries(request, timeout=CALL_S)
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
        await open_desk.wallets().ListEntries(other, timeout=CALL_S)


async def test_the_proof_crosses_the_wire_and_shows_as_a_measurement(open_desk: Desk) -> None:
    await open_desk.grant(100)
    await open_desk.place("job-1")
    request = wallet_service_pb2.VerifyLedgerRequest()
    sound = await open_desk.wallets().VerifyLedger(request, timeout=CALL_S)
    assert (list(sound.faults), sound.transactions, sound.postings, sound.accounts, sound.holds_open) == (
        [],
        2,
        4,
        6,
        1,
    )
    assert ledger_drift._value.get() == 0
    await open_desk.database.write(
        lambda tx: tx.conn.exec_driver_sql("UPDATE accounts SET balance = 71 WHERE kind = 'available'")
    )
    broken = await open_desk.wallets().VerifyLedger(request, timeout=CALL_S)
    assert [(fault.rule, fault.subject) for fault in broken.faults] == [
        ("balance_equals_postings", "available/points/partner-a")
    ]
    assert broken.faults[0].detail == "balance 71, postings sum to 70"
    assert ledger_drift._value.get() == 1


@pytest.mark.parametrize(
    ("kind", "charged", "state", "wallet"),
    [
        ("JobSucceeded", 30, hold_pb2.HOLD_STATE_CAPTURED, (POINTS, 70, 0, 30)),
        ("JobSucceeded", 60, hold_pb2.HOLD_STATE_CAPTURED, (POINTS, 40, 0, 60)),
        ("JobFailed", 0, hold_pb2.HOLD_STATE_RELEASED, (POINTS, 100, 0, 0)),
        ("JobFailed", 60, hold_pb2.HOLD_STATE_CAPTURED, (POINTS, 40, 0, 60)),
        ("JobExpired", 0, hold_pb2.HOLD_STATE_RELEASED, (POINTS, 100, 0, 0)),
        ("JobExpired", 7, hold_pb2.HOLD_STATE_CAPTURED, (POINTS, 93, 0, 7)),
        ("JobCancelled", 0, hold_pb2.HOLD_STATE_RELEASED, (POINTS, 100, 0, 0)),
        ("JobCancelled", 30, hold_pb2.HOLD_STATE_CAPTURED, (POINTS, 70, 0, 30)),
    ],
)
async def test_a_job_that_ends_settles_its_hold_however_often_it_is_told(
    open_desk: Desk, kind: str, charged: int, state: int, wallet: tuple[int, ...]
) -> None:
    await open_desk.grant(100)
    await open_desk.place("job-1", outputs=2)
    for event_id in ("evt-1", "evt-1", "evt-1", "evt-2"):
        await open_desk.publish(kind, "job-1", event_id, charged=charged)
    await open_desk.place("job-2", [(POINTS, 0)])  # Handled after the events of job-1.
    await open_desk.publish("JobFailed", "job-2", "evt-3", key="job-1")
    await open_desk.eventually_held("job-2", hold_pb2.HOLD_STATE_RELEASED)
    assert (await open_desk.hold("job-1")).state == state
    assert await open_desk.balance() == [wallet]


async def test_events_that_cannot_be_applied_are_given_up_and_change_nothing(open_desk: Desk) -> None:
    await open_desk.grant(100)
    await open_desk.place("job-1")
    await open_desk.place("job-2")
    await open_desk.publish("JobSucceeded", "no-such-job", "evt-1", key="job-1", charged=30)
    await open_desk.publish("JobSucceeded", "job-1", "evt-2", charged=-1)
    await open_desk.publish("JobSucceeded", "", "evt-3", key="job-1")
    nonsense = Event(id="evt-4", subject=SUBJECTS["JobFailed"], payload=b"\xff\xff", key="job-1")
    await open_desk.bus.publish(nonsense)
    await open_desk.publish("JobFailed", "job-2", "evt-5", key="job-1")
    await open_desk.eventually_held("job-2", hold_pb2.HOLD_STATE_RELEASED)
    assert (await open_desk.hold("job-1")).state == hold_pb2.HOLD_STATE_HELD
    await open_desk.publish("JobSucceeded", "job-2", "evt-6", key="job-1", charged=30)
    await open_desk.publish("JobFailed", "job-1", "evt-7")
    await open_desk.eventually_held("job-1", hold_pb2.HOLD_STATE_RELEASED)
    assert await open_desk.balance() == [(POINTS, 100, 0, 0)]


async def test_orphans_are_gone_soon_after_the_start(open_desk: Desk) -> None:
    """Placed by a process that died: no grace, no waiting for their expiry."""
    await open_desk.grant(120)
    for job in ("job-1", "job-2", "job-3", "job-4"):
        await open_desk.place(job)
    open_desk.orchestrator.states |= {
        "job-2": (job_pb2.JOB_STATE_RUNNING, 0),
        "job-3": (job_pb2.JOB_STATE_SUCCEEDED, 30),
        "job-4": (job_pb2.JOB_STATE_FAILED, 0),
    }
    await open_desk.billing.start()
    async with asyncio.timeout(5):
        while await open_desk.balance() != [(POINTS, 60, 30, 30)]:
            await asyncio.sleep(0.01)
    states = [(await open_desk.hold(f"job-{number}")).state for number in (1, 2, 3, 4)]
    assert states == [
        hold_pb2.HOLD_STATE_TIMED_OUT,
        hold_pb2.HOLD_STATE_HELD,
        hold_pb2.HOLD_STATE_CAPTURED,
        hold_pb2.HOLD_STATE_RELEASED,
    ]
    assert set(open_desk.orchestrator.callers) == {"billing"}


async def test_the_sweeper_survives_an_orchestrator_that_fails(
    open_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_desk.grant(30)
    await open_desk.place("job-1")
    answers: list[Exception] = [
        AppError.of(ErrorReason.DEPENDENCY_UNAVAILABLE),
        RuntimeError("a bug"),
        ValueError("another"),
    ]
    honest = open_desk.orchestrator.fate

    def fate(job_id: str) -> Any:
        if answers:
            raise answers.pop()
        return honest(job_id)

    monkeypatch.setattr(open_desk.orchestrator, "fate", fate)
    await open_desk.billing.start()
    async with asyncio.timeout(10):
        while (await open_desk.hold("job-1")).state != hold_pb2.HOLD_STATE_TIMED_OUT:
            await asyncio.sleep(0.01)
    assert await open_desk.balance() == [(POINTS, 30, 0, 0)]


async def test_a_resolved_hold_is_told_to_whoever_listens(desk: Desk) -> None:
    heard: asyncio.Queue[Event] = asyncio.Queue()
    desk.bus.subscribe("listener", ["atelier.billing.v1.hold_resolved"], heard.put)
    await desk.start()
    await desk.billing.start()
    await desk.grant(30)
    await desk.place("job-1")
    await desk.publish("JobSucceeded", "job-1", charged=30)
    async with asyncio.timeout(20):
        event = await heard.get()
    assert (event.id, event.key) == ("hold_resolved:job-1", "job-1")


async def test_the_operators_verbs_cross_the_wire(open_desk: Desk) -> None:
    wallets, now_ms = open_desk.wallets(), open_desk.clock.now_ms()
    granted = await open_desk.grant(100, expire_time=to_timestamp(now_ms + 60_000), priority=3)
    assert granted.balance.expire_time == to_timestamp(now_ms + 60_000)
    for changes in ({}, {"expire_time": to_timestamp(now_ms + 60_000)}):
        with pytest.raises(RequestIdReused):
            await open_desk.grant(100, **changes)
    mark = wallet_service_pb2.SetLowBalanceMarkRequest(client_id="partner-a", unit=POINTS, below=80)
    assert (await wallets.SetLowBalanceMark(mark, timeout=CALL_S)).balance.available == 100
    await open_desk.place("job-1")
    await open_desk.settle("job-1", 30)
    refund = wallet_service_pb2.RefundJobRequest(
        refund_id="r1", job_id="job-1", amount=10, reason="sorry", author="ops"
    )
    first = await wallets.RefundJob(refund, timeout=CALL_S)
    again = await wallets.RefundJob(refund, timeout=CALL_S)
    assert (first.amount.value, first.balance.available, first.reused, again.reused) == (10, 80, False, True)
    refund.amount = 11
    with pytest.raises(RequestIdReused):
        await wallets.RefundJob(refund, timeout=CALL_S)
    charges = (
        await wallets.ListJobCharges(wallet_service_pb2.ListJobChargesRequest(client_id="partner-a"), timeout=CALL_S)
    ).charges
    assert [(one.job_id, one.held, one.captured, one.released, one.refunded) for one in charges] == [
        ("job-1", 30, 30, 0, 10)
    ]
    assert not charges[0].HasField("provider_cost_fen")
    totals = (
        await wallets.ListDayTotals(wallet_service_pb2.ListDayTotalsRequest(client_id="partner-a"), timeout=CALL_S)
    ).totals
    assert [(one.granted, one.held, one.captured, one.refunded, one.closing) for one in totals] == [
        (100, 30, 30, 10, 80)
    ]


async def test_statements_are_read_in_pages_of_their_own_query_only(open_desk: Desk) -> None:
    wallets = open_desk.wallets()
    await open_desk.grant(100)
    for number in range(3):
        await open_desk.place(f"job-{number}")
        open_desk.clock.advance(86_400)
    for call, ask, field in (
        (wallets.ListJobCharges, wallet_service_pb2.ListJobChargesRequest, "charges"),
        (wallets.ListDayTotals, wallet_service_pb2.ListDayTotalsRequest, "totals"),
    ):
        page = await call(ask(client_id="partner-a", page_size=2), timeout=CALL_S)
        rest = await call(ask(client_id="partner-a", page_token=page.next_page_token), timeout=CALL_S)
        assert (len(getattr(page, field)), len(getattr(rest, field)), rest.next_page_token) == (2, 1, "")
        for other in (
            ask(client_id="partner-b", page_token=page.next_page_token),
            ask(client_id="partner-a", page_token=page.next_page_token, start_time=to_timestamp(1)),
            ask(client_id="partner-a", page_token="1.2.3.x"),
        ):
            with pytest.raises(PageTokenInvalid):
                await call(other, timeout=CALL_S)


async def test_a_finished_job_that_is_not_settled_is_found_over_the_wire(open_desk: Desk) -> None:
    await open_desk.grant(100)
    await open_desk.place("job-1")
    await open_desk.place("job-2")
    ended = to_timestamp(open_desk.clock.now_ms() - 3_600_000)
    open_desk.orchestrator.finished = [
        job_pb2.Job(id=job_id, client_id="partner-a", charged=points(0), finish_time=ended)
        for job_id in ("job-1", "job-2", "job-3")
    ]
    await open_desk.settle("job-2", 0)
    request = wallet_service_pb2.VerifyLedgerRequest()
    proof = await open_desk.wallets().VerifyLedger(request, timeout=CALL_S)
    assert (proof.jobs, proof.jobs_under_way) == (3, 0)
    assert [(fault.rule, fault.subject) for fault in proof.faults] == [
        ("finished_job_has_hold", "job-3"),
        ("finished_job_is_settled", "job-1"),
    ]
    assert ledger_drift._value.get() == 2
    request.books_only = True
    assert not (await open_desk.wallets().VerifyLedger(request, timeout=CALL_S)).faults


async def test_a_running_process_takes_away_what_expires_and_measures_what_is_held(desk: Desk) -> None:
    await desk.start()
    await desk.billing.start()
    await desk.grant(50, expire_time=to_timestamp(desk.clock.now_ms() + 1000))
    await desk.place("job-1")
    desk.orchestrator.states["job-1"] = (job_pb2.JOB_STATE_RUNNING, 0)
    desk.clock.advance(10)
    async with asyncio.timeout(20):
        while oldest_hold_s._value.get() != 10 or holds_open._value.get() != 1:
            await asyncio.sleep(0.01)
        # A round that began before the clock moved measures after it; the next one takes away.
        entries = wallet_service_pb2.ListEntriesRequest(client_id="partner-a")
        while (page := await desk.wallets().ListEntries(entries, timeout=CALL_S)).entries[0].kind != "expire":
            await asyncio.sleep(0.05)
    assert [(one.kind, one.delta, one.note) for one in page.entries[:1]] == [("expire", -20, "g1")]
