"""The catalogue refuses what cannot work, and names every fault."""

from pathlib import Path

import pytest

from catalog import CatalogInvalid, load

GOOD = """
models:
  - name: m
    capability: image.generate
    title: t
    price: [{count: 1}, {fen: 30}]
    required: [prompt]
    parameters:
      prompt: {type: string, minLength: 1, maxLength: 5}
      num: {type: integer, minimum: 1, maximum: 6, default: 1}
    outputs_parameter: num
    inputs: [{role: image, min: 1}]
    routes: [{provider: local, upstream_model: x, parameters: {text: $prompt, n: $num, fixed: 7}}]
"""


def write(folder: Path, text: str) -> Path:
    (folder / "a.yaml").write_text(text, encoding="utf-8")
    return folder


def test_shipped_catalogue_is_valid() -> None:
    catalog = load(Path(__file__).resolve().parents[3] / "deploy" / "catalog")
    assert {"image.generate", "image.upscale", "image.inpaint", "video.generate"} <= set(catalog.models)


def test_model_is_read_whole(tmp_path: Path) -> None:
    model = load(write(tmp_path, GOOD)).models["m"]
    assert [(option.unit, option.amount) for option in model.price] == [("count", 1), ("fen", 30)]
    assert model.outputs({"num": 3}) == 3
    assert model.routes[0].map_parameters({"prompt": "p"}) == {"text": "p", "fixed": 7}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("price: [{count: 1}, {fen: 30}]", "price: [{count: -1}]", "must not be negative"),
        ("price: [{count: 1}, {fen: 30}]", "price: [{count: 1.5}]", "whole number"),
        ("price: [{count: 1}, {fen: 30}]", "price: [{gold: 1}]", "unit must be one of"),
        ("price: [{count: 1}, {fen: 30}]", "price: []", "price"),
        ("text: $prompt", "text: $promt", "'promt' is not one of the parameters"),
        ("outputs_parameter: num", "outputs_parameter: nmu", "'nmu' is not one of the parameters"),
        ("default: 1", "default: 9", "the default of 'num'"),
        ("type: integer, minimum", "type: intger, minimum", "not a JSON Schema"),
        ("min: 1}", "min: 3}", "need 0 <= min <= max"),
        ("title: t", "titel: t", "title"),
        ("models:", "models: [", "not YAML"),
    ],
)
def test_load_names_the_fault_when_a_file_is_wrong(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    with pytest.raises(CatalogInvalid, match=r"a\.yaml") as caught:
        load(write(tmp_path, GOOD.replace(old, new)))
    assert expected in str(caught.value)


def test_load_refuses_a_model_defined_twice(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "b.yaml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(CatalogInvalid, match="defined twice"):
        load(tmp_path)


def test_load_refuses_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(CatalogInvalid, match=r"no \*\.yaml"):
        load(tmp_path)
