"""The statements' RPCs: what moved in a wallet, in pages."""

from datetime import date
from typing import Any, Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from atelier.billing.v1 import wallet_service_pb2 as pb2
from billing.api import mapping
from billing.api.callers import OPERATORS
from billing.domain.lots import NEVER_MS
from billing.ports import Span
from billing.usecases import Statements
from kit import identity
from kit.errors import PageTokenInvalid

PAGE_SIZE_DEFAULT: Final = 50
DAYS_DEFAULT: Final = 31
_Request = TypeVar("_Request", pb2.ListEntriesRequest, pb2.ListJobChargesRequest, pb2.ListDayTotalsRequest)


class StatementRpcs:
    """A part of WalletService."""

    def __init__(self, statements: Statements) -> None:
        """Serve these use-cases."""
        self._statements = statements

    async def ListEntries(self, request: pb2.ListEntriesRequest, context: Any) -> pb2.ListEntriesResponse:
        """For operators."""
        identity.require_service(*OPERATORS)
        span = _span(request)
        query = _query("entries", span, request.job_id)
        page = await self._statements.entries(
            span,
            job_id=request.job_id,
            before=mapping.from_page_token(request.page_token, query=query, numbers=3),
            page_size=request.page_size or PAGE_SIZE_DEFAULT,
        )
        return pb2.ListEntriesResponse(
            entries=map(mapping.from_entry, page.lines),
            next_page_token=mapping.to_page_token(page.next_position, query=query),
        )

    async def ListJobCharges(self, request: pb2.ListJobChargesRequest, context: Any) -> pb2.ListJobChargesResponse:
        """For operators."""
        identity.require_service(*OPERATORS)
        span = _span(request)
        query = _query("jobs", span)
        page = await self._statements.jobs(
            span,
            after=mapping.from_page_token(request.page_token, query=query, numbers=2),
            page_size=request.page_size or PAGE_SIZE_DEFAULT,
        )
        return pb2.ListJobChargesResponse(
            charges=map(mapping.from_hold_as_charge, page.lines),
            next_page_token=mapping.to_page_token(page.next_position, query=query),
        )

    async def ListDayTotals(self, request: pb2.ListDayTotalsRequest, context: Any) -> pb2.ListDayTotalsResponse:
        """For operators."""
        identity.require_service(*OPERATORS)
        span = _span(request)
        query = _query("days", span)
        after = mapping.from_page_token(request.page_token, query=query, numbers=1)
        if after is not None and not 1 <= after[0] < date.max.toordinal():
            raise PageTokenInvalid(field="page_token")
        page = await self._statements.days(span, after=after, page_size=request.page_size or DAYS_DEFAULT)
        return pb2.ListDayTotalsResponse(
            totals=map(mapping.from_day_total, page.lines),
            next_page_token=mapping.to_page_token(page.next_position, query=query),
        )


def _span(request: _Request) -> Span:
    """What the request asks for; moments outside of what the books can hold are the ends of time."""
    start_ms = _moment_ms(request.start_time) if request.HasField("start_time") else 0
    end_ms = _moment_ms(request.end_time) if request.HasField("end_time") else NEVER_MS
    return Span(client_id=request.client_id, start_ms=start_ms, end_ms=end_ms)


def _moment_ms(timestamp: Timestamp) -> int:
    return min(max(mapping.to_ms(timestamp), 0), NEVER_MS)


def _query(kind: str, span: Span, *more: str) -> tuple[object, ...]:
    return kind, span.client_id, span.start_ms, span.end_ms, *more
