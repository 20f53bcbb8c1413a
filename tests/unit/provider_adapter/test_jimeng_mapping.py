"""What is sent to Jimeng for what is ordered, and what is refused before anything is sent."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import pytest
from PIL import Image

from kit.errors import ErrorReason
from provider_adapter.domain import Outcome
from provider_adapter.ports import Task
from provider_adapter.providers.jimeng.mapping import body_of
from provider_adapter.providers.remote.pictures import Aside
from provider_adapter.providers.remote.provider import Refused
from testkit.providers.files import picture
from testkit.providers.trials import BytesSource, source

V40, INPAINT = "jimeng_t2i_v40", "jimeng_image2image_dream_inpaint"
UPSCALE, PRO = "jimeng_i2i_seed3_tilesr_cvtob", "jimeng_ti2v_v30_pro"
CAPABILITIES = {V40: "image.generate", INPAINT: "image.inpaint", UPSCALE: "image.upscale", PRO: "video.generate"}
LINK = "https://house.example/links/a"


async def body(
    model: str, inputs: Sequence[Any] = (), *, capability: str = "", seed: int = 7, **parameters: Any
) -> dict[str, Any]:
    for number, each in enumerate(inputs):
        each.field = f"inputs[{number}]"
    if capability == "":
        capability = CAPABILITIES.get(model, "video.generate" if "2v_" in model else "image.generate")
    task = Task(
        job_id="job_1",
        attempt_id="att_1",
        capability=capability,
        upstream_model=model,
        parameters=parameters,
        inputs=inputs,
        seed=seed,
        timeout_s=60,
    )
    return await body_of(task, Aside())


async def refused(field: str, model: str, inputs: Sequence[Any] = (), **parameters: Any) -> None:
    with pytest.raises(Refused) as caught:
        await body(model, inputs, **parameters)
    failed = caught.value.failed
    assert (failed.outcome, failed.failure.reason) == (Outcome.ROUTE_FAILED, ErrorReason.PROVIDER_REJECTED)
    assert failed.failure.field == field


def linked(number: int = 0, **options: Any) -> BytesSource:
    return source(link=f"{LINK}{number}", **options)


# image.generate


async def test_picture_by_text_has_only_what_was_ordered() -> None:
    assert await body(V40, prompt="a fox") == {"req_key": V40, "prompt": "a fox", "force_single": True}


async def test_hints_that_the_vendor_does_not_know_are_left_out() -> None:
    sent = await body(V40, prompt="a fox", quality="high", negative_prompt="rain", seed=3)
    assert set(sent) == {"req_key", "prompt", "force_single"}


async def test_picture_has_size_scale_and_pictures_by_url() -> None:
    sent = await body(
        V40, [linked(0), linked(1, role="reference")], prompt="a fox", width=1440, height=2560, scale=33.3
    )
    assert sent == {
        "req_key": V40,
        "prompt": "a fox",
        "width": 1440,
        "height": 2560,
        "scale": 0.33,
        "force_single": True,
        "image_urls": [f"{LINK}0", f"{LINK}1"],
    }


@pytest.mark.parametrize(("given", "sent"), [(True, True), (False, False), (None, True)])
async def test_several_pictures_come_only_when_they_are_ordered(given: bool | None, sent: bool) -> None:
    assert (await body(V40, prompt="a fox", force_single=given))["force_single"] is sent


@pytest.mark.parametrize(
    ("width", "height", "extra"),
    [
        (1024, 1024, {}),
        (4096, 4096, {}),
        (3072, 1024, {}),
        (4000, 1000, {"max_ratio": 4.0}),
        (1000, 4000, {"min_ratio": 0.25}),
        (4097, 1000, {"max_ratio": 4.097}),
        (1003, 4000, {"min_ratio": 0.25}),
    ],
)
async def test_long_picture_widens_the_ratios(width: int, height: int, extra: dict[str, float]) -> None:
    sent = await body(V40, prompt="a fox", width=width, height=height)
    assert {name: value for name, value in sent.items() if "ratio" in name} == extra
    least, most = sent.get("min_ratio", 1 / 3), sent.get("max_ratio", 3)
    assert least <= width / height <= most


@pytest.mark.parametrize(
    ("field", "size"),
    [
        ("width", {"width": 1023, "height": 1024}),
        ("width", {"width": 4097, "height": 4096}),
        ("width", {"width": 16000, "height": 1000}),
        ("height", {"width": 1024}),
        ("width", {"height": 1024}),
        ("width", {"width": True, "height": 1024}),
        ("height", {"width": 1024, "height": "1024"}),
    ],
)
async def test_size_that_is_not_made_is_refused(field: str, size: dict[str, Any]) -> None:
    await refused(field, V40, prompt="a fox", **size)


async def test_prompt_is_counted_in_characters() -> None:
    assert (await body(V40, prompt="狐" * 800))["prompt"] == "狐" * 800
    await refused("prompt", V40, prompt="狐" * 801)
    await refused("prompt", V40)
    await refused("prompt", V40, prompt="")


@pytest.mark.parametrize("scale", [-1, 101, "50", True, float("nan")])
async def test_scale_that_is_no_percentage_is_refused(scale: object) -> None:
    await refused("scale", V40, prompt="a fox", scale=scale)


async def test_pictures_without_a_public_address_are_refused_where_only_urls_are_taken() -> None:
    await refused("inputs[1]", V40, [linked(0), linked(1, role="mask")], prompt="a fox")
    await refused("inputs[0]", V40, [source(), linked(1)], prompt="a fox")


async def test_too_many_pictures_are_refused() -> None:
    assert len((await body(V40, [linked(n) for n in range(10)], prompt="a fox"))["image_urls"]) == 10
    await refused("inputs[10]", V40, [linked(n) for n in range(11)], prompt="a fox")


@pytest.mark.parametrize(
    "bad",
    [
        BytesSource(picture(form="WEBP"), mime_type="image/webp", link=LINK),
        BytesSource(picture(size=(4097, 2000)), link=LINK),
        BytesSource(picture(size=(310, 100)), link=LINK),
        BytesSource(b"RIFF", mime_type="audio/wav", link=LINK),
    ],
)
async def test_picture_beyond_the_limits_is_refused_by_its_field(bad: BytesSource) -> None:
    await refused("inputs[1]", V40, [linked(), bad], prompt="a fox")


async def test_file_size_is_checked_without_reading_it() -> None:
    large = linked()
    large.size_bytes = 15_000_001
    await refused("inputs[0]", V40, [large], prompt="a fox")
    large.size_bytes = 4_700_001
    assert await body(V40, [large], prompt="a fox")
    await refused("inputs[0]", UPSCALE, [large], resolution="4k")


async def test_older_models_take_a_seed_and_their_own_sizes() -> None:
    sent = await body("jimeng_t2i_v31", prompt="a fox", width=512, height=2048, scale=50, seed=5)
    assert sent == {"req_key": "jimeng_t2i_v31", "prompt": "a fox", "width": 512, "height": 2048, "seed": 5}
    await refused("height", "jimeng_t2i_v31", prompt="a fox", width=512, height=2049)
    await refused("inputs[0]", "jimeng_t2i_v31", [linked()], prompt="a fox")
    sent = await body("jimeng_i2i_v30", [linked()], prompt="a fox", scale=100)
    assert sent == {"req_key": "jimeng_i2i_v30", "prompt": "a fox", "scale": 1.0, "image_urls": [f"{LINK}0"]}
    await refused("inputs", "jimeng_i2i_v30", prompt="a fox")


async def test_model_of_another_capability_is_refused() -> None:
    for capability in CAPABILITIES.values():
        await refused("", "jimeng_unknown", capability=capability, prompt="a fox")
    await refused("", UPSCALE, capability="image.generate", prompt="a fox")


async def test_operators_extra_fields_come_last() -> None:
    sent = await body(V40, prompt="a fox", extra={"size": 1048576, "force_single": False})
    assert (sent["size"], sent["force_single"]) == (1048576, False)


# image.inpaint


def mask_of(**options: Any) -> BytesSource:
    image = Image.new("RGBA", (64, 64), "black")
    image.paste("white", (0, 0, 32, 64))
    image.paste((255, 255, 255, 0), (0, 0, 16, 64))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return BytesSource(buffer.getvalue(), role="mask", **options)


async def test_repainting_sends_the_picture_and_then_the_mask_in_one_gray_channel() -> None:
    shown = linked()
    sent = await body(INPAINT, [mask_of(link=LINK), shown], prompt="删除", scale=20, quality="low", seed=2**32 - 1)
    files = [base64.b64decode(each) for each in sent.pop("binary_data_base64")]
    assert sent == {"req_key": INPAINT, "prompt": "删除", "seed": 2**31 - 1}
    assert files[0] == await shown.read()
    with Image.open(io.BytesIO(files[1])) as mask:
        assert (mask.mode, mask.size) == ("L", (64, 64))
        assert [mask.getpixel((x, 5)) for x in (0, 20, 40)] == [0, 255, 0]


async def test_repainting_needs_one_picture_and_one_mask_of_its_size() -> None:
    await refused("inputs", INPAINT, [source()], prompt="删除")
    await refused("inputs", INPAINT, [source(), source()], prompt="删除")
    await refused("inputs[1]", INPAINT, [source(size=(80, 64)), mask_of()], prompt="删除")
    await refused("inputs[1]", INPAINT, [source(), source(role="reference")], prompt="删除")
    await refused("prompt", INPAINT, [source(), mask_of()], prompt="删" * 121)
    await refused("width", INPAINT, [source(), mask_of()], prompt="删除", width=64, height=64)
    broken = BytesSource(mask_of()._data[:80], role="mask")
    await refused("inputs[1]", INPAINT, [source(), broken], prompt="删除")


# image.upscale


async def test_enlarging_by_url_or_bytes() -> None:
    assert await body(UPSCALE, [linked()], resolution="8k", scale=4, detail=30, prompt="sharp") == {
        "req_key": UPSCALE,
        "resolution": "8k",
        "scale": 30,
        "image_urls": [f"{LINK}0"],
    }
    one = source()
    sent = await body(UPSCALE, [one], resolution="4k")
    assert base64.b64decode(sent.pop("binary_data_base64")[0]) == await one.read()
    assert sent == {"req_key": UPSCALE, "resolution": "4k"}


@pytest.mark.parametrize("resolution", ["2k", None, "", 4])
async def test_enlarging_to_another_size_is_refused(resolution: object) -> None:
    await refused("resolution", UPSCALE, [source()], resolution=resolution)


async def test_enlarging_takes_one_picture_and_a_percentage_of_detail() -> None:
    await refused("inputs", UPSCALE, resolution="4k")
    await refused("inputs[1]", UPSCALE, [source(), source()], resolution="4k")
    await refused("detail", UPSCALE, [source()], resolution="4k", detail=101)


# video.generate


def frame(role: str = "first_frame", *, size: tuple[int, int] = (640, 360), number: int = 0) -> BytesSource:
    return linked(number, role=role, size=size)


async def test_film_by_text_has_its_ratio() -> None:
    sent = await body(PRO, prompt="a fox", duration=10, resolution="1080p", ratio="9:16", seed=9)
    assert sent == {"req_key": PRO, "prompt": "a fox", "seed": 9, "frames": 241, "aspect_ratio": "9:16"}
    assert "aspect_ratio" not in await body(PRO, prompt="a fox", ratio="adaptive")


async def test_film_of_one_picture_has_the_pictures_ratio() -> None:
    sent = await body(PRO, [frame("reference")], ratio="16:9", duration=5)
    assert sent == {"req_key": PRO, "seed": 7, "frames": 121, "image_urls": [f"{LINK}0"]}
    await refused("ratio", PRO, [frame()], ratio="1:1")


async def test_film_of_first_and_last_picture_is_made_by_another_model_of_the_family() -> None:
    pictures = [frame("last_frame", number=1), frame("first_frame", number=0)]
    sent = await body(PRO, pictures, prompt="a fox")
    assert sent["req_key"] == "jimeng_i2v_first_tail_v30_1080"
    assert sent["image_urls"] == [f"{LINK}0", f"{LINK}1"]
    sent = await body(PRO, [frame("reference"), frame("reference", number=1)], prompt="a fox")
    assert sent["image_urls"] == [f"{LINK}0", f"{LINK}1"]


@pytest.mark.parametrize(
    ("model", "resolution", "req_keys"),
    [
        (PRO, "1080p", [PRO, PRO, "jimeng_i2v_first_tail_v30_1080"]),
        ("jimeng_t2v_v30", "720p", ["jimeng_t2v_v30", "jimeng_i2v_first_v30", "jimeng_i2v_first_tail_v30"]),
        (
            "jimeng_t2v_v30_1080p",
            "1080p",
            ["jimeng_t2v_v30_1080p", "jimeng_i2v_first_v30_1080", "jimeng_i2v_first_tail_v30_1080"],
        ),
        ("jimeng_i2v_first_v30", "720p", [None, "jimeng_i2v_first_v30", None]),
        ("jimeng_i2v_first_v30_1080", "1080p", [None, "jimeng_i2v_first_v30_1080", None]),
        ("jimeng_i2v_first_tail_v30", "720p", [None, None, "jimeng_i2v_first_tail_v30"]),
        ("jimeng_i2v_first_tail_v30_1080", "1080p", [None, None, "jimeng_i2v_first_tail_v30_1080"]),
    ],
)
async def test_each_film_model_has_one_resolution_and_its_pictures(
    model: str, resolution: str, req_keys: list[str | None]
) -> None:
    other = "720p" if resolution == "1080p" else "1080p"
    for count, req_key in enumerate(req_keys):
        pictures = [frame(number=number) for number in range(count)]
        if req_key is None:
            await refused("inputs", model, pictures, prompt="a fox", resolution=resolution)
        else:
            assert (await body(model, pictures, prompt="a fox", resolution=resolution))["req_key"] == req_key
            await refused("resolution", model, pictures, prompt="a fox", resolution=other)
            await refused("resolution", model, pictures, prompt="a fox", resolution="480p")


@pytest.mark.parametrize("duration", [4, 6, 15, 5.5, "5"])
async def test_duration_is_never_rounded(duration: object) -> None:
    await refused("duration", PRO, prompt="a fox", duration=duration)


async def test_film_without_prompt_or_picture_is_refused() -> None:
    await refused("prompt", PRO)
    await refused("prompt", PRO, prompt="狐" * 801)
    await refused("ratio", PRO, prompt="a fox", ratio="2:1")


async def test_frames_that_cannot_be_placed_are_refused() -> None:
    await refused("inputs[0]", PRO, [frame("last_frame")], prompt="a fox")
    await refused("inputs[1]", PRO, [frame("last_frame"), frame("last_frame")], prompt="a fox")
    await refused("inputs[2]", PRO, [frame(), frame(), frame()], prompt="a fox")
    await refused("inputs[0]", PRO, [frame(size=(319, 640))], prompt="a fox")
    film = BytesSource(b"\0\0\0\x18ftypisom", mime_type="video/mp4", role="reference", link=LINK)
    await refused("inputs[0]", PRO, [film], prompt="a fox")


async def test_frames_go_as_bytes_when_one_has_no_link() -> None:
    sent = await body(PRO, [frame(), source(role="last_frame", size=(640, 360))], prompt="a fox")
    assert "image_urls" not in sent
    assert len(sent["binary_data_base64"]) == 2
