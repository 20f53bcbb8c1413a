"""What all simulated providers share: tasks whose states follow from time, faults, results, callbacks, counts."""

import asyncio
import itertools
import time
import uuid
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from testkit.providers.faults import OF_RESULT, OF_TASK, Body, Fault, Hang, Reset, switch_in
from testkit.providers.files import film, picture

QUEUED_S: Final = 0.05  # Tests do not wait; `pace` makes it longer.
RUNNING_S: Final = 0.05
URL_LIVES_S: Final = 24 * 3600.0
RETRY_AFTER_S: Final = 1
CALLBACK_S: Final = 5.0

Answer = Any  #: A Starlette response, or one of `faults`.


@dataclass(kw_only=True)
class SimTask:
    """One task that was taken, and so would be paid for."""

    id: str
    kind: str  #: What the vendor calls the model.
    request: Mapping[str, Any]  #: As it came.
    began: float  #: On the monotonic clock.
    fault: Fault | None = None
    cancelled: bool = False
    polls: int = 0
    callback_url: str = ""
    files: list[tuple[bytes, str]] = field(default_factory=list)  #: Bytes and media type of each result.


class Simulator:
    """One vendor. A subclass brings `name`, `routes`, and the vendor's way to say each fault (`error`)."""

    name: ClassVar[str] = ""

    def __init__(self, *, pace: float = 1.0) -> None:
        """`pace`: how many times the usual 0.1 s a task takes."""
        self.pace = pace
        self.tasks: dict[str, SimTask] = {}
        self.submits: list[Mapping[str, Any]] = []  #: Every submit that got as far as being read, taken or not.
        self.questions = 0  #: Status questions.
        self.cancels: list[str] = []
        self.next_faults: deque[Fault] = deque()
        self.callbacks: list[int] = []  #: Statuses of the callbacks' answers; 0 for none.
        self._asked: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self._sending: set[asyncio.Task[None]] = set()
        self.app = Starlette(
            routes=[
                *self.routes(),
                Route("/_files/{task_id}/{number:int}", self._file),
                Route("/_simulator/state", self._state),
                Route("/_simulator/faults", self._add_faults, methods=["POST"]),
            ]
        )

    # What a vendor brings.

    def routes(self) -> list[BaseRoute]:
        """The vendor's routes."""
        raise NotImplementedError

    def error(self, fault: Fault) -> Response:
        """The vendor's answer to a submit with a fault of its own: TOO_MANY, BROKEN, UNAVAILABLE, ERROR_BODY, MODERATED
        or ACCOUNT, with status, headers and body as its documents have them."""
        raise NotImplementedError

    # What a vendor's handlers use.

    def new_id(self) -> str:
        """An id in no vendor's form."""
        return uuid.uuid4().hex

    async def take(
        self,
        kind: str,
        request: Mapping[str, Any],
        *,
        prompt: str,
        files: list[tuple[bytes, str]] | None = None,
        task_id: str = "",
        callback_url: str = "",
    ) -> SimTask | Answer:
        """Take a submit that is valid, or return the faulty answer that it asked for. `files`: one picture if None."""
        self.submits.append(request)
        fault = self._fault(prompt)
        if fault is Fault.RESET:
            return Reset()
        if fault is not None and fault not in OF_TASK | OF_RESULT | {Fault.LOST, Fault.HANG}:
            return self.error(fault)
        task = SimTask(
            id=task_id or self.new_id(),
            kind=kind,
            request=request,
            began=time.monotonic(),
            fault=fault,
            callback_url=callback_url,
            files=files if files is not None else [(picture(seed=next(self._numbers)), "image/png")],
        )
        self.tasks[task.id] = task
        if callback_url:
            self._call_back_later(task)
        if fault is Fault.LOST:
            return Reset()
        return Hang() if fault is Fault.HANG else task

    def state(self, task: SimTask) -> str:
        """One of queued, running, succeeded, failed, moderated, cancelled; by the time since it was taken."""
        if task.cancelled:
            return "cancelled"
        age = (time.monotonic() - task.began) / self.pace
        if age < QUEUED_S:
            return "queued"
        if age < QUEUED_S + RUNNING_S or task.fault is Fault.STUCK:
            return "running"
        return {Fault.FAILED: "failed", Fault.OUTPUT_MODERATED: "moderated"}.get(task.fault, "succeeded")  # type: ignore[arg-type]

    def ask(self, task_id: str) -> SimTask | Answer | None:
        """The task that a status question is about, None for an unknown one, or the faulty answer it asked for."""
        self.questions += 1
        task = self.tasks.get(task_id)
        if task is None or task.fault is Fault.LOST_TASK:
            return None
        task.polls += 1
        if task.fault is Fault.POLL_BROKEN and task.polls <= 3:
            return (self.error(Fault.BROKEN), self.error(Fault.TOO_MANY), Reset())[task.polls - 1]
        return task

    def url(self, request: Request, task: SimTask, number: int = 0) -> str:
        """Where a result of the task can be fetched for a while, without credentials."""
        return f"{str(request.base_url).rstrip('/')}/_files/{task.id}/{number}"

    def file_bytes(self, task: SimTask, number: int = 0) -> bytes:
        """A result for answers that carry it (base64), spoilt as the task's fault says."""
        data, _ = task.files[number]
        match task.fault:
            case Fault.TRUNCATED:
                return data[: len(data) // 2]
            case Fault.EMPTY:
                return b""
            case Fault.HTML:
                return b"<!doctype html><title>Sorry</title>"
            case Fault.WRONG_TYPE:
                return b"%PDF-1.7\n1 0 obj<<>>endobj\n"
            case _:
                return data

    def film(self) -> list[tuple[bytes, str]]:
        """A short film as a task's results."""
        return [(film(), "video/mp4")]

    def url_lives_s(self, task: SimTask) -> float:
        """How long after the submit a task's results can be fetched."""
        return URL_LIVES_S

    async def post_callback(self, task: SimTask) -> tuple[bytes, Mapping[str, str]] | None:
        """Body and headers of the callback of a task that has ended; None where the vendor sends none."""
        return None

    # The rest is this class's own.

    def _fault(self, prompt: str) -> Fault | None:
        if self.next_faults:
            return self.next_faults.popleft()
        switch = switch_in(prompt)
        if switch is None:
            return None
        fault, times = switch
        self._asked[prompt] += 1
        return fault if times is None or self._asked[prompt] <= times else None

    async def _file(self, request: Request) -> Answer:
        task = self.tasks.get(request.path_params["task_id"])
        number = request.path_params["number"]
        if task is None or number >= len(task.files) or time.monotonic() - task.began > self.url_lives_s(task):
            return Response(status_code=404)
        data, mime_type = task.files[number]
        return Body(data, mime_type, fault=task.fault)

    async def _state(self, _: Request) -> Response:
        tasks = [{"id": task.id, "kind": task.kind, "state": self.state(task)} for task in self.tasks.values()]
        return JSONResponse(
            {
                "submits": len(self.submits),
                "taken": len(self.tasks),
                "questions": self.questions,
                "cancels": self.cancels,
                "callbacks": self.callbacks,
                "tasks": tasks,
            }
        )

    async def _add_faults(self, request: Request) -> Response:
        self.next_faults.extend(Fault(each) for each in (await request.json())["faults"])
        return Response(status_code=204)

    def _call_back_later(self, task: SimTask) -> None:
        self._later(self._call_back(task))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside the answer; it ends with the simulator."""
        sending = asyncio.create_task(work)
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def _call_back(self, task: SimTask) -> None:
        while self.state(task) in {"queued", "running"}:  # noqa: ASYNC110  States follow from time; nothing tells.
            await asyncio.sleep(0.02 * self.pace)
        message = await self.post_callback(task)
        if message is None:
            return
        body, headers = message
        try:
            async with httpx.AsyncClient(timeout=CALLBACK_S) as client:
                answer = await client.post(task.callback_url, content=body, headers=dict(headers))
            self.callbacks.append(answer.status_code)
        except httpx.HTTPError:
            self.callbacks.append(0)

    async def aclose(self) -> None:
        """End the callbacks that are under way."""
        for sending in list(self._sending):
            sending.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)


Handler = Callable[[Request], Awaitable[Answer]]
