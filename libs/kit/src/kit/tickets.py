"""Short-lived signed tickets: leave to move certain bytes, handed out by whoever decided it.

The gateway and the orchestrator authorise; the asset store only checks the ticket, so bytes never pass through the
services that decide. A ticket travels in URLs and metadata, so it is url-safe and never logged whole.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

import orjson
from pydantic import SecretStr

from kit.errors import TicketInvalid
from kit.identity import purpose_key

TOKEN_CHARS_MAX: Final = 2048  # A ticket with every field at its longest is about 600.
TTL_S_MAX: Final = 7 * 24 * 3600  # A download link lives for days; nothing signed lives for ever.

_PURPOSE: Final = b"atelier/ticket/v1"
_SIGNATURE_BYTES: Final = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Ticket:
    """What its holder may do: one action for one client, on one asset or for one job."""

    action: str  #: For example `upload`, `download`, `store_output`.
    client_id: str  #: Whose bytes; the asset belongs to this client.
    asset_id: str = ""  #: The only asset it is good for; empty when the action makes a new one.
    job_id: str = ""  #: The job that asks; empty outside of jobs.
    bytes_max: int = 0  #: The most bytes that may be sent; 0 where nothing is sent.
    kind: str = ""  #: What the bytes must be, for example `image`; empty for any.
    retention_s: int = 0  #: How long the asset is kept; 0 for the store's default.

    def __post_init__(self) -> None:
        if not self.action or not self.client_id:
            raise ValueError("a ticket names its action and its client")
        if self.bytes_max < 0 or self.retention_s < 0:
            raise ValueError("a ticket's numbers are never negative")


class TicketSigner:
    """Signs and checks tickets with the deployment's internal secret."""

    def __init__(self, secret: SecretStr, *, now: Callable[[], float] = time.time) -> None:
        """Raises ValueError when the secret is too short."""
        self._key = purpose_key(secret, _PURPOSE)
        self._now = now

    def sign(self, ticket: Ticket, ttl_s: float) -> str:
        """Return the ticket as url-safe text, good for `ttl_s` seconds."""
        if not 0 < ttl_s <= TTL_S_MAX:
            raise ValueError(f"a ticket lives between 0 and {TTL_S_MAX} seconds, not {ttl_s}")
        expires_ms = int((self._now() + ttl_s) * 1000)
        payload = orjson.dumps({name: value for name, value in asdict(ticket).items() if value} | {"exp": expires_ms})
        return base64.urlsafe_b64encode(self._mac(payload) + payload).decode().rstrip("=")

    def verify(self, token: str, *, action: str) -> Ticket:
        """Return the ticket if it was signed here, lives and is for `action`. Raises TicketInvalid otherwise.

        Every cause has the same answer, so a forger learns nothing from it.
        """
        try:
            ticket, expires_ms = self._open(token)
        except (ValueError, TypeError, KeyError) as error:
            raise TicketInvalid from error
        if self._now() * 1000 >= expires_ms or ticket.action != action:
            raise TicketInvalid
        return ticket

    def _open(self, token: str) -> tuple[Ticket, int]:
        if len(token) > TOKEN_CHARS_MAX:
            raise ValueError("too long")
        try:
            data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except binascii.Error as error:
            raise ValueError("not base64url") from error
        signature, payload = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._mac(payload)):
            raise ValueError("wrong signature")
        fields = orjson.loads(payload)
        expires_ms = int(fields.pop("exp"))
        return Ticket(**fields), expires_ms

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, "sha256")
