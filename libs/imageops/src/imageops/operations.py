"""Every operation by its capability's name, bytes in and bytes out, for those who run them by name."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import cast

from PIL import Image

from imageops.codec import FileFormat
from imageops.generation import PROMPT_CHARACTERS_MAX, SIDE_PX_MAX, SIDE_PX_MIN, generate
from imageops.operation import FORMAT, WORKED, Operation, Output, to_output
from imageops.parameters import Parameter, Value
from imageops.patterns import PATTERNS
from imageops.progress import OnProgress, between
from imageops.redrawing import REDRAWING
from imageops.repairs import REPAIRS
from imageops.videos import VIDEOS

__all__ = ["OPERATIONS", "Operation", "Output"]

IMAGES_MAX = 6  # The largest `num` of the public contracts.
REFERENCES_MAX = 10  # Each one is decoded whole; the palette of more says nothing new.


def _generate(
    images: list[Image.Image], values: dict[str, Value], seed: int, on_progress: OnProgress
) -> Iterator[Output]:
    count = cast(int, values["count"])
    for index in range(count):
        picture = generate(
            cast(str, values["prompt"]),
            cast(int, values["width"]),
            cast(int, values["height"]),
            seed,
            index=index,
            style=cast(str | None, values["style"]),
            negative_prompt=cast(str, values["negative_prompt"]),
            references=images,
            on_progress=between(index / count, (index + WORKED) / count, on_progress),
        )
        written = between((index + WORKED) / count, (index + 1) / count, on_progress)
        yield to_output(picture, cast(FileFormat, values["format"]), on_progress=written)


_SIDE = Parameter(
    name="width", kind="integer", summary="Pixels.", default=1024, minimum=SIDE_PX_MIN, maximum=SIDE_PX_MAX
)
_ALL = (
    Operation(
        capability="image.generate",
        summary="Paint a procedural picture from a prompt; reference pictures lend their colours.",
        inputs_min=0,
        inputs_max=REFERENCES_MAX,
        parameters=(
            Parameter(
                name="prompt",
                kind="text",
                summary="What to paint, in English or Chinese.",
                required=True,
                minimum=1,
                maximum=PROMPT_CHARACTERS_MAX,
            ),
            Parameter(
                name="negative_prompt",
                kind="text",
                summary="What to leave out.",
                default="",
                maximum=PROMPT_CHARACTERS_MAX,
            ),
            _SIDE,
            replace(_SIDE, name="height"),
            Parameter(name="style", kind="text", summary="A style's name.", maximum=64),
            Parameter(
                name="count",
                kind="integer",
                summary="Pictures, each different.",
                default=1,
                minimum=1,
                maximum=IMAGES_MAX,
            ),
            FORMAT,
        ),
        work=_generate,
    ),
    *REPAIRS,
    *PATTERNS,
    *REDRAWING,
    *VIDEOS,
)

OPERATIONS: Mapping[str, Operation] = MappingProxyType({each.capability: each for each in _ALL})
