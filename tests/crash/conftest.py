"""Killing Atelier at any moment: what these tests share. All of them are slow; helpers are the modules `crash_…`."""

import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE))
pytest.register_assert_rewrite("crash_audit", "crash_houses")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder starts and kills whole deployments."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
