"""Page tokens: where a page ended, bound to the query it belongs to.

A token is not a secret and needs no key: every query names its client itself, so a forged token can only show its maker
his own jobs. The digest finds tokens that were cut, mixed up or made for another query.
"""

import base64
import binascii
import hashlib
import re
from typing import Final

import orjson

from job_orchestrator.ports import Cursor, JobFilter
from kit.errors import PageTokenInvalid

_DIGEST_BYTES: Final = 9  # 72 bits: no accident passes.
_TIE: Final = re.compile(r"[0-9]{1,19}|job_[0-9a-z]{26}")
_CREATE_MS_MAX: Final = 2**53  # A moment; anything larger would not fit the column.


def to_token(end: Cursor | None, query: JobFilter, *, kind: str) -> str:
    """Return the token of the page after `end`; "" at the end. `kind` tells lists of different order apart."""
    if end is None:
        return ""
    body = f"{end.create_ms}.{end.tie}".encode()
    return base64.urlsafe_b64encode(_digest(body, query, kind) + body).decode()


def from_token(token: str, query: JobFilter, *, kind: str) -> Cursor | None:
    """Return where the page begins; None for the first. Raises PageTokenInvalid."""
    if not token:
        return None
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        digest, body = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        create_ms, _, tie = body.decode("ascii").partition(".")
        if digest != _digest(body, query, kind) or not _TIE.fullmatch(tie):
            raise ValueError("another query's")
        cursor = Cursor(create_ms=int(create_ms), tie=tie)
    except (ValueError, binascii.Error) as error:
        raise PageTokenInvalid(field="page_token") from error
    if not 0 <= cursor.create_ms <= _CREATE_MS_MAX:
        raise PageTokenInvalid(field="page_token")
    return cursor


def _digest(body: bytes, query: JobFilter, kind: str) -> bytes:
    asked = [
        kind,
        query.client_id,
        sorted(query.states),
        query.capability,
        sorted(query.models),
        query.before_ms,
        query.with_inputs,
    ]
    return hashlib.blake2b(orjson.dumps(asked) + body, digest_size=_DIGEST_BYTES).digest()
