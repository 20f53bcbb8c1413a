"""Every remote provider against its simulator: `remote_<kind>.py` beside this file brings its subject."""

import contextlib
import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
KINDS = sorted(path.stem.removeprefix("remote_") for path in HERE.glob("remote_*.py"))


def load(kind: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"remote_{kind}", HERE / f"remote_{kind}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=KINDS)
async def remote(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A started provider and its simulator: a `testkit.providers.trials.Trial`."""
    from provider_adapter import ports
    from testkit.providers.trials import started

    async with contextlib.AsyncExitStack() as stack:
        yield await stack.enter_async_context(started(load(request.param).subject(), ports, monkeypatch))
