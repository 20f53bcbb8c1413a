"""In which order routes are tried, and which are never fallen back to."""

from collections import Counter
from typing import Any

import pytest

from catalog import Model, PriceOption, PriceRule, RouteRule
from catalog.price import Measure, Pixels, Size

FEN_30 = (PriceOption(unit="fen", amount_per_output=30),)
POINTS = (PriceOption(unit="points", amount_per_output=30),)


def route(provider: str, **changes: Any) -> RouteRule:
    return RouteRule(provider=provider, upstream_model="x", **changes)


def model(*routes: RouteRule, **changes: Any) -> Model:
    price = (PriceRule(unit="points", amount=30),)
    return Model(name="m", capability="c", title="t", schema={}, price=price, routes=routes, **changes)


def providers(routes: tuple[RouteRule, ...]) -> list[str]:
    return [route.provider for route in routes]


def test_priority_goes_before_weight() -> None:
    chain = model(route("b", priority=1, weight=1000), route("a", priority=0), route("c", priority=2))
    for number in range(20):
        assert providers(chain.plan_routes(f"job_{number}", {}, None, POINTS)) == ["a", "b", "c"]


def test_weights_share_the_load_among_equals_and_follow_from_the_job() -> None:
    shared = model(route("a", weight=3), route("b", weight=1), route("never-first", weight=0))
    plans = [providers(shared.plan_routes(f"job_{number}", {}, None, POINTS)) for number in range(4000)]
    assert plans[7] == providers(shared.plan_routes("job_7", {}, None, POINTS))
    first = Counter(plan[0] for plan in plans)
    assert 2850 < first["a"] < 3150
    assert first["never-first"] == 0
    assert all(len(plan) == 3 for plan in plans)


def test_only_equivalent_routes_are_fallen_back_to() -> None:
    mixed = model(
        route("a", priority=0, equivalence="photo"),
        route("b", priority=1),
        route("c", priority=2, equivalence="photo"),
    )
    assert providers(mixed.plan_routes("job_1", {}, None, POINTS)) == ["a", "c"]


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (FEN_30, ["dear", "fair", "free"]),  # The client pays 30 fen.
        (POINTS, ["dear", "fair", "free"]),  # The first route's 20 fen are what was reckoned with.
    ],
)
def test_no_fallback_costs_more_than_was_accepted(accepted: tuple[PriceOption, ...], expected: list[str]) -> None:
    def cost(fen: int) -> PriceRule:
        return PriceRule(unit="fen", amount=fen)

    chain = model(
        route("dear", priority=0, cost=cost(20)),
        route("fair", priority=1, cost=cost(20)),
        route("too-dear", priority=2, cost=cost(31)),
        route("free", priority=3),
    )
    assert providers(chain.plan_routes("job_1", {}, None, accepted)) == expected


def test_cost_by_what_is_measured_is_that_of_this_request() -> None:
    measured = model(
        route("first", priority=0, cost=PriceRule(unit="fen", amount=50)),
        route("by-size", priority=1, cost=PriceRule(unit="fen", amount=10, per="megapixel")),
        measure=Measure(megapixel=Pixels(input="image")),
    )
    small, large = Size(width=1000, height=1000), Size(width=4000, height=4000)
    assert providers(measured.plan_routes("job_1", {}, small, POINTS)) == ["first", "by-size"]
    assert providers(measured.plan_routes("job_1", {}, large, POINTS)) == ["first"]
    assert providers(measured.plan_routes("job_1", {}, None, POINTS)) == ["first"]  # Nobody knows.


def test_cost_must_be_in_fen() -> None:
    with pytest.raises(ValueError, match="cost at a"):
        model(route("a", cost=PriceRule(unit="points", amount=1)))
    with pytest.raises(ValueError, match="cost at a"):
        model(route("a", cost=PriceRule(unit="fen", amount=1, per="second")))
