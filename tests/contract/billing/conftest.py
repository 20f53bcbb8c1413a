"""Billing's use-cases on a real database of each kind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from atelier.events.v1 import billing_events_pb2
from billing.api.mapping import event_of
from billing.domain import (
    Adjustment,
    Amount,
    Grant,
    Hold,
    HoldOrder,
    JobEnd,
    Mark,
    Price,
    PriceOption,
    Proof,
    Refund,
    Settlement,
    Unit,
)
from billing.ports import Fate, FinishedJob, FinishedPage, Span
from billing.sql import SqlLedger
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
from kit.db import Database, migrate, open_database
from testkit.clock import FakeClock

GRACE_MS = 30_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/billing.db"
    return str(request.getfixturevalue("postgres_url"))


@dataclass
class FakeFates:
    """An orchestrator that knows what the test tells it; unknown ids are fenced, as the real one does."""

    known: dict[str, Fate] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    error: Exception | None = None

    async def resolve(self, job_ids: Sequence[str]) -> list[Fate]:
        self.asked.append(list(job_ids))
        if self.error is not None:
            raise self.error
        return [self.known.setdefault(job_id, Fate(job_id=job_id, fenced=True)) for job_id in job_ids]

    def alive(self, *job_ids: str) -> None:
        self.known.update({job_id: Fate(job_id=job_id) for job_id in job_ids})

    def finished(self, job_id: str, *, amount: int = 0, **end: Any) -> None:
        self.known[job_id] = Fate(job_id=job_id, finished=True, amount=amount, unit=Unit.POINTS, end=JobEnd(**end))


@dataclass
class FakeJobs:
    """The orchestrator's finished jobs, two a page."""

    jobs: list[FinishedJob] = field(default_factory=list)
    pages: int = 0

    async def page(self, token: str) -> FinishedPage:
        self.pages += 1
        begin = int(token or 0)
        end = begin + 2
        return FinishedPage(jobs=self.jobs[begin:end], next_token=str(end) if end < len(self.jobs) else "")


class House:
    """The use-cases on one database, with builders that fill in what a test is not about."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database, self.clock, self.fates, self.proofs = database, clock, FakeFates(), list[Proof]()
        self.ledger = SqlLedger(database, announce=event_of)
        self.place_hold = PlaceHold(ledger=self.ledger, orphan_grace_ms=GRACE_MS)
        self.settle_hold = SettleHold(ledger=self.ledger)
        self.grant_units = GrantUnits(ledger=self.ledger)
        self.adjust_wallet = Adjust(ledger=self.ledger)
        self.refund_job = RefundJob(ledger=self.ledger)
        self.set_mark = SetMark(ledger=self.ledger)
        self.lapse = LapseLots(ledger=self.ledger)
        self.read = ReadBooks(ledger=self.ledger)
        self.statements = Statements(ledger=self.ledger, timezone=ZoneInfo("Asia/Shanghai"))
        self.jobs = FakeJobs()
        self.verify = VerifyBooks(ledger=self.ledger, jobs=self.jobs, on_proof=self.proofs.append)
        self.sweep = Sweep(ledger=self.ledger, fates=self.fates, settle=self.settle_hold)

    async def grant(
        self, value: int, *, id: str = "grant-1", client: str = "partner-a", unit: Unit = Unit.POINTS, **more: Any
    ) -> Any:
        """`days` says when it expires, counted from now."""
        if (days := more.pop("days", None)) is not None:
            more["expire_ms"] = self.clock.now_ms() + round(days * DAY_MS)
        return await self.grant_units(Grant(id=id, client_id=client, amount=Amount(unit=unit, value=value), **more))

    async def refund(self, job: str, amount: int = 0, *, id: str = "refund-1", reason: str = "sorry") -> Any:
        return await self.refund_job(Refund(id=id, job_id=job, amount=amount, reason=reason, author="ops"))

    async def mark(self, below: int, *, client: str = "partner-a", unit: Unit = Unit.POINTS) -> Any:
        return await self.set_mark(Mark(client_id=client, unit=unit, below=below))

    async def lots(self, client: str = "partner-a") -> dict[str, int]:
        """Grant id → what is left of its lot."""
        query = text("SELECT grant_id, remaining FROM lots WHERE client_id = :client ORDER BY grant_id")
        rows = await self.database.read(lambda tx: tx.conn.execute(query, {"client": client}).all())
        return {row.grant_id: row.remaining for row in rows}

    async def told(self, kind: str) -> list[Any]:
        """The payloads of the events of one kind, oldest first."""
        query = text("SELECT payload FROM outbox WHERE subject = :subject ORDER BY seq")
        subject = {"subject": f"atelier.billing.v1.{kind}"}
        payloads = await self.database.read(lambda tx: tx.conn.execute(query, subject).scalars().all())
        message: Any = {"balance_low": billing_events_pb2.BalanceLow, "grant_lapsed": billing_events_pb2.GrantLapsed}[
            kind
        ]
        return [message.FromString(bytes(payload)) for payload in payloads]

    async def entries(self, client: str = "partner-a", *, job_id: str = "", before: Any = None, size: int = 50) -> Any:
        return await self.statements.entries(Span(client_id=client), job_id=job_id, before=before, page_size=size)

    async def adjust(self, delta: int, *, id: str = "adjust-1", client: str = "partner-a") -> Any:
        return await self.adjust_wallet(
            Adjustment(id=id, client_id=client, unit=Unit.POINTS, delta=delta, reason="a test", author="ops")
        )

    async def place(self, hold_id: str, *options: tuple[Unit, int], **changes: Any) -> Hold:
        return await self.place_hold(self.order(hold_id, *options, **changes))

    def order(self, hold_id: str, *options: tuple[Unit, int], outputs: int = 1, **changes: Any) -> HoldOrder:
        """By default 30 points for one output of partner-a."""
        price = Price(
            options=tuple(
                PriceOption(unit=unit, amount_per_output=amount) for unit, amount in options or ((Unit.POINTS, 30),)
            ),
            outputs=outputs,
            catalog_version=changes.pop("catalog_version", "v1"),
        )
        changes = {"client_id": "partner-a", "expire_ms": self.clock.now_ms() + HOUR_MS, **changes}
        return HoldOrder(hold_id=hold_id, price=price, **changes)

    async def settle(self, hold_id: str, amount: int = 0) -> Hold:
        return await self.settle_hold(Settlement(hold_id=hold_id, amount=amount))

    async def wallet(self, client: str = "partner-a", unit: Unit = Unit.POINTS) -> tuple[int, int, int]:
        """(available, held, spent)"""
        for balance in await self.read.balances(client):
            if balance.unit is unit:
                return balance.available, balance.held, balance.spent
        return 0, 0, 0

    async def count(self, table: str, where: str = "1 = 1") -> int:
        query = text(f"SELECT COUNT(*) FROM {table} WHERE {where}")
        return int(await self.database.read(lambda tx: tx.conn.execute(query).scalar_one()))

    async def total(self, table: str, column: str, where: str) -> int:
        query = text(f"SELECT COALESCE(SUM({column}), 0) FROM {table} WHERE {where}")
        return int(await self.database.read(lambda tx: tx.conn.execute(query).scalar_one()))

    async def execute(self, *statements: str) -> None:
        """Raw SQL, committed together."""

        def work(tx: Any) -> None:
            for statement in statements:
                tx.conn.exec_driver_sql(statement)

        await self.database.write(work)

    async def prove(self) -> Proof:
        proof: Proof = await self.verify(books_only=True)
        assert proof.faults == ()
        return proof


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def house(database_url: str, clock: FakeClock) -> AsyncIterator[House]:
    """Billing on a fresh database; whatever the test did, the books must be provable afterwards."""
    migrate(database_url, "billing")
    database = open_database(database_url, clock=clock)
    house = House(database, clock)
    yield house
    await house.prove()
    await database.close()


@pytest.fixture
async def tampered(database_url: str, clock: FakeClock) -> AsyncIterator[House]:
    """The same, for tests that break the books."""
    migrate(database_url, "billing")
    database = open_database(database_url, clock=clock)
    yield House(database, clock)
    await database.close()


@pytest.fixture
def at_once() -> Callable[..., Any]:
    """Run coroutines together; return their results and errors in order."""

    async def run(*coroutines: Any) -> list[Any]:
        return await asyncio.gather(*coroutines, return_exceptions=True)

    return run


@pytest.fixture
def make_house() -> type[House]:
    """For tests that open their database on a loop of their own."""
    return House
