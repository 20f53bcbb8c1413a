"""Read an instruction in English or Chinese as a list of effects, or say that it asks for something else.

Every word must be known: the name of an effect, a degree, or one of the words that people wrap around
them. One unknown word and the instruction is refused, for "make the cat brighter" is not "make it
brighter", and doing a part of what was asked is doing something else.
"""

import re
import unicodedata
from dataclasses import replace

from imageops.editing import vocabulary as words
from imageops.editing.effects import Effect, Step

INSTRUCTION_CHARACTERS_MAX = 2000
SLIGHTLY, STRONGLY = 0.5, 1.6


class _Filler:
    """A word that changes nothing."""


_FILLER = _Filler()
_Token = Effect | float | None | _Filler  #: An effect, a degree, the end of a clause, or nothing.


def _english(pattern: str) -> "re.Pattern[str]":
    return re.compile(rf"\b(?:{pattern})\b")


_PATTERNS: list[tuple[_Token, "re.Pattern[str]"]] = [
    *((effect, _english(words.ENGLISH[effect])) for effect in Effect),
    (SLIGHTLY, _english(words.SLIGHT)),
    (STRONGLY, _english(words.STRONG)),
    (None, re.compile(words.SEPARATORS)),
    (_FILLER, _english("|".join(words.FILLERS.split()))),
    (_FILLER, re.compile(r"[\s\"'“”‘’()（）\[\]【】《》~～\-—_…]+")),
]


def _phrases() -> dict[str, _Token]:
    """Return the Chinese words; of the same phrase the earlier meaning counts."""
    lists: list[tuple[_Token, str]] = [
        *((effect, words.CHINESE[effect]) for effect in Effect),
        (SLIGHTLY, words.SLIGHT_CHINESE),
        (STRONGLY, words.STRONG_CHINESE),
        (None, words.SEPARATORS_CHINESE),
        (_FILLER, words.FILLERS_CHINESE),
    ]
    found: dict[str, _Token] = {}
    for token, phrases in lists:
        for phrase in phrases.split():
            found.setdefault(phrase, token)
    return found


_PHRASES = _phrases()
_PHRASE_CHARACTERS_MAX = max(map(len, _PHRASES))


def read_instruction(text: str) -> list[Step]:
    """Return what the instruction asks for, in its order, each effect once; empty when a word is not understood."""
    steps: dict[Effect, Step] = {}
    waiting: float | None = None  # A degree whose effect has not come yet.
    last: Effect | None = None  # The clause's latest effect, for a degree behind it.
    for token in _tokens(unicodedata.normalize("NFKC", text).casefold()):
        if token is None:
            waiting, last = None, None
        elif isinstance(token, Effect):
            steps.setdefault(token, Step(effect=token, degree=waiting if waiting is not None else 1.0))
            waiting, last = None, token
        elif isinstance(token, float):
            if last is None:
                waiting = token
            else:
                steps[last] = replace(steps[last], degree=token)
    return list(steps.values())


def _tokens(text: str) -> list[_Token]:
    """Return the words of the text, as few as explain every character of it; none when some word is unknown."""
    # The cheapest way to read the text from each place to its end: its cost and its first word.
    best: list[tuple[int, _Token, int] | None] = [None] * len(text) + [(0, _FILLER, len(text))]
    for place in range(len(text) - 1, -1, -1):
        for token, end in _words_at(text, place):
            rest = best[end]
            if rest is None:
                continue
            # A word that does something beats two of which one does.
            cost = rest[0] + (3 if token is _FILLER else 2)
            known = best[place]
            if known is None or cost < known[0]:
                best[place] = (cost, token, end)
    tokens: list[_Token] = []
    place = 0
    while place < len(text):
        found = best[place]
        if found is None:
            return []
        tokens.append(found[1])
        place = found[2]
    return tokens


def _words_at(text: str, place: int) -> list[tuple[_Token, int]]:
    """Return the known words that begin at `place`, and where each ends."""
    found = []
    for token, pattern in _PATTERNS:
        match = pattern.match(text, place)
        if match:
            found.append((token, match.end()))
    for end in range(place + 1, min(len(text), place + _PHRASE_CHARACTERS_MAX) + 1):
        if text[place:end] in _PHRASES:
            found.append((_PHRASES[text[place:end]], end))
    return found
