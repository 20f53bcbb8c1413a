"""Holds on real databases: placed once, resolved once, never more than the wallet has."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from billing.api.mapping import HOLD_RESOLVED
from billing.domain import HoldState, JobEnd, Settlement, Unit
from kit.errors import HoldAlreadyResolved, HoldNotFound, InsufficientFunds, InvalidArgument, RequestIdReused

POINTS, COUNT, FEN = Unit.POINTS, Unit.COUNT, Unit.FEN


async def test_a_hold_moves_units_from_available_to_held(house: Any) -> None:
    await house.grant(100)
    hold = await house.place("job-1", (POINTS, 30), outputs=2)
    assert (hold.state, hold.unit, hold.amount, hold.client_id) == (HoldState.HELD, POINTS, 60, "partner-a")
    assert hold.create_ms == house.clock.now_ms()
    assert await house.wallet() == (40, 60, 0)
    assert await house.read.hold("job-1") == hold


async def test_the_first_option_that_covers_all_outputs_is_taken(house: Any) -> None:
    await house.grant(1, id="g1", unit=COUNT)
    await house.grant(100, id="g2", unit=FEN)
    options = ((COUNT, 1), (FEN, 30))
    assert (await house.place("job-1", *options, outputs=2)).unit is FEN
    assert (await house.place("job-2", *options)).unit is COUNT
    assert (await house.place("job-3", *options)).unit is FEN
    with pytest.raises(InsufficientFunds) as refused:
        await house.place("job-4", *options)
    assert refused.value.metadata == {
        "count_requested": "1",
        "count_available": "0",
        "fen_requested": "30",
        "fen_available": "10",
    }


async def test_a_refused_hold_leaves_nothing(house: Any) -> None:
    await house.grant(29)
    with pytest.raises(InsufficientFunds):
        await house.place("job-1")
    with pytest.raises(InsufficientFunds):
        await house.place("job-2", client_id="nobody")
    assert await house.wallet() == (29, 0, 0)
    assert await house.count("holds") == 0
    assert await house.count("transactions") == 1
    assert await house.count("accounts", "client_id = 'nobody'") == 0


async def test_a_free_job_holds_nothing_and_resolves_once(house: Any) -> None:
    hold = await house.place("job-1", (POINTS, 0))
    assert (hold.amount, hold.state) == (0, HoldState.HELD)
    resolved = await house.settle("job-1")
    assert (resolved.state, resolved.captured) == (HoldState.RELEASED, 0)
    assert await house.settle("job-1") == resolved
    assert await house.count("postings") == 0
    assert await house.read.balances("partner-a") == []


async def test_the_same_order_twice_returns_the_first_hold(house: Any) -> None:
    await house.grant(30)
    first = await house.place("job-1")
    house.clock.advance(5)
    assert await house.place("job-1", expire_ms=first.expire_ms + 5_000) == first
    resolved = await house.settle("job-1", 30)
    assert await house.place("job-1") == resolved
    assert await house.wallet() == (0, 0, 30)


@pytest.mark.parametrize(
    "changes",
    [
        {"option": (POINTS, 31)},
        {"option": (FEN, 30)},
        {"outputs": 2},
        {"client_id": "b"},
        {"catalog_version": "v2"},
        {"model": "m"},
    ],
)
async def test_the_same_id_with_another_order_is_refused(house: Any, changes: dict[str, Any]) -> None:
    fields = dict(changes)
    option = fields.pop("option", (POINTS, 30))
    await house.grant(100)
    await house.place("job-1")
    with pytest.raises(RequestIdReused):
        await house.place("job-1", option, **fields)
    assert await house.wallet() == (70, 30, 0)


@pytest.mark.parametrize("granted", [30, 1000])
async def test_the_same_order_at_once_makes_one_hold(house: Any, at_once: Any, granted: int) -> None:
    """With 30 points the losers find the wallet empty, and must still return the winner's hold."""
    await house.grant(granted)
    holds = await at_once(*[house.place("job-1") for _ in range(16)])
    assert len({hold.id for hold in holds}) == 1
    assert set(holds) == {holds[0]}
    assert await house.wallet() == (granted - 30, 30, 0)


async def test_a_wallet_for_n_holds_accepts_exactly_n(house: Any) -> None:
    n = 50
    await house.grant(30 * n)
    ids = iter(range(4 * n))
    outcomes: Counter[str] = Counter()

    async def submit() -> None:
        for number in ids:
            try:
                await house.place(f"job-{number}")
                outcomes["accepted"] += 1
            except InsufficientFunds:
                outcomes["refused"] += 1

    await asyncio.gather(*[submit() for _ in range(64)])
    assert outcomes == {"accepted": n, "refused": 3 * n}
    assert await house.wallet() == (0, 30 * n, 0)


@pytest.mark.parametrize(
    ("amount", "state", "wallet"),
    [
        (0, HoldState.RELEASED, (100, 0, 0)),
        (1, HoldState.CAPTURED, (99, 0, 1)),
        (20, HoldState.CAPTURED, (80, 0, 20)),
        (60, HoldState.CAPTURED, (40, 0, 60)),
    ],
)
async def test_settling_captures_so_much_and_gives_back_the_rest(
    house: Any, amount: int, state: HoldState, wallet: tuple[int, int, int]
) -> None:
    await house.grant(100)
    await house.place("job-1", (POINTS, 20), outputs=3)
    hold = await house.settle("job-1", amount)
    assert (hold.state, hold.captured, hold.resolve_ms) == (state, wallet[2], house.clock.now_ms())
    assert await house.wallet() == wallet
    assert await house.read.hold("job-1") == hold


@pytest.mark.parametrize("wrong", [{"amount": 61}, {"amount": 60, "unit": Unit.FEN}])
async def test_more_than_is_held_is_never_captured(house: Any, wrong: dict[str, Any]) -> None:
    await house.grant(100)
    await house.place("job-1", (POINTS, 20), outputs=3)
    with pytest.raises(InvalidArgument):
        await house.settle_hold(Settlement(hold_id="job-1", **wrong))
    assert await house.wallet() == (40, 60, 0)
    assert (await house.settle("job-1", 60)).captured == 60


async def test_a_settled_hold_tells_how_its_job_ended(house: Any) -> None:
    await house.grant(100)
    placed = await house.place("job-1", model="image.generate")
    assert (placed.model, placed.end) == ("image.generate", JobEnd())
    end = JobEnd(outcome="provider_fault", reason="provider_timeout", provider="simulated", provider_cost_fen=12)
    settled = await house.settle_hold(Settlement(hold_id="job-1", amount=15, unit=POINTS, end=end))
    assert settled.end == end
    assert await house.read.hold("job-1") == settled
    again = await house.settle_hold(Settlement(hold_id="job-1", amount=15, end=JobEnd(outcome="our_fault")))
    assert again == settled  # The first word stays; only the amount makes it another settlement.


async def test_settling_again_returns_the_first_result_or_refuses(house: Any) -> None:
    await house.grant(100)
    await house.place("job-1", (POINTS, 20), outputs=3)
    first = await house.settle("job-1", 40)
    house.clock.advance(60)
    assert await house.settle("job-1", 40) == first
    for other in (0, 39, 60, 61):
        with pytest.raises(HoldAlreadyResolved) as refused:
            await house.settle("job-1", other)
    assert refused.value.metadata == {"hold_id": "job-1", "state": "captured", "captured": "40"}
    with pytest.raises(HoldNotFound):
        await house.settle("job-2")
    assert await house.wallet() == (60, 0, 40)


async def test_racing_settlements_have_one_winner(house: Any, at_once: Any) -> None:
    await house.grant(30 * 20)
    for number in range(20):
        await house.place(f"job-{number}")
        results = await at_once(*[house.settle(f"job-{number}", n % 2 * 30) for n in range(8)])
        won = [hold for hold in results if not isinstance(hold, HoldAlreadyResolved)]
        assert len(won) == 4
        assert set(won) == {won[0]}
    available, held, spent = await house.wallet()
    assert (available + spent, held) == (600, 0)
    assert spent == 30 * await house.count("holds", "state = 'captured'")


async def test_an_event_settles_once_however_often_it_comes(house: Any, at_once: Any) -> None:
    await house.grant(90)
    for job in ("job-1", "job-2"):
        await house.place(job)
    settlement = Settlement(hold_id="job-1", amount=30)
    first = await house.settle_hold.by_event(settlement, event_id="evt-1")
    assert first.captured == 30
    again = await at_once(*[house.settle_hold.by_event(settlement, event_id="evt-1") for _ in range(3)])
    assert again == [None, None, None]
    together = await at_once(
        *[house.settle_hold.by_event(Settlement(hold_id="job-2"), event_id="evt-2") for _ in range(4)]
    )
    assert sorted(hold is None for hold in together) == [False, True, True, True]
    assert await house.wallet() == (60, 0, 30)


async def test_an_event_whose_settlement_failed_is_not_remembered(house: Any) -> None:
    with pytest.raises(HoldNotFound):
        await house.settle_hold.by_event(Settlement(hold_id="job-1"), event_id="evt-1")
    assert await house.count("inbox") == 0


async def test_each_resolution_leaves_one_event(house: Any) -> None:
    await house.grant(60)
    await house.place("job-1")
    await house.place("job-2")
    assert await house.count("outbox") == 0
    for _ in range(2):
        await house.settle("job-1", 30)
        await house.settle("job-2")
    assert await house.count("outbox", f"subject = '{HOLD_RESOLVED}'") == 2


async def test_clients_and_units_do_not_touch_each_other(house: Any) -> None:
    await house.grant(100, id="g1")
    await house.grant(100, id="g2", client="partner-b")
    await house.grant(7, id="g3", unit=COUNT)
    await house.place("job-1")
    assert await house.wallet() == (70, 30, 0)
    assert await house.wallet("partner-b") == (100, 0, 0)
    assert await house.wallet(unit=COUNT) == (7, 0, 0)
    assert [balance.unit for balance in await house.read.balances("partner-a")] == [POINTS, COUNT]


async def test_an_id_that_cannot_name_a_hold_is_refused(house: Any) -> None:
    for hold_id in ("", "a b", "任务", "a\0b", "x" * 129):
        with pytest.raises(InvalidArgument) as refused:
            await house.place(hold_id, (POINTS, 0))
        assert refused.value.field == "hold_id"
