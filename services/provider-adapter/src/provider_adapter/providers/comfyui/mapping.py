"""Our parameters to the places of a graph, and ComfyUI's words to ours."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from PIL import Image

from imageops import ImageRefused, probe
from provider_adapter.ports import Source, Task
from provider_adapter.providers.comfyui.graphs import Graph
from provider_adapter.providers.remote import shapes
from provider_adapter.providers.remote.provider import Refused
from provider_adapter.providers.remote.trouble import Trouble

SEEDS: Final = 1 << 64  # KSampler's seeds.
STEP_PX: Final = 8  # Of a latent picture's sides.
SIDE_PX_MIN, SIDE_PX_MAX = 16, 16_384  # Of a latent picture's sides.
LONG_SIDES_PX: Final = {"2k": 2048, "4k": 4096, "8k": 8192}  # As the contracts promise.
FACTOR_DEFAULT: Final = 2  # Of image.upscale, when neither a factor nor a size is ordered.

#: What is ordered with each, and the places of a graph that obey. A graph that has none of them gives something else.
_ORDERED: Final = {
    "width": frozenset({"width", "latent_width"}),
    "height": frozenset({"height", "latent_height"}),
    "resolution": frozenset({"resolution", "target_width", "target_height"}),
    "ratio": frozenset({"ratio"}),
    "duration": frozenset({"duration"}),
}
_TURNED: Final = frozenset({5, 6, 7, 8})  # EXIF orientations that swap the sides; LoadImage obeys them.
_EXIF_ORIENTATION: Final = 0x0112


def choose(names: str, graphs: Mapping[str, Graph], inputs: Sequence[Source]) -> Graph:
    """The first of the comma-separated graphs that takes exactly these inputs. Raises Refused."""
    given = frozenset(input_places(inputs))
    wanted = [name.strip() for name in names.split(",")]
    if not graphs.keys() >= set(wanted):
        raise Refused(Trouble.UNSUPPORTED, "The route names a graph that is not there.")
    candidates = [graphs[name] for name in wanted]
    for graph in candidates:
        if graph.takes(given):
            return graph
    last = candidates[-1]
    for place, source in input_places(inputs).items():
        if place not in last.inputs:
            raise Refused(Trouble.UNSUPPORTED, "This input is not used.", field=source.field)
    raise Refused(Trouble.UNSUPPORTED, "An input is missing.", field="inputs")


def input_places(inputs: Sequence[Source]) -> dict[str, Source]:
    """Each input by its place: its role, from the second of a role on with its number."""
    places: dict[str, Source] = {}
    for source in inputs:
        alike = sum(each.role == source.role for each in places.values())
        places[f"{source.role}_{alike + 1}" if alike else source.role] = source
    return places


def values(task: Task, graph: Graph, files: Mapping[str, str], image_size: tuple[int, int] | None) -> dict[str, Any]:
    """What to fill in: `files` are the uploaded inputs by place, `image_size` is that of the input `image`.

    Raises Refused for an order that the graph cannot obey.
    """
    for name, places in _ORDERED.items():
        if task.parameters.get(name) is not None and not places & graph.places:
            raise Refused(Trouble.UNSUPPORTED, f"{name} cannot be chosen here.", field=name)
    filled: dict[str, Any] = {
        name: value for name, value in task.parameters.items() if name != "extra" and value is not None
    }
    filled["seed"] = task.seed % SEEDS
    for side in ("width", "height"):
        pixels = shapes.whole(filled, side)
        if pixels is not None:
            filled[side] = pixels
            filled[f"latent_{side}"] = _latent(pixels, side)
    if image_size is not None:
        filled["image_width"], filled["image_height"] = image_size
        if {"target_width", "target_height"} & graph.places:
            filled["target_width"], filled["target_height"] = _target(image_size, task.parameters)
    filled.update(files)
    return filled


def needs_image_size(graph: Graph) -> bool:
    """Whether the graph asks how large the input `image` is."""
    return bool({"target_width", "target_height", "image_width", "image_height"} & graph.places)


def size_of(data: bytes, field: str) -> tuple[int, int]:
    """Width and height as LoadImage gives them; takes about a millisecond. Raises Refused."""
    try:
        header = probe(data)
    except ImageRefused as error:
        raise Refused(Trouble.INVALID, "The picture cannot be read.", field=field) from error
    with Image.open(io.BytesIO(data)) as image:
        turned = image.getexif().get(_EXIF_ORIENTATION) in _TURNED
    return (header.height, header.width) if turned else (header.width, header.height)


def _latent(side: int, name: str) -> int:
    """The nearest size that a model can draw; the graph cuts the picture to the size ordered."""
    nearest = math.floor(side / STEP_PX + 0.5) * STEP_PX
    if not SIDE_PX_MIN <= nearest <= SIDE_PX_MAX:
        raise Refused(Trouble.UNSUPPORTED, f"{name} is from {SIDE_PX_MIN} to {SIDE_PX_MAX} pixels.", field=name)
    return nearest


def _target(size: tuple[int, int], parameters: Mapping[str, Any]) -> tuple[int, int]:
    resolution, factor = parameters.get("resolution"), parameters.get("scale", FACTOR_DEFAULT)
    field = "scale"
    if resolution is not None:
        field = "resolution"
        if resolution not in LONG_SIDES_PX:
            raise Refused(Trouble.UNSUPPORTED, f"resolution is one of {', '.join(LONG_SIDES_PX)}.", field=field)
        factor = LONG_SIDES_PX[resolution] / max(size)
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not factor > 0:
        raise Refused(Trouble.UNSUPPORTED, "A factor is needed.", field=field)
    if resolution is not None and factor < 1:
        raise Refused(Trouble.UNSUPPORTED, "The picture is larger already.", field=field)
    width, height = (max(1, math.floor(side * factor + 0.5)) for side in size)
    if max(width, height) > SIDE_PX_MAX:
        raise Refused(Trouble.UNSUPPORTED, f"The result's sides are at most {SIDE_PX_MAX} pixels.", field=field)
    return width, height


def trouble_of_entry(status: Mapping[str, Any]) -> tuple[Trouble, str]:
    """Why a task of the history has no success, and the server's own words for the log."""
    for event, data in reversed(_messages(status)):
        if event == "execution_interrupted":
            return Trouble.CANCELLED, event
        if event == "execution_error":
            return Trouble.BROKEN, f"{data.get('exception_type')}: {data.get('exception_message')}"
    return Trouble.BROKEN, str(status.get("status_str"))


def _messages(status: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    found: list[tuple[str, Mapping[str, Any]]] = []
    for message in status.get("messages") or []:
        match message:
            case [str(event), dict(data)]:
                found.append((event, data))
    return found


def files_of(outputs: object) -> list[dict[str, str]]:
    """The files of a finished task, in order; previews ("temp") only where there is nothing else."""
    found = []
    for node in outputs.values() if isinstance(outputs, dict) else []:
        for group in node.values() if isinstance(node, dict) else []:
            for file in group if isinstance(group, list) else []:
                if isinstance(file, dict) and isinstance(file.get("filename"), str) and file["filename"]:
                    found.append({key: str(file.get(key) or "") for key in ("filename", "subfolder", "type")})
    return [file for file in found if file["type"] != "temp"] or found
