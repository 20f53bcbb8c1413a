"""Tests of the page that Prometheus reads."""

import socket
import urllib.request

import pytest

from kit.metrics import MetricsPage, RpcTimings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_page_shows_what_was_measured() -> None:
    RpcTimings("page-test").observe("/a.B/C", "OK", 0.003)
    port = free_port()
    page = MetricsPage(f"127.0.0.1:{port}")
    await page.start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            text = response.read().decode()
    finally:
        await page.stop()
    assert 'atelier_rpc_server_seconds_count{code="OK",method="/a.B/C",service="page-test"} 1.0' in text


async def test_no_page_is_served_when_no_address_is_given() -> None:
    page = MetricsPage("")
    await page.start()
    await page.stop()


@pytest.mark.parametrize("listen", ["here", "host:", ":port", "127.0.0.1"])
def test_address_is_refused_when_it_is_none(listen: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        MetricsPage(listen)
