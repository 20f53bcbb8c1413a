"""Find the garment in a photograph and take the light off it."""

from collections.abc import Iterator

import cv2
import numpy as np

from imageops.arrays import Floats, Mask, Pixels
from imageops.palette import choose_palette, to_lab

_SEEN_PX = 320  # The long side of the copy on which the garment is cut out.
_BORDER = 0.04  # Of the side: the frame that is taken for backdrop.
_PLAIN_SPREAD = 14.0  # Lab units: a frame of more different colours is no backdrop, the cloth fills the picture.
_FAR = 12.0  # Lab units from the backdrop: surely not backdrop.
_SHARE_MIN = 0.08  # Of the picture: a smaller find is no garment.
_HEM = 0.012  # Of the picture's long side.
_TURNS = 3  # Of telling colours from light.
_SAMPLES = 1 << 16  # Pixels that the colours are chosen from: more say the same.
_COLOURS = 5
_BAND_PIXELS = 1 << 17  # What is in memory as floats at once.
_LOGARITHMS = np.log(np.arange(256, dtype=np.float32) + 8)  # Of the levels, a little lifted.


def find_garment(pixels: Pixels) -> Mask:
    """Return where the garment is, one piece; everything where there is no plain backdrop."""
    height, width = pixels.shape[:2]
    ratio = min(1.0, _SEEN_PX / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    everything = np.ones((height, width), bool)
    if min(small.shape[:2]) < 32:
        return everything
    lab = to_lab(small)
    frame = np.ones(small.shape[:2], bool)
    edge = max(2, int(min(small.shape[:2]) * _BORDER))
    frame[edge:-edge, edge:-edge] = False
    backdrop = np.median(lab[frame], axis=0)
    distance = np.linalg.norm(lab - backdrop, axis=2)
    if np.quantile(distance[frame], 0.75) > _PLAIN_SPREAD:
        return everything
    found = _cut_out(small, distance, frame)
    if found.mean() < _SHARE_MIN:
        return everything
    large = cv2.resize(found.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large > 0.5)


def without_hem(garment: Mask) -> Mask:
    """Return the garment without the seams and shadows along its outline, or as it is where nothing else is left."""
    hem = max(1, round(_HEM * max(garment.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * hem + 1, 2 * hem + 1))
    inner: Mask = cv2.erode(garment.astype(np.uint8), kernel, borderType=cv2.BORDER_REPLICATE) > 0
    return inner if inner.any() else garment


def _cut_out(small: Pixels, distance: Floats, frame: Mask) -> Mask:
    labels = np.where(distance > _FAR, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[frame & (distance <= _FAR)] = cv2.GC_BGD
    if not (labels == cv2.GC_PR_FGD).any() or not (labels == cv2.GC_BGD).any():
        return np.zeros(frame.shape, bool)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, labels, (0, 0, 1, 1), models[0], models[1], 3, cv2.GC_INIT_WITH_MASK)
    ones = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(ones)
    if count < 2:
        return np.zeros(frame.shape, bool)
    largest = (pieces == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    outlines, _ = cv2.findContours(largest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros_like(largest), outlines, -1, 1, cv2.FILLED) > 0)


def without_light(pixels: Pixels, garment: Mask) -> Pixels:
    """Return the cloth as if lit evenly: what varies slowly within one colour of the print is light, and goes."""
    reach = max(8.0, max(pixels.shape[:2]) / 24)
    brightness = np.empty(pixels.shape[:2], np.float32)
    for rows in _bands(pixels):
        brightness[rows] = _LOGARITHMS[pixels[rows]].mean(axis=2)
    inside = garment.astype(np.float32)
    share = np.maximum(cv2.GaussianBlur(inside, (0, 0), reach), 1e-3)
    light = np.zeros_like(brightness)
    step = max(1, np.count_nonzero(garment) // _SAMPLES)
    for _ in range(_TURNS):
        even = _lit_evenly(pixels, light)
        palette = choose_palette(even[garment][::step][None], _COLOURS)
        label = palette.nearest(even)
        means = [
            float(np.median((brightness - light)[garment & (label == index)]))
            if (garment & (label == index)).any()
            else 0
            for index in range(len(palette.colours))
        ]
        rest = (brightness - np.array(means, np.float32)[label]) * inside
        light = np.asarray(cv2.GaussianBlur(rest, (0, 0), reach) / share, np.float32)
    return _lit_evenly(pixels, light)


def _lit_evenly(pixels: Pixels, light: Floats) -> Pixels:
    """Return the picture without this light, which is given in logarithms."""
    lit = np.empty_like(pixels)
    for rows in _bands(pixels):
        even = np.exp(_LOGARITHMS[pixels[rows]] - light[rows, :, None]) - 8
        lit[rows] = np.clip(np.rint(even), 0, 255)
    return lit


def _bands(pixels: Pixels) -> Iterator[slice]:
    rows = max(1, _BAND_PIXELS // pixels.shape[1])
    return (slice(row, min(len(pixels), row + rows)) for row in range(0, len(pixels), rows))
