"""Which size to ask for, so that the size ordered can be cut out of it. Nothing is ever enlarged."""

from typing import Final

from provider_adapter.providers.remote.pictures import Size
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.trouble import Trouble

FIXED: Final[tuple[Size, ...]] = ((1024, 1024), (1536, 1024), (1024, 1536))
STEP_PX: Final = 16
SIDE_PX_MAX: Final = 3840  # "Up to 3840x2160", read as: the longer side, and as many pixels.
PIXELS_MAX: Final = 3840 * 2160
SHAPE_MAX: Final = 3  # The vendor's for free sizes; of a fixed one, more than half would be cut away beyond it.


def covering(ordered: Size, *, free: bool) -> Size:
    """Return the size that the vendor makes, is nearest in shape, and holds the one ordered. Raises Refused."""
    if max(ordered) > SHAPE_MAX * min(ordered):
        raise Refused(Trouble.UNSUPPORTED, "The provider makes pictures from 1:3 to 3:1.", field="width")
    if free:
        width, height = rounded(ordered)
        if max(width, height) <= SIDE_PX_MAX and width * height <= PIXELS_MAX:
            return width, height
    else:
        holding = [size for size in FIXED if size[0] >= ordered[0] and size[1] >= ordered[1]]
        if holding:
            return nearest(ordered, holding)
    raise Refused(Trouble.UNSUPPORTED, "The provider makes no pictures as large as this.", field="width")


def alike(source: Size, *, free: bool) -> Size | None:
    """Return the size to repaint a picture of this size in; None leaves it to the vendor."""
    if not free:
        return nearest(source, FIXED)
    try:
        return covering(source, free=True)
    except Refused:
        return None


def rounded(size: Size) -> Size:
    """Return the size with both sides rounded up to what free sizes are multiples of."""
    return -(-size[0] // STEP_PX) * STEP_PX, -(-size[1] // STEP_PX) * STEP_PX


def nearest(wanted: Size, sizes: tuple[Size, ...] | list[Size]) -> Size:
    """Return the one of `sizes` nearest in shape; of equals the first."""

    def apart(size: Size) -> float:
        ours, theirs = wanted[0] * size[1], wanted[1] * size[0]
        return max(ours, theirs) / min(ours, theirs)

    return min(sizes, key=apart)
