"""Effects of lens and camera: focus, grain, mirror images, large pixels, a background out of focus."""

import math

import cv2
import numpy as np

from imageops.arrays import Floats, Pixels
from imageops.denoising import denoise, estimate_sigma
from imageops.editing.effects import Effect
from imageops.progress import OnProgress
from imageops.repairing.faces import find_faces

_BAND_PIXELS = 1 << 20
_SUBJECT_PX = 320  # The longer side of the copy that the subject is cut out of.
_CUTS = 5  # Rounds of GrabCut; it has settled by then.
_BLUR_SHARE = 1 / 45  # Of the shorter side.
_BLUR_PIXELS = 1 << 20  # What is strongly blurred may be computed small.
_SHARPEN = 0.8
_GRAIN_MIN = 4.0  # Levels: asked to smooth a picture without grain, smooth a little.
_PIXELS_A_SIDE = 72


def apply_optics(pixels: Pixels, effect: Effect, degree: float, on_progress: OnProgress) -> Pixels:
    """Return the picture (height x width x 3) with one effect of this module, of strength `degree`."""
    if effect is Effect.BLURRED_BACKGROUND:
        return _blur_background(pixels, degree, on_progress)
    if effect is Effect.SMOOTHER:
        return denoise(pixels, max(_GRAIN_MIN, estimate_sigma(pixels)) * degree, on_progress)
    return _QUICK[effect](pixels, degree)


def subject_of(pixels: Pixels) -> Floats:
    """Return how much each pixel belongs to the subject, 0 to 1: a face and its body, or what fills the middle.

    The result has the size of a small copy of the picture, 320 pixels at its longer side.
    """
    rows, columns = pixels.shape[:2]
    scale = max(1.0, max(rows, columns) / _SUBJECT_PX)
    size = (max(1, round(columns / scale)), max(1, round(rows / scale)))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    seeds = _seeds(small, [tuple(side / scale for side in box) for box in find_faces(pixels)])
    if (seeds == cv2.GC_PR_FGD).any() and (seeds == cv2.GC_BGD).any():
        cv2.setRNGSeed(0)
        background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(small, seeds, (0, 0, 1, 1), background, foreground, _CUTS, cv2.GC_INIT_WITH_MASK)
    subject = ((seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD)).astype(np.uint8)
    subject = _largest(subject)
    guide = small.astype(np.float32) / 255
    matte = cv2.ximgproc.guidedFilter(guide, subject.astype(np.float32), 6, 1e-3)
    return np.asarray(np.clip((matte - 0.15) / 0.7, 0, 1), np.float32)


def _seeds(small: Pixels, faces: list[tuple[float, ...]]) -> Pixels:
    rows, columns = small.shape[:2]
    seeds = np.full((rows, columns), cv2.GC_PR_BGD, np.uint8)
    edge = max(1, round(0.03 * min(rows, columns)))
    if faces:
        chin = min(rows - 1, max(round(y + height) for _, y, _, height in faces))
        seeds[:chin] = cv2.GC_BGD  # Beside a head there is background; beside a body there may be an arm.
        for x, y, width, height in faces:
            _seed_person(seeds, x, y, width, height)
        return seeds
    centre, axes = (columns // 2, rows // 2), (max(1, round(columns * 0.36)), max(1, round(rows * 0.38)))
    cv2.ellipse(seeds, centre, axes, 0, 0, 360, cv2.GC_PR_FGD, -1)
    seeds[:edge] = seeds[-edge:] = cv2.GC_BGD
    seeds[:, :edge] = seeds[:, -edge:] = cv2.GC_BGD
    return seeds


def _seed_person(seeds: Pixels, x: float, y: float, width: float, height: float) -> None:
    """Mark in place what is surely (face, chest) and what may be (hair, shoulders) a person, by the face's box."""
    rows, columns = seeds.shape[:2]
    middle, chin = x + width / 2, y + height
    head = (slice(max(0, int(y - 0.6 * height)), int(chin)), slice(max(0, int(x - 0.4 * width)), int(x + 1.4 * width)))
    seeds[head] = cv2.GC_PR_FGD
    shoulders, hips = 1.7 * width, 2.4 * width
    body = [(middle - 0.6 * width, chin - 0.1 * height), (middle + 0.6 * width, chin - 0.1 * height)]
    body += [(middle + shoulders, chin + 0.7 * height), (middle + hips, rows), (middle - hips, rows)]
    body += [(middle - shoulders, chin + 0.7 * height)]
    cv2.fillPoly(seeds, [np.rint(np.array(body)).astype(np.int32)], cv2.GC_PR_FGD)
    chest = slice(max(0, int(middle - 0.55 * width)), min(columns, int(middle + 0.55 * width)))
    seeds[int(chin) :, chest] = cv2.GC_FGD
    centre, axes = (round(middle), round(y + height / 2)), (round(width * 0.35), round(height * 0.42))
    cv2.ellipse(seeds, centre, axes, 0, 0, 360, cv2.GC_FGD, -1)


def _largest(subject: Pixels) -> Pixels:
    """Return the largest piece with its holes closed; the whole picture when nothing was found."""
    count, numbers, boxes, _ = cv2.connectedComponentsWithStats(subject, connectivity=4)
    if count < 2:
        return np.ones_like(subject)
    piece = (numbers == 1 + int(boxes[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(piece, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)), np.uint8)


def _blur_background(pixels: Pixels, degree: float, on_progress: OnProgress) -> Pixels:
    rows, columns = pixels.shape[:2]
    matte = subject_of(pixels)
    on_progress(0.5)
    scale = max(1.0, math.sqrt(rows * columns / _BLUR_PIXELS))
    size = (max(1, round(columns / scale)), max(1, round(rows / scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    behind = 1 - cv2.resize(matte, size, interpolation=cv2.INTER_LINEAR)
    sigma = max(1.5, _BLUR_SHARE * degree * min(size))
    # Only the background is averaged, so that the subject's colours do not bleed into it.
    weight = cv2.GaussianBlur(behind, (0, 0), sigma) + np.float32(1e-4)
    soft = cv2.GaussianBlur(small * behind[..., None], (0, 0), sigma) + cv2.GaussianBlur(small, (0, 0), sigma) * 1e-4
    soft /= weight[..., None]
    result = np.empty_like(pixels)
    band = max(1, _BAND_PIXELS // columns)
    for top in range(0, rows, band):
        on_progress(0.6 + 0.4 * top / rows)
        bottom = min(rows, top + band)
        front = _band(matte, top, bottom, rows, columns)[..., None]
        mixed = pixels[top:bottom] * front + _band(soft, top, bottom, rows, columns) * (1 - front)
        result[top:bottom] = np.clip(np.rint(mixed), 0, 255)
    return result


def _band(small: Floats, top: int, bottom: int, rows: int, columns: int) -> Floats:
    """Return rows `top` to `bottom` of a small plane enlarged to rows x columns."""
    y = (np.arange(top, bottom, dtype=np.float32) + 0.5) * (small.shape[0] / rows) - 0.5
    x = (np.arange(columns, dtype=np.float32) + 0.5) * (small.shape[1] / columns) - 0.5
    map_x, map_y = np.broadcast_arrays(x[None], y[:, None])
    taken = cv2.remap(small, map_x.copy(), map_y.copy(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(taken, np.float32)


def _sharper(pixels: Pixels, degree: float) -> Pixels:
    soft = cv2.GaussianBlur(pixels, (0, 0), max(0.8, min(pixels.shape[:2]) / 900))
    amount = _SHARPEN * degree
    return np.asarray(cv2.addWeighted(pixels, 1 + amount, soft, -amount, 0), np.uint8)


def _softer(pixels: Pixels, degree: float) -> Pixels:
    """Return the picture blurred; a wide blur is computed on a smaller copy, where it cannot be told."""
    sigma = min(pixels.shape[:2]) / 120 * degree
    shrink = max(1.0, sigma / 4)
    rows, columns = pixels.shape[:2]
    small = cv2.resize(
        pixels, (max(1, round(columns / shrink)), max(1, round(rows / shrink))), interpolation=cv2.INTER_AREA
    )
    soft = cv2.GaussianBlur(small, (0, 0), max(0.5, sigma / shrink))
    return np.asarray(cv2.resize(soft, (columns, rows), interpolation=cv2.INTER_LINEAR), np.uint8)


def _large_pixels(pixels: Pixels, degree: float) -> Pixels:
    rows, columns = pixels.shape[:2]
    side = max(1.0, min(rows, columns) / _PIXELS_A_SIDE * degree)
    size = (max(1, round(columns / side)), max(1, round(rows / side)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_NEAREST), np.uint8)


def _mirrored(pixels: Pixels, _degree: float) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1])


def _flipped(pixels: Pixels, _degree: float) -> Pixels:
    return np.ascontiguousarray(pixels[::-1])


_QUICK = {
    Effect.MIRRORED: _mirrored,
    Effect.FLIPPED: _flipped,
    Effect.SHARPER: _sharper,
    Effect.SOFTER: _softer,
    Effect.PIXELS: _large_pixels,
}
