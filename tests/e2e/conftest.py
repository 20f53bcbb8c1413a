"""Stories are told twice: to the embedded default, and to six processes on NATS, MinIO and Postgres.

One deployment of each kind serves all stories of a test run; every story brings its own client, so that none sees
another's jobs. After each one the books are proven.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from pytest_asyncio import is_async_test

from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from kit.errors import DependencyUnavailable
from testkit.deployments import Deployment, NewPartner, StackDeployment, StandaloneDeployment, new_partner
from testkit.openclient import OpenClient
from testkit.web import Site

HERE: Final = Path(__file__).parent
WEBHOOK_SECRET: Final = "webhook-secret-of-the-tests"
#: The sites that stories open are on this address; every other private one stays forbidden.
ENVIRONMENT: Final = {
    "ATELIER_ALLOW_PRIVATE_TARGETS": "127.0.0.1/32",
    "ZHINIAN_WEBHOOK_SECRET": WEBHOOK_SECRET,
    "PROVIDERS_LEASE_S": "6",  # A worker hears of a cancel when it renews, after a third of it.
}
KINDS: Final[dict[str, type[Deployment]]] = {
    "standalone": StandaloneDeployment,
    "stack": StackDeployment,
}
VERIFY_TIMEOUT_S: Final = 60.0

#: Both kinds; the tests of one kind stay in one worker of pytest-xdist, which so starts it once.
BOTH: Final = [
    pytest.param("standalone", marks=pytest.mark.xdist_group("e2e-standalone")),
    pytest.param("stack", marks=[pytest.mark.xdist_group("e2e-stack"), pytest.mark.servers]),
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All stories share one event loop with the deployments they are told to."""
    for item in items:
        if HERE in item.path.parents and is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=BOTH)
async def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    """One for all stories."""
    folder = tmp_path_factory.mktemp(request.param)
    async with KINDS[request.param](folder, environment=ENVIRONMENT) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def house(deployment: Deployment) -> AsyncIterator[Deployment]:
    """The shared deployment, whose books are proven after the story."""
    yield deployment
    await assert_books_are_proven(deployment)


@pytest_asyncio.fixture(loop_scope="session", params=BOTH)
async def own_house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment of one story's own, which may stop it and kill it."""
    async with KINDS[request.param](tmp_path / "house", environment=ENVIRONMENT) as running:
        yield running
        await running.start()  # Whatever the story has stopped.
        await assert_books_are_proven(running)


@pytest_asyncio.fixture(loop_scope="session")
async def make_partner(house: Deployment) -> AsyncIterator[NewPartner]:
    """Makes clients with 1000 points, or what the story says."""
    made: list[OpenClient] = []

    async def make(**options: Any) -> OpenClient:
        partner = await new_partner(house.operator(), house.url, **options)
        made.append(partner)
        return partner

    yield make
    for partner in made:
        await partner.http.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def partner(make_partner: NewPartner) -> OpenClient:
    """A client of the story's own, with 1000 points."""
    return await make_partner()


@pytest.fixture
def webhook_secret() -> str:
    """What the deployments sign webhooks with."""
    return WEBHOOK_SECRET


@pytest_asyncio.fixture(loop_scope="session")
async def site() -> AsyncIterator[Site]:
    """A partner's web site on 127.0.0.1."""
    async with Site({}) as running:
        yield running


async def assert_books_are_proven(house: Deployment) -> None:
    async with asyncio.timeout(VERIFY_TIMEOUT_S):
        while True:
            try:
                proof = await house.operator().wallets.VerifyLedger(
                    wallet_pb2.VerifyLedgerRequest(), timeout=VERIFY_TIMEOUT_S
                )
                break
            except DependencyUnavailable:  # The channel has not yet noticed that the house is back.
                await asyncio.sleep(0.2)
    assert not proof.faults
    assert proof.transactions > 0
