"""Ids such as `job_01kdvxq8000000000000000000`: a prefix and 26 characters, time-ordered and unguessable.

The 26 characters are a ULID in lower case: 48 bits of unix milliseconds, then 80 bits from the system's
secure random source. New rows land at the end of an index, and knowing one id does not help to find another.
"""

import re
import secrets
import time
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread.
_PAIRS: Final = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_PREFIX: Final = re.compile(r"[a-z][a-z0-9]{0,15}")
_BODY: Final = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")
RANDOM_BITS: Final = 80
TIME_MS_MAX: Final = 2**48 - 1


def new_id(prefix: str, *, now_ms: int | None = None) -> str:
    """Return a new id: `prefix`, an underscore and 26 characters of `[0-9a-hjkmnp-tv-z]`.

    `now_ms` is unix milliseconds, the system's time when absent. Ids of different milliseconds sort by time;
    within one millisecond the order is random. Raises ValueError for a prefix that is not 1–16 of `[a-z0-9]`
    starting with a letter.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"not an id prefix: {prefix!r}")
    moment = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    if not 0 <= moment <= TIME_MS_MAX:
        raise ValueError(f"not unix milliseconds: {moment}")
    value = moment << RANDOM_BITS | secrets.randbits(RANDOM_BITS)
    return prefix + "_" + "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])


def is_id(text: str, prefix: str) -> bool:
    """Tell whether `text` has the shape of `new_id(prefix)`, so that garbage never reaches a query."""
    return text.startswith(prefix + "_") and _BODY.fullmatch(text, len(prefix) + 1) is not None
