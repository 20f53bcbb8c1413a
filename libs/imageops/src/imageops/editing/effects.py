"""What the engine can do to a picture on words alone."""

from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """An effect's name."""

    WATERCOLOUR = "watercolour"
    OIL = "oil"
    CARTOON = "cartoon"
    SKETCH = "sketch"
    GREY = "grey"
    SEPIA = "sepia"
    INVERT = "invert"
    WARMER = "warmer"
    COOLER = "cooler"
    BRIGHTER = "brighter"
    DARKER = "darker"
    VIVID = "vivid"
    MUTED = "muted"
    CONTRAST = "contrast"
    FLAT = "flat"
    SHARPER = "sharper"
    SOFTER = "softer"
    SMOOTHER = "smoother"
    BLURRED_BACKGROUND = "blurred background"
    MIRRORED = "mirrored"
    FLIPPED = "flipped"
    PIXELS = "pixels"
    VIGNETTE = "vignette"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One effect to apply, and how strongly: 1 is the usual strength."""

    effect: Effect
    degree: float = 1.0
