"""Volcengine Signature V4: pure functions from a request to its `Authorization` header.

Like AWS Signature V4 with other words: the secret has no prefix, the scope ends in `request`, and the algorithm is
called `HMAC-SHA256`.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlsplit

ALGORITHM: Final = "HMAC-SHA256"
DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_DEFAULT_PORTS: Final = frozenset({80, 443})  # The vendor's signer leaves both out, whatever the scheme.


@dataclass(frozen=True, kw_only=True)
class Signer:
    """An account's keys, and what they sign for."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    region: str
    service: str

    def headers(
        self, *, method: str, host: str, path: str, query: Mapping[str, str], body: bytes, now: datetime
    ) -> dict[str, str]:
        """Return all headers of a request with a JSON body; exactly these bytes are to be sent. `now` is in UTC."""
        body_hash = hashlib.sha256(body).hexdigest()
        signed = {
            "Content-Type": "application/json",
            "Host": host,
            "X-Content-Sha256": body_hash,
            "X-Date": now.strftime(DATE_FORMAT),
        }
        if self.session_token:
            signed["X-Security-Token"] = self.session_token
        text = canonical_request(method=method, path=path, query=query, headers=signed, body_hash=body_hash)
        return {**signed, "Authorization": self.authorization(text, headers=signed)}

    def authorization(self, canonical: str, *, headers: Mapping[str, str]) -> str:
        """Return the header's value for a canonical request that signs `headers`, `X-Date` among them."""
        date = headers["X-Date"]
        scope = f"{date[:8]}/{self.region}/{self.service}/request"
        to_sign = "\n".join((ALGORITHM, date, scope, hashlib.sha256(canonical.encode()).hexdigest()))
        signature = hmac.digest(self.signing_key(date[:8]), to_sign.encode(), "sha256").hex()
        credential = f"{self.access_key}/{scope}"
        return f"{ALGORITHM} Credential={credential}, SignedHeaders={_names(headers)}, Signature={signature}"

    def signing_key(self, day: str) -> bytes:
        """Return the key of one day ("20260101"), region and service."""
        key = self.secret_key.encode()
        for part in (day, self.region, self.service, "request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key


def canonical_request(
    *, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body_hash: str
) -> str:
    """Return the text whose hash is signed. `headers` are those that are signed; `path` is as it is sent."""
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in query.items())
    lines = sorted((name.lower(), value.strip()) for name, value in headers.items())
    return "\n".join(
        (
            method,
            path or "/",
            "&".join(f"{name}={value}" for name, value in pairs),
            "".join(f"{name}:{value}\n" for name, value in lines),
            _names(headers),
            body_hash,
        )
    )


def host_of(url: str) -> str:
    """Return the `Host` header for a URL."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port is None or parts.port in _DEFAULT_PORTS else f"{host}:{parts.port}"


def _names(headers: Mapping[str, str]) -> str:
    return ";".join(sorted(name.lower() for name in headers))


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
