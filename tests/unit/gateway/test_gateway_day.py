"""Daily quotas follow the deployment's calendar."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.domain import Day

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")


def test_a_day_begins_at_midnight_of_the_zone() -> None:
    before = Day.at(datetime(2026, 11, 20, 15, 59, 59, tzinfo=UTC).astimezone(SHANGHAI))
    after = Day.at(datetime(2026, 11, 20, 16, 0, 0, tzinfo=UTC).astimezone(SHANGHAI))
    assert (after.number - before.number, before.left_s, after.left_s) == (1, 1.0, 86_400.0)
    assert Day.at(datetime(1970, 1, 2, tzinfo=UTC)).number == 1


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 23), (10, 25, 25), (7, 1, 24)])
def test_a_day_is_as_long_as_the_clocks_say(month: int, day: int, hours: int) -> None:
    assert Day.at(datetime(2026, month, day, tzinfo=BERLIN)).left_s == hours * 3600
