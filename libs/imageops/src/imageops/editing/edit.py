"""Change a picture as an instruction in English or Chinese says, or refuse what cannot be done without a model."""

from typing import Literal

import cv2
import numpy as np
from PIL import Image

from imageops.arrays import Pixels, to_image, to_pixels
from imageops.editing.brushes import BRUSHES, paint
from imageops.editing.effects import Effect, Step
from imageops.editing.instructions import INSTRUCTION_CHARACTERS_MAX, read_instruction
from imageops.editing.optics import apply_optics
from imageops.editing.tones import TONES, apply_tone
from imageops.errors import ParameterRefused, RefusalReason, Refused
from imageops.progress import OnProgress, between, ignore_progress

ModelVersion = Literal["v1", "v2"]
#: Pixels of the copy that is painted on: v2 has twice as many.
WORK_PIXELS: dict[ModelVersion, int] = {"v1": 1 << 20, "v2": 1 << 21}

_UNSUPPORTED = (
    "The local engine cannot do what the instruction asks for. It can repaint a picture (watercolour, oil, cartoon, "
    "pencil sketch, pixels), change its light and colours, focus and grain, blur the background, mirror it."
)


def edit(
    image: Image.Image,
    prompt: str,
    seed: int = 0,
    *,
    model_version: ModelVersion = "v1",
    on_progress: OnProgress = ignore_progress,
) -> Image.Image:
    """Return an RGB or RGBA picture of the same size, changed as `prompt` says; the effects are applied in its order.

    v1 applies each effect at its usual strength; v2 heeds words such as "slightly" and "very" and paints
    large pictures with finer brushes. Transparency stays. Raises Refused: the instruction has a word that
    is not understood, or changes nothing of this picture; ParameterRefused: prompt empty or too long.
    """
    if not 1 <= len(prompt) <= INSTRUCTION_CHARACTERS_MAX:
        raise ParameterRefused("prompt", f"prompt's length is from 1 to {INSTRUCTION_CHARACTERS_MAX}.")
    if model_version not in WORK_PIXELS:
        raise ParameterRefused("model_version", f"model_version is one of {', '.join(WORK_PIXELS)}.")
    steps = read_instruction(prompt)
    if not steps:
        raise Refused(RefusalReason.UNSUPPORTED_INSTRUCTION, _UNSUPPORTED, "prompt")
    pixels, alpha = to_pixels(image)
    result = pixels
    for number, step in enumerate(steps):
        told = between(number / len(steps), (number + 1) / len(steps), on_progress)
        told(0.0)
        degree = step.degree if model_version == "v2" else 1.0
        result = _apply(result, Step(effect=step.effect, degree=degree), seed, WORK_PIXELS[model_version], told)
    on_progress(1.0)
    if np.array_equal(result, pixels):
        raise Refused(RefusalReason.NOTHING_FOUND, "The picture is already what the instruction asks for.", "prompt")
    return to_image(result, None if alpha is None else _turned(alpha, steps))


def _apply(pixels: Pixels, step: Step, seed: int, work_pixels: int, on_progress: OnProgress) -> Pixels:
    if step.effect in TONES:
        return apply_tone(pixels, step.effect, step.degree, on_progress)
    if step.effect not in BRUSHES:
        return apply_optics(pixels, step.effect, step.degree, on_progress)
    painted = paint(pixels, step.effect, seed, work_pixels, on_progress)
    if step.degree >= 1:
        return painted
    # A slight painting is one through which the photograph shows.
    return np.asarray(cv2.addWeighted(painted, step.degree, pixels, 1 - step.degree, 0), np.uint8)


def _turned(alpha: Pixels, steps: list[Step]) -> Pixels:
    effects = {step.effect for step in steps}
    if Effect.MIRRORED in effects:
        alpha = alpha[:, ::-1]
    return np.ascontiguousarray(alpha[::-1] if Effect.FLIPPED in effects else alpha)
