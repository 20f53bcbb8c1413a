"""One account at OpenAI, or a server that speaks like it: each picture is one call that answers with it.

There are no tasks to ask after, so a lost answer stays unknown, and a call that is given up may still be charged.
"""

from provider_adapter.ports import Finished, OnProgress, Task
from provider_adapter.providers.openai import sizes
from provider_adapter.providers.openai.inputs import Form, form_of_inputs
from provider_adapter.providers.openai.mapping import error_in, fields_of, files_of, form_of, ordered_size, refused
from provider_adapter.providers.openai.options import Options
from provider_adapter.providers.remote.http import PICTURES_BYTES_MAX, Reply
from provider_adapter.providers.remote.pictures import Aside, Size
from provider_adapter.providers.remote.provider import Refused, RemoteProvider
from provider_adapter.providers.remote.results import Results


class OpenaiProvider(RemoteProvider):
    """A `ports.Provider` for the Images API."""

    capabilities = frozenset({"image.generate", "image.inpaint"})

    def __init__(self, options: Options, results: Results) -> None:
        super().__init__(options, results)
        self._own = options
        self._aside = Aside()

    async def _submit(self, task: Task, on_progress: OnProgress) -> Finished:
        free = task.upstream_model in self._own.free_size_models
        ordered = ordered_size(task.parameters)
        size = sizes.covering(ordered, free=free) if ordered else None
        fields_of(task, size)  # What is refused is refused before the inputs are read.
        form = await form_of_inputs(task, self._aside)
        if ordered is None and form.source_size is not None:
            size = sizes.alike(form.source_size, free=free)
            if size == sizes.rounded(form.source_size):
                ordered = form.source_size  # The few pixels that make it a multiple are cut off again.
        reply = await self._call(task, size, form)
        cost_fen = self._own.cost_fen_per_output
        try:
            if not reply.ok:
                raise refused(reply, prompt_alone=not form.parts)
            files = await self._aside.do(files_of, reply, self.results, ordered, cost_fen)
        except Refused as refusal:
            error = error_in(reply)
            outcome = refusal.failed.outcome.name.lower()
            facts = {"status": reply.status, "code": error.get("code"), "type": error.get("type"), "outcome": outcome}
            self.upstream.tell("submit_refused", error.get("message", reply.body[:1000]), **facts)
            raise
        return Finished(files=files, cost_fen=cost_fen * len(files))

    async def _call(self, task: Task, size: Size | None, form: Form) -> Reply:
        fields = fields_of(task, size)
        headers = {"Authorization": f"Bearer {self._own.key.read()}"}
        if self._own.organization:
            headers["OpenAI-Organization"] = self._own.organization
        if self._own.project:
            headers["OpenAI-Project"] = self._own.project
        limit_s = min(self._own.work_s, max(task.timeout_s, 0.001))
        if form.parts:
            return await self.upstream.call(
                "POST",
                "/images/edits",
                headers=headers,
                data=form_of(fields),
                files=form.parts,
                timeout_s=limit_s,
                bytes_max=PICTURES_BYTES_MAX,
            )
        return await self.upstream.call(
            "POST",
            "/images/generations",
            headers=headers,
            json=fields,
            timeout_s=limit_s,
            bytes_max=PICTURES_BYTES_MAX,
        )
