"""Replicate as a provider. See the package's docstring."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from provider_adapter.domain import Failed
from provider_adapter.ports import Accepted, Finished, Forged, OnProgress, Pending, Task
from provider_adapter.providers.remote.http import NotReadable
from provider_adapter.providers.remote.options import CredentialMissing
from provider_adapter.providers.remote.permodel import extra_of, files_of, model_input
from provider_adapter.providers.remote.provider import Refused, RemoteProvider, pause_of_poll
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble
from provider_adapter.providers.replicate import mapping
from provider_adapter.providers.replicate.options import Options

PREDICTION_BYTES_MAX: Final = 64 << 20  # Its logs and its input, with pictures in base64, come along.


class Replicate(RemoteProvider):
    """One account."""

    def __init__(self, options: Options, results: Results) -> None:
        super().__init__(options, results)
        self.capabilities = frozenset(options.capabilities)
        self._options = options

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._options.token.read()}"}

    async def _submit(self, task: Task, on_progress: OnProgress) -> Accepted | Failed:
        headers = self._headers()
        path, body = mapping.address(task.upstream_model)
        request: dict[str, Any] = {**body, "input": await model_input(task, self._options)}
        if task.callback_url and self._options.webhook_secret is not None:
            request |= {"webhook": task.callback_url, "webhook_events_filter": ["completed"]}
        request |= extra_of(task)
        reply = await self.upstream.call("POST", path, json=request, headers=headers, bytes_max=PREDICTION_BYTES_MAX)
        if not reply.ok:
            self.upstream.tell("submit_refused", reply.body, status=reply.status)
            raise mapping.refusal(reply, self._options)
        prediction = reply.object()
        self._look_at(prediction)
        task_id = mapping.id_of(prediction)
        if task_id is None:
            raise NotReadable("no id")
        return Accepted(upstream_task_id=task_id)

    async def _poll(self, upstream_task_id: str) -> Pending | Finished | Failed:
        if not mapping.is_task_id(upstream_task_id):
            raise Refused(Trouble.GONE)
        reply = await self.upstream.call(
            "GET",
            f"/v1/predictions/{upstream_task_id}",
            headers=self._headers(),
            bytes_max=PREDICTION_BYTES_MAX,
        )
        pause = pause_of_poll(reply)
        if pause is not None:
            return pause
        if reply.status == 404:
            raise Refused(Trouble.GONE)
        if not reply.ok:
            raise NotReadable(f"status {reply.status}")
        prediction = reply.object()
        pending = self._look_at(prediction)
        if pending is not None:
            return pending
        each_fen = self._options.cost_fen_per_output
        path = self._options.outputs.get(str(prediction.get("model")))
        files = files_of(prediction.get("output"), path, self.results, each_fen)
        return Finished(files=files, cost_fen=each_fen * len(files))

    def _look_at(self, prediction: Mapping[str, Any]) -> Pending | None:
        error = prediction.get("error")
        if error:
            self.upstream.tell("prediction_failed", error, prediction_id=str(prediction.get("id")))
        return mapping.standing(prediction, self._options)

    async def _cancel(self, upstream_task_id: str) -> None:
        if mapping.is_task_id(upstream_task_id):
            path = f"/v1/predictions/{upstream_task_id}/cancel"
            await self.upstream.call("POST", path, headers=self._headers(), bytes_max=PREDICTION_BYTES_MAX)

    async def hear(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """The prediction that a webhook tells of; see `ports.Listener`."""
        secret = self._options.webhook_secret
        if secret is None:
            raise Forged("no webhook was asked for")
        try:
            Webhook(secret.read()).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, EmptyWebhookSecretError, CredentialMissing, ValueError) as error:
            raise Forged(type(error).__name__) from error
        try:
            prediction = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        return mapping.id_of(prediction) if isinstance(prediction, dict) else None


def build(options: Options, results: Results) -> Replicate:
    """Build the provider."""
    return Replicate(options, results)
