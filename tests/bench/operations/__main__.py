"""`make bench-ops`: time a megapixel and peak memory of each operation of the local engine.

Each operation runs in a process of its own, under the memory limit of the engine's workers, on a photograph of 2
megapixels (and 24 with `--large`). The time is the work's alone; the memory is that of reading and writing the files
too. Where an operation is mostly calls of a library, the same calls are timed bare beside it, in the same process. A
run is ended at its time limit. The figures belong to the machine and the minute, the ratios do not.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

MEGAPIXELS: Final = 2.0
LARGE_MEGAPIXELS: Final = 24.0
MEMORY_BYTES_MAX: Final = 2 * 1024**3  # Of the engine's workers.
SECONDS_MAX: Final = 120.0  # Of one operation on 2 megapixels; a large picture may take as much longer as it is larger.
LARGE_SECONDS_MAX: Final = 600.0  # What a worker's job may take.
BYTES_PER_PIXEL: Final = 3  # Of a decoded picture, which memory is compared with.

#: What each runs with; the large photograph is not enlarged further.
PARAMETERS: Final[dict[str, dict[str, object]]] = {
    "image.edit": {"prompt": "watercolour"},
    "image.expand": {"expand_left": 0.1, "expand_right": 0.1},
    "image.generate": {"prompt": "snowy mountains at sunrise"},
    "image.upscale": {"scale": 2},
    "video.generate": {"duration": 4, "resolution": "480p", "ratio": "4:3"},
}
LARGE_PARAMETERS: Final[dict[str, dict[str, object]]] = {"image.upscale": {"scale": 1.5}}


def photograph(megapixels: float) -> Any:
    """A 3:2 picture with a face, gravel and a little grain everywhere."""
    import numpy as np
    import skimage.data
    from PIL import Image

    rows = round((megapixels * 1e6 / 1.5) ** 0.5)
    image = Image.new("RGB", (round(rows * 1.5), rows))
    image.paste(Image.fromarray(skimage.data.astronaut()).resize((rows, rows), Image.Resampling.BICUBIC))
    gravel = Image.fromarray(skimage.data.gravel()).convert("RGB").crop((0, 0, 256, 512))
    image.paste(gravel.resize((image.width - rows, rows), Image.Resampling.BICUBIC), (rows, 0))
    grain = np.random.default_rng(1)
    levels = np.array(image)
    for first in range(0, rows, 256):
        part = levels[first : first + 256]
        part[:] = np.clip(part + grain.normal(0, 1.5, part.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(levels)


def mask_of(image: Any) -> Any:
    """White strokes and a white block on a fortieth of the picture."""
    from PIL import Image, ImageDraw

    mask = Image.new("RGB", image.size)
    draw = ImageDraw.Draw(mask)
    width, height = image.size
    draw.rectangle((width * 0.1, height * 0.1, width * 0.2, height * 0.25), fill="white")
    for share in (0.4, 0.6, 0.8):
        draw.line((width * 0.3, height * share, width * 0.9, height * (share - 0.1)), fill="white", width=5)
    return mask


# ---------------------------------------------------------------------------------------------------------------------
# The bare calls. Each does with a library what the operation is chiefly made of, with the same settings.


def _upscale_calls(image: Any, _mask: Any) -> None:
    """Lanczos in floats, then six rounds of shrinking it and adding back the error."""
    import numpy as np
    from PIL import Image

    lanczos, bicubic = Image.Resampling.LANCZOS, Image.Resampling.BICUBIC
    size, large = image.size, (image.width * 2, image.height * 2)
    for channel in image.split():
        plane = np.asarray(channel, np.float32)
        estimate = np.array(Image.fromarray(plane).resize(large, lanczos))
        for _ in range(6):
            error = plane - np.asarray(Image.fromarray(estimate).resize(size, bicubic))
            estimate += np.asarray(Image.fromarray(error).resize(large, lanczos))
        np.clip(np.rint(estimate), 0, 255).astype(np.uint8)


def _face_calls(image: Any, _mask: Any) -> None:
    """The cascade on a copy of 1.5 megapixels; the repair of a face is small beside it."""
    from pathlib import Path

    import cv2
    import numpy as np

    pixels = np.asarray(image)
    scale = max(1.0, (pixels.shape[0] * pixels.shape[1] / (3 << 19)) ** 0.5)
    size = (round(pixels.shape[1] / scale), round(pixels.shape[0] / scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"))
    side = max(24, round(0.05 * min(size)))
    cascade.detectMultiScale(grey, 1.1, 4, minSize=(side, side))


def _vectorize_calls(image: Any, _mask: Any) -> None:
    """Find five colours on a sample, give each pixel the nearest in Lab, trace."""
    import io

    import cv2
    import numpy as np
    import vtracer
    from PIL import Image

    lab = cv2.cvtColor(np.asarray(image, np.float32) / np.float32(255), cv2.COLOR_RGB2Lab)
    sample = np.ascontiguousarray(lab[::8, ::8]).reshape(-1, 3)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 0.5)
    cv2.setRNGSeed(1)
    _, _, centres = cv2.kmeans(sample, 5, np.empty(0), stop, 3, cv2.KMEANS_PP_CENTERS)
    distances = [((lab - centre) ** 2).sum(axis=2) for centre in centres]
    labels = np.argmin(np.stack(distances), axis=0)
    colours = np.rint(cv2.cvtColor(centres[None], cv2.COLOR_Lab2RGB)[0] * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(cv2.medianBlur(colours[labels], 5)).save(buffer, "PNG", compress_level=1)
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


def _film_calls(image: Any, _mask: Any) -> None:
    """Encode as many frames, each cut out of the picture at its place."""
    import io

    import av
    import cv2
    import numpy as np

    pixels = np.asarray(image.resize((1020, 680)))
    container = av.open(io.BytesIO(), "w", format="mp4")
    options = {"preset": "veryfast", "crf": "20", "threads": "1"}
    stream: Any = container.add_stream("libx264", rate=24, options=options)
    stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
    for number in range(96):
        zoom = 1.2 - 0.001 * number
        matrix = np.array([[zoom, 0, number / 4], [0, zoom, number / 4]], np.float32)
        cut = cv2.warpAffine(pixels, matrix, (640, 480), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(cut, np.uint8), format="rgb24")))
    container.mux(stream.encode(None))
    container.close()


BARE_CALLS: Final[dict[str, Callable[[Any, Any], None]]] = {
    "image.face_enhance": _face_calls,
    "image.upscale": _upscale_calls,
    "image.vectorize": _vectorize_calls,
    "video.generate": _film_calls,
}


# ---------------------------------------------------------------------------------------------------------------------
# One operation, in its own process.


def measure(capability: str, megapixels: float) -> dict[str, object]:
    """Run one operation and return seconds, peak memory and the time of its bare calls, or why it was refused."""
    from imageops import OPERATIONS, Output, Refused, decode, encode
    from imageops.operation import to_output
    from imageops.parameters import read_parameters

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    operation = OPERATIONS[capability]
    file = encode(photograph(megapixels), "jpeg")
    image = decode(file)  # As in a job: the file stays in memory too.
    parameters = {**PARAMETERS.get(capability, {})}
    if megapixels > MEGAPIXELS:
        parameters.update(LARGE_PARAMETERS.get(capability, {}))
    if capability == "image.generate":
        pixels = min(4096, image.width), min(4096, image.height)
        parameters["width"], parameters["height"] = pixels
        megapixels = pixels[0] * pixels[1] / 1e6
    images = [image, mask_of(image)] if operation.inputs_max == 2 else [image]
    if capability == "image.generate":
        images = []
    values = read_parameters(operation.parameters, parameters)
    if megapixels <= MEGAPIXELS:  # What the first job of a worker pays, and the next does not.
        _warm(operation, values)
    started, writing_s = time.perf_counter(), 0.0
    outputs = []
    try:
        for made in operation.work(images, values, 1, lambda _share: None):
            paused = time.perf_counter()
            outputs.append(made if isinstance(made, Output) else to_output(made, "png"))
            writing_s += time.perf_counter() - paused
    except Refused as refused:
        return {"refused": refused.message, "megapixels": megapixels}
    seconds = time.perf_counter() - started - writing_s
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    bare = BARE_CALLS.get(capability) if megapixels <= MEGAPIXELS else None
    bare_s = None
    if bare is not None:
        started = time.perf_counter()
        bare(image, mask_of(image))
        bare_s = time.perf_counter() - started
    return {"seconds": seconds, "peak_bytes": peak_bytes, "bare_s": bare_s, "megapixels": megapixels}


def _warm(operation: Any, values: dict[str, Any]) -> None:
    from imageops import Refused

    small = photograph(0.05)
    if "width" in values:
        values = {**values, "width": 64, "height": 64}
    images = [small, mask_of(small)] if operation.inputs_max == 2 else [small] * min(1, operation.inputs_max)
    try:
        for _ in operation.work(images, values, 1, lambda _share: None):
            pass
    except Refused:
        pass


def in_process(capability: str, megapixels: float, seconds_max: float) -> dict[str, object]:
    """Measure in a fresh process; a process that ends badly or too late is said so."""
    command = [sys.executable, "-m", "tests.bench.operations", "--one", capability, "--megapixels", str(megapixels)]
    single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    try:
        done = subprocess.run(
            command, env={**os.environ, **single}, capture_output=True, timeout=seconds_max, check=False
        )
    except subprocess.TimeoutExpired:
        return {"refused": f"not done in {seconds_max:g} s", "failed": True}
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return {"refused": f"ended with {done.returncode}: {''.join(last)[:80]}", "failed": True}
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def show(capability: str, found: dict[str, Any], base_bytes: float) -> str:
    """One line of the table."""
    if "refused" in found:
        return f"{capability:<24} {found['refused']}"
    pixels = found["megapixels"]
    decoded = pixels * 1e6 * BYTES_PER_PIXEL
    more = max(0.0, found["peak_bytes"] - base_bytes)
    line = f"{capability:<24} {pixels:>5.1f} {found['seconds']:>8.2f} {found['seconds'] / pixels:>9.2f}"
    line += f" {found['peak_bytes'] / 2**20:>8.0f} {more / decoded:>8.1f}x"
    if found["bare_s"]:
        line += f" {found['bare_s']:>8.2f} {found['seconds'] / found['bare_s']:>6.2f}x"
    return line


def main() -> int:
    """Print the table; exit 1 when an operation failed."""
    from imageops import OPERATIONS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--megapixels", type=float, default=MEGAPIXELS)
    parser.add_argument("--large", action="store_true", help="also a photograph of 24 megapixels, under 2 GiB")
    parser.add_argument("--only", action="append", choices=tuple(OPERATIONS), help="one operation; may be repeated")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.megapixels)))
        return 0
    sizes = [(arguments.megapixels, SECONDS_MAX)]
    sizes += [(LARGE_MEGAPIXELS, LARGE_SECONDS_MAX)] if arguments.large else []
    failed = False
    for megapixels, seconds_max in sizes:
        # What a process takes that has the libraries and the picture, and does nothing.
        base_bytes = _base_bytes(megapixels)
        print(f"\n{megapixels:g} megapixels; libraries and picture take {base_bytes / 2**20:.0f} MiB")
        heads = f"{'operation':<24} {'MP':>5} {'seconds':>8} {'s per MP':>9} {'peak MiB':>8}"
        print(f"{heads} {'pictures':>9} {'bare s':>8}   ratio")
        for capability in arguments.only or OPERATIONS:
            found = in_process(capability, megapixels, seconds_max)
            failed = failed or bool(found.get("failed"))
            print(show(capability, found, base_bytes), flush=True)
    return int(failed)


def _base_bytes(megapixels: float) -> float:
    code = (
        "import resource, cv2, imageops, tests.bench.operations as bench;"
        f"image = bench.photograph({megapixels});"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=SECONDS_MAX, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
