"""Proto ↔ domain, and nowhere else."""

from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from atelier.billing.v1 import hold_pb2, hold_service_pb2, statement_pb2, wallet_service_pb2
from atelier.common.v1 import money_pb2
from atelier.events.v1 import billing_events_pb2
from billing.charge import UNIT_OF
from billing.domain import (
    Adjustment,
    Amount,
    Balance,
    BalanceFell,
    Entry,
    Grant,
    Hold,
    HoldOrder,
    HoldState,
    Mark,
    Price,
    PriceOption,
    Proof,
    Refund,
    Settlement,
    Unit,
    fingerprint,
)
from billing.domain.statement import DayTotal
from billing.ports import Announced
from kit.errors import PageTokenInvalid
from kit.events import Event

HOLD_RESOLVED: Final = "atelier.billing.v1.hold_resolved"
BALANCE_LOW: Final = "atelier.billing.v1.balance_low"
GRANT_LAPSED: Final = "atelier.billing.v1.grant_lapsed"
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
_TOKEN_DIGITS_MAX: Final = 18  # Fits 64 bits.
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
        PriceOption(unit=UNIT_OF[option.unit], amount_per_output=option.amount_per_output)
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
        amount=Amount(unit=UNIT_OF[request.amount.unit], value=request.amount.value),
        note=request.note,
        expire_ms=to_ms(request.expire_time) if request.HasField("expire_time") else None,
        priority=request.priority,
    )


def to_refund(request: wallet_service_pb2.RefundJobRequest) -> Refund:
    """What RefundJob asks."""
    return Refund(
        id=request.refund_id,
        job_id=request.job_id,
        amount=request.amount,
        reason=request.reason,
        author=request.author,
    )


def to_mark(request: wallet_service_pb2.SetLowBalanceMarkRequest) -> Mark:
    """What SetLowBalanceMark asks."""
    return Mark(client_id=request.client_id, unit=UNIT_OF[request.unit], below=request.below)


def to_adjustment(request: wallet_service_pb2.AdjustRequest) -> Adjustment:
    """What Adjust asks."""
    return Adjustment(
        id=request.adjustment_id,
        client_id=request.client_id,
        unit=UNIT_OF[request.unit],
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
        unit=_PROTO_UNIT[balance.unit],
        available=balance.available,
        held=balance.held,
        spent=balance.spent,
        expire_time=None if balance.expire_ms is None else to_timestamp(balance.expire_ms),
    )


def from_hold_as_charge(hold: Hold) -> statement_pb2.JobCharge:
    """One line of a statement by job."""
    return statement_pb2.JobCharge(
        job_id=hold.id,
        model=hold.model,
        state=_PROTO_STATE[hold.state],
        unit=_PROTO_UNIT[hold.unit],
        amount_per_output=hold.amount_per_output,
        outputs=hold.outputs,
        held=hold.amount,
        captured=hold.captured,
        released=0 if hold.state is HoldState.HELD else hold.amount - hold.captured,
        refunded=hold.refunded,
        outcome=hold.end.outcome,
        reason=hold.end.reason,
        provider=hold.end.provider,
        provider_cost_fen=hold.end.provider_cost_fen,
        create_time=to_timestamp(hold.create_ms),
        resolve_time=None if hold.resolve_ms is None else to_timestamp(hold.resolve_ms),
    )


def from_day_total(total: DayTotal) -> statement_pb2.DayTotal:
    """One line of a statement by day."""
    return statement_pb2.DayTotal(
        date=total.date,
        unit=_PROTO_UNIT[total.unit],
        opening=total.opening,
        granted=total.granted,
        held=total.held,
        captured=total.captured,
        released=total.released,
        refunded=total.refunded,
        lapsed=total.lapsed,
        adjusted=total.adjusted,
        closing=total.closing,
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
        jobs=proof.jobs,
        jobs_under_way=proof.jobs_under_way,
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


def event_of(fact: Announced) -> Event:
    """The event of whatever the books tell the house. Its id names the transaction that made it so."""
    if isinstance(fact, Hold):
        return hold_resolved_event(fact)
    payload: billing_events_pb2.BalanceLow | billing_events_pb2.GrantLapsed
    if isinstance(fact, BalanceFell):
        event_id, subject = f"balance_low:{fact.transaction_id}", BALANCE_LOW
        payload = billing_events_pb2.BalanceLow(
            event_id=event_id,
            client_id=fact.client_id,
            available=_from_amount(fact.unit, fact.available),
            below=fact.below,
            occur_time=to_timestamp(fact.time_ms),
        )
    else:
        event_id, subject = f"grant_lapsed:{fact.transaction_id}", GRANT_LAPSED
        payload = billing_events_pb2.GrantLapsed(
            event_id=event_id,
            grant_id=fact.grant_id,
            client_id=fact.client_id,
            amount=_from_amount(fact.unit, fact.amount),
            occur_time=to_timestamp(fact.time_ms),
        )
    return Event(id=event_id, subject=subject, payload=payload.SerializeToString(), key=event_id)


def to_page_token(position: tuple[int, ...] | None, *, query: tuple[object, ...]) -> str:
    """The token of the page that begins at this position of the `query`'s result; empty when there is none."""
    if position is None:
        return ""
    numbers = ".".join(map(str, position))
    return f"{numbers}.{fingerprint(*query, *position)[:_TOKEN_CHECK_CHARS]}"


def from_page_token(token: str, *, query: tuple[object, ...], numbers: int) -> tuple[int, ...] | None:
    """The position of `numbers` numbers that a token stands for; None for the first page.

    Raises PageTokenInvalid for one of another query.
    """
    if not token:
        return None
    parts = token.split(".")[:-1]
    if len(parts) != numbers or not all(
        part.isascii() and part.isdigit() and len(part) <= _TOKEN_DIGITS_MAX for part in parts
    ):
        raise PageTokenInvalid(field="page_token")
    position = tuple(map(int, parts))
    if to_page_token(position, query=query) != token:
        raise PageTokenInvalid(field="page_token")
    return position


def from_amount(amount: Amount) -> money_pb2.Amount:
    """Units of one kind."""
    return _from_amount(amount.unit, amount.value)


def _from_amount(unit: Unit, value: int) -> money_pb2.Amount:
    return money_pb2.Amount(unit=_PROTO_UNIT[unit], value=value)
