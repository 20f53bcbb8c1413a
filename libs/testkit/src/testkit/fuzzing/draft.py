"""An HTTP request before it is bytes: every part can be spoilt on its own."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

Pair = tuple[bytes, bytes]

BOUNDARY: Final = b"----atelier"


@dataclass(frozen=True, kw_only=True)
class File:
    """A file in a form."""

    content: bytes
    name: bytes = b"picture.png"
    mime_type: bytes = b"image/png"


@dataclass(kw_only=True)
class Draft:
    """A request. `body` is built from `json` or `form` unless it was set to bytes."""

    method: bytes
    path: bytes  #: Already percent-encoded, without the query.
    query: list[Pair] = field(default_factory=list)
    headers: list[Pair] = field(default_factory=list)
    json: Any = None
    form: list[tuple[bytes, bytes | File]] | None = None
    urlencoded: bool = False
    body: bytes | None = None
    content_type: bytes | None = None
    after_upgrade: bytes = b""  #: What is sent when the answer was 101.
    chunked: int = 0  #: Bytes a chunk; 0 sends the length instead.

    def built(self) -> "Draft":
        """The draft with its body in bytes and the content type that belongs to it."""
        if self.body is None:
            if self.form is not None:
                self.body, content_type = (
                    (_urlencoded(self.form), b"application/x-www-form-urlencoded")
                    if self.urlencoded
                    else (_multipart(self.form), b"multipart/form-data; boundary=" + BOUNDARY)
                )
                self.content_type = self.content_type or content_type
            elif self.json is not None:
                self.body = json.dumps(self.json, allow_nan=True).encode("utf-8", "surrogatepass")
                self.content_type = self.content_type or b"application/json"
        return self

    def wire(self) -> bytes:
        """The bytes to send."""
        draft = self.built()
        body = draft.body or b""
        target = draft.path + (
            b"?" + b"&".join(name + b"=" + value for name, value in draft.query) if draft.query else b""
        )
        headers = list(draft.headers)
        if draft.content_type is not None:
            headers.append((b"Content-Type", draft.content_type))
        if draft.chunked:
            headers.append((b"Transfer-Encoding", b"chunked"))
            body = _chunked(body, draft.chunked)
        elif body or draft.method in {b"POST", b"PUT", b"PATCH"}:
            headers.append((b"Content-Length", str(len(body)).encode()))
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return draft.method + b" " + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n" + head + b"\r\n" + body


def _urlencoded(form: list[tuple[bytes, bytes | File]]) -> bytes:
    pairs = ((name, value.content if isinstance(value, File) else value) for name, value in form)
    return b"&".join(percent(name) + b"=" + percent(value) for name, value in pairs)


def percent(text: bytes) -> bytes:
    """Every byte but letters and digits as %XX."""
    return b"".join(bytes([one]) if chr(one).isascii() and chr(one).isalnum() else b"%%%02X" % one for one in text)


def _multipart(form: list[tuple[bytes, bytes | File]]) -> bytes:
    parts = []
    for name, value in form:
        head = b'Content-Disposition: form-data; name="' + name + b'"'
        if isinstance(value, File):
            head += b'; filename="' + value.name + b'"\r\nContent-Type: ' + value.mime_type
        content = value.content if isinstance(value, File) else value
        parts.append(b"--" + BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n")
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def _chunked(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
