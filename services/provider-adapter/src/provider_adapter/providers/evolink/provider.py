"""EvoLink's tasks: handed over, asked after, told of by callbacks. They cannot be cancelled or looked up."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson

from provider_adapter.ports import Accepted, Failed, Finished, OnProgress, Pending, Task
from provider_adapter.providers.evolink.images import image_body
from provider_adapter.providers.evolink.mapping import error_of, is_task_id, refusal, standing
from provider_adapter.providers.evolink.options import Options
from provider_adapter.providers.evolink.videos import video_body
from provider_adapter.providers.remote.http import NotReadable
from provider_adapter.providers.remote.provider import Refused, RemoteProvider, pause_of_poll
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble

IMAGE_FIRST_POLL_S: Final = 3.0  # As the vendor's own client asks.
VIDEO_FIRST_POLL_S: Final = 5.0
CALLBACK_URL_CHARS_MAX: Final = 2048
EXTRA: Final = "extra"  #: The operator's own fields for the body, from the catalogue.


class EvoLinkProvider(RemoteProvider):
    """One account."""

    capabilities = frozenset({"image.generate", "image.inpaint", "video.generate"})

    def __init__(self, options: Options, results: Results) -> None:
        super().__init__(options, results)
        self._options = options

    async def _submit(self, task: Task, on_progress: OnProgress) -> Accepted | Finished | Failed:
        video = task.capability == "video.generate"
        body = video_body(task) if video else image_body(task, self._options.image_models)
        if _callable(task.callback_url):
            body["callback_url"] = task.callback_url
        body |= _extra(task)
        path = "/v1/videos/generations" if video else "/v1/images/generations"
        reply = await self.upstream.call("POST", path, headers=self._headers(), json=body)
        if reply.ok and not error_of(reply):
            task_id = reply.object().get("id")
            if not is_task_id(task_id):
                raise NotReadable("a task without an id")
            return Accepted(
                upstream_task_id=str(task_id), poll_after_s=VIDEO_FIRST_POLL_S if video else IMAGE_FIRST_POLL_S
            )
        self.upstream.tell("submit_refused", error_of(reply).get("message"), status=reply.status)
        raise refusal(reply)

    async def _poll(self, upstream_task_id: str) -> Pending | Finished | Failed:
        path = f"/v1/tasks/{quote(upstream_task_id, safe='')}"
        reply = await self.upstream.call("GET", path, headers=self._headers())
        if (pause := pause_of_poll(reply)) is not None:
            return pause
        if reply.ok:
            task = reply.object()
            if isinstance(error := task.get("error"), dict):
                self.upstream.tell("task_failed", error.get("message"), code=str(error.get("code"))[:64])
            return standing(task, self.results, self.options.cost_fen_per_output)
        error = error_of(reply)
        self.upstream.tell("poll_refused", error.get("message"), status=reply.status)
        if reply.status == 404 or error.get("code") in {"task_not_found", "invalid_task_id"}:
            raise Refused(Trouble.GONE)
        return Pending()  # Our account is refused, or so: the task goes on, and what it makes is ours.

    async def hear(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return the task's id out of its record. The vendor signs nothing; the URL that was called is the secret."""
        try:
            message: Any = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        task_id = message.get("id") if isinstance(message, dict) else None
        return str(task_id) if is_task_id(task_id) else None

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._options.key.read()}"}


def _callable(url: str) -> bool:
    """Whether the vendor takes the URL; it refuses the whole order for one that it does not."""
    return url.startswith("https://") and len(url) <= CALLBACK_URL_CHARS_MAX


def _extra(task: Task) -> dict[str, Any]:
    extra = task.parameters.get(EXTRA)
    return dict(extra) if isinstance(extra, dict) else {}
