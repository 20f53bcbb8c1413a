"""Which of fal's webhooks are believed, and how rarely its keys are fetched for it."""

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kit.errors import DependencyUnavailable
from provider_adapter import ports
from provider_adapter.ports import Forged
from provider_adapter.providers.fal import signing
from testkit.providers.fal import KEY, FalSimulator
from testkit.providers.trials import Subject, Trial, started

BODY = b'{"request_id": "r1", "status": "OK"}'
#: The first key of RFC 8032, section 7.1.
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


@pytest.fixture
async def trial(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trial]:
    subject = Subject(
        kind="fal",
        simulator=FalSimulator,
        options={
            "key": {"env": "KEY"},
            "keys_url": "/.well-known/jwks.json",
            "capabilities": ["image.generate"],
            "models": ["a/b"],
        },
        secrets={"KEY": KEY},
        asks=[],
        task_ids=True,
    )
    async with started(subject, ports, monkeypatch) as made:
        yield made


def vendor(trial: Trial) -> FalSimulator:
    assert isinstance(trial.simulator, FalSimulator)
    return trial.simulator


def lower(message: tuple[bytes, Mapping[str, str]]) -> tuple[dict[str, str], bytes]:
    body, headers = message
    return {name.lower(): value for name, value in headers.items()}, body


def headers_at(timestamp: int, *, message: bytes | None = None) -> dict[str, str]:
    text = b"req-1\nuser-1\n%d\n%s" % (timestamp, hashlib.sha256(BODY).hexdigest().encode())
    signature = Ed25519PrivateKey.from_private_bytes(SECRET).sign(message or text)
    return {
        "x-fal-webhook-request-id": "req-1",
        "x-fal-webhook-user-id": "user-1",
        "x-fal-webhook-timestamp": str(timestamp),
        "x-fal-webhook-signature": signature.hex(),
    }


def test_any_of_the_keys_is_good() -> None:
    headers, other = headers_at(1_750_000_000), b"\x01" * 32
    assert Ed25519PrivateKey.from_private_bytes(SECRET).public_key().public_bytes_raw() == PUBLIC
    assert signing.check(headers, BODY, [other, b"short", PUBLIC], now_s=1_750_000_000)
    assert not signing.check(headers, BODY, [other], now_s=1_750_000_000)
    assert not signing.check(headers, BODY, [], now_s=1_750_000_000)
    assert not signing.check(headers, BODY + b" ", [PUBLIC], now_s=1_750_000_000)


def test_time_may_differ_by_five_minutes_both_ways() -> None:
    for off_s in (-300, 0, 300):
        assert signing.check(headers_at(1_750_000_000), BODY, [PUBLIC], now_s=1_750_000_000 + off_s)
    for off_s in (-301, 301):
        with pytest.raises(Forged):
            signing.check(headers_at(1_750_000_000), BODY, [PUBLIC], now_s=1_750_000_000 + off_s)


@pytest.mark.parametrize("name", ["request-id", "user-id"])
def test_every_line_is_signed(name: str) -> None:
    headers = {**headers_at(1_750_000_000), f"x-fal-webhook-{name}": "other"}
    assert not signing.check(headers, BODY, [PUBLIC], now_s=1_750_000_000)
    with pytest.raises(Forged):
        signing.check({**headers, f"x-fal-webhook-{name}": ""}, BODY, [PUBLIC], now_s=1_750_000_000)


@pytest.mark.parametrize(
    ("name", "value"),
    [("timestamp", ""), ("timestamp", "soon"), ("timestamp", "9" * 40), ("timestamp", "٣"), ("signature", "zz")],
)
def test_header_that_is_nonsense_is_forged(name: str, value: str) -> None:
    headers = {**headers_at(1_750_000_000), f"x-fal-webhook-{name}": value}
    with pytest.raises(Forged):
        signing.check(headers, BODY, [PUBLIC], now_s=1_750_000_000)


def test_key_set_passes_over_what_is_no_key() -> None:
    x = base64.urlsafe_b64encode(PUBLIC).decode().rstrip("=")
    odd: list[Any] = [{"x": "AAAA"}, {"x": "ü"}, {"x": "!"}, {"x": 3}, {}, "x", None]
    assert signing.keys_in({"keys": [*odd, {"kty": "OKP", "x": x}]}) == [PUBLIC]
    several: list[Any] = [None, [], {}, {"keys": "x"}, {"keys": None}]
    assert [signing.keys_in(nonsense) for nonsense in several] == [[]] * 5


async def test_keys_are_fetched_once_and_a_new_one_is_taken_up(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    server = vendor(trial)
    for _ in range(3):
        assert await trial.provider.hear(*lower(server.signed(BODY))) == "a/b/requests/r1"
    assert server.key_questions == 1
    server.signing = Ed25519PrivateKey.generate()
    with pytest.raises(Forged):  # Not fetched again so soon: anybody can send such a webhook.
        await trial.provider.hear(*lower(server.signed(BODY)))
    assert server.key_questions == 1
    monkeypatch.setattr(signing, "KEYS_AGAIN_S", 0.0)
    assert await trial.provider.hear(*lower(server.signed(BODY))) == "a/b/requests/r1"
    assert server.key_questions == 2


async def test_key_set_is_not_kept_for_longer_than_a_day(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    server = vendor(trial)
    await trial.provider.hear(*lower(server.signed(BODY)))
    monkeypatch.setattr(signing, "KEYS_S", 0.0)
    with pytest.raises(DependencyUnavailable):
        await trial.provider.hear(*lower(server.signed(BODY)))


async def test_forged_webhook_is_not_believed(trial: Trial) -> None:
    server = vendor(trial)
    headers, body = lower(server.signed(BODY))
    another = lower(server.signed(BODY, key=Ed25519PrivateKey.generate()))
    old, early = (lower(server.signed(BODY, age_s=age_s)) for age_s in (400.0, -400.0))
    unsigned = {name: value for name, value in headers.items() if not name.endswith("signature")}
    for wrong in (another, old, early, (headers, body + b" "), ({}, body), (unsigned, body)):
        with pytest.raises(Forged):
            await trial.provider.hear(*wrong)
    assert server.key_questions == 1


async def test_vendor_is_to_send_it_again_when_its_keys_cannot_be_had(trial: Trial) -> None:
    away = trial.build(keys_url="http://127.0.0.1:9/jwks.json")
    await away.start()
    with pytest.raises(DependencyUnavailable):
        await away.hear(*lower(vendor(trial).signed(BODY)))
    await away.close()


async def test_genuine_webhook_of_no_task_tells_of_none(trial: Trial) -> None:
    for body in (b"[]", b"{}", b'{"request_id": 3}', b'{"request_id": "../x"}', b"no json"):
        assert await trial.provider.hear(*lower(vendor(trial).signed(body))) is None
