"""What an asset is, which bytes may become one, and how it ends: plain values, no I/O.

(bytes stored, verified) -> kept | provisional (an output whose job is not decided yet) -> kept
kept, provisional -> deleting -> (gone)
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kit import media
from kit.errors import InputTooLarge, InputUnsupported

CLIENT_BYTES_MAX: Final = 20 * 1024 * 1024  # What a partner may send in one file, unless its ticket says less.
OUTPUT_BYTES_MAX: Final = 512 * 1024 * 1024  # A minute of 1080p video, or the largest PNG an upscale makes.
INPUT_PIXELS_MAX: Final = 40_000_000  # The largest camera pictures in common use; 160 MB as RGBA.
OUTPUT_PIXELS_MAX: Final = 134_217_728  # 16384 x 8192: the largest upscale of a common photograph.
SIDE_MAX: Final = 16_384  # WebP ends here, and resampling tables grow with the side.
NAME_CHARS_MAX: Final = 255  # What file systems take, so that a download can be saved under the name.

FIELD: Final = "file"  # What errors about the bytes blame; the edge puts the partner's own word in its place.
_KEY: Final = re.compile(r"[0-9a-f]{16}/[0-9a-f]{32}")


class Origin(StrEnum):
    """Where an asset came from."""

    UPLOAD = "upload"
    URL = "url"
    OUTPUT = "output"


class Standing(StrEnum):
    """How far an asset's record is in its life."""

    KEPT = "kept"  #: Stored for its retention.
    PROVISIONAL = "provisional"  #: A job's output; the job is not known to have succeeded with it.
    DELETING = "deleting"  #: Absent for everybody; bytes and record are about to go.


KINDS: Final = {
    media.PNG: "image",
    media.JPEG: "image",
    media.WEBP: "image",
    media.GIF: "image",
    media.MP4: "video",
    media.EPS: "vector",
}
#: Decoders run over what strangers send: only formats whose decoders are well tested (facts: image bytes).
INPUT_TYPES: Final = frozenset({media.PNG, media.JPEG, media.WEBP})
#: What our workers store besides: videos, animations, vectors. None of them is opened here.
OUTPUT_TYPES: Final = frozenset(KINDS)


@dataclass(frozen=True, kw_only=True)
class PictureLimits:
    """What a picture may be at most."""

    pixels_max: int
    side_max: int
    frames_max: int  #: 0 means any number.

    def check(self, *, width: int, height: int, frames: int = 1) -> None:
        """Raise InputTooLarge for a picture beyond the limits."""
        if max(width, height) > self.side_max or width * height > self.pixels_max:
            raise InputTooLarge(
                f"The picture has {width} x {height} pixels; allowed are {self.side_max} a side and {self.pixels_max}.",
                field=FIELD,
                width=width,
                height=height,
            )
        if self.frames_max and frames > self.frames_max:
            raise InputTooLarge(
                "The picture is animated; only still pictures are accepted.", field=FIELD, frames=frames
            )


INPUT_LIMITS: Final = PictureLimits(pixels_max=INPUT_PIXELS_MAX, side_max=SIDE_MAX, frames_max=1)
OUTPUT_LIMITS: Final = PictureLimits(pixels_max=OUTPUT_PIXELS_MAX, side_max=SIDE_MAX, frames_max=0)


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What is to be stored, as its ticket and its header say, before a byte of it was seen."""

    client_id: str
    origin: Origin
    bytes_max: int
    asset_id: str  #: Chosen by the ticket's signer, which makes the upload idempotent; empty for a new one.
    kinds: frozenset[str]  #: What it must be at once ("image" …); empty for anything that is accepted.
    name: str = ""
    job_id: str = ""
    source_url: str = ""
    retention_s: int = 0  #: 0 means for good.

    @property
    def limits(self) -> PictureLimits:
        """The limits of pictures of this origin."""
        return OUTPUT_LIMITS if self.origin is Origin.OUTPUT else INPUT_LIMITS

    def accept(self, mime_type: str | None) -> str:
        """Return the sniffed type if such bytes may become this asset. Raises InputUnsupported."""
        accepted = OUTPUT_TYPES if self.origin is Origin.OUTPUT else INPUT_TYPES
        if mime_type not in accepted:
            known = mime_type is not None and f" ({mime_type})"
            raise InputUnsupported(
                f"The file{known or ''} is not of a type that is accepted: PNG, JPEG or WebP, judged by its content.",
                field=FIELD,
            )
        kind = KINDS[mime_type]
        if self.kinds - {kind}:
            raise InputUnsupported(f"The file is a {kind}, not a {min(self.kinds - {kind})}.", field=FIELD, kind=kind)
        return mime_type


@dataclass(frozen=True, kw_only=True)
class Content:
    """Bytes as they were received and inspected."""

    mime_type: str
    size_bytes: int
    sha256: str  #: Lower-case hex.
    width: int = 0  #: Pixels as stored, before EXIF orientation; 0 where it has no meaning.
    height: int = 0

    def __post_init__(self) -> None:
        assert self.size_bytes > 0, "an asset has bytes"
        assert re.fullmatch(r"[0-9a-f]{64}", self.sha256), "a SHA-256 in lower-case hex"


@dataclass(frozen=True, kw_only=True)
class Asset:
    """Stored bytes and what we know of them."""

    id: str
    client_id: str
    origin: Origin
    standing: Standing
    name: str
    content: Content
    job_id: str
    source_url: str
    blob_key: str
    create_ms: int
    expire_ms: int | None  #: None means never.

    @property
    def kind(self) -> str:
        """What the bytes are: "image", "video" or "vector"."""
        return KINDS[self.content.mime_type]


def new_asset(intake: Intake, content: Content, *, asset_id: str, blob_key: str, now_ms: int) -> Asset:
    """The record of bytes that are stored and verified."""
    return Asset(
        id=asset_id,
        client_id=intake.client_id,
        origin=intake.origin,
        standing=Standing.PROVISIONAL if intake.origin is Origin.OUTPUT else Standing.KEPT,
        name=intake.name,
        content=content,
        job_id=intake.job_id,
        source_url=intake.source_url,
        blob_key=blob_key,
        create_ms=now_ms,
        expire_ms=now_ms + intake.retention_s * 1000 if intake.retention_s else None,
    )


def blob_key(client_id: str, token: bytes) -> str:
    """Where an asset's bytes are kept: a prefix for each client, then 16 random bytes; never a partner's text."""
    assert len(token) == 16
    return f"{hashlib.sha256(client_id.encode()).hexdigest()[:16]}/{token.hex()}"


def is_blob_key(text: str) -> bool:
    """Whether `text` is one of our keys, so that nothing else is ever opened or deleted."""
    return _KEY.fullmatch(text) is not None


def clean_name(name: str) -> str:
    """Return a partner's file name without folders, control characters and direction marks; may be empty.

    It is shown and offered for saving, and never used as a path.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    kept = "".join(c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    kept = kept.strip()[:NAME_CHARS_MAX]
    return "" if kept.strip(".") == "" else kept
