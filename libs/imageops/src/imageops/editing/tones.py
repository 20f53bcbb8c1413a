"""Effects that change each pixel by itself: light, colour, contrast.

Computed in CIE Lab (L 0 to 100, a and b around 0) a band of rows at a time, so that a large picture
needs no more memory than its own size twice.
"""

from collections.abc import Callable

import cv2
import numpy as np

from imageops.arrays import Array, Floats, Pixels
from imageops.editing.effects import Effect
from imageops.progress import OnProgress

_BAND_PIXELS = 1 << 18
_CHROMA = 0.38  # More of it: x 1.38, or x 0.62 of it for muted colours.
_LIGHT = 10.0  # Levels of L that the mean of the picture rises or falls.
_WARMTH_A, _WARMTH_B = 2.0, 9.0
_SEPIA_A, _SEPIA_B = 7.0, 20.0
_CONTRAST = 0.35
_VIGNETTE = 0.55  # Of the light is lost in the corners.

_Curve = Callable[[Floats, int], Floats]  #: Lab of some rows and the first row's number → the same, changed.


def apply_tone(pixels: Pixels, effect: Effect, degree: float, on_progress: OnProgress) -> Pixels:
    """Return the picture (height x width x 3) with one effect of this module, of strength `degree`."""
    if effect is Effect.INVERT:
        return np.asarray(255 - pixels)
    return _by_bands(pixels, _CURVES[effect](pixels, degree), on_progress)


def _by_bands(pixels: Pixels, curve: _Curve, on_progress: OnProgress) -> Pixels:
    result = np.empty_like(pixels)
    rows = max(1, _BAND_PIXELS // pixels.shape[1])
    for top in range(0, pixels.shape[0], rows):
        on_progress(top / pixels.shape[0])
        lab = cv2.cvtColor(pixels[top : top + rows].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        changed = curve(np.asarray(lab, np.float32), top)
        back = cv2.cvtColor(changed, cv2.COLOR_LAB2RGB)
        if not changed[..., 1:].any():
            back = back[..., 1:2]  # A grey's three channels differ in their last bits, and may round apart.
        result[top : top + rows] = np.clip(np.rint(back * 255), 0, 255)
    return result


def _grey(_pixels: Pixels, degree: float) -> _Curve:
    keep = max(0.0, 1 - degree)

    def curve(lab: Floats, _top: int) -> Floats:
        lab[..., 1:] *= np.float32(keep)
        return lab

    return curve


def _sepia(_pixels: Pixels, degree: float) -> _Curve:
    def curve(lab: Floats, _top: int) -> Floats:
        # Deep shadows and lights keep less tint, as in a print on warm paper.
        tint = np.float32(min(1.0, degree)) * np.sin(np.pi * np.clip(lab[..., 0] / 100, 0.12, 0.88))
        lab[..., 1:] *= np.float32(max(0.0, 1 - degree))
        lab[..., 1] += tint * np.float32(_SEPIA_A)
        lab[..., 2] += tint * np.float32(_SEPIA_B)
        return lab

    return curve


def _warmth(sign: int) -> Callable[[Pixels, float], _Curve]:
    def build(_pixels: Pixels, degree: float) -> _Curve:
        def curve(lab: Floats, _top: int) -> Floats:
            lab[..., 1] += np.float32(sign * _WARMTH_A * degree)
            lab[..., 2] += np.float32(sign * _WARMTH_B * degree)
            return lab

        return curve

    return build


def _chroma(sign: int) -> Callable[[Pixels, float], _Curve]:
    def build(_pixels: Pixels, degree: float) -> _Curve:
        factor = np.float32(max(0.0, 1 + sign * _CHROMA * degree))

        def curve(lab: Floats, _top: int) -> Floats:
            lab[..., 1:] *= factor
            return lab

        return curve

    return build


def _light(sign: int) -> Callable[[Pixels, float], _Curve]:
    def build(pixels: Pixels, degree: float) -> _Curve:
        gamma = _gamma(_light_histogram(pixels), sign * _LIGHT * degree)

        def curve(lab: Floats, _top: int) -> Floats:
            lab[..., 0] = np.float32(100) * np.power(np.clip(lab[..., 0] / 100, 0, 1), np.float32(gamma))
            return lab

        return curve

    return build


def _light_histogram(pixels: Pixels) -> Array:
    """Return the share of the pixels at each of 256 levels of brightness."""
    counts = cv2.calcHist([cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)], [0], None, [256], [0, 256]).ravel()
    return np.asarray(counts / counts.sum(), np.float64)


def _lightness() -> Array:
    """Return L, 0 to 1, of the 256 greys."""
    grey = np.repeat(np.arange(256, dtype=np.float32)[None, :, None] / 255, 3, axis=2)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_RGB2LAB)[0, :, 0] / 100, np.float64)


def _gamma(histogram: Array, change: float) -> float:
    """Return the exponent that moves the mean of L by `change`, as far as a gentle curve can."""
    levels = _lightness()
    mean = float(histogram @ levels)
    low, high = 0.35, 3.0
    for _ in range(40):
        middle = (low + high) / 2
        if float(histogram @ levels**middle) - mean > change / 100:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _contrast(sign: int) -> Callable[[Pixels, float], _Curve]:
    def build(pixels: Pixels, degree: float) -> _Curve:
        mean = float(_light_histogram(pixels) @ _lightness()) * 100
        factor = np.float32(1 + _CONTRAST * degree if sign > 0 else 1 / (1 + _CONTRAST * degree))

        def curve(lab: Floats, _top: int) -> Floats:
            away = (lab[..., 0] - np.float32(mean)) * factor
            # A soft end instead of a clipped one: what would leave 0 to 100 bends towards it.
            room = np.where(away > 0, np.float32(100 - mean), np.float32(mean)) + np.float32(1e-3)
            if sign > 0:
                away = np.where(np.abs(away) > 0.6 * room, np.sign(away) * room * _bend(np.abs(away) / room), away)
            lab[..., 0] = np.float32(mean) + away
            return lab

        return curve

    return build


def _bend(share: Floats) -> Floats:
    """Return 0.6 for 0.6, and ever less more for more, up to 1."""
    over = np.maximum(share - np.float32(0.6), 0)
    return np.asarray(0.6 + 0.4 * (1 - np.exp(-over / 0.4)), np.float32)


def _vignette(pixels: Pixels, degree: float) -> _Curve:
    rows, columns = pixels.shape[:2]
    x = (np.arange(columns, dtype=np.float32) + 0.5) / columns * 2 - 1

    def curve(lab: Floats, top: int) -> Floats:
        y = (np.arange(top, top + lab.shape[0], dtype=np.float32) + 0.5) / rows * 2 - 1
        distance = np.sqrt((x[None] ** 2 + y[:, None] ** 2) / 2)
        lost = np.float32(min(0.95, _VIGNETTE * degree)) * np.clip((distance - 0.35) / 0.65, 0, 1) ** 2
        lab[..., 0] *= 1 - lost
        lab[..., 1:] *= (1 - lost)[..., None]
        return lab

    return curve


_CURVES: dict[Effect, Callable[[Pixels, float], _Curve]] = {
    Effect.GREY: _grey,
    Effect.SEPIA: _sepia,
    Effect.WARMER: _warmth(+1),
    Effect.COOLER: _warmth(-1),
    Effect.VIVID: _chroma(+1),
    Effect.MUTED: _chroma(-1),
    Effect.BRIGHTER: _light(+1),
    Effect.DARKER: _light(-1),
    Effect.CONTRAST: _contrast(+1),
    Effect.FLAT: _contrast(-1),
    Effect.VIGNETTE: _vignette,
}
TONES = frozenset({*_CURVES, Effect.INVERT})
