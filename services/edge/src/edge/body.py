"""Request bodies: bounded, strict, and refused with the name of what is wrong."""

import re
from typing import Any, Final

import orjson
from starlette.requests import Request

from edge.config import JSON_BODY_BYTES_MAX
from kit.errors import BodyTooLarge, InvalidArgument

JSON_TYPES: Final = ("application/json",)
BLAME_CHARS_MAX: Final = 64 * 1024  # A mistake further behind is reported by its place alone: looking takes time.
NAME_CHARS_MAX: Final = 64
LEVELS_MAX: Final = 32  # Contracts need four; orjson reads 1,024 but writes 254, and parameters are written again.

_PIECE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]')


async def read_bytes(request: Request, limit: int) -> bytes:
    """Return the body. Raises BodyTooLarge as soon as more than `limit` bytes are announced or come."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise BodyTooLarge(f"The request body is larger than {limit} bytes.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(f"The request body is larger than {limit} bytes.")
    return bytes(body)


async def read_json_object(request: Request, limit: int = JSON_BODY_BYTES_MAX) -> dict[str, Any]:
    """Return the body as a JSON object.

    orjson refuses NaN, infinities, numbers beyond a double, lone surrogates and more than 1,024 levels on its own.
    """
    body = await read_bytes(request, limit)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        message = f"The request body is not valid JSON: {error}"
        raise InvalidArgument(message, field=_member_at(error.doc, error.pos)) from error
    if not isinstance(value, dict):
        raise InvalidArgument("The request body must be a JSON object.")
    if body.count(b"[") + body.count(b"{") > LEVELS_MAX and (member := _too_deep(value)) is not None:
        raise InvalidArgument(f"{member} must be at most {LEVELS_MAX} levels deep.", field=member)
    if "\x00" in body.decode() or b"\\u0000" in body:
        raise InvalidArgument("The request body must not contain NUL characters.")
    return value


def _too_deep(value: dict[str, Any]) -> str | None:
    """A top-level member that holds too many levels."""
    for name, member in value.items():
        level, depth = [member], 0
        while level := [one for one in level if isinstance(one, (dict, list))]:
            depth += 1
            if depth >= LEVELS_MAX:
                return name[:NAME_CHARS_MAX]
            level = [child for one in level for child in (one.values() if isinstance(one, dict) else one)]
    return None


def _member_at(text: str, position: int) -> str | None:
    """The top-level member in which the parser stopped, such as the one that is NaN; None where there is none."""
    if position > BLAME_CHARS_MAX:
        return None
    depth, last, member = 0, "", None
    for match in _PIECE.finditer(text, 0, position):
        piece = match[0]
        if piece in "[{":
            depth += 1
        elif piece in "]}":
            depth -= 1
        elif depth == 1 and piece == ":":
            member = last[1:-1][:NAME_CHARS_MAX]
        elif depth == 1 and piece == ",":
            member = None
        elif piece[0] == '"':
            last = piece
    return member


class Fields:
    """Takes typed fields out of a JSON object and complains about those nobody took."""

    def __init__(self, values: dict[str, Any], *, prefix: str = "") -> None:
        self._values = dict(values)
        self._prefix = prefix

    def name(self, field: str) -> str:
        return f"{self._prefix}{field}"

    def take(self, field: str) -> Any:
        """Return the value and remove it; None when it is absent."""
        return self._values.pop(field, None)

    def take_text(self, field: str, *, chars_max: int, required: bool = False) -> str:
        """Return a string, empty when absent. Raises InvalidArgument for another type or a longer one."""
        value = self._values.pop(field, None)
        if value is None:
            if required:
                raise InvalidArgument(f"{self.name(field)} is required.", field=self.name(field))
            return ""
        if not isinstance(value, str):
            raise InvalidArgument(f"{self.name(field)} must be a string.", field=self.name(field))
        if len(value) > chars_max:
            raise InvalidArgument(f"{self.name(field)} must be at most {chars_max} characters.", field=self.name(field))
        return value

    def take_list(self, field: str, kind: type, *, items_max: int) -> list[Any]:
        """Return a list of `kind`, empty when absent."""
        value = self._values.pop(field, None)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
            word = "strings" if kind is str else "objects"
            raise InvalidArgument(f"{self.name(field)} must be a list of {word}.", field=self.name(field))
        if len(value) > items_max:
            raise InvalidArgument(f"{self.name(field)} takes at most {items_max} items.", field=self.name(field))
        return value

    def take_object(self, field: str) -> dict[str, Any]:
        """Return an object, empty when absent."""
        value = self._values.pop(field, None)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise InvalidArgument(f"{self.name(field)} must be an object.", field=self.name(field))
        return value

    def finish(self) -> None:
        """Raise InvalidArgument naming a field that was not taken."""
        for field in self._values:
            shown = self.name(str(field))[:64]
            raise InvalidArgument(f"{shown} is not a field of this request.", field=shown)
