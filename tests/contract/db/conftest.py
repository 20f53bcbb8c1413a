"""The databases that the promises are tested on."""

from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def absent_database_url(database_url: str, tmp_path: Path) -> str:
    """A database of the same kind that cannot be reached."""
    if database_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path}/no/such/folder/test.db"
    return "postgresql://nobody@127.0.0.1:1/nothing"
