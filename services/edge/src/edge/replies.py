"""Answers that every dialect makes the same way."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response


def json_reply(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), status_code=status, media_type="application/json", headers=headers)
