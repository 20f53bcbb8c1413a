"""Every operation by its capability's name, bytes in and bytes out, for those who run them by name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import cast

from PIL import Image

from imageops.codec import MIME_TYPES, FileFormat, decode, encode
from imageops.errors import ImageRefused, RefusalReason, Refused
from imageops.generation import PROMPT_CHARACTERS_MAX, SIDE_PX_MAX, SIDE_PX_MIN, generate
from imageops.parameters import Parameter, Value, read_parameters
from imageops.progress import OnProgress, ignore_progress
from imageops.upscaling import RESOLUTIONS, SCALE_MAX, Resolution, upscale

SCALE_DEFAULT = 2.0
IMAGES_MAX = 6  # The largest `num` of the public contracts.
REFERENCES_MAX = 10  # Each one is decoded whole; the palette of more says nothing new.

_DECODED = 0.05  # The share of the progress that reading the inputs takes.
_WORKED = 0.75  # Of one picture's share: the work itself; the rest is writing its file.

_FORMAT = Parameter(
    name="format",
    kind="choice",
    summary="File format of the result; png is lossless.",
    default="png",
    choices=tuple(MIME_TYPES),
)


@dataclass(frozen=True, kw_only=True)
class Output:
    """One finished file."""

    data: bytes
    mime_type: str
    width: int
    height: int


# Pictures are handed over one by one, so that six large ones are never in memory together.
_Work = Callable[[list[Image.Image], dict[str, Value], int, OnProgress], Iterator[Image.Image]]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A capability of the local engine: what it takes, and how to run it."""

    capability: str
    summary: str
    inputs_min: int
    inputs_max: int
    parameters: tuple[Parameter, ...]
    work: _Work

    def run(
        self,
        inputs: Sequence[bytes],
        parameters: Mapping[str, object],
        seed: int,
        on_progress: OnProgress = ignore_progress,
    ) -> list[Output]:
        """Return the files made from `inputs`; the same arguments give the same bytes.

        Raises Refused (its `field` names the parameter or input) and whatever `on_progress` raises.
        """
        values = read_parameters(self.parameters, parameters)
        if not self.inputs_min <= len(inputs) <= self.inputs_max:
            raise Refused(RefusalReason.INVALID_INPUTS, self._wanted(), "inputs")
        on_progress(0.0)
        images = [_decode_input(number, data) for number, data in enumerate(inputs)]
        file_format = cast(FileFormat, values["format"])
        made = self.work(images, values, seed, _between(_DECODED, 1.0, on_progress))
        outputs = [_to_output(image, file_format) for image in made]
        on_progress(1.0)
        return outputs

    def _wanted(self) -> str:
        if self.inputs_min == self.inputs_max:
            return f"{self.capability} takes {self.inputs_min} input picture(s)."
        return f"{self.capability} takes {self.inputs_min} to {self.inputs_max} input pictures."


def _decode_input(number: int, data: bytes) -> Image.Image:
    try:
        return decode(data)
    except ImageRefused as refused:
        raise ImageRefused(refused.reason, refused.message, f"inputs[{number}]") from refused


def _to_output(image: Image.Image, file_format: FileFormat) -> Output:
    data = encode(image, file_format)
    return Output(data=data, mime_type=MIME_TYPES[file_format], width=image.width, height=image.height)


def _between(low: float, high: float, on_progress: OnProgress) -> OnProgress:
    return lambda fraction: on_progress(low + (high - low) * fraction)


def _generate(
    images: list[Image.Image], values: dict[str, Value], seed: int, on_progress: OnProgress
) -> Iterator[Image.Image]:
    count = cast(int, values["count"])
    for index in range(count):
        yield generate(
            cast(str, values["prompt"]),
            cast(int, values["width"]),
            cast(int, values["height"]),
            seed,
            index=index,
            style=cast(str | None, values["style"]),
            negative_prompt=cast(str, values["negative_prompt"]),
            references=images,
            on_progress=_between(index / count, (index + _WORKED) / count, on_progress),
        )


def _upscale(
    images: list[Image.Image], values: dict[str, Value], _seed: int, on_progress: OnProgress
) -> Iterator[Image.Image]:
    scale = cast(float | None, values["scale"])
    resolution = cast(Resolution | None, values["resolution"])
    if scale is None and resolution is None:
        scale = SCALE_DEFAULT
    yield upscale(images[0], scale=scale, resolution=resolution, on_progress=_between(0.0, _WORKED, on_progress))


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
            _FORMAT,
        ),
        work=_generate,
    ),
    Operation(
        capability="image.upscale",
        summary="Enlarge a picture by a factor, or to 2k, 4k or 8k.",
        inputs_min=1,
        inputs_max=1,
        parameters=(
            Parameter(
                name="scale", kind="number", summary="Factor, 2 if nothing is given.", minimum=1, maximum=SCALE_MAX
            ),
            Parameter(
                name="resolution",
                kind="choice",
                summary="Long side of the result; or give scale.",
                choices=tuple(RESOLUTIONS),
            ),
            _FORMAT,
        ),
        work=_upscale,
    ),
)

OPERATIONS: Mapping[str, Operation] = MappingProxyType({each.capability: each for each in _ALL})
