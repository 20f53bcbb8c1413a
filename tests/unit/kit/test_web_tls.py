"""The wall over TLS: the vetted address is dialled, the name is verified."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kit.errors import InputFetchRefused
from kit.web import Fetched, FetchLimits, WallPolicy, WebClient
from kit.web.refusal import Refusal
from testkit import tls
from testkit.web import FakeResolver, Site, redirect, respond

LOOPBACK = WallPolicy(allow=WallPolicy.parse_allow("127.0.0.1"))
QUICK = FetchLimits(connect_s=5, refusal_floor_s=0)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site({"/": respond(b"hello")}, tls=tls.server_context()) as site:
        yield site


async def _fetch(url: str, **options: Any) -> Fetched:
    resolver = FakeResolver({tls.HOST: ["127.0.0.1"], "other.example.com": ["127.0.0.1"]})
    context: ssl.SSLContext | None = options.pop("ssl_context", None) or tls.client_context()
    client = WebClient(LOOPBACK, resolver=resolver, ssl_context=context, **options)

    async def sink(_chunk: bytes) -> None:
        pass

    return await client.fetch(url, sink, QUICK)


async def _cause(url: str, **options: Any) -> str:
    with pytest.raises(InputFetchRefused) as caught:
        await _fetch(url, **options)
    assert isinstance(caught.value.__cause__, Refusal)
    return caught.value.__cause__.cause


async def test_name_is_sent_and_verified_while_the_address_is_dialled(site: Site) -> None:
    fetched = await _fetch(f"https://{tls.HOST}:{site.port}/")
    assert fetched.bytes == 5
    assert site.server_names == [tls.HOST]
    assert site.requests[0].headers["host"] == f"{tls.HOST}:{site.port}"


@pytest.mark.parametrize("host", ["other.example.com", "127.0.0.1"])
async def test_host_is_refused_when_its_certificate_is_anothers(site: Site, host: str) -> None:
    assert await _cause(f"https://{host}:{site.port}/") == "connect_failed"
    assert site.requests == []


async def test_host_is_refused_when_nobody_we_trust_signed_for_it(site: Site) -> None:
    assert (
        await _cause(f"https://{tls.HOST}:{site.port}/", ssl_context=ssl.create_default_context()) == "connect_failed"
    )
    assert site.requests == []


async def test_host_is_refused_when_it_does_not_speak_tls() -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(respond(b"hello"))
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        assert await _cause(f"https://{tls.HOST}:{port}/") == "connect_failed"


async def test_redirect_from_https_to_http_is_refused(site: Site) -> None:
    async with Site({"/": respond(b"hello")}) as plain:
        site.reply("/down", redirect(f"http://{tls.HOST}:{plain.port}/"))
        assert await _cause(f"https://{tls.HOST}:{site.port}/down") == "redirect_downgrade"
        assert plain.connections == 0


async def test_redirect_from_http_to_https_is_followed(site: Site) -> None:
    async with Site({"/up": redirect(f"https://{tls.HOST}:{site.port}/")}) as plain:
        fetched = await _fetch(f"http://{tls.HOST}:{plain.port}/up")
    assert fetched.final_url == f"https://{tls.HOST}:{site.port}/"


async def test_public_roots_are_trusted_by_default() -> None:
    client = WebClient(LOOPBACK)
    try:
        assert client._dialer._ssl_context.verify_mode is ssl.CERT_REQUIRED
        assert client._dialer._ssl_context.check_hostname
        assert len(client._dialer._ssl_context.get_ca_certs()) > 50
    finally:
        await client.aclose()
