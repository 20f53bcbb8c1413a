"""Pictures on their way to and from a provider: masks, sizes, cuts, and files that are none."""

import asyncio
import io
import threading

import pytest
from PIL import Image

from provider_adapter.providers.remote.pictures import (
    PIXELS_MAX,
    Aside,
    NotUsable,
    clear_where_white,
    cut_to,
    upright,
    white_where_marked,
)


def file(image: Image.Image, form: str = "PNG", **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **how)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def half_white(mode: str = "L") -> Image.Image:
    mask = Image.new("L", (8, 4), 0)
    mask.paste(255, (0, 0, 4, 4))
    return mask.convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "RGBA"])
def test_white_becomes_transparent_in_any_mode(mode: str) -> None:
    mask = opened(clear_where_white(file(half_white(mode)), (8, 4)))
    assert mask.mode == "RGBA"
    assert mask.getchannel("A").tobytes() == (bytes(4) + b"\xff" * 4) * 4


def test_transparent_white_is_kept_and_grey_is_decided() -> None:
    mask = Image.new("RGBA", (2, 1), (255, 255, 255, 0))
    mask.putpixel((1, 0), (130, 130, 130, 255))
    plain = opened(white_where_marked(file(mask), (2, 1)))
    assert plain.mode == "L"
    assert list(plain.tobytes()) == [0, 255]


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (file(Image.new("L", (8, 5), 255)), "8 x 5"),
        (file(Image.new("L", (8, 4), 0)), "no pixel"),
        (file(half_white())[:40], "damaged|not a PNG"),
        (b"GIF89a" + bytes(40), "not a PNG"),
        (b"", "not a PNG"),
    ],
)
def test_mask_that_is_none_is_refused_in_words(mask: bytes, says: str) -> None:
    for work in (clear_where_white, white_where_marked):
        with pytest.raises(NotUsable, match=says):
            work(mask, (8, 4))


def test_picture_that_is_too_large_is_refused_by_its_header() -> None:
    side = int(PIXELS_MAX**0.5) + 8
    data = file(Image.new("1", (side, side)))
    with pytest.raises(NotUsable, match="40 megapixels"):
        upright(data)
    assert cut_to(data, (10, 10)) == data


def test_turned_picture_is_written_upright_and_others_are_left_alone() -> None:
    image = Image.new("RGB", (6, 4), "red")
    plain = file(image, "JPEG")
    assert upright(plain) == (plain, (6, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    data, size = upright(file(image, "JPEG", exif=exif))
    assert size == (4, 6)
    assert opened(data).size == (4, 6)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_cut_keeps_the_format_and_gives_the_size(form: str) -> None:
    for size in ((1000, 1008), (512, 512), (300, 900)):
        cut = opened(cut_to(file(Image.new("RGB", (1008, 1008), "red"), form), size))
        assert (cut.size, cut.format) == (size, form)


def test_few_surplus_pixels_are_cut_without_resampling() -> None:
    image = Image.effect_noise((64, 64), 90)
    cut = opened(cut_to(file(image), (60, 62)))
    assert cut.tobytes() == image.crop((2, 1, 62, 63)).tobytes()


def test_nothing_is_enlarged_and_no_picture_is_left_for_others_to_judge() -> None:
    small = file(Image.new("RGB", (64, 64)))
    assert cut_to(small, (65, 64)) == small
    assert cut_to(small, (64, 64)) == small
    assert cut_to(b"<html>", (8, 8)) == b"<html>"
    assert cut_to(small[:60], (8, 8)) == small[:60]


async def test_one_picture_is_worked_on_at_a_time_and_never_on_the_loop() -> None:
    aside, at_work, most = Aside(), 0, 0
    pause = threading.Event()

    def work(number: int) -> tuple[int, bool]:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        pause.wait(0.02)
        at_work -= 1
        return number, threading.current_thread() is threading.main_thread()

    assert await asyncio.gather(*[aside.do(work, number) for number in range(4)]) == [(n, False) for n in range(4)]
    assert most == 1
