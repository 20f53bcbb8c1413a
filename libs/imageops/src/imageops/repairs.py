"""The operations that repair or edit a picture, as they are run by name.

Each brings OpenCV, so its module is imported by the first job that needs it.
"""

from collections.abc import Iterator
from typing import cast

from PIL import Image

from imageops.operation import FORMAT, WORKED, Operation, Output, note
from imageops.parameters import Parameter, Value
from imageops.progress import OnProgress, between

_Made = Iterator[Image.Image | Output]


def _edit(images: list[Image.Image], values: dict[str, Value], seed: int, on_progress: OnProgress) -> _Made:
    from imageops.editing.edit import ModelVersion, edit

    yield edit(
        images[0],
        cast(str, values["prompt"]),
        seed,
        model_version=cast(ModelVersion, values["model_version"]),
        on_progress=between(0.0, WORKED, on_progress),
    )


def _face_enhance(images: list[Image.Image], _values: dict[str, Value], _seed: int, on_progress: OnProgress) -> _Made:
    from imageops.repairing.faces import enhance_faces

    done = enhance_faces(images[0], on_progress=between(0.0, WORKED, on_progress))
    yield done.image
    yield note("faces_found", str(len(done.faces)))


def _remove_diamonds(images: list[Image.Image], values: dict[str, Value], seed: int, on_progress: OnProgress) -> _Made:
    from imageops.repairing.diamonds import remove_diamonds

    area = images[1] if len(images) > 1 else None
    sensitivity = cast(float, values["sensitivity"])
    told = between(0.0, WORKED, on_progress)
    done = remove_diamonds(images[0], area, seed, sensitivity=sensitivity, on_progress=told)
    yield done.image
    yield note("stones_found", str(done.stones))


def _remove_fabric(images: list[Image.Image], _values: dict[str, Value], _seed: int, on_progress: OnProgress) -> _Made:
    from imageops.repairing.fabric import remove_fabric

    yield remove_fabric(images[0], on_progress=between(0.0, WORKED, on_progress))


def _remove_watermark(
    images: list[Image.Image], _values: dict[str, Value], seed: int, on_progress: OnProgress
) -> _Made:
    from imageops.repairing.watermark import remove_watermark

    mask = images[1] if len(images) > 1 else None
    yield remove_watermark(images[0], mask, seed, on_progress=between(0.0, WORKED, on_progress))


REPAIRS = (
    Operation(
        capability="image.edit",
        summary="Change style, light, colours or focus as an instruction in English or Chinese says.",
        inputs_min=1,
        inputs_max=1,
        parameters=(
            Parameter(
                name="prompt",
                kind="text",
                summary="The instruction; what is not understood whole is refused.",
                required=True,
                minimum=1,
                maximum=4000,
            ),
            Parameter(
                name="model_version",
                kind="choice",
                summary="v2 heeds words such as slightly and very, and paints large pictures finer.",
                default="v1",
                choices=("v1", "v2"),
            ),
            FORMAT,
        ),
        work=_edit,
    ),
    Operation(
        capability="image.face_enhance",
        summary="Repair soft and grainy frontal faces; the rest of the picture stays as it is.",
        inputs_min=1,
        inputs_max=1,
        parameters=(FORMAT,),
        work=_face_enhance,
    ),
    Operation(
        capability="image.remove_diamonds",
        summary="Take rhinestones and sparkles off; a second picture may show in white where to look for them.",
        inputs_min=1,
        inputs_max=2,
        parameters=(
            Parameter(
                name="sensitivity",
                kind="number",
                summary="0 finds only the brightest stones, 1 also dull ones.",
                default=0.5,
                minimum=0,
                maximum=1,
            ),
            FORMAT,
        ),
        work=_remove_diamonds,
    ),
    Operation(
        capability="image.remove_fabric",
        summary="Take the weave of the cloth out of a photographed print.",
        inputs_min=1,
        inputs_max=1,
        parameters=(FORMAT,),
        work=_remove_fabric,
    ),
    Operation(
        capability="image.remove_watermark",
        summary="Take off a half-transparent mark; a second picture may show in white where it is.",
        inputs_min=1,
        inputs_max=2,
        parameters=(FORMAT,),
        work=_remove_watermark,
    ),
)
