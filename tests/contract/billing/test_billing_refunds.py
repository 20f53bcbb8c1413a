"""Goodwill after a capture, and wallets that fall below their mark."""

from typing import Any

import pytest

from billing.domain import Unit
from billing.usecases.refund import Refunded
from kit.errors import Conflict, HoldNotFound, InsufficientFunds, InvalidArgument, RequestIdReused


async def captured(house: Any, amount: int = 30) -> None:
    await house.grant(100)
    await house.place("job-1")
    await house.settle("job-1", amount)


async def test_a_refund_gives_back_once_however_often_it_is_asked(house: Any, at_once: Any) -> None:
    await captured(house)
    results = await at_once(*[house.refund("job-1", 10) for _ in range(6)])
    assert sorted(result.reused for result in results) == [False] + [True] * 5
    assert {(result.given.value, result.given.unit) for result in results} == {(10, Unit.POINTS)}
    assert await house.wallet() == (80, 0, 20)
    assert (await house.read.hold("job-1")).refunded == 10


async def test_all_that_is_left_is_refunded_when_no_amount_is_named(house: Any) -> None:
    await captured(house)
    await house.refund("job-1", 10)
    rest = await house.refund("job-1", id="refund-2")
    assert (rest.given.value, rest.balance.available, rest.balance.spent) == (20, 100, 0)
    assert (await house.refund("job-1", id="refund-2")).given.value == 20
    with pytest.raises(Conflict) as refused:
        await house.refund("job-1", id="refund-3")
    assert refused.value.metadata == {"left": "0"}


async def test_never_more_is_refunded_than_was_captured_in_all(house: Any, at_once: Any) -> None:
    await captured(house, 25)
    results = await at_once(*[house.refund("job-1", 10, id=f"refund-{number}") for number in range(8)])
    assert sum(isinstance(result, Refunded) for result in results) == 2
    assert sum(isinstance(result, Conflict) for result in results) == 6
    assert await house.wallet() == (95, 0, 5)


async def test_only_what_was_spent_can_be_refunded(house: Any) -> None:
    await house.grant(100)
    with pytest.raises(HoldNotFound):
        await house.refund("job-1")
    await house.place("job-1")
    with pytest.raises(Conflict):
        await house.refund("job-1")
    await house.settle("job-1")
    with pytest.raises(Conflict):
        await house.refund("job-1", 1)
    with pytest.raises(InvalidArgument):
        await house.refund("job-1", 1, reason="")
    assert await house.wallet() == (100, 0, 0)


async def test_the_same_refund_id_with_other_fields_is_refused(house: Any) -> None:
    await captured(house)
    await house.refund("job-1", 10)
    await house.place("job-2")
    await house.settle("job-2", 30)
    for job, amount, reason in (("job-1", 11, "sorry"), ("job-1", 10, "other"), ("job-2", 10, "sorry")):
        with pytest.raises(RequestIdReused):
            await house.refund(job, amount, reason=reason)
    assert await house.wallet() == (50, 0, 50)


async def test_a_refund_is_among_the_postings_of_its_job(house: Any) -> None:
    await captured(house)
    await house.refund("job-1", 10)
    page = await house.entries(job_id="job-1")
    assert [(line.transaction_id, line.delta) for line in page.lines] == [
        ("refund:refund-1", 10),
        ("resolve:job-1", -30),
        ("hold:job-1", 30),
        ("hold:job-1", -30),
    ]
    assert page.lines[0].note == "sorry"


async def test_a_wallet_that_falls_below_its_mark_is_told_once_for_each_fall(house: Any) -> None:
    assert (await house.mark(50)).available == 0
    await house.grant(100)
    assert await house.told("balance_low") == []
    await house.place("job-1", (Unit.POINTS, 50))  # 50 left: not below.
    assert await house.told("balance_low") == []
    await house.place("job-2", (Unit.POINTS, 1))
    await house.place("job-3", (Unit.POINTS, 1))
    [told] = await house.told("balance_low")
    assert (told.client_id, told.available.value, told.below) == ("partner-a", 49, 50)
    await house.settle("job-1")
    await house.adjust(-60)
    assert [one.available.value for one in await house.told("balance_low")] == [49, 38]


async def test_a_mark_is_of_one_unit_and_can_be_moved_and_taken_away(house: Any) -> None:
    await house.grant(100)
    await house.grant(100, id="fen", unit=Unit.FEN)
    await house.mark(90)
    await house.mark(10, unit=Unit.FEN)
    await house.place("job-1", (Unit.FEN, 20))
    assert await house.told("balance_low") == []
    await house.mark(5)
    await house.place("job-2", (Unit.POINTS, 20))
    assert await house.told("balance_low") == []
    await house.mark(0)
    await house.place("job-3", (Unit.POINTS, 80))
    assert await house.told("balance_low") == []


async def test_a_wallet_falls_below_its_mark_once_whoever_takes_it_there(house: Any, at_once: Any) -> None:
    await house.grant(200)
    await house.mark(101)
    results = await at_once(*[house.place(f"job-{number}", (Unit.POINTS, 10)) for number in range(25)])
    assert sum(isinstance(result, InsufficientFunds) for result in results) == 5
    [told] = await house.told("balance_low")
    assert told.available.value == 100


async def test_units_that_lapse_take_a_wallet_below_its_mark(house: Any) -> None:
    await house.grant(60, id="lot", days=1)
    await house.grant(60, id="rest")
    await house.mark(100)
    house.clock.advance(86_400)
    await house.place("job-1", (Unit.POINTS, 10))
    [told] = await house.told("balance_low")
    assert told.available.value == 50


async def test_a_hold_that_is_refused_tells_of_nothing(house: Any) -> None:
    await house.grant(60, id="lot", days=1)
    await house.grant(10, id="rest")
    await house.mark(50)
    house.clock.advance(86_400)
    with pytest.raises(InsufficientFunds):
        await house.place("job-1", (Unit.POINTS, 30))
    assert await house.told("balance_low") == []
