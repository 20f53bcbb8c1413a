"""A remote provider on trial: its adapter, configured as an operator would, against its simulator.

The adapter's own words come in as an argument (`ports`) because no library of the house imports a service.
"""

import contextlib
import hashlib
import importlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kit.web import FetchLimits, WallPolicy, WebClient
from testkit.providers.faults import Fault
from testkit.providers.files import picture
from testkit.providers.serving import served
from testkit.providers.simulator import Simulator

TIMEOUT_S: Final = 60.0
#: As long as a test waits for a provider that hangs or drips.
SHORT: Final = {"answer_s": 1.0, "connect_s": 1.5}
LIMITS: Final = FetchLimits(
    first_byte_s=1.0, total_s=2.5, rate_grace_s=0.5, body_bytes_max=4 << 20, refusal_floor_s=0.0
)


class BytesSource:
    """An input in memory, with a link where one is given."""

    def __init__(self, data: bytes, *, role: str = "image", mime_type: str = "image/png", link: str = "") -> None:
        self.role, self.label, self.field = role, "", "inputs[0]"
        self.mime_type, self.size_bytes = mime_type, len(data)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._data, self._link = data, link

    async def chunks(self) -> AsyncIterator[bytes]:
        """All at once."""
        yield self._data

    async def read(self) -> bytes:
        """All at once."""
        return self._data

    def link(self) -> str:
        """The link given."""
        return self._link


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request that the provider can do, without its prompt: a suite adds that."""

    capability: str
    upstream_model: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[BytesSource] = ()
    mime_type: str = "image/png"  #: Of what the simulator answers with.
    prompted: bool = True  #: Whether the vendor takes a prompt with it.
    task_id: bool | None = None  #: Whether its submit answers with a task; None for what the subject says.


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What `remote_<kind>.py` brings."""

    kind: str
    simulator: Callable[[], Simulator]
    options: Mapping[str, Any]  #: Of the providers' file, but for `name`, `kind` and `base_url`.
    secrets: Mapping[str, str]  #: Environment variables that `options` name, and the values the simulator takes.
    asks: Sequence[Ask]  #: One for each capability and way of it; the first has a prompt.
    task_ids: bool  #: Whether submits answer with a task to ask after, unless the ask says otherwise.
    found_by_attempt: bool = False  #: Whether a lost submit can be looked up.
    cancels: bool = False  #: Whether a running task can be ended.
    #: Parameters or models that the vendor does not offer, and the field that is named.
    unsupported: Sequence[tuple[Ask, str]] = ()
    #: Faults that this vendor cannot have, each with the reason why.
    without: Mapping[Fault, str] = field(default_factory=dict)
    base_path: str = ""  #: Of the base URL, e.g. "/api/v3".

    def answers_with_task(self, ask: Ask) -> bool:
        """Whether the submit of `ask` answers with a task to ask after; else with the results."""
        return self.task_ids if ask.task_id is None else ask.task_id


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A subject at work."""

    subject: Subject
    simulator: Simulator
    provider: Any
    address: str
    ports: Any
    build: Callable[..., Any]  #: Another adapter for the same simulator, with options changed. Not started.

    def task(self, ask: Ask, *, prompt: str = "a fox", attempt_id: str = "att_1", **changes: Any) -> Any:
        """A task for the adapter."""
        parameters = {**ask.parameters, **({"prompt": prompt} if ask.prompted else {})}
        values = {
            "job_id": "job_1",
            "attempt_id": attempt_id,
            "capability": ask.capability,
            "upstream_model": ask.upstream_model,
            "parameters": parameters,
            "inputs": ask.inputs,
            "seed": 7,
            "timeout_s": TIMEOUT_S,
            **changes,
        }
        return self.ports.Task(**values)


@contextlib.asynccontextmanager
async def started(subject: Subject, ports: Any, monkeypatch: Any) -> AsyncIterator[Trial]:
    """Serve the simulator, set the secrets, start the adapter."""
    for name, value in subject.secrets.items():
        monkeypatch.setenv(name, value)
    simulator = subject.simulator()
    module = importlib.import_module(f"provider_adapter.providers.{subject.kind}")
    results = importlib.import_module("provider_adapter.providers.remote.results")
    policy = WallPolicy(allow=WallPolicy.parse_allow("127.0.0.1"))
    async with served(simulator) as address:

        def build(**changes: Any) -> Any:
            options = module.Options.model_validate(
                {
                    "name": f"{subject.kind}-1",
                    "kind": subject.kind,
                    "base_url": address + subject.base_path,
                    **SHORT,
                    **subject.options,
                    **changes,
                }
            )
            return module.build(options, results.Results(WebClient(policy), limits=LIMITS))

        provider = build()
        try:
            await provider.start()
            yield Trial(
                subject=subject,
                simulator=simulator,
                provider=provider,
                address=address,
                ports=ports,
                build=build,
            )
        finally:
            await provider.close()


def source(*, role: str = "image", size: tuple[int, int] = (64, 64), link: str = "", seed: int = 1) -> BytesSource:
    """A PNG as an input."""
    return BytesSource(picture(seed=seed, size=size), role=role, link=link)
