"""Moderation sees through disguises and leaves innocent texts alone."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.usecases.moderate import Moderate
from gateway.wordlist import WordList, normalise
from kit.errors import ContentModerated, DependencyUnavailable

WORDS = WordList(["色情", "赌博", "sex", "child porn", "c4t"])


@pytest.mark.parametrize(
    "text",
    [
        "一张色情图片",
        "色 情",
        "色-情",
        "色。\u200b情",
        "赌　博",
        "sex",
        "SEX!",
        "ＳＥＸ",
        "s e x",
        "s.e.x",
        "ѕех",  # Cyrillic letters.
        "5ex",
        "$3x",
        "séx",
        "ⓢⓔⓧ",
        "free sex now",
        "childporn",
        "CHILD   PORN",
        "cat",
        "这是sex图",
    ],
)
def test_disguised_word_is_found(text: str) -> None:
    assert WORDS.find(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Essex",
        "sextant",
        "base x",
        "unisex",
        "一只橘猫在窗台上晒太阳",
        "情色",
        "concatenate",
        "a child, and popcorn",
    ],
)
def test_innocent_text_passes(text: str) -> None:
    assert WORDS.find(text) is None


@given(st.text(max_size=200))
def test_any_text_is_judged_without_error(text: str) -> None:
    WORDS.find(text)
    folded, origins = normalise(text)
    assert len(folded) == len(origins)


@given(st.text(alphabet="abcdef中文", max_size=20), st.text(alphabet="-. 　\u200b", max_size=3))
def test_separators_hide_nothing(before: str, gap: str) -> None:
    assert WORDS.find(f"{before}赌{gap}博") == "赌博"


def test_shipped_list_is_readable() -> None:
    assert len(WordList.read(Path(__file__).resolve().parents[3] / "deploy" / "moderation" / "words.txt")) >= 5


def test_empty_list_refuses_nothing() -> None:
    assert WordList([]).find("sex") is None
    with pytest.raises(ValueError, match="not a word"):
        WordList(["—"])


class Reviewer:
    def __init__(self, verdict: bool | Exception) -> None:
        self.verdict = verdict
        self.seen: list[Sequence[str]] = []

    async def refuses(self, texts: Sequence[str]) -> bool:
        self.seen.append(texts)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


async def test_refusal_names_the_field_and_not_the_word() -> None:
    with pytest.raises(ContentModerated) as caught:
        await Moderate(words=WORDS)([("prompt", "猫"), ("negative_prompt", "色情")], client_id="a")
    assert caught.value.field == "negative_prompt"
    assert "色情" not in caught.value.message


async def test_outside_service_is_asked_after_the_list() -> None:
    reviewer = Reviewer(True)
    with pytest.raises(ContentModerated):
        await Moderate(words=WORDS, reviewer=reviewer)([("prompt", "sex")], client_id="a")
    assert not reviewer.seen
    with pytest.raises(ContentModerated):
        await Moderate(words=WORDS, reviewer=reviewer)([("prompt", "dog")], client_id="a")
    assert reviewer.seen == [["dog"]]
    await Moderate(words=WORDS, reviewer=Reviewer(False))([("prompt", "dog")], client_id="a")


async def test_nothing_passes_while_the_service_is_away() -> None:
    with pytest.raises(DependencyUnavailable):
        await Moderate(words=WORDS, reviewer=Reviewer(DependencyUnavailable()))([("prompt", "dog")], client_id="a")
