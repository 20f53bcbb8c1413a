"""From a name to the one address that is dialled."""

import socket
from collections.abc import Sequence
from typing import Any

import pytest

from kit.web import SystemResolver, WallPolicy
from kit.web.dns import resolve
from kit.web.refusal import Refusal
from kit.web.target import judge_url
from testkit.web import FakeResolver

OPEN_INTERNET = WallPolicy()
ON_PREMISES = WallPolicy(allow=WallPolicy.parse_allow("10.1.2.0/24"))


async def _resolve(
    url: str, answer: Sequence[str] = (), *, policy: WallPolicy = OPEN_INTERNET, resolver: FakeResolver | None = None
) -> str:
    target = judge_url(url, policy)
    resolver = resolver or FakeResolver({target.host: answer})
    return str(await resolve(target, policy, resolver, timeout_s=0.05))


async def test_first_address_is_dialled_when_all_are_public() -> None:
    assert await _resolve("http://example.com/", ["2606:4700::1111", "1.1.1.1"]) == "2606:4700::1111"


@pytest.mark.parametrize(
    "answer",
    [
        ["10.0.0.1"],
        ["1.1.1.1", "10.0.0.1"],
        ["10.0.0.1", "1.1.1.1"],
        ["1.1.1.1", "8.8.8.8", "::1"],
        ["1.1.1.1", "64:ff9b::7f00:1"],
        ["1.1.1.1", "::ffff:127.0.0.1"],
        ["1.1.1.1", "fe80::1%eth0"],
    ],
    ids=repr,
)
async def test_name_is_refused_when_any_address_is_denied(answer: list[str]) -> None:
    with pytest.raises(Refusal, match="address_denied"):
        await _resolve("http://example.com/", answer)


async def test_name_is_refused_when_it_does_not_exist() -> None:
    with pytest.raises(Refusal, match="name_unknown"):
        await _resolve("http://example.com/", [])


async def test_name_is_refused_when_the_resolver_is_silent() -> None:
    with pytest.raises(Refusal, match="resolve_timeout"):
        await _resolve("http://example.com/", resolver=FakeResolver(silent=["example.com"]))


@pytest.mark.parametrize("answer", [["nonsense"], ["1.1.1.1", "999.1.1.1"]], ids=repr)
async def test_name_is_refused_when_the_answer_is_no_address(answer: list[str]) -> None:
    with pytest.raises(Refusal, match="resolve_failed"):
        await _resolve("http://example.com/", answer)


async def test_literal_address_is_not_looked_up() -> None:
    resolver = FakeResolver()
    assert await _resolve("http://8.8.8.8/", resolver=resolver) == "8.8.8.8"
    assert resolver.lookups == []


async def test_name_is_looked_up_once() -> None:
    resolver = FakeResolver(rebinding={"example.com": [["1.1.1.1"], ["10.0.0.1"]]})
    assert await _resolve("http://example.com/", resolver=resolver) == "1.1.1.1"
    assert resolver.lookups == ["example.com"]


@pytest.mark.parametrize("url", ["http://nas.local/", "http://nas/", "http://nas.example.com:9000/"])
async def test_inner_name_or_port_is_dialled_only_inside_the_allow_ranges(url: str) -> None:
    assert await _resolve(url, ["10.1.2.3"], policy=ON_PREMISES) == "10.1.2.3"
    for answer in (["1.1.1.1"], ["10.1.2.3", "1.1.1.1"], ["10.1.3.3"]):
        with pytest.raises(Refusal, match="address_denied"):
            await _resolve(url, answer, policy=ON_PREMISES)


async def test_name_of_the_hosts_file_is_dialled_only_inside_the_allow_ranges() -> None:
    inside = FakeResolver(local_names={"nas.example.com": ["10.1.2.3"]})
    assert await _resolve("http://nas.example.com/", policy=ON_PREMISES, resolver=inside) == "10.1.2.3"
    outside = FakeResolver(local_names={"nas.example.com": ["1.1.1.1"]})
    with pytest.raises(Refusal, match="address_denied"):
        await _resolve("http://nas.example.com/", policy=ON_PREMISES, resolver=outside)


async def test_hosts_file_is_not_asked_when_nothing_is_allowed() -> None:
    resolver = FakeResolver(local_names={"nas.example.com": ["1.1.1.1"]})
    with pytest.raises(Refusal, match="name_unknown"):
        await _resolve("http://nas.example.com/", resolver=resolver)


async def test_system_resolver_knows_localhost_only_as_a_local_name() -> None:
    resolver = SystemResolver()
    try:
        assert set(await resolver.lookup("localhost", local_names=True)) <= {"127.0.0.1", "::1"}
    finally:
        await resolver.aclose()


async def test_system_resolver_asks_for_an_absolute_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def getaddrinfo(name: str, *_args: Any, **_options: Any) -> list[Any]:
        asked.append(name)
        if len(asked) == 1:
            return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2606:4700::1111", 0, 0, 0))]
        raise socket.gaierror(socket.EAI_NONAME if len(asked) == 2 else socket.EAI_AGAIN, "told so")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = SystemResolver()
    try:
        assert await resolver.lookup("db.prod", local_names=False) == ["2606:4700::1111"]
        assert await resolver.lookup("db.prod", local_names=False) == []
        with pytest.raises(OSError, match="told so"):
            await resolver.lookup("db.prod", local_names=False)
    finally:
        await resolver.aclose()
    assert asked == ["db.prod."] * 3
