"""The examples in docs/providers are what the house takes: entries of the providers' file, routes of the catalogue."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

import catalog
from provider_adapter.config import ProviderSettings
from provider_adapter.registry import known_providers

DOCS = Path(__file__).parents[3] / "docs" / "providers"
PAGES = sorted(DOCS.glob("*.md"))
BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def settings(**values: Any) -> ProviderSettings:
    return ProviderSettings(internal_secret=SecretStr("s" * 32), engine_workers=0, **values)


def blocks(page: Path) -> list[Any]:
    return [yaml.safe_load(block) for block in BLOCK.findall(page.read_text())]


def examples(page: Path, key: str) -> list[Any]:
    return [block for block in blocks(page) if isinstance(block, dict) and key in block]


def routes_in(page: Path) -> list[Any]:
    """Routes stand alone, as a list, or in a model."""
    whole = [model["routes"] for example in examples(page, "models") for model in example["models"]]
    lists = [block for block in blocks(page) if isinstance(block, list)]
    return [*whole, *lists, *(example["routes"] for example in examples(page, "routes"))]


def names_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {name for child in value.values() for name in names_in(child)}
    return {value[1:]} if isinstance(value, str) and value.startswith("$") else set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_entry_of_the_providers_file_is_taken(page: Path, tmp_path: Path) -> None:
    found = examples(page, "providers")
    assert found, f"{page.name} has no example of an entry"
    for example in found:
        for entry in example["providers"]:
            if "graphs" in entry:
                entry["graphs"] = str(tmp_path)
        path = tmp_path / "providers.yaml"
        path.write_text(yaml.safe_dump(example))
        known = known_providers(settings(file=str(path)))
        assert {entry["name"] for entry in example["providers"]} == {one.name for one in known[1:]}
        assert all(one.capabilities for one in known[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_route_of_the_catalogue_is_taken(page: Path, tmp_path: Path) -> None:
    found = routes_in(page)
    assert found, f"{page.name} has no example of a route"
    for number, routes in enumerate(found):
        ours = {name for route in routes for name in names_in(route.get("parameters"))}
        model = {
            "name": f"model-{number}",
            "capability": "image.generate",
            "title": "t",
            "price": [{"points": 1}],
            "parameters": {name: {"type": "string"} for name in ours},
            "routes": routes,
        }
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump({"models": [model]}))
    assert len(catalog.load(tmp_path).models) == len(found)
