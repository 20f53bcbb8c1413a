"""What each operation is measured with, and the bare calls beside it.

The bare calls do with OpenCV, Pillow, numpy, vtracer or libx264 what the operation must: the same calls with the same
settings on arrays of the same sizes, and none of our checks, conversions and copies. Where a step is our own (the
cheapest cut, the threads' spectra, non-local means) they are the array calls that it consists of; where a library has
the step (filling by a biharmonic surface: scikit-image) it is that. Where the whole operation is our own and the calls
depend on what it finds, there is nothing to compare with, and `own` says so.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from PIL import Image

from tests.bench.operations import bare_drawing, bare_patterns, bare_repairs
from tests.bench.operations.pictures import garment, marked, mask_of, photograph, studded, woven, writing_on

Images = list[Image.Image]
GENERATED_SIDE_PX_MAX: Final = 4096
_PATCHES = "own algorithm: patches are gathered where they are found"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One line of the table."""

    name: str
    capability: str
    inputs: Callable[[float], Images] = lambda megapixels: [photograph(megapixels)]
    parameters: dict[str, object] = field(default_factory=dict)
    large_parameters: dict[str, object] = field(default_factory=dict)  #: On 24 megapixels, instead.
    lossless: bool = False  #: Read from a PNG, not from a JPEG as photographs are.
    bare: Callable[[Images], None] | None = None
    own: str = ""  #: Why there are no bare calls.


def _masked(megapixels: float) -> Images:
    image = photograph(megapixels)
    return [image, mask_of(image)]


def _under_writing(megapixels: float) -> Images:
    image = photograph(megapixels)
    return [marked(image), writing_on(image)]


_ALL = (
    Case(
        name="generate",
        capability="image.generate",
        inputs=lambda _megapixels: [],
        parameters={"prompt": "snowy mountains at sunrise"},
        own="own algorithm: a painter of thousands of shapes",
    ),
    Case(name="edit", capability="image.edit", parameters={"prompt": "watercolour"}, bare=bare_drawing.watercolour),
    Case(name="face_enhance", capability="image.face_enhance", bare=bare_repairs.face),
    Case(
        name="remove_diamonds",
        capability="image.remove_diamonds",
        inputs=lambda megapixels: [studded(photograph(megapixels))],
        bare=bare_repairs.stones,
    ),
    Case(
        name="remove_fabric",
        capability="image.remove_fabric",
        inputs=lambda megapixels: [woven(photograph(megapixels))],
        bare=bare_repairs.weave,
    ),
    Case(
        name="remove_watermark, mask",
        capability="image.remove_watermark",
        inputs=_under_writing,
        bare=bare_repairs.writing,
    ),
    Case(
        name="remove_watermark",
        capability="image.remove_watermark",
        inputs=lambda megapixels: [marked(photograph(megapixels))],
        lossless=True,
        own="own algorithm: belief propagation finds the mark",
    ),
    Case(name="seamless", capability="image.seamless", bare=bare_patterns.seamless),
    Case(
        name="extract_pattern",
        capability="image.extract_pattern",
        inputs=lambda megapixels: [garment(megapixels)],
        bare=bare_patterns.extract,
    ),
    Case(name="inpaint", capability="image.inpaint", inputs=_masked, own=_PATCHES),
    Case(
        name="expand",
        capability="image.expand",
        parameters={"expand_left": 0.1, "expand_right": 0.1},
        own=_PATCHES,
    ),
    Case(
        name="upscale",
        capability="image.upscale",
        parameters={"scale": 2},
        large_parameters={"scale": 1.5},
        bare=bare_drawing.upscale,
    ),
    Case(name="vectorize", capability="image.vectorize", bare=bare_drawing.vectorize),
    Case(
        name="video",
        capability="video.generate",
        parameters={"duration": 4, "resolution": "480p", "ratio": "4:3"},
        bare=bare_drawing.film,
    ),
)
CASES: Final = {case.name: case for case in _ALL}
