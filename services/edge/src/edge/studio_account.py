"""Who calls over the studio contract, and what it has left."""

from typing import Final

from starlette.datastructures import FormData
from starlette.requests import Request

from atelier.common.v1 import money_pb2
from atelier.gateway.v1 import gateway_service_pb2 as pb2
from edge.backend import CALL_TIMEOUT_S, Backend, Metadata, caller
from kit.errors import AppError, CredentialMissing
from kit.logging import get_logger

KEY_CHARS_MAX: Final = 256
FEN_A_YUAN: Final = 100

_log = get_logger(__name__)


def credential(request: Request, form: FormData) -> Metadata:
    """The user_key as the gateway wants it. Raises CredentialMissing."""
    key = form.get("user_key")
    if not isinstance(key, str) or not key.strip():
        raise CredentialMissing
    text = key.strip()
    usable = text.isascii() and text.isprintable() and " " not in text and len(text) <= KEY_CHARS_MAX
    return caller(request, f"UserKey {text if usable else '?'}")  # No key of ours has other characters.


def follow_up(metadata: Metadata) -> Metadata:
    """For the calls after the first one of a request: they do not count against the client's rate."""
    return (*metadata, ("atelier-follow-up", "1"))


async def remaining(backend: Backend, metadata: Metadata) -> dict[str, int]:
    """`remaining_count` and `remaining_money` (whole yuan), or nothing when they cannot be had.

    The task they are told with is accepted or done already: an answer without them beats an error that makes the
    partner submit, and pay, again.
    """
    try:
        answer = await backend.gateway.GetBalance(
            pb2.GetBalanceRequest(), timeout=CALL_TIMEOUT_S, metadata=follow_up(metadata)
        )
    except AppError as error:
        _log.warning("balance_not_told", reason=error.reason)
        return {}
    available = {line.unit: line.available for line in answer.balances}
    return {
        "remaining_count": available.get(money_pb2.UNIT_COUNT, 0),
        "remaining_money": available.get(money_pb2.UNIT_FEN, 0) // FEN_A_YUAN,
    }
