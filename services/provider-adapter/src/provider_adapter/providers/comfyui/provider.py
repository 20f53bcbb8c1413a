"""A ComfyUI server as a provider: inputs are uploaded, a graph is queued under an id of ours, files are fetched."""

import asyncio
import hashlib
import uuid
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from provider_adapter.domain import Failed
from provider_adapter.ports import Accepted, Finished, NotTaken, OnProgress, Pending, Source, Task, Unclear
from provider_adapter.providers.comfyui import mapping
from provider_adapter.providers.comfyui.graphs import Graph, PlaceEmpty, read_graphs
from provider_adapter.providers.comfyui.options import Options
from provider_adapter.providers.comfyui.progress import Watch
from provider_adapter.providers.remote.http import NoAnswer, NotReadable, Reply
from provider_adapter.providers.remote.provider import Refused, RemoteProvider, pause_of_poll, trouble_of_status
from provider_adapter.providers.remote.results import Results, role_by_name
from provider_adapter.providers.remote.trouble import Trouble

SHIPPED: Final = Path(__file__).parent / "shipped"
#: Ids follow from the attempt's, so that a submit whose answer was lost can be looked up. Any fixed UUID does.
NAMESPACE: Final = uuid.UUID("6f0b6ff5-60a3-5d0c-a3a8-7c1c0b1c6d5e")
UPLOAD_S: Final = 120.0  # The largest picture over a slow link.
INPUT_BYTES_MAX: Final = 64 << 20  # What is held in memory at once; an uncompressed picture of 20 megapixels.
LIST_BYTES_MAX: Final = 64 << 20  # The queue and the history carry every task's whole graph.

_ENDINGS: Final = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


class _Wait(Exception):
    """The server says nothing of the task just now."""

    def __init__(self, pending: Pending) -> None:
        super().__init__()
        self.pending = pending


class ComfyUi(RemoteProvider):
    """One server. See the package's docstring."""

    def __init__(self, options: Options, results: Results) -> None:
        """Raises ValueError for graphs that are none."""
        super().__init__(options, results)
        self.capabilities = frozenset(options.capabilities)
        self._options = options
        self._graphs = read_graphs(SHIPPED, options.graphs)
        self._watch = Watch(options.base, headers=self._headers, open_s=options.connect_s)
        self._takes_prompt_id = options.takes_prompt_id

    async def close(self) -> None:
        """Close all connections."""
        await self._watch.close()
        await super().close()

    def _headers(self) -> dict[str, str]:
        authorization = self._options.authorization
        return {"Authorization": authorization.read()} if authorization is not None else {}

    async def _submit(self, task: Task, on_progress: OnProgress) -> Accepted | Failed:
        prompt_id, headers = id_of(task.attempt_id), self._headers()
        graph = mapping.choose(task.upstream_model, self._graphs, task.inputs)
        nodes = await self._fill(task, graph)
        body: dict[str, Any] = {"prompt": nodes, "client_id": self._watch.client_id, "prompt_id": prompt_id}
        extra = task.parameters.get("extra")
        if isinstance(extra, dict):
            body |= extra
        await self._watch.opened()
        reply = await self.upstream.call("POST", "/prompt", json=body, headers=headers)
        return Accepted(upstream_task_id=self._taken(reply, prompt_id))

    async def _fill(self, task: Task, graph: Graph) -> dict[str, Any]:
        """Upload the inputs and fill in the graph; nothing of the task itself is sent."""
        places = mapping.input_places(task.inputs)
        data = {place: await _read(source) for place, source in places.items()}
        size = None
        if "image" in places and mapping.needs_image_size(graph):
            size = await asyncio.to_thread(mapping.size_of, data["image"], places["image"].field)
        try:
            graph.filled(mapping.values(task, graph, dict.fromkeys(places, ""), size))  # Refused before any upload.
            files = {place: await self._upload(source, data[place]) for place, source in places.items()}
            return graph.filled(mapping.values(task, graph, files, size))
        except PlaceEmpty as error:
            self.upstream.tell("graph_place_empty", graph=graph.name, place=error.name)
            message = f"The graph needs a value for {error.name}."
            raise Refused(Trouble.UNSUPPORTED, message, field=error.name) from error

    async def _upload(self, source: Source, data: bytes) -> str:
        name = f"atelier_{hashlib.sha256(data).hexdigest()[:40]}.{_ENDINGS.get(source.mime_type, 'bin')}"
        try:
            reply = await self.upstream.call(
                "POST",
                "/upload/image",
                headers=self._headers(),
                data={"type": "input", "overwrite": "true"},  # The name follows from the bytes.
                files=[("image", (name, data, source.mime_type))],
                timeout_s=max(self.options.answer_s, UPLOAD_S),
            )
            if not reply.ok:
                self.upstream.tell("upload_refused", reply.body, status=reply.status)
                trouble = trouble_of_status(reply.status)
                trouble = Trouble.UNAVAILABLE if trouble is Trouble.NO_ANSWER else trouble
                raise Refused(trouble, field=source.field, retry_after_s=reply.retry_after_s)
            answer = reply.object()
        except (NoAnswer, NotReadable) as error:  # Only a file may have arrived: the task surely did not.
            raise Refused(Trouble.UNREACHABLE) from error
        if not isinstance(answer.get("name"), str):
            raise Refused(Trouble.UNAVAILABLE)
        return "/".join(filter(None, (str(answer.get("subfolder") or ""), answer["name"])))

    def _taken(self, reply: Reply, prompt_id: str) -> str:
        if not reply.ok:
            self.upstream.tell("submit_refused", reply.body, status=reply.status)
            raise Refused(trouble_of_status(reply.status), retry_after_s=reply.retry_after_s)
        answer = reply.object()
        given = answer.get("prompt_id")
        if not isinstance(given, str) or not given:
            if "error" not in answer:
                raise NotReadable("no prompt_id")
            self.upstream.tell("submit_refused", reply.body, status=reply.status)
            raise Refused(Trouble.INVALID)
        if given != prompt_id and self._takes_prompt_id:
            self._takes_prompt_id = False
            self.upstream.tell("server_chooses_ids_itself")
        if answer.get("node_errors"):
            self.upstream.tell("submit_taken_in_part", answer["node_errors"], prompt_id=given)
        return given

    async def _poll(self, upstream_task_id: str) -> Pending | Finished | Failed:
        try:
            entry = await self._entry(upstream_task_id)
            if entry is None and not await self._is_queued(upstream_task_id):
                entry = await self._entry(upstream_task_id)  # It may have ended between the two questions.
                if entry is None:
                    raise Refused(Trouble.GONE)
        except _Wait as wait:
            return wait.pending
        if entry is None:
            return Pending(fraction=self._watch.fraction(upstream_task_id))
        self._watch.forget(upstream_task_id)
        return self._ended(entry, upstream_task_id)

    def _ended(self, entry: dict[str, Any], prompt_id: str) -> Finished:
        status = entry.get("status")
        status = status if isinstance(status, dict) else {}
        if status.get("status_str") != "success":
            trouble, words = mapping.trouble_of_entry(status)
            self.upstream.tell("task_failed", words, prompt_id=prompt_id)
            raise Refused(trouble)
        files = mapping.files_of(entry.get("outputs"))
        cost_fen = self.options.cost_fen_per_output * len(files)
        if not files:
            raise Refused(Trouble.UNUSABLE)
        return Finished(
            files=[
                self.results.own(
                    self.upstream,
                    f"/view?{urlencode(file)}",
                    headers=self._headers,
                    role=role_by_name(file["filename"]),
                    cost_fen=cost_fen,
                )
                for file in files
            ],
            cost_fen=cost_fen,
        )

    async def _entry(self, prompt_id: str) -> dict[str, Any] | None:
        history = (await self._ask(f"/history/{quote(prompt_id, safe='')}")).object()
        entry = history.get(prompt_id)
        return entry if isinstance(entry, dict) else None

    async def _is_queued(self, prompt_id: str) -> bool:
        """Whether it waits or runs; the queue, with all its graphs, is only asked for when the socket is silent."""
        return self._watch.running(prompt_id) or await self._place(prompt_id) is not None

    async def _place(self, prompt_id: str) -> str | None:
        """Which of the server's queues the task is in."""
        queue = (await self._ask("/queue")).object()
        for name in ("queue_running", "queue_pending"):
            for item in queue.get(name) or []:
                if isinstance(item, list) and len(item) > 1 and item[1] == prompt_id:
                    return name
        return None

    async def _ask(self, path: str) -> Reply:
        reply = await self.upstream.call("GET", path, headers=self._headers(), bytes_max=LIST_BYTES_MAX)
        pause = pause_of_poll(reply)
        if pause is not None:
            raise _Wait(pause)
        if not reply.ok:
            raise NotReadable(f"status {reply.status}")
        return reply

    async def _cancel(self, upstream_task_id: str) -> None:
        await self._tell("/queue", {"delete": [upstream_task_id]})
        try:
            place = await self._place(upstream_task_id)
        except _Wait:
            return
        if place == "queue_running":  # Else an older server would interrupt whatever runs.
            await self._tell("/interrupt", {"prompt_id": upstream_task_id})
        self._watch.forget(upstream_task_id)  # What was heard a moment ago no longer holds.

    async def _tell(self, path: str, body: dict[str, Any]) -> None:
        await self.upstream.call("POST", path, json=body, headers=self._headers())

    async def _look_up(self, attempt_id: str) -> Accepted | NotTaken | Unclear:
        prompt_id = id_of(attempt_id)
        try:  # The queue first: a task goes from there to the history, never back.
            if await self._place(prompt_id) is not None or await self._entry(prompt_id) is not None:
                return Accepted(upstream_task_id=prompt_id)
        except _Wait as wait:
            return Unclear(retry_after_s=wait.pending.poll_after_s)
        return NotTaken() if self._takes_prompt_id else Unclear()


def id_of(attempt_id: str) -> str:
    """The task's id at the server: a canonical UUID."""
    return str(uuid.uuid5(NAMESPACE, attempt_id))


async def _read(source: Source) -> bytes:
    if source.size_bytes > INPUT_BYTES_MAX:
        raise Refused(Trouble.UNSUPPORTED, "The input is too large.", field=source.field)
    return await source.read()


def build(options: Options, results: Results) -> ComfyUi:
    """Build the provider. Raises ValueError for graphs that are none."""
    return ComfyUi(options, results)
