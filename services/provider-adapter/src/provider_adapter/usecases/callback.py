"""Callbacks of providers: a reason to ask now, and the answer to a submit whose own answer was lost.

The URL that a provider gets holds the attempt and a code over it, so that any adapter can tell a genuine one without
having stored anything. Whoever leaks the URL can at most make us ask the provider once more.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final, Protocol

from pydantic import SecretStr

from kit.errors import AppError, ErrorReason, NotFound, PermissionDenied
from kit.logging import get_logger
from provider_adapter.ports import Forged, Listener
from provider_adapter.usecases.roster import Member, Roster

CODE_CHARS: Final = 32  # 128 bits.

_PURPOSE: Final = b"atelier provider callback"
#: The attempt has ended, or is another adapter's that knows its task already.
_TOLD: Final = frozenset({ErrorReason.CONFLICT, ErrorReason.NOT_FOUND})
_log = get_logger(__name__)


class Attempts(Protocol):
    """The orchestrator, as far as callbacks go."""

    async def found(self, attempt_id: str, upstream_task_id: str) -> None:
        """Tell that the provider has this task of the attempt. Raises Conflict, NotFound."""
        ...


class Callbacks:
    """Makes the URLs that providers call back, and hears them."""

    def __init__(self, secret: SecretStr, *, public_url: str, roster: Roster, attempts: Attempts) -> None:
        """`public_url`: where providers reach the edge; empty for no callbacks."""
        self._key = hmac.digest(secret.get_secret_value().encode(), _PURPOSE, "sha256")
        self._public_url = public_url.rstrip("/")
        self._roster = roster
        self._attempts = attempts

    def url(self, provider: str, attempt_id: str) -> str:
        """Where the provider may tell of the attempt's task; empty where it cannot."""
        if not self._public_url:
            return ""
        return f"{self._public_url}/callbacks/{provider}/{attempt_id}.{self._code(provider, attempt_id)}"

    async def hear(self, provider: str, token: str, headers: Mapping[str, str], body: bytes) -> None:
        """Act on a callback. Raises NotFound for a URL that is not one of ours, PermissionDenied for a body that the
        provider has not signed although it signs.
        """
        attempt_id, _, code = token.rpartition(".")
        member = self._roster.find(provider)
        genuine = hmac.compare_digest(code.encode(), self._code(provider, attempt_id).encode())
        if member is None or not genuine or not isinstance(member.provider, Listener):
            raise NotFound("There is no such callback.")
        try:
            upstream_task_id = await member.provider.hear(headers, body)
        except Forged as error:
            _log.warning("callback_forged", provider=provider, cause=str(error))
            raise PermissionDenied("The callback is not signed by the provider.") from error
        if upstream_task_id is not None:
            await self._tell(member, attempt_id, upstream_task_id)

    async def _tell(self, member: Member, attempt_id: str, upstream_task_id: str) -> None:
        waiting = member.calls.get(attempt_id) or member.calls.get(upstream_task_id)
        if waiting is not None:
            waiting.set()
            return
        try:
            await self._attempts.found(attempt_id, upstream_task_id)
        except AppError as error:
            if error.reason not in _TOLD:
                raise

    def _code(self, provider: str, attempt_id: str) -> str:
        return hmac.new(self._key, f"{provider}\n{attempt_id}".encode(), hashlib.sha256).hexdigest()[:CODE_CHARS]
