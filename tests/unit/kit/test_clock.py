"""Clocks: the machine's and the one that tests move."""

import time

from kit.clock import Clock, SystemClock
from testkit.clock import START_MS, FakeClock


def test_system_clock_tells_unix_milliseconds() -> None:
    before = time.time()
    now_ms = SystemClock().now_ms()
    assert before * 1000 - 1 <= now_ms <= time.time() * 1000 + 1


def test_fake_clock_moves_only_when_told() -> None:
    clock = FakeClock()
    as_port: Clock = clock
    assert as_port.now_ms() == START_MS == as_port.now_ms()
    clock.advance(1.5)
    assert clock.now_ms() == START_MS + 1500
    clock.set(7)
    assert clock.now_ms() == 7
