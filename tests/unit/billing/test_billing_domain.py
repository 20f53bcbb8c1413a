"""The nouns of billing refuse to be wrong."""

from dataclasses import replace
from typing import Any

import pytest

from billing.domain import (
    Account,
    AccountKind,
    Adjustment,
    Amount,
    Grant,
    Hold,
    HoldOrder,
    HoldState,
    Posting,
    Price,
    PriceOption,
    Settlement,
    Transaction,
    TransactionKind,
    Unit,
    fingerprint,
)
from billing.usecases import SweepRules
from kit.errors import HoldAlreadyResolved, InvalidArgument

NOW = 1_000_000


def a_hold(**changes: Any) -> Hold:
    """Thirty points each for two outputs."""
    fields = {
        "id": "job-1",
        "client_id": "partner-a",
        "unit": Unit.POINTS,
        "amount_per_output": 30,
        "outputs": 2,
        "input_hash": "h",
        "create_ms": NOW,
        "expire_ms": NOW + 60_000,
    }
    return Hold(**{**fields, **changes})


def account(kind: AccountKind, client_id: str = "partner-a", unit: Unit = Unit.POINTS) -> Account:
    return Account(kind=kind, unit=unit, client_id=client_id)


def a_transaction(*postings: tuple[Account, int]) -> Transaction:
    return Transaction(
        id="t",
        kind=TransactionKind.ADJUST,
        client_id="partner-a",
        input_hash="h",
        postings=tuple(Posting(account=place, delta=delta) for place, delta in postings),
    )


@pytest.mark.parametrize("value", [-1, 10**12 + 1, 1.0, True, "1", None])
def test_an_amount_is_a_whole_number_within_reason(value: Any) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Amount(unit=Unit.POINTS, value=value)
    assert refused.value.field == "amount.value"


@pytest.mark.parametrize(
    ("options", "outputs", "field"),
    [
        ((), 1, "price.options"),
        ((PriceOption(unit=Unit.FEN, amount_per_output=1),) * 9, 1, "price.options"),
        ((PriceOption(unit=Unit.FEN, amount_per_output=1),), 0, "price.outputs"),
        ((PriceOption(unit=Unit.FEN, amount_per_output=1),), 17, "price.outputs"),
    ],
)
def test_a_price_that_makes_no_sense_is_refused(options: tuple[PriceOption, ...], outputs: int, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Price(options=options, outputs=outputs)
    assert refused.value.field == field


@pytest.mark.parametrize("delta", [0, 0.5, True])
def test_a_posting_moves_a_whole_number_of_units(delta: Any) -> None:
    with pytest.raises(ValueError, match="whole number"):
        Posting(account=account(AccountKind.HELD), delta=delta)


def test_a_transaction_sums_to_zero_in_each_unit() -> None:
    with pytest.raises(ValueError, match="sum to zero"):
        a_transaction((account(AccountKind.AVAILABLE), 5), (account(AccountKind.HELD), -4))
    with pytest.raises(ValueError, match="sum to zero"):
        a_transaction((account(AccountKind.AVAILABLE), 5), (account(AccountKind.HELD, unit=Unit.FEN), -5))


def test_a_transaction_stays_with_its_client_and_posts_once_to_an_account() -> None:
    with pytest.raises(ValueError, match="another client"):
        a_transaction((account(AccountKind.AVAILABLE), 5), (account(AccountKind.HELD, "partner-b"), -5))
    place = account(AccountKind.AVAILABLE)
    with pytest.raises(ValueError, match="twice"):
        a_transaction((place, 5), (place, -5))


def test_accounts_are_locked_in_one_order_whatever_the_transaction() -> None:
    transaction = a_transaction(
        (account(AccountKind.ADJUST), 1),
        (account(AccountKind.REVENUE), 1),
        (account(AccountKind.HELD), 1),
        (account(AccountKind.AVAILABLE), -3),
    )
    kinds = [posting.account.kind for posting in transaction.in_lock_order]
    assert kinds == [AccountKind.AVAILABLE, AccountKind.HELD, AccountKind.REVENUE, AccountKind.ADJUST]


def test_no_client_id_imitates_another_account() -> None:
    assert account(AccountKind.HELD, "points/x").id != account(AccountKind.HELD, "x").id
    ids = {Account(kind=kind, unit=unit, client_id=name).id for kind in AccountKind for unit in Unit for name in "ab"}
    assert len(ids) == len(AccountKind) * len(Unit) * 2


@pytest.mark.parametrize(
    ("settlement", "state", "captured", "deltas"),
    [
        ({"amount": 0}, HoldState.RELEASED, 0, [60, -60]),
        ({"amount": 29}, HoldState.CAPTURED, 29, [31, -60, 29]),
        ({"amount": 60}, HoldState.CAPTURED, 60, [-60, 60]),
        ({"amount": 1, "unit": Unit.POINTS}, HoldState.CAPTURED, 1, [59, -60, 1]),
        ({"fenced": True}, HoldState.TIMED_OUT, 0, [60, -60]),
    ],
)
def test_a_hold_ends_as_settled(settlement: dict[str, Any], state: HoldState, captured: int, deltas: list[int]) -> None:
    ended = a_hold().resolve(Settlement(hold_id="job-1", **settlement), now_ms=NOW + 5)
    assert (ended.state, ended.captured, ended.resolve_ms) == (state, captured, NOW + 5)
    assert [posting.delta for posting in ended.resolving().in_lock_order] == deltas


def test_an_ended_hold_repeats_its_end_and_refuses_another() -> None:
    paid = a_hold().resolve(Settlement(hold_id="job-1", amount=30), now_ms=NOW)
    assert paid.resolve(Settlement(hold_id="job-1", amount=30), now_ms=NOW + 1) is paid
    for other in (Settlement(hold_id="job-1"), Settlement(hold_id="job-1", amount=31)):
        with pytest.raises(HoldAlreadyResolved):
            paid.resolve(other, now_ms=NOW)


def test_released_and_timed_out_are_the_same_end() -> None:
    released = a_hold().resolve(Settlement(hold_id="job-1"), now_ms=NOW)
    assert released.resolve(Settlement(hold_id="job-1", fenced=True), now_ms=NOW) is released


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_per_output": -1},
        {"outputs": 0},
        {"captured": 1},
        {"state": HoldState.CAPTURED, "captured": 61, "resolve_ms": NOW},
        {"state": HoldState.RELEASED, "captured": 1, "resolve_ms": NOW},
        {"state": HoldState.RELEASED},
        {"resolve_ms": NOW},
    ],
)
def test_a_hold_that_contradicts_itself_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises((InvalidArgument, ValueError)):
        a_hold(**changes)


def test_the_fingerprint_of_an_order_tells_money_and_not_time() -> None:
    option = PriceOption(unit=Unit.COUNT, amount_per_output=1)
    order = HoldOrder(hold_id="job-1", client_id="a", price=Price(options=(option,), outputs=1), expire_ms=1)
    assert replace(order, expire_ms=2).input_hash == order.input_hash
    others = [
        replace(order, client_id="b"),
        replace(order, price=Price(options=(option,), outputs=2)),
        replace(order, price=Price(options=(option, option), outputs=1)),
        replace(order, price=Price(options=(option,), outputs=1, catalog_version="v2")),
    ]
    assert len({order.input_hash, *(other.input_hash for other in others)}) == 5


def test_fingerprints_of_different_parts_differ() -> None:
    parts: list[tuple[object, ...]] = [("a", "b"), ("ab",), ("a", "b", ""), (["a", "b"],), ("a", 1), ("a", "1")]
    assert len({fingerprint(*part) for part in parts}) == len(parts)


def test_a_correction_needs_a_reason_an_author_and_a_size() -> None:
    whole = {"id": "a", "client_id": "c", "unit": Unit.FEN, "delta": 5, "reason": "r", "author": "o"}
    assert Adjustment(**whole).transaction().note == "r"
    for field, value in (("delta", 0), ("reason", ""), ("author", "")):
        with pytest.raises(InvalidArgument) as refused:
            Adjustment(**{**whole, field: value})
        assert refused.value.field == field


def test_a_grant_comes_from_funding() -> None:
    grant = Grant(id="g", client_id="c", amount=Amount(unit=Unit.FEN, value=7), note="order 5")
    transaction = grant.transaction()
    assert {posting.account.id: posting.delta for posting in transaction.postings} == {
        "available/fen/c": 7,
        "funding/fen/c": -7,
    }
    assert (transaction.id, transaction.note) == ("grant:g", "order 5")


@pytest.mark.parametrize(
    ("age_s", "expires_in_s", "wait_s"),
    [(30, 1000, 30), (120, 1000, 60), (30, 10, 10), (4000, 1000, 300), (4000, -5, 300)],
)
def test_the_next_look_at_a_live_job_waits_half_its_age(age_s: int, expires_in_s: int, wait_s: int) -> None:
    now_ms = NOW + age_s * 1000
    hold = a_hold(expire_ms=now_ms + expires_in_s * 1000)
    assert SweepRules().next_look_ms(hold, now_ms=now_ms) == now_ms + wait_s * 1000
