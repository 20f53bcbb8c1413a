"""`make bench-ledger`: holds and settlements a second on books with a thousand postings and with a million.

Both databases; a figure must not depend on how long the books are. The long history is written with SQL of its own,
as the use-cases would have written it, and proven before anything is measured.
"""

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import uvloop
from sqlalchemy import text

from billing.api.mapping import event_of
from billing.domain import Amount, Grant, HoldOrder, Price, PriceOption, Settlement, Unit
from billing.sql import SqlLedger
from billing.usecases import GrantUnits, PlaceHold, SettleHold
from kit.db import Database, Tx, migrate, open_database
from testkit.servers import PostgresServer

CLIENTS: Final = 200
AT_ONCE: Final = 64
ROUNDS: Final = 5
PRICE: Final = 30
POSTINGS_PER_JOB: Final = 4  # Two of the hold, two of the capture.
SIZES: Final = (1_000, 1_000_000)
GRANTED: Final = 10**9
HOUR_MS: Final = 3_600_000
PROOF_TIMEOUT_S: Final = 600.0

_JOBS: Final = "WITH RECURSIVE jobs(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM jobs WHERE i < {jobs})"
_CLIENT: Final = "'client-' || (i % {clients})"
#: Each history job: hold:<job> and resolve:<job>, numbered after the grants.
HISTORY: Final = (
    """INSERT INTO holds (id, client_id, state, unit, amount, amount_per_output, outputs, captured, refunded,
        input_hash, catalog_version, create_ms, expire_ms, resolve_ms, next_look_ms, model, outcome, reason,
        provider) {jobs}
    SELECT 'old-' || i, {client}, 'captured', 'points', {price}, {price}, 1, {price}, 0, 'h', '', 1, 2, 2, 2, '', '',
        '', '' FROM jobs""",
    """INSERT INTO transactions (number, id, kind, client_id, job_id, input_hash, note, author, create_ms) {jobs}
    SELECT 1000 + 2 * i, 'hold:old-' || i, 'hold', {client}, 'old-' || i, 'h', '', '', 1 FROM jobs""",
    """INSERT INTO transactions (number, id, kind, client_id, job_id, input_hash, note, author, create_ms) {jobs}
    SELECT 1001 + 2 * i, 'resolve:old-' || i, 'capture', {client}, 'old-' || i, 'h', '', '', 2 FROM jobs""",
    """INSERT INTO postings (number, line, account_id, delta) {jobs}
    SELECT 1000 + 2 * i, 1, 'available/points/' || {client}, -{price} FROM jobs""",
    """INSERT INTO postings (number, line, account_id, delta) {jobs}
    SELECT 1000 + 2 * i, 2, 'held/points/' || {client}, {price} FROM jobs""",
    """INSERT INTO postings (number, line, account_id, delta) {jobs}
    SELECT 1001 + 2 * i, 1, 'held/points/' || {client}, -{price} FROM jobs""",
    """INSERT INTO postings (number, line, account_id, delta) {jobs}
    SELECT 1001 + 2 * i, 2, 'revenue/points/' || {client}, {price} FROM jobs""",
    """UPDATE accounts SET balance = sums.total
    FROM (SELECT account_id, SUM(delta) AS total FROM postings GROUP BY account_id) AS sums
    WHERE sums.account_id = accounts.id""",
)
SEQUENCE: Final = (
    "SELECT setval(pg_get_serial_sequence('transactions', 'number'), (SELECT MAX(number) FROM transactions))"
)


class Books:
    """Billing's use-cases on one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ledger = SqlLedger(database, announce=event_of)
        self.place = PlaceHold(ledger=self.ledger, orphan_grace_ms=HOUR_MS)
        self.settle = SettleHold(ledger=self.ledger)

    async def prepare(self, postings: int) -> None:
        """Give every client a wallet, and all of them together a history."""
        grant = GrantUnits(ledger=self.ledger)
        for number in range(CLIENTS):
            amount = Amount(unit=Unit.POINTS, value=GRANTED)
            await grant(Grant(id=f"grant-{number}", client_id=f"client-{number}", amount=amount))
        jobs = max(1, (postings - 2 * CLIENTS) // POSTINGS_PER_JOB)
        facts = {"jobs": _JOBS.format(jobs=jobs), "client": _CLIENT.format(clients=CLIENTS), "price": PRICE}

        def write(tx: Tx) -> None:
            for statement in HISTORY:
                tx.conn.execute(text(statement.format(**facts)))
            if tx.dialect == "postgresql":
                tx.conn.execute(text(SEQUENCE))

        await self.database.write(write, timeout_s=PROOF_TIMEOUT_S)

    async def prove(self) -> tuple[int, float]:
        """Return how many postings there are and how long their proof took. Raises AssertionError for a fault."""
        begin = time.perf_counter()
        proof = await self.ledger.read(lambda books: books.prove(), timeout_s=PROOF_TIMEOUT_S)
        assert not proof.faults, proof.faults
        return proof.postings, time.perf_counter() - begin

    def order(self, number: int) -> HoldOrder:
        price = Price(options=(PriceOption(unit=Unit.POINTS, amount_per_output=PRICE),), outputs=1)
        client = f"client-{number % CLIENTS}"
        return HoldOrder(hold_id=f"job-{number}", client_id=client, price=price, expire_ms=2**42)


async def drive(work: Callable[[int], Awaitable[object]], numbers: range) -> float:
    """Do the work for every number, AT_ONCE at a time; return how many a second."""
    todo = iter(numbers)

    async def hand() -> None:
        for number in todo:
            await work(number)

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(hand())
    return len(numbers) / (time.perf_counter() - begin)


@asynccontextmanager
async def open_books(url: str, postings: int) -> AsyncIterator[Books]:
    """Fresh books with a history."""
    await asyncio.to_thread(migrate, url, "billing")
    database = open_database(url)
    try:
        books = Books(database)
        await books.prepare(postings)
        yield books
    finally:
        await database.close()


async def compare(urls: dict[int, str], *, jobs: int) -> None:
    """Measure in turns, so that what else the machine does falls on all sizes alike."""
    async with open_books(urls[SIZES[0]], SIZES[0]) as short, open_books(urls[SIZES[1]], SIZES[1]) as long:
        both = {SIZES[0]: short, SIZES[1]: long}
        for books in both.values():
            postings, proof_s = await books.prove()
            print(f"  {postings:>9,} postings proven in {proof_s:.2f} s", flush=True)
        holds: dict[int, list[float]] = {size: [] for size in SIZES}
        settlements: dict[int, list[float]] = {size: [] for size in SIZES}
        for numbers in _batches(jobs):
            for size, books in both.items():

                async def settle(number: int, books: Books = books) -> None:
                    await books.settle(Settlement(hold_id=f"job-{number}", amount=PRICE))

                async def place(number: int, books: Books = books) -> None:
                    await books.place(books.order(number))

                holds[size].append(await drive(place, numbers))
                settlements[size].append(await drive(settle, numbers))
        for name, figures in (("holds/s", holds), ("settlements/s", settlements)):
            best = {size: sorted(rates[1:])[len(rates[1:]) // 2] for size, rates in figures.items()}
            print(
                f"  {name:<14}"
                + "".join(f"{best[size]:>9,.0f} at {size:>9,}" for size in SIZES)
                + f"   ratio {best[SIZES[1]] / best[SIZES[0]]:.2f}",
                flush=True,
            )
        for books in both.values():
            await books.prove()


def _batches(jobs: int) -> Iterator[range]:
    """One to warm up and ROUNDS to measure."""
    edges = range(0, jobs * (ROUNDS + 2), jobs)
    return (range(begin, end) for begin, end in itertools.pairwise(edges))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="atelier-ledger-") as name:
        yield Path(name)


async def main(jobs: int) -> None:
    """Print the table."""
    with _folder() as folder:
        print(f"SQLite, {AT_ONCE} at once", flush=True)
        await compare({size: f"sqlite:///{folder}/{size}.db" for size in SIZES}, jobs=jobs)
        server = PostgresServer(folder=folder / "postgres", fast=False)
        await server.start()
        try:
            print(f"Postgres, {AT_ONCE} at once", flush=True)
            await compare({size: await server.create_database(f"books{size}") for size in SIZES}, jobs=jobs)
        finally:
            await server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=3_000, help="holds a round; there are six, one to warm up")
    uvloop.run(main(parser.parse_args().jobs))
