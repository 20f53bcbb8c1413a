"""What travels between services: something that happened, in the past tense."""

import re
from dataclasses import dataclass
from typing import Final

PAYLOAD_BYTES_MAX: Final = 256 * 1024  # Events carry ids and sizes, never pictures; NATS refuses above 1 MiB.
NAME_CHARS_MAX: Final = 255
_SUBJECT: Final = re.compile(r"[a-z0-9_]+(\.[a-z0-9_-]+)+")
_PRINTABLE: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One event; equal ids mean the same event, however often it arrives."""

    id: str  #: Unique for ever, made by whoever puts the event; printable ASCII.
    subject: str  #: Such as `atelier.jobs.v1.job_succeeded`: area, version, past tense.
    payload: bytes  #: The proto message of the same name, serialised.
    key: str = ""  #: Events of one key are published in the order they were put, such as a job id.

    def __post_init__(self) -> None:
        """Raise ValueError for what a bus could not carry: better here than in the relay, after the commit."""
        if not _PRINTABLE.fullmatch(self.id) or len(self.id) > NAME_CHARS_MAX:
            raise ValueError("an event id is 1 to 255 printable ASCII characters without spaces")
        if not _SUBJECT.fullmatch(self.subject) or len(self.subject) > NAME_CHARS_MAX:
            raise ValueError(f"not the subject of an event: {self.subject!r}")
        if self.key and (not _PRINTABLE.fullmatch(self.key) or len(self.key) > NAME_CHARS_MAX):
            raise ValueError("an event key is up to 255 printable ASCII characters without spaces")
        if len(self.payload) > PAYLOAD_BYTES_MAX:
            raise ValueError(f"{self.subject} has {len(self.payload)} bytes, more than {PAYLOAD_BYTES_MAX}")

    @property
    def order(self) -> str:
        """Events with the same value are handled one after another; without a key that is the subject."""
        return self.key or self.subject
