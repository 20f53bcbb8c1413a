"""The data folder: secrets made once, one serving process, and a bootstrap file that is refused by name."""

import os
import stat
from pathlib import Path

import pytest

from standalone import bootstrap
from standalone.bootstrap import BootstrapInvalid
from standalone.place import ROOT, Place, PlaceInUse


def test_secrets_are_made_once_and_kept_private(tmp_path: Path) -> None:
    first, second = Place(tmp_path).secrets(), Place(tmp_path).secrets()
    assert first == second
    assert len({one.get_secret_value() for one in (first.internal, first.vault, first.jwt)}) == 3
    assert stat.S_IMODE(os.stat(tmp_path / "secrets.json").st_mode) == 0o600
    assert "secrets.json" in os.listdir(tmp_path)
    assert len(os.listdir(tmp_path)) == 1


def test_environment_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_JWT_SECRET", "mine")
    assert Place(tmp_path).secrets().jwt.get_secret_value() == "mine"


def test_folder_serves_one_process_at_a_time(tmp_path: Path) -> None:
    with Place(tmp_path).locked(), pytest.raises(PlaceInUse), Place(tmp_path).locked():
        raise AssertionError("locked twice")
    with Place(tmp_path).locked():
        pass


def test_shipped_bootstrap_file_is_valid() -> None:
    document = bootstrap.read(ROOT / "deploy" / "bootstrap.yaml")
    assert [client.id for client in document.clients] == ["partner-a", "partner-b"]
    assert document.clients[0].user_id == 17563793187762127


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clients: [{id: A}]", "clients.0.id"),
        ("clients: [{id: a, grants: {gold: 1}}]", "clients.0.grants"),
        ("clients: [{id: a, limits: {burst: -1}}]", "clients.0.limits.burst"),
        ("clients: [{id: a, api_key: secret-key}]", "clients.0.api_key"),
        ("clients: [", "bootstrap.yaml"),
    ],
)
def test_wrong_bootstrap_file_is_refused_without_showing_secrets(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "bootstrap.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BootstrapInvalid, match=expected.replace(".", r"\.")) as caught:
        bootstrap.read(path)
    assert "secret-key" not in str(caught.value)
