"""The metadata of the house: what travels beside each request."""

import secrets
from collections.abc import Iterable
from typing import Final, TypeAlias

from kit import identity

IDENTITY_KEY: Final = identity.METADATA_KEY
REQUEST_ID_KEY: Final = "atelier-request-id"
STATUS_KEY: Final = "grpc-status-details-bin"  # gRPC's own name for a rich status.

REQUEST_ID_CHARS_MAX: Final = 64

Pairs: TypeAlias = tuple[tuple[str, str | bytes], ...]


def new_request_id() -> str:
    """Return a fresh request id, for whoever begins: the edge, a sweeper, a worker's loop."""
    return "req_" + secrets.token_hex(8)


def of_house(pairs: Iterable[tuple[str, str | bytes]] | None) -> tuple[str, str]:
    """Return the identity token and the request id that came with a call; empty text for what did not come."""
    token = request_id = ""
    for key, value in pairs or ():
        if key == IDENTITY_KEY and isinstance(value, str):
            token = value
        elif key == REQUEST_ID_KEY and isinstance(value, str):
            request_id = value[:REQUEST_ID_CHARS_MAX]
    return token, request_id
