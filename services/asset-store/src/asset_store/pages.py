"""Page tokens: where a list goes on, signed and bound to its client and filters.

A token made for one query is refused for another, so nobody can step through records that are not theirs.
"""

import base64
import binascii
import hmac
from typing import Final

import orjson
from pydantic import SecretStr

from asset_store.ports import Filter
from kit.errors import PageTokenInvalid
from kit.identity import purpose_key

_PURPOSE: Final = b"atelier/assets/page/v1"
_MAC_BYTES: Final = 16  # A token grants nothing that the query does not: 128 bits keep it short.


class PageTokens:
    """Makes and reads page tokens."""

    def __init__(self, secret: SecretStr) -> None:
        """`secret` is the deployment's internal secret."""
        self._key = purpose_key(secret, _PURPOSE)

    def make(self, position: tuple[int, str], query: Filter) -> str:
        """Return a token for the page that begins after `position`, (create_ms, id)."""
        payload = orjson.dumps(position)
        return base64.urlsafe_b64encode(self._mac(payload, query) + payload).decode().rstrip("=")

    def read(self, token: str, query: Filter) -> tuple[int, str]:
        """Return the position. Raises PageTokenInvalid unless the token was made here for this very query."""
        try:
            data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise PageTokenInvalid(field="page_token") from error
        mac, payload = data[:_MAC_BYTES], data[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload, query)):
            raise PageTokenInvalid(field="page_token")
        create_ms, asset_id = orjson.loads(payload)
        return int(create_ms), str(asset_id)

    def _mac(self, payload: bytes, query: Filter) -> bytes:
        bound = orjson.dumps(
            [query.client_id, query.origin and query.origin.value, query.kind, query.job_id, query.before_ms]
        )
        return hmac.digest(self._key, len(bound).to_bytes(4, "big") + bound + payload, "sha256")[:_MAC_BYTES]
