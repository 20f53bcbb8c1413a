"""Days and moments as operators write them, in the house's time zone."""

import os
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from google.protobuf.timestamp_pb2 import Timestamp

TIMEZONE: Final = "Asia/Shanghai"  # As in every service's settings.


def house_timezone() -> ZoneInfo:
    """Return the zone of ATELIER_TIMEZONE. Raises ValueError for one that does not exist."""
    name = os.environ.get("ATELIER_TIMEZONE") or TIMEZONE
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"ATELIER_TIMEZONE: no such time zone: {name}") from error


def to_moment(text: str, *, day_ends: bool = False) -> Timestamp | None:
    """Return the moment that `text` names, None for an empty one.

    A day is its first moment, with `day_ends` the first one after it. A moment without an offset is in the house's time
    zone. Raises ValueError for anything else.
    """
    if not text:
        return None
    try:
        day = date.fromisoformat(text) if len(text) <= len("2026-03-01") else None
        moment = datetime.fromisoformat(text) if day is None else datetime.combine(day, time())
        if day is not None and day_ends:
            moment += timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"not a day or a moment (2026-03-01, 2026-03-01T12:00:00+08:00): {text!r}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=house_timezone())
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def from_moment(stamp: Timestamp) -> str:
    """Return the moment in the house's time zone, to the second and with its offset; "" for none."""
    if not stamp.seconds:
        return ""
    return datetime.fromtimestamp(stamp.seconds, tz=house_timezone()).isoformat()
