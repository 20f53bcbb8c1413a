"""Credentials by their place: rotated without a restart, never shown; and the file that names the providers."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from provider_adapter.providers.remote import options
from provider_adapter.providers.remote.options import Credential, CredentialMissing, RemoteOptions, explain, read_file

ENTRY = {"name": "one", "kind": "one", "base_url": "https://api.example/v1/"}


class Options(RemoteOptions):
    api_key: Credential


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("first-secret\n")
    return path


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the file with every reading."""
    monkeypatch.setattr(options, "LOOK_AGAIN_S", 0.0)


@pytest.mark.usefixtures("at_once")
def test_file_that_is_replaced_by_a_rename_is_taken_up(place: Path) -> None:
    credential = Credential(file=place)
    assert credential.read() == "first-secret"
    stamp = place.stat()
    other = place.with_name("new")
    other.write_text("other-secret\n")  # As long as the first,
    os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # and as old.
    other.replace(place)
    assert credential.read() == "other-secret"


@pytest.mark.usefixtures("at_once")
def test_file_behind_a_link_that_is_turned_is_taken_up(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text(f"secret-{name}")
    (tmp_path / "data").symlink_to("one")
    credential = Credential(file=tmp_path / "data" / "key")
    assert credential.read() == "secret-one"
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(tmp_path / "data")
    assert credential.read() == "secret-two"


@pytest.mark.usefixtures("at_once")
def test_file_that_is_written_anew_or_gone_for_a_while_is_taken_up(place: Path) -> None:
    credential = Credential(file=place)
    assert credential.read() == "first-secret"
    place.write_text("")
    with pytest.raises(CredentialMissing):
        credential.read()
    place.unlink()
    with pytest.raises(CredentialMissing):
        credential.read()
    place.write_text("third-secret")
    assert credential.read() == "third-secret"


def test_file_is_not_looked_at_with_every_reading(place: Path) -> None:
    credential = Credential(file=place)
    assert credential.read() == "first-secret"
    place.unlink()
    assert credential.read() == "first-secret"


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"\xff\xfe", b"x" * (options.SECRET_BYTES_MAX + 1)], ids=["empty", "blank", "text", "size"]
)
def test_file_without_a_usable_secret_is_missing_and_named(place: Path, content: bytes) -> None:
    place.write_bytes(content)
    with pytest.raises(CredentialMissing) as caught:
        Credential(file=place).read()
    assert str(place) in str(caught.value)
    assert "xxx" not in str(caught.value)


def test_secret_of_the_greatest_length_is_whole(place: Path) -> None:
    place.write_bytes(b"x" * options.SECRET_BYTES_MAX)
    assert len(Credential(file=place).read()) == options.SECRET_BYTES_MAX


@pytest.mark.timeout(10)
def test_pipe_and_folder_are_no_credentials(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # Nobody will ever write into it.
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "nothing"):
        with pytest.raises(CredentialMissing):
            Credential(file=path).read()


def test_variable_is_read_anew_with_every_call_and_trimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    credential = Credential(env="TEST_KEY")
    for value in ("first", "second\n"):
        monkeypatch.setenv("TEST_KEY", value)
        assert credential.read() == value.strip()
    for value in ("", " \n"):
        monkeypatch.setenv("TEST_KEY", value)
        with pytest.raises(CredentialMissing, match="TEST_KEY"):
            credential.read()


def test_credential_never_shows_its_value(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "first-secret")
    for credential in (Credential(file=place), Credential(env="TEST_KEY")):
        assert credential.read() == "first-secret"
        held = Options.model_validate({**ENTRY, "api_key": credential})
        shown = f"{credential!r} {credential} {held!r} {held} {held.model_dump()} {held.model_dump_json()}"
        assert "first-secret" not in shown


@pytest.mark.parametrize(
    "value", [{}, {"env": "A", "file": "b"}, {"env": "not a name"}, {"value": "plain-secret"}, "plain-secret", None]
)
def test_secret_written_into_the_file_itself_is_refused_unseen(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Options.model_validate({**ENTRY, "api_key": value})
    assert explain(caught.value).startswith("api_key")
    assert "plain-secret" not in explain(caught.value) + str(caught.value)


def test_base_url_has_no_slash_at_its_end() -> None:
    assert Options.model_validate({**ENTRY, "api_key": {"env": "A"}}).base == "https://api.example/v1"


def test_file_of_providers_is_a_list_with_a_kind_each(tmp_path: Path) -> None:
    path = tmp_path / "providers.yaml"
    path.write_text("providers:\n  - {name: one, kind: one}\n")
    assert read_file(path) == [{"name": "one", "kind": "one"}]
    many = "providers: [" + "{kind: a}, " * (options.PROVIDERS_MAX + 1) + "]"
    for text in ("", "[]", "providers: {}", "providers: [1]", "providers: [{name: one}]", "providers: [", many, "\x00"):
        path.write_text(text)
        with pytest.raises(ValueError, match="PROVIDERS_FILE"):
            read_file(path)
    with pytest.raises(ValueError, match="PROVIDERS_FILE"):
        read_file(tmp_path / "nothing")


def test_file_of_providers_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "providers.yaml"
    path.write_text("providers:\n  - {kind: a}\n" + "#" * options.FILE_BYTES_MAX)
    with pytest.raises(ValueError, match="more than"):
        read_file(path)


def test_fault_of_the_file_does_not_quote_it(tmp_path: Path) -> None:
    path = tmp_path / "providers.yaml"
    path.write_text("providers:\n  - kind: a\n    api_key: plain-secret: x\n")
    with pytest.raises(ValueError, match="in line 3") as caught:
        read_file(path)
    assert "plain-secret" not in str(caught.value)
    assert caught.value.__cause__ is None
