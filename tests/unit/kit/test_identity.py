"""Tests of the signed identity that every call between services carries."""

import contextvars

import pytest
from pydantic import SecretStr

from kit import identity
from kit.errors import PermissionDenied
from kit.identity import Identity, IdentitySigner, IdentityVerifier

SECRET = SecretStr("s" * 32)


class Time:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def in_fresh_context(function: object) -> None:
    assert callable(function)
    contextvars.Context().run(function)


@pytest.mark.parametrize("client_id", [None, "partner-a", "a|b", "客户"])
def test_identity_comes_back_when_signed_with_the_same_secret(client_id: str | None, time: Time) -> None:
    token = IdentitySigner("gateway", SECRET, now=time).token(client_id)
    assert token.isascii()
    assert IdentityVerifier(SECRET, now=time).verify(token) == Identity("gateway", client_id)


def test_token_is_reused_until_half_its_life_is_over(time: Time) -> None:
    signer = IdentitySigner("gateway", SECRET, now=time)
    first = signer.token("a")
    time.now += identity.LIFE_S - identity.RENEW_BEFORE_S - 1
    assert signer.token("a") == first
    time.now += 2
    assert signer.token("a") != first


def test_token_is_refused_when_it_has_expired_even_if_seen_before(time: Time) -> None:
    token = IdentitySigner("gateway", SECRET, now=time).token("a")
    verifier = IdentityVerifier(SECRET, now=time)
    verifier.verify(token)
    time.now += identity.LIFE_S + identity.CLOCK_SKEW_S + 1
    with pytest.raises(PermissionDenied):
        verifier.verify(token)


def test_token_is_refused_when_signed_with_another_secret(time: Time) -> None:
    token = IdentitySigner("gateway", SecretStr("x" * 32), now=time).token("a")
    with pytest.raises(PermissionDenied):
        IdentityVerifier(SECRET, now=time).verify(token)


@pytest.mark.parametrize("position", [0, 5, -1, -20])
def test_token_is_refused_when_one_character_changed(position: int, time: Time) -> None:
    token = list(IdentitySigner("gateway", SECRET, now=time).token("partner-a"))
    token[position] = "A" if token[position] != "A" else "Q"
    with pytest.raises(PermissionDenied):
        IdentityVerifier(SECRET, now=time).verify("".join(token))


@pytest.mark.parametrize("token", ["", ".", "a", "é.ü", "a.b.c", "a" * 5000, "Z2F0ZXdheQ.", "\x00.\x00"])
def test_token_is_refused_when_it_is_rubbish(token: str, time: Time) -> None:
    with pytest.raises(PermissionDenied):
        IdentityVerifier(SECRET, now=time).verify(token)


def test_caches_stay_bounded_when_clients_are_many(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "CACHE_ENTRIES_MAX", 10)
    signer, verifier = IdentitySigner("edge", SECRET, now=time), IdentityVerifier(SECRET, now=time)
    for number in range(100):
        assert verifier.verify(signer.token(f"c{number}")).client_id == f"c{number}"
    assert len(signer._tokens) <= 10
    assert len(verifier._known) <= 10


def test_secret_is_refused_when_short() -> None:
    with pytest.raises(ValueError, match="32"):
        IdentitySigner("edge", SecretStr("short"))
    with pytest.raises(ValueError, match="32"):
        IdentityVerifier(SecretStr("short"))


def test_nobody_is_calling_outside_of_a_handler() -> None:
    def check() -> None:
        for ask in (identity.current, identity.require_client, lambda: identity.require_service("edge")):
            with pytest.raises(PermissionDenied):
                ask()
        assert identity.outgoing_client() is None

    in_fresh_context(check)


def test_outgoing_client_is_the_incoming_one_unless_acting_as_another() -> None:
    def check() -> None:
        identity.enter(Identity("edge", "a"))
        assert identity.require_client() == "a"
        assert identity.require_service("billing", "edge") == "edge"
        assert identity.outgoing_client() == "a"
        with identity.acting_as("b"):
            assert identity.outgoing_client() == "b"
            assert identity.require_client() == "a"
            with identity.acting_as(None):
                assert identity.outgoing_client() is None
            assert identity.outgoing_client() == "b"
        assert identity.outgoing_client() == "a"

    in_fresh_context(check)


def test_service_is_refused_when_it_is_not_named() -> None:
    def check() -> None:
        identity.enter(Identity("edge", None))
        with pytest.raises(PermissionDenied) as caught:
            identity.require_service("job-orchestrator")
        assert caught.value.metadata == {"service": "edge"}
        with pytest.raises(PermissionDenied):
            identity.require_client()

    in_fresh_context(check)
