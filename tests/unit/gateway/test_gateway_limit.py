"""The rate limit lets bursts through and says when to come back."""

import pytest

from gateway.domain import Client, Limits
from gateway.usecases.limit import LimitRate
from kit.errors import RateLimited


class Meter:
    def __init__(self) -> None:
        self.now = 100.0
        self.limit = LimitRate(monotonic=lambda: self.now)

    def passes(self, client: Client, times: int) -> int:
        passed = 0
        for _ in range(times):
            try:
                self.limit(client)
            except RateLimited:
                continue
            passed += 1
        return passed


def client(rate: int, burst: int, name: str = "a") -> Client:
    return Client(id=name, limits=Limits(requests_per_second=rate, burst=burst))


def test_burst_passes_and_then_the_rate_counts() -> None:
    meter = Meter()
    assert meter.passes(client(10, 5), 20) == 5
    meter.now += 0.1
    assert meter.passes(client(10, 5), 20) == 1
    meter.now += 60
    assert meter.passes(client(10, 5), 20) == 5


def test_refusal_says_when_to_come_back() -> None:
    meter = Meter()
    one = client(2, 1)
    meter.limit(one)
    with pytest.raises(RateLimited) as caught:
        meter.limit(one)
    assert caught.value.retry_after_s == pytest.approx(0.5)
    meter.now += 0.5
    meter.limit(one)


def test_clients_do_not_share_a_rate() -> None:
    meter = Meter()
    assert meter.passes(client(1, 1), 5) == 1
    assert meter.passes(client(1, 1, "b"), 5) == 1


def test_no_limit_means_no_limit() -> None:
    assert Meter().passes(Client(id="a"), 1000) == 1000
