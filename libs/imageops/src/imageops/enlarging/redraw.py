"""Redraw a picture larger: cleaned, sharpened and toned as told, then enlarged, then given its grain.

Classical processing: no detail is invented. Words are heeded where they name a quality of the picture
(sharp, clean, bright, vivid, and their opposites, in English or Chinese); whatever else they say is not.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageEnhance

from imageops.arrays import Pixels, to_image, to_pixels
from imageops.denoising import denoise, estimate_sigma
from imageops.enlarging.upscaling import Resolution, target_size, upscale
from imageops.progress import OnProgress, between, ignore_progress

STEPS_DEFAULT = 30.0

_STEPS_A_ROUND = 5  # The contract's 20 to 40 steps are 4 to 8 rounds of back-projection, the default's 30 the usual 6.
_ROUNDS_LESS = 4  # Of a cleaned picture: what grain is left would grow with each round.
_GRAIN_MIN = 3.0  # Levels: less is texture as often as grain.
_GRAIN_TOLD = 2.0  # Levels: what "clean" takes away from a picture that has no more.
_GRAIN_ADDED = 60.0  # Levels for each whole of s_noise above 1: 1.1 gives 6.
_GRAINY = 4.0  # Levels that the word adds.
_STRONG_SHARPNESS, _WORD_SHARPNESS = 1.6, 0.7  # Shares of the finest detail that are added.
_BLUR_PX = 1.2
_BAND_ROWS, _HALO_ROWS = 512, 8  # What is sharpened at once; the blur reaches five rows.
_TONE = 0.12  # How far a word moves brightness or saturation.

#: Words → the quality they name, and which end of it.
_WORDS: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("sharp", 1, ("sharp", "crisp", "detailed", "清晰", "锐利", "细节")),
    ("sharp", -1, ("blur", "soft focus", "out of focus", "模糊", "柔焦")),
    ("clean", 1, ("clean", "smooth", "干净", "平滑")),
    ("clean", -1, ("grain", "noisy", "noise", "噪点", "噪声", "颗粒")),
    ("bright", 1, ("bright", "明亮", "光亮")),
    ("bright", -1, ("dark", "dim", "昏暗", "暗淡", "黑暗")),
    ("vivid", 1, ("vivid", "colorful", "colourful", "saturated", "鲜艳", "色彩丰富")),
    ("vivid", -1, ("dull", "faded", "washed out", "灰暗", "褪色")),
)
_NEGATED = ("noise-free", "无噪点", "无噪")  # Mean clean, and hold a word of the other end.


@dataclass(frozen=True, kw_only=True)
class Qualities:
    """What words ask for, each -1, 0 or 1."""

    sharp: int = 0
    clean: int = 0
    bright: int = 0
    vivid: int = 0


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """How to redraw; the defaults leave everything to `upscale`."""

    #: True keeps the grain, and the result shrinks to the original; False takes visible grain away first.
    high_fidelity: bool | None = None
    s_noise: float = 1.0  #: 1 to 1.1: grain added.
    steps: float = STEPS_DEFAULT  #: 20 to 40: the more, the closer the result shrinks to what was enlarged.
    strong_inpaint: float = 0.0  #: 0 to 1: how strongly grain is removed and edges are sharpened.
    prompt: str = ""
    neg_prompt: str = ""


def read_qualities(prompt: str, neg_prompt: str) -> Qualities:
    """Return what the words ask for: those of `neg_prompt` the opposite. Contradictions ask for nothing."""
    sums = dict.fromkeys(("sharp", "clean", "bright", "vivid"), 0)
    for text, sign in ((prompt.lower(), 1), (neg_prompt.lower(), -1)):
        rest = text
        for word in _NEGATED:
            rest = rest.replace(word, "")
        sums["clean"] += sign * (rest != text)
        for quality, end, words in _WORDS:
            if any(word in rest for word in words):
                sums[quality] += sign * end
    return Qualities(**{name: max(-1, min(1, total)) for name, total in sums.items()})


def redraw(
    image: Image.Image,
    wishes: Wishes,
    seed: int = 0,
    *,
    scale: float | None = None,
    resolution: Resolution | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Image.Image:
    """Return an RGB or RGBA picture redrawn at the size that `upscale` would give it.

    The same arguments give the same pixels. Raises as `upscale` does.
    """
    target_size(image.size, scale=scale, resolution=resolution)
    qualities = read_qualities(wishes.prompt, wishes.neg_prompt)
    cleaned, prepared = _prepared(image, wishes, qualities, between(0.0, 0.5, on_progress))
    rounds = round(wishes.steps / _STEPS_A_ROUND)
    if cleaned:
        rounds = max(1, rounds - _ROUNDS_LESS)
    told = between(0.5, 0.9, on_progress)
    keep = wishes.high_fidelity is True
    result = upscale(prepared, scale=scale, resolution=resolution, rounds=rounds, keep_grain=keep, on_progress=told)
    grain = (wishes.s_noise - 1) * _GRAIN_ADDED + (_GRAINY if qualities.clean < 0 else 0)
    if grain > 0:
        _add_grain(result, grain, seed)
    on_progress(1.0)
    return result


def _prepared(
    image: Image.Image, wishes: Wishes, qualities: Qualities, on_progress: OnProgress
) -> tuple[bool, Image.Image]:
    """Return whether grain was taken away, and the picture as it is enlarged."""
    sharpness = _STRONG_SHARPNESS * wishes.strong_inpaint + _WORD_SHARPNESS * qualities.sharp
    pixels, alpha = to_pixels(image)
    asked = wishes.high_fidelity is False or wishes.strong_inpaint > 0 or qualities.clean > 0
    sigma = _sigma(estimate_sigma(pixels), wishes, qualities) if asked else 0.0
    if sigma:
        pixels = denoise(pixels, sigma, on_progress)
    if sharpness:
        pixels = _sharpened(pixels, sharpness)
    if not sigma and not sharpness and not qualities.bright and not qualities.vivid:
        return False, image
    picture = to_image(pixels)
    if qualities.bright:
        picture = ImageEnhance.Brightness(picture).enhance(1 + _TONE * qualities.bright)
    if qualities.vivid:
        picture = ImageEnhance.Color(picture).enhance(1 + 2 * _TONE * qualities.vivid)
    if alpha is not None:
        picture.putalpha(Image.fromarray(alpha))
    elif image.mode == "RGBA":
        picture.putalpha(255)
    return bool(sigma), picture


def _sigma(found: float, wishes: Wishes, qualities: Qualities) -> float:
    """Return how much grain to take away, in levels; 0 for none."""
    if qualities.clean > 0:
        return max(found, _GRAIN_TOLD)
    if wishes.strong_inpaint > 0:
        return found * (0.5 + wishes.strong_inpaint)
    return found if found >= _GRAIN_MIN else 0.0


def _sharpened(pixels: Pixels, amount: float) -> Pixels:
    """Return the picture with its finest detail stronger, or weaker for less than 0; no edge overshoots."""
    result = np.empty_like(pixels)
    window = np.ones((3, 3), np.uint8)
    for start in range(0, len(pixels), _BAND_ROWS):
        stop = min(len(pixels), start + _BAND_ROWS)
        above = min(start, _HALO_ROWS)
        band = pixels[start - above : stop + _HALO_ROWS]
        blurred = cv2.GaussianBlur(band, (0, 0), _BLUR_PX).astype(np.float32)
        sharp = band + amount * (band - blurred)
        bounded = np.clip(np.rint(sharp), cv2.erode(band, window), cv2.dilate(band, window))
        result[start:stop] = bounded[above : above + stop - start].astype(np.uint8)
    return result


def _add_grain(image: Image.Image, sigma: float, seed: int) -> None:
    """Add grey grain of deviation `sigma` to the picture, in bands: it may be as large as memory allows."""
    random = np.random.default_rng(seed)
    for start in range(0, image.height, _BAND_ROWS):
        place = (0, start, image.width, min(image.height, start + _BAND_ROWS))
        band = np.array(image.crop(place))
        grain = random.standard_normal(band.shape[:2], np.float32) * np.float32(sigma)
        levels = np.rint(grain, out=grain).astype(np.int16)  # Of whole levels the sum is the same, and quicker.
        grainy = cv2.add(band[..., :3], cv2.merge([levels] * 3), dtype=cv2.CV_8U)
        band[..., :3] = grainy
        image.paste(Image.fromarray(band), place)
