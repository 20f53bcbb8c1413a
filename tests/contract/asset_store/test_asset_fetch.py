"""Outside URLs: fetched through the wall into the same pipeline."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from atelier.assets.v1 import asset_pb2
from atelier.assets.v1 import asset_service_pb2 as pb
from kit.errors import InputFetchRefused, InputUnsupported, TicketInvalid
from testkit.web import Site, redirect, respond

PRIVATE = [
    "http://127.0.0.1/x.png",
    "http://[::1]/x.png",
    "http://10.0.0.8/x.png",
    "http://169.254.169.254/latest/meta-data",
    "http://localhost/x.png",
    "http://2130706433/x.png",
    "http://inner.example.com/x.png",
    "ftp://example.com/x.png",
    "file:///etc/passwd",
    "http://user:pw@example.com/x.png",
    "http://unknown.example.com/x.png",
    "not a url",
]


@pytest.fixture
async def site(photo: Any) -> AsyncIterator[Site]:
    picture = photo("PNG", 60, 40)
    async with Site(
        {
            "/dir/%E5%8F%82%E8%80%83.png?v=1": respond(picture, headers={"Content-Type": "text/html"}),
            "/there": redirect("/dir/%E5%8F%82%E8%80%83.png?v=1"),
            "/page.png": respond(b"<html>not a picture</html>", headers={"Content-Type": "image/png"}),
            "/cut.png": respond(picture[:-900], headers={"Content-Length": str(len(picture))}),
            "/inward": redirect("http://169.254.169.254/"),
        }
    ) as site:
        yield site


async def test_private_and_malformed_urls_are_refused_and_leave_nothing(house: Any) -> None:
    vetted = [house.stub.VetUrl(pb.VetUrlRequest(url=url), timeout=30) for url in PRIVATE]
    fetched = [house.fetch(url) for url in PRIVATE]
    answers = await asyncio.gather(*vetted, *fetched, return_exceptions=True)
    for url, answer in zip(PRIVATE * 2, answers, strict=True):
        assert isinstance(answer, InputFetchRefused), (url, answer)
        assert answer.field == "url"
    assert len({str(answer) for answer in answers}) == 1
    assert await house.is_empty()


async def test_a_fetch_needs_a_ticket(house: Any) -> None:
    request = pb.FetchAssetRequest(ticket="garbage", url="http://pictures.example.com/")
    with pytest.raises(TicketInvalid):
        await house.stub.FetchAsset(request, timeout=10)
    assert house.resolver.lookups == []


class TestAllowed:
    """With the loopback site let through by the deployment."""

    @pytest.fixture
    def allow_private_targets(self) -> str:
        return "127.0.0.1"

    async def test_a_picture_is_stored_as_it_is(self, house: Any, site: Site, photo: Any) -> None:
        url = f"http://pictures.example.com:{site.port}/there"
        await house.stub.VetUrl(pb.VetUrlRequest(url=url), timeout=10)
        assert site.connections == 0
        asset = await house.fetch(url, name="Ordner/x.png")
        assert (asset.origin, asset.source_url, asset.name) == (asset_pb2.ASSET_ORIGIN_URL, url, "x.png")
        assert (asset.mime_type, asset.width, asset.height) == ("image/png", 60, 40)
        assert (await house.read(asset.id))[1] == photo("PNG", 60, 40)
        assert await house.get(asset.id) == asset

    async def test_the_name_is_the_urls_last_part_where_none_is_given(self, house: Any, site: Site) -> None:
        asset = await house.fetch(f"http://127.0.0.1:{site.port}/dir/%E5%8F%82%E8%80%83.png?v=1")
        assert asset.name == "参考.png"

    async def test_what_could_not_be_fetched_whole_leaves_nothing(self, house: Any, site: Site) -> None:
        urls = [f"http://127.0.0.1:{site.port}{path}" for path in ("/missing", "/cut.png", "/inward")]
        answers = await asyncio.gather(*map(house.fetch, urls), return_exceptions=True)
        assert [type(answer) for answer in answers] == [InputFetchRefused] * 3
        assert await house.is_empty()

    async def test_a_page_that_says_it_is_a_picture_leaves_nothing(self, house: Any, site: Site) -> None:
        with pytest.raises(InputUnsupported):
            await house.fetch(f"http://127.0.0.1:{site.port}/page.png")
        assert await house.is_empty()

    async def test_a_file_above_the_tickets_limit_leaves_nothing(self, house: Any, site: Site) -> None:
        with pytest.raises(InputFetchRefused):
            await house.fetch(f"http://127.0.0.1:{site.port}/there", bytes_max=100)
        assert await house.is_empty()

    async def test_a_fetch_with_an_id_is_done_once(self, house: Any, site: Site, photo: Any) -> None:
        url = f"http://127.0.0.1:{site.port}/changing.png"
        site.reply("/changing.png", respond(photo("PNG", 9, 9, seed=1)))
        first = await house.fetch(url, asset_id="asset_in", job_id="job_1")
        site.reply("/changing.png", respond(photo("PNG", 9, 9, seed=2)))
        assert await house.fetch(url, asset_id="asset_in", job_id="job_1") == first
        assert first.job_id == ""  # A job's input is the client's own.
        assert len(site.requests) == 1
        assert await house.get("asset_in") == first
