"""A partner downloads whole files, parts of them, and nothing it already has."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from testkit.openclient import OpenClient
from testkit.photos import encoded, photo


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An uploaded file."""

    path: str
    content: bytes

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()}"'


@pytest_asyncio.fixture(loop_scope="session")
async def stored(partner: OpenClient) -> AsyncIterator[Stored]:
    content = encoded(photo((400, 300)), "PNG")
    (record,) = await partner.upload(("figure.png", content))
    yield Stored(path=f"/assets/{record['id']}/download", content=content)


async def test_whole_file_says_what_it_is(partner: OpenClient, stored: Stored) -> None:
    answer = await partner.get(stored.path)

    assert answer.status_code == 200
    assert answer.content == stored.content
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == str(len(stored.content))
    assert answer.headers["etag"] == stored.etag
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "figure.png" in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-99", 0, 100), ("bytes=100-", 100, None), ("bytes=-50", -50, None), ("bytes=10-99999999", 10, None)],
)
async def test_part_of_the_file_is_sent(
    partner: OpenClient, stored: Stored, asked: str, first: int, last: int | None
) -> None:
    expected = stored.content[first:last]

    answer = await partner.get(stored.path, headers={"range": asked})

    assert answer.status_code == 206
    assert answer.content == expected
    start = len(stored.content) + first if first < 0 else first
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/{len(stored.content)}"
    assert answer.headers["content-length"] == str(len(expected))


async def test_parts_make_the_whole(partner: OpenClient, stored: Stored) -> None:
    size = len(stored.content)
    parts = [
        (await partner.get(stored.path, headers={"range": f"bytes={start}-{start + size // 3}"})).content
        for start in range(0, size, size // 3 + 1)
    ]

    assert b"".join(parts) == stored.content


async def test_range_outside_of_the_file_is_refused(partner: OpenClient, stored: Stored) -> None:
    answer = await partner.get(stored.path, headers={"range": f"bytes={len(stored.content)}-"})

    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(stored.content)}"


async def test_nothing_is_sent_to_whoever_has_it(partner: OpenClient, stored: Stored) -> None:
    answer = await partner.get(stored.path, headers={"if-none-match": stored.etag})

    assert answer.status_code == 304
    assert answer.content == b""


async def test_range_counts_only_for_the_same_file(partner: OpenClient, stored: Stored) -> None:
    same = await partner.get(stored.path, headers={"range": "bytes=0-9", "if-range": stored.etag})
    other = await partner.get(stored.path, headers={"range": "bytes=0-9", "if-range": '"another"'})

    assert (same.status_code, len(same.content)) == (206, 10)
    assert (other.status_code, other.content) == (200, stored.content)


async def test_head_tells_without_sending(partner: OpenClient, stored: Stored) -> None:
    answer = await partner.http.head(f"/api/v1{stored.path}")

    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-length"] == str(len(stored.content))
    assert answer.headers["etag"] == stored.etag
