"""Bytes in and out: multipart files to the asset store, assets to partners with ranges and ETags."""

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from atelier.assets.v1 import asset_pb2
from atelier.assets.v1 import asset_service_pb2 as pb2
from edge.backend import TRANSFER_TIMEOUT_S, Backend
from edge.config import FILE_BYTES_MAX, UPLOAD_BODY_BYTES_MAX, UPLOAD_FIELDS_MAX, UPLOAD_FILES_MAX
from kit.errors import AppError, BodyTooLarge, InvalidArgument

UPLOAD_CHUNK_BYTES: Final = 256 * 1024
NAME_CHARS_MAX: Final = 512
RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)

#: What every download carries: partners' bytes are never run as a page of ours.
SAFE_HEADERS: Final[Mapping[str, str]] = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'",
    "accept-ranges": "bytes",
}


@contextlib.asynccontextmanager
async def form_of(request: Request) -> AsyncIterator[FormData]:
    """The request's form, multipart or urlencoded; its temporary files end with the block.

    Raises InvalidArgument, BodyTooLarge.
    """
    form = await _read_form(request)
    try:
        yield form
    finally:
        await form.close()


async def _read_form(request: Request) -> FormData:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > UPLOAD_BODY_BYTES_MAX:
        raise BodyTooLarge(f"The request body is larger than {UPLOAD_BODY_BYTES_MAX} bytes.")
    try:
        form = await request.form(max_files=UPLOAD_FILES_MAX, max_fields=UPLOAD_FIELDS_MAX)
    except (MultiPartException, MultipartParseError, HTTPException, ValueError, KeyError) as error:
        detail = getattr(error, "message", None) or getattr(error, "detail", None) or "it is malformed"
        raise InvalidArgument(f"The form cannot be read: {detail}") from error
    texts = (value if isinstance(value, str) else value.filename or "" for _, value in form.multi_items())
    if not all(_is_text(text) for text in texts):
        await form.close()
        raise InvalidArgument("The form cannot be read: it holds half a character")
    return form


def _is_text(text: str) -> bool:
    """Whether it can be written in UTF-8: a form may name a charset of its own, and some allow lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


async def upload(backend: Backend, file: UploadFile, *, ticket: str, kind: str, field: str) -> asset_pb2.Asset:
    """Stream one file into the asset store. Raises its refusals, naming `field`."""
    name = (file.filename or "")[:NAME_CHARS_MAX]
    if file.size is not None and file.size > FILE_BYTES_MAX:
        raise BodyTooLarge(f"{field}: a file is larger than {FILE_BYTES_MAX} bytes.", field=field)

    async def parts() -> AsyncIterator[pb2.UploadAssetRequest]:
        yield pb2.UploadAssetRequest(header=pb2.UploadHeader(ticket=ticket, name=name, kind=kind))
        while chunk := await file.read(UPLOAD_CHUNK_BYTES):
            yield pb2.UploadAssetRequest(chunk=chunk)

    try:
        answer = await backend.assets.UploadAsset(parts(), timeout=TRANSFER_TIMEOUT_S)
    except AppError as error:
        error.field = field
        raise
    return answer.asset


@dataclass(frozen=True)
class Span:
    """A range of an asset's bytes."""

    offset: int
    length: int


class RangeNotSatisfiable(Exception):
    """The range asked for lies outside of the asset."""


def read_range(header: str | None, size: int) -> Span | None:
    """The span asked for, None for the whole. Several ranges, or a malformed one, mean the whole (RFC 9110 §14.2)."""
    match = RANGE.fullmatch(header.strip()) if header else None
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        length = min(int(match[2]), size)
        if length == 0:
            raise RangeNotSatisfiable
        return Span(size - length, length)
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    if match[2] and int(match[2]) < first:
        return None
    if first >= size:
        raise RangeNotSatisfiable
    return Span(first, last - first + 1)


async def download(
    backend: Backend, request: Request, asset: asset_pb2.Asset, ticket: str, *, inline: bool = False
) -> Response:
    """Answer GET or HEAD for an asset's bytes: 200, 206, 304 or 416; `inline` is for looking at rather than saving."""
    etag = f'"{asset.sha256}"'
    headers = {
        **SAFE_HEADERS,
        "etag": etag,
        "cache-control": "private, max-age=31536000, immutable",
        "content-disposition": "inline" if inline else _disposition(asset),
        "content-type": asset.mime_type,
    }
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers={name: headers[name] for name in ("etag", "cache-control")})
    if_range = request.headers.get("if-range")
    try:
        span = read_range(request.headers.get("range"), asset.size_bytes) if if_range in {None, etag} else None
    except RangeNotSatisfiable:
        headers["content-range"] = f"bytes */{asset.size_bytes}"
        return Response(status_code=416, headers={name: headers[name] for name in ("content-range", "accept-ranges")})
    status = 200
    if span is not None:
        status = 206
        headers["content-range"] = f"bytes {span.offset}-{span.offset + span.length - 1}/{asset.size_bytes}"
    headers["content-length"] = str(span.length if span else asset.size_bytes)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    chunks = _chunks(backend, ticket, span)
    first = await anext(chunks, b"")  # A refusal comes before the status line, not in the middle of the body.
    return StreamingResponse(_chain(first, chunks), status_code=status, headers=headers)


async def _chunks(backend: Backend, ticket: str, span: Span | None) -> AsyncIterator[bytes]:
    wanted = pb2.ReadAssetRequest(ticket=ticket, offset=span.offset if span else 0, length=span.length if span else 0)
    parts: Any = backend.assets.ReadAsset(wanted, timeout=TRANSFER_TIMEOUT_S)
    async for part in parts:
        if part.WhichOneof("part") == "chunk":
            yield part.chunk


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for chunk in rest:
        yield chunk


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    return header.strip() == "*" or etag in {part.strip().removeprefix("W/") for part in header.split(",")}


def _disposition(asset: asset_pb2.Asset) -> str:
    name = asset.name or f"{asset.id}.{asset.mime_type.rpartition('/')[2]}"
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"
