"""Refusing wrong values by the name of the request field they came in."""

import re
from typing import Final

from kit.errors import InvalidArgument

ID_CHARS_MAX: Final = 128
_PRINTABLE: Final = re.compile(r"[!-~]+")


def whole(value: int, *, field: str, at_least: int, at_most: int) -> int:
    """Return `value` when it is an int (not a bool) within the range. Raises InvalidArgument naming `field`."""
    if type(value) is not int or not at_least <= value <= at_most:
        raise InvalidArgument(f"{field} must be a whole number from {at_least} to {at_most}", field=field)
    return value


def printable_id(value: str, *, field: str) -> str:
    """Return `value` when it can name something everywhere: in the books, in an event's id, in a log.

    Raises InvalidArgument naming `field` unless it is 1 to ID_CHARS_MAX printable ASCII characters without spaces.
    """
    if len(value) > ID_CHARS_MAX or not _PRINTABLE.fullmatch(value):
        raise InvalidArgument(
            f"{field} must be 1 to {ID_CHARS_MAX} printable ASCII characters without spaces", field=field
        )
    return value


def storable(value: str, *, field: str) -> str:
    """Return free text without NUL, which Postgres cannot store. Raises InvalidArgument naming `field`."""
    if "\0" in value:
        raise InvalidArgument(f"{field} must not contain NUL", field=field)
    return value
