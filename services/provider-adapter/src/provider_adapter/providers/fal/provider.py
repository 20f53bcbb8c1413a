"""fal as a provider. See the package's docstring."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import orjson

from provider_adapter.domain import Failed
from provider_adapter.ports import Accepted, Finished, OnProgress, Pending, Task
from provider_adapter.providers.fal import mapping
from provider_adapter.providers.fal.options import Options
from provider_adapter.providers.fal.signing import KeySet
from provider_adapter.providers.remote.http import NotReadable, Reply
from provider_adapter.providers.remote.permodel import extra_of, files_of, model_input
from provider_adapter.providers.remote.provider import Refused, RemoteProvider, pause_of_poll
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble

RESULT_BYTES_MAX: Final = 64 << 20  # Some models answer with pictures in base64.
TASKS_MAX: Final = 20_000  # Whose ids are kept for webhooks; twice as many as are ever open.
APPS_MAX: Final = 200  # That are remembered; a catalogue names some dozens.


class Fal(RemoteProvider):
    """One account."""

    def __init__(self, options: Options, results: Results) -> None:
        super().__init__(options, results)
        self.capabilities = frozenset(options.capabilities)
        self._options = options
        self._keys = KeySet(self.upstream, options.keys_url)
        self._tasks: OrderedDict[str, str] = OrderedDict()  #: Ids by request; a webhook does not tell the app.
        self._apps = dict.fromkeys(mapping.app_of(model) for model in options.models)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Key {self._options.key.read()}"}

    async def _submit(self, task: Task, on_progress: OnProgress) -> Accepted | Failed:
        headers, model = self._headers(), task.upstream_model
        app = mapping.app_of(model)
        body = {**await model_input(task, self._options), **extra_of(task)}
        if len(self._apps) < APPS_MAX:
            self._apps[app] = None
        reply = await self.upstream.call(
            "POST",
            f"/{model}",
            params={"fal_webhook": task.callback_url} if task.callback_url else None,
            json=body,
            headers=headers,
        )
        if not reply.ok:
            self.upstream.tell("submit_refused", reply.body, status=reply.status)
            raise mapping.refusal(reply, self._options)
        answer = reply.object()
        task_id = mapping.taken(answer, model)
        if task_id is None:
            if "detail" not in answer and "error" not in answer:
                raise NotReadable("no request_id")
            self.upstream.tell("submit_refused", reply.body, status=reply.status)
            raise mapping.refusal(reply, self._options)
        self._keep(task_id)
        return Accepted(upstream_task_id=task_id)

    def _keep(self, task_id: str) -> None:
        self._tasks[mapping.parts(task_id)[1]] = task_id
        while len(self._tasks) > TASKS_MAX:
            self._tasks.popitem(last=False)

    async def _poll(self, upstream_task_id: str) -> Pending | Finished | Failed:
        app, request_id = mapping.parts(upstream_task_id)
        for one in self._candidates(app):
            reply = await self._get(f"/{mapping.task_id(one, request_id)}/status")
            if reply.status != 404:
                return await self._at(one, request_id, reply)
        raise Refused(Trouble.GONE)

    def _candidates(self, app: str) -> list[str]:
        return list(self._apps) if app == mapping.ANY_APP else [app]

    async def _at(self, app: str, request_id: str, reply: Reply) -> Pending | Finished:
        """What the answer to a status question, and the result after it, come to."""
        pause = pause_of_poll(reply)
        if pause is not None:
            return pause
        if not reply.ok:
            raise NotReadable(f"status {reply.status}")
        pending = mapping.standing(reply.object())
        if pending is not None:
            return pending
        result = await self._get(f"/{mapping.task_id(app, request_id)}")
        if not result.ok:
            self.upstream.tell("task_failed", result.body, status=result.status, request_id=request_id)
            failure = mapping.failure(result, self._options)
            if isinstance(failure, Pending):
                return failure
            raise failure
        each_fen = self._options.cost_fen_per_output
        files = files_of(result.json(), self._options.outputs.get(app), self.results, each_fen)
        return Finished(files=files, cost_fen=each_fen * len(files))

    async def _get(self, path: str) -> Reply:
        return await self.upstream.call("GET", path, headers=self._headers(), bytes_max=RESULT_BYTES_MAX)

    async def _cancel(self, upstream_task_id: str) -> None:
        app, request_id = mapping.parts(upstream_task_id)
        for one in self._candidates(app):
            path = f"/{mapping.task_id(one, request_id)}/cancel"
            await self.upstream.call("PUT", path, headers=self._headers())

    async def hear(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """The task that a webhook tells of; see `ports.Listener`. Raises DependencyUnavailable when the vendor's keys
        cannot be had: it will send it again."""
        await self._keys.verify(headers, body)
        try:
            told = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        request_id = told.get("request_id") if isinstance(told, dict) else None
        if not mapping.is_request_id(request_id):
            return None
        known = self._tasks.get(str(request_id))
        if known is None and self._apps:
            [app, *others] = self._apps
            known = mapping.task_id(mapping.ANY_APP if others else app, str(request_id))
        return known


def build(options: Options, results: Results) -> Fal:
    """Build the provider."""
    return Fal(options, results)
