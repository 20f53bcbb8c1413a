"""Ids are time-ordered, unguessable and easy to recognise."""

import re

import pytest

from kit.ids import is_id, new_id

MOMENT_MS = 1_767_225_600_000


def test_new_id_is_prefix_and_26_characters() -> None:
    assert re.fullmatch(r"job_[0-7][0-9a-hjkmnp-tv-z]{25}", new_id("job"))


def test_new_id_carries_its_time_as_a_ulid() -> None:
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    stamp = new_id("job", now_ms=MOMENT_MS).removeprefix("job_")[:10]
    value = 0
    for character in stamp:
        value = value * 32 + digits.index(character)
    assert value == MOMENT_MS


def test_ids_sort_by_time_when_made_in_different_milliseconds() -> None:
    ids = [new_id("job", now_ms=MOMENT_MS + step) for step in range(200)]
    assert ids == sorted(ids)


def test_ids_of_one_millisecond_share_no_random_part() -> None:
    tails = {new_id("job", now_ms=MOMENT_MS)[-16:] for _ in range(10_000)}
    assert len(tails) == 10_000
    assert all(len({tail[place] for tail in tails}) == 32 for place in range(16))


@pytest.mark.parametrize("prefix", ["", "Job", "job_", "1job", "j" * 17, "jöb", "job\n"])
def test_new_id_refuses_a_prefix_that_is_not_a_short_lower_case_word(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        new_id(prefix)


@pytest.mark.parametrize("now_ms", [-1, 2**48])
def test_new_id_refuses_a_time_that_does_not_fit(now_ms: int) -> None:
    with pytest.raises(ValueError, match="milliseconds"):
        new_id("job", now_ms=now_ms)


def test_is_id_accepts_only_the_shape_of_new_id() -> None:
    good = new_id("job")
    assert is_id(good, "job")
    wrong = [
        good.upper(),
        good + "0",
        good[:-1],
        good + "\n",
        good.replace("job_", "hold_"),
        "job_" + "8" * 26,
        "job_",
        "",
    ]
    assert not any(is_id(text, "job") for text in wrong)
