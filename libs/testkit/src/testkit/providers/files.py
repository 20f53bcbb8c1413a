"""Results of simulated providers: real pictures and films, so that whoever decodes them finds something."""

import functools
import io
from typing import Final

import numpy as np
from PIL import Image

SIDE_PX: Final = 64
FILM_FRAMES: Final = 12
FILM_RATE: Final = 12


def picture(*, seed: int = 1, size: tuple[int, int] = (SIDE_PX, SIDE_PX), form: str = "PNG") -> bytes:
    """A picture of some colours in PNG, JPEG or WebP; the same seed gives the same one."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(buffer, form)
    return buffer.getvalue()


def blocks(*, seed: int = 1, size: tuple[int, int], form: str = "PNG") -> bytes:
    """The same in blocks of one colour each: a large one is written in the time that a test can spare."""
    buffer = io.BytesIO()
    colours = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(colours).resize(size, Image.Resampling.NEAREST).save(buffer, form)
    return buffer.getvalue()


@functools.cache
def film() -> bytes:
    """One second of H.264 in MP4."""
    import av  # Only those who want a film carry the codec.

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FILM_RATE)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(FILM_FRAMES):
            levels = np.full((64, 96, 3), number * 20, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(levels, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()
