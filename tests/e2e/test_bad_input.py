"""Whatever is wrong with a request, the answer says what, and nothing of it is left behind."""

import asyncio
import functools
import io
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from atelier.jobs.v1 import job_admin_service_pb2 as jobs_pb2
from testkit.deployments import Deployment, NewPartner
from testkit.openclient import OpenClient
from testkit.photos import encoded, photo
from testkit.waiting import until

GENERATE = {"capability": "image.generate", "prompt": "山"}
MEBIBYTE = 1024 * 1024
QUIET_S = 1.5  # Longer than any relay waits.
CALL_TIMEOUT_S = 10.0
FORBIDDEN_URLS = [
    "http://127.0.0.2/a.png",
    "http://127.1.1.1:8081/a.png",
    "http://[::1]/a.png",
    "http://[::ffff:127.0.0.2]/a.png",
    "http://10.0.0.7/a.png",
    "http://172.16.3.4/a.png",
    "http://192.168.1.1/a.png",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.64.0.1/a.png",
    "http://0.0.0.0/a.png",
    "http://2130706434/a.png",
    "http://0x7f000002/a.png",
    "http://[fd00::1]/a.png",
    "http://[fe80::1]/a.png",
    "file:///etc/passwd",
    "ftp://127.0.0.1/a.png",
    "gopher://127.0.0.1/",
    "http://user:password@127.0.0.2/a.png",
    "http:///a.png",
    "not a url",
]


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A body of `POST /jobs` and the answer it deserves."""

    name: str
    body: Any = None
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 400
    names: str  #: The message names this.


BAD_JOBS = [
    Bad(name="no body", raw=b"", names="JSON"),
    Bad(name="not JSON", raw=b"capability=image.generate", names="JSON"),
    Bad(name="cut short", raw=b'{"capability": "image.generate", "prompt": "x', names="prompt"),
    Bad(name="a list", body=[GENERATE], names="JSON object"),
    Bad(name="NaN", raw=b'{"capability": "image.generate", "prompt": "x", "width": NaN}', names="width"),
    Bad(name="infinity", raw=b'{"capability": "image.generate", "prompt": "x", "scale": Infinity}', names="scale"),
    Bad(name="beyond a double", raw=b'{"capability": "image.generate", "prompt": "x", "scale": 1e999}', names="scale"),
    Bad(
        name="100,000 lists deep",
        raw=b'{"capability": "image.generate", "prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        names="prompt",
    ),
    Bad(
        name="100,000 objects deep",
        raw=b'{"capability": "image.generate", "settings": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        names="settings",
    ),
    Bad(name="invalid UTF-8", raw=b'{"capability": "image.generate", "prompt": "\xff\xfe"}', names="JSON"),
    Bad(name="NUL", body={**GENERATE, "prompt": "a\x00b"}, names="NUL"),
    Bad(name="20 MB", raw=b'{"prompt": "' + b"x" * (20 * MEBIBYTE) + b'"}', status=413, names="body"),
    Bad(name="no capability", body={"prompt": "山"}, names="capability"),
    Bad(name="unknown capability", body={**GENERATE, "capability": "image.sing"}, names="capability"),
    Bad(name="capability of the wrong type", body={**GENERATE, "capability": 7}, names="capability"),
    Bad(name="no prompt", body={"capability": "image.generate"}, names="prompt"),
    Bad(name="empty prompt", body={**GENERATE, "prompt": ""}, names="prompt"),
    Bad(name="long prompt", body={**GENERATE, "prompt": "山" * 4001}, names="prompt"),
    Bad(name="prompt of the wrong type", body={**GENERATE, "prompt": ["山"]}, names="prompt"),
    Bad(name="prompt is null", body={**GENERATE, "prompt": None}, names="prompt"),
    Bad(name="negative width", body={**GENERATE, "width": -1}, names="width"),
    Bad(name="no width", body={**GENERATE, "width": 0}, names="width"),
    Bad(name="huge width", body={**GENERATE, "width": 10**30}, names="width"),
    Bad(name="width is text", body={**GENERATE, "width": "512"}, names="width"),
    Bad(name="width is true", body={**GENERATE, "width": True}, names="width"),
    Bad(name="width is a fraction", body={**GENERATE, "width": 512.5}, names="width"),
    Bad(name="quality unknown", body={**GENERATE, "quality": "best"}, names="quality"),
    Bad(name="unknown field", body={**GENERATE, "wdith": 512}, names="wdith"),
    Bad(name="field of another capability", body={**GENERATE, "resolution": "4k"}, names="resolution"),
    Bad(name="too many inputs", body={**GENERATE, "imageUrls": ["https://example.com/a.png"] * 17}, names="imageUrls"),
    Bad(name="inputs are text", body={**GENERATE, "imageUrls": "https://example.com/a.png"}, names="imageUrls"),
    Bad(name="input missing", body={"capability": "image.upscale"}, names="imageUrls"),
    Bad(
        name="input id is nonsense",
        body={"capability": "image.upscale", "inputAssetIds": ["../../etc/passwd"]},
        status=404,
        names="inputAssetIds",
    ),
    Bad(name="input id is empty", body={"capability": "image.upscale", "inputAssetIds": [""]}, names="inputAssetIds"),
    Bad(name="webhook is no URL", body={**GENERATE, "webhookUrl": "not a url"}, names="webhookUrl"),
    Bad(name="webhook is private", body={**GENERATE, "webhookUrl": "http://10.0.0.1/hook"}, names="webhookUrl"),
    Bad(name="webhook is loopback", body={**GENERATE, "webhookUrl": "http://127.0.0.2/hook"}, names="webhookUrl"),
    Bad(
        name="webhook is long", body={**GENERATE, "webhookUrl": "https://example.com/" + "a" * 2050}, names="webhookUrl"
    ),
    Bad(name="key is long", body=GENERATE, headers={"idempotency-key": "k" * 256}, names="Idempotency-Key"),
    Bad(name="key is empty", body=GENERATE, headers={"idempotency-key": ""}, names="Idempotency-Key"),
    *(
        Bad(name=f"input {url}", body={"capability": "image.upscale", "imageUrls": [url]}, names="imageUrls")
        for url in FORBIDDEN_URLS
    ),
]


@pytest_asyncio.fixture(loop_scope="session", scope="module", autouse=True)
async def _quiet(deployment: Deployment) -> None:
    """Earlier stories have ended: no row comes from their jobs any more."""
    jobs = deployment.operator().jobs

    async def live() -> int:
        stats = await jobs.GetQueueStats(jobs_pb2.GetQueueStatsRequest(), timeout=CALL_TIMEOUT_S)
        return sum(pool.queued + pool.running for pool in stats.pools)

    await until(live, lambda count: count == 0, timeout_s=60)
    before: dict[str, int] = {}
    while (now := await deployment.census()) != before:
        before = now
        await asyncio.sleep(QUIET_S)


class LeftSomething(AssertionError):
    """There are more rows or files than before."""


def thrice(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Try again where something was left: it may be the late end of an earlier story, which ends only once."""

    @functools.wraps(test)
    async def tried(*arguments: Any, **named: Any) -> None:
        for _ in range(2):
            try:
                return await test(*arguments, **named)
            except LeftSomething:
                await asyncio.sleep(QUIET_S)
        return await test(*arguments, **named)

    return tried


async def _leftovers(house: Deployment) -> tuple[dict[str, int], frozenset[str]]:
    """Rows in all tables and files in the store. Rows that are pruned with time are not what a request leaves."""
    return await house.census(), await house.stored_files()


async def _assert_nothing_was_left(
    house: Deployment, partner: OpenClient, before: tuple[dict[str, int], frozenset[str]]
) -> None:
    rows, files = await _leftovers(house)
    more = {table: (before[0][table], count) for table, count in rows.items() if count > before[0][table]}
    if more or files - before[1]:
        raise LeftSomething(more, files - before[1])
    assert await partner.points() == {"available": 1000, "held": 0, "spent": 0}
    assert await partner.jobs() == []
    assert await partner.assets() == []


def _assert_is_the_contracts_error(answer: httpx.Response, status: int, names: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert set(answer.json()) == {"error"}
    assert names.lower() in answer.json()["error"].lower()
    for inside in ("Traceback", "grpc", "sqlalchemy", "/usr/", "site-packages"):
        assert inside not in answer.text


@pytest.mark.parametrize("bad", BAD_JOBS, ids=lambda bad: bad.name)
@thrice
async def test_bad_job_is_refused_and_leaves_nothing(house: Deployment, partner: OpenClient, bad: Bad) -> None:
    await partner.points()
    before = await _leftovers(house)
    headers = {"content-type": "application/json", **bad.headers}
    content = {"json": bad.body} if bad.raw is None else {"content": bad.raw}

    answer = await partner.post("/jobs", headers=headers, **content)

    _assert_is_the_contracts_error(answer, bad.status, bad.names)
    await _assert_nothing_was_left(house, partner, before)


def _png_header(width: int, height: int) -> bytes:
    """A PNG that says it is so large, with hardly any data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def _animation() -> bytes:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "green", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    return file.getvalue()


def _bad_files() -> list[tuple[str, bytes, int]]:
    png = encoded(photo((64, 48)), "PNG")
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0xFF
    return [
        ("HTML", b"<!doctype html><html><script>alert(1)</script></html>", 400),
        ("SVG", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', 400),
        ("empty", b"", 400),
        ("text", b"hello", 400),
        ("GIF", b"GIF89a" + bytes(100), 400),
        ("cut short", png[: len(png) // 2], 400),
        ("damaged", bytes(flipped), 400),
        ("only a signature", b"\x89PNG\r\n\x1a\n", 400),
        ("80,000 x 80,000", _png_header(80_000, 80_000), 400),
        ("20,000 x 1", _png_header(20_000, 1), 400),
        ("animated", _animation(), 400),
        ("21 MiB", png + bytes(21 * MEBIBYTE), 413),
    ]


@pytest.mark.parametrize(("name", "content", "status"), _bad_files(), ids=[name for name, _, _ in _bad_files()])
@thrice
async def test_bad_file_is_refused_and_leaves_nothing(
    house: Deployment, partner: OpenClient, name: str, content: bytes, status: int
) -> None:
    await partner.points()
    before = await _leftovers(house)

    answer = await partner.post("/assets", files=[("files", ("picture.png", content, "image/png"))])

    _assert_is_the_contracts_error(answer, status, "files")
    await _assert_nothing_was_left(house, partner, before)


@thrice
async def test_one_bad_file_among_good_ones_leaves_none(house: Deployment, partner: OpenClient) -> None:
    good = encoded(photo((64, 48)), "PNG")
    await partner.points()
    before = await _leftovers(house)

    answer = await partner.post(
        "/assets", files=[("files", ("a.png", good)), ("files", ("b.png", b"<html>")), ("files", ("c.png", good))]
    )

    _assert_is_the_contracts_error(answer, 400, "files[1]")
    await _assert_nothing_was_left(house, partner, before)


BAD_FORMS: list[tuple[str, dict[str, Any], str]] = [
    ("no file", {"files": [("note", (None, b"hello"))]}, "files"),
    ("unknown kind", {"files": [("files", ("a.png", b"x"))], "data": {"kind": "song"}}, "kind"),
    ("17 files", {"files": [("files", (f"{n}.png", b"x")) for n in range(17)]}, "files"),
    ("no boundary", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, "form"),
    (
        "cut short",
        {
            "content": b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nx',
            "headers": {"content-type": "multipart/form-data; boundary=b"},
        },
        "f",
    ),
    ("no URL", {"json": {"name": "a.png"}}, "url"),
    ("URL of the wrong type", {"json": {"url": ["https://example.com/a.png"]}}, "url"),
    ("unknown kind of URL", {"json": {"url": "https://example.com/a.png", "kind": "song"}}, "kind"),
    ("unknown field", {"json": {"url": "https://example.com/a.png", "format": "png"}}, "format"),
]


@pytest.mark.parametrize(("name", "options", "names"), BAD_FORMS, ids=[name for name, _, _ in BAD_FORMS])
@thrice
async def test_bad_asset_request_is_refused_and_leaves_nothing(
    house: Deployment, partner: OpenClient, name: str, options: dict[str, Any], names: str
) -> None:
    await partner.points()
    before = await _leftovers(house)

    answer = await partner.post("/assets", **options)

    _assert_is_the_contracts_error(answer, 400, names)
    await _assert_nothing_was_left(house, partner, before)


@thrice
async def test_forbidden_urls_are_refused_and_leave_nothing(house: Deployment, partner: OpenClient) -> None:
    await partner.points()
    before = await _leftovers(house)

    # All at once: a refusal takes as long as an attempt would, so that nobody can tell what is there.
    answers = await asyncio.gather(*(partner.post("/assets", json={"url": url}) for url in FORBIDDEN_URLS))

    for answer in answers:
        _assert_is_the_contracts_error(answer, 400, "url")
    assert len({answer.text for answer in answers}) == 1  # Nor from the words.
    await _assert_nothing_was_left(house, partner, before)


@thrice
async def test_foreign_input_is_refused_and_leaves_nothing(
    house: Deployment, partner: OpenClient, make_partner: NewPartner
) -> None:
    owner = await make_partner()
    (record,) = await owner.upload(("theirs.png", encoded(photo((64, 48)), "PNG")))
    await partner.points()
    before = await _leftovers(house)

    answer = await partner.submit({"capability": "image.upscale", "inputAssetIds": [record["id"]]})

    _assert_is_the_contracts_error(answer, 404, "inputAssetIds[0]")
    await _assert_nothing_was_left(house, partner, before)


NONSENSE = {
    "unknown": "job_x",
    "long": "x" * 300,
    "NUL": "%00",
    "path": "..%2f..%2fetc%2fpasswd",
    "SQL": "job_' OR 1=1 --",
    "not ASCII": "山",
}


@pytest.mark.parametrize("job_id", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_ids_are_not_found(partner: OpenClient, job_id: str) -> None:
    for path in (f"/jobs/{job_id}", f"/assets/{job_id}", f"/assets/{job_id}/download", f"/jobs/{job_id}/events"):
        answer = await partner.get(path)
        _assert_is_the_contracts_error(answer, 404, "not found")


async def test_wrong_method_is_refused(partner: OpenClient) -> None:
    answer = await partner.http.put("/api/v1/jobs", json=GENERATE)

    _assert_is_the_contracts_error(answer, 405, "method")
