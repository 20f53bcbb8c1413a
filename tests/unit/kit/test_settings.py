"""Tests of the settings every service has."""

import os
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from kit.settings import ServiceSettings

SECRET = "i" * 32


class ExampleSettings(ServiceSettings):
    """A service's settings, as a service writes them."""

    model_config = SettingsConfigDict(env_prefix="EXAMPLE_")

    # Most jobs in one batch.
    batch_max: int = 10


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("ATELIER_", "EXAMPLE_")):
            monkeypatch.delenv(name)


def make() -> ExampleSettings:
    """Read the settings from the environment, where the type checker cannot see them."""
    kind: Any = ExampleSettings
    settings: ExampleSettings = kind()
    return settings


def test_defaults_are_safe_when_only_the_secret_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_INTERNAL_SECRET", SECRET)
    settings = make()
    assert settings.internal_secret.get_secret_value() == SECRET
    assert settings.reflection is False
    assert settings.events_url == "local"
    assert settings.listen.startswith("127.0.0.1:")
    assert settings.batch_max == 10


def test_the_services_own_variable_wins_over_the_houses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_INTERNAL_SECRET", SECRET)
    monkeypatch.setenv("ATELIER_LOG_LEVEL", "warning")
    assert make().log_level == "warning"
    monkeypatch.setenv("EXAMPLE_LOG_LEVEL", "debug")
    assert make().log_level == "debug"


def test_the_house_cannot_set_what_services_must_not_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_INTERNAL_SECRET", SECRET)
    monkeypatch.setenv("ATELIER_DATABASE_URL", "sqlite:////tmp/shared.db")
    monkeypatch.setenv("ATELIER_LISTEN", "0.0.0.0:1")
    monkeypatch.setenv("EXAMPLE_BATCH_MAX", "7")
    settings = make()
    assert settings.database_url == ""
    assert settings.listen == "127.0.0.1:0"
    assert settings.batch_max == 7


def test_nothing_secret_is_shown_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_INTERNAL_SECRET", SECRET)
    monkeypatch.setenv("EXAMPLE_DATABASE_URL", "postgresql://user:hunter2@db/billing")
    monkeypatch.setenv("ATELIER_EVENTS_URL", "nats://user:hunter3@nats")
    shown = repr(make()) + str(make())
    assert SECRET not in shown
    assert "hunter" not in shown


@pytest.mark.parametrize("secret", [None, "", "short"])
def test_settings_are_refused_when_the_secret_is_missing_or_short(
    secret: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if secret is not None:
        monkeypatch.setenv("ATELIER_INTERNAL_SECRET", secret)
    with pytest.raises(ValidationError) as caught:
        make()
    assert "internal_secret" in str(caught.value)


def test_no_input_is_shown_when_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_INTERNAL_SECRET", "too-short-but-secret")
    with pytest.raises(ValidationError) as caught:
        make()
    assert "too-short-but-secret" not in str(caught.value)


def test_settings_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_INTERNAL_SECRET", SECRET)
    settings: Any = make()
    with pytest.raises(ValidationError):
        settings.reflection = True
