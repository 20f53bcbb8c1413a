"""The provider: films are tasks to ask after, pictures are drawn while the call is open."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from provider_adapter.ports import Accepted, Failed, Finished, OnProgress, Pending, Source, Task
from provider_adapter.providers.ark.errors import Complaint, field_of, trouble_of_submit
from provider_adapter.providers.ark.mapping import film_request, film_state, picture_request, pictures
from provider_adapter.providers.ark.media import BODY_BYTES_MAX, unsupported
from provider_adapter.providers.ark.models import film_model, picture_model
from provider_adapter.providers.ark.options import Options
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.provider import Refused, RemoteProvider, pause_of_poll
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble

FILMS: Final = "/contents/generations/tasks"
PICTURES: Final = "/images/generations"
PICTURE: Final = "image.generate"
FILM: Final = "video.generate"
REFUSED_PAUSE_S: Final = 30.0  # Until a credential that cannot even ask is put right.

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")  # Goes into a path as it is.


class Ark(RemoteProvider):
    """Seedance and Seedream under one key.

    A lost submit of a film cannot be looked up: the list of tasks can be filtered by model and state only, and no field
    that we set is documented to come back in it. The callback of such a film does arrive, at the attempt's own address.
    """

    capabilities = frozenset({PICTURE, FILM})
    options: Options

    def __init__(self, options: Options, results: Results) -> None:
        super().__init__(options, results)
        self.options = options

    async def _submit(self, task: Task, on_progress: OnProgress) -> Accepted | Finished | Failed:
        model = self.options.model_of(task.upstream_model)
        if task.capability == PICTURE:
            body = await picture_request(task, picture_model(model))
            answer = await self._order(PICTURES, task, body, max(min(self.options.work_s, task.timeout_s), 1.0))
            self._tell_bad_pictures(answer)
            return pictures(answer, self.results, cost_fen=self.options.cost_fen_per_output)
        body = await film_request(task, film_model(model))
        answer = await self._order(FILMS, task, body, self.options.answer_s)
        task_id = answer.get("id")
        if not isinstance(task_id, str) or not _ID.fullmatch(task_id):
            raise NotReadable("the answer has no task's id")
        return Accepted(upstream_task_id=task_id)

    async def _poll(self, upstream_task_id: str) -> Pending | Finished | Failed:
        reply = await self._ask(upstream_task_id)
        if pause := pause_of_poll(reply):
            return pause
        answer = reply.object()
        complaint = Complaint.find(answer)
        if reply.status == 404 and complaint:  # One without a code is a gateway's, and says nothing of the task.
            self._tell("task_unknown", reply, complaint)
            raise Refused(Trouble.GONE)
        if not reply.ok:
            # Not the task's end: it goes on, and is paid for, whatever is wrong with our asking.
            self._tell("question_refused", reply, complaint)
            return Pending(poll_after_s=REFUSED_PAUSE_S)
        if answer.get("status") == "failed":
            self._tell("task_failed", reply, complaint)
        return film_state(answer, self.results, cost_fen=self.options.cost_fen_per_output)

    async def _cancel(self, upstream_task_id: str) -> None:
        # The same call that cancels a task in the queue deletes the record of one that has ended, and with it the way
        # to a film that is paid for. So it is asked first; a running task cannot be cancelled.
        reply = await self._ask(upstream_task_id)
        if not reply.ok or reply.object().get("status") != "queued":
            return
        reply = await self.upstream.call("DELETE", f"{FILMS}/{upstream_task_id}", headers=self._headers())
        if not reply.ok:
            self._tell("cancel_refused", reply, _complaint(reply))

    async def hear(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return the task's id of a callback. Ark signs none: what keeps strangers out is the address's token."""
        try:
            message = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        task_id = message.get("id") if isinstance(message, dict) else None
        return task_id if isinstance(task_id, str) and _ID.fullmatch(task_id) else None

    async def _ask(self, upstream_task_id: str) -> Reply:
        if not _ID.fullmatch(upstream_task_id):
            raise Refused(Trouble.GONE)
        return await self.upstream.call("GET", f"{FILMS}/{upstream_task_id}", headers=self._headers())

    async def _order(self, path: str, task: Task, body: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Submit, and return the answer. Raises Refused where Ark says no."""
        headers = self._headers() | {"Content-Type": "application/json", "X-Client-Request-Id": task.attempt_id}
        content = await asyncio.to_thread(orjson.dumps, body)  # Pictures inside make it large.
        if len(content) > BODY_BYTES_MAX:
            raise unsupported("The inputs are too large together for the provider.", "inputs")
        reply = await self.upstream.call("POST", path, headers=headers, content=content, timeout_s=timeout_s)
        complaint = _complaint(reply)
        if not reply.ok or complaint:
            self._tell("submit_refused", reply, complaint)
            raise _refused(reply, complaint, task.inputs)
        return reply.object()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.options.key.read()}"}

    def _tell(self, event: str, reply: Reply, complaint: Complaint | None) -> None:
        said = complaint.message if complaint else reply.body[:1000].decode(errors="replace")
        code = complaint.code[:100] if complaint else ""
        request_id = reply.headers.get("x-request-id", "")[:100]
        self.upstream.tell(event, said, status=reply.status, code=code, request_id=request_id)

    def _tell_bad_pictures(self, answer: Mapping[str, Any]) -> None:
        items = answer.get("data")
        for item in items if isinstance(items, list) else []:
            if complaint := Complaint.find(item):
                self.upstream.tell("picture_failed", complaint.message, code=complaint.code[:100])


def _complaint(reply: Reply) -> Complaint | None:
    try:
        return Complaint.find(reply.json())
    except NotReadable:
        return None


def _refused(reply: Reply, complaint: Complaint | None, sources: Sequence[Source]) -> Refused:
    trouble = trouble_of_submit(reply.status, complaint)
    field = field_of(complaint.code, sources) if complaint else ""
    return Refused(trouble, field=field, retry_after_s=reply.retry_after_s)
