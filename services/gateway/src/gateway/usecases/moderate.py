"""Refuse texts before any work: a word list here, and a service outside when the operator names one."""

from collections.abc import Sequence
from typing import Protocol

from kit.errors import ContentModerated
from kit.logging import get_logger

log = get_logger(__name__)


class Words(Protocol):
    """A list of words to refuse."""

    def find(self, text: str) -> str | None:
        """Return a word of the list that the text contains, or None."""
        ...


class Reviewer(Protocol):
    """A moderation service of the operator's."""

    async def refuses(self, texts: Sequence[str]) -> bool:
        """Judge. Raises DependencyUnavailable when there is no answer: nothing unjudged passes."""
        ...


class Moderate:
    """Judges the texts of a request."""

    def __init__(self, *, words: Words, reviewer: Reviewer | None = None) -> None:
        self._words = words
        self._reviewer = reviewer

    async def __call__(self, texts: Sequence[tuple[str, str]], *, client_id: str) -> None:
        """Raise ContentModerated, naming the field, when one of the (field, text) pairs is refused.

        The word goes to the operator's log only; the text to neither.
        """
        for field, text in texts:
            word = self._words.find(text)
            if word is not None:
                log.info("text_moderated", client_id=client_id, field=field, word=word, by="words")
                raise ContentModerated(field=field)
        if self._reviewer is not None and texts and await self._reviewer.refuses([text for _, text in texts]):
            log.info("text_moderated", client_id=client_id, field=texts[0][0], by="service")
            raise ContentModerated(field=texts[0][0])
