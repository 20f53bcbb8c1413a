"""The operations that draw a picture anew, larger or in another form, as they are run by name.

Each brings OpenCV, so its module is imported by the first job that needs it.
"""

import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from PIL import Image

from imageops.codec import FileFormat
from imageops.enlarging.upscaling import RESOLUTIONS, SCALE_MAX, Resolution
from imageops.operation import FORMAT, WORKED, Operation, Output, note, to_output
from imageops.parameters import Parameter, Value
from imageops.progress import OnProgress, between

if TYPE_CHECKING:
    from imageops.tracing.vectorizing import Vector

EPS_MIME_TYPE = "application/postscript"
VECTOR_ROLE = "vector"
SCALE_DEFAULT = 2.0

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
    from imageops.tracing.vectorizing import vectorize

    told = between(0.0, WORKED, on_progress)
    done = vectorize(images[0], cast(int, values["color_count"]), seed, on_progress=told)
    yield done.preview
    yield from _by_products(done)


def _upscale(images: list[Image.Image], values: dict[str, Value], seed: int, on_progress: OnProgress) -> _Made:
    from imageops.enlarging.redraw import Wishes, redraw

    scale = cast(float | None, values["scale"])
    resolution = cast(Resolution | None, values["resolution"])
    if scale is None and resolution is None:
        scale = SCALE_DEFAULT
    wishes = Wishes(
        high_fidelity=cast(bool | None, values["high_fidelity"]),
        s_noise=cast(float, values["s_noise"]),
        steps=cast(float, values["steps"]),
        strong_inpaint=cast(float, values["strong_inpaint_intensity"]) if values["strong_inpaint"] else 0.0,
        prompt=cast(str, values["prompt"]),
        neg_prompt=cast(str, values["neg_prompt"]),
    )
    drawing = bool(values["vector_switch"])
    worked, written = (WORKED / 2, 0.5) if drawing else (WORKED, 1.0)
    told = between(0.0, worked, on_progress)
    result = redraw(images[0], wishes, seed, scale=scale, resolution=resolution, on_progress=told)
    yield to_output(result, cast(FileFormat, values["format"]), on_progress=between(worked, written, on_progress))
    if values["auto_generate_prompt"]:
        from imageops.enlarging.describing import describe

        yield note("generated_prompt", describe(result))
    if drawing:
        from imageops.tracing.vectorizing import vectorize

        told = between(written, 1.0, on_progress)
        yield from _by_products(vectorize(result, cast(int, values["color_count"]), seed, on_progress=told))


def _expand(images: list[Image.Image], values: dict[str, Value], seed: int, on_progress: OnProgress) -> _Made:
    from imageops.enlarging.expanding import Shares, expand

    shares = Shares(**{side: cast(float, values[f"expand_{side}"]) for side in _SIDES})
    variant = seed ^ zlib.crc32(cast(str, values["prompt"]).encode())
    yield expand(images[0], shares, variant, between(0.0, WORKED, on_progress))


def _by_products(done: "Vector") -> _Made:
    width, height = done.preview.size
    yield Output(data=done.eps, mime_type=EPS_MIME_TYPE, width=width, height=height, role=VECTOR_ROLE)
    yield note("vector_colours", str(done.colours))


_WORDS = Parameter(
    name="prompt",
    kind="text",
    summary="Heeded where it says sharp, clean, bright or vivid or their opposites, in English or Chinese; no more.",
    default="",
    maximum=4000,
)
_SWITCH = Parameter(name="high_fidelity", kind="boolean", summary="", default=False)

_SIDES = ("top", "bottom", "left", "right")
_SHARE = Parameter(name="expand_top", kind="number", summary="", default=0.0, minimum=0, maximum=0.3)

REDRAWING = (
    Operation(
        capability="image.expand",
        summary="Continue a picture beyond its sides with more of what is there; cut-off things are not completed.",
        inputs_min=1,
        inputs_max=1,
        parameters=(
            *(
                replace(_SHARE, name=f"expand_{side}", summary=f"How far the {side} moves out, as a share.")
                for side in _SIDES
            ),
            replace(_WORDS, summary="Nothing is painted from words: others only give another variant."),
            FORMAT,
        ),
        work=_expand,
    ),
    Operation(
        capability="image.upscale",
        summary="Enlarge a picture by a factor, or to 2k, 4k or 8k; clean and sharpen it if told.",
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
            replace(
                _SWITCH,
                summary="True keeps the grain, so that the result shrinks to the original; false takes it off first.",
                default=None,
            ),
            Parameter(
                name="s_noise",
                kind="number",
                summary="Grain added to the result: none at 1, six levels at 1.1.",
                default=1.0,
                minimum=1,
                maximum=1.1,
            ),
            Parameter(
                name="steps",
                kind="number",
                summary="The more, the closer the enlarged picture shrinks to what it was made from.",
                default=30.0,
                minimum=20,
                maximum=40,
            ),
            replace(_SWITCH, name="strong_inpaint", summary="Take all grain off and sharpen soft edges."),
            Parameter(
                name="strong_inpaint_intensity",
                kind="number",
                summary="How strongly strong_inpaint works.",
                default=0.5,
                minimum=0,
                maximum=1,
            ),
            _WORDS,
            replace(_WORDS, name="neg_prompt", summary="Heeded as prompt is, to the opposite."),
            replace(_SWITCH, name="vector_switch", summary="Also give the result as an EPS drawing."),
            COLOR_COUNT,
            replace(_SWITCH, name="auto_generate_prompt", summary="Also say in words what the result looks like."),
            FORMAT,
        ),
        work=_upscale,
    ),
    Operation(
        capability="image.vectorize",
        summary="Trace a picture as outlines in a few flat colours: an EPS file, and a preview of it.",
        inputs_min=1,
        inputs_max=1,
        parameters=(COLOR_COUNT, FORMAT),
        work=_vectorize,
    ),
)
