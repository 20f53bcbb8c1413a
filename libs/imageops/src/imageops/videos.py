"""The operations that make films, as they are run by name.

They bring OpenCV and FFmpeg, so their module is imported by the first job that needs it.
"""

from collections.abc import Iterator
from typing import cast

from PIL import Image

from imageops.generation import PROMPT_CHARACTERS_MAX
from imageops.operation import Operation, Output
from imageops.parameters import Parameter, Value
from imageops.progress import OnProgress

VIDEO_MIME_TYPE = "video/mp4"
VIDEO_ROLE = "video"
PICTURES_MAX = 10
#: A picture with more pixels is shrunk when it is read: the closest view of the largest film shows five megapixels,
#: and ten large photographs would not fit into a worker.
PIXELS_KEPT_MAX = 12_000_000


def _generate(
    images: list[Image.Image], values: dict[str, Value], seed: int, on_progress: OnProgress
) -> Iterator[Image.Image | Output]:
    from imageops.filming.film import make_film

    film = make_film(
        images,
        cast(str, values["prompt"]),
        seed,
        duration_s=cast(int, values["duration"]),
        ratio=cast(str, values["ratio"]),
        resolution=cast(str, values["resolution"]),
        on_progress=on_progress,
    )
    width, height = film.size
    yield Output(data=film.data, mime_type=VIDEO_MIME_TYPE, width=width, height=height, role=VIDEO_ROLE)


VIDEOS = (
    Operation(
        capability="video.generate",
        summary="Film pictures, or some painted from a prompt: the camera moves, one fades into the next; no sound.",
        inputs_min=0,
        inputs_max=PICTURES_MAX,
        parameters=(
            Parameter(
                name="prompt",
                kind="text",
                summary="What to paint where no pictures are given; with them another prompt is another variant.",
                default="",
                maximum=PROMPT_CHARACTERS_MAX,
            ),
            Parameter(name="duration", kind="integer", summary="Seconds.", default=5, minimum=4, maximum=15),
            Parameter(
                name="ratio",
                kind="choice",
                summary="Width to height; adaptive is the nearest of the others to the first picture, else 16:9.",
                default="adaptive",
                choices=("16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"),
            ),
            Parameter(
                name="resolution",
                kind="choice",
                summary="The short side in pixels.",
                default="720p",
                choices=("480p", "720p", "1080p"),
            ),
        ),
        work=_generate,
        input_pixels_kept=PIXELS_KEPT_MAX,
    ),
)
