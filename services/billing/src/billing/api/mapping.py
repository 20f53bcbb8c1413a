"""Proto ↔ domain, and nowhere else."""

from collections.abc import Mapping
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from atelier.billing.v1 import hold_pb2, hold_service_pb2, wallet_service_pb2
from atelier.common.v1 import money_pb2
from atelier.events.v1 import billing_events_pb2
from billing.domain import (
    Adjustment,
    Amount,
    Balance,
    Entry,
    Grant,
    Hold,
    HoldOrder,
    HoldState,
    Price,
    PriceOption,
    Proof,
    Settlement,
    Unit,
    fingerprint,
)
from kit.errors import PageTokenInvalid
from kit.events import Event

HOLD_RESOLVED: Final = "atelier.billing.v1.hold_resolved"
_UNIT_OF: Final[Mapping[int, Unit]] = {
    money_pb2.UNIT_POINTS: Unit.POINTS,
    money_pb2.UNIT_COUNT: Unit.COUNT,
    money_pb2.UNIT_FEN: Unit.FEN,
}
_PROTO_UNIT: Final = {
    Unit.POINTS: money_pb2.UNIT_POINTS,
    Unit.COUNT: money_pb2.UNIT_COUNT,
    Unit.FEN: money_pb2.UNIT_FEN,
}
_PROTO_STATE: Final = {
    HoldState.HELD: hold_pb2.HOLD_STATE_HELD,
    HoldState.CAPTURED: hold_pb2.HOLD_STATE_CAPTURED,
    HoldState.RELEASED: hold_pb2.HOLD_STATE_RELEASED,
    HoldState.TIMED_OUT: hold_pb2.HOLD_STATE_TIMED_OUT,
}
_TOKEN_CHECK_CHARS: Final = 16  # Catches mistakes; the client comes from the request, so nothing depends on secrecy.


def to_timestamp(ms: int) -> Timestamp:
    """Unix milliseconds as a Timestamp."""
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def to_ms(timestamp: Timestamp) -> int:
    """A Timestamp in unix milliseconds; what is finer is cut off."""
    return timestamp.seconds * 1000 + timestamp.nanos // 1_000_000


def to_hold_order(request: hold_service_pb2.PlaceHoldRequest, *, client_id: str) -> HoldOrder:
    """What PlaceHold asks, for the client of the call's identity."""
    options = tuple(
        PriceOption(unit=_UNIT_OF[option.unit], amount_per_output=option.amount_per_output)
        for option in request.price.options
    )
    return HoldOrder(
        hold_id=request.hold_id,
        client_id=client_id,
        price=Price(options=options, outputs=request.price.outputs, catalog_version=request.price.catalog_version),
        expire_ms=to_ms(request.expire_time),
        model=request.model,
    )


def to_settlement(request: hold_service_pb2.SettleHoldRequest) -> Settlement:
    """What SettleHold asks."""
    return Settlement(hold_id=request.hold_id, amount=request.amount)


def to_grant(request: wallet_service_pb2.GrantRequest) -> Grant:
    """What Grant asks."""
    return Grant(
        id=request.grant_id,
        client_id=request.client_id,
        amount=Amount(unit=_UNIT_OF[request.amount.unit], value=request.amount.value),
        note=request.note,
    )


def to_adjustment(request: wallet_service_pb2.AdjustRequest) -> Adjustment:
    """What Adjust asks."""
    return Adjustment(
        id=request.adjustment_id,
        client_id=request.client_id,
        unit=_UNIT_OF[request.unit],
        delta=request.delta,
        reason=request.reason,
        author=request.author,
    )


def from_hold(hold: Hold) -> hold_pb2.Hold:
    """The hold as it stands."""
    return hold_pb2.Hold(
        id=hold.id,
        client_id=hold.client_id,
        state=_PROTO_STATE[hold.state],
        amount=_from_amount(hold.unit, hold.amount),
        amount_per_output=hold.amount_per_output,
        outputs=hold.outputs,
        captured=hold.captured,
        create_time=to_timestamp(hold.create_ms),
        expire_time=to_timestamp(hold.expire_ms),
        resolve_time=None if hold.resolve_ms is None else to_timestamp(hold.resolve_ms),
        model=hold.model,
        outcome=hold.end.outcome,
        reason=hold.end.reason,
        provider=hold.end.provider,
        provider_cost_fen=hold.end.provider_cost_fen,
    )


def from_balance(balance: Balance) -> wallet_service_pb2.Balance:
    """One unit of a wallet."""
    return wallet_service_pb2.Balance(
        unit=_PROTO_UNIT[balance.unit], available=balance.available, held=balance.held, spent=balance.spent
    )


def from_entry(entry: Entry) -> wallet_service_pb2.Entry:
    """One line of a statement."""
    return wallet_service_pb2.Entry(
        transaction_id=entry.transaction_id,
        kind=entry.kind.value,
        account=entry.account.value,
        unit=_PROTO_UNIT[entry.unit],
        delta=entry.delta,
        job_id=entry.job_id,
        note=entry.note,
        time=to_timestamp(entry.time_ms),
    )


def from_proof(proof: Proof) -> wallet_service_pb2.VerifyLedgerResponse:
    """The result of a check of the books."""
    faults = [
        wallet_service_pb2.LedgerFault(rule=fault.rule, subject=fault.subject, detail=fault.detail)
        for fault in proof.faults
    ]
    return wallet_service_pb2.VerifyLedgerResponse(
        faults=faults,
        transactions=proof.transactions,
        postings=proof.postings,
        accounts=proof.accounts,
        holds_open=proof.holds_open,
    )


def hold_resolved_event(hold: Hold) -> Event:
    """The event of a resolved hold. A hold resolves once, so its id makes the event's."""
    assert hold.resolve_ms is not None
    event_id = f"hold_resolved:{hold.id}"
    payload = billing_events_pb2.HoldResolved(
        event_id=event_id,
        hold_id=hold.id,
        client_id=hold.client_id,
        amount=_from_amount(hold.unit, hold.amount),
        captured=hold.captured,
        occur_time=to_timestamp(hold.resolve_ms),
    )
    return Event(id=event_id, subject=HOLD_RESOLVED, payload=payload.SerializeToString(), key=hold.id)


def to_page_token(before: tuple[int, int] | None, *, query: tuple[str, ...]) -> str:
    """The token of the page that begins before this position of the `query`'s result; empty when there is none."""
    if before is None:
        return ""
    number, line = before
    return f"{number}.{line}.{fingerprint(*query, number, line)[:_TOKEN_CHECK_CHARS]}"


def from_page_token(token: str, *, query: tuple[str, ...]) -> tuple[int, int] | None:
    """The position a token stands for; None for the first page. Raises PageTokenInvalid for one of another query."""
    if not token:
        return None
    number, _, rest = token.partition(".")
    line, _, _ = rest.partition(".")
    if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in (number, line)):
        raise PageTokenInvalid(field="page_token")
    before = int(number), int(line)
    if to_page_token(before, query=query) != token:
        raise PageTokenInvalid(field="page_token")
    return before


def _from_amount(unit: Unit, value: int) -> money_pb2.Amount:
    return money_pb2.Amount(unit=_PROTO_UNIT[unit], value=value)
