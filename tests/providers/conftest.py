"""A whole house that calls simulated providers and nothing else: each kind has one model in its catalogue."""

import contextlib
import importlib.util
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml

from atelier.gateway.v1 import gateway_service_pb2 as gateway_pb2
from atelier.gateway.v1 import gateway_service_pb2_grpc as gateway_grpc
from atelier.jobs.v1 import job_pb2
from testkit.deployments import StandaloneDeployment, new_partner
from testkit.providers.faults import Fault
from testkit.providers.serving import served
from testkit.providers.trials import Ask, Subject

SUBJECTS: Final = Path(__file__).parents[1] / "contract" / "remote_providers"
KINDS: Final = sorted(path.stem.removeprefix("remote_") for path in SUBJECTS.glob("remote_*.py"))
CALL_S: Final = 30.0
DEADLINE_S: Final = 20  # Of jobs whose outcome nobody finds out.
PRICE: Final = 10
#: Whoever hangs is given up soon, and whoever is asked is asked soon.
QUICK: Final = {"answer_s": 1.0, "connect_s": 1.0, "running_max": 10, "submits_per_second": 1000}


def subject_of(kind: str) -> Subject:
    """What the contract suite runs the kind with."""
    spec = importlib.util.spec_from_file_location(f"remote_{kind}", SUBJECTS / f"remote_{kind}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    subject: Subject = module.subject()
    return subject


def plain_ask(subject: Subject) -> Ask:
    """The first one that is a prompt and nothing else."""
    return next(ask for ask in subject.asks if ask.prompted and not ask.inputs)


def catalogue(accounts: Mapping[str, Subject], *, deadline_s: int, pools: Mapping[str, str]) -> dict[str, Any]:
    """A model for each account; what a prompt does not say is the route's constant."""
    models = []
    for name, subject in accounts.items():
        ask = plain_ask(subject)
        models.append(
            {
                "name": f"trial.{name}",
                "capability": ask.capability,
                "title": name,
                "contracts": ["grpc"],
                "pool": pools.get(name, "default"),
                "deadline_s": deadline_s,
                "price": [{"points": PRICE}],
                "required": ["prompt"],
                "parameters": {"prompt": {"type": "string", "maxLength": 4000}},
                "routes": [
                    {
                        "provider": name,
                        "upstream_model": ask.upstream_model,
                        "parameters": {**ask.parameters, "prompt": "$prompt"},
                    }
                ],
            }
        )
    return {"models": models}


class House(SimpleNamespace):
    """The deployment, its simulators by kind, and a partner who submits to any of them."""

    async def submit(self, kind: str, prompt: str, **request: Any) -> str:
        """Submit a job and return its id."""
        wanted = gateway_pb2.SubmitJobRequest(
            model=f"trial.{kind}", parameters_json=json.dumps({"prompt": prompt}), **request
        )
        answer = await self.gateway.SubmitJob(wanted, timeout=CALL_S, metadata=self.credential)
        return str(answer.job.id)

    async def job(self, job_id: str) -> job_pb2.Job:
        wanted = gateway_pb2.GetJobRequest(job_id=job_id)
        return (await self.gateway.GetJob(wanted, timeout=CALL_S, metadata=self.credential)).job

    async def available(self) -> int:
        return int((await self.partner.points())["available"])


@contextlib.asynccontextmanager
async def opened(
    folder: Path,
    kinds: Sequence[str],
    *,
    also: Sequence[str] = (),
    pools: Mapping[str, str] | None = None,
    deadline_s: int = DEADLINE_S,
    **variables: str,
) -> AsyncIterator[House]:
    """Start the simulators in this process and the house in its own.

    Each kind has an account of its own name and, for each word of `also`, one named `kind-word`: a breaker that opens
    for one account leaves the others alone. `pools`: account → the pool of its model.
    """
    subjects = {kind: subject_of(kind) for kind in kinds}
    names = {kind: (kind, *(f"{kind}-{word}" for word in also)) for kind in kinds}
    accounts = {name: subjects[kind] for kind in kinds for name in names[kind]}
    folder.mkdir(parents=True, exist_ok=True)
    catalog = folder / "catalog"
    catalog.mkdir()
    (catalog / "trial.yaml").write_text(yaml.safe_dump(catalogue(accounts, deadline_s=deadline_s, pools=pools or {})))
    environment = {
        "ATELIER_CATALOG_DIR": str(catalog),
        "ATELIER_ALLOW_PRIVATE_TARGETS": "127.0.0.1/32",
        "PROVIDERS_FILE": str(folder / "providers.yaml"),
        "PROVIDERS_ENGINE_WORKERS": "0",
        "PROVIDERS_LEASE_S": "2",
        "JOBS_SWEEP_INTERVAL_S": "0.5",
        "BILLING_SWEEP_INTERVAL_S": "0.5",
        **variables,
    }
    async with contextlib.AsyncExitStack() as stack:
        simulators, entries = {}, []
        for kind, subject in subjects.items():
            simulators[kind] = subject.simulator()
            address = await stack.enter_async_context(served(simulators[kind]))
            environment |= subject.secrets
            for name in names[kind]:
                own = {"name": name, "kind": subject.kind, "base_url": address + subject.base_path}
                entries.append({**own, **QUICK, **subject.options})
        (folder / "providers.yaml").write_text(yaml.safe_dump({"providers": entries}))
        deployment = StandaloneDeployment(folder / "house", environment=environment)
        deployment.configure(ATELIER_PUBLIC_URL=deployment.url)
        await stack.enter_async_context(deployment)
        partner = await stack.enter_async_context(
            await new_partner(deployment.operator(), deployment.url, points=1_000_000)
        )
        yield House(
            deployment=deployment,
            environment=environment,
            plain_ask=plain_ask,
            simulators=simulators,
            subjects=subjects,
            partner=partner,
            gateway=gateway_grpc.GatewayServiceStub(deployment.gateway_channel()),
            credential=(("authorization", f"Bearer {partner.key}"),),
        )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(tmp_path_factory: Any) -> AsyncIterator[House]:
    """One house with every provider, and an account for each fault."""
    faults = tuple(str(fault) for fault in Fault)
    async with opened(tmp_path_factory.mktemp("providers"), KINDS, also=faults) as running:
        yield running


@pytest.fixture
def open_house() -> Any:
    """`opened`, for a house of a test's own."""
    return opened
