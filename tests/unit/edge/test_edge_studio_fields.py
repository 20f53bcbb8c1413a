"""Every parameter of the studio document: its range, its default, its spelling on the wire, its refusal."""

from io import BytesIO
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from starlette.datastructures import FormData, UploadFile

from catalog import load
from edge.studio_fields import ENDPOINTS, Endpoint, read_parameters
from kit.errors import InvalidArgument

CATALOG = Path(__file__).parents[3] / "deploy" / "catalog"
BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}
REDRAW = {
    "sdxl_model_dropdown": "通用模型",
    "style_dropdown": "通用风格",
    "upscale": "1.0",
    "s_noise": "1.003",
    "steps": "30",
    "high_fidelity": "False",
    "strong_inpaint": "False",
}
SHARES = {"expand_top": 0.0, "expand_bottom": 0.0, "expand_left": 0.0, "expand_right": 0.0}
#: The least that each endpoint takes, and the parameters it means.
DEFAULTS: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    (
        "submit_task",
        REDRAW,
        {
            "sdxl_model_dropdown": "通用模型",
            "style_dropdown": "通用风格",
            "upscale": 1.0,
            "s_noise": 1.003,
            "steps": 30.0,
            "high_fidelity": False,
            "strong_inpaint": False,
            "strong_inpaint_intensity": 0.5,
            "prompt": "",
            "neg_prompt": "",
            "vector_switch": False,
            "color_count": 5,
            "auto_generate_prompt": False,
        },
    ),
    ("submit_vector_task", {}, {"color_count": 5}),
    ("submit_face_enhance_task", {}, {}),
    ("submit_seamless_task", {}, {"fit": 0.5, "direction": 0, **SHARES}),
    ("submit_remove_fabric_task", {}, {}),
    ("submit_edit_image_task", {"prompt": "水彩画"}, {"prompt": "水彩画", "model_version": "v1"}),
    ("submit_extract_pattern_task", {}, {"aspect_ratio": "1:1"}),
    ("submit_remove_diamonds_task", {}, {}),
    ("submit_expand_image_task", {}, {**SHARES, "prompt": ""}),
    ("submit_remove_watermark_task", {}, {}),
]
RANGES = [
    ("submit_task", "upscale", 1, 8),
    ("submit_task", "s_noise", 1, 1.1),
    ("submit_task", "steps", 20, 40),
    ("submit_task", "strong_inpaint_intensity", 0, 1),
    ("submit_task", "color_count", 2, 16),
    ("submit_vector_task", "color_count", 2, 16),
    ("submit_seamless_task", "fit", 0.1, 0.9),
    ("submit_seamless_task", "direction", 0, 2),
    *(("submit_seamless_task", name, 0.0, 0.3) for name in SHARES),
    *(("submit_expand_image_task", name, 0.0, 0.3) for name in SHARES),
]
WHOLE = {"color_count", "direction"}
SWITCHES = ["high_fidelity", "strong_inpaint", "vector_switch", "auto_generate_prompt"]


def read(endpoint: str, **fields: str) -> dict[str, Any]:
    least = {name: form for name, form, _ in DEFAULTS}[endpoint]
    return read_parameters(BY_NAME[endpoint], FormData({**least, **fields}))


def refused(endpoint: str, **fields: str) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as refusal:
        read(endpoint, **fields)
    return refusal.value


def test_the_documents_ten_endpoints_are_all_there() -> None:
    assert [endpoint.name for endpoint in ENDPOINTS] == [name for name, _, _ in DEFAULTS]


@pytest.mark.parametrize(("endpoint", "form", "parameters"), DEFAULTS, ids=[name for name, _, _ in DEFAULTS])
def test_what_is_left_out_has_the_documents_default(
    endpoint: str, form: dict[str, str], parameters: dict[str, Any]
) -> None:
    assert read_parameters(BY_NAME[endpoint], FormData(form)) == parameters


@pytest.mark.parametrize("name", [*REDRAW])
@pytest.mark.parametrize("empty", [False, True], ids=["absent", "empty"])
def test_required_field_of_the_redraw_is_missed_by_name(name: str, empty: bool) -> None:
    form = {**REDRAW, name: ""} if empty else {key: value for key, value in REDRAW.items() if key != name}
    with pytest.raises(InvalidArgument) as refusal:
        read_parameters(BY_NAME["submit_task"], FormData(form))
    assert refusal.value.field == name


@pytest.mark.parametrize("prompt", [None, "", "  "])
def test_edit_without_an_instruction_is_refused(prompt: str | None) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        read_parameters(BY_NAME["submit_edit_image_task"], FormData({} if prompt is None else {"prompt": prompt}))
    assert refusal.value.field == "prompt"


@pytest.mark.parametrize(("endpoint", "name", "low", "high"), RANGES)
def test_limits_are_inside_of_the_range(endpoint: str, name: str, low: float, high: float) -> None:
    assert read(endpoint, **{name: str(low)})[name] == low
    assert read(endpoint, **{name: str(high)})[name] == high


@pytest.mark.parametrize(("endpoint", "name", "low", "high"), RANGES)
@pytest.mark.parametrize("value", ["below", "above", "nan", "inf", "-inf", "1e999", "abc", "1,5", "0x1", "١", "--1"])
def test_number_outside_of_its_range_is_refused_with_the_range(
    endpoint: str, name: str, low: float, high: float, value: str
) -> None:
    step = 1 if name in WHOLE else 0.001
    text = {"below": str(low - step), "above": str(high + step)}.get(value, value)

    refusal = refused(endpoint, **{name: text})

    assert refusal.field == name
    sentence = f"{name}必须在{low}-{high}之间"
    assert refusal.message == (f"扩展参数错误:{sentence}" if name.startswith("expand_") else sentence)


def test_the_documents_sentence_for_the_expand_parameters_is_kept_to_the_letter() -> None:
    refusal = refused("submit_expand_image_task", expand_left="0.31")
    assert refusal.message.encode() == "扩展参数错误:expand_left必须在0.0-0.3之间".encode()
    assert refusal.message[6] == "\x3a"  # The document's colon is the narrow one.


@pytest.mark.parametrize(
    ("text", "number"),
    [("2", 2.0), ("2.0", 2.0), (" 2.5 ", 2.5), ("+3", 3.0), ("2.", 2.0), ("1.0029999999999999", 1.0029999999999999)],
)
def test_number_is_read_as_languages_write_it(text: str, number: float) -> None:
    assert read("submit_task", upscale=text)["upscale"] == number


def test_tiny_share_in_pythons_spelling_is_read() -> None:
    assert read("submit_expand_image_task", expand_top=str(0.00001))["expand_top"] == 0.00001


@pytest.mark.parametrize(("endpoint", "name"), [("submit_vector_task", "color_count"), ("submit_seamless_task", "fit")])
def test_only_whole_numbers_are_integers(endpoint: str, name: str) -> None:
    if name in WHOLE:
        assert refused(endpoint, **{name: "2.5"}).field == name
        assert read(endpoint, **{name: "3.0"})[name] == 3
    else:
        assert read(endpoint, **{name: "0.25"})[name] == 0.25


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize(
    ("text", "value"),
    [("True", True), ("true", True), ("1", True), ("False", False), ("false", False), ("0", False)],
)
def test_switch_is_read_in_every_spelling(name: str, text: str, value: bool) -> None:
    assert read("submit_task", **{name: text})[name] is value


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("text", ["yes", "TRUE", "2", "on", "None"])
def test_other_words_are_no_switch(name: str, text: str) -> None:
    assert refused("submit_task", **{name: text}).field == name


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_both_model_versions_are_taken(version: str) -> None:
    assert read("submit_edit_image_task", model_version=version)["model_version"] == version


@pytest.mark.parametrize("version", ["v3", "V2", "1"])
def test_other_model_versions_are_refused(version: str) -> None:
    assert refused("submit_edit_image_task", model_version=version).field == "model_version"


@pytest.mark.parametrize("ratio", ["1:1", "4:3", "16:9", "9:16", "21:9"])
def test_ratios_are_taken(ratio: str) -> None:
    assert read("submit_extract_pattern_task", aspect_ratio=ratio)["aspect_ratio"] == ratio


@pytest.mark.parametrize(
    "ratio", ["wide", "1", "1:", "0:1", "1:0", "100:1", "1:1:1", "-1:1", "1.5:1", "１:1", "1:1\n2"]
)
def test_other_ratios_are_refused(ratio: str) -> None:
    assert refused("submit_extract_pattern_task", aspect_ratio=ratio).field == "aspect_ratio"


RATIOS = [(one, other) for one in range(1, 101) for other in range(1, 101)]


def no_longer_strip(one: int, other: int) -> bool:
    return max(one, other) <= 99 and max(one, other) <= 4 * min(one, other)


def test_ratios_that_no_engine_takes_are_refused_at_the_door() -> None:
    """The built-in engine refuses a side of more than four times the other: the price was taken for nothing."""
    endpoint = BY_NAME["submit_extract_pattern_task"]
    for one, other in RATIOS:
        form = FormData({"aspect_ratio": f"{one}:{other}"})
        if no_longer_strip(one, other):
            assert read_parameters(endpoint, form) == {"aspect_ratio": f"{one}:{other}"}
            continue
        with pytest.raises(InvalidArgument) as refusal:
            read_parameters(endpoint, form)
        assert (refusal.value.field, refusal.value.message) == ("aspect_ratio", "参数取值错误")


def test_the_catalogue_refuses_the_same_ratios() -> None:
    [model] = [model for model in load(CATALOG).offered("studio") if model.name == "studio.extract_pattern"]
    rule = jsonschema_rs.Draft202012Validator(model.schema["properties"]["aspect_ratio"])
    for one, other in RATIOS:
        assert rule.is_valid(f"{one}:{other}") == no_longer_strip(one, other), (one, other)


@pytest.mark.parametrize("text", ["山" * 4001, "a\x00b"], ids=["long", "NUL"])
def test_text_that_no_engine_takes_is_refused(text: str) -> None:
    assert refused("submit_expand_image_task", prompt=text).field == "prompt"


def test_a_file_in_place_of_a_text_is_refused() -> None:
    form = FormData({"color_count": UploadFile(BytesIO(b"5"), filename="5.txt")})
    with pytest.raises(InvalidArgument) as refusal:
        read_parameters(BY_NAME["submit_vector_task"], form)
    assert refusal.value.field == "color_count"


def test_fields_nobody_knows_are_passed_over() -> None:
    assert read("submit_vector_task", colour="red") == {"color_count": 5}


def _sentences(endpoint: Endpoint) -> tuple[bool, bool]:
    return endpoint.limited, any(sentence.startswith("扩展") for sentence in endpoint.sentences)


def test_files_are_limited_where_the_document_says_so() -> None:
    limited = {endpoint.name for endpoint in ENDPOINTS if _sentences(endpoint)[0]}
    assert limited == {"submit_remove_fabric_task", "submit_expand_image_task", "submit_remove_watermark_task"}
    assert [endpoint.name for endpoint in ENDPOINTS if _sentences(endpoint)[1]] == ["submit_expand_image_task"]
