"""`make gallery`: makes `docs/gallery.md`, the input and output of each operation side by side.

The photographs are scikit-image's samples whose notes say CC0 or public domain; damage, garment and print are our own
generators'. The same code and libraries give the same files.
"""

import io
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
from PIL import Image, ImageFilter
from quality_damage import rhinestones, watermark, weave
from quality_garment import shirt
from quality_pictures import picture, textile_print

from imageops import OPERATIONS, Output, decode, encode

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
FOLDER: Final = "gallery"
SIDE_PX_MAX: Final = 480  # Two fit beside each other on a page.
FILE_BYTES_MAX: Final = 60_000
FOLDER_BYTES_MAX: Final = 1_500_000
QUALITIES: Final = (85, 75, 65, 55, 45)
SEED: Final = 7

HEAD: Final = """# What each operation of the local engine does

Made by `make gallery` from sample pictures with the commands below; nothing was retouched. The engine is classical
image processing on the CPU: no model, no network. `atelier ops` lists all parameters.

Photographs: astronaut (NASA, public domain), rocket (SpaceX, public domain), coffee (Rachel Michetti, CC0), cat
(Stefan van der Walt, CC0), gravel (CC0Textures, CC0), as scikit-image bundles them. The garment, the print and all
damage are drawn by our own generators.
"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One example: what goes in, and which of the outputs are shown."""

    capability: str
    name: str
    parameters: dict[str, object] = field(default_factory=dict)
    inputs: Callable[[], Sequence[Image.Image]] = tuple
    note: str = ""
    roles: tuple[str, ...] = ("image", "video")


def sample(name: str) -> Image.Image:
    """A photograph of scikit-image's."""
    return Image.fromarray(picture(name))


def soft_face() -> Image.Image:
    """The astronaut as a poor camera sees her."""
    image = sample("astronaut").crop((100, 0, 340, 240)).filter(ImageFilter.GaussianBlur(1.4))
    noise = np.random.default_rng(SEED).normal(0, 7, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def scratched() -> tuple[Image.Image, Image.Image]:
    """The cat under scratches and a blot, and where they are."""
    pixels = np.array(picture("chelsea"))
    mask = np.zeros(pixels.shape[:2], np.uint8)
    for start, end in (((20, 40), (420, 110)), ((60, 280), (300, 30)), ((250, 290), (440, 200))):
        cv2.line(mask, start, end, 255, 4)
    cv2.circle(mask, (385, 60), 24, 255, -1)
    pixels[mask > 0] = (240, 40, 40)
    return Image.fromarray(pixels), Image.fromarray(mask)


def marked() -> tuple[Image.Image, Image.Image]:
    """Coffee under repeated writing, and where it is."""
    pixels, mask = watermark(picture("coffee"), "tiled")
    return Image.fromarray(pixels), Image.fromarray((mask * 255).astype(np.uint8))


ENTRIES: Final = (
    Entry(
        capability="image.generate",
        name="generate-lake",
        parameters={"prompt": "snowy mountains at sunrise, a lake", "width": 480, "height": 320},
        note="Painted by rules from the some two hundred words it knows; it is no diffusion model.",
    ),
    Entry(
        capability="image.generate",
        name="generate-city",
        parameters={"prompt": "夜晚的城市", "width": 480, "height": 320},
    ),
    Entry(
        capability="image.edit",
        name="edit-watercolour",
        parameters={"prompt": "watercolour"},
        inputs=lambda: [sample("coffee").resize((480, 320))],
    ),
    Entry(
        capability="image.edit",
        name="edit-oil",
        parameters={"prompt": "变成油画"},
        inputs=lambda: [sample("chelsea")],
    ),
    Entry(
        capability="image.inpaint",
        name="inpaint",
        inputs=scratched,
        note="The second input shows in white what is to be replaced.",
    ),
    Entry(
        capability="image.remove_watermark",
        name="remove-watermark",
        inputs=marked,
        note="With a mask. Only for marks you may remove.",
    ),
    Entry(
        capability="image.remove_diamonds",
        name="remove-diamonds",
        inputs=lambda: [Image.fromarray(rhinestones(textile_print(), SEED)[0]).crop((0, 0, 360, 300))],
    ),
    Entry(
        capability="image.remove_fabric",
        name="remove-fabric",
        inputs=lambda: [Image.fromarray(weave(picture("chelsea"), SEED, period=6, degrees=7))],
    ),
    Entry(capability="image.face_enhance", name="face-enhance", inputs=lambda: [soft_face()]),
    Entry(
        capability="image.upscale",
        name="upscale",
        parameters={"scale": 4},
        inputs=lambda: [sample("chelsea").crop((90, 60, 330, 220)).resize((120, 80), Image.Resampling.BICUBIC)],
        note="The input is shown enlarged by whole pixels.",
    ),
    Entry(
        capability="image.vectorize",
        name="vectorize",
        parameters={"color_count": 8},
        inputs=lambda: [sample("coffee").resize((480, 320))],
        note="A preview of the EPS file.",
    ),
    Entry(
        capability="image.seamless",
        name="seamless",
        inputs=lambda: [sample("gravel").crop((0, 0, 300, 300))],
        roles=("grid",),
        note="The tile, repeated two by two.",
    ),
    Entry(
        capability="image.extract_pattern",
        name="extract-pattern",
        parameters={"aspect_ratio": "4:3"},
        inputs=lambda: [Image.fromarray(shirt(1).pixels)],
        note="First one clean repeat of the print, then the largest piece of cloth, each as a tile.",
    ),
    Entry(
        capability="image.expand",
        name="expand",
        parameters={"expand_left": 0.2, "expand_right": 0.2, "expand_top": 0.1},
        inputs=lambda: [sample("rocket").crop((150, 0, 490, 427)).resize((272, 342), Image.Resampling.LANCZOS)],
    ),
    Entry(
        capability="video.generate",
        name="video",
        parameters={"duration": 4, "resolution": "480p", "ratio": "4:3"},
        inputs=lambda: [sample("coffee"), sample("chelsea")],
        note="Four frames of the film: at its start, at two places between, at its end.",
    ),
)


def make(folder: Path) -> str:
    """Write the pictures and return the page."""
    sections = [HEAD]
    shown = ""
    for entry in ENTRIES:
        operation = OPERATIONS[entry.capability]
        inputs = list(entry.inputs())
        outputs = operation.run([encode(_rgb(each)) for each in inputs], entry.parameters, SEED)
        results = [_picture(each) for each in outputs if each.role in entry.roles]
        befores = [
            _save(folder, f"{entry.name}-in-{number}", each) for number, each in enumerate(_displayed(entry, inputs), 1)
        ]
        afters = [_save(folder, f"{entry.name}-out-{number}", each) for number, each in enumerate(results, 1)]
        heading = f"## {entry.capability}\n\n{operation.summary}\n\n" if shown != entry.capability else ""
        shown = entry.capability
        lines = [heading + (entry.note + "\n\n" if entry.note else "") + f"`{_command(entry, len(inputs))}`", ""]
        lines += ["| input | output |", "|---|---|", f"| {_cell(befores, 'input')} | {_cell(afters, 'output')} |"]
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def _rgb(image: Image.Image) -> Image.Image:
    return image.convert("RGB")


def _displayed(entry: Entry, inputs: list[Image.Image]) -> list[Image.Image]:
    """Small inputs are enlarged by whole pixels, so that nothing is made softer than it is."""
    if entry.capability != "image.upscale":
        return inputs
    factor = SIDE_PX_MAX // max(inputs[0].size)
    return [each.resize((each.width * factor, each.height * factor), Image.Resampling.NEAREST) for each in inputs]


def _picture(output: Output) -> Image.Image:
    if output.mime_type != "video/mp4":
        return decode(output.data)
    with av.open(io.BytesIO(output.data)) as film:
        frames = [each.to_image() for each in film.decode(video=0)]
    places = (0, len(frames) // 3, 2 * len(frames) // 3, len(frames) - 1)
    small = [frames[place].resize((output.width // 2, output.height // 2), Image.Resampling.BOX) for place in places]
    sheet = Image.new("RGB", (small[0].width * 2, small[0].height * 2))
    for number, each in enumerate(small):
        sheet.paste(each, (each.width * (number % 2), each.height * (number // 2)))
    return sheet


def _save(folder: Path, name: str, image: Image.Image) -> str:
    """Write a JPEG of at most 60 kB and return its name."""
    plain = _rgb(image)
    plain.thumbnail((SIDE_PX_MAX, SIDE_PX_MAX), Image.Resampling.LANCZOS)
    for quality in QUALITIES:
        buffer = io.BytesIO()
        plain.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= FILE_BYTES_MAX:
            break
    (folder / f"{name}.jpg").write_bytes(buffer.getvalue())
    return f"{name}.jpg"


def _command(entry: Entry, inputs: int) -> str:
    words: list[Any] = ["atelier ops run", entry.capability]
    words += ["in.png", "mask.png"][:inputs] if entry.capability != "video.generate" else ["one.png", "two.png"]
    words.append("out.mp4" if entry.capability == "video.generate" else "out.png")
    words += [
        f'--param "{name}={value}"' if " " in str(value) else f"--param {name}={value}"
        for name, value in entry.parameters.items()
    ]
    return " ".join([*words, f"--seed {SEED}"])


def _cell(names: Sequence[str], what: str) -> str:
    return " ".join(f"![{what}]({FOLDER}/{name})" for name in names) or "(none)"


def main() -> int:
    """Make the page and its folder anew; exit 1 where an operation is missing or the pictures are too large."""
    missing = set(OPERATIONS) - {entry.capability for entry in ENTRIES}
    if missing:
        print(f"no example of {', '.join(sorted(missing))}", file=sys.stderr)
        return 1
    folder = DOCS / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (DOCS / "gallery.md").write_text(make(folder), encoding="utf-8")
    sizes = [path.stat().st_size for path in folder.iterdir()]
    print(f"{len(sizes)} pictures, {sum(sizes) / 1000:.0f} kB, the largest {max(sizes) / 1000:.0f} kB")
    return int(max(sizes) > FILE_BYTES_MAX or sum(sizes) > FOLDER_BYTES_MAX)


if __name__ == "__main__":
    sys.exit(main())
