"""The operations that draw a picture anew, larger or in another form, as they are run by name.

Each brings OpenCV, so its module is imported by the first job that needs it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from PIL import Image

from imageops.operation import FORMAT, WORKED, Operation, Output, note
from imageops.parameters import Parameter, Value
from imageops.progress import OnProgress, between

if TYPE_CHECKING:
    from imageops.vectorizing import Vector

EPS_MIME_TYPE = "application/postscript"
VECTOR_ROLE = "vector"

_Made = Iterator[Image.Image | Output]

COLOR_COUNT = Parameter(
    name="color_count",
    kind="integer",
    summary="Flat colours of the vector drawing, at most; a picture of fewer has no more.",
    default=5,
    minimum=2,
    maximum=16,
)


def _vectorize(images: list[Image.Image], values: dict[str, Value], seed: int, on_progress: OnProgress) -> _Made:
    from imageops.vectorizing import vectorize

    told = between(0.0, WORKED, on_progress)
    done = vectorize(images[0], cast(int, values["color_count"]), seed, on_progress=told)
    yield done.preview
    yield from _by_products(done)


def _by_products(done: "Vector") -> _Made:
    width, height = done.preview.size
    yield Output(data=done.eps, mime_type=EPS_MIME_TYPE, width=width, height=height, role=VECTOR_ROLE)
    yield note("vector_colours", str(done.colours))


REDRAWING = (
    Operation(
        capability="image.vectorize",
        summary="Trace a picture as outlines in a few flat colours: an EPS file, and a preview of it.",
        inputs_min=1,
        inputs_max=1,
        parameters=(COLOR_COUNT, FORMAT),
        work=_vectorize,
    ),
)
