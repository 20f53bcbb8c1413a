"""What each model of Ark takes. Models that are not listed are sent everything, and Ark judges it."""

import re
from dataclasses import dataclass, replace
from typing import Final

_DATED: Final = re.compile(r"(.+)-\d{6}")  # doubao-seedance-2-0-260128

RATIOS: Final = frozenset({"16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"})


@dataclass(frozen=True, kw_only=True)
class FilmModel:
    """A Seedance model."""

    resolutions: frozenset[str] | None = None  #: None where the documents do not say.
    seconds_min: int | None = None
    seconds_max: int | None = None
    seeded: bool = False
    adapts_to_nothing: bool = True  #: Whether the ratio may be adaptive when there is no picture.
    frames: bool = True  #: Whether it begins, or begins and ends, with given pictures.
    references_max: int = 9  #: Pictures that show what to film.
    films: bool = True  #: Whether films and sounds may be references, too.
    needs_picture: bool = False
    heif: bool = True  #: Whether pictures may be HEIC or HEIF.


@dataclass(frozen=True, kw_only=True)
class PictureModel:
    """A Seedream model."""

    area_px_min: int | None = None  #: None where the documents do not say.
    area_px_max: int | None = None
    side_px_step: int = 1
    references_max: int = 14
    seeded: bool = False
    groups: bool = True  #: Whether it knows of several pictures in one answer.


_TO_1080P: Final = frozenset({"480p", "720p", "1080p"})
_SEEDANCE_1: Final = FilmModel(
    resolutions=_TO_1080P,
    seconds_min=2,
    seconds_max=12,
    seeded=True,
    adapts_to_nothing=False,
    references_max=0,
    films=False,
    heif=False,
)

FILM_MODELS: Final = {
    "doubao-seedance-2-0": FilmModel(resolutions=_TO_1080P | {"4k"}, seconds_min=4, seconds_max=15),
    "doubao-seedance-2-0-fast": FilmModel(resolutions=frozenset({"480p", "720p"}), seconds_min=4, seconds_max=15),
    "doubao-seedance-2-0-mini": FilmModel(seconds_min=4, seconds_max=15),
    "doubao-seedance-1-5-pro": FilmModel(
        resolutions=_TO_1080P, seconds_min=4, seconds_max=12, seeded=True, references_max=0, films=False
    ),
    "doubao-seedance-1-0-pro": _SEEDANCE_1,
    "doubao-seedance-1-0-pro-fast": _SEEDANCE_1,
    "doubao-seedance-1-0-lite-t2v": replace(_SEEDANCE_1, frames=False),
    "doubao-seedance-1-0-lite-i2v": replace(_SEEDANCE_1, references_max=4, needs_picture=True),
}

PICTURE_MODELS: Final = {
    "doubao-seedream-4-0": PictureModel(area_px_min=1280 * 720, area_px_max=4096 * 4096),
    "doubao-seedream-4-5": PictureModel(area_px_min=2560 * 1440, area_px_max=4096 * 4096),
    "doubao-seedream-5-0": PictureModel(area_px_min=2560 * 1440, area_px_max=4096 * 4096),
    "doubao-seedream-5-0-pro": PictureModel(
        area_px_min=1280 * 720, area_px_max=2048 * 2048, side_px_step=16, references_max=10
    ),
    "doubao-seedream-3-0-t2i": PictureModel(references_max=0, seeded=True, groups=False),
}


def film_model(model: str) -> FilmModel:
    """What a film model takes, by its id; the date in it does not matter."""
    return FILM_MODELS.get(_undated(model), FilmModel())


def picture_model(model: str) -> PictureModel:
    """What a picture model takes, by its id; the date in it does not matter."""
    return PICTURE_MODELS.get(_undated(model), PictureModel())


def _undated(model: str) -> str:
    dated = _DATED.fullmatch(model)
    return dated[1] if dated else model
