"""Races about money, told to a whole deployment whose own worker is idle: the tests are the worker.

So no picture is painted, and a round costs no more than its calls.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from pytest_asyncio import is_async_test

from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from testkit.deployments import Deployment, StackDeployment, StandaloneDeployment

HERE: Final = Path(__file__).parent
ENVIRONMENT: Final = {"PROVIDERS_POOL": "idle", "PROVIDERS_ENGINE_WORKERS": "0"}
KINDS: Final[dict[str, type[Deployment]]] = {"standalone": StandaloneDeployment, "stack": StackDeployment}
VERIFY_TIMEOUT_S: Final = 60.0
BOTH: Final = [
    pytest.param("standalone", marks=pytest.mark.xdist_group("races-standalone")),
    pytest.param("stack", marks=[pytest.mark.xdist_group("races-stack"), pytest.mark.servers]),
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All races share one event loop with their deployment."""
    for item in items:
        if HERE in item.path.parents and is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=BOTH)
async def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    """One for all races."""
    async with KINDS[request.param](tmp_path_factory.mktemp(request.param), environment=ENVIRONMENT) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def house(deployment: Deployment) -> AsyncIterator[Deployment]:
    """The shared deployment, whose books are proven after each race."""
    yield deployment
    proof = await deployment.operator().wallets.VerifyLedger(wallet_pb2.VerifyLedgerRequest(), timeout=VERIFY_TIMEOUT_S)
    assert not proof.faults
    assert proof.transactions > 0
