"""The moderation word list: normalise a text, then look for all words at once (Aho-Corasick).

Normalisation makes one word of its disguises: compatibility forms (full width, circled), case, accents, look-alike
letters of other scripts, digits and signs used as letters, and anything put between the letters. A Chinese word is
found wherever its characters follow one another; a word in Latin letters only where it begins and ends like a word, so
that "Essex" is not a hit while "s.e.x" is.
"""

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import ahocorasick

WORD_CHARS_MAX: Final = 64
WORDS_MAX: Final = 200_000  # Memory: about 100 bytes each.

#: Letters that look like Latin ones: Cyrillic, Greek, and signs people write instead.
LOOK_ALIKES: Final = str.maketrans(
    "авеікмнорстухьѕјԁɡοαρνκτιεϲ0134578@$!|¡€",
    "abeikmhopctyxbsjdgoapvktiecoieastbasiiie",
)


class WordList:
    """Words to refuse."""

    def __init__(self, words: Iterable[str]) -> None:
        """Build the automaton. Raises ValueError for a word that is too long or that normalises to nothing."""
        self._automaton = ahocorasick.Automaton()
        self._count = 0
        for word in words:
            folded, _ = normalise(word)
            if not folded or len(word) > WORD_CHARS_MAX:
                raise ValueError(f"not a word for the moderation list: {word!r}")
            if folded not in self._automaton:
                self._automaton.add_word(folded, (len(folded), word, _is_latin(folded)))
                self._count += 1
        if self._count > WORDS_MAX:
            raise ValueError(f"the moderation list has more than {WORDS_MAX} words")
        if self._count:
            self._automaton.make_automaton()

    @staticmethod
    def read(path: Path) -> "WordList":
        """Read a file: one word a line, UTF-8, `#` begins a comment."""
        lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
        return WordList(line for line in lines if line)

    def __len__(self) -> int:
        return self._count

    def find(self, text: str) -> str | None:
        """Return a word of the list that the text contains, or None. Linear in the text's length."""
        if not self._count:
            return None
        folded, origins = normalise(text)
        found: tuple[int, tuple[int, str, bool]]
        for found in self._automaton.iter(folded):
            last, (length, word, latin) = found
            if not latin or _stands_alone(text, origins[last - length + 1], origins[last]):
                return word
        return None


def normalise(text: str) -> tuple[str, list[int]]:
    """Return the text's letters and digits, folded, and for each the index in `text` it came from."""
    folded: list[str] = []
    origins: list[int] = []
    for index, original in enumerate(text):
        for char in unicodedata.normalize("NFKD", original.casefold()).translate(LOOK_ALIKES):
            if char.isalnum():
                folded.append(char)
                origins.append(index)
    return "".join(folded), origins


def _is_latin(folded: str) -> bool:
    return folded.isascii()


def _stands_alone(text: str, first: int, last: int) -> bool:
    """Whether no Latin letter or digit touches the span from outside; a sign used as a letter inside does not count."""
    return not (_is_word_char(text[first - 1 : first]) or _is_word_char(text[last + 1 : last + 2]))


def _is_word_char(char: str) -> bool:
    return char.isalnum() and normalise(char)[0].isascii()
