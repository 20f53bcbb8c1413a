"""Repair frontal faces: grain out, soft edges sharper, the rest of the picture untouched.

Faces are found by OpenCV's cascade of simple features (a classic trained detector, no neural network).
How soft and how grainy each face is gets measured, and the repair is as strong as that: a clean face
hardly changes. It restores what is there and invents nothing, so it can never change who it is.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from imageops.arrays import Floats, Pixels, to_image, to_pixels
from imageops.denoising import denoise, estimate_sigma
from imageops.errors import ImageRefused, RefusalReason
from imageops.progress import OnProgress, between, ignore_progress

_CASCADE = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"
_WORK_PIXELS = 3 << 19  # Faces are looked for in a copy of 1.5 megapixels: half a second.
_FACE_PX_MIN = 24  # What the cascade was trained on is 20.
_FACE_SHARE_MIN = 0.05  # Of the shorter side; smaller ones are mostly not faces.
_NEIGHBOURS_MIN = 4  # Overlapping finds that make a face.
_FACES_MAX = 32

_REPAIR_PIXELS = 1 << 22
_REACH = 0.3  # Of the face's box, on each side: hair and chin.
_FEATHER = 0.2  # Of the ellipse's radius.

_EDGE_SHARE = 90  # Percentile: the steepest tenth of the pixels are the edges that tell the blur.
_BLUR_SHARP, _BLUR_SOFT = 0.6, 1.1  # Pixels: below it a face is sharp, above it the repair is at full strength.
_BLUR_TAKEN = 1.1  # Edges that look sharper than they are understate the blur by a tenth.
_BLUR_MIN, _BLUR_MAX = 0.8, 3.0
_GRAIN_CLEAN, _GRAIN_SPAN = 4.0, 4.0  # Levels: texture of skin reaches 3.
_GRAIN_MAX = 12.0
_STRENGTH_MIN = 0.25
_ROUNDS = 8
_RATIO_MAX = 1.4  # One round never changes a pixel by more.
_OVERSHOOT = 5.0  # Levels beyond the brightest and darkest neighbour: no halos.

_FOUND = 0.3  # The share of the progress that finding takes.

Box = tuple[int, int, int, int]  #: Left, top, width, height in pixels.


@dataclass(frozen=True, kw_only=True)
class Enhanced:
    """A picture with its faces repaired, and where they are; at least one."""

    image: Image.Image
    faces: tuple[Box, ...]


def enhance_faces(image: Image.Image, *, on_progress: OnProgress = ignore_progress) -> Enhanced:
    """Return an RGB or RGBA picture, of the same size and transparency, with every frontal face repaired.

    Pixels outside the faces' ellipses stay as they are. Raises ImageRefused when no face is found.
    """
    pixels, alpha = to_pixels(image)
    on_progress(0.0)
    boxes = find_faces(pixels)
    if not boxes:
        raise ImageRefused(RefusalReason.NOTHING_FOUND, "No frontal face was found in the picture.", "inputs[0]")
    result = pixels.copy()
    for number, box in enumerate(boxes):
        low, high = (_FOUND + (1 - _FOUND) * part / len(boxes) for part in (number, number + 1))
        _enhance(result, box, between(low, high, on_progress))
    on_progress(1.0)
    return Enhanced(image=to_image(result, alpha), faces=boxes)


def find_faces(pixels: Pixels) -> tuple[Box, ...]:
    """Return the boxes of frontal faces in a picture (height x width x 3), the largest first."""
    rows, columns = pixels.shape[:2]
    scale = max(1.0, math.sqrt(rows * columns / _WORK_PIXELS))
    size = (max(1, round(columns / scale)), max(1, round(rows / scale)))
    small = cv2.equalizeHist(cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY))
    if min(size) < _FACE_PX_MIN:
        return ()
    cascade = cv2.CascadeClassifier(str(_CASCADE))
    side = max(_FACE_PX_MIN, round(_FACE_SHARE_MIN * min(size)))
    found = cascade.detectMultiScale(small, 1.1, _NEIGHBOURS_MIN, minSize=(side, side))
    boxes = [tuple(round(float(each) * scale) for each in box) for box in found]
    boxes.sort(key=lambda box: (-box[2] * box[3], box))
    return tuple((x, y, width, height) for x, y, width, height in boxes[:_FACES_MAX])


def _enhance(pixels: Pixels, box: Box, on_progress: OnProgress) -> None:
    """Repair one face in place."""
    x, y, width, height = box
    reach = round(_REACH * max(width, height))
    top, left = max(0, y - reach), max(0, x - reach)
    crop = pixels[top : y + height + reach, left : x + width + reach]
    weight = _ellipse(crop.shape[0], crop.shape[1], (x - left + width / 2, y - top + height / 2), (width, height))
    # A face of many megapixels is repaired in a smaller copy: its blur is no finer than that.
    scale = max(1.0, math.sqrt(crop.shape[0] * crop.shape[1] / _REPAIR_PIXELS))
    size = (round(crop.shape[1] / scale), round(crop.shape[0] / scale))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA) if scale > 1 else crop
    seen = cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    repaired, strength = _repair(seen, on_progress)
    repaired -= seen
    back = cv2.cvtColor(crop, cv2.COLOR_RGB2YCrCb)
    for channel in range(3):
        whole = cv2.resize(repaired[..., channel], (crop.shape[1], crop.shape[0]), interpolation=cv2.INTER_LINEAR)
        changed = back[..., channel] + whole * (weight * np.float32(strength))
        back[..., channel] = np.clip(np.rint(changed), 0, 255)
    np.copyto(crop, cv2.cvtColor(back, cv2.COLOR_YCrCb2RGB), where=(weight > 0)[..., None])


def _ellipse(rows: int, columns: int, centre: tuple[float, float], size: tuple[int, int]) -> Floats:
    """Return 1 on the face, falling to 0 at the ellipse around it."""
    y, x = np.ogrid[:rows, :columns]
    across = (x - centre[0]) / (size[0] * (0.5 + _REACH * 0.6))
    along = (y - centre[1]) / (size[1] * (0.5 + _REACH))
    return np.asarray(np.clip((1 - np.sqrt(across**2 + along**2)) / _FEATHER, 0, 1), np.float32)


def _repair(seen: Floats, on_progress: OnProgress) -> tuple[Floats, float]:
    """Return a face (rows x columns x YCrCb) without grain and blur, and how far to believe it."""
    grain = estimate_sigma(seen[..., 0])
    # JPEG takes the finest grain away and leaves the coarser: half the size still shows it.
    half = cv2.resize(seen[..., 0], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    sigma = min(_GRAIN_MAX, max(grain, 1.5 * estimate_sigma(half)))
    plain = denoise(seen, sigma, between(0.0, 0.7, on_progress))
    luma = np.ascontiguousarray(plain[..., 0])
    blur = _blur_of(luma)
    by_blur = (blur - _BLUR_SHARP) / (_BLUR_SOFT - _BLUR_SHARP)
    by_grain = (grain - _GRAIN_CLEAN) / _GRAIN_SPAN
    strength = min(1.0, max(_STRENGTH_MIN, by_blur, by_grain))
    sharp = _sharpen(luma, min(_BLUR_MAX, max(_BLUR_MIN, _BLUR_TAKEN * blur)), between(0.7, 1.0, on_progress))
    # Where much grain was taken, edges are softer than they were in truth, and what remains of it would grow.
    plain[..., 0] += (sharp - luma) * np.float32(1 - min(1.0, max(0.0, by_grain)))
    return plain, strength


def _blur_of(luma: Floats) -> float:
    """Return the deviation of the blur of the steepest edges, in pixels: blurred again, sharp ones lose more."""
    steep, softer = (
        np.hypot(cv2.Sobel(plane, cv2.CV_32F, 1, 0), cv2.Sobel(plane, cv2.CV_32F, 0, 1))
        for plane in (luma, cv2.GaussianBlur(luma, (0, 0), 1.0))
    )
    ridge = steep >= cv2.dilate(steep, np.ones((3, 3), np.uint8)) - 1e-3
    edges = ridge & (steep >= np.percentile(steep, _EDGE_SHARE)) & (steep > 1)
    ratio = steep[edges] / np.maximum(softer[edges], 1e-3)
    ratio = ratio[ratio > 1.001]
    return float(np.median(1 / np.sqrt(ratio**2 - 1))) if ratio.size else _BLUR_SOFT


def _sharpen(luma: Floats, blur: float, on_progress: OnProgress) -> Floats:
    """Return the brightness that, blurred, is what is seen (Richardson and Lucy), within its surroundings' range."""
    seen = np.maximum(luma, 1.0)
    estimate = seen.copy()
    for turn in range(_ROUNDS):
        on_progress(turn / _ROUNDS)
        ratio = seen / np.maximum(cv2.GaussianBlur(estimate, (0, 0), blur), 1.0)
        estimate *= cv2.GaussianBlur(np.clip(ratio, 1 / _RATIO_MAX, _RATIO_MAX), (0, 0), blur)
    square = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(luma, square) - _OVERSHOOT, cv2.dilate(luma, square) + _OVERSHOOT
    return np.asarray(np.clip(estimate, low, high), np.float32)
