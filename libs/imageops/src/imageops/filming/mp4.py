"""Frames to an MP4 file: H.264, High, 4:2:0, BT.709, index first, and the same bytes for the same frames."""

import io
from fractions import Fraction
from types import TracebackType
from typing import Final, Self

import av
import numpy as np
from av.video.stream import VideoStream

from imageops.arrays import Pixels
from imageops.filming.formats import Size
from imageops.filming.scene import Planes

FPS: Final = 24
MIME_TYPE: Final = "video/mp4"

# The index of the longest film (15 s) takes 8 KB; room for it is kept before the frames, so that a player can begin
# with the first bytes and nothing is written twice.
_INDEX_BYTES_MAX: Final = 32 * 1024
_BT709, _LIMITED_RANGE = 1, 1  # As H.264 numbers them.
_ENCODER: Final = {
    "preset": "veryfast",  # A fifth of the time of `medium`, for a tenth more bytes.
    "crf": "20",  # Where the difference stops being visible in motion.
    "profile": "high",
    "threads": "1",  # With more, the division of work shows in the bytes; a worker has one core anyway.
    # Two seconds between places to jump to. By the fastest code of each CPU the bytes differ between CPUs, and with
    # AVX-512 even between two runs (macroblock tree of x264 165).
    "x264-params": "rc-lookahead=20:keyint=48:cpu-independent=1",
}


class Mp4:
    """A film being written, frame by frame; `finish` gives the file."""

    def __init__(self, size: Size) -> None:
        """Begin a film of `size` (even sides) at `FPS`."""
        self._size = size
        self._file = io.BytesIO()
        self._container = av.open(
            self._file,
            "w",
            format="mp4",
            options={"moov_size": str(_INDEX_BYTES_MAX), "fflags": "+bitexact"},
        )
        self._stream: VideoStream = self._container.add_stream("libx264", rate=FPS, options=_ENCODER)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = Fraction(1, FPS)
        context = self._stream.codec_context
        context.time_base = Fraction(1, FPS)
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        self._frames = 0

    def add(self, planes: Planes) -> None:
        """Append a frame."""
        frame = av.VideoFrame(*self._size, "yuv420p")
        for number, plane in enumerate((planes.luma, planes.chroma[..., 0], planes.chroma[..., 1])):
            _fill(frame, number, plane)
        frame.pts, frame.time_base = self._frames, Fraction(1, FPS)
        self._frames += 1
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> bytes:
        """Return the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._file.getvalue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._container.close()


def _fill(frame: av.VideoFrame, number: int, pixels: Pixels) -> None:
    plane = frame.planes[number]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    rows[: pixels.shape[0], : pixels.shape[1]] = pixels
