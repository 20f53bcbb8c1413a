"""Bytes to pixels and back, trusting nothing a stranger's file says about itself.

`decode` looks at the content only, checks the header against our own limits before a single pixel is
allocated, and gives back plain 8-bit sRGB without any of the file's metadata. Its caller still runs it
in a process with a memory and a time limit: decoders have bugs.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from imageops.errors import ImageRefused, RefusalReason
from imageops.progress import OnProgress, ignore_progress

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PIXELS_MAX = 40_000_000  # The largest phone and mirrorless pictures in common use; 160 MB as RGBA.
SIDE_MAX = 16_384  # WebP ends at 16383, and resampling tables grow with the side, not with the area.
JPEG_QUALITY = 92  # Where re-encoding stops being visible; above it files grow and pictures do not.
WEBP_QUALITY = 92
PNG_LEVEL = 4  # Half the time of zlib's default 6, and no larger on photographs.

_TOLD_PIXELS_MIN = 2_000_000  # Smaller ones are written within a third of a second.
_STRIPS, _STRIP_ROWS = 4, 16  # Two rows in a hundred of the smallest that are told.

FileFormat = Literal["png", "jpeg", "webp"]
MIME_TYPES: dict[FileFormat, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}

_SAVED_AS: dict[FileFormat, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": PNG_LEVEL},
    "jpeg": {"format": "JPEG", "quality": JPEG_QUALITY, "subsampling": 0},
    "webp": {"format": "WEBP", "quality": WEBP_QUALITY, "method": 4},
}

# Pillow would also open EPS (and may start Ghostscript), PSD, TIFF, FITS …: the list is the wall.
_PILLOW_FORMATS = ("PNG", "JPEG", "WEBP")
# A JPEG with a second picture inside (gain map, preview, stereo half) opens as MPO; its first is the picture.
_BY_PILLOW_NAME: dict[str, FileFormat] = {"PNG": "png", "JPEG": "jpeg", "MPO": "jpeg", "WEBP": "webp"}
# What Pillow and its C decoders raise on malformed data; MemoryError is not among them on purpose.
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, ArithmeticError)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a picture file's header says; `width` and `height` are pixels as stored, before EXIF orientation."""

    format: FileFormat
    mime_type: str
    width: int
    height: int
    frames: int


def probe(data: bytes) -> Probe:
    """Read the header only. Raises ImageRefused (unsupported format, damaged, absurdly large)."""
    image = _open(data)
    file_format = _BY_PILLOW_NAME[image.format or ""]
    frames = 1 if file_format == "jpeg" else int(getattr(image, "n_frames", 1))
    return Probe(
        format=file_format,
        mime_type=MIME_TYPES[file_format],
        width=image.width,
        height=image.height,
        frames=frames,
    )


def decode(data: bytes, *, pixels_max: int = PIXELS_MAX, side_max: int = SIDE_MAX) -> Image.Image:
    """Return the picture as 8-bit sRGB, mode RGB, or RGBA where the file has transparency.

    Upright (EXIF orientation applied), metadata dropped; CMYK, 16-bit, grey, palette and colour
    profiles are converted. Raises ImageRefused: unsupported format, too large, animated, damaged.
    """
    header = probe(data)
    if max(header.width, header.height) > side_max or header.width * header.height > pixels_max:
        size = f"{header.width} x {header.height}"
        limit = f"{pixels_max / 1e6:g} megapixels and {side_max} pixels a side"
        raise ImageRefused(RefusalReason.TOO_LARGE, f"The picture is {size}; the limit is {limit}.")
    if header.frames > 1:
        message = f"The picture is animated ({header.frames} frames); one frame is accepted."
        raise ImageRefused(RefusalReason.ANIMATED, message)
    image = _open(data)
    with _quiet():
        try:
            image.load()
        except _DECODE_ERRORS as error:
            message = "The picture is cut short or damaged and cannot be decoded."
            raise ImageRefused(RefusalReason.DAMAGED, message) from error
        plain = _upright(_to_srgb(image), image)
    plain.info = {}
    return plain


def encode(image: Image.Image, file_format: FileFormat = "png", on_progress: OnProgress = ignore_progress) -> bytes:
    """Return the file's bytes: the same pixels give the same bytes, without any metadata.

    JPEG has no transparency: RGBA is laid on white. PNG is lossless, JPEG and WebP are visually so. WebP is written in
    one go, so there is no progress before its end.
    """
    if image.mode not in ("RGB", "RGBA"):
        raise ValueError(f"encode takes RGB or RGBA, not {image.mode}")
    if image.info:
        image = image.copy()
        image.info = {}
    plain = on_white(image) if file_format == "jpeg" else image
    told = on_progress is not ignore_progress and plain.width * plain.height >= _TOLD_PIXELS_MIN
    buffer = _Told(_expected_bytes(plain, file_format), on_progress) if told else io.BytesIO()
    plain.save(buffer, **_SAVED_AS[file_format])
    on_progress(1.0)
    return buffer.getvalue()


def on_white(image: Image.Image) -> Image.Image:
    """Return the picture as RGB; a transparent one (RGBA) is laid on white."""
    if image.mode == "RGB":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


class _Told(io.BytesIO):
    """A file in memory that tells how much of what is expected it has got."""

    def __init__(self, expected_bytes: int, on_progress: OnProgress) -> None:
        super().__init__()
        self._expected_bytes = expected_bytes
        self._on_progress = on_progress

    def write(self, data: "ReadableBuffer", /) -> int:
        written = super().write(data)
        self._on_progress(min(1.0, self.tell() / self._expected_bytes))
        return written


def _expected_bytes(image: Image.Image, file_format: FileFormat) -> int:
    """About how large the file will be: some strips of the picture, written alone, tell."""
    sample, rows = io.BytesIO(), 0
    for number in range(_STRIPS):
        top = (image.height - 1) * number // _STRIPS
        bottom = min(image.height, top + _STRIP_ROWS)
        image.crop((0, top, image.width, bottom)).save(sample, **_SAVED_AS[file_format])
        rows += bottom - top
    return max(1, sample.tell() * image.height // rows)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow's opinions on strangers' metadata out of our log; its size warning we do want, as an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _open(data: bytes) -> Image.Image:
    try:
        with _quiet():
            return Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS)
    except _BOMBS as error:
        message = f"The picture is larger than {PIXELS_MAX / 1e6:g} megapixels."
        raise ImageRefused(RefusalReason.TOO_LARGE, message) from error
    except UnidentifiedImageError as error:
        message = "The file is not a PNG, JPEG or WebP picture."
        raise ImageRefused(RefusalReason.UNSUPPORTED_FORMAT, message) from error
    except _DECODE_ERRORS as error:
        raise ImageRefused(RefusalReason.DAMAGED, "The picture's header is damaged.") from error


def _to_srgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion would clip, not scale.
        grey = np.asarray(image).astype(np.uint32)
        image_8 = Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
        return image_8.convert("RGB")
    has_alpha = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes):
        return image.convert("RGBA" if has_alpha else "RGB")
    if not has_alpha:
        base = image if image.mode in ("RGB", "L", "CMYK") else image.convert("RGB")
        return _apply_profile(base, profile)
    rgba = image.convert("RGBA")
    plain = _apply_profile(rgba.convert("RGB"), profile)
    plain.putalpha(rgba.getchannel("A"))
    return plain


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert to sRGB by the file's profile; a profile that is broken or of another kind is passed over."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image.convert("RGB")
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, *_DECODE_ERRORS):
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")


def _upright(plain: Image.Image, source: Image.Image) -> Image.Image:
    try:
        orientation = source.getexif().get(_EXIF_ORIENTATION, 1)
    except _DECODE_ERRORS:  # A broken EXIF block does not make the pixels wrong.
        return plain
    transpose = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return plain if transpose is None else plain.transpose(transpose)
