"""fal's webhook signature: Ed25519 over four lines, by any key of a published set that is kept for a while."""

import asyncio
import base64
import binascii
import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kit.errors import DependencyUnavailable
from kit.logging import get_logger
from provider_adapter.ports import Forged
from provider_adapter.providers.remote.http import NoAnswer, NotReadable, NotSent, Upstream

TOLERANCE_S: Final = 300  # Both ways, as documented.
KEYS_S: Final = 24 * 3600.0  # As long as the documents let a key set be kept.
KEYS_AGAIN_S: Final = 60.0  # A signature by an unknown key fetches the set no more often: anybody can send one.
KEYS_MAX: Final = 20  # Of a set; each costs one check of a signature.

_NAMES: Final = tuple(f"x-fal-webhook-{name}" for name in ("request-id", "user-id", "timestamp"))
_SIGNATURE: Final = "x-fal-webhook-signature"
_log = get_logger(__name__)


def check(headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], *, now_s: float) -> bool:
    """Whether one of the keys signed it. Raises Forged for what no key could make good: no signature, a wrong time."""
    request_id, user_id, timestamp = (headers.get(name, "") for name in _NAMES)
    if not request_id or not user_id or not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 12):
        raise Forged("headers are missing")
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        raise Forged("too old, or of the future")
    try:
        signature = bytes.fromhex(headers.get(_SIGNATURE, ""))
    except ValueError as error:
        raise Forged("the signature is not hexadecimal") from error
    message = "\n".join((request_id, user_id, timestamp, hashlib.sha256(body).hexdigest())).encode()
    return any(_signed(key, signature, message) for key in keys)


def _signed(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def keys_in(key_set: Any) -> list[bytes]:
    """The Ed25519 keys of a JSON Web Key Set; what is none is passed over."""
    entries = key_set.get("keys") if isinstance(key_set, dict) else None
    found = []
    for entry in entries if isinstance(entries, list) else []:
        x = entry.get("x") if isinstance(entry, dict) else None
        if not isinstance(x, str) or not x.isascii():
            continue
        try:
            key = base64.urlsafe_b64decode(x + "=" * (-len(x) % 4))
        except (binascii.Error, ValueError):
            continue
        if len(key) == 32:
            found.append(key)
    return found[:KEYS_MAX]


class KeySet:
    """The published keys, fetched when they are needed."""

    def __init__(self, upstream: Upstream, url: str) -> None:
        self._upstream, self._url = upstream, url
        self._keys: list[bytes] = []
        self._fetched: float | None = None  #: On the monotonic clock.
        self._tried: float | None = None
        self._fetching = asyncio.Lock()

    async def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raises Forged, and DependencyUnavailable when there are no keys to tell."""
        now_s = time.time()
        if check(headers, body, self._fresh(), now_s=now_s):
            return
        await self._fetch()
        keys = self._fresh()
        if not keys:
            raise DependencyUnavailable("The keys of the provider's webhooks cannot be had.")
        if not check(headers, body, keys, now_s=now_s):
            raise Forged("no key has signed it")

    def _fresh(self) -> list[bytes]:
        return self._keys if self._fetched is not None and time.monotonic() - self._fetched < KEYS_S else []

    async def _fetch(self) -> None:
        async with self._fetching:
            now = time.monotonic()
            if self._tried is not None and now - self._tried < KEYS_AGAIN_S:
                return
            self._tried = now
            try:
                reply = await self._upstream.call("GET", self._url)
                keys = keys_in(reply.json()) if reply.ok else []
            except (NotSent, NoAnswer, NotReadable) as error:
                _log.warning("webhook_keys_unavailable", cause=str(error))
                return
            if keys:
                self._keys, self._fetched = keys, now
            else:
                _log.warning("webhook_keys_unavailable", cause=f"status {reply.status} without keys")
