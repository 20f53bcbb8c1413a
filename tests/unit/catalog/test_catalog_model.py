"""What the catalogue says of a request."""

import pytest

from catalog import InputRule, Model, ParametersInvalid, PriceRule, RouteRule

MODEL = Model(
    name="m",
    capability="image.generate",
    title="t",
    schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["prompt"],
        "properties": {
            "prompt": {"type": "string", "minLength": 1, "maxLength": 5},
            "width": {"type": "integer", "minimum": 64, "maximum": 4096, "default": 1024},
        },
    },
    inputs=(InputRule(role="image", minimum=1, maximum=2), InputRule(role="mask")),
    price=(PriceRule(unit="points", amount=30),),
    routes=(RouteRule(provider="local", upstream_model="x"),),
)


def test_defaults_are_filled_and_keys_sorted() -> None:
    assert list(MODEL.validate({"prompt": "猫"}).items()) == [("prompt", "猫"), ("width", 1024)]


def test_whole_float_becomes_an_integer() -> None:
    width = MODEL.validate({"prompt": "a", "width": 512.0})["width"]
    assert width == 512
    assert isinstance(width, int)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "secret prompt"}, "prompt"),
        ({"prompt": 1}, "prompt"),
        ({"prompt": "a", "width": -1}, "width"),
        ({"prompt": "a", "width": True}, "width"),
        ({"prompt": "a", "width": "64"}, "width"),
        ({"prompt": "a", "wdith": 64}, "wdith"),
    ],
)
def test_fault_names_the_field_and_not_the_value(parameters: dict[str, object], field: str) -> None:
    with pytest.raises(ParametersInvalid) as caught:
        MODEL.validate(parameters)
    assert caught.value.field == field
    assert field in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("roles", "field"),
    [
        ([], "image"),
        (["image"] * 3, "image"),
        (["image", "video"], "video"),
        (["image", "mask", "mask"], "mask"),
    ],
)
def test_inputs_are_counted_by_role(roles: list[str], field: str) -> None:
    with pytest.raises(ParametersInvalid) as caught:
        MODEL.check_inputs(roles)
    assert caught.value.field == field


def test_inputs_that_fit_pass() -> None:
    MODEL.check_inputs(["image", "mask", "image"])


def test_moderated_texts_skip_what_is_absent() -> None:
    assert MODEL.moderated_texts({"prompt": "a", "negative_prompt": ""}) == [("prompt", "a")]
