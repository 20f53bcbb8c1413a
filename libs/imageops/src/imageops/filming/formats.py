"""What sizes a film may have: short side by resolution, long side by ratio, both even as H.264's 4:2:0 needs."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

Size = tuple[int, int]  #: Width and height, pixels.
Resolution = Literal["480p", "720p", "1080p"]

ADAPTIVE: Final = "adaptive"  #: The one of the ratios that is nearest to the first picture's.
RATIOS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {"16:9": (16, 9), "4:3": (4, 3), "1:1": (1, 1), "3:4": (3, 4), "9:16": (9, 16), "21:9": (21, 9)}
)
SHORT_SIDES: Final[Mapping[str, int]] = MappingProxyType({"480p": 480, "720p": 720, "1080p": 1080})
WITHOUT_PICTURES: Final = "16:9"  #: What `adaptive` means when there is no picture to adapt to.


def film_size(ratio: str, resolution: str, first: Size | None) -> Size:
    """Return a film's size; `first` is the first picture's, which `adaptive` looks at."""
    if ratio == ADAPTIVE:
        ratio = WITHOUT_PICTURES if first is None else _nearest(first)
    across, down = RATIOS[ratio]
    short = SHORT_SIDES[resolution]
    long = 2 * round(short * max(across, down) / min(across, down) / 2)
    return (long, short) if across >= down else (short, long)


def _nearest(picture: Size) -> str:
    wanted = math.log(picture[0] / picture[1])
    return min(RATIOS, key=lambda name: abs(math.log(RATIOS[name][0] / RATIOS[name][1]) - wanted))
