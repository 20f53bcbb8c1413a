"""The bare calls of the operations that make pictures repeat."""

import cv2
import numpy as np
from PIL import Image

from tests.bench.operations.bare_repairs import weave
from tests.bench.operations.kernels import Array, five_colours, nearest

Images = list[Image.Image]


def seamless(images: Images) -> None:
    """Numpy: for each way the cheapest cuts of all overlaps tried, row by row; pyramids; three pictures."""
    pixels = np.asarray(images[0])
    tile = pixels
    for _ in range(2):
        tile = np.ascontiguousarray(_closed(tile).transpose(1, 0, 2))
    Image.fromarray(tile).resize(images[0].size, Image.Resampling.BICUBIC)
    Image.fromarray(np.tile(tile, (2, 2, 1)))


def _closed(picture: Array) -> Array:
    copies = [picture]
    while max(copies[-1].shape[:2]) > 384:
        height, width = (side // 2 for side in copies[-1].shape[:2])
        copies.append(np.asarray(cv2.resize(copies[-1], (width, height), interpolation=cv2.INTER_AREA)))
    for number, copy in enumerate(reversed(copies)):
        height, width = copy.shape[:2]
        middle = round(0.2 * width)
        tried = range(max(2, round(0.04 * width)), int(0.3 * width)) if number == 0 else range(middle - 2, middle + 3)
        costs = np.full((len(tried), height, tried[-1]), np.float32(1e9))
        for index, overlap in enumerate(tried):
            gap = copy[:, -overlap:].astype(np.float32) - copy[:, :overlap]
            costs[index, :, :overlap] = np.einsum("ijk,ijk->ij", gap, gap)
        _cuts(costs)
    overlap = round(0.2 * picture.shape[1])
    _cuts(costs[:1])
    one, other = picture[:, -overlap:].astype(np.float32), picture[:, :overlap].astype(np.float32)
    share = np.zeros(one.shape[:2], np.float32)
    share[:, : overlap // 2] = 1
    _blended(one, other, share)
    return picture[:, :-overlap]


def _cuts(costs: Array) -> None:
    """All overlaps at once, three times round, and the way back of each."""
    count, height, width = costs.shape
    total = np.full((3 * height, count, width + 2), np.float32(1e30))
    total[0, :, 1:-1] = costs[:, 0]
    for row in range(1, 3 * height):
        above, here = total[row - 1], total[row, :, 1:-1]
        np.minimum(above[:, :-2], above[:, 1:-1], out=here)
        np.minimum(here, above[:, 2:], out=here)
        here += costs[:, row % height]
    at = total[-1].argmin(axis=1)
    near = np.arange(count)[:, None] * (width + 2) + np.arange(-1, 2)
    for row in range(3 * height - 2, height - 1, -1):
        at = at + total[row].take(near + at[:, None]).argmin(axis=1) - 1


def _blended(one: Array, other: Array, share: Array) -> Array:
    if min(share.shape) < 8:
        return np.asarray(one * share[..., None] + other * (1 - share[..., None]))
    size = share.shape[::-1]
    small = [np.asarray(cv2.pyrDown(each)) for each in (one, other, share)]
    fine = [each - cv2.pyrUp(less, dstsize=size) for each, less in zip((one, other), small, strict=False)]
    coarse = cv2.pyrUp(_blended(*small), dstsize=size)
    return np.asarray(fine[0] * share[..., None] + fine[1] * (1 - share[..., None]) + coarse)


def extract(images: Images) -> None:
    """On a megapixel: GrabCut, the weave's spectra, three turns of colours and light, the repeat's spectrum, flow."""
    photo = images[0]
    ratio = min(1.0, ((1 << 20) / (photo.width * photo.height)) ** 0.5)
    size = (round(photo.width * ratio), round(photo.height * ratio))
    pixels = np.asarray(photo.resize(size, Image.Resampling.BOX))
    small = np.asarray(cv2.resize(pixels, (320, round(320 * size[1] / size[0])), interpolation=cv2.INTER_AREA))
    labels = np.full(small.shape[:2], cv2.GC_PR_FGD, np.uint8)
    labels[:8] = labels[-8:] = labels[:, :8] = labels[:, -8:] = cv2.GC_BGD
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, labels, (0, 0, 1, 1), *models, 3, cv2.GC_INIT_WITH_MASK)
    weave([Image.fromarray(pixels)])
    levels = np.log(pixels.astype(np.float32) + 8)
    light = levels.mean(axis=2)
    reach = max(size) / 24
    cv2.GaussianBlur(light, (0, 0), reach)
    for _ in range(3):
        even = np.clip(np.exp(levels - light[..., None]) - 8, 0, 255).astype(np.uint8)
        label = nearest(even, five_colours(even))
        for index in range(5):
            np.median(light[label == index])
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), reach))
    _repeat_of(pixels)
    guide = cv2.cvtColor(pixels[:125, :125], cv2.COLOR_RGB2GRAY)
    for _ in range(24):
        cv2.calcOpticalFlowFarneback(guide, guide, np.zeros((125, 125, 2), np.float32), 0.5, 3, 21, 4, 7, 1.5, 0)
    for side in (480, 125):
        for _ in range(2):
            _closed(pixels[:side, :side])
    for _ in range(2):
        Image.fromarray(pixels).resize((1024, 1024), Image.Resampling.BICUBIC)


def _repeat_of(pixels: Array) -> None:
    lab = cv2.cvtColor(pixels[:384, :384].astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    flat = lab - cv2.GaussianBlur(lab, (0, 0), 64)
    padded = np.zeros((768, 768, 3), np.float32)
    padded[:384, :384] = flat
    power = (np.abs(np.fft.rfft2(padded, axes=(0, 1))) ** 2).sum(axis=2)
    np.fft.irfft2(power, s=(768, 768))
    np.fft.irfft2(np.abs(np.fft.rfft2(padded[..., 0])) ** 2, s=(768, 768))
