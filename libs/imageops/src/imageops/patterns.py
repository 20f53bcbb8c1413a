"""The operations that make patterns and fill what was cut out, as they are run by name.

Each brings OpenCV, so its module is imported by the first job that needs it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from PIL import Image

from imageops.codec import FileFormat
from imageops.generation import PROMPT_CHARACTERS_MAX
from imageops.operation import FORMAT, WORKED, Operation, Output, to_output
from imageops.parameters import Parameter, Value
from imageops.progress import OnProgress, between

_Made = Iterator[Image.Image | Output]


def _seamless(images: list[Image.Image], values: dict[str, Value], seed: int, on_progress: OnProgress) -> _Made:
    from imageops.enlarging.expanding import Shares
    from imageops.repeating.seamless import make_seamless

    top, bottom, left, right = (cast(float, values[each.name]) for each in _SIDES)
    done = make_seamless(
        images[0],
        fit=cast(float, values["fit"]),
        direction=cast(int, values["direction"]),
        growth=Shares(top=top, bottom=bottom, left=left, right=right),
        seed=seed,
        on_progress=between(0.0, WORKED, on_progress),
    )
    made = ((done.image, "image"), (done.sized, "tile"), (done.grid, "grid"))
    pixels, written = sum(image.width * image.height for image, _ in made), 0
    for image, role in made:
        begins = WORKED + (1.0 - WORKED) * written / pixels
        written += image.width * image.height
        told = between(begins, WORKED + (1.0 - WORKED) * written / pixels, on_progress)
        yield to_output(image, cast(FileFormat, values["format"]), role, told)


def _extract_pattern(images: list[Image.Image], values: dict[str, Value], _seed: int, on_progress: OnProgress) -> _Made:
    from imageops.repeating.extracting import extract_pattern

    # The first file is written in the middle of the work, and both are too small for their writing to be told of.
    for picture in extract_pattern(images[0], cast(str, values["aspect_ratio"]), on_progress):
        yield to_output(picture, cast(FileFormat, values["format"]))


def _inpaint(images: list[Image.Image], _values: dict[str, Value], seed: int, on_progress: OnProgress) -> _Made:
    from imageops.repairing.inpainting import inpaint

    yield inpaint(images[0], images[1], seed, on_progress=between(0.0, WORKED, on_progress))


_TOP = Parameter(
    name="expand_top",
    kind="number",
    summary="What is added on this side first, as a share of the picture's height or width.",
    default=0.0,
    minimum=0,
    maximum=0.3,
)
_SIDES = (_TOP, *(replace(_TOP, name=f"expand_{side}") for side in ("bottom", "left", "right")))

PATTERNS = (
    Operation(
        capability="image.seamless",
        summary="Make a tile that repeats without a seam; also the tile at the picture's size, and a grid of tiles.",
        inputs_min=1,
        inputs_max=1,
        parameters=(
            Parameter(
                name="fit",
                kind="number",
                summary="How much of the picture blending may take: more hides the seam, less keeps the picture.",
                default=0.5,
                minimum=0.1,
                maximum=0.9,
            ),
            Parameter(
                name="direction",
                kind="integer",
                summary="0 repeats both ways, 1 up and down, 2 left and right.",
                default=0,
                minimum=0,
                maximum=2,
            ),
            *_SIDES,
            FORMAT,
        ),
        work=_seamless,
    ),
    Operation(
        capability="image.extract_pattern",
        summary="Take the print off a photographed garment as tiles: its clean repeat, if there is one, and a piece.",
        inputs_min=1,
        inputs_max=1,
        parameters=(
            Parameter(
                name="aspect_ratio",
                kind="text",
                summary="Width to height of the results, from 1:4 to 4:1.",
                default="1:1",
                maximum=7,
            ),
            FORMAT,
        ),
        work=_extract_pattern,
    ),
    Operation(
        capability="image.inpaint",
        summary=(
            "Replace what the second picture shows in white by what surrounds it. "
            "A prompt is taken but not followed: nothing new is drawn."
        ),
        inputs_min=2,
        inputs_max=2,
        parameters=(
            Parameter(
                name="prompt",
                kind="text",
                summary="What other engines would draw; this one continues the surroundings whatever it says.",
                default="",
                maximum=PROMPT_CHARACTERS_MAX,
            ),
            FORMAT,
        ),
        work=_inpaint,
    ),
)
