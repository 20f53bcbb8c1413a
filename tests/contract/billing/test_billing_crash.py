"""Billing killed at each named point: after a restart the books balance, and what was asked is done exactly once.

Billing runs as a process of its own, called over real gRPC; the orchestrator it asks is a fake in this process.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import SecretStr

from atelier.billing.v1 import (
    hold_pb2,
    hold_service_pb2,
    hold_service_pb2_grpc,
    wallet_service_pb2,
    wallet_service_pb2_grpc,
)
from atelier.common.v1 import money_pb2
from atelier.jobs.v1 import job_admin_service_pb2, job_admin_service_pb2_grpc
from billing.config import BillingSettings
from billing.usecases import place_hold, settle_hold, sweep
from kit import identity
from kit.crash import ENVIRONMENT, EXIT_STATUS
from kit.errors import AppError
from kit.identity import IdentitySigner
from kit.rpc import Server, connect

pytestmark = pytest.mark.slow  # Three starts of a process a test.

SECRET = "contract-test-secret-of-at-least-32-characters"
CALL_S = 30.0  # A machine that runs all tests at once is not quick.
START_S = 60.0
POINTS = money_pb2.UNIT_POINTS


class FencingOrchestrator(job_admin_service_pb2_grpc.JobAdminServiceServicer):
    """Knows no job: fences whatever it is asked about, once it is told to answer."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def ResolveFate(self, request: Any, context: Any) -> Any:
        await self.open.wait()
        fates = [job_admin_service_pb2.Fate(job_id=job_id, fenced=True) for job_id in request.job_ids]
        return job_admin_service_pb2.ResolveFateResponse(fates=fates)

    async def ListAllJobs(self, request: Any, context: Any) -> Any:
        return job_admin_service_pb2.ListAllJobsResponse()


class Process:
    """`python -m billing` on one database, started as often as a test likes."""

    def __init__(self, url: str, jobs_port: int) -> None:
        self.environment = {
            **os.environ,
            "ATELIER_INTERNAL_SECRET": SECRET,
            "ATELIER_LOG_LEVEL": "info",
            "BILLING_DATABASE_URL": url,
            "BILLING_JOBS_TARGET": f"127.0.0.1:{jobs_port}",
            "BILLING_SWEEP_INTERVAL_S": "0.2",
        }
        self.status: int | None = None

    @asynccontextmanager
    async def running(self, crash_at: str = "") -> AsyncIterator["Calls"]:
        """Start it; at the end stop it by a signal, unless it died before. `status` is how it ended."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "billing",
            env={**self.environment, ENVIRONMENT: crash_at},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        calls, said = None, b""
        try:
            async with asyncio.timeout(START_S):
                while b"rpc_server_started" not in said:
                    said = await process.stdout.readline()
                    assert said, "billing ended before it served"
            draining = asyncio.create_task(process.stdout.read())
            port = int(said.split(b'"port":')[1].split(b",")[0].rstrip(b"}\n"))
            calls = Calls(port, process)
            yield calls
        finally:
            if calls is not None:
                await calls.close()
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(30):
                self.status = await process.wait()
                await draining


class Calls:
    """The RPCs of the tests."""

    def __init__(self, port: int, process: asyncio.subprocess.Process) -> None:
        self.process = process
        signer = IdentitySigner("operator", SecretStr(SECRET))
        self.channel = connect(f"127.0.0.1:{port}", identity=signer, retry=False)
        self.holds: Any = hold_service_pb2_grpc.HoldServiceStub(self.channel)
        self.wallets: Any = wallet_service_pb2_grpc.WalletServiceStub(self.channel)

    async def close(self) -> None:
        await self.channel.close()

    async def grant(self) -> None:
        amount = money_pb2.Amount(unit=POINTS, value=100)
        request = wallet_service_pb2.GrantRequest(grant_id="g1", client_id="partner-a", amount=amount)
        await self.wallets.Grant(request, timeout=CALL_S)

    async def place(self) -> Any:
        option = money_pb2.PriceOption(unit=POINTS, amount_per_output=30)
        request = hold_service_pb2.PlaceHoldRequest(
            hold_id="job-1",
            price=money_pb2.Price(options=[option], outputs=2),
            expire_time=Timestamp(seconds=4_000_000_000),
        )
        with identity.acting_as("partner-a"):
            return (await self.holds.PlaceHold(request, timeout=CALL_S)).hold

    async def settle(self) -> Any:
        request = hold_service_pb2.SettleHoldRequest(hold_id="job-1", amount=30)
        return (await self.holds.SettleHold(request, timeout=CALL_S)).hold

    async def wallet(self) -> tuple[int, int, int]:
        """(available, held, spent), of books that are proven."""
        proof = await self.wallets.VerifyLedger(wallet_service_pb2.VerifyLedgerRequest(), timeout=CALL_S)
        assert list(proof.faults) == []
        with identity.acting_as("partner-a"):
            response = await self.wallets.GetBalance(wallet_service_pb2.GetBalanceRequest(), timeout=CALL_S)
        [line] = response.balances
        return line.available, line.held, line.spent


@pytest.fixture
async def orchestrator() -> AsyncIterator[tuple[FencingOrchestrator, int]]:
    settings = BillingSettings(internal_secret=SecretStr(SECRET))
    server, servicer = Server("job-orchestrator", settings), FencingOrchestrator()
    server.add(job_admin_service_pb2_grpc.add_JobAdminServiceServicer_to_server, servicer)
    await server.start()
    yield servicer, server.port
    servicer.open.set()
    await server.stop(1)


@pytest.fixture
def process(database_url: str, orchestrator: tuple[FencingOrchestrator, int], tmp_path: Path) -> Process:
    return Process(database_url, orchestrator[1])


@pytest.mark.parametrize("point", [place_hold.BEFORE_COMMIT, place_hold.AFTER_COMMIT])
async def test_a_hold_asked_for_again_after_a_crash_is_placed_once(process: Process, point: str) -> None:
    async with process.running(point) as calls:
        await calls.grant()
        with pytest.raises(AppError):
            await calls.place()
        await calls.process.wait()
    assert process.status == EXIT_STATUS
    async with process.running() as calls:
        assert await calls.wallet() == ((100, 0, 0) if point == place_hold.BEFORE_COMMIT else (40, 60, 0))
        assert (await calls.place()).state == hold_pb2.HOLD_STATE_HELD
        assert await calls.wallet() == (40, 60, 0)
    assert process.status == 0


@pytest.mark.parametrize("point", [settle_hold.BEFORE_COMMIT, settle_hold.AFTER_COMMIT])
async def test_a_settlement_asked_for_again_after_a_crash_happens_once(process: Process, point: str) -> None:
    async with process.running(point) as calls:
        await calls.grant()
        await calls.place()
        with pytest.raises(AppError):
            await calls.settle()
        await calls.process.wait()
    assert process.status == EXIT_STATUS
    async with process.running() as calls:
        assert await calls.wallet() == ((40, 60, 0) if point == settle_hold.BEFORE_COMMIT else (70, 0, 30))
        assert (await calls.settle()).captured == 30
        assert await calls.wallet() == (70, 0, 30)
    assert process.status == 0


async def test_an_orphan_survives_a_crash_of_the_sweep_and_is_given_back_after_it(
    process: Process, orchestrator: tuple[FencingOrchestrator, int]
) -> None:
    async with process.running() as calls:
        await calls.grant()
        await calls.place()
    async with process.running(sweep.AFTER_FATE) as calls:
        orchestrator[0].open.set()
        await calls.process.wait()
    assert process.status == EXIT_STATUS
    async with process.running() as calls, asyncio.timeout(60):
        while await calls.wallet() != (100, 0, 0):
            await asyncio.sleep(0.05)
        assert (await calls.place()).state == hold_pb2.HOLD_STATE_TIMED_OUT
