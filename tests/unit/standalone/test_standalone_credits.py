"""`atelier credits` and `atelier ledger` on a data folder, and statements that are safe to open in a spreadsheet."""

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from atelier.billing.v1 import hold_service_pb2, hold_service_pb2_grpc
from atelier.common.v1 import money_pb2
from kit import identity
from kit.identity import IdentitySigner
from kit.rpc import connect
from standalone import statement
from standalone.assembly import Standalone
from standalone.cli import app
from standalone.place import Place
from standalone.times import to_moment

POINTS = money_pb2.UNIT_POINTS


@pytest.fixture
def atelier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command on a folder with one client; return its status and what it printed."""
    monkeypatch.setenv("COLUMNS", "250")

    def run(*arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(app, [*arguments[:2], "--data-dir", str(tmp_path), *arguments[2:]])
        assert result.exit_code == status, result.output
        return result.output_bytes.decode()  # As written: `output` would change the ends of lines.

    run("clients", "add", "partner-a")
    return run


@pytest.fixture
def jobs(tmp_path: Path) -> Any:
    """Place and settle holds as the orchestrator would."""

    def work(model: str, **captured: int) -> None:
        async def settle() -> None:
            place = Place(tmp_path)
            standalone = Standalone(place)
            async with standalone.life:
                signer = IdentitySigner("job-orchestrator", place.secrets().internal)
                channel = connect("local:billing", identity=signer, directory=standalone._directory)
                holds: Any = hold_service_pb2_grpc.HoldServiceStub(channel)
                for job_id, amount in captured.items():
                    price = money_pb2.Price(
                        options=[money_pb2.PriceOption(unit=POINTS, amount_per_output=30)], outputs=1
                    )
                    with identity.acting_as("partner-a"):
                        request = hold_service_pb2.PlaceHoldRequest(
                            hold_id=job_id, price=price, model=model, expire_time=to_moment("2099-01-01")
                        )
                        await holds.PlaceHold(request, timeout=5)
                    await holds.SettleHold(hold_service_pb2.SettleHoldRequest(hold_id=job_id, amount=amount), timeout=5)

        asyncio.run(settle())

    return work


def test_units_are_granted_corrected_and_shown_with_their_expiry(atelier: Any) -> None:
    grant = ("credits", "grant", "partner-a", "100", "points", "--grant-id", "order-1", "--expires", "2099-12-31")
    assert "100 points granted; 100 available" in atelier(*grant)
    assert "had been granted before; 100 available" in atelier(*grant)
    assert "priority" not in atelier("credits", "grant", "partner-a", "7", "fen", "--priority", "3")
    correction = ("credits", "adjust", "partner-a", "--reason", "typo", "--author", "ops")
    assert "-10 points; 90 available" in atelier(*correction, "--", "-10")
    assert "+5 points; 95 available" in atelier(*correction, "5")
    shown = atelier("credits", "balance", "partner-a")
    assert "2100-01-01T00:00:00+08:00" in shown
    assert "95" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("credits", "grant", "partner-a", "5", "euro"), "unit must be one of"),
        (("credits", "grant", "partner-a", "5", "points", "--expires", "soon"), "not a day or a moment"),
        (("credits", "grant", "partner-a", "5", "points", "--expires", "2001-01-01"), "expires in the future"),
        (("credits", "grant", "nobody", "5"), "client"),
        (("credits", "alert", "nobody", "points", "5"), "client"),
        (("credits", "refund", "job-x", "--reason", "r", "--author", "a"), "hold"),
        (("credits", "statement", "partner-a", "--by", "year"), "--by must be one of"),
        (("credits", "statement", "partner-a", "--format", "pdf"), "--format must be one of"),
        (("credits", "statement", "partner-a", "--from", "2026-13-01"), "not a day or a moment"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_status_1(atelier: Any, arguments: Any, words: str) -> None:
    said = atelier(*arguments, status=1)
    assert said.startswith("atelier: ")
    assert words.lower() in said.lower()


def test_a_job_is_refunded_and_told_in_every_reading(atelier: Any, jobs: Any) -> None:
    atelier("credits", "grant", "partner-a", "100", "--note", "=cmd|'/c calc'!A0")
    jobs("draw.anime", job1=20, job2=0)
    refund = ("credits", "refund", "job1", "5", "--refund-id", "r1", "--reason", "sorry", "--author", "ops")
    assert "job1: 5 points refunded; 85 available" in atelier(*refund)
    assert "had been refunded before" in atelier(*refund)

    rows = json.loads(atelier("credits", "statement", "partner-a", "--by", "job", "--format", "json"))
    assert [(row["job"], row["model"], row["captured"], row["released"], row["refunded"]) for row in rows] == [
        ("job1", "draw.anime", 20, 10, 5),
        ("job2", "draw.anime", 0, 30, 0),
    ]
    assert rows[0]["provider_cost_fen"] is None
    (day,) = json.loads(atelier("credits", "statement", "partner-a", "--by", "day", "--format", "json"))
    assert (day["opening"], day["granted"], day["held"], day["released"], day["closing"]) == (0, 100, 60, 40, 85)
    assert json.loads(atelier("credits", "statement", "partner-a", "--to", "2001-01-01", "--format", "json")) == []

    text = atelier("credits", "statement", "partner-a", "--format", "csv")
    assert text.count("\r\n") == text.count("\n") == 11
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert lines[-1]["note"] == "'=cmd|'/c calc'!A0"
    assert sum(int(line["change"]) for line in lines if line["account"] == "available") == 85
    assert "job2" in atelier("credits", "statement", "partner-a", "--limit", "3")


def test_a_statement_longer_than_a_page_is_written_whole(
    atelier: Any, jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement, "PAGE_LINES", 2)
    atelier("credits", "grant", "partner-a", "1000")
    jobs("m", **{f"job{number}": 30 for number in range(5)})
    rows = json.loads(atelier("credits", "statement", "partner-a", "--by", "job", "--format", "json"))
    assert [row["job"] for row in rows] == [f"job{number}" for number in range(5)]
    assert len(json.loads(atelier("credits", "statement", "partner-a", "--format", "json", "--limit", "7"))) == 7


def test_an_alert_says_when_the_wallet_is_low_already(atelier: Any) -> None:
    atelier("credits", "grant", "partner-a", "5")
    assert "low below 10 points; 5 available, which is low already" in atelier(
        "credits", "alert", "partner-a", "points", "10"
    )
    assert "no alert" in atelier("credits", "alert", "partner-a", "points", "0")


def test_the_books_are_proven_and_faults_are_named(atelier: Any, tmp_path: Path) -> None:
    atelier("credits", "grant", "partner-a", "100")
    assert "the books are proven" in atelier("ledger", "verify")
    assert "finished jobs" not in atelier("ledger", "verify", "--books-only")
    import sqlite3

    [file] = tmp_path.rglob("billing.db")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE accounts SET balance = 99 WHERE kind = 'available'")
    said = atelier("ledger", "verify", status=1)
    assert "balance_equals_postings: available/points/partner-a: balance 99, postings sum to 100" in said


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("\t=1", "'\t=1"),
        ("＝1", "'＝1"),
        ("order 7", "order 7"),
        ("", ""),
    ],
)
def test_no_text_of_a_partner_is_a_formula(text: str, safe: str) -> None:
    assert statement.harmless(text) == safe


def test_a_day_ends_with_its_last_moment_in_the_houses_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, end = to_moment("2026-03-01"), to_moment("2026-03-01", day_ends=True)
    assert begin is not None
    assert end is not None
    assert end.seconds - begin.seconds == 86_400
    assert begin.ToJsonString() == "2026-02-28T16:00:00Z"
    monkeypatch.setenv("ATELIER_TIMEZONE", "Europe/Berlin")
    spring = [to_moment("2026-03-29", day_ends=ends) for ends in (False, True)]
    assert [one.ToJsonString() for one in spring if one] == ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"]
    assert to_moment("") is None
    monkeypatch.setenv("ATELIER_TIMEZONE", "Nowhere/None")
    with pytest.raises(ValueError, match="no such time zone"):
        to_moment("2026-03-01")
