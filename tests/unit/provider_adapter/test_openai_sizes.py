"""Sizes that are asked of OpenAI for the sizes that are ordered."""

import pytest

from provider_adapter.providers.openai import sizes
from provider_adapter.providers.remote.pictures import Size
from provider_adapter.providers.remote.provider import Refused


@pytest.mark.parametrize(
    ("ordered", "asked"),
    [
        ((1024, 1024), (1024, 1024)),
        ((64, 64), (1024, 1024)),
        ((1536, 1024), (1536, 1024)),
        ((1280, 720), (1536, 1024)),
        ((720, 1280), (1024, 1536)),
        ((1100, 1000), (1536, 1024)),  # Nearest in shape is the square, which does not hold it.
        ((300, 900), (1024, 1536)),
    ],
)
def test_fixed_size_is_the_nearest_that_holds_the_order(ordered: Size, asked: Size) -> None:
    assert sizes.covering(ordered, free=False) == asked


@pytest.mark.parametrize(
    ("ordered", "asked"),
    [
        ((1000, 700), (1008, 704)),
        ((1024, 1024), (1024, 1024)),
        ((3840, 2160), (3840, 2160)),
        ((2160, 3840), (2160, 3840)),
        ((1199, 400), (1200, 400)),
    ],
)
def test_free_size_is_rounded_up_to_sixteen(ordered: Size, asked: Size) -> None:
    assert sizes.covering(ordered, free=True) == asked


@pytest.mark.parametrize(
    ("ordered", "free"),
    [
        ((1537, 1024), False),
        ((1200, 1200), False),
        ((1024, 341), False),
        ((1201, 400), True),
        ((3841, 2000), True),
        ((2900, 2900), True),
        ((4096, 4096), True),
    ],
)
def test_order_that_would_have_to_be_enlarged_is_refused(ordered: Size, free: bool) -> None:
    with pytest.raises(Refused) as refused:
        sizes.covering(ordered, free=free)
    assert refused.value.failed.failure.field == "width"


def test_repainting_keeps_the_shape_as_near_as_it_can() -> None:
    assert sizes.alike((800, 600), free=False) == (1536, 1024)
    assert sizes.alike((5000, 5000), free=False) == (1024, 1024)
    assert sizes.alike((1000, 700), free=True) == (1008, 704)
    assert sizes.alike((5000, 5000), free=True) is None
