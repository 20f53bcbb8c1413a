"""Every operation on every kind of file: handled as the plain picture it shows, or refused with the input's name."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import skimage.color
import skimage.data
from PIL import Image, ImageCms, ImageDraw, ImageFont

from imageops import OPERATIONS, Output, Refused, decode, encode

Size = tuple[int, int]
Levels = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 144, 136
INK_STEPS = 9  # Of a profile's table, for each ink.
COLOUR_LEVELS = 10.0  # How far lossy files may move the mean colour of a part; another orientation or profile is 40.


@dataclass(frozen=True, kw_only=True)
class Case:
    """How an operation is run here, and what its first result must look like."""

    parameters: dict[str, object]
    size: Callable[[int, int], Size] = lambda width, height: (width, height)
    keeps_alpha: bool = True
    masks: int = 0  #: How many pictures beside the first it may take.


CASES = {
    "image.edit": Case(parameters={"prompt": "warmer"}),
    "image.expand": Case(parameters={"expand_left": 0.1}, size=lambda w, h: (round(w * 1.1), h)),
    "image.extract_pattern": Case(parameters={"aspect_ratio": "4:1"}, size=lambda w, h: (1024, 256), keeps_alpha=False),
    "image.face_enhance": Case(parameters={}),
    "image.generate": Case(
        parameters={"prompt": "stripes", "width": 64, "height": 80}, size=lambda w, h: (64, 80), keeps_alpha=False
    ),
    "image.inpaint": Case(parameters={}, masks=1),
    "image.remove_diamonds": Case(parameters={}, masks=1),
    "image.remove_fabric": Case(parameters={}),
    "image.remove_watermark": Case(parameters={}, masks=1),
    "image.seamless": Case(parameters={"direction": 1}, size=lambda w, h: (w, 0)),  # How much blending takes is open.
    "image.upscale": Case(parameters={"scale": 1.5}, size=lambda w, h: (round(w * 1.5), round(h * 1.5))),
    "image.vectorize": Case(parameters={"color_count": 4}, keeps_alpha=False),
    "video.generate": Case(
        parameters={"resolution": "480p", "ratio": "1:1", "duration": 4},
        size=lambda w, h: (480, 480),
        keeps_alpha=False,
    ),
}
#: What is too small or too long to be worked on; every other odd shape is handled.
TOO_ODD = {
    **{("image.remove_watermark", shape): "nothing_found, inputs[0]" for shape in ("1x1", "1x10000", "10000x1")},
    ("image.extract_pattern", "1x1"): "nothing_found, inputs[0]",
    ("image.extract_pattern", "1x10000"): "nothing_found, inputs[0]",
    ("image.extract_pattern", "10000x1"): "nothing_found, inputs[0]",
    ("image.face_enhance", "1x1"): "nothing_found, inputs[0]",
    ("image.face_enhance", "1x10000"): "nothing_found, inputs[0]",
    ("image.face_enhance", "10000x1"): "nothing_found, inputs[0]",
    ("image.inpaint", "1x1"): "invalid_inputs, inputs[1]",  # Whatever the mask says, there is nothing to fill with.
    ("image.seamless", "1x1"): "nothing_found, inputs[0]",
    ("image.seamless", "10000x1"): "nothing_found, inputs[0]",
}
#: A grey mark on a grey picture is not told from the picture, unless a mask says where it is.
UNMARKED = {
    ("image.remove_watermark", kind): "nothing_found, inputs[0]"
    for kind in ("16-bit grey", "grey alpha", "16-bit grey alpha")
}


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


@cache
def portrait() -> Image.Image:
    """A face and a watermark, so that there is something to find; wider than tall: which way is up matters."""
    image = Image.fromarray(skimage.data.astronaut()[30:190, 140:300]).resize((144, 144)).crop((0, 0, WIDTH, HEIGHT))
    mark = Image.new("L", image.size)
    ImageDraw.Draw(mark).text((4, 108), "Studio", fill=128, font=ImageFont.load_default(22))
    image.paste("white", mask=mark)
    return image


@cache
def see_through() -> Image.Image:
    """The face, with a transparent and a half-transparent strip on the left."""
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, :12], alpha[:, 12:24] = 0, 120
    image = portrait().copy()
    image.putalpha(Image.fromarray(alpha))
    return image


@cache
def marks() -> Image.Image:
    """A mask for `portrait`."""
    mask = Image.new("RGB", (WIDTH, HEIGHT))
    mask.paste("white", (30, 90, 60, 110))
    return mask


def swapped_profile() -> bytes:
    """A colour profile whose red is sRGB's blue and the other way round."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = bytearray(srgb)
    for name, other in ((b"rXYZ", b"bXYZ"), (b"bXYZ", b"rXYZ")):
        at = srgb.index(name)
        profile[at : at + 4] = other
    return bytes(profile.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be")))


def inks_profile() -> bytes:
    """A colour profile of inks that are the other way round: nothing is black, all of C, M and Y is white."""
    c, m, y, k = np.meshgrid(*[np.linspace(0, 1, INK_STEPS)] * 4, indexing="ij")
    colours = np.stack([c, m, y], axis=4) * (1 - k)[..., None]
    lab = skimage.color.rgb2lab(colours.reshape(-1, 1, 3))[:, 0]
    levels = np.rint(np.clip(lab / (100 / 255, 1, 1) + (0, 128, 128), 0, 255)).astype(np.uint8)
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 if at % 4 == 0 else 0 for at in range(9)))
    table = b"mft1" + struct.pack(">I4B", 0, 4, 3, INK_STEPS, 0) + matrix + ramp * 4 + levels.tobytes() + ramp * 3
    words = b"inks\0"
    described = b"desc" + struct.pack(">II", 0, len(words)) + words + bytes(78)
    white = b"XYZ " + struct.pack(">I3i", 0, 63190, 65536, 54061)
    tags = [(b"A2B0", table), (b"desc", described), (b"wtpt", white), (b"cprt", b"text" + bytes(4) + b"none\0")]
    at = 128 + 4 + 12 * len(tags)
    index, data = struct.pack(">I", len(tags)), b""
    for name, tag in tags:
        padded = tag + bytes(-len(tag) % 4)
        index += struct.pack(">4sII", name, at + len(data), len(tag))
        data += padded
    head = struct.pack(
        ">I4sI4s4s4s12s4s", at + len(data), b"", 0x02400000, b"prtr", b"CMYK", b"Lab ", bytes(12), b"acsp"
    )
    head += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + index + data


def in_other_inks(image: Image.Image) -> Image.Image:
    """The picture in the inks of `inks_profile`: red's share is cyan's, and so on, without black."""
    return Image.merge("CMYK", [*image.split(), Image.new("L", image.size, 0)])


def png_16(image: Image.Image) -> bytes:
    """A picture as a PNG of 16 bits a channel, which Pillow does not write."""
    levels = np.asarray(image).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in levels.astype(">u2"))
    colour = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}[image.mode]
    header = struct.pack(">IIBBBBB", image.width, image.height, 16, colour, 0, 0, 0)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def lying(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """The picture as a camera on its side stores it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(image.transpose(Image.Transpose.ROTATE_90), file_format, exif=exif, **options)


#: File, and the plain picture that it shows; `exact` where reading it loses nothing.
KINDS: dict[str, Callable[[Image.Image], tuple[bytes, Image.Image, bool]]] = {
    "16-bit": lambda image: (png_16(image), image, True),
    "16-bit grey": lambda image: (png_16(image.convert("L")), image.convert("L").convert("RGB"), True),
    "profile": lambda image: (
        saved(Image.fromarray(np.asarray(image)[..., ::-1].copy()), "PNG", icc_profile=swapped_profile()),
        image,
        False,
    ),
    "CMYK": lambda image: (saved(image.convert("CMYK"), "JPEG", quality=100, subsampling=0), image, False),
    "CMYK profile": lambda image: (
        saved(in_other_inks(image), "JPEG", quality=100, subsampling=0, icc_profile=inks_profile()),
        image,
        False,
    ),
    "EXIF": lambda image: (lying(image, "PNG"), image, True),
    "EXIF JPEG": lambda image: (lying(image, "JPEG", quality=98, subsampling=0), image, False),
    "palette": lambda image: (
        saved(image.quantize(64), "PNG"),
        image.quantize(64).convert("RGB"),
        True,
    ),
}
ALPHA_KINDS: dict[str, Callable[[Image.Image], tuple[bytes, Image.Image, bool]]] = {
    "alpha": lambda image: (saved(image, "PNG"), image, True),
    "16-bit alpha": lambda image: (png_16(image), image, True),
    "grey alpha": lambda image: (saved(image.convert("LA"), "PNG"), image.convert("LA").convert("RGBA"), True),
    "16-bit grey alpha": lambda image: (png_16(image.convert("LA")), image.convert("LA").convert("RGBA"), True),
    "EXIF alpha": lambda image: (lying(image, "WEBP", lossless=True, exact=True), image, True),
}
SHAPES = {"1x1": (1, 1), "1x10000": (1, 10_000), "10000x1": (10_000, 1)}


def run(capability: str, data: bytes, size: Size) -> list[Output]:
    inputs = [data]
    if OPERATIONS[capability].inputs_min == 2:
        mask = Image.new("L", size)
        mask.paste(255, (0, 0, max(1, size[0] // 5), max(1, size[1] // 5)))
        inputs.append(saved(mask, "PNG"))
    return OPERATIONS[capability].run(inputs, CASES[capability].parameters, 3)


@cache
def outcome(capability: str, data: bytes, size: Size) -> tuple[str, list[Output]]:
    """The reason of a refusal, or the files."""
    try:
        return "", run(capability, data, size)
    except Refused as refused:
        return f"{refused.reason}, {refused.field}", []


def seen(output: Output) -> Image.Image:
    """The picture, or the first of the film."""
    if output.mime_type == "video/mp4":
        with av.open(io.BytesIO(output.data)) as film:
            picture: Image.Image = next(film.decode(video=0)).to_image()
            return picture
    return decode(output.data)


def check_size(capability: str, output: Output, size: Size) -> None:
    width, height = CASES[capability].size(*size)
    assert seen(output).size == (output.width, output.height)
    assert output.width == width
    assert output.height == height or (height == 0 and output.height <= size[1])


def parts(image: Image.Image) -> npt.NDArray[np.float32]:
    """The mean colours of 16 parts, laid on white."""
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    return np.asarray(white.resize((4, 4), Image.Resampling.BOX), np.float32)


def test_every_operation_has_its_case() -> None:
    assert set(CASES) == set(OPERATIONS)
    assert {name for name, each in OPERATIONS.items() if each.inputs_max == 2} == {
        n for n, c in CASES.items() if c.masks
    }


@pytest.mark.parametrize("kind", [*KINDS, *ALPHA_KINDS])
@pytest.mark.parametrize("capability", CASES)
def test_a_file_gives_what_the_plain_picture_it_shows_gives(capability: str, kind: str) -> None:
    data, plain, exact = KINDS[kind](portrait()) if kind in KINDS else ALPHA_KINDS[kind](see_through())
    assert data != encode(plain)
    reason, outputs = outcome(capability, data, plain.size)
    plain_reason, wanted = outcome(capability, encode(plain), plain.size)
    assert (reason, plain_reason) == (UNMARKED.get((capability, kind), ""),) * 2
    if reason:
        return
    check_size(capability, outputs[0], plain.size)
    if exact:
        assert outputs == wanted
    else:
        difference = np.abs(parts(seen(outputs[0])) - parts(seen(wanted[0])))
        assert difference.max() < COLOUR_LEVELS, (capability, kind)
    assert outputs[0].mime_type != "image/png" or b"iCCP" not in outputs[0].data


@pytest.mark.parametrize("capability", CASES)
def test_transparency_is_kept_where_it_has_meaning(capability: str) -> None:
    _, outputs = outcome(capability, encode(see_through()), (WIDTH, HEIGHT))
    result = seen(outputs[0])
    assert (result.mode == "RGBA") == CASES[capability].keeps_alpha
    if result.mode == "RGBA" and result.size == (WIDTH, HEIGHT):
        assert np.array_equal(np.asarray(result)[..., 3], np.asarray(see_through())[..., 3])
    elif result.mode == "RGBA":
        alpha = np.asarray(result)[..., 3]
        assert alpha.min() == 0
        assert alpha.max() == 255


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("capability", CASES)
def test_odd_shapes_are_handled_or_refused_with_their_name(capability: str, shape: str) -> None:
    size = SHAPES[shape]
    levels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(levels)
    reason, outputs = outcome(capability, encode(image), size)
    assert reason == TOO_ODD.get((capability, shape), "")
    if not reason:
        check_size(capability, outputs[0], size)
    clear = image.copy()
    clear.putalpha(0)
    if shape == "1x1":
        assert outcome(capability, encode(clear), size)[0] == reason


REFUSED = {
    "animated PNG": "animated",
    "animated WebP": "animated",
    "cut short": "damaged",
    "GIF": "unsupported_format",
    "text": "unsupported_format",
    "large": "too_large",
}


def refused_file(kind: str) -> bytes:
    other = marks()
    if kind.startswith("animated"):
        return saved(portrait(), kind.removeprefix("animated "), save_all=True, append_images=[other])
    if kind == "cut short":
        return encode(portrait())[:-2000]
    if kind == "large":
        return saved(Image.new("1", (16_385, 1)), "PNG")
    return saved(portrait(), "GIF") if kind == "GIF" else b"<svg xmlns='http://www.w3.org/2000/svg'/>"


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("capability", CASES)
def test_what_is_no_single_picture_is_refused_with_its_place(capability: str, kind: str) -> None:
    operation = OPERATIONS[capability]
    good, bad = encode(portrait()), refused_file(kind)
    for place in range(min(operation.inputs_max, 2)):
        inputs = [bad if number == place else good for number in range(max(operation.inputs_min, place + 1))]
        with pytest.raises(Refused) as caught:
            operation.run(inputs, CASES[capability].parameters, 3)
        assert (caught.value.reason, caught.value.field) == (REFUSED[kind], f"inputs[{place}]")
        assert caught.value.message.endswith(".")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("capability", [name for name, case in CASES.items() if case.masks])
def test_a_mask_marks_what_it_shows(capability: str, kind: str) -> None:
    data, plain, _ = KINDS[kind](marks())
    picture = encode(portrait())
    marked = OPERATIONS[capability].run([picture, data], CASES[capability].parameters, 3)
    assert marked == OPERATIONS[capability].run([picture, encode(plain)], CASES[capability].parameters, 3)
