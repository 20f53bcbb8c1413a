"""Answers that are bytes (downloads and public links), and the types of pictures that may be sent.

The open contract downloads in English; whoever opens a link reads Chinese.
"""

from dataclasses import dataclass
from typing import Final

from edge.openapi.parts import Json, answer, parameter, text_answer

UPLOADS: Final = "image/png, image/jpeg, image/webp"
TYPES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif", "application/postscript", "video/mp4")
RANGE: Final[Json] = {"type": "string", "pattern": "^bytes ([0-9]+-[0-9]+|\\*)/[0-9]+$"}
ETAG: Final[Json] = {"type": "string", "pattern": '^"[0-9a-f]{64}"$'}


@dataclass(frozen=True, kw_only=True)
class Words:
    """What is said in one language."""

    range: str
    if_range: str
    if_none_match: str
    all: str
    part: str
    unchanged: str
    outside: str


ENGLISH: Final = Words(
    range="`bytes=first-last`; a malformed one, or a list, is ignored.",
    if_range="The range only if this is still the ETag; else all.",
    if_none_match="Nothing but 304 if one of these is the ETag, or for `*`.",
    all="All bytes, to be saved under the asset's name.",
    part="The range asked for.",
    unchanged="The ETag of If-None-Match still stands.",
    outside="The range lies outside of the file.",
)
CHINESE: Final = Words(
    range="`bytes=起-止`;格式不正确或包含多个范围时忽略",
    if_range="仅当与当前ETag一致时返回该范围,否则返回全部",
    if_none_match="其中之一与当前ETag一致或为`*`时只返回304",
    all="全部内容,可直接在浏览器中显示",
    part="所请求的范围",
    unchanged="内容未变化",
    outside="请求的范围超出文件",
)


def parameters(words: Words) -> list[Json]:
    """The headers that a request for bytes may have."""
    described = {"Range": words.range, "If-Range": words.if_range, "If-None-Match": words.if_none_match}
    return [parameter(name, "header", {"type": "string"}, description) for name, description in described.items()]


def answers(words: Words) -> dict[int, Json]:
    """What a request for bytes is answered with when they exist."""
    content: Json = {mime_type: {"schema": {"type": "string", "format": "binary"}} for mime_type in TYPES}
    return {
        200: answer(content, words.all, ETag=ETAG),
        206: answer(content, words.part, ETag=ETAG, Content_Range=RANGE),
        304: answer(None, words.unchanged, ETag=ETAG),
        416: answer(None, words.outside, Content_Range=RANGE),
    }


def link(name: str, summary: str, path_parameters: list[Json]) -> Json:
    """A public link: whoever knows it may have the bytes."""
    away = {status: text_answer("Unavailable.", "暂时无法获取,请稍候再试") for status in (500, 503, 504)}
    missing = text_answer("Not found.", "链接不存在;无论何种原因,返回都相同")
    responses = answers(CHINESE) | {404: missing} | away
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "parameters": [*path_parameters, *parameters(CHINESE)],
        "responses": {str(status): responses[status] for status in sorted(responses)},
    }
