"""The OpenAPI document of the whole edge is true: schemathesis, all checks on, finds nothing."""

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import pytest_asyncio

from testkit.deployments import StandaloneDeployment
from testkit.furnished import Facts, furnish
from testkit.photos import encoded, photo
from testkit.web import Site, respond

HERE: Final = Path(__file__).parent / "openapi"
PICTURE: Final = encoded(photo((24, 16)), "PNG")
RUN_TIMEOUT_S: Final = 280.0  # Below the limit of a test, so that what was found so far is shown.

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e-openapi")]


@pytest_asyncio.fixture(loop_scope="session")
async def furnished(tmp_path: Path) -> AsyncIterator[tuple[StandaloneDeployment, Facts]]:
    environment = {"ATELIER_ALLOW_PRIVATE_TARGETS": "127.0.0.1/32"}
    async with StandaloneDeployment(tmp_path / "house", environment=environment) as running:
        yield running, await furnish(running)


async def test_schemathesis_finds_nothing(
    furnished: tuple[StandaloneDeployment, Facts], site: Site, tmp_path: Path
) -> None:
    deployment, facts = furnished
    site.reply("/picture.png", respond(PICTURE, headers={"Content-Type": "image/png"}))
    known = {
        "facts": dataclasses.asdict(facts),
        "picture_hex": PICTURE.hex(),
        "picture_url": f"http://127.0.0.1:{site.port}/picture.png",
    }
    (tmp_path / "facts.json").write_text(json.dumps(known))

    # From a file: of a document that it fetches, schemathesis leaves out the path it was fetched from.
    async with httpx.AsyncClient(trust_env=False) as client:
        described = (await client.get(f"{facts.url}/openapi.json")).json()
    (tmp_path / "openapi.json").write_text(json.dumps(described))
    key = f"Authorization: Bearer {facts.api_key}"

    status, said = await _run(tmp_path, "openapi.json", "--url", facts.url, "-H", key)

    assert status == 0, said
    operations = [name for methods in described["paths"].values() for name in methods]
    assert f"Tested: {len(operations)}\n" in said, said
    assert "http_request_failed" not in deployment.logs()


async def _run(folder: Path, *arguments: str) -> tuple[int | None, str]:
    """`st run` with our settings: its exit status, and what it said."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run"]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | {
        "OPENAPI_FACTS": str(folder / "facts.json"),
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": str(HERE),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        *arguments,
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = bytearray()
    assert process.stdout is not None
    try:
        async with asyncio.timeout(RUN_TIMEOUT_S):
            while piece := await process.stdout.read(65536):
                said += piece
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        said += f"\nnot finished after {RUN_TIMEOUT_S:.0f} s".encode()
    return process.returncode, said.decode(errors="replace")
