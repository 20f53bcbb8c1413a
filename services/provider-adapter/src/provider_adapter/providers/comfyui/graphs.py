"""Graphs in ComfyUI's API format with places for what a task brings.

A place is `{{name}}` inside any string of the graph, or `{{name=default}}`. A string that is nothing but a place
becomes the value itself (a number stays a number); inside a longer string the value is written out. A default is JSON,
or a text as it stands.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

GRAPH_BYTES_MAX: Final = 1 << 20  # A graph of a thousand nodes has a third of it.
GRAPHS_MAX: Final = 1000  # Of a folder.

_PLACE: Final = re.compile(r"\{\{([a-z][a-z0-9_]*)(?:=((?:[^}]|\}(?!\}))*))?\}\}")
_INPUT: Final = re.compile(r"(?:image|mask|reference|first_frame|last_frame)(?:_[1-9][0-9]?)?")


class PlaceEmpty(Exception):
    """There is neither a value nor a default for the place `name`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, kw_only=True)
class Graph:
    """One graph and its places."""

    name: str
    nodes: Mapping[str, Any] = field(repr=False)
    places: frozenset[str]
    required: frozenset[str]  #: Places without a default.

    @classmethod
    def of(cls, name: str, document: object) -> "Graph":
        """Check a document. Raises ValueError."""
        if not isinstance(document, dict) or not document:
            raise ValueError("a graph is an object of nodes")
        if isinstance(document.get("nodes"), list):
            raise ValueError("this is the editor's own format: save it in API format")
        for key, node in document.items():
            if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
                raise ValueError(f"node {key!r} has no class_type")
            if not isinstance(node.get("inputs"), dict):
                raise ValueError(f"node {key!r} has no inputs")
        found = [match for text in _texts(document) for match in _PLACE.finditer(text)]
        return cls(
            name=name,
            nodes=document,
            places=frozenset(match[1] for match in found),
            required=frozenset(match[1] for match in found if match[2] is None),
        )

    @property
    def inputs(self) -> frozenset[str]:
        """The places that take inputs: "image", "mask", "reference", "reference_2" …"""
        return frozenset(filter(_INPUT.fullmatch, self.places))

    def takes(self, inputs: frozenset[str]) -> bool:
        """Whether the graph uses all of these inputs and needs no other."""
        return self.inputs & self.required <= inputs <= self.inputs

    def filled(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The nodes with every place filled. Values are never looked through for places. Raises PlaceEmpty."""
        filled: dict[str, Any] = _fill(self.nodes, values)
        return filled


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for child in children for text in _texts(child)]


def _fill(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _fill(child, values) for key, child in value.items()}
    if isinstance(value, list):
        return [_fill(child, values) for child in value]
    if not isinstance(value, str):
        return value
    whole = _PLACE.fullmatch(value)
    if whole is not None:
        return _value(whole, values)
    return _PLACE.sub(lambda match: str(_value(match, values)), value)


def _value(match: re.Match[str], values: Mapping[str, Any]) -> Any:
    name, default = match[1], match[2]
    if name in values:
        return values[name]
    if default is None:
        raise PlaceEmpty(name)
    try:
        return orjson.loads(default)
    except orjson.JSONDecodeError:
        return default


def read_graphs(*folders: Path | None) -> dict[str, Graph]:
    """Read every `*.json` of the folders; of two with one name the later one stays. Raises ValueError with the file."""
    graphs: dict[str, Graph] = {}
    for folder in folders:
        if folder is None:
            continue
        if not folder.is_dir():
            raise ValueError(f"graphs: {folder} is not a folder")
        paths = sorted(folder.glob("*.json"))
        if len(paths) > GRAPHS_MAX:
            raise ValueError(f"graphs: {folder} has more than {GRAPHS_MAX} files")
        for path in paths:
            graphs[path.stem] = _read(path)
    return graphs


def _read(path: Path) -> Graph:
    try:
        with path.open("rb") as file:
            data = file.read(GRAPH_BYTES_MAX + 1)
        if len(data) > GRAPH_BYTES_MAX:
            raise ValueError(f"larger than {GRAPH_BYTES_MAX} bytes")
        return Graph.of(path.stem, orjson.loads(data))
    except (OSError, ValueError) as error:
        raise ValueError(f"graphs: {path}: {error}") from error
