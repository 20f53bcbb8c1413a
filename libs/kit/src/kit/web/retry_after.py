"""Reads the `Retry-After` header of a reply."""

import re
from email.utils import parsedate_to_datetime
from typing import Final

RETRY_AFTER_S_MIN: Final = 1.0  # Zero or the past would make a busy loop.
RETRY_AFTER_S_MAX: Final = 24 * 3600.0  # Nobody may park a delivery for longer.

_SECONDS = re.compile(rb"[0-9]{1,10}")
_HEADER_BYTES_MAX: Final = 64  # The longest HTTP date has 33.


def retry_after_s(header: bytes | None, *, now_s: float) -> float | None:
    """Seconds to wait, between 1 s and 24 h; None if the header is absent or unreadable. `now_s` is unix time."""
    if header is None or len(header) > _HEADER_BYTES_MAX:
        return None
    text = header.strip()
    if _SECONDS.fullmatch(text):
        wait_s = float(text)
    else:
        try:
            wait_s = parsedate_to_datetime(text.decode("ascii")).timestamp() - now_s
        except (ValueError, OverflowError):
            return None
    return min(max(wait_s, RETRY_AFTER_S_MIN), RETRY_AFTER_S_MAX)
