"""The bare calls of the operations that take off a picture what does not belong to it."""

import math
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tests.bench.operations.kernels import Array, grain_of, non_local_means

Images = list[Image.Image]


def face(images: Images) -> None:
    """The cascade on a copy of 1.5 megapixels, non-local means and eight rounds of deconvolution on the face found."""
    pixels = np.asarray(images[0])
    scale = max(1.0, (pixels.shape[0] * pixels.shape[1] / (3 << 19)) ** 0.5)
    size = (round(pixels.shape[1] / scale), round(pixels.shape[0] / scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"))
    side = max(24, round(0.05 * min(size)))
    for box in cascade.detectMultiScale(grey, 1.1, 4, minSize=(side, side)):
        x, y, width, height = (round(float(each) * scale) for each in box)
        reach = round(0.3 * max(width, height))
        crop = pixels[max(0, y - reach) : y + height + reach, max(0, x - reach) : x + width + reach]
        seen = cv2.cvtColor(crop, cv2.COLOR_RGB2YCrCb).astype(np.float32)
        non_local_means(seen, 3.0)
        luma = np.ascontiguousarray(seen[..., 0]) + 1
        estimate = luma.copy()
        for _ in range(8):
            ratio = luma / cv2.GaussianBlur(estimate, (0, 0), 1.2)
            estimate *= cv2.GaussianBlur(np.clip(ratio, 0.7, 1.4), (0, 0), 1.2)
        cv2.cvtColor(crop, cv2.COLOR_YCrCb2RGB)


def stones(images: Images) -> None:
    """Top-hats and pieces on two copies; the grain; scikit-image's biharmonic filling of stones as many and large."""
    from skimage.restoration import inpaint_biharmonic

    pixels = np.asarray(images[0])
    rows, columns = pixels.shape[:2]
    coarsest = max(1, math.ceil(math.sqrt(rows * columns / (1 << 20))))
    for scale in (coarsest, (coarsest + 1) // 2):
        small = cv2.resize(pixels, (columns // scale, rows // scale), interpolation=cv2.INTER_AREA)
        darkest = small.min(axis=2)
        relief = np.zeros_like(darkest)
        for kernel in (5, 9, 13, 21):
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (kernel, kernel))
            np.maximum(relief, cv2.morphologyEx(darkest, cv2.MORPH_TOPHAT, disc), out=relief)
        bright = ((relief > 80) & (darkest > 165)).astype(np.uint8)
        count, numbers, _, _ = cv2.connectedComponentsWithStats(bright, connectivity=8)
        np.bincount(numbers.ravel(), weights=(small.max(axis=2) - darkest).ravel(), minlength=count)
        cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        found = cv2.dilate(bright, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    grain_of(pixels)
    for dx, dy in ((1, 0), (0, 1)):
        cv2.Sobel(pixels, cv2.CV_16S, dx, dy, ksize=3)
    mask = cv2.resize(found, (columns, rows), interpolation=cv2.INTER_NEAREST) > 0
    inpaint_biharmonic(pixels, mask, split_into_regions=True, channel_axis=2)


def weave(images: Images) -> None:
    """Spectra of two thousand blocks and their median; of all blocks, there and back; non-local means."""
    pixels = np.asarray(images[0])
    grey = np.log(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32) + 4)
    side, hop = 64, 16
    window = np.outer(*(2 * (np.sin(np.pi * (np.arange(side) + 0.5) / side),))).astype(np.float32)
    tall, wide = (range(0, length - side + 1, 32) for length in grey.shape)
    every = math.ceil(math.sqrt(len(tall) * len(wide) / 2048))
    sample = np.stack([grey[y : y + side, x : x + side] for y in tall[::every] for x in wide[::every]])
    usual = np.median(np.abs(np.fft.rfft2(sample * window)), axis=0).astype(np.float32)
    padded = cv2.copyMakeBorder(grey, side, side + hop, side, side + hop, cv2.BORDER_REFLECT_101)
    clean = np.zeros_like(padded)
    for top in range(0, padded.shape[0] - side + 1, hop):
        band = padded[top : top + side]
        blocks = np.lib.stride_tricks.sliding_window_view(band, side, axis=1)[:, ::hop].transpose(1, 0, 2) * window
        spectra = np.fft.rfft2(blocks)
        heights = np.abs(spectra) + np.float32(1e-6)
        spectra *= np.minimum(heights, usual) / heights
        made = np.fft.irfft2(spectra, s=(side, side)) * window
        for number, block in enumerate(made):
            clean[top : top + side, number * hop : number * hop + side] += block
    factor = np.exp(clean[side : side + grey.shape[0], side : side + grey.shape[1]] - grey)
    result = np.empty_like(pixels)
    for channel in range(3):
        result[..., channel] = np.clip(np.rint(pixels[..., channel] * factor), 0, 255)
    non_local_means(result, grain_of(result))


def writing(images: Images) -> None:
    """Blurs beside the rims, the line through 200 000 pixels in 25 rounds, and scikit-image's filling of the rims."""
    from skimage.restoration import inpaint_biharmonic

    pixels, mask = np.asarray(images[0]), np.asarray(images[1].convert("L")) > 127
    square = np.ones((3, 3), np.uint8)
    outside = (cv2.dilate(mask.astype(np.uint8), square) == 0).astype(np.float32)
    core = cv2.erode(mask.astype(np.uint8), square) > 0
    weight = cv2.GaussianBlur(outside, (0, 0), 3.0)
    blurred = cv2.GaussianBlur(pixels * outside[..., None], (0, 0), 3.0)
    use = core & (weight > 0.05)
    beside, inside = blurred[use] / weight[use][:, None], pixels[use].astype(np.float32)
    _line(inside[:200_000], beside[:200_000])
    _line(inside[:200_000], beside[:200_000])
    result = pixels.copy()
    result[core] = np.clip(np.rint((pixels[core].astype(np.float32) - 102) / np.float32(0.6)), 0, 255)
    inpaint_biharmonic(result, mask & ~core, split_into_regions=True, channel_axis=2)


def _line(inside: Array, beside: Array) -> None:
    weights = np.ones(len(inside), np.float32)
    for _ in range(25):
        middle_in, middle_out = (np.average(each, axis=0, weights=weights) for each in (inside, beside))
        spread = beside - middle_out
        each = weights[:, None] * spread
        slope = float((each * (inside - middle_in)).sum() / (each * spread).sum())
        distance = np.abs(inside - slope * beside - (middle_in - slope * middle_out)).mean(axis=1)
        near = np.maximum(1 - (distance / (4.4 * float(np.median(distance)) + 1)) ** 2, 0)
        weights = (near * near).astype(np.float32)
