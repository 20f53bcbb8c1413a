"""Statements: by posting, by job, by day; every answer is a page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Final, Generic, TypeVar
from zoneinfo import ZoneInfo

from billing.domain import Entry, Hold, Unit
from billing.domain.checks import storable
from billing.domain.ledger import AccountKind
from billing.domain.lots import NEVER_MS
from billing.domain.statement import DayTotal, Movement, day_totals
from billing.ports import BooksReader, Ledger, Span

T = TypeVar("T")
LAST_DAY_MS: Final = NEVER_MS - 2 * 86_400_000  # The calendar ends there in every time zone.
STATEMENT_TIMEOUT_S: Final = 30.0  # The opening balance of a long history is the sum of all of it.


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """One page of a statement."""

    lines: Sequence[T]
    next_position: tuple[int, ...] | None  #: Where the next page begins; None at the end.


class Statements:
    """Answers what moved in a wallet."""

    def __init__(self, *, ledger: Ledger, timezone: ZoneInfo) -> None:
        """Use `ledger`; days are those of `timezone`."""
        self._ledger = ledger
        self._timezone = timezone

    async def entries(self, span: Span, *, job_id: str, before: tuple[int, ...] | None, page_size: int) -> Page[Entry]:
        """Return a page of postings, newest first; only one job's unless `job_id` is empty."""
        storable(span.client_id, field="client_id")
        storable(job_id, field="job_id")

        def read(books: BooksReader) -> list[Entry]:  # One more than asked tells whether there is a next page.
            return books.entries(span, job_id=job_id, before=before, limit=page_size + 1)

        found = await self._ledger.read(read, timeout_s=STATEMENT_TIMEOUT_S)
        page = found[:page_size]
        return Page(lines=page, next_position=page[-1].position if len(found) > page_size else None)

    async def jobs(self, span: Span, *, after: tuple[int, ...] | None, page_size: int) -> Page[Hold]:
        """Return a page of the holds placed in the span, oldest first."""
        storable(span.client_id, field="client_id")
        found = await self._ledger.read(
            lambda books: books.jobs(span, after=after, limit=page_size + 1), timeout_s=STATEMENT_TIMEOUT_S
        )
        page = found[:page_size]
        return Page(lines=[hold for hold, _ in page], next_position=page[-1][1] if len(found) > page_size else None)

    async def days(self, span: Span, *, after: tuple[int, ...] | None, page_size: int) -> Page[DayTotal]:
        """Return `page_size` days of the span on which something moved, oldest first, each whole.

        `after` is (the ordinal of the last day seen,).
        """
        storable(span.client_id, field="client_id")
        begin_ms = self._bounds(self._day(min(span.start_ms, LAST_DAY_MS)))[0]
        if after is not None:
            begin_ms = max(begin_ms, self._bounds(date.fromordinal(after[0]))[1])
        end_ms = self._bounds(self._day(span.end_ms - 1))[1] if 0 < span.end_ms < LAST_DAY_MS else span.end_ms
        wanted = replace(span, start_ms=begin_ms, end_ms=end_ms)
        return await self._ledger.read(
            lambda books: self._read_days(books, wanted, page_size), timeout_s=STATEMENT_TIMEOUT_S
        )

    def _read_days(self, books: BooksReader, span: Span, page_size: int) -> Page[DayTotal]:
        """Go from day to day: days without a movement cost nothing."""
        lines: list[DayTotal] = []
        balance: dict[Unit, int] | None = None
        days, last = 0, 0
        while (first_ms := books.first_movement_ms(span)) is not None:
            if days == page_size:
                return Page(lines=lines, next_position=(last,))
            day = self._day(first_ms)
            start_ms, end_ms = self._bounds(day)
            if balance is None:
                balance = _available(books.movements(replace(span, start_ms=0, end_ms=start_ms)))
            moved = books.movements(replace(span, start_ms=start_ms, end_ms=end_ms))
            lines += day_totals(day.isoformat(), balance, moved)
            for unit, delta in _available(moved).items():
                balance[unit] = balance.get(unit, 0) + delta
            days, last = days + 1, day.toordinal()
            span = replace(span, start_ms=end_ms)
        return Page(lines=lines, next_position=None)

    def _day(self, moment_ms: int) -> date:
        return datetime.fromtimestamp(moment_ms / 1000, tz=self._timezone).date()

    def _bounds(self, day: date) -> tuple[int, int]:
        """Return the first moment of a day and that of the next one: 23 to 25 hours where clocks are changed."""
        start, end = (datetime.combine(one, time(), tzinfo=self._timezone) for one in (day, day + timedelta(days=1)))
        return round(start.timestamp()) * 1000, round(end.timestamp()) * 1000


def _available(movements: Sequence[Movement]) -> dict[Unit, int]:
    sums: dict[Unit, int] = {}
    for movement in movements:
        if movement.account is AccountKind.AVAILABLE:
            sums[movement.unit] = sums.get(movement.unit, 0) + movement.delta
    return sums
