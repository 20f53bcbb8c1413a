"""Colours by lightness, chroma and hue as the eye sees them (OKLCH), so that mixtures stay clean."""

import numpy as np
import numpy.typing as npt

from imageops.painting.canvas import Array, Colour

_TO_LMS = np.array(
    [[1.0, 0.3963377774, 0.2158037573], [1.0, -0.1055613458, -0.0638541728], [1.0, -0.0894841775, -1.2914855480]]
)
_TO_LINEAR = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)
_FROM_LMS, _FROM_LINEAR = np.linalg.inv(_TO_LMS), np.linalg.inv(_TO_LINEAR)


def _apply(matrix: npt.NDArray[np.float64], planes: Array) -> Array:
    # Written out, not `@`: a BLAS may add in another order with another number of threads.
    return np.stack([row[0] * planes[0] + row[1] * planes[1] + row[2] * planes[2] for row in matrix])


def oklch(lightness: float, chroma: float, hue: float) -> Colour:
    """Return sRGB (3,), 0 to 1; `hue` in degrees. What no screen can show is clipped."""
    radians = np.deg2rad(hue)
    lab = np.array([lightness, chroma * np.cos(radians), chroma * np.sin(radians)])
    return from_oklab(lab[:, None])[:, 0]


def from_oklab(lab: Array) -> Array:
    """Convert (3, n) OKLab to sRGB."""
    linear = np.clip(_apply(_TO_LINEAR, _apply(_TO_LMS, lab) ** 3), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return encoded.astype(np.float32)


def to_oklab(rgb: Array) -> Array:
    """Convert (3, n) sRGB to OKLab."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return _apply(_FROM_LMS, np.cbrt(_apply(_FROM_LINEAR, linear))).astype(np.float32)


def lch(rgb: Colour) -> tuple[float, float, float]:
    """Return lightness, chroma and hue (degrees) of one colour."""
    lightness, a, b = (float(part) for part in to_oklab(rgb[:, None])[:, 0])
    return lightness, float(np.hypot(a, b)), float(np.rad2deg(np.arctan2(b, a)) % 360)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return the colour `share` of the way from one to the other."""
    return ramp([one, other], np.array([share]))[:, 0]


def ramp(colours: list[Colour], at: Array, positions: list[float] | None = None) -> Array:
    """Return (3, *at.shape): colours evenly spaced (or at `positions`) over 0 to 1, mixed in OKLab."""
    stops = np.linspace(0, 1, len(colours)) if positions is None else np.array(positions)
    lab = to_oklab(np.stack(colours, axis=1).astype(np.float32))
    flat = np.stack([np.interp(at.ravel(), stops, plane) for plane in lab])
    return from_oklab(flat).reshape(3, *at.shape)


def look_up(colours: list[Colour], at: Array) -> Array:
    """Like `ramp`, for whole bands: through a table of 1024 steps, without mixing at every pixel."""
    table = ramp(colours, np.linspace(0, 1, 1024))
    index = np.clip(at * 1023, 0, 1023).astype(np.int16)
    result: Array = table[:, index]
    return result


def turn(rgb: Colour, hue: float, share: float, *, chroma_min: float = 0.0) -> Colour:
    """Return the colour moved `share` of the way towards a hue, and made at least so colourful."""
    lightness, chroma, old = lch(rgb)
    away = (hue - old + 180) % 360 - 180
    return oklch(lightness, max(chroma, chroma_min), old + away * share)
