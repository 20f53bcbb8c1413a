"""`make bench-open-jobs`: thousands of tasks open at a simulated provider, held by one adapter process.

The house is the embedded deployment; an adapter in a process of its own works for the jobs' pool, and so does the
provider. All jobs are submitted, all tasks are held open for a while, then each ends within a minute at a moment of its
own, and every job must succeed, paid for once. Exit 1 when a bar is missed or the time is over.

`waited` is what the kernel let the adapter wait for a core: where it is much, the poll lag says more of the others on
the machine than of us.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import uvloop
import yaml

from atelier.gateway.v1 import gateway_service_pb2 as gateway_pb2
from atelier.gateway.v1 import gateway_service_pb2_grpc as gateway_grpc
from kit.errors import AppError
from testkit.deployments import StandaloneDeployment, new_partner
from testkit.deployments.ports import ReservedPort
from testkit.deployments.process import ServiceProcess, grpc_probe, http_probe
from testkit.providers.replicate import TOKEN

MEMORY_MIB_MAX: Final = 300.0
POLL_LAG_P99_S_MAX: Final = 2.0
SUBMITS_AT_ONCE: Final = 50
CALL_S: Final = 30.0
POOL: Final = "remote"
POOL_OF_NOBODY: Final = "nobody"
SLOTS_SPARE: Final = 50
LOOK_S: Final = 1.0
JOB_DEADLINE_S: Final = 3600
PRICE: Final = 1
SUCCEEDED: Final = 3  # As the jobs' table has it.
LIVE: Final = (1, 2)
LAG: Final = "atelier_provider_poll_lag_seconds"
TICKS: Final = os.sysconf("SC_CLK_TCK")


class TimeIsOver(Exception):
    """A phase did not end in the time given for all of them."""


class Adapter:
    """The adapter's process, watched from outside."""

    def __init__(self, process: ServiceProcess, metrics_url: str) -> None:
        self.process, self._metrics_url = process, metrics_url

    def memory_mib(self) -> tuple[float, float]:
        """Resident now, and at most so far."""
        facts = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
            if ":" in line
        )
        return tuple(int(facts[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def waited_s(self) -> float:
        """How long its main thread, which runs the event loop, waited for a core so far."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[1]) / 1e9

    async def lags(self) -> dict[float, float]:
        """Polls so far by how late they were at most, from its Prometheus page."""
        async with httpx.AsyncClient(timeout=CALL_S, trust_env=False) as client:
            page = (await client.get(self._metrics_url)).text
        found = {}
        for line in page.splitlines():
            if line.startswith(f"{LAG}_bucket"):
                found[float(line.partition('le="')[2].partition('"')[0])] = float(line.rpartition(" ")[2])
        return found


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What was seen at one moment."""

    at: float
    cpu_s: float
    waited_s: float
    lags: dict[float, float]
    questions: int

    def until(self, later: "Moment") -> str:
        """What happened between the two, in words."""
        seconds = later.at - self.at
        counts = {limit: later.lags[limit] - self.lags.get(limit, 0.0) for limit in later.lags}
        return (
            f"{seconds:6.1f} s  CPU {100 * (later.cpu_s - self.cpu_s) / seconds:5.1f} %"
            f"  waited {100 * (later.waited_s - self.waited_s) / seconds:5.1f} %"
            f"  polls/s {(later.questions - self.questions) / seconds:6.1f}"
            f"  poll lag p50 {quantile(counts, 0.5):6.3f} s  p99 {quantile(counts, 0.99):6.3f} s"
        )


def quantile(counts: dict[float, float], share: float) -> float:
    """The quantile of a cumulative histogram, evenly spread within each bucket; the last limit for what is beyond."""
    total = max(counts.values(), default=0.0)
    below, floor = 0.0, 0.0
    for limit in sorted(counts):
        if counts[limit] >= share * total and counts[limit] > below:
            if limit == float("inf"):
                return floor
            return floor + (limit - floor) * (share * total - below) / (counts[limit] - below)
        below, floor = counts[limit], limit
    return floor


class Bench:
    """The house, the adapter and the provider, all running."""

    def __init__(self, *, house: StandaloneDeployment, adapter: Adapter, upstream: str, ends_at: float) -> None:
        self.house, self.adapter, self.upstream, self._ends_at = house, adapter, upstream, ends_at
        self.memory_mib = 0.0  #: The most that was resident.
        self._http = httpx.AsyncClient(base_url=upstream, timeout=CALL_S, trust_env=False)

    async def upstream_state(self) -> dict[str, int]:
        state: dict[str, int] = (await self._http.get("/_bench/state")).json()
        return state

    async def end_tasks(self, spread_s: float) -> None:
        (await self._http.post("/_bench/end", json={"spread_s": spread_s})).raise_for_status()

    async def jobs(self) -> dict[int, int]:
        """How many jobs there are by state."""

        def read() -> dict[int, int]:
            path = self.house.data / "jobs.db"
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=CALL_S)) as connection:
                return dict(connection.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())

        return await asyncio.to_thread(read)

    async def moment(self) -> Moment:
        return Moment(
            at=time.monotonic(),
            cpu_s=self.adapter.cpu_s(),
            waited_s=self.adapter.waited_s(),
            lags=await self.adapter.lags(),
            questions=(await self.upstream_state())["questions"],
        )

    async def until(self, what: str, done: Callable[[dict[str, int], dict[int, int]], bool]) -> None:
        """Wait, and tell now and then how far it is. Raises TimeIsOver."""
        told = 0.0
        while True:
            upstream, jobs = await self.upstream_state(), await self.jobs()
            self.look()
            if done(upstream, jobs):
                return
            if time.monotonic() > self._ends_at:
                raise TimeIsOver(f"{what}: the provider has {upstream}, the jobs by state are {jobs}")
            if time.monotonic() - told >= 10:
                told = time.monotonic()
                print(f"  {what}: {upstream} {jobs} {self.adapter.memory_mib()[0]:.0f} MiB", flush=True)
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        if not self.adapter.process.running:
            raise self.adapter.process.failure("ended")
        self.memory_mib = max(self.memory_mib, *self.adapter.memory_mib())


def _catalogue() -> dict[str, Any]:
    return {
        "models": [
            {
                "name": "bench.remote",
                "capability": "image.generate",
                "title": "Bench",
                "contracts": ["grpc"],
                "pool": POOL,
                "deadline_s": JOB_DEADLINE_S,
                "price": [{"points": PRICE}],
                "required": ["prompt"],
                "parameters": {"prompt": {"type": "string", "maxLength": 4000}},
                "routes": [
                    {
                        "provider": "replicate",
                        "upstream_model": "sim/draw",
                        "parameters": {"width": 64, "height": 64, "seed_input": "seed", "prompt": "$prompt"},
                    }
                ],
            }
        ]
    }


def _provider(address: str, arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "name": "replicate",
        "kind": "replicate",
        "base_url": address,
        "token": {"env": "REPLICATE_TOKEN"},
        "capabilities": ["image.generate"],
        "running_max": 2 * arguments.jobs,
        "submits_per_second": arguments.submits_per_second,
        "polls_per_second": arguments.polls_per_second,
    }


@asynccontextmanager
async def opened(folder: Path, arguments: argparse.Namespace, ends_at: float) -> AsyncIterator[Bench]:
    """Start everything; yields when it serves."""
    async with AsyncExitStack() as stack:
        ports = [ReservedPort() for _ in range(3)]
        for port in ports:
            stack.callback(port.release)
        upstream_url = f"http://{ports[0].address}"
        upstream = ServiceProcess(
            "upstream",
            ["-m", "tests.bench.upstream", str(ports[0].number)],
            environment={},
            log_path=folder / "upstream.log",
            probe=http_probe(f"{upstream_url}/_bench/state"),
        )
        stack.push_async_callback(upstream.close)
        (folder / "catalog").mkdir()
        (folder / "catalog" / "bench.yaml").write_text(yaml.safe_dump(_catalogue()))
        providers = folder / "providers.yaml"
        providers.write_text(yaml.safe_dump({"providers": [_provider(upstream_url, arguments)]}))
        environment = {
            "ATELIER_CATALOG_DIR": str(folder / "catalog"),
            "ATELIER_ALLOW_PRIVATE_TARGETS": "127.0.0.1/32",
            "ATELIER_LOG_LEVEL": "warning",
            "PROVIDERS_FILE": str(providers),
            "PROVIDERS_ENGINE_WORKERS": "0",
            "REPLICATE_TOKEN": TOKEN,
        }
        house = StandaloneDeployment(folder / "house", environment={**environment, "PROVIDERS_POOL": POOL_OF_NOBODY})
        await upstream.start()
        await stack.enter_async_context(house)
        target = f"dns:///{house.grpc_address('job-orchestrator')}"
        adapter = ServiceProcess(
            "adapter",
            [*(["-m", "cProfile", "-o", arguments.profile] if arguments.profile else []), "-m", "provider_adapter"],
            environment={
                **environment,
                "ATELIER_INTERNAL_SECRET": house.internal_secret.get_secret_value(),
                "PROVIDERS_LISTEN": ports[1].address,
                "PROVIDERS_METRICS_LISTEN": ports[2].address,
                "PROVIDERS_JOBS_TARGET": target,
                "PROVIDERS_ASSETS_TARGET": target,
                "PROVIDERS_POOL": POOL,
                "PROVIDERS_SLOTS": str(arguments.jobs + SLOTS_SPARE),
                "PROVIDERS_LEASE_S": str(arguments.lease_s),
                "PROVIDERS_STOP_GRACE_S": "0",
            },
            log_path=folder / "adapter.log",
            probe=grpc_probe(ports[1].address),
        )
        stack.push_async_callback(adapter.close)
        await adapter.start()
        watched = Adapter(adapter, f"http://{ports[2].address}/metrics")
        yield Bench(house=house, adapter=watched, upstream=upstream_url, ends_at=ends_at)


async def submit_all(bench: Bench, jobs: int) -> None:
    """Submit so many, SUBMITS_AT_ONCE at a time."""
    partner = await new_partner(bench.house.operator(), bench.house.url, points=jobs * PRICE)
    gateway = gateway_grpc.GatewayServiceStub(bench.house.gateway_channel())
    credential = (("authorization", f"Bearer {partner.key}"),)
    numbers = iter(range(jobs))

    async def hand() -> None:
        for number in numbers:
            wanted = gateway_pb2.SubmitJobRequest(
                model="bench.remote",
                parameters_json=json.dumps({"prompt": f"a fox in the snow, number {number}"}),
                idempotency_key=f"open-{number}",
            )
            while True:
                try:
                    await gateway.SubmitJob(wanted, timeout=CALL_S, metadata=credential)
                    break
                except AppError as error:  # A machine under load; the key makes it the same job.
                    print(f"  submit again: {error.reason}", flush=True)

    async with asyncio.TaskGroup() as group:
        for _ in range(SUBMITS_AT_ONCE):
            group.create_task(hand())
    await partner.__aexit__(None, None, None)


async def run(bench: Bench, arguments: argparse.Namespace) -> bool:
    """Open, hold, end; print the figures; return whether the bars are kept."""
    jobs = arguments.jobs
    print(f"{jobs} jobs on leases of {arguments.lease_s:g} s; at first {bench.adapter.memory_mib()[0]:.0f} MiB")
    began = await bench.moment()
    submitting = asyncio.create_task(submit_all(bench, jobs))
    await bench.until("opening", lambda upstream, _: upstream["taken"] >= jobs or submitting.done())
    await submitting
    print(f"  submitted all after {time.monotonic() - began.at:.1f} s", flush=True)
    await bench.until("opening", lambda upstream, _: upstream["taken"] >= jobs)
    all_open = await bench.moment()
    print(f"opening  {began.until(all_open)}", flush=True)
    rests_at = time.monotonic() + arguments.hold_s
    await bench.until("holding", lambda *_: time.monotonic() >= rests_at)
    held = await bench.moment()
    print(f"holding  {all_open.until(held)}", flush=True)
    await bench.end_tasks(arguments.end_s)
    await bench.until("ending", lambda _, states: not any(states.get(state) for state in LIVE))
    ended = await bench.moment()
    print(f"ending   {held.until(ended)}", flush=True)
    print(f"all      {began.until(ended)}")
    states, taken = await bench.jobs(), (await bench.upstream_state())["taken"]
    lost, twice = jobs - states.get(SUCCEEDED, 0), taken - jobs
    lags = {limit: ended.lags[limit] - began.lags.get(limit, 0.0) for limit in ended.lags}
    lag_s = quantile(lags, 0.99)
    kept = lost == 0 and twice == 0 and bench.memory_mib <= MEMORY_MIB_MAX and lag_s <= POLL_LAG_P99_S_MAX
    print(
        json.dumps(
            {
                "jobs": jobs,
                "lost": lost,
                "paid_twice": twice,
                "memory_mib": round(bench.memory_mib, 1),
                "poll_lag_p50_s": round(quantile(lags, 0.5), 3),
                "poll_lag_p99_s": round(lag_s, 3),
                "opened_in_s": round(all_open.at - began.at, 1),
                "cpu_s": round(ended.cpu_s - began.cpu_s, 1),
                "load": Path("/proc/loadavg").read_text().split()[:3],
                "kept": kept,
            }
        )
    )
    return kept


async def main(arguments: argparse.Namespace) -> int:
    """Do all of it; 0 when the bars are kept."""
    ends_at = time.monotonic() + arguments.limit_s
    with tempfile.TemporaryDirectory(prefix="atelier-open-") as text:
        folder = Path(text)
        async with opened(folder, arguments, ends_at) as bench:
            try:
                return 0 if await run(bench, arguments) else 1
            except TimeIsOver as error:
                print(f"given up after {arguments.limit_s:g} s: {error}; load {os.getloadavg()}")
                return 1
            finally:
                for name in ("adapter.log", "house/atelier.log", "upstream.log"):
                    tail = (folder / name).read_text(errors="replace").splitlines()[-arguments.log_lines :]
                    print(*(f"  {name}: {line[:400]}" for line in tail), sep="\n")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--lease-s", type=float, default=30.0)
    parser.add_argument("--hold-s", type=float, default=60.0)
    parser.add_argument("--end-s", type=float, default=60.0)
    parser.add_argument("--submits-per-second", type=float, default=200.0)
    parser.add_argument("--polls-per-second", type=float, default=200.0)
    parser.add_argument("--limit-s", type=float, default=480.0, help="for all phases together")
    parser.add_argument("--profile", default="", help="a file for cProfile's figures of the adapter")
    parser.add_argument("--log-lines", type=int, default=5, help="of each process, shown at the end")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(uvloop.run(main(parsed())))
