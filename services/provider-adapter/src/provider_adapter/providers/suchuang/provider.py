"""SuChuang's tasks: handed over and asked after. The vendor has no callbacks, no cancelling and no looking up."""

from typing import Any, Final

from provider_adapter.ports import Accepted, Failed, Finished, OnProgress, Pending, Task
from provider_adapter.providers.remote.http import NotReadable
from provider_adapter.providers.remote.provider import Refused, RemoteProvider, pause_of_poll
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble
from provider_adapter.providers.suchuang.mapping import (
    ID_CHARS_MAX,
    body_of,
    form_of,
    message_of,
    standing,
    task_id_of,
)
from provider_adapter.providers.suchuang.options import Options

FORM: Final = "application/x-www-form-urlencoded;charset=utf-8"


class SuChuangProvider(RemoteProvider):
    """One account. A task's id is told as `family:id`, because each family is asked after in its own way."""

    capabilities = frozenset({"image.generate", "video.generate"})

    def __init__(self, options: Options, results: Results) -> None:
        super().__init__(options, results)
        self._options = options

    async def _submit(self, task: Task, on_progress: OnProgress) -> Accepted | Finished | Failed:
        family = self._options.families.get(task.upstream_model)
        if family is None:
            raise Refused(Trouble.UNSUPPORTED, "The route names a model that is not configured.")
        if family.capability != task.capability:
            raise Refused(Trouble.UNSUPPORTED)
        body = body_of(task, family)
        extra = task.parameters.get("extra")
        if isinstance(extra, dict):
            body |= extra
        json, form = (body, None) if family.encoding == "json" else (None, form_of(body))
        reply = await self.upstream.call(
            "POST",
            family.submit_path,
            headers=self._headers(**({} if form is None else {"Content-Type": FORM})),
            params=self._key() if self._options.key_in_query == "always" else None,
            json=json,
            data=form,
        )
        try:
            task_id = f"{task.upstream_model}:{task_id_of(reply, self._options)}"
        except Refused:
            self.upstream.tell("submit_refused", message_of(reply), status=reply.status)
            raise
        if len(task_id) > ID_CHARS_MAX:
            raise NotReadable("a task's id that is too long")
        return Accepted(upstream_task_id=task_id)

    async def _poll(self, upstream_task_id: str) -> Pending | Finished | Failed:
        name, _, task_id = upstream_task_id.partition(":")
        if not task_id:
            raise Refused(Trouble.GONE)
        family = self._options.families.get(name)
        if family is None:
            raise NotReadable("the task's family is no longer configured")
        params = {"id": task_id, **({} if self._options.key_in_query == "never" else self._key())}
        reply = await self.upstream.call("GET", family.detail_path, headers=self._headers(), params=params)
        if (pause := pause_of_poll(reply)) is not None:
            return pause
        try:
            return standing(reply, family, self._options, self.results)
        except (Refused, NotReadable):
            self.upstream.tell("task_failed_or_not_told", message_of(reply), status=reply.status)
            raise

    def _headers(self, **more: str) -> dict[str, str]:
        return {"Authorization": self._options.key.read(), **more}

    def _key(self) -> dict[str, Any]:
        return {"key": self._options.key.read()}
