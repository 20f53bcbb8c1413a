"""Grants, corrections and statements on real databases."""

from typing import Any

import pytest

from billing.domain import Account, AccountKind, Balance, TransactionKind, Unit
from billing.domain.money import AMOUNT_MAX, BALANCE_MAX
from kit.errors import InsufficientFunds, InvalidArgument, RequestIdReused


async def test_a_grant_is_made_once_however_often_it_is_asked(house: Any, at_once: Any) -> None:
    first = await house.grant(100)
    assert (first.reused, first.balance) == (False, Balance(unit=Unit.POINTS, available=100, held=0, spent=0))
    again = await at_once(*[house.grant(100) for _ in range(8)])
    assert all(granted.reused and granted.balance == first.balance for granted in again)


async def test_first_grants_of_a_wallet_at_once_all_count(house: Any, at_once: Any) -> None:
    granted = await at_once(*[house.grant(10, id=f"g{n % 8}") for n in range(16)])
    assert sorted(one.reused for one in granted) == [False] * 8 + [True] * 8
    assert await house.wallet() == (80, 0, 0)
    assert await house.count("grants") == 8


@pytest.mark.parametrize("changes", [{"value": 101}, {"unit": Unit.FEN}, {"client": "b"}])
async def test_the_same_grant_id_with_other_fields_is_refused(house: Any, changes: dict[str, Any]) -> None:
    await house.grant(100)
    with pytest.raises(RequestIdReused):
        await house.grant(**{"value": 100, **changes})
    assert await house.wallet() == (100, 0, 0)


async def test_a_wallet_never_exceeds_what_json_can_say_exactly(house: Any) -> None:
    await house.grant(1)
    await house.execute(  # As if a thousand of the largest grants had been made.
        *(
            f"UPDATE accounts SET balance = balance + {sign * (BALANCE_MAX - 1)} WHERE id = '{account.id}'"
            for account, sign in (
                (Account(kind=AccountKind.AVAILABLE, unit=Unit.POINTS, client_id="partner-a"), 1),
                (Account(kind=AccountKind.FUNDING, unit=Unit.POINTS, client_id="partner-a"), -1),
            )
        )
    )
    with pytest.raises(InvalidArgument):
        await house.grant(1, id="g2")
    with pytest.raises(InvalidArgument):
        await house.adjust(1)
    await house.execute(
        f"UPDATE accounts SET balance = balance - {BALANCE_MAX - 1} WHERE kind = 'available'",
        f"UPDATE accounts SET balance = balance + {BALANCE_MAX - 1} WHERE kind = 'funding'",
    )
    assert await house.wallet() == (1, 0, 0)


async def test_a_correction_goes_both_ways_but_never_below_zero(house: Any) -> None:
    assert (await house.adjust(50, id="a1")).available == 50
    assert (await house.adjust(-20, id="a2")).available == 30
    assert (await house.adjust(-20, id="a2")).available == 30
    with pytest.raises(InsufficientFunds) as refused:
        await house.adjust(-31, id="a3")
    assert refused.value.metadata == {"points_requested": "31", "points_available": "30"}
    with pytest.raises(InsufficientFunds):
        await house.adjust(-1, client="nobody", id="a4")
    assert await house.count("accounts", "client_id = 'nobody'") == 0
    with pytest.raises(RequestIdReused):
        await house.adjust(-21, id="a2")
    assert await house.wallet() == (30, 0, 0)


async def test_corrections_at_once_that_the_wallet_cannot_all_cover(house: Any, at_once: Any) -> None:
    await house.grant(50)
    results = await at_once(*[house.adjust(-20, id=f"a{n % 6}") for n in range(12)])
    assert sum(isinstance(result, Balance) for result in results) == 4
    assert sum(isinstance(result, InsufficientFunds) for result in results) == 8
    assert await house.wallet() == (10, 0, 0)


@pytest.mark.parametrize("value", [0, -1, AMOUNT_MAX + 1, 1.5, True, "1"])
async def test_an_amount_that_is_not_a_whole_positive_number_is_refused(house: Any, value: Any) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await house.grant(value)
    assert refused.value.field == "amount.value"
    assert await house.count("transactions") == 0


async def test_a_statement_shows_every_posting_newest_first(house: Any) -> None:
    await house.grant(100)
    house.clock.advance(1)
    await house.place("job-1", (Unit.POINTS, 20), outputs=2)
    house.clock.advance(1)
    await house.settle("job-1", 20)
    page = await house.entries()
    lines = [(entry.transaction_id, entry.kind, entry.account.value, entry.delta) for entry in page.lines]
    assert lines == [
        ("resolve:job-1", TransactionKind.CAPTURE, "held", -40),
        ("resolve:job-1", TransactionKind.CAPTURE, "available", 20),
        ("hold:job-1", TransactionKind.HOLD, "held", 40),
        ("hold:job-1", TransactionKind.HOLD, "available", -40),
        ("grant:grant-1", TransactionKind.GRANT, "available", 100),
    ]
    assert page.next_position is None
    assert [entry.job_id for entry in page.lines] == ["job-1"] * 4 + [""]
    assert [entry.note for entry in page.lines] == [""] * 4 + ["grant-1"]
    assert page.lines[0].time_ms == house.clock.now_ms()


async def test_a_statement_comes_in_pages_that_miss_nothing(house: Any) -> None:
    await house.grant(300)
    await house.grant(300, id="g2", client="partner-b")
    for number in range(5):
        await house.place(f"job-{number}")
    whole = await house.entries()
    assert len(whole.lines) == 11
    paged, before = [], None
    while True:
        page = await house.entries("partner-a", job_id="", before=before, size=3)
        paged += page.lines
        before = page.next_position
        if before is None:
            break
    assert paged == whole.lines


async def test_a_statement_of_one_job_shows_that_job_of_that_client(house: Any) -> None:
    await house.grant(300)
    for number in range(3):
        await house.place(f"job-{number}")
    await house.settle("job-1")
    page = await house.entries("partner-a", job_id="job-1", before=None, size=50)
    assert {entry.transaction_id for entry in page.lines} == {"hold:job-1", "resolve:job-1"}
    other = await house.entries("partner-b", job_id="job-1", before=None, size=50)
    assert other.lines == []


async def test_text_that_postgres_cannot_store_is_refused_everywhere(house: Any) -> None:
    for attempt in (
        house.grant(1, client="a\0b"),
        house.grant(1, id="a\0b"),
        house.place("job-1", client_id="a\0b"),
        house.place("job-1", catalog_version="a\0b"),
        house.read.hold("a\0b"),
        house.entries("a\0b", job_id="", before=None, size=1),
        house.entries("a", job_id="a\0b", before=None, size=1),
    ):
        with pytest.raises(InvalidArgument):
            await attempt
