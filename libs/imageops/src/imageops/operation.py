"""What an operation is to those who run it by name: its inputs, its parameters, bytes in and bytes out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from PIL import Image

from imageops.codec import MIME_TYPES, FileFormat, decode, encode
from imageops.errors import ImageRefused, RefusalReason, Refused
from imageops.parameters import Parameter, Value, read_parameters
from imageops.progress import OnProgress, between, ignore_progress

NOTE_MIME_TYPE = "text/plain"

#: Of one picture's share of the progress: the work itself; the rest is writing its file.
WORKED = 0.75
REDUCING_GAP = 3.0  # Pillow's own advice for a fast reduction that cannot be told from a slow one.
_SEEDS = 1 << 64  # Any whole number is a seed; numpy takes none below zero.
_DECODED = 0.05  # The share of the progress that reading the inputs takes.

FORMAT = Parameter(
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
    width: int  #: Pixels; 0 for a note.
    height: int
    role: str = "image"  #: "image" for a result proper; "vector", "grid", "tile", or a note's name for by-products.


#: Takes the pictures, the checked parameters, the seed and a progress callback. Results are handed over one by one, so
#: that six large ones are never in memory together; a picture becomes a file in the format the caller asked for. That
#: is the rest of the progress after `WORKED`: work that makes more than one picture makes files of them by itself.
Work = Callable[[list[Image.Image], dict[str, Value], int, OnProgress], Iterator[Image.Image | Output]]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A capability of the local engine: what it takes, and how to run it."""

    capability: str
    summary: str
    inputs_min: int
    inputs_max: int
    parameters: tuple[Parameter, ...]
    work: Work
    input_pixels_kept: int = 0  #: A larger input is shrunk to about this when it is read; 0 keeps it as it is.

    def run(
        self,
        inputs: Sequence[bytes],
        parameters: Mapping[str, object],
        seed: int,
        on_progress: OnProgress = ignore_progress,
    ) -> list[Output]:
        """Return the files made from `inputs`; the same arguments, any whole number as seed, give the same bytes.

        Raises Refused (its `field` names the parameter or input) and whatever `on_progress` raises.
        """
        values = read_parameters(self.parameters, parameters)
        if not self.inputs_min <= len(inputs) <= self.inputs_max:
            raise Refused(RefusalReason.INVALID_INPUTS, self._wanted(), "inputs")
        on_progress(0.0)
        images = [self._decode(number, data) for number, data in enumerate(inputs)]
        file_format = cast(FileFormat, values["format"]) if "format" in values else "png"
        made = self.work(images, values, seed % _SEEDS, between(_DECODED, 1.0, on_progress))
        written = between(_DECODED + (1.0 - _DECODED) * WORKED, 1.0, on_progress)
        outputs = [
            each if isinstance(each, Output) else to_output(each, file_format, on_progress=written) for each in made
        ]
        on_progress(1.0)
        return outputs

    def _decode(self, number: int, data: bytes) -> Image.Image:
        try:
            image = decode(data)
        except ImageRefused as refused:
            raise ImageRefused(refused.reason, refused.message, f"inputs[{number}]") from refused
        if not self.input_pixels_kept or image.width * image.height <= self.input_pixels_kept:
            return image
        share = (self.input_pixels_kept / (image.width * image.height)) ** 0.5
        size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
        return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)

    def _wanted(self) -> str:
        if self.inputs_min == self.inputs_max:
            return f"{self.capability} takes {self.inputs_min} input picture(s)."
        return f"{self.capability} takes {self.inputs_min} to {self.inputs_max} input pictures."


def to_output(
    image: Image.Image, file_format: FileFormat, role: str = "image", on_progress: OnProgress = ignore_progress
) -> Output:
    """Return a picture as a finished file."""
    data = encode(image, file_format, on_progress)
    return Output(data=data, mime_type=MIME_TYPES[file_format], width=image.width, height=image.height, role=role)


def note(name: str, text: str) -> Output:
    """Return something to tell about the work as an output of type text/plain whose role is the note's name."""
    return Output(data=text.encode(), mime_type=NOTE_MIME_TYPE, width=0, height=0, role=name)
