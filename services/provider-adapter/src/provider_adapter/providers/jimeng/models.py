"""What each of the vendor's models (`req_key`) takes: sizes, pictures, words, films.

Those marked by third parties are not in the vendor's own pages that we have; several programs agree on them.
"""

from dataclasses import dataclass
from typing import Final

MB: Final = 1_000_000  # The pages say "MB"; the smaller reading is never refused for its size.
SIDE_PX_MAX: Final = 4096  # Of an input.
AREA_PX: Final = (1024**2, 4096**2)  # Of a picture by `jimeng_t2i_v40`.
SHAPE_OF_INPUT: Final = 3.0  # Longer to shorter side of an input, at most.
SHAPE_OF_PICTURE: Final = 16.0  # The same of a picture: less than this, and never more than 1:16.
SHAPE_BY_DEFAULT: Final = 3.0  # Beyond it a request has to say `min_ratio` or `max_ratio`.


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """How pictures are taken."""

    least: int
    most: int
    bytes_max: int = 4_700_000
    base64: bool = True  #: Whether they may also be in the request itself.
    shape_max: float = SHAPE_OF_INPUT
    side_px_min: int = 1


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A model for pictures."""

    inputs: Inputs
    area_px: tuple[int, int] | None = None  #: Width times height, least and most.
    side_px: tuple[int, int] | None = None  #: Each side, least and most.
    scale: bool = False  #: Whether `scale`, the weight of the text, is taken.
    seed: bool = False
    force_single: bool = False
    prompt_chars_max: int | None = None  #: None where it is not published.


@dataclass(frozen=True, kw_only=True)
class Filming:
    """A model for films: it is `req_keys[n]` that takes n pictures."""

    resolution: str  #: The only one it makes.
    req_keys: tuple[str | None, ...]


GENERATE: Final = {
    "jimeng_t2i_v40": Drawing(
        inputs=Inputs(least=0, most=10, bytes_max=15 * MB, base64=False),
        area_px=AREA_PX,
        scale=True,
        force_single=True,
        prompt_chars_max=800,
    ),
    # By third parties:
    "jimeng_t2i_v30": Drawing(inputs=Inputs(least=0, most=0), side_px=(512, 2048), seed=True),
    "jimeng_t2i_v31": Drawing(inputs=Inputs(least=0, most=0), side_px=(512, 2048), seed=True),
    "jimeng_i2i_v30": Drawing(inputs=Inputs(least=1, most=1, base64=False), side_px=(512, 1536), scale=True),
}

INPAINT: Final = "jimeng_image2image_dream_inpaint"
INPAINT_PROMPT_CHARS_MAX: Final = 120
INPAINT_INPUT: Final = Inputs(least=1, most=1, shape_max=float("inf"))

UPSCALE: Final = "jimeng_i2i_seed3_tilesr_cvtob"  # By third parties.
UPSCALE_INPUTS: Final = Inputs(least=1, most=1)
UPSCALE_RESOLUTIONS: Final = ("4k", "8k")

FILM_INPUTS: Final = Inputs(least=0, most=2, side_px_min=320)
FILM_PROMPT_CHARS_MAX: Final = 800
FILM_FRAMES: Final = {5: 121, 10: 241}  # By seconds: 24 a second, and the first one.
FILM_S: Final = 5  # When the order does not say.
FILM_RATIOS: Final = ("16:9", "4:3", "1:1", "3:4", "9:16", "21:9")

_PRO, _FIRST, _FIRST_1080 = "jimeng_ti2v_v30_pro", "jimeng_i2v_first_v30", "jimeng_i2v_first_v30_1080"
_TAIL, _TAIL_1080 = "jimeng_i2v_first_tail_v30", "jimeng_i2v_first_tail_v30_1080"
_TEXT, _TEXT_1080 = "jimeng_t2v_v30", "jimeng_t2v_v30_1080p"

#: By the model that a route names. The first three stand for their families: pictures decide which member it is.
FILMS: Final = {
    _PRO: Filming(resolution="1080p", req_keys=(_PRO, _PRO, _TAIL_1080)),
    # By third parties:
    _TEXT: Filming(resolution="720p", req_keys=(_TEXT, _FIRST, _TAIL)),
    _TEXT_1080: Filming(resolution="1080p", req_keys=(_TEXT_1080, _FIRST_1080, _TAIL_1080)),
    _FIRST: Filming(resolution="720p", req_keys=(None, _FIRST, None)),
    _FIRST_1080: Filming(resolution="1080p", req_keys=(None, _FIRST_1080, None)),
    _TAIL: Filming(resolution="720p", req_keys=(None, None, _TAIL)),
    _TAIL_1080: Filming(resolution="1080p", req_keys=(None, None, _TAIL_1080)),
}
