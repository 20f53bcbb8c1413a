"""The bare calls of the operations that draw a picture anew: larger, painted, traced, filmed."""

import io
from typing import Any

import av
import cv2
import numpy as np
import vtracer
from PIL import Image

from imageops.filming.film import plan_shots
from tests.bench.operations.kernels import Array, five_colours, from_lab, grain_of, nearest, to_lab

Images = list[Image.Image]


_TILE, _HALO, _TAPS = 256, 12, 9


def upscale(images: Images) -> None:
    """In tiles: six rounds of nine neighbours' sums each way on the small picture, by numpy; Pillow's Lanczos once."""
    for channel in images[0].split():
        plane = np.pad(np.asarray(channel, np.float32), _HALO, mode="edge")
        for y in range(0, images[0].height, _TILE):
            for x in range(0, images[0].width, _TILE):
                tile = plane[y : y + _TILE + 2 * _HALO, x : x + _TILE + 2 * _HALO]
                wanted = tile
                for _ in range(6):
                    wanted = wanted + (tile - _summed(_summed(wanted, 1), 0))
                inner = (_HALO, _HALO, wanted.shape[1] - _HALO, wanted.shape[0] - _HALO)
                size = (2 * (inner[2] - inner[0]), 2 * (inner[3] - inner[1]))
                grown = np.asarray(Image.fromarray(wanted).resize(size, Image.Resampling.LANCZOS, inner))
                np.clip(np.rint(grown), 0, 255).astype(np.uint8)


def _summed(plane: Array, axis: int) -> Array:
    padded = np.pad(plane, [(_TAPS // 2,) * 2 if each == axis else (0, 0) for each in (0, 1)])
    total, part, length = np.zeros_like(plane), np.empty_like(plane), plane.shape[axis]
    for tap in range(_TAPS):
        near = padded[tap : tap + length] if axis == 0 else padded[:, tap : tap + length]
        total += np.multiply(near, np.float32(1 / _TAPS), out=part)
    return total


def watercolour(images: Images) -> None:
    """OpenCV on a copy of a megapixel: five fields of noise, a warp, eight sectors' means, Lab, edges, and back."""
    pixels = np.asarray(images[0])
    scale = max(1.0, (pixels.shape[0] * pixels.shape[1] / (1 << 20)) ** 0.5)
    size = (round(pixels.shape[1] / scale), round(pixels.shape[0] / scale))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    rows, columns = small.shape[:2]
    unit = float(min(rows, columns))
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    grain = unit / 22
    x += _noise(size, 1, grain) * np.float32(unit / 450)
    y += _noise(size, 2, grain) * np.float32(unit / 450)
    washed = _calmest_sectors(cv2.remap(small, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), 5)
    lab = to_lab(washed)
    light = np.ascontiguousarray(lab[..., 0])
    edges = cv2.magnitude(cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1))
    edges = cv2.GaussianBlur(edges, (0, 0), unit / 700)
    pools = _noise(size, 3, unit / 12) + 0.5 * _noise(size, 4, unit / 30)
    paper = cv2.GaussianBlur(_noise(size, 5, 1.0), (0, 0), 0.8)
    tinted = 100 - (100 - light) * (0.87 + 0.055 * pools)
    lab[..., 0] = np.clip(tinted - np.minimum(edges * 0.11, 14) - paper * 0.6, 0, 100)
    lab[..., 1:] *= np.asarray(1.1 + 0.05 * pools, np.float32)[..., None]
    cv2.resize(from_lab(lab), images[0].size, interpolation=cv2.INTER_CUBIC)


def _noise(size: tuple[int, int], seed: int, grain: float) -> Array:
    coarse = np.random.default_rng(seed).standard_normal(
        (round(size[1] / grain) + 3, round(size[0] / grain) + 3), np.float32
    )
    field = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(field / cv2.meanStdDev(field)[1])


def _calmest_sectors(pixels: Array, radius: int) -> Array:
    picture = pixels.astype(np.float32) / 255
    square = cv2.transform(picture * picture, np.ones((1, 3), np.float32))
    total, weights = np.zeros_like(picture), np.zeros(picture.shape[:2], np.float32)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    for sector in range(8):
        turn = 2 * np.pi * sector / 8
        kernel = np.exp(-(x * x + y * y) / (2 * (radius * 0.6) ** 2)) * (x * np.cos(turn) + y * np.sin(turn) >= 0)
        kernel = (kernel / kernel.sum()).astype(np.float32)
        mean = cv2.filter2D(picture, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)
        spread: Array = cv2.filter2D(square, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)
        spread -= cv2.transform(mean * mean, np.ones((1, 3), np.float32))
        weight = 1 + np.sqrt(np.maximum(spread, 0)) * np.float32(25.5)
        weight *= weight
        weight *= weight
        weight *= weight
        np.reciprocal(weight, out=weight)
        total += mean * weight[..., None]
        weights += weight
    return np.clip(np.rint(total / weights[..., None] * 255), 0, 255).astype(np.uint8)


def vectorize(images: Images) -> None:
    """Smooth, find five colours, label, drop specks, trace by vtracer, and draw a picture of as many polygons."""
    pixels = np.asarray(images[0])
    grain_of(pixels)
    smooth = np.asarray(cv2.medianBlur(cv2.bilateralFilter(pixels, 7, 30, 5), 5))
    labels = nearest(smooth, five_colours(smooth))
    specks = np.zeros(labels.shape, bool)
    for label in range(5):
        alike = np.asarray(labels == label, np.uint8)
        _, areas, stats, _ = cv2.connectedComponentsWithStats(alike, connectivity=4)
        specks |= (stats[:, cv2.CC_STAT_AREA] < 8)[areas]
    _, near = cv2.distanceTransformWithLabels(specks.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    kept = np.zeros(int(near.max()) + 1, np.uint8)
    kept[near[~specks]] = labels[~specks]
    codes = np.array([[0, 0, 0], [0, 0, 255], [0, 255, 0], [0, 255, 255], [255, 0, 0]], np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(codes[kept[near]]).save(buffer, "PNG", compress_level=1)
    vtracer.convert_raw_image_to_svg(
        buffer.getvalue(),
        "png",
        colormode="color",
        hierarchical="stacked",
        mode="spline",
        filter_speckle=1,
        color_precision=8,
        layer_difference=0,
        corner_threshold=60,
        length_threshold=4.0,
        splice_threshold=45,
        path_precision=2,
    )
    # The preview: what covers the picture once over, drawn four times finer, in bands, and shrunk.
    rows, columns = labels.shape
    for _ in range(rows // 64):
        fine = np.full((256, 4 * columns, 3), 255, np.uint8)
        cv2.fillPoly(
            fine, [np.array([[0, 0], [columns * 4, 0], [columns * 4, 256], [0, 256]], np.int32)], (9, 9, 9), cv2.LINE_8
        )
        cv2.resize(fine, (columns, 64), interpolation=cv2.INTER_AREA)


def film(images: Images) -> None:
    """Fit the picture, encode 96 frames with libx264, each cut out of its planes at its place."""
    (shot,) = plan_shots([images[0].size], (640, 480), 96, np.random.default_rng(1))  # Numbers only.
    canvas = (shot.canvas.width, shot.canvas.height)
    planes = cv2.cvtColor(np.asarray(images[0].resize(canvas, Image.Resampling.LANCZOS)), cv2.COLOR_RGB2YCrCb)
    luma = np.ascontiguousarray(planes[..., 0])
    half = (canvas[0] // 2, canvas[1] // 2)
    chroma = cv2.resize(np.ascontiguousarray(planes[..., 1:]), half, interpolation=cv2.INTER_AREA)
    container = av.open(io.BytesIO(), "w", format="mp4")
    options = {"preset": "veryfast", "crf": "20", "profile": "high", "threads": "1"}
    options["x264-params"] = "rc-lookahead=20:keyint=48:cpu-independent=1"
    stream: Any = container.add_stream("libx264", rate=24, options=options)
    stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for number in range(96):
        zoom, left, top = shot.window(number)
        matrix = np.array([[zoom, 0, left], [0, zoom, top]])
        bright = cv2.warpAffine(luma, matrix, (640, 480), flags=flags)
        matrix[:, 2] /= 2
        tint = cv2.warpAffine(chroma, matrix, (320, 240), flags=flags)
        frame = av.VideoFrame(640, 480, "yuv420p")
        for plane, levels in zip(frame.planes, (bright, tint[..., 0], tint[..., 1]), strict=True):
            lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            lines[: levels.shape[0], : levels.shape[1]] = levels
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
    container.close()
