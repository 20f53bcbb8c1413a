"""The open contract's request in the house's words, and wrong ones refused by the contract's names."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from atelier.common.v1 import money_pb2
from catalog import ParametersInvalid, load
from edge.backend import FETCH_TIMEOUT_S, SUBMIT_TIMEOUT_S, submit_timeout_s
from edge.open import requests
from kit.errors import AppError, InvalidArgument, ModelUnknown

CATALOG = Path(__file__).parents[3] / "deploy" / "catalog"
URL = "https://aigc.example.com"


def translate(**body: Any) -> requests.Translated:
    return requests.translate_job({"capability": "image.generate"} | body, idempotency_key="k", public_url=URL)


def test_documented_image_request_is_translated() -> None:
    translated = translate(
        prompt="参考 @图片1 的风格",
        imageUrls=["https://example.com/reference.png"],
        width=1440,
        height=2560,
        scale=50,
        quality="medium",
        force_single=True,
        webhookUrl="https://example.com/zhinian/webhook",
    )
    request = translated.request
    assert (request.model, request.contract, request.idempotency_key) == ("image.generate", "open", "k")
    assert orjson.loads(request.parameters_json) == {
        "prompt": "参考 @图片1 的风格",
        "width": 1440,
        "height": 2560,
        "scale": 50,
        "quality": "medium",
        "force_single": True,
    }
    assert [(one.role, one.url) for one in request.inputs] == [("reference", "https://example.com/reference.png")]


def test_price_of_a_request_may_be_promised_and_capped() -> None:
    request = translate(prompt="p", quoteId="abc", maxCost={"fen": 30}).request
    assert (request.quote_id, request.max_cost.unit, request.max_cost.value) == ("abc", money_pb2.UNIT_FEN, 30)
    plain = translate(prompt="p", quoteId=None, maxCost=None).request
    assert (plain.quote_id, plain.HasField("max_cost")) == ("", False)
    assert [translate(prompt="p").field_in_contract(name) for name in ("quote_id", "max_cost")] == [
        "quoteId",
        "maxCost",
    ]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"gold": 1}, "maxCost"),
        ({"fen": 1, "points": 1}, "maxCost"),
        ({"fen": -1}, "maxCost.fen"),
        ({"fen": 1.5}, "maxCost.fen"),
        ({"fen": True}, "maxCost.fen"),
        ({"fen": 10**13}, "maxCost.fen"),
        ([1], "maxCost"),
    ],
)
def test_wrong_cap_is_refused_by_name(wrong: Any, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        translate(prompt="p", maxCost=wrong)
    assert caught.value.field == field


def test_quote_takes_the_body_of_the_job_without_a_promise() -> None:
    body = {"capability": "image.generate", "prompt": "p", "webhookUrl": "https://e.com/"}
    assert requests.translate_quote(body, public_url=URL).request.model == "image.generate"
    with pytest.raises(InvalidArgument) as caught:
        requests.translate_quote({**body, "quoteId": "abc"}, public_url=URL)
    assert caught.value.field == "quoteId"


def test_upscale_takes_what_the_engine_can_beside_the_size() -> None:
    wishes = {
        "scale": 2,
        "prompt": "sharp",
        "negativePrompt": "噪点",
        "sNoise": 1.05,
        "steps": 40,
        "highFidelity": False,
        "strongInpaint": True,
        "strongInpaintIntensity": 0.7,
        "seed": 3,
    }

    translated = translate(capability="image.upscale", imageUrls=["https://example.com/a.png"], **wishes)

    parameters = orjson.loads(translated.request.parameters_json)
    house = "scale prompt negative_prompt s_noise steps high_fidelity strong_inpaint strong_inpaint_intensity seed"
    assert parameters == dict(zip(house.split(), wishes.values(), strict=True))
    [model] = [model for model in load(CATALOG).offered("open") if model.name == "image.upscale"]
    assert model.validate(parameters) == parameters
    with pytest.raises(ParametersInvalid):
        model.validate({"s_noise": 1.2})
    assert translated.field_in_contract("parameters.strong_inpaint_intensity") == "strongInpaintIntensity"


def test_documented_inpaint_request_names_its_mask() -> None:
    translated = translate(
        capability="image.inpaint", prompt="p", imageUrls=["https://e.com/a.png", "https://e.com/m.png"]
    )
    assert [one.role for one in translated.request.inputs] == ["image", "mask"]


def test_documented_video_request_is_flattened() -> None:
    translated = translate(
        capability="video.generate",
        prompt="p",
        settings={"ratio": "9:16", "duration": 5, "resolution": "720p"},
        materials=[{"type": "image", "url": "https://example.com/product.png", "label": "@图片1"}],
    )
    assert orjson.loads(translated.request.parameters_json) == {
        "prompt": "p",
        "ratio": "9:16",
        "duration": 5,
        "resolution": "720p",
    }
    (material,) = translated.request.inputs
    assert (material.role, material.label) == ("reference", "@图片1")
    assert translated.field_in_contract("parameters.duration") == "settings.duration"
    assert translated.field_in_contract("inputs[0]") == "materials[0].url"


def test_links_of_ours_become_assets() -> None:
    translated = translate(
        imageUrls=[f"{URL}/api/v1/assets/asset_1/download", "https://other.example/api/v1/assets/x/download"]
    )
    first, second = translated.request.inputs
    assert (first.asset_id, first.url) == ("asset_1", "")
    assert (second.asset_id, second.url) == ("", "https://other.example/api/v1/assets/x/download")


def test_inputs_keep_the_contract_order_and_names() -> None:
    translated = translate(inputAssetIds=["asset_1"], inputUrls=["https://e.com/1"], imageUrls=["https://e.com/2"])
    names = [translated.field_in_contract(f"inputs[{index}]") for index in range(3)]
    assert names == ["inputAssetIds[0]", "inputUrls[0]", "imageUrls[0]"]


@pytest.mark.parametrize(
    ("house", "contract"),
    [
        ("parameters.width", "width"),
        ("parameters.negative_prompt", "negativePrompt"),
        ("parameters.force_single", "force_single"),
        ("webhook_url", "webhookUrl"),
        ("model", "capability"),
        ("inputs.reference", "imageUrls"),
        ("idempotency_key", "Idempotency-Key"),
    ],
)
def test_refusals_are_worded_with_the_contract_names(house: str, contract: str) -> None:
    assert translate(prompt="p").field_in_contract(house) == contract


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"capability": 7}, "capability"),
        ({"capability": None}, "capability"),
        ({"prompt": "p", "unknown": 1}, "unknown"),
        ({"imageUrls": "https://e.com/x"}, "imageUrls"),
        ({"imageUrls": [1]}, "imageUrls"),
        ({"imageUrls": [""]}, "imageUrls[0]"),
        ({"imageUrls": ["https://e.com/" + "x" * 2048]}, "imageUrls[0]"),
        ({"imageUrls": ["https://e.com/x"] * 17}, "imageUrls"),
        ({"imageUrls": ["u"] * 10, "inputUrls": ["u"] * 10}, "imageUrls[6]"),
        ({"inputAssetIds": [""]}, "inputAssetIds[0]"),
        ({"webhookUrl": 5}, "webhookUrl"),
        ({"settings": []}, "settings"),
        ({"settings": {"speed": 1}}, "settings.speed"),
        ({"materials": [{"type": "image"}]}, "materials[0].url"),
        ({"materials": [{"type": "smell", "url": "u"}]}, "materials[0].type"),
        ({"materials": [{"type": "image", "url": "u", "x": 1}]}, "materials[0].x"),
    ],
)
def test_wrong_body_is_refused_by_name(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        translate(**body)
    assert caught.value.field == field
    assert field.split("[", maxsplit=1)[0] in caught.value.message


def test_unknown_capability_lists_the_known_ones() -> None:
    with pytest.raises(ModelUnknown, match=r"image\.generate") as caught:
        translate(capability="image.teleport")
    assert caught.value.field == "capability"


@pytest.mark.parametrize(("header", "key"), [(None, ""), ("k1", "k1"), ('"k 1"', "k 1"), (" k ", "k"), ('"', '"')])
def test_idempotency_key_is_taken_bare_or_quoted(header: str | None, key: str) -> None:
    assert requests.read_idempotency_key(header) == key


@pytest.mark.parametrize("header", ["", '""', "x" * 256, "schlüssel", "a\tb"])
def test_wrong_idempotency_key_is_refused(header: str) -> None:
    with pytest.raises(InvalidArgument):
        requests.read_idempotency_key(header)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-01T00:00:00Z", 1767225600),
        ("2026-01-01T08:00:00+08:00", 1767225600),
        ("2026-01-01T08:00:00 08:00", 1767225600),
        ("2026-01-01T00:00:00", 1767225600),
        ("2026-01-01", 1767225600),
    ],
)
def test_before_is_an_iso_time(text: str, seconds: int) -> None:
    assert requests.read_before(text).seconds == seconds


@pytest.mark.parametrize("text", ["", "yesterday", "0001-01-01T00:00:00+14:00", "2026-13-01", "9999999999"])
def test_wrong_before_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        requests.read_before(text)


@pytest.mark.parametrize("text", ["0", "201", "-1", "1.0", "１", "", "x", "1000"])
def test_wrong_limit_is_refused(text: str) -> None:
    with pytest.raises(AppError):
        requests.read_limit(text)


def test_only_a_submit_with_urls_may_wait_for_a_fetch() -> None:
    plain, linked = translate(prompt="p"), translate(prompt="p", imageUrls=["https://e.com/a.png"])
    assert submit_timeout_s(plain.request) == SUBMIT_TIMEOUT_S
    assert submit_timeout_s(linked.request) == SUBMIT_TIMEOUT_S + FETCH_TIMEOUT_S
