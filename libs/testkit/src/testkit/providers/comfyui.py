"""A ComfyUI server: uploads, a checked queue, history, files, and its WebSocket.

It stands behind a proxy that can limit and refuse calls, as operators run it; the server itself does neither.
"""

import asyncio
import contextlib
import struct
import uuid
from typing import Any, ClassVar, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from testkit.providers import comfygraphs
from testkit.providers.comfygraphs import GraphRefused
from testkit.providers.faults import Body, Fault
from testkit.providers.files import picture
from testkit.providers.simulator import RETRY_AFTER_S, Answer, SimTask, Simulator

STEPS: Final = 4  # That each task tells of.


class ComfyUI(Simulator):
    """One server."""

    name: ClassVar[str] = "comfyui"

    def __init__(self, *, pace: float = 1.0, takes_prompt_id: bool = True, authorization: str = "") -> None:
        """`takes_prompt_id`: False for older servers. `authorization`: what the proxy in front wants, if anything."""
        super().__init__(pace=pace)
        self.takes_prompt_id = takes_prompt_id
        self.authorization = authorization
        self.uploads: dict[str, bytes] = {}
        self.sockets: dict[str, WebSocket] = {}
        self.interrupts: list[str] = []
        self.deleted: list[str] = []
        self._count = 0

    def routes(self) -> list[BaseRoute]:
        """All under `/api` too."""
        routes: list[BaseRoute] = [
            Route("/prompt", self._prompt, methods=["POST"]),
            Route("/prompt", self._remaining, methods=["GET"]),
            Route("/queue", self._queue, methods=["GET"]),
            Route("/queue", self._delete, methods=["POST"]),
            Route("/interrupt", self._interrupt, methods=["POST"]),
            Route("/history/{task_id:path}", self._history),
            Route("/upload/image", self._upload, methods=["POST"]),
            Route("/view", self._view),
            WebSocketRoute("/ws", self._socket),
        ]
        return [*routes, Mount("/api", routes=routes)]

    def error(self, fault: Fault) -> Response:
        """The server's own 500, and its error body; the rest is the proxy's."""
        match fault:
            case Fault.TOO_MANY:
                return Response("slow down", 429, {"Retry-After": str(RETRY_AFTER_S)})
            case Fault.UNAVAILABLE:
                return Response("no server is available", 503)
            case Fault.ACCOUNT:
                return Response("authorization required", 401)
            case Fault.ERROR_BODY:
                return JSONResponse(GraphRefused("invalid_prompt", "Cannot execute").body)
            case _:
                return Response("500 Internal Server Error", 500)

    def _refused(self, request: Request) -> Response | None:
        if request.headers.get("origin"):
            return Response(status_code=403)
        if self.authorization and request.headers.get("authorization") != self.authorization:
            return self.error(Fault.ACCOUNT)
        return None

    async def _prompt(self, request: Request) -> Answer:
        refused = self._refused(request)
        if refused is not None:
            return refused
        body = await request.json()
        graph, prompt_id = body.get("prompt"), body.get("prompt_id", str(uuid.uuid4()))
        try:
            comfygraphs.check(graph, self.uploads)
            if not _is_canonical(prompt_id):
                raise GraphRefused("invalid_prompt_id", "prompt_id must be a UUID")
        except GraphRefused as error:
            self.submits.append(body)
            return JSONResponse(error.body, 400)
        self._count += 1
        saves_film = any(node["class_type"] == "SimSaveFilm" for node in graph.values())
        shown = picture(seed=self._count, size=comfygraphs.size_of(graph))
        answer = await self.take(
            "film" if saves_film else "image",
            body,
            prompt=comfygraphs.prompt_of(graph),
            files=self.film() if saves_film else [(shown, "image/png")],
            task_id=prompt_id if self.takes_prompt_id else str(uuid.uuid4()),
        )
        for task in list(self.tasks.values())[-1:]:
            if task.request is body:
                self._later(self._narrate(task, body.get("client_id", "")))
        if not isinstance(answer, SimTask):
            return answer
        return JSONResponse({"prompt_id": answer.id, "number": self._count, "node_errors": {}})

    def _in(self, *states: str) -> list[SimTask]:
        return [
            task
            for task in self.tasks.values()
            if self.state(task) in states and task.fault is not Fault.LOST_TASK and task.id not in self.deleted
        ]

    async def _remaining(self, _: Request) -> Response:
        return JSONResponse({"exec_info": {"queue_remaining": len(self._in("queued", "running"))}})

    async def _queue(self, request: Request) -> Answer:
        refused = self._refused(request)
        if refused is not None:
            return refused
        rows = {
            name: [[number, task.id, task.request["prompt"], {}, []] for number, task in enumerate(self._in(state))]
            for name, state in (("queue_running", "running"), ("queue_pending", "queued"))
        }
        return JSONResponse(rows)

    async def _delete(self, request: Request) -> Response:
        pending = {task.id for task in self._in("queued")}
        for prompt_id in (await request.json()).get("delete", []):
            if prompt_id in pending:
                self.deleted.append(prompt_id)
                self.cancels.append(prompt_id)
        return Response()

    async def _interrupt(self, request: Request) -> Response:
        wanted = (await request.json()).get("prompt_id") if await request.body() else None
        self.interrupts.append(wanted or "")
        for task in self._in("running"):
            if wanted in (None, task.id):
                task.cancelled = True
                self.cancels.append(task.id)
                break
        return Response()

    async def _history(self, request: Request) -> Answer:
        refused = self._refused(request)
        if refused is not None:
            return refused
        task_id = request.path_params["task_id"]
        task = self.ask(task_id)
        if task is not None and not isinstance(task, SimTask):
            return task
        if task is None or self.state(task) in ("queued", "running") or task_id in self.deleted:
            return JSONResponse({})
        return JSONResponse({task.id: self._entry(task)})

    def _entry(self, task: SimTask) -> dict[str, Any]:
        messages: list[list[Any]] = [["execution_start", {"prompt_id": task.id}]]
        outputs: dict[str, Any] = {}
        state = self.state(task)
        if state == "succeeded":
            messages.append(["execution_success", {"prompt_id": task.id}])
            outputs = {"7": {"images": self._images(task)}}
        elif state == "cancelled":
            messages.append(["execution_interrupted", {"prompt_id": task.id, "node_id": "5", "executed": []}])
        else:
            data = {"exception_type": "OutOfMemoryError", "exception_message": "CUDA out of memory", "node_id": "5"}
            messages.append(["execution_error", {"prompt_id": task.id, **data}])
        status = {
            "status_str": "success" if state == "succeeded" else "error",
            "completed": state == "succeeded",
            "messages": messages,
        }
        prompt = [1, task.id, task.request["prompt"], {}, []]
        return {"prompt": prompt, "outputs": outputs, "status": status, "meta": {}}

    def _images(self, task: SimTask) -> list[dict[str, str]]:
        ending = "mp4" if task.kind == "film" else "png"
        return [{"filename": f"{task.id}_00001_.{ending}", "subfolder": "", "type": "output"}]

    async def _upload(self, request: Request) -> Answer:
        refused = self._refused(request)
        if refused is not None:
            return refused
        async with request.form() as form:
            image: Any = form["image"]
            name, data = image.filename, await image.read()
            overwrite = form.get("overwrite") in ("true", "1")
        stem, _, ending = name.rpartition(".")
        number = 0
        while name in self.uploads and not overwrite:
            number += 1
            name = f"{stem} ({number}).{ending}"
        self.uploads[name] = data
        return JSONResponse({"name": name, "subfolder": "", "type": "input"})

    async def _view(self, request: Request) -> Answer:
        refused = self._refused(request)
        if refused is not None:
            return refused
        task = self.tasks.get(request.query_params["filename"].partition("_")[0])
        if task is None or request.query_params.get("type") != "output":
            return Response(status_code=404)
        data, mime_type = task.files[0]
        return Body(data, mime_type, fault=task.fault)

    async def _socket(self, socket: WebSocket) -> None:
        if self.authorization and socket.headers.get("authorization") != self.authorization:
            await socket.close()
            return
        await socket.accept()
        client_id = socket.query_params.get("clientId", uuid.uuid4().hex)
        self.sockets[client_id] = socket
        await socket.send_json(
            {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": client_id}}
        )
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await socket.receive_text()
        if self.sockets.get(client_id) is socket:
            del self.sockets[client_id]

    async def _narrate(self, task: SimTask, client_id: str) -> None:
        """Tell the socket of the task's client what happens."""

        async def say(kind: str, **data: Any) -> None:
            socket = self.sockets.get(client_id)
            if socket is not None:
                with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                    await socket.send_json({"type": kind, "data": {"prompt_id": task.id, **data}})

        while self.state(task) == "queued":  # noqa: ASYNC110  States follow from time; nothing tells.
            await asyncio.sleep(0.005)
        if task.id in self.deleted:
            return  # It never runs.
        await say("execution_start", timestamp=0)
        await say("execution_cached", nodes=[])
        await say("executing", node="5", display_node="5")
        for value in range(1, STEPS + 1 if task.fault is not Fault.STUCK else STEPS):
            await say("progress", value=value, max=STEPS, node="5")
            socket = self.sockets.get(client_id)
            if socket is not None:
                with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                    await socket.send_bytes(struct.pack(">II", 1, 2) + b"\x89PNG preview")
        while self.state(task) == "running":  # noqa: ASYNC110  As above.
            await asyncio.sleep(0.005)
        match self.state(task):
            case "succeeded":
                await say("executed", node="7", display_node="7", output={"images": self._images(task)})
                await say("execution_success", timestamp=0)
            case "cancelled":
                await say("execution_interrupted", node_id="5", node_type="KSampler", executed=[])
            case _:
                await say("execution_error", node_id="5", node_type="KSampler", exception_message="CUDA out of memory")
        await say("executing", node=None)


def _is_canonical(prompt_id: object) -> bool:
    try:
        return isinstance(prompt_id, str) and str(uuid.UUID(prompt_id)) == prompt_id
    except ValueError:
        return False


def build() -> Simulator:
    """A server of today."""
    return ComfyUI()
