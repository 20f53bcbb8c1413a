"""Statements on paper: one client's postings, jobs or days as a table, CSV or JSON, written page by page."""

import csv
import io
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
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
    columns, read = _READINGS[asked.by]
    span = {
        "client_id": client_id,
        "start_time": to_moment(asked.begin),
        "end_time": to_moment(asked.end, day_ends=True),
    }
    most = asked.lines_max
    if most is None:
        most = LINES_IN_A_TABLE if asked.format == "table" else 0
    writer = _WRITERS[asked.format]()
    writer.begin(columns)
    async with stubs(place) as operator:
        written = 0
        async for line in read(operator, span):
            writer.write(line)
            written += 1
            if written == most:
                break
    writer.end()


async def _postings(operator: OperatorStubs, span: Mapping[str, Any]) -> AsyncIterator[Line]:
    token = ""
    while True:
        request = wallet_pb2.ListEntriesRequest(**span, page_size=PAGE_LINES, page_token=token)
        answer = await operator.wallets.ListEntries(request, timeout=PAGE_TIMEOUT_S)
        for one in answer.entries:
            yield {
                "time": from_moment(one.time),
                "kind": one.kind,
                "account": one.account,
                "change": one.delta,
                "unit": UNIT_NAMES[one.unit],
                "job": one.job_id,
                "note": one.note,
                "transaction": one.transaction_id,
            }
        token = answer.next_page_token
        if not token:
            return


async def _jobs(operator: OperatorStubs, span: Mapping[str, Any]) -> AsyncIterator[Line]:
    token = ""
    while True:
        request = wallet_pb2.ListJobChargesRequest(**span, page_size=PAGE_LINES, page_token=token)
        answer = await operator.wallets.ListJobCharges(request, timeout=PAGE_TIMEOUT_S)
        for one in answer.charges:
            yield {
                "accepted": from_moment(one.create_time),
                "job": one.job_id,
                "model": one.model,
                "state": hold_pb2.HoldState.Name(one.state).removeprefix("HOLD_STATE_").lower(),
                "unit": UNIT_NAMES[one.unit],
                "price": one.amount_per_output,
                "outputs": one.outputs,
                "held": one.held,
                "captured": one.captured,
                "released": one.released,
                "refunded": one.refunded,
                "outcome": one.outcome,
                "reason": one.reason,
                "provider": one.provider,
                "provider_cost_fen": one.provider_cost_fen if one.HasField("provider_cost_fen") else None,
                "settled": from_moment(one.resolve_time),
            }
        token = answer.next_page_token
        if not token:
            return


async def _days(operator: OperatorStubs, span: Mapping[str, Any]) -> AsyncIterator[Line]:
    token = ""
    while True:
        request = wallet_pb2.ListDayTotalsRequest(**span, page_size=PAGE_DAYS, page_token=token)
        answer = await operator.wallets.ListDayTotals(request, timeout=PAGE_TIMEOUT_S)
        for one in answer.totals:
            yield {
                "date": one.date,
                "unit": UNIT_NAMES[one.unit],
                "opening": one.opening,
                "granted": one.granted,
                "held": one.held,
                "captured": one.captured,
                "released": one.released,
                "refunded": one.refunded,
                "lapsed": one.lapsed,
                "adjusted": one.adjusted,
                "closing": one.closing,
            }
        token = answer.next_page_token
        if not token:
            return


_Read = Callable[[OperatorStubs, Mapping[str, Any]], AsyncIterator[Line]]
_READINGS: Final[Mapping[str, tuple[Sequence[str], _Read]]] = {
    "posting": (("time", "kind", "account", "change", "unit", "job", "note", "transaction"), _postings),
    "job": (
        (
            "accepted",
            "job",
            "model",
            "state",
            "unit",
            "price",
            "outputs",
            "held",
            "captured",
            "released",
            "refunded",
            "outcome",
            "reason",
            "provider",
            "provider_cost_fen",
            "settled",
        ),
        _jobs,
    ),
    "day": (
        (
            "date",
            "unit",
            "opening",
            "granted",
            "held",
            "captured",
            "released",
            "refunded",
            "lapsed",
            "adjusted",
            "closing",
        ),
        _days,
    ),
}


class _TableWriter:
    """For people: it needs all lines to know the widths, so it is bounded."""

    def begin(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._rows: list[list[str]] = []

    def write(self, line: Line) -> None:
        self._rows.append(["" if value is None else _plain(value) for value in line.values()])

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


def _plain(value: str | int) -> str:
    from rich.markup import escape

    return escape(str(value))
