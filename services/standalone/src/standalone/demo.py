"""`atelier demo`: real jobs through the open contract, with a progress bar, results saved as files."""

import contextlib
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

START_TIMEOUT_S: Final = 30.0
JOB_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 15.0
POLL_S: Final = 0.2
PROMPT: Final = "雪山日出,金色阳光洒满湖面,湖边有一间小木屋"

_out = Console()


class DemoFailed(RuntimeError):
    """Something the demo needs did not happen."""


def run(*, out: Path, url: str, key: str) -> int:
    """Run the demo and return the exit status."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.ExitStack() as stack:
            if not url:
                _out.print("Starting Atelier for the demo …")
                url = stack.enter_context(_started())
            client = stack.enter_context(
                httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=30)
            )
            _show(client, out)
    except (DemoFailed, httpx.HTTPError) as error:
        _out.print(f"[red]The demo failed:[/] {error}", highlight=False)
        return 1
    return 0


def _show(client: httpx.Client, out: Path) -> None:
    _out.print(f"Atelier at {client.base_url}\n", highlight=False)
    made = _job(client, "image.generate", {"prompt": PROMPT, "width": 1024, "height": 768, "seed": 7})
    _save(client, made, out / "generated.png")
    larger = _job(client, "image.upscale", {"inputAssetIds": made["outputAssetIds"], "resolution": "2k"})
    _save(client, larger, out / "upscaled.png")
    balance = _answer(client.get("/api/v1/balance"))["balance"]
    _out.print(f"\nBalance: {balance['points']['available']} points left, {balance['points']['spent']} spent.")


def _job(client: httpx.Client, capability: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Submit a job, wait for its end with a progress bar, and return it."""
    job = _answer(client.post("/api/v1/jobs", json={"capability": capability, **parameters}))["job"]
    ends_at = time.monotonic() + JOB_TIMEOUT_S
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(),
        TextColumn("{task.fields[status]:<9}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_out) as progress:
        bar = progress.add_task(capability, total=100, status=job["status"])
        while job["status"] in {"queued", "running"}:
            if time.monotonic() > ends_at:
                raise DemoFailed(f"{job['id']} did not finish within {JOB_TIMEOUT_S:.0f} s")
            time.sleep(POLL_S)
            job = _answer(client.get(f"/api/v1/jobs/{job['id']}"))["job"]
            progress.update(bar, completed=job["progress"], status=job["status"])
    if job["status"] != "succeeded":
        raise DemoFailed(f"{job['id']} {job['status']}: {job['error']}")
    return dict(job)


def _save(client: httpx.Client, job: dict[str, Any], path: Path) -> None:
    """Download the job's first output and check it against its record."""
    asset_id = job["outputAssetIds"][0]
    record = _answer(client.get(f"/api/v1/assets/{asset_id}"))["asset"]
    data = client.get(f"/api/v1/assets/{asset_id}/download").raise_for_status().content
    if hashlib.sha256(data).hexdigest() != record["sha256"]:
        raise DemoFailed(f"{asset_id}: the bytes are not those of the record")
    path.write_bytes(data)
    size = f"{record['width']}×{record['height']}"
    _out.print(f"  saved {path} ({size}, {len(data):,} bytes, SHA-256 verified)", highlight=False)


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise DemoFailed(f"{response.request.method} {response.request.url.path}: {response.text[:300]}")
    return dict(response.json())


@contextlib.contextmanager
def _started() -> Iterator[str]:
    """An Atelier of its own on a free port, with fresh data, ended with the block."""
    with tempfile.TemporaryDirectory(prefix="atelier-demo-") as folder:
        log_path = Path(folder) / "log"
        with log_path.open("wb") as log:
            command = [sys.executable, "-m", "standalone", "up", "--port", "0", "--data-dir", f"{folder}/data"]
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603 -- our own program
        try:
            yield _wait_for_url(process, log_path)
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_url(process: subprocess.Popen[bytes], log_path: Path) -> str:
    ends_at = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < ends_at and process.poll() is None:
        for line in log_path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event.get("event") == "serving":
                    return str(event["url"])
        time.sleep(0.05)
    raise DemoFailed("Atelier did not start:\n" + log_path.read_text(encoding="utf-8", errors="replace")[-2000:])
