"""`make bench`: submit, poll and whole jobs beside a bare FastAPI app in the same run.

Absolute figures belong to the machine and the minute; compare the ratios to the yardstick. `--out FILE` keeps them
as JSON.
"""

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
import yaml

from tests.bench.load import Connection, drive, request
from tests.bench.programs import Program, atelier, yardstick

KEY = "bench-key"
CATALOG = Path(__file__).resolve().parents[2] / "deploy" / "catalog"
JOB_BODY = json.dumps({"capability": "image.generate", "prompt": "一只橘猫", "width": 64, "height": 64}).encode()
JOB_TIMEOUT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table."""

    name: str
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float  #: CPU of the program and its children for each request or job.
    memory_mib: float


async def measure(
    name: str, program: Program, make: object, *, requests: int, connections: int, expect: set[int]
) -> Figure:
    """Warm up with a tenth, then measure."""
    arguments = {"connections": connections, "expect": frozenset(expect)}
    await drive(program.url, make, requests=max(1, requests // 10), **arguments)  # type: ignore[arg-type]
    cpu_s = program.cpu_s()
    load = await drive(program.url, make, requests=requests, **arguments)  # type: ignore[arg-type]
    return Figure(
        name=name,
        per_second=load.per_second,
        p50_ms=load.percentile_ms(50),
        p99_ms=load.percentile_ms(99),
        cpu_ms=1000 * (program.cpu_s() - cpu_s) / requests,
        memory_mib=program.memory_mib(),
    )


async def whole_jobs(program: Program, *, jobs: int, connections: int) -> Figure:
    """Submit small pictures and poll each until its picture is stored; latency is from submit to that."""
    host, _, port = program.url.removeprefix("http://").partition(":")
    latencies: list[float] = []
    numbers = iter(range(jobs))

    async def work() -> None:
        connection = Connection(host, int(port))
        await connection.open()
        for _ in numbers:
            began = time.perf_counter()
            answer = await connection.ask(request("POST", "/api/v1/jobs", key=KEY, body=JOB_BODY))
            job = json.loads(answer.body)["job"]
            while job["status"] in {"queued", "running"}:
                assert time.perf_counter() - began < JOB_TIMEOUT_S, job
                await asyncio.sleep(0.02)
                answer = await connection.ask(request("GET", f"/api/v1/jobs/{job['id']}", key=KEY))
                job = json.loads(answer.body)["job"]
            assert job["status"] == "succeeded", job
            latencies.append(time.perf_counter() - began)
        await connection.close()

    cpu_s, began = program.cpu_s(), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    seconds = time.perf_counter() - began
    latencies.sort()
    return Figure(
        name="whole job (64×64)",
        per_second=jobs / seconds,
        p50_ms=1000 * latencies[len(latencies) // 2],
        p99_ms=1000 * latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))],
        cpu_ms=1000 * (program.cpu_s() - cpu_s) / jobs,
        memory_mib=program.memory_mib(),
    )


def idle_catalog(folder: Path) -> Path:
    """The shipped catalogue, its models in a pool that no worker serves: submit and poll without the work."""
    folder.mkdir()
    for path in CATALOG.glob("*.yaml"):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        for model in document["models"]:
            model["pool"] = "idle"
        (folder / path.name).write_text(yaml.safe_dump(document), encoding="utf-8")
    return folder


async def run(*, requests: int, jobs: int, connections: int) -> list[Figure]:
    """All figures, the yardstick first."""
    figures = []
    echo = request("POST", "/echo", key=KEY, body=JOB_BODY)
    with yardstick() as program:
        figures.append(
            await measure(
                "yardstick: FastAPI echo",
                program,
                lambda _: echo,
                requests=requests,
                connections=connections,
                expect={200},
            )
        )
    submit = request("POST", "/api/v1/jobs", key=KEY, body=JOB_BODY)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        with atelier(folder, catalog=idle_catalog(folder / "catalog")) as program:
            figures.append(
                await measure(
                    "submit", program, lambda _: submit, requests=requests, connections=connections, expect={201}
                )
            )
            first = await drive(program.url, lambda _: submit, requests=1, connections=1, expect=frozenset({201}))
            poll = request("GET", f"/api/v1/jobs/{json.loads(first.answers[0].body)['job']['id']}", key=KEY)
            figures.append(
                await measure("poll", program, lambda _: poll, requests=requests, connections=connections, expect={200})
            )
    with tempfile.TemporaryDirectory() as text, atelier(Path(text)) as program:
        await whole_jobs(program, jobs=connections // 4, connections=connections // 4)
        figures.append(await whole_jobs(program, jobs=jobs, connections=connections // 4))
    return figures


def show(figures: list[Figure]) -> None:
    yard = figures[0]
    print(f"{'':26}{'req/s':>9}{'ratio':>8}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}{'CPU ratio':>11}{'MiB':>7}")
    for one in figures:
        print(
            f"{one.name:26}{one.per_second:9.0f}{one.per_second / yard.per_second:8.2f}{one.p50_ms:9.1f}"
            f"{one.p99_ms:9.1f}{one.cpu_ms:9.3f}{one.cpu_ms / yard.cpu_ms:11.2f}{one.memory_mib:7.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    figures = uvloop.run(run(requests=arguments.requests, jobs=arguments.jobs, connections=arguments.connections))
    show(figures)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps([asdict(one) for one in figures], indent=1))


if __name__ == "__main__":
    main()
