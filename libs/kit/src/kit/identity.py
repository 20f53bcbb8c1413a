"""Who is calling, on behalf of which client: signed by the caller, checked by the callee, never a message field.

Every RPC between services carries `atelier-identity` in its metadata: the calling service, the client it acts for and
an expiry, under an HMAC with the deployment's internal secret. Tokens live a minute and are cached on both sides, so
that a call costs a dictionary look-up and not a signature.
"""

import base64
import binascii
import contextlib
import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from kit.errors import PermissionDenied

METADATA_KEY: Final = "atelier-identity"
SECRET_CHARS_MIN: Final = 32  # As many bits as the hash can use; shorter ones invite guessing.
LIFE_S: Final = 60.0  # A token seen on the wire is useless after this.
RENEW_BEFORE_S: Final = 30.0  # A token is never handed out with less life left, so it outlasts queues and retries.
CLOCK_SKEW_S: Final = 30.0  # Hosts of one deployment agree on the time to within this.
CACHE_ENTRIES_MAX: Final = 20_000  # About 10 MB; one entry for each client active in the last minute.
TOKEN_CHARS_MAX: Final = 1024

_PURPOSE: Final = b"atelier/identity/v1"


@dataclass(frozen=True)
class Identity:
    """The verified caller: a service, and the client it acts for (None when it acts for itself)."""

    service: str
    client_id: str | None


_NOT_SET: Final = object()
_current: ContextVar[Identity | None] = ContextVar("atelier_identity", default=None)
_acting: ContextVar[object] = ContextVar("atelier_acting_as", default=_NOT_SET)


def current() -> Identity:
    """Return the caller of the RPC being handled. Raises PermissionDenied outside of a handler."""
    identity = _current.get()
    if identity is None:
        raise PermissionDenied("The call carries no identity.")
    return identity


def require_client() -> str:
    """Return the client the caller acts for. Raises PermissionDenied when it acts for none."""
    client_id = current().client_id
    if client_id is None:
        raise PermissionDenied("This RPC is only for calls on behalf of a client.")
    return client_id


def require_service(*names: str) -> str:
    """Return the calling service if it is one of `names`. Raises PermissionDenied otherwise."""
    service = current().service
    if service not in names:
        raise PermissionDenied(service=service)
    return service


@contextlib.contextmanager
def acting_as(client_id: str | None) -> Iterator[None]:
    """Let outgoing calls inside the block carry this client, or none, whatever the incoming call carried."""
    before = _acting.get()
    _acting.set(client_id)
    try:
        yield
    finally:
        _acting.set(before)  # Not a token: the block may end in another context than it began (async generators).


def outgoing_client() -> str | None:
    """Return the client that outgoing calls carry: `acting_as`'s, else the incoming call's, else none."""
    acting = _acting.get()
    if acting is not _NOT_SET:
        assert acting is None or isinstance(acting, str)
        return acting
    identity = _current.get()
    return identity.client_id if identity is not None else None


def enter(identity: Identity | None) -> None:
    """Make `identity` the caller in this context; for the RPC servers (and tests of handlers)."""
    _current.set(identity)
    _acting.set(_NOT_SET)


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Forget the caller and the client inside the block; for work detached from the call that caused it."""
    before = _current.get(), _acting.get()
    enter(None)
    try:
        yield
    finally:
        _current.set(before[0])
        _acting.set(before[1])


class IdentitySigner:
    """Signs the outgoing calls of one service."""

    def __init__(self, service: str, secret: SecretStr, *, now: Callable[[], float] = time.time) -> None:
        """`secret` is the deployment's internal secret. Raises ValueError when it is too short."""
        if not service or "|" in service:
            raise ValueError(f"not a service name: {service!r}")
        self.service = service
        self._key = purpose_key(secret, _PURPOSE)
        self._now = now
        self._tokens: dict[str | None, tuple[str, float]] = {}

    def token(self, client_id: str | None) -> str:
        """Return the metadata value that says: this service, for this client."""
        now = self._now()
        cached = self._tokens.get(client_id)
        if cached is not None and now < cached[1]:
            return cached[0]
        expiry = int(now + LIFE_S)
        payload = f"{self.service}|{client_id or ''}|{expiry}".encode()
        token = f"{_encode(payload)}.{_encode(_mac(self._key, payload))}"
        _make_room(self._tokens)
        self._tokens[client_id] = (token, expiry - RENEW_BEFORE_S)
        return token


class IdentityVerifier:
    """Checks the incoming calls of one service."""

    def __init__(self, secret: SecretStr, *, now: Callable[[], float] = time.time) -> None:
        """`secret` is the deployment's internal secret. Raises ValueError when it is too short."""
        self._key = purpose_key(secret, _PURPOSE)
        self._now = now
        self._known: dict[str, tuple[Identity, float]] = {}

    def verify(self, token: str) -> Identity:
        """Return who signed `token`. Raises PermissionDenied for a forged, malformed or expired one."""
        now = self._now()
        known = self._known.get(token)
        if known is None:
            known = self._check(token)
            _make_room(self._known)
            self._known[token] = known
        if now > known[1]:
            raise PermissionDenied("The identity of the caller has expired.")
        return known[0]

    def _check(self, token: str) -> tuple[Identity, float]:
        body, _, signature = token.partition(".")
        try:
            if len(token) > TOKEN_CHARS_MAX:
                raise ValueError("too long")
            payload = _decode(body)
            if not hmac.compare_digest(_mac(self._key, payload), _decode(signature)):
                raise ValueError("wrong signature")
            service, _, rest = payload.decode().partition("|")
            client_id, _, expiry = rest.rpartition("|")  # A client's id may contain the bar; the ends cannot.
            until = int(expiry) + CLOCK_SKEW_S
        except ValueError as error:
            raise PermissionDenied("The identity of the caller cannot be verified.") from error
        return Identity(service, client_id or None), until


def purpose_key(secret: SecretStr, purpose: bytes) -> bytes:
    """Derive the key of one purpose, so that a token of one kind never passes for another kind."""
    value = secret.get_secret_value()
    if len(value) < SECRET_CHARS_MIN:
        raise ValueError(f"the internal secret needs at least {SECRET_CHARS_MIN} characters")
    return hmac.digest(value.encode(), purpose, hashlib.sha256)


def _mac(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, payload, "sha256")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error


def _make_room(cache: dict[str, tuple[Identity, float]] | dict[str | None, tuple[str, float]]) -> None:
    if len(cache) >= CACHE_ENTRIES_MAX:
        cache.clear()  # Everything in it is a minute old at most and cheap to make again.
