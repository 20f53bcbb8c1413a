"""A clock that stands still until a test moves it."""

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z: a round moment, so that differences are easy to read.


class FakeClock:
    """A `kit.clock.Clock` under the test's control; it never moves by itself."""

    def __init__(self, now_ms: int = START_MS) -> None:
        """Start at `now_ms`, unix milliseconds."""
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Return the unix time in milliseconds that the test has set."""
        return self._now_ms

    def advance(self, seconds: float) -> None:
        """Move time on by `seconds`, to the millisecond; negative steps it back, as NTP might."""
        self._now_ms += round(seconds * 1000)

    def set(self, now_ms: int) -> None:
        """Move to `now_ms`, unix milliseconds."""
        self._now_ms = now_ms
