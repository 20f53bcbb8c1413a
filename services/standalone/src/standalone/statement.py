"""Statements on paper: one client's postings, jobs or days as a table, CSV or JSON, written page by page."""

import csv
import io
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Protocol

from atelier.billing.v1 import hold_pb2
from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from standalone.bootstrap import OperatorStubs
from standalone.credits import UNIT_NAMES
from standalone.operator import stubs
from standalone.place import Place
from standalone.tables import print_table
from standalone.times import from_moment, to_moment

LINES_IN_A_TABLE: Final = 50
PAGE_LINES: Final = 500
PAGE_DAYS: Final = 31
PAGE_TIMEOUT_S: Final = 60.0  # The first page by day sums up all that came before it.
#: A spreadsheet takes a text that begins so for a formula and runs it.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

Line = Mapping[str, str | int | None]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to show."""

    by: str = "posting"
    begin: str = ""
    end: str = ""
    format: str = "table"
    lines_max: int | None = None  #: 0 for all; None for what suits the format.


class Writer(Protocol):
    """Puts lines on paper one after the other."""

    def begin(self, columns: Sequence[str]) -> None: ...
    def write(self, line: Line) -> None: ...
    def end(self) -> None: ...


async def show(place: Place, client_id: str, asked: Asked) -> None:
    """Write the statement to standard output. Raises ValueError for a reading or a format that does not exist."""
    if asked.by not in _READINGS:
        raise ValueError(f"--by must be one of {', '.join(_READINGS)}")
    if asked.format not in _WRITERS:
        raise ValueError(f"--format must be one of {', '.join(_WRITERS)}")
    reading = _READINGS[asked.by]
    span = {
        "client_id": client_id,
        "start_time": to_moment(asked.begin),
        "end_time": to_moment(asked.end, day_ends=True),
    }
    most = asked.lines_max
    if most is None:
        most = LINES_IN_A_TABLE if asked.format == "table" else 0
    writer = _WRITERS[asked.format]()
    writer.begin(list(reading.columns))
    async with stubs(place) as operator:
        written = 0
        async for line in reading.lines(operator, span):
            writer.write(line)
            written += 1
            if written == most:
                break
    writer.end()


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """One way to read a statement: which call gives its pages, and what each column shows of one answer."""

    call: str
    request: Callable[..., Any]
    answers: str  #: The field of the response.
    page_size: int
    columns: Mapping[str, Callable[[Any], str | int | None]]

    async def lines(self, operator: OperatorStubs, span: Mapping[str, Any]) -> AsyncIterator[Line]:
        token = ""
        while True:
            request = self.request(**span, page_size=self.page_size, page_token=token)
            answer = await getattr(operator.wallets, self.call)(request, timeout=PAGE_TIMEOUT_S)
            for one in getattr(answer, self.answers):
                yield {column: show_one(one) for column, show_one in self.columns.items()}
            token = answer.next_page_token
            if not token:
                return


def _unit(one: Any) -> str:
    return UNIT_NAMES[one.unit]


def _state(one: Any) -> str:
    return hold_pb2.HoldState.Name(one.state).removeprefix("HOLD_STATE_").lower()


def _provider_cost(one: Any) -> int | None:
    return one.provider_cost_fen if one.HasField("provider_cost_fen") else None


_READINGS: Final[Mapping[str, _Reading]] = {
    "posting": _Reading(
        call="ListEntries",
        request=wallet_pb2.ListEntriesRequest,
        answers="entries",
        page_size=PAGE_LINES,
        columns={
            "time": lambda one: from_moment(one.time),
            "kind": attrgetter("kind"),
            "account": attrgetter("account"),
            "change": attrgetter("delta"),
            "unit": _unit,
            "job": attrgetter("job_id"),
            "note": attrgetter("note"),
            "transaction": attrgetter("transaction_id"),
        },
    ),
    "job": _Reading(
        call="ListJobCharges",
        request=wallet_pb2.ListJobChargesRequest,
        answers="charges",
        page_size=PAGE_LINES,
        columns={
            "accepted": lambda one: from_moment(one.create_time),
            "job": attrgetter("job_id"),
            "model": attrgetter("model"),
            "state": _state,
            "unit": _unit,
            "price": attrgetter("amount_per_output"),
            "outputs": attrgetter("outputs"),
            "held": attrgetter("held"),
            "captured": attrgetter("captured"),
            "released": attrgetter("released"),
            "refunded": attrgetter("refunded"),
            "outcome": attrgetter("outcome"),
            "reason": attrgetter("reason"),
            "provider": attrgetter("provider"),
            "provider_cost_fen": _provider_cost,
            "settled": lambda one: from_moment(one.resolve_time),
        },
    ),
    "day": _Reading(
        call="ListDayTotals",
        request=wallet_pb2.ListDayTotalsRequest,
        answers="totals",
        page_size=PAGE_DAYS,
        columns={
            "date": attrgetter("date"),
            "unit": _unit,
            "opening": attrgetter("opening"),
            "granted": attrgetter("granted"),
            "held": attrgetter("held"),
            "captured": attrgetter("captured"),
            "released": attrgetter("released"),
            "refunded": attrgetter("refunded"),
            "lapsed": attrgetter("lapsed"),
            "adjusted": attrgetter("adjusted"),
            "closing": attrgetter("closing"),
        },
    ),
}


class _TableWriter:
    """For people: it needs all lines to know the widths, so it is bounded."""

    def begin(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._rows: list[list[str]] = []

    def write(self, line: Line) -> None:
        self._rows.append(["" if value is None else str(value) for value in line.values()])

    def end(self) -> None:
        print_table(self._columns, self._rows)


class _CsvWriter:
    """RFC 4180: CRLF, quotes where needed, a header. Texts are kept from being formulas; numbers stay numbers."""

    def __init__(self) -> None:
        self._line = io.StringIO(newline="")
        self._csv = csv.writer(self._line, lineterminator="\r\n")

    def begin(self, columns: Sequence[str]) -> None:
        self._put(columns)

    def write(self, line: Line) -> None:
        self._put([harmless(value) if isinstance(value, str) else value for value in line.values()])

    def end(self) -> None:
        sys.stdout.flush()

    def _put(self, values: Sequence[str | int | None]) -> None:
        self._csv.writerow(values)
        sys.stdout.buffer.write(self._line.getvalue().encode())  # Past the console, which would change line ends.
        self._line.seek(0)
        self._line.truncate()


class _JsonWriter:
    """One array with an object a line."""

    def begin(self, columns: Sequence[str]) -> None:
        self._lead = "[\n"

    def write(self, line: Line) -> None:
        sys.stdout.write(self._lead + json.dumps(line, ensure_ascii=False))
        self._lead = ",\n"

    def end(self) -> None:
        sys.stdout.write("[]\n" if self._lead == "[\n" else "\n]\n")


_WRITERS: Final[Mapping[str, Callable[[], Writer]]] = {"table": _TableWriter, "csv": _CsvWriter, "json": _JsonWriter}


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: an apostrophe goes before one that looks like it."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text
