"""A prompt as the painter understands it: the tags whose words it contains, and nothing it does not."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from imageops.painting.words import COLOUR_WORDS, SCENE_WORDS, STYLE_WORDS, TARGETS

# One Chinese character, or one English word; everything else separates.
_TOKEN = re.compile(r"[㐀-鿿]|[a-z0-9]+")

# Tokens from the end of a colour to the end of what it colours: "red tulip", 粉色的花瓣.
_BINDING_TOKENS_MAX = 3
_TARGET_OF = {tag: target for target, tags in TARGETS.items() for tag in tags}

_Tag = tuple[int, str, str]  # The number of tokens up to its end, the kind, the tag.


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was found, each in the order of the prompt and once."""

    scene: tuple[str, ...]
    colours: tuple[str, ...]  #: Those for the whole picture.
    bound: tuple[tuple[str, str], ...]  #: (target, colour) where a colour stands before what it colours.
    style: str | None

    def has(self, *tags: str) -> bool:
        """Whether any of the scene tags was found."""
        return any(tag in self.scene for tag in tags)


def read(prompt: str, *, negative_prompt: str = "", style: str | None = None) -> Reading:
    """Find the words of `prompt`, less those of `negative_prompt`; a `style` given outranks one found."""
    wanted, unwanted = _tags(prompt), {tag for _, _, tag in _tags(negative_prompt)}
    kept = [each for each in wanted if each[2] not in unwanted]
    bound, colours = _bind(kept)
    styles = [tag for _, kind, tag in [*_tags(style or ""), *wanted] if kind == "style"]
    return Reading(
        scene=_unique(tag for _, kind, tag in kept if kind == "scene"),
        colours=_unique(colours),
        bound=tuple(dict.fromkeys(bound)),
        style=styles[0] if styles else None,
    )


def _unique(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tags))


def _bind(tags: list[_Tag]) -> tuple[list[tuple[str, str]], list[str]]:
    """Part the colours into those bound to a target and those for the whole picture."""
    bound, free = [], []
    for at, (token, kind, tag) in enumerate(tags):
        if kind != "colour":
            continue
        near = (other for place, _, other in tags[at + 1 :] if place - token <= _BINDING_TOKENS_MAX)
        target = next((_TARGET_OF[other] for other in near if other in _TARGET_OF), None)
        if target is None:
            free.append(tag)
        else:
            bound.append((target, tag))
    return bound, free


def _tags(text: str) -> list[_Tag]:
    """Return the tags of a text in order of appearance."""
    words, longest = _dictionary()
    lowered = text.lower()
    tokens = list(_TOKEN.finditer(lowered))
    found: list[_Tag] = []
    at = 0
    while at < len(tokens):
        for length in range(min(longest, len(tokens) - at), 0, -1):
            tags = words.get(_joined(lowered, tokens[at : at + length]))
            if tags is not None:
                at += length
                found += [(at, kind, tag) for kind, tag in tags]
                break
        else:
            at += 1
    return found


def _joined(text: str, tokens: list[re.Match[str]]) -> str:
    """The tokens as the dictionary writes them; characters that do not touch make no word."""
    joined = tokens[0].group()
    for before, token in pairwise(tokens):
        if token.group().isascii():
            joined += "-" + token.group()
        elif before.end() == token.start():
            joined += token.group()
        else:
            return ""
    return _singular(joined) if joined.isascii() else joined


def _singular(word: str) -> str:
    words, _ = _dictionary()
    if word in words:
        return word
    return next((word[: -len(end)] for end in ("s", "es") if word.endswith(end) and word[: -len(end)] in words), "")


@cache
def _dictionary() -> tuple[dict[str, list[tuple[str, str]]], int]:
    """Every word with its (kind, tag) pairs, and the most tokens a word has."""
    words: dict[str, list[tuple[str, str]]] = {}
    for kind, lines in (("scene", SCENE_WORDS), ("colour", COLOUR_WORDS), ("style", STYLE_WORDS)):
        for line in lines.strip().splitlines():
            tag, *synonyms = line.split()
            for word in synonyms:
                words.setdefault(word, []).append((kind, tag))
    return words, max(len(_TOKEN.findall(word)) for word in words)
