"""Grants that expire or go first: which units are spent, what lapses, and where units come back to."""

from typing import Any

import pytest

from billing.domain import Unit
from billing.domain.lots import REFUND_GRACE_MS, RETURN_GRACE_MAX_MS, RETURN_GRACE_MS
from kit.errors import Conflict, InsufficientFunds, InvalidArgument, RequestIdReused

DAY_S = 86_400
RETURN_GRACE_S = RETURN_GRACE_MS // 1000


async def test_units_are_spent_by_priority_then_by_expiry_then_by_age_and_the_rest_last(house: Any) -> None:
    await house.grant(10, id="rest")
    await house.grant(10, id="late", days=20)
    await house.grant(10, id="soon-b", days=10)
    house.clock.advance(-1)
    await house.grant(10, id="soon-a", expire_ms=house.clock.now_ms() + 10 * DAY_S * 1000 + 1000)
    house.clock.advance(1)
    await house.grant(10, id="first", priority=5)
    for number, left in enumerate(
        [
            {"first": 5, "late": 10, "soon-a": 10, "soon-b": 10},
            {"first": 0, "late": 10, "soon-a": 10, "soon-b": 10},
            {"first": 0, "late": 10, "soon-a": 5, "soon-b": 10},
            {"first": 0, "late": 10, "soon-a": 0, "soon-b": 10},
            {"first": 0, "late": 10, "soon-a": 0, "soon-b": 5},
            {"first": 0, "late": 10, "soon-a": 0, "soon-b": 0},
            {"first": 0, "late": 5, "soon-a": 0, "soon-b": 0},
            {"first": 0, "late": 0, "soon-a": 0, "soon-b": 0},
            {"first": 0, "late": 0, "soon-a": 0, "soon-b": 0},
        ]
    ):
        await house.place(f"job-{number}", (Unit.POINTS, 5))
        assert await house.lots() == left
    assert await house.wallet() == (5, 45, 0)


async def test_a_wallet_without_lots_knows_nothing_of_them(house: Any) -> None:
    await house.grant(100)
    await house.place("job-1")
    await house.settle("job-1", 10)
    await house.adjust(-5)
    await house.refund("job-1")
    assert (await house.count("lots"), await house.count("draws")) == (0, 0)
    assert await house.wallet() == (95, 0, 0)


async def test_what_is_given_back_returns_to_the_lot_that_was_drawn_last(house: Any) -> None:
    await house.grant(10, id="a", days=1)
    await house.grant(10, id="b", days=2)
    await house.grant(10, id="rest")
    await house.place("job-1", (Unit.POINTS, 25))
    assert await house.lots() == {"a": 0, "b": 0}
    await house.settle("job-1", 8)  # The earliest 8 are spent: 5 return to the rest, 10 to b, 2 to a.
    assert await house.lots() == {"a": 2, "b": 10}
    assert await house.wallet() == (22, 0, 8)
    await house.refund("job-1", 3)
    await house.refund("job-1", id="refund-2")
    assert await house.lots() == {"a": 10, "b": 10}
    assert await house.wallet() == (30, 0, 0)


async def test_a_released_hold_leaves_the_lots_as_they_were(house: Any) -> None:
    await house.grant(10, id="a", days=1)
    await house.grant(10, id="b", priority=1)
    await house.place("job-1", (Unit.POINTS, 15))
    assert await house.lots() == {"a": 5, "b": 0}
    await house.settle("job-1")
    assert await house.lots() == {"a": 10, "b": 10}
    assert await house.count("draws") == 4


async def test_expired_units_are_neither_shown_nor_spent_even_before_the_sweeper_came(house: Any) -> None:
    await house.grant(50, id="lot", days=1)
    await house.grant(30, id="rest")
    [balance] = await house.read.balances("partner-a")
    assert balance.expire_ms == house.clock.now_ms() + DAY_S * 1000
    house.clock.advance(DAY_S - 1)
    assert await house.wallet() == (80, 0, 0)
    house.clock.advance(1)
    assert await house.wallet() == (30, 0, 0)
    assert (await house.read.balances("partner-a"))[0].expire_ms is None
    with pytest.raises(InsufficientFunds) as refused:
        await house.place("job-1", (Unit.POINTS, 31))
    assert refused.value.metadata == {"points_requested": "31", "points_available": "30"}
    with pytest.raises(InsufficientFunds):
        await house.adjust(-31)
    assert await house.count("transactions", "kind = 'expire'") == 0
    await house.place("job-1", (Unit.POINTS, 30))
    assert await house.wallet() == (0, 30, 0)
    assert await house.count("transactions", "id = 'expire:lot:1'") == 1


async def test_the_next_way_to_pay_is_taken_when_units_have_expired(house: Any) -> None:
    await house.grant(1, id="package", unit=Unit.COUNT, days=1)
    await house.grant(30, id="money", unit=Unit.FEN)
    house.clock.advance(DAY_S)
    hold = await house.place("job-1", (Unit.COUNT, 1), (Unit.FEN, 30))
    assert hold.unit is Unit.FEN


async def test_the_sweeper_takes_what_has_expired_and_tells_of_it_once(house: Any, at_once: Any) -> None:
    for number in range(3):
        await house.grant(10 + number, id=f"lot-{number}", client=f"client-{number % 2}", days=1)
    await house.grant(5, id="later", client="client-0", days=2)
    house.clock.advance(DAY_S)
    assert sum(await at_once(house.lapse(), house.lapse(), house.lapse())) == 3
    assert await house.lapse() == 0
    assert await house.wallet("client-0") == (5, 0, 0)
    assert await house.wallet("client-1") == (0, 0, 0)
    told = await house.told("grant_lapsed")
    assert sorted((one.grant_id, one.client_id, one.amount.value) for one in told) == [
        ("lot-0", "client-0", 10),
        ("lot-1", "client-1", 11),
        ("lot-2", "client-0", 12),
    ]
    assert await house.count("accounts", "kind = 'lapsed' AND balance > 0") == 2


async def test_units_that_we_held_when_their_lot_lapsed_can_be_spent_for_a_day(house: Any) -> None:
    await house.grant(50, id="lot", days=1)
    await house.place("job-1")
    house.clock.advance(DAY_S + 60)
    await house.settle("job-1", 10)  # The 20 that were not held lapse; the 20 that come back do not, for a day.
    assert await house.wallet() == (20, 0, 10)
    assert await house.count("transactions", "kind = 'expire'") == 1
    [balance] = await house.read.balances("partner-a")
    assert balance.expire_ms == house.clock.now_ms() + RETURN_GRACE_MS
    house.clock.advance(RETURN_GRACE_S - 1)
    await house.place("job-2", (Unit.POINTS, 5))
    house.clock.advance(1)
    assert await house.wallet() == (0, 5, 10)
    assert await house.lapse() == 1
    assert await house.count("transactions", "id = 'expire:lot:2'") == 1


async def test_holding_and_cancelling_does_not_keep_units_for_ever(house: Any) -> None:
    await house.grant(30, id="lot", days=1)
    house.clock.advance(DAY_S - 1)
    rounds = 0
    while await house.wallet() == (30, 0, 0):
        await house.place(f"job-{rounds}")
        house.clock.advance(RETURN_GRACE_S + 1)
        await house.settle(f"job-{rounds}")
        rounds += 1
        assert rounds < 20
    assert rounds == RETURN_GRACE_MAX_MS // RETURN_GRACE_MS
    await house.lapse()
    assert await house.wallet() == (0, 0, 0)


async def test_a_refund_into_a_lot_that_lapsed_can_be_spent_for_a_month(house: Any) -> None:
    await house.grant(30, id="lot", days=1)
    await house.place("job-1")
    await house.settle("job-1", 30)
    house.clock.advance(100 * DAY_S)
    await house.refund("job-1")
    assert await house.wallet() == (30, 0, 0)
    [balance] = await house.read.balances("partner-a")
    assert balance.expire_ms == house.clock.now_ms() + REFUND_GRACE_MS


async def test_a_correction_downwards_draws_like_a_job(house: Any) -> None:
    await house.grant(10, id="rest")
    await house.grant(10, id="lot", days=1)
    await house.adjust(-15)
    assert await house.lots() == {"lot": 0}
    await house.adjust(15, id="adjust-2")  # Upwards is the rest: it never expires.
    house.clock.advance(2 * DAY_S)
    assert await house.wallet() == (20, 0, 0)


@pytest.mark.parametrize("changes", [{"days": 2}, {"days": None}, {"days": 1, "priority": 1}])
async def test_the_same_grant_id_with_another_expiry_or_priority_is_refused(house: Any, changes: Any) -> None:
    await house.grant(10, id="lot", days=1)
    with pytest.raises(RequestIdReused):
        await house.grant(10, id="lot", **changes)
    assert (await house.grant(10, id="lot", days=1)).reused
    assert await house.lots() == {"lot": 10}


async def test_a_grant_is_recognised_after_it_expired_but_none_is_made_that_has(house: Any) -> None:
    expire_ms = house.clock.now_ms() + 1000
    await house.grant(10, id="lot", expire_ms=expire_ms)
    house.clock.advance(1)
    again = await house.grant(10, id="lot", expire_ms=expire_ms)
    assert (again.reused, again.balance.available) == (True, 0)
    with pytest.raises(InvalidArgument) as refused:
        await house.grant(10, id="lot-2", expire_ms=expire_ms)
    assert refused.value.field == "expire_time"
    assert await house.count("grants") == 1


async def test_a_wallet_has_a_limit_of_lots_and_spent_ones_do_not_count(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.usecases.grant.LOTS_MAX", 3)
    for number in range(3):
        await house.grant(10, id=f"lot-{number}", days=number + 1)
    with pytest.raises(Conflict):
        await house.grant(10, id="one-more", priority=1)
    assert (await house.grant(10, id="lot-1", days=2)).reused
    await house.grant(10, id="plain")
    await house.place("job-1", (Unit.POINTS, 10))
    await house.grant(10, id="one-more", priority=1)
    assert await house.wallet() == (40, 10, 0)


async def test_many_writers_in_the_same_lots_take_each_unit_once(house: Any, at_once: Any) -> None:
    for number in range(5):
        await house.grant(30, id=f"lot-{number}", days=number + 1)
    await house.grant(30, id="rest")
    results = await at_once(
        *[house.place(f"job-{number}") for number in range(12)],
        *[house.grant(30, id=f"more-{number}", days=1) for number in range(3)],
    )
    refused = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(result, InsufficientFunds) for result in refused)
    placed = 12 - len(refused)
    assert placed >= 6
    assert await house.wallet() == (270 - 30 * placed, 30 * placed, 0)
    settled = await at_once(*[house.settle(hold.id, 10) for hold in results[:12] if hold not in refused], house.lapse())
    assert not [result for result in settled if isinstance(result, BaseException)]
    assert await house.wallet() == (270 - 10 * placed, 0, 10 * placed)


async def test_ways_to_pay_in_either_order_and_the_sweeper_do_not_block_each_other(house: Any, at_once: Any) -> None:
    """Expired lots refuse the first way after its account was locked; the second way may be somebody's first."""
    for number in range(6):
        await house.grant(30, id=f"count-{number}", unit=Unit.COUNT, days=1)
        await house.grant(30, id=f"fen-{number}", unit=Unit.FEN, days=1)
    await house.grant(60, id="count-rest", unit=Unit.COUNT)
    await house.grant(60, id="fen-rest", unit=Unit.FEN)
    house.clock.advance(DAY_S)
    ways = [(Unit.COUNT, 20), (Unit.FEN, 20)]
    results = await at_once(
        *[house.place(f"job-{number}", *(ways if number % 2 else reversed(ways))) for number in range(24)],
        house.lapse(),
    )
    placed = [result for result in results[:24] if not isinstance(result, BaseException)]
    assert all(isinstance(one, InsufficientFunds) for one in results[:24] if one not in placed)
    assert len(placed) == 6
    for unit in (Unit.COUNT, Unit.FEN):
        assert await house.wallet(unit=unit) == (0, 60, 0)
    assert await house.count("transactions", "kind = 'expire'") == 12
