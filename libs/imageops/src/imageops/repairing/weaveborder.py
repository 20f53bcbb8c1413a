"""How a weave goes on beyond the picture: it repeats, so what lies one repeat further in says it.

A mirrored weave runs in another direction and breaks at the border, so that blocks across the border
do not know it for the cloth's. Here the drawing is mirrored and the weave continued.
"""

import cv2
import numpy as np

from imageops.arrays import Floats

UNSURE_PX = 24  # From the border inwards: fewer blocks than usual, and only their ends, say what is weave here.

_SEGMENT_PX = 32  # Of the border, continued by one step: bent cloth has another a little further.
_LIKE_ROWS, _LIKE_PX = 40, 64  # Across and along the border: what must look alike one step further in.
_STEP_MIN, _STEP_MAX = 24, 72  # Pixels inwards; among so many repeats one is nearly whole pixels.
_ASIDE_PX = 16  # And along the border.


def continue_weave(padded: Floats, logarithm: Floats, pad: tuple[int, int]) -> None:
    """Make of `padded` the picture's logarithm with `pad[0]` pixels more above and left, `pad[1]` below and right.

    It comes with the cloth's part of the logarithm inside, sure but for UNSURE_PX along the border, and
    without meaning outside. The picture is at least 128 pixels each way.
    """
    places = [slice(pad[0], pad[0] + side) for side in logarithm.shape]
    inner = padded[places[0], places[1]]
    # Columns first; the rows are then continued over the new width, so that corners are too.
    _extend(padded[places[0]].T, pad)
    _extend(padded, pad)
    rows, columns = (np.pad(np.arange(side), pad, mode="reflect") for side in logarithm.shape)
    for end in (slice(0, places[0].start), slice(places[0].stop, None)):
        padded[end] += (logarithm[rows[end]] - inner[rows[end]])[:, columns]
    for end in (slice(0, places[1].start), slice(places[1].stop, None)):
        padded[places[0], end] += logarithm[:, columns[end]] - inner[:, columns[end]]
    inner[:] = logarithm


def _extend(cloth: Floats, pad: tuple[int, int]) -> None:
    """Continue the sure middle rows upwards and downwards, in place."""
    sure = cloth[pad[0] + UNSURE_PX : len(cloth) - pad[1] - UNSURE_PX]
    _continue(cloth[: pad[0] + UNSURE_PX + len(sure)][::-1], len(sure))
    _continue(cloth[pad[0] + UNSURE_PX :], len(sure))


def _continue(cloth: Floats, sure: int) -> None:
    """Fill the rows after the first `sure` ones, in place."""
    columns = cloth.shape[1]
    step_max = min(_STEP_MAX, sure - _LIKE_ROWS)
    known = np.ascontiguousarray(cloth[sure - _LIKE_ROWS - step_max : sure])
    wide = np.pad(known, [(0, 0), (_ASIDE_PX, _ASIDE_PX)])
    step_min = min(_STEP_MIN, step_max)
    for left in range(0, columns, _SEGMENT_PX):
        right = min(columns, left + _SEGMENT_PX)
        begin = max(0, min(left - (_LIKE_PX - _SEGMENT_PX) // 2, columns - _LIKE_PX))
        end = min(columns, begin + _LIKE_PX)
        wanted = np.ascontiguousarray(known[step_max:, begin:end])
        offered = np.ascontiguousarray(wide[: len(known) - step_min, begin : end + 2 * _ASIDE_PX])
        likeness = cv2.matchTemplate(offered, wanted, cv2.TM_CCORR_NORMED)
        row, column = (int(each) for each in np.unravel_index(int(likeness.argmax()), likeness.shape))
        step, aside = step_max - row, column - _ASIDE_PX
        source = np.clip(np.arange(left, right) + aside, 0, columns - 1)
        for first in range(sure, len(cloth), step):
            last = min(len(cloth), first + step)
            cloth[first:last, left:right] = cloth[first - step : last - step, source]
