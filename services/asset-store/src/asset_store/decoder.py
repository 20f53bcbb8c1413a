"""The program that decodes strangers' pictures: a process of its own that can be spared.

It reads one JSON line a picture from stdin and writes one to stdout, after a first line `ready`. It imports Pillow
and nothing of the house, gets an empty environment (no secret is in it), may use 1 GiB of memory and 10 s of processor
time a picture, and can neither write files nor, where the kernel lets it, reach a network.

    {"path": "/…", "formats": ["PNG"], "pixels_max": 40000000, "side_max": 16384, "frames_max": 1}
    {"width": 1600, "height": 1200}  |  {"refused": "damaged" | "too_large", "width": …, "height": …, "frames": …}
"""

import ctypes
import json
import resource
import sys
import warnings
from contextlib import suppress
from typing import Any, Final

from PIL import Image, ImageFile

MEMORY_BYTES_MAX: Final = 1024**3
CPU_S_MAX: Final = 10
FILES_MAX: Final = 64  # The pipes, the picture, and what the interpreter opens by itself.
#: Beyond this a picture would not fit into the memory limit decoded; only our own outputs can be so large.
DECODE_PIXELS_MAX: Final = 40_000_000
_NEW_USER_AND_NETWORK: Final = 0x10000000 | 0x40000000  # CLONE_NEWUSER | CLONE_NEWNET


def main() -> None:
    """Serve until stdin ends."""
    _confine()
    warnings.simplefilter("ignore")  # Pillow warns about odd metadata and large sizes; both are judged here.
    Image.MAX_IMAGE_PIXELS = None  # Our own limits come first, and are lower for strangers.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.preinit()
    Image.init()
    print("ready", flush=True)  # noqa: T201 - stdout is the protocol
    for line in sys.stdin:
        print(json.dumps(_judge(json.loads(line))), flush=True)  # noqa: T201


def _confine() -> None:
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).unshare(_NEW_USER_AND_NETWORK)  # Often forbidden in containers; they have egress policies.
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, FILES_MAX),
    ):
        try:
            resource.setrlimit(limit, (value, value))
        except (OSError, ValueError):
            if sys.platform == "linux":  # Elsewhere people develop, and some limits do not exist.
                raise


def _allow_cpu() -> None:
    """Move the limit of processor time, which counts from the start of the process, ahead of what was used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + CPU_S_MAX, hard))


def _judge(job: dict[str, Any]) -> dict[str, Any]:
    _allow_cpu()
    try:
        # Without the list Pillow would also open EPS (and may run Ghostscript), PSD, TIFF, FITS …
        with Image.open(job["path"], formats=job["formats"]) as image:
            # A JPEG with a second picture inside (gain map, preview, stereo half) opens as MPO: the first one counts.
            frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
            facts = {"width": image.width, "height": image.height, "frames": frames}
            if (
                max(image.size) > job["side_max"]
                or image.width * image.height > job["pixels_max"]
                or (job["frames_max"] and frames > job["frames_max"])
            ):
                return {"refused": "too_large", **facts}
            if image.width * image.height > DECODE_PIXELS_MAX:
                _look_through(image)
            else:
                image.load()
            return facts
    except MemoryError:
        return {"refused": "too_large", "width": 0, "height": 0, "frames": 0}
    except Exception as error:
        return {"refused": "damaged", "detail": type(error).__name__}


def _look_through(image: Image.Image) -> None:
    """Find a huge picture cut short without holding its pixels: PNG by its checksums, JPEG decoded to an eighth."""
    if image.format in ("JPEG", "MPO"):
        image.draft(None, (image.width // 8, image.height // 8))
        image.load()
    elif image.format == "PNG":
        image.verify()
    else:
        image.load()


if __name__ == "__main__":
    main()
