"""Graphs from files: places, defaults, which graph takes which inputs, and what an order needs of one."""

import io
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from provider_adapter.domain import Outcome
from provider_adapter.providers.comfyui import mapping
from provider_adapter.providers.comfyui.graphs import Graph, PlaceEmpty, read_graphs
from provider_adapter.providers.comfyui.provider import SHIPPED, id_of
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.trouble import Trouble
from testkit.providers.trials import source


def graph(**inputs: Any) -> Graph:
    return Graph.of("g", {"1": {"class_type": "Node", "inputs": inputs}})


def filled(one: Graph, **values: Any) -> Any:
    return one.filled(values)["1"]["inputs"]


def test_place_alone_keeps_its_type_and_inside_a_text_it_is_written_out() -> None:
    one = graph(seed="{{seed}}", text="a {{prompt}}, {{seed}}", link=["4", 0], steps="{{steps=20}}", on=True)
    assert filled(one, seed=7, prompt="fox") == {
        "seed": 7,
        "text": "a fox, 7",
        "link": ["4", 0],
        "steps": 20,
        "on": True,
    }
    assert one.places == {"seed", "prompt", "steps"}
    assert one.required == {"seed", "prompt"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("{{a=}}", ""), ("{{a=euler}}", "euler"), ("{{a=8.0}}", 8.0), ('{{a="8"}}', "8"), ("{{a=[1, 2]}}", [1, 2])],
)
def test_default_is_json_or_a_text(text: str, value: Any) -> None:
    assert filled(graph(a=text))["a"] == value


def test_value_is_never_looked_through_for_places() -> None:
    one = graph(text="{{prompt}}", other="so: {{prompt}}", secret="{{checkpoint}}")
    made = filled(one, prompt="{{checkpoint}} {{seed}}", checkpoint="c")
    assert made == {"text": "{{checkpoint}} {{seed}}", "other": "so: {{checkpoint}} {{seed}}", "secret": "c"}


def test_place_without_value_and_default_is_named() -> None:
    with pytest.raises(PlaceEmpty) as caught:
        filled(graph(a="{{checkpoint}}"))
    assert caught.value.name == "checkpoint"


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"nodes": [], "links": []},
        {"1": "node"},
        {"1": {"inputs": {}}},
        {"1": {"class_type": "Node"}},
        {"1": {"class_type": "Node", "inputs": []}},
    ],
)
def test_document_that_is_no_graph_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"graph|node|API"):
        Graph.of("g", document)


def test_own_graph_stands_before_the_shipped_one_and_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "txt2img.json").write_bytes(orjson.dumps({"9": {"class_type": "Mine", "inputs": {}}}))
    graphs = read_graphs(SHIPPED, tmp_path)
    assert set(graphs) == {"txt2img", "img2img", "inpaint", "upscale"}
    assert graphs["txt2img"].nodes["9"]["class_type"] == "Mine"
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match=r"bad\.json"):
        read_graphs(tmp_path)
    with pytest.raises(ValueError, match="not a folder"):
        read_graphs(tmp_path / "none")


def test_first_graph_that_takes_exactly_the_inputs_is_chosen() -> None:
    graphs = read_graphs(SHIPPED)
    reference, image, mask = source(role="reference"), source(), source(role="mask")
    names = "txt2img, img2img, inpaint"
    assert mapping.choose(names, graphs, []).name == "txt2img"
    assert mapping.choose(names, graphs, [reference]).name == "img2img"
    assert mapping.choose(names, graphs, [mask, image]).name == "inpaint"
    second = source(role="reference")
    second.field = "inputs[1]"
    for wanted, inputs, field in (("img2img", [reference, second], "inputs[1]"), ("inpaint", [image], "inputs")):
        with pytest.raises(Refused) as caught:
            mapping.choose(wanted, graphs, inputs)
        assert caught.value.failed.failure.field == field
    with pytest.raises(Refused) as caught:
        mapping.choose("txt2img,missing", graphs, [])
    assert caught.value.failed.outcome is Outcome.ROUTE_FAILED


def test_second_input_of_a_role_has_its_number() -> None:
    first, image, second = source(role="reference"), source(), source(role="reference")
    assert mapping.input_places([first, image, second]) == {"reference": first, "image": image, "reference_2": second}


def test_turned_photograph_has_the_sides_that_are_seen() -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(buffer, "JPEG", exif=exif)
    assert mapping.size_of(buffer.getvalue(), "inputs[0]") == (20, 40)
    with pytest.raises(Refused) as caught:
        mapping.size_of(b"no picture", "inputs[3]")
    assert caught.value.failed.failure.field == "inputs[3]"


def test_task_id_is_a_uuid_that_follows_from_the_attempt() -> None:
    assert id_of("att_1") == id_of("att_1") != id_of("att_2")
    assert id_of("att_1") == id_of("att_1").lower()
    assert len(id_of("att_1")) == 36


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        ({"messages": [["execution_interrupted", {"node_id": "5"}]]}, Trouble.CANCELLED),
        ({"messages": [["execution_error", {"exception_type": "OutOfMemoryError"}]]}, Trouble.BROKEN),
        ({"messages": [["execution_start", {}], "nonsense", ["execution_error"]]}, Trouble.BROKEN),
        ({}, Trouble.BROKEN),
    ],
)
def test_what_the_history_says_has_a_class(status: Any, trouble: Trouble) -> None:
    assert mapping.trouble_of_entry(status)[0] is trouble


def test_previews_are_results_only_where_there_is_nothing_else() -> None:
    saved = {"filename": "a.png", "subfolder": "s", "type": "output"}
    shown = {"filename": "b.png", "subfolder": "", "type": "temp"}
    assert mapping.files_of({"3": {"images": [shown]}, "7": {"images": [saved], "text": ["x"]}}) == [saved]
    assert mapping.files_of({"3": {"images": [shown]}}) == [shown]
    assert mapping.files_of(None) == []
