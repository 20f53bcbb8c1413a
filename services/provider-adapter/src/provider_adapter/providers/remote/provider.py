"""What all remote providers do alike: they translate what goes wrong on the way into how the attempt ends.

An adapter derives from `RemoteProvider` and implements `_submit`, `_poll` and what else its vendor offers; from these
it raises `Refused` with the class of trouble, and lets the exceptions of `Upstream` and `Credential` pass.
"""

from typing import Final

from kit.errors import ErrorReason
from kit.logging import get_logger
from provider_adapter.domain import Failed, Outcome
from provider_adapter.ports import Accepted, Finished, NotTaken, OnProgress, Pending, Task, Unclear, Unreadable
from provider_adapter.providers.remote.http import NoAnswer, NotReadable, NotSent, Reply, Upstream
from provider_adapter.providers.remote.options import CredentialMissing, RemoteOptions
from provider_adapter.providers.remote.results import Results
from provider_adapter.providers.remote.trouble import Trouble, failed

_log = get_logger(__name__)

_ACCOUNT: Final = frozenset({401, 402, 403})
_NOT_TAKEN: Final = frozenset({500, 503})  # The server itself says that it did not do it.


class Refused(Exception):
    """The provider, or its adapter, says no."""

    def __init__(
        self, trouble: Trouble, message: str | None = None, *, field: str = "", retry_after_s: float | None = None
    ) -> None:
        """`message` is ours and may be shown to clients; None for the class's own."""
        super().__init__(trouble.value)
        self.failed = failed(trouble, message, field=field, retry_after_s=retry_after_s)


def trouble_of_status(status: int) -> Trouble:
    """What an HTTP status alone says of a submit; a body with a code says more."""
    if status == 429:
        return Trouble.THROTTLED
    if status in _ACCOUNT:
        return Trouble.ACCOUNT
    if status in _NOT_TAKEN:
        return Trouble.UNAVAILABLE
    if status == 408 or status >= 500 or status < 400:
        return Trouble.NO_ANSWER  # A gateway in between gave up; what is behind it may be at work.
    return Trouble.INVALID


class RemoteProvider:
    """A `ports.Provider` over HTTP."""

    capabilities: frozenset[str]

    def __init__(self, options: RemoteOptions, results: Results) -> None:
        self.name = options.name
        self.repeatable = False
        self.running_max = options.running_max
        self.options = options
        self.results = results
        self.upstream = Upstream(options)

    async def start(self) -> None:
        """Get ready; a missing credential is told now, and looked for again with every call."""
        await self.upstream.start()
        for credential in self.options.credentials():
            try:
                credential.read()
            except CredentialMissing as error:
                _log.error("credential_missing", provider=self.name, cause=str(error))

    async def close(self) -> None:
        """Close all connections."""
        await self.upstream.close()
        await self.results.close()

    async def submit(self, task: Task, on_progress: OnProgress) -> Accepted | Finished | Failed:
        """Hand over a task; see the port."""
        if task.capability not in self.capabilities:
            return failed(Trouble.UNSUPPORTED)
        try:
            return await self._submit(task, on_progress)
        except (Refused, Unreadable) as error:
            return error.failed
        except CredentialMissing as error:
            _log.error("credential_missing", provider=self.name, cause=str(error))
            return failed(Trouble.ACCOUNT)
        except NotSent as error:
            _log.warning("submit_not_sent", provider=self.name, cause=str(error))
            return failed(Trouble.UNREACHABLE)
        except (NoAnswer, NotReadable) as error:
            _log.warning("submit_outcome_unknown", provider=self.name, cause=str(error))
            return failed(Trouble.NO_ANSWER)

    async def poll(self, upstream_task_id: str) -> Pending | Finished | Failed:
        """Ask after a task; see the port."""
        try:
            return await self._poll(upstream_task_id)
        except (Refused, Unreadable) as error:
            return error.failed
        except (CredentialMissing, NotSent, NoAnswer, NotReadable) as error:
            _log.warning("poll_failed", provider=self.name, cause=f"{type(error).__name__}: {error}")
            return Pending()

    async def cancel(self, upstream_task_id: str) -> None:
        """Ask for the end of a task; see the port."""
        try:
            await self._cancel(upstream_task_id)
        except (Refused, CredentialMissing, NotSent, NoAnswer, NotReadable) as error:
            _log.info("cancel_failed", provider=self.name, cause=f"{type(error).__name__}: {error}")

    async def look_up(self, attempt_id: str) -> Accepted | NotTaken | Unclear:
        """Tell what became of a submit whose answer was lost; see the port."""
        try:
            return await self._look_up(attempt_id)
        except (Refused, CredentialMissing, NotSent, NoAnswer, NotReadable) as error:
            _log.info("look_up_failed", provider=self.name, cause=f"{type(error).__name__}: {error}")
            return Unclear()

    async def _submit(self, task: Task, on_progress: OnProgress) -> Accepted | Finished | Failed:
        raise NotImplementedError

    async def _poll(self, upstream_task_id: str) -> Pending | Finished | Failed:
        return Failed.of(Outcome.RETRYABLE, ErrorReason.PROVIDER_FAILED, "The provider knows no tasks.")

    async def _cancel(self, upstream_task_id: str) -> None:
        """Nothing, where the vendor documents no way."""

    async def _look_up(self, attempt_id: str) -> Accepted | NotTaken | Unclear:
        return Unclear()


def pause_of_poll(reply: Reply) -> Pending | None:
    """How a status question is answered that says nothing of the task: 429 and 5xx; None for any other answer."""
    if reply.status in {408, 429} or reply.status >= 500:
        return Pending(poll_after_s=reply.retry_after_s)
    return None
