"""Any order of grants, holds, settlements, refunds, expiries, replays, crashes and sweeps keeps the books provable and
equal to a simple model.

The model is a few integers a wallet; after every step the wallet must agree with it and the proof must find nothing.
Each example works on clients and ids of its own. A few share a database: the proof after every step reads all that is
in it, and making one costs as much as some steps.
"""

import asyncio
import itertools
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from billing.domain import Hold, HoldState, Settlement, Unit
from billing.ports import Fate
from kit.db import migrate, open_database
from kit.errors import AppError, Conflict, HoldAlreadyResolved, InsufficientFunds, InvalidArgument, RequestIdReused
from testkit.clock import FakeClock
from testkit.walletmodel import Wallet

EXAMPLES = {"sqlite": 500, "postgresql": 125}  # Of each part: an example on Postgres takes as long as three.
PARTS = 4  # So that several workers share them.
STEPS = 50
EXAMPLES_PER_DATABASE = 4
CALL_TIMEOUT_S = 30.0
UNITS = st.sampled_from(list(Unit))
CLIENTS = st.sampled_from(["a", "b"])
SMALL = st.integers(1, 40)


class Crashed(Exception):
    """The process died inside a transaction: nothing of it was committed."""


class Ledger(RuleBasedStateMachine):
    """The real use-cases beside the model."""

    copies: "Copies"  # Set by the test, as are the next two.
    make_house: Callable[..., Any]
    runner: asyncio.Runner
    house: Any = None
    number = 0
    examples = itertools.count()

    holds = Bundle("holds")
    grants = Bundle("grants")

    def __init__(self) -> None:
        super().__init__()
        number = next(self.examples)
        if number % EXAMPLES_PER_DATABASE == 0:
            self.leave()
            self.enter(number)
            self.let_writes_crash()
        self.prefix = f"x{number}-"
        self.ids = (f"{self.prefix}{number:04}" for number in itertools.count())
        self.wallets: dict[tuple[str, Unit], Wallet] = defaultdict(Wallet)
        self.refunded: dict[str, int] = defaultdict(int)
        self.open: dict[str, Hold] = {}
        self.ended: dict[str, Hold] = {}
        self.touched = False

    @classmethod
    def enter(cls, number: int) -> None:
        """Open a house on a new database."""
        url, clock = cls.copies.make(number), FakeClock()

        async def open_it() -> Any:
            return cls.make_house(open_database(url, clock=clock), clock)

        cls.house, cls.number = cls.runner.run(open_it()), number

    @classmethod
    def leave(cls) -> None:
        """Leave the house and remove its database, if there is one."""
        if cls.house is not None:
            cls.runner.run(cls.house.database.close())
            cls.copies.drop(cls.number)
            cls.house = None

    def let_writes_crash(self) -> None:
        """Have the ledger die as often as `house.crashes` says, and its caller ask again, as callers do."""
        self.house.crashes = 0
        ledger, house = self.house.ledger, self.house
        write = ledger.write

        async def write_through_crashes(work: Any) -> Any:
            def doomed(books: Any) -> None:
                work(books)
                raise Crashed

            while house.crashes:
                house.crashes -= 1
                try:
                    await write(doomed)
                except Crashed:
                    continue
                except AppError:
                    raise  # It was refused before it could die.
            return await write(work)

        ledger.write = write_through_crashes

    @rule(times=st.integers(1, 3))
    def crash_in_the_next_writes(self, times: int) -> None:
        self.house.crashes = times

    def run(self, *coroutines: Any) -> list[Any]:
        async def together() -> list[Any]:
            return await asyncio.gather(*coroutines, return_exceptions=True)

        self.touched = True
        return self.runner.run(together())

    def one(self, coroutine: Any) -> Any:
        return self.run(coroutine)[0]

    def client(self, name: str) -> str:
        return self.prefix + name

    @property
    def now_ms(self) -> int:
        return int(self.house.clock.now_ms())

    def wallet(self, client: str, unit: Unit) -> Wallet:
        """The model, as of now."""
        self.wallets[client, unit].pass_time(self.now_ms)
        return self.wallets[client, unit]

    def wallet_of(self, hold: Hold) -> Wallet:
        return self.wallet(hold.client_id.removeprefix(self.prefix), hold.unit)

    @initialize(value=SMALL)
    def begin_with_something(self, value: int) -> None:
        self.grant("a", Unit.POINTS, value, None, 0)

    @rule(
        target=grants,
        client=CLIENTS,
        unit=UNITS,
        value=SMALL,
        life_s=st.sampled_from([None, None, 5, 50, 500, 50_000, 500_000]),
        priority=st.sampled_from([0, 0, 0, 1, 7]),
    )
    def grant(self, client: str, unit: Unit, value: int, life_s: int | None, priority: int) -> Any:
        expire_ms = None if life_s is None else self.now_ms + life_s * 1000
        kind: dict[str, Any] = {"priority": priority, "expire_ms": expire_ms}
        made: dict[str, Any] = {
            "value": value,
            "id": next(self.ids),
            "client": self.client(client),
            "unit": unit,
            **kind,
        }
        results = self.run(self.house.grant(**made), self.house.grant(**made))
        assert sorted(result.reused for result in results) == [False, True]
        self.wallet(client, unit).grant(made["id"], value, **kind)
        return made

    @rule(seconds=st.sampled_from([4, 45, 450, 40_000, 90_000, 700_000]), sweeps=st.integers(0, 2))
    def let_time_pass(self, seconds: int, sweeps: int) -> None:
        self.house.clock.advance(seconds)
        assert all(isinstance(lapsed, int) for lapsed in self.run(*[self.house.lapse() for _ in range(sweeps)]))

    @rule(placed=holds, amount=st.integers(0, 15), times=st.integers(1, 2))
    def refund(self, placed: Any, amount: int, times: int) -> None:
        refund_id = next(self.ids)
        results = self.run(*[self.house.refund(placed[0], amount, id=refund_id) for _ in range(times)])
        hold = self.ended.get(placed[0])
        left = hold.captured - self.refunded[hold.id] if hold else 0
        if hold is None or not 0 < (amount or left) <= left:
            assert all(isinstance(result, Conflict) for result in results)
            return
        wallet = self.wallet_of(hold)
        wallet.refund(hold.id, amount or left, self.now_ms)
        self.refunded[hold.id] += amount or left
        assert sorted(result.reused for result in results) == [False, True][:times]
        assert {result.given.value for result in results} == {amount or left}
        assert results[0].balance.available == wallet.available
        self.ended[hold.id] = replace(hold, refunded=self.refunded[hold.id])

    @rule(made=grants, more=st.integers(0, 1))
    def grant_again(self, made: Any, more: int) -> None:
        result = self.one(self.house.grant(**{**made, "value": made["value"] + more}))
        assert isinstance(result, RequestIdReused) if more else result.reused

    @rule(client=CLIENTS, delta=st.integers(-30, 30).filter(bool))
    def adjust(self, client: str, delta: int) -> None:
        made = {"id": next(self.ids), "client": self.client(client)}
        wallet = self.wallet(client, Unit.POINTS)
        for result in self.run(self.house.adjust(delta, **made), self.house.adjust(delta, **made)):
            if wallet.available + delta < 0:
                assert isinstance(result, InsufficientFunds)
            else:
                assert result.available == wallet.available + delta
        if delta > 0:
            wallet.rest += delta
        elif wallet.available + delta >= 0:
            wallet.take(-delta)

    @rule(
        target=holds,
        client=CLIENTS,
        options=st.lists(st.tuples(UNITS, st.integers(0, 12)), min_size=1, max_size=3),
        outputs=st.integers(1, 4),
        times=st.integers(1, 3),
    )
    def place(self, client: str, options: list[tuple[Unit, int]], outputs: int, times: int) -> Any:
        made = {"outputs": outputs, "client_id": self.client(client)}
        hold_id = next(self.ids)
        results = self.run(*[self.house.place(hold_id, *options, **made) for _ in range(times)])
        affordable = [
            (unit, amount) for unit, amount in options if amount * outputs <= self.wallet(client, unit).available
        ]
        if not affordable:
            assert all(isinstance(result, InsufficientFunds) for result in results)
            return multiple()
        unit, amount = affordable[0]
        assert {(hold.id, hold.unit, hold.amount, hold.state) for hold in results} == {
            (hold_id, unit, amount * outputs, HoldState.HELD)
        }
        self.wallet(client, unit).hold(hold_id, amount * outputs)
        self.open[hold_id] = results[0]
        return hold_id, options, made

    @rule(placed=holds, extra=st.integers(0, 1))
    def place_again(self, placed: Any, extra: int) -> None:
        hold_id, options, made = placed
        result = self.one(self.house.place(hold_id, *options, **{**made, "outputs": made["outputs"] + extra}))
        if extra:
            assert isinstance(result, RequestIdReused)
        else:
            assert result == (self.open.get(hold_id) or self.ended[hold_id])

    @rule(placed=holds, amount=st.integers(0, 50), deliveries=st.integers(1, 3), by_event=st.booleans())
    def settle(self, placed: Any, amount: int, deliveries: int, by_event: bool) -> None:
        settlement = Settlement(hold_id=placed[0], amount=amount)
        if by_event:
            event_id = next(self.ids)
            calls = [self.house.settle_hold.by_event(settlement, event_id=event_id) for _ in range(deliveries)]
        else:
            calls = [self.house.settle_hold(settlement) for _ in range(deliveries)]
        self.check_end(placed[0], [result for result in self.run(*calls) if result is not None], amount)

    @rule(placed=holds, first=st.integers(0, 50), second=st.integers(0, 50))
    def settle_in_two_ways_at_once(self, placed: Any, first: int, second: int) -> None:
        results = self.run(*[self.house.settle(placed[0], amount) for amount in (first, second)])
        winner = next(
            (amount for amount, hold in zip((first, second), results, strict=True) if isinstance(hold, Hold)), first
        )
        self.check_end(placed[0], results, winner)

    @rule(
        ticks=st.sampled_from([1, 31, 400]),
        fate=st.sampled_from(["fenced", "alive", "finished"]),
        amount=st.integers(0, 50),
    )
    def sweep(self, ticks: int, fate: str, amount: int) -> None:
        self.house.clock.advance(ticks)
        self.house.fates.known = {
            hold_id: Fate(
                job_id=hold_id,
                fenced=fate == "fenced",
                finished=fate == "finished",
                amount=amount if fate == "finished" else 0,
            )
            for hold_id in self.open
        }
        self.house.fates.asked.clear()
        for result in self.run(self.house.sweep(), self.house.sweep()):
            assert isinstance(result, int), result
        for hold_id in {hold_id for asked in self.house.fates.asked for hold_id in asked} & self.open.keys():
            if fate != "alive":
                end = self.one(self.house.read.hold(hold_id))
                if fate == "finished" and amount > end.amount:  # Refused, and looked at again later.
                    assert end.state is HoldState.HELD
                    continue
                assert fate == "finished" or end.state is HoldState.TIMED_OUT
                self.check_end(hold_id, [end], amount if fate == "finished" else 0)

    def check_end(self, hold_id: str, results: list[Any], captured: int) -> None:
        """The first end of a hold moves the model; later ones must repeat it or be refused, like too large ones."""
        holds = [result for result in results if isinstance(result, Hold)]
        if hold_id in self.open and not holds:
            assert captured > self.open[hold_id].amount
            assert all(isinstance(result, InvalidArgument) for result in results)
            return
        if hold_id in self.open:
            hold = self.open.pop(hold_id)
            self.wallet_of(hold).settle(hold_id, hold.amount, captured, self.now_ms)
            assert {result.captured for result in holds} == {captured}
            self.ended[hold_id] = holds[0]
        for result in results:
            refused = isinstance(result, HoldAlreadyResolved | InvalidArgument)
            assert refused or result == self.ended[hold_id]

    @invariant()
    def the_books_are_proven_and_equal_the_model(self) -> None:
        if not self.touched:
            return
        clients = ("a", "b")
        balances_of = [self.house.read.balances(self.client(client)) for client in clients]
        proof, *all_balances = self.run(self.house.verify(books_only=True), *balances_of)
        assert (proof.faults, proof.holds_open) == ((), len(self.open))
        for client, balances in zip(clients, all_balances, strict=True):
            found = {balance.unit: (balance.available, balance.held, balance.spent) for balance in balances}
            for unit in Unit:
                wallet = self.wallet(client, unit)
                assert found.get(unit, (0, 0, 0)) == (wallet.available, wallet.held, wallet.spent)

    def teardown(self) -> None:
        """Leave no open hold to the next example."""
        if self.open:
            self.run(*[self.house.settle(hold_id) for hold_id in self.open])
            for hold_id, hold in self.open.items():
                self.wallet_of(hold).settle(hold_id, hold.amount, 0, self.now_ms)
        self.one(self.house.lapse())
        lapsed = sum(wallet.lapsed for wallet in self.wallets.values())
        of_this_example = f"kind = 'lapsed' AND client_id LIKE '{self.prefix}%'"
        assert self.one(self.house.total("accounts", "balance", of_this_example)) == lapsed


class Copies:
    """Copies of a database that nobody is connected to."""

    def __init__(self, template_url: str) -> None:
        self._folder, _, self._template = template_url.rpartition("/")
        self._is_file = template_url.startswith("sqlite")
        self._path = Path(template_url.removeprefix("sqlite:///"))

    def make(self, number: int) -> str:
        """Return the address of a new copy."""
        name = f"{number}_{self._template}"
        if self._is_file:
            shutil.copyfile(self._path, self._path.with_name(name))
        else:
            self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{self._template}"')
        return f"{self._folder}/{name}"

    def drop(self, number: int) -> None:
        name = f"{number}_{self._template}"
        if self._is_file:
            self._path.with_name(name).unlink()
        else:
            self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(f"{self._folder}/postgres", timeout=CALL_TIMEOUT_S)
            try:
                await connection.execute(statement, timeout=CALL_TIMEOUT_S)
            finally:
                await connection.close(timeout=CALL_TIMEOUT_S)

        asyncio.run(execute())


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(PARTS))
def test_no_order_of_events_breaks_the_books(database_url: str, make_house: Any, part: int) -> None:
    migrate(database_url, "billing")
    with asyncio.Runner() as runner:
        shared = {"copies": Copies(database_url), "make_house": make_house, "runner": runner}
        machine: Any = type("LedgerMachine", (Ledger,), {**shared, "examples": itertools.count()})
        try:
            run_state_machine_as_test(
                seed(part)(machine),
                settings=settings(
                    max_examples=EXAMPLES[database_url.partition(":")[0]],
                    stateful_step_count=STEPS,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            machine.leave()
