"""Tests of the signed leave to move bytes."""

import re

import pytest
from pydantic import SecretStr

from kit.errors import TicketInvalid
from kit.identity import IdentitySigner
from kit.tickets import TTL_S_MAX, Ticket, TicketSigner

SECRET = SecretStr("t" * 40)
FULL = Ticket(
    "store_output",
    "partner-a",
    asset_id="asset_1",
    job_id="job_1",
    bytes_max=20_000_000,
    kind="image",
    retention_s=86_400,
)


class Time:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.25

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.mark.parametrize("ticket", [FULL, Ticket("upload", "客户")])
def test_ticket_comes_back_whole_and_fits_a_url(ticket: Ticket, time: Time) -> None:
    signer = TicketSigner(SECRET, now=time)
    token = signer.sign(ticket, 60)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert signer.verify(token, action=ticket.action) == ticket


def test_ticket_is_refused_when_its_time_is_over(time: Time) -> None:
    signer = TicketSigner(SECRET, now=time)
    token = signer.sign(FULL, 60)
    time.now += 59.9
    signer.verify(token, action=FULL.action)
    time.now += 0.1
    with pytest.raises(TicketInvalid):
        signer.verify(token, action=FULL.action)


def test_ticket_is_refused_when_it_is_for_another_action(time: Time) -> None:
    signer = TicketSigner(SECRET, now=time)
    with pytest.raises(TicketInvalid):
        signer.verify(signer.sign(FULL, 60), action="download")


def test_ticket_is_refused_when_any_character_changed(time: Time) -> None:
    signer = TicketSigner(SECRET, now=time)
    token = signer.sign(Ticket("upload", "a"), 60)
    for position in range(len(token) - 1):  # The last one has unused bits.
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        with pytest.raises(TicketInvalid):
            signer.verify(changed, action="upload")


@pytest.mark.parametrize("token", ["", "a", "é", "=" * 10, "A" * 44, "A" * 100_000, "../../etc"])
def test_ticket_is_refused_when_it_is_rubbish(token: str) -> None:
    with pytest.raises(TicketInvalid):
        TicketSigner(SECRET).verify(token, action="upload")


def test_ticket_is_refused_when_signed_with_another_secret_or_for_another_purpose(time: Time) -> None:
    signer = TicketSigner(SECRET, now=time)
    foreign = TicketSigner(SecretStr("u" * 40), now=time).sign(FULL, 60)
    with pytest.raises(TicketInvalid):
        signer.verify(foreign, action=FULL.action)
    with pytest.raises(TicketInvalid):
        signer.verify(IdentitySigner("edge", SECRET, now=time).token("a"), action=FULL.action)


@pytest.mark.parametrize("ttl_s", [0, -1, TTL_S_MAX + 1])
def test_ticket_is_not_signed_when_its_life_is_out_of_range(ttl_s: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        TicketSigner(SECRET).sign(FULL, ttl_s)


@pytest.mark.parametrize("fields", [{"action": ""}, {"client_id": ""}, {"bytes_max": -1}, {"retention_s": -1}])
def test_ticket_cannot_exist_when_a_field_makes_no_sense(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="ticket"):
        Ticket(**({"action": "upload", "client_id": "a"} | fields))  # type: ignore[arg-type]
