"""The provider: two signed calls, one to hand over a task and one to ask after it.

The vendor documents no cancel for these tasks, no callback, and no way to find a task whose id was lost.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from provider_adapter.ports import Accepted, Failed, Finished, OnProgress, Pending, Task
from provider_adapter.providers.jimeng.mapping import body_of
from provider_adapter.providers.jimeng.options import Options
from provider_adapter.providers.jimeng.replies import (
    CODES,
    INTERNAL,
    Answer,
    answer_in,
    files_in,
    refusal,
)
from provider_adapter.providers.jimeng.signing import Signer, host_of
from provider_adapter.providers.remote.http import REPLY_BYTES_MAX, NotReadable, Reply
from provider_adapter.providers.remote.pictures import Aside
from provider_adapter.providers.remote.provider import Refused, RemoteProvider, pause_of_poll
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble

SERVICE: Final = "cv"
VERSION: Final = "2022-08-31"
SUBMIT: Final = "CVSync2AsyncSubmitTask"
GET_RESULT: Final = "CVSync2AsyncGetResult"

TASK_ID_CHARS_MAX: Final = 256  # Of ours: the model and their id.
RESULT_BYTES_MAX: Final = 64 << 20  # They may answer with the picture in base64, though URLs are asked for.
FILM_FIRST_POLL_S: Final = 10.0  # The fastest film takes minutes.

#: Questions about one task in a row that may be answered by an internal error. The pages do not say whether such an
#: answer is about the question or about the task; at the house's slowest pace these are three minutes.
INTERNAL_ERRORS_MAX: Final = 20
_COUNTED_TASKS_MAX: Final = 10_000  # With such an answer as their last.

#: What a status question may meet that says nothing of its task.
_OF_QUESTION: Final = frozenset({Trouble.THROTTLED, Trouble.ACCOUNT})


class JimengProvider(RemoteProvider):
    """Jimeng with one account."""

    capabilities = frozenset({"image.generate", "image.inpaint", "image.upscale", "video.generate"})

    def __init__(self, options: Options, results: Results) -> None:
        super().__init__(options, results)
        self._options = options
        self._path = urlsplit(options.base).path + "/"
        self._aside = Aside()
        self._internal_errors: OrderedDict[str, int] = OrderedDict()

    async def _submit(self, task: Task, on_progress: OnProgress) -> Accepted | Finished | Failed:
        body = await body_of(task, self._aside)
        reply = await self._call(SUBMIT, body)
        answer = answer_in(reply)
        if not answer.succeeded:
            self._tell("submit_refused", reply, answer)
            pictures = [source.field for source in task.inputs if source.role != "mask"]
            raise refusal(reply, answer, pictures=pictures[0] if len(pictures) == 1 else "inputs")
        task_id = answer.data.get("task_id")
        upstream_task_id = f"{body['req_key']}:{task_id}"
        if not isinstance(task_id, str) or not task_id or len(upstream_task_id) > TASK_ID_CHARS_MAX:
            self._tell("submit_without_task_id", reply, answer)
            raise NotReadable("a success without a task id")
        film = task.capability == "video.generate"
        return Accepted(upstream_task_id=upstream_task_id, poll_after_s=FILM_FIRST_POLL_S if film else None)

    async def _poll(self, upstream_task_id: str) -> Pending | Finished | Failed:
        req_key, _, task_id = upstream_task_id.partition(":")
        if not task_id:
            raise Refused(Trouble.GONE)
        body = {"req_key": req_key, "task_id": task_id, "req_json": '{"return_url":true}'}
        reply = await self._call(GET_RESULT, body, bytes_max=RESULT_BYTES_MAX)
        answer = answer_in(reply)
        if answer.code not in INTERNAL:
            self._internal_errors.pop(upstream_task_id, None)
        if not answer.succeeded:
            self._tell("poll_refused", reply, answer)
            return self._failed_or_pending(upstream_task_id, reply, answer)
        match answer.data.get("status"):
            case "in_queue" | "generating":
                return Pending()
            case "done":
                return self._finished(answer)
            case "not_found" | "expired":
                raise Refused(Trouble.GONE)
            case unknown:
                self.upstream.tell("status_unknown", unknown)
                raise NotReadable("a status that is not documented")

    def _finished(self, answer: Answer) -> Finished:
        each_fen = self._options.cost_fen_per_output
        files = files_in(answer.data, self.results, cost_fen=each_fen)
        return Finished(files=files, cost_fen=each_fen * len(files))

    def _failed_or_pending(self, upstream_task_id: str, reply: Reply, answer: Answer) -> Pending:
        """Tell what became of a question that was not answered by success. Raises Refused when the task has failed.

        The task is taken and will be paid for, so what is only about the question (our keys, their gateway, too many
        of them) leaves it alone.
        """
        if answer.code in INTERNAL:
            return self._count_internal_error(upstream_task_id, reply, answer)
        meaning, pause = CODES.get(answer.code or 0), pause_of_poll(reply)
        about_question = meaning.trouble in _OF_QUESTION if meaning else answer.code is None or pause is not None
        if about_question:
            return pause or Pending(poll_after_s=reply.retry_after_s)
        raise refusal(reply, answer)

    def _count_internal_error(self, upstream_task_id: str, reply: Reply, answer: Answer) -> Pending:
        counted = self._internal_errors.pop(upstream_task_id, 0) + 1
        if answer.data.get("status") == "done" or counted >= INTERNAL_ERRORS_MAX:
            raise Refused(Trouble.BROKEN)
        self._internal_errors[upstream_task_id] = counted
        if len(self._internal_errors) > _COUNTED_TASKS_MAX:
            self._internal_errors.popitem(last=False)
        return Pending(poll_after_s=reply.retry_after_s)

    def _tell(self, event: str, reply: Reply, answer: Answer) -> None:
        self.upstream.tell(event, reply.body, status=reply.status, code=answer.code, word=answer.gateway)

    async def _call(self, action: str, body: Mapping[str, Any], *, bytes_max: int = REPLY_BYTES_MAX) -> Reply:
        query = {"Action": action, "Version": VERSION}
        if "binary_data_base64" in body:  # Megabytes: to write and to hash them would hold the loop.
            content, headers = await asyncio.to_thread(self._signed, query, body)
        else:
            content, headers = self._signed(query, body)
        return await self.upstream.call(
            "POST", "/", params=query, headers=headers, content=content, bytes_max=bytes_max
        )

    def _signed(self, query: Mapping[str, str], body: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
        content = orjson.dumps(body)  # Once: these very bytes are signed.
        headers = self._signer().headers(
            method="POST",
            host=host_of(self._options.base),
            path=self._path,
            query=query,
            body=content,
            now=datetime.now(UTC),
        )
        return content, headers

    def _signer(self) -> Signer:
        token = self._options.session_token
        return Signer(
            access_key=self._options.access_key.read(),
            secret_key=self._options.secret_key.read(),
            session_token=token.read() if token else "",
            region=self._options.region,
            service=SERVICE,
        )
