"""The asset store's settings and page tokens."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from asset_store.config import AssetStoreSettings
from asset_store.domain import Origin
from asset_store.main import _spool_folder, _wall
from asset_store.pages import PageTokens
from asset_store.ports import Filter
from kit.errors import PageTokenInvalid

SECRET = SecretStr("s" * 32)


def settings(**values: object) -> AssetStoreSettings:
    return AssetStoreSettings.model_validate({"internal_secret": SECRET, **values})


def test_the_defaults_keep_bytes_in_a_folder_and_let_nothing_private_through() -> None:
    plain = settings()
    assert (plain.s3_endpoint, plain.allow_private_targets) == ("", "")
    assert _spool_folder(plain) == plain.folder / ".incoming"
    assert not _wall(plain).allow


def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATELIER_INTERNAL_SECRET", "e" * 32)
    monkeypatch.setenv("ATELIER_ALLOW_PRIVATE_TARGETS", "10.0.0.0/8")
    monkeypatch.setenv("ATELIER_PUBLIC_URL", "https://Pictures.example.com:8443/base")
    monkeypatch.setenv("ASSETS_FOLDER", str(tmp_path))
    monkeypatch.setenv("ASSETS_SPOOL", "/somewhere")
    read = AssetStoreSettings()
    assert (read.folder, _spool_folder(read)) == (tmp_path, Path("/somewhere"))
    wall = _wall(read)
    assert len(wall.allow) == 1
    assert wall.denies_host("pictures.example.com", 8443)
    assert not wall.denies_host("pictures.example.com", 443)  # Somebody else's, as far as we know.
    assert not wall.denies_host("example.com", 8443)


def test_our_own_address_has_its_schemes_port_when_it_names_none() -> None:
    assert _wall(settings(public_url="https://a.example.com")).denies_host("a.example.com", 443)
    assert _wall(settings(public_url="http://a.example.com/")).denies_host("a.example.com", 80)


def test_s3_needs_its_credentials() -> None:
    with pytest.raises(ValidationError, match="s3_access_key"):
        settings(s3_endpoint="http://127.0.0.1:9000")
    complete = settings(s3_endpoint="http://127.0.0.1:9000", s3_access_key="a", s3_secret_key="b")
    assert "SecretStr('**********')" in repr(complete)


@pytest.mark.parametrize("prefix", ["/", "x", "../", "a//", "ü/"])
def test_a_prefix_is_a_clean_path(prefix: str) -> None:
    with pytest.raises(ValidationError):
        settings(s3_prefix=prefix)


QUERY = Filter(client_id="partner-a", origin=Origin.URL, kind="image", job_id="job_1", before_ms=5)


def test_a_page_token_comes_back_for_the_same_query() -> None:
    tokens = PageTokens(SECRET)
    token = tokens.make((1_800_000_000_000, "asset_" + "0" * 26), QUERY)
    assert tokens.read(token, QUERY) == (1_800_000_000_000, "asset_" + "0" * 26)
    assert len(token) <= 256


@pytest.mark.parametrize(
    "query",
    [
        Filter(client_id="partner-b", origin=Origin.URL, kind="image", job_id="job_1", before_ms=5),
        Filter(client_id="partner-a", origin=Origin.OUTPUT, kind="image", job_id="job_1", before_ms=5),
        Filter(client_id="partner-a", origin=Origin.URL, kind="", job_id="job_1", before_ms=5),
        Filter(client_id="partner-a", origin=Origin.URL, kind="image", job_id="", before_ms=5),
        Filter(client_id="partner-a", origin=Origin.URL, kind="image", job_id="job_1", before_ms=6),
        Filter(client_id="partner-a"),
    ],
)
def test_a_page_token_is_refused_for_another_query(query: Filter) -> None:
    tokens = PageTokens(SECRET)
    with pytest.raises(PageTokenInvalid):
        tokens.read(tokens.make((1, "a"), QUERY), query)


def test_a_page_token_of_another_secret_or_garbage_is_refused() -> None:
    tokens, others = PageTokens(SECRET), PageTokens(SecretStr("o" * 32))
    good = tokens.make((1, "a"), QUERY)
    for token in (others.make((1, "a"), QUERY), "", "A", "AAAA", "%%%", good[:-1], good + "A", "ü" * 10):
        with pytest.raises(PageTokenInvalid):
            tokens.read(token, QUERY)
