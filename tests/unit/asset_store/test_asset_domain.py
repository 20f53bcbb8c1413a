"""Names, keys, kinds and limits of assets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_store.domain import (
    INPUT_LIMITS,
    OUTPUT_LIMITS,
    Content,
    Intake,
    Origin,
    Standing,
    blob_key,
    clean_name,
    is_blob_key,
    new_asset,
)
from kit.errors import InputTooLarge, InputUnsupported

CONTENT = Content(mime_type="image/png", size_bytes=1, sha256="a" * 64)


def intake(**changes: Any) -> Intake:
    values: dict[str, Any] = {
        "client_id": "partner-a",
        "origin": Origin.UPLOAD,
        "bytes_max": 1,
        "asset_id": "",
        "kinds": frozenset(),
    }
    return Intake(**values | changes)


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("reference.png", "reference.png"),
        ("参考 图.png", "参考 图.png"),
        ("C:\\Users\\x\\a.png", "a.png"),
        ("../../etc/passwd", "passwd"),
        ("a/b/", ""),
        ("..", ""),
        (".", ""),
        ("", ""),
        (" . ", ""),
        ("a\x00b\nc\u202e\u200b.png", "abc.png"),
        ("x" * 300, "x" * 255),
        ("e\u0301.png", "é.png"),
    ],
)
def test_a_name_has_no_folders_and_nothing_invisible(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


@given(st.text())
def test_a_cleaned_name_stays_as_it_is(name: str) -> None:
    once = clean_name(name)
    assert clean_name(once) == once
    assert "/" not in once
    assert "\\" not in once
    assert len(once) <= 255


def test_a_key_says_nothing_but_whose() -> None:
    first, second = blob_key("partner-a", bytes(16)), blob_key("partner-a", bytes([1] * 16))
    assert is_blob_key(first)
    assert first.split("/")[0] == second.split("/")[0] != blob_key("partner-b", bytes(16)).split("/")[0]
    assert "partner" not in first


@pytest.mark.parametrize("text", ["", "a/b", "../../x", "0" * 16 + "/" + "g" * 32, "0" * 16 + "/" + "0" * 33])
def test_other_text_is_no_key(text: str) -> None:
    assert not is_blob_key(text)


@pytest.mark.parametrize("mime_type", ["image/png", "image/jpeg", "image/webp"])
def test_pictures_are_accepted_from_everywhere(mime_type: str) -> None:
    for origin in Origin:
        assert intake(origin=origin).accept(mime_type) == mime_type


@pytest.mark.parametrize("mime_type", ["image/gif", "video/mp4", "application/postscript"])
def test_other_kinds_come_from_jobs_only(mime_type: str) -> None:
    assert intake(origin=Origin.OUTPUT).accept(mime_type) == mime_type
    for origin in (Origin.UPLOAD, Origin.URL):
        with pytest.raises(InputUnsupported, match="PNG, JPEG or WebP") as caught:
            intake(origin=origin).accept(mime_type)
        assert caught.value.field == "file"


def test_what_is_not_known_is_not_accepted() -> None:
    for mime_type in (None, "text/html", "image/svg+xml"):
        with pytest.raises(InputUnsupported):
            intake(origin=Origin.OUTPUT).accept(mime_type)


def test_the_kind_must_be_every_kind_that_was_named() -> None:
    assert intake(kinds=frozenset({"image"})).accept("image/png") == "image/png"
    for kinds in ({"video"}, {"image", "vector"}):
        with pytest.raises(InputUnsupported):
            intake(kinds=frozenset(kinds)).accept("image/png")


@pytest.mark.parametrize(("width", "height"), [(16384, 1), (1, 16384), (8000, 5000), (6324, 6324)])
def test_a_picture_at_the_limit_is_accepted(width: int, height: int) -> None:
    INPUT_LIMITS.check(width=width, height=height)


@pytest.mark.parametrize(("width", "height"), [(16385, 1), (1, 16385), (8001, 5000), (80_000, 80_000)])
def test_a_picture_beyond_the_limit_is_refused_with_its_size(width: int, height: int) -> None:
    with pytest.raises(InputTooLarge) as caught:
        INPUT_LIMITS.check(width=width, height=height)
    assert caught.value.metadata == {"width": str(width), "height": str(height)}


def test_an_output_may_be_larger_and_move() -> None:
    OUTPUT_LIMITS.check(width=16384, height=8192, frames=100)
    with pytest.raises(InputTooLarge):
        OUTPUT_LIMITS.check(width=16384, height=8193)
    with pytest.raises(InputTooLarge, match="animated"):
        INPUT_LIMITS.check(width=8, height=8, frames=2)


def test_an_output_begins_provisional_and_others_are_kept() -> None:
    made = {
        origin: new_asset(intake(origin=origin), CONTENT, asset_id="a", blob_key="k", now_ms=5).standing
        for origin in Origin
    }
    assert made == {
        Origin.UPLOAD: Standing.KEPT,
        Origin.URL: Standing.KEPT,
        Origin.OUTPUT: Standing.PROVISIONAL,
    }


def test_retention_counts_from_the_moment_of_storing() -> None:
    kept = new_asset(intake(retention_s=3), CONTENT, asset_id="a", blob_key="k", now_ms=5)
    assert kept.expire_ms == 3005
    assert new_asset(intake(), CONTENT, asset_id="a", blob_key="k", now_ms=5).expire_ms is None


def test_content_that_cannot_be_is_refused() -> None:
    for size_bytes, sha256 in ((0, "a" * 64), (1, "A" * 64), (1, "a" * 63)):
        with pytest.raises(AssertionError):
            Content(mime_type="image/png", size_bytes=size_bytes, sha256=sha256)
