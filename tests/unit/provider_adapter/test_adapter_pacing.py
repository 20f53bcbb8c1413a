"""Breakers, rates and pauses: a provider that fails or asks for time is left alone, and jobs go elsewhere or wait."""

import asyncio
from typing import Any

import pytest

from kit.errors import ErrorReason
from provider_adapter.domain import Attempt, Job, Lease, Route
from provider_adapter.ports import Failed, Outcome
from provider_adapter.usecases.breaker import FAILURES_MAX, OPEN_FIRST_S, OPEN_MAX_S, Breaker, BreakerState
from provider_adapter.usecases.pace import COOL_FIRST_S, COOL_MAX_S, Pace
from provider_adapter.usecases.route import Begin, Hopeless, Wait, choose
from testkit.fakeprovider import Behavior

DOWN = Failed.of(Outcome.RETRYABLE, ErrorReason.PROVIDER_UNAVAILABLE, "down")
MODERATED = Failed.of(Outcome.FAILED, ErrorReason.PROVIDER_MODERATED, "no")
REJECTED = Failed.of(Outcome.ROUTE_FAILED, ErrorReason.PROVIDER_REJECTED, "no")
THROTTLED = Failed.of(Outcome.DEFERRED, ErrorReason.PROVIDER_UNAVAILABLE, "later")


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(time: Time) -> Breaker:
    breaker = Breaker(time)
    for _ in range(FAILURES_MAX):
        breaker.calling()
        breaker.heard(DOWN)
    return breaker


def test_breaker_opens_after_so_many_failures_in_a_row() -> None:
    time = Time()
    breaker = Breaker(time)
    for _ in range(FAILURES_MAX - 1):
        breaker.heard(DOWN)
    breaker.heard(THROTTLED)  # Says nothing, good or bad.
    assert breaker.state is BreakerState.CLOSED
    breaker.heard(DOWN)
    assert breaker.state is BreakerState.OPEN
    assert breaker.wait_s == OPEN_FIRST_S


@pytest.mark.parametrize("answer", [None, MODERATED, REJECTED])
def test_any_proper_answer_keeps_the_breaker_closed(answer: Failed | None) -> None:
    breaker = Breaker(Time())
    for _ in range(3 * FAILURES_MAX):
        breaker.heard(DOWN)
        breaker.heard(answer)
    assert breaker.state is BreakerState.CLOSED


def test_one_probe_decides_and_each_failed_one_doubles_the_pause() -> None:
    time = Time()
    breaker = opened(time)
    pauses = []
    for _ in range(8):
        pauses.append(breaker.wait_s)
        time.now += breaker.wait_s
        assert (breaker.state, breaker.wait_s) == (BreakerState.HALF_OPEN, 0.0)
        breaker.calling()
        assert breaker.wait_s > 0  # The probe is under way: nobody else tries.
        breaker.heard(DOWN)
        assert breaker.state is BreakerState.OPEN
    assert pauses == [min(OPEN_FIRST_S * 2**number, OPEN_MAX_S) for number in range(8)]
    time.now += breaker.wait_s
    breaker.calling()
    breaker.heard(None)
    assert (breaker.state, breaker.wait_s) == (BreakerState.CLOSED, 0.0)


def test_calls_that_were_under_way_do_not_prolong_the_pause() -> None:
    breaker = opened(Time())
    for _ in range(100):
        breaker.heard(DOWN)
    assert breaker.wait_s == OPEN_FIRST_S


def test_probe_that_says_nothing_lets_the_next_one_try() -> None:
    time = Time()
    breaker = opened(time)
    time.now += breaker.wait_s
    breaker.calling()
    breaker.heard(THROTTLED)
    assert (breaker.state, breaker.wait_s) == (BreakerState.HALF_OPEN, 0.0)


async def test_pace_lets_a_burst_through_and_then_keeps_the_rate() -> None:
    pace = Pace(50)
    loop = asyncio.get_running_loop()
    began = loop.time()
    waited = [await pace.turn() for _ in range(60)]
    assert waited[:50] == [0.0] * 50
    assert 0.1 < loop.time() - began < 1.0


def test_pause_is_as_long_as_was_asked_and_never_for_hours() -> None:
    time = Time()
    pace = Pace(now=time)
    pace.cool(None)
    assert pace.cool_s == COOL_FIRST_S
    pace.cool(7.5)
    pace.cool(2.0)
    assert pace.cool_s == 7.5
    pace.cool(9999)
    assert pace.cool_s == COOL_MAX_S
    time.now += COOL_MAX_S
    assert pace.cool_s == 0


def lease(*providers: str, attempts: tuple[Attempt, ...] = ()) -> Lease:
    routes = tuple(Route(provider=name, upstream_model="m", parameters={}) for name in providers)
    job = Job(id="job_1", client_id="c", capability="image.generate", deadline_ms=None)
    return Lease(job=job, epoch=1, routes=routes, attempts=attempts)


@pytest.mark.parametrize(
    ("held_back", "step"),
    [
        ({"a": 0.0, "b": 0.0}, Begin(route=0)),
        ({"a": 5.0, "b": 0.0}, Begin(route=1)),
        ({"a": None, "b": 0.0}, Begin(route=1)),
        ({"a": 5.0, "b": 3.0}, Wait(seconds=3.0)),
        ({"a": 5.0, "b": None}, Wait(seconds=5.0)),
    ],
)
def test_route_that_is_held_back_is_passed_over(held_back: dict[str, float | None], step: object) -> None:
    assert choose(lease("a", "b"), lambda route: held_back[route.provider]) == step


def test_spent_route_is_not_waited_for() -> None:
    failed = Attempt(id="att", route=0, provider="a", finished=True, outcome=Outcome.ROUTE_FAILED)
    assert isinstance(choose(lease("a", attempts=(failed,)), lambda _: 5.0), Hopeless)


async def test_provider_that_fails_is_left_alone_and_jobs_go_to_the_next(house: Any) -> None:
    bad, good = house.provider(name="bad"), house.provider(name="good", repeatable=True)
    house.upstream.behavior = Behavior(refused=DOWN)
    adapter = await house.work(bad, good)
    for _ in range(FAILURES_MAX):
        await house.reported(house.jobs.put(providers=("bad", "good")))
    assert adapter._roster.find("bad").breaker[0] is BreakerState.OPEN
    house.upstream.behavior = Behavior()
    job = house.jobs.put(providers=("bad", "good"))
    await house.reported(job)
    assert (job.outcome, job.attempts[0].provider) == ("SUCCEEDED", "good")
    waiting = house.jobs.put(providers=("bad",))
    await house.reported(waiting)
    assert (waiting.outcome, waiting.report.attempt_id) == ("DEFERRED", "")
    assert 0 < waiting.report.retry_after.ToMilliseconds() <= OPEN_FIRST_S * 1000
    assert not waiting.attempts


async def test_pause_that_a_provider_asks_for_is_kept_by_all_jobs(house: Any) -> None:
    house.upstream.behavior = Behavior(
        refused=Failed.of(Outcome.DEFERRED, ErrorReason.PROVIDER_UNAVAILABLE, "later", retry_after_s=30.0)
    )
    adapter = await house.work(house.provider())
    first = house.jobs.put()
    await house.reported(first)
    assert (first.outcome, len(first.attempts)) == ("DEFERRED", 1)
    second = house.jobs.put()
    await house.reported(second)
    assert (second.outcome, len(second.attempts)) == ("DEFERRED", 0)
    assert len(house.upstream.submits) == 1
    assert adapter._roster.find("fake").breaker[0] is BreakerState.CLOSED


async def test_local_engine_has_no_breaker(house: Any) -> None:
    house.upstream.behavior = Behavior(failed=DOWN)
    adapter = await house.work(house.provider(repeatable=True))
    for _ in range(FAILURES_MAX + 1):
        await house.reported(house.jobs.put())
    assert len(house.upstream.submits) == FAILURES_MAX + 1
    assert adapter._roster.find("fake").breaker == (BreakerState.CLOSED, 0.0)


async def test_only_one_job_is_the_probe_and_another_is_when_it_is_given_up(house: Any) -> None:
    adapter = await house.work(house.provider(name="slow"))
    member = adapter._roster.find("slow")
    time = Time()
    member.breakers["m"] = breaker = opened(time)
    time.now += breaker.wait_s
    assert member.held_back_s("m") == 0
    held: list[float] = []

    def give_up() -> None:
        with member.calling("m"):
            held.append(member.held_back_s("m"))
            raise RuntimeError("the lease is lost")

    with pytest.raises(RuntimeError, match="the lease is lost"):
        give_up()
    assert held[0] > 0
    assert member.held_back_s("m") == 0
    with member.calling("m"):
        pass
    assert member.held_back_s("m") > 0  # Until it is heard how it ended.
    member.heard("m", None)
    assert breaker.state is BreakerState.CLOSED
