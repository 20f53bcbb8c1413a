"""How good the engine's results are, measured: these tests are slow, helpers are the modules `quality_…`."""

import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE))
pytest.register_assert_rewrite("quality_metrics", "quality_pictures")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder works on whole pictures."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
