"""Tell partners the end of their jobs: queue a message for each terminal event, send it until taken or given up."""

import asyncio
import contextlib
import functools
import hashlib
import hmac
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol
from urllib.parse import urlsplit

import orjson
from pydantic import SecretStr
from standardwebhooks import Webhook

from gateway.domain import Delivery, DeliveryState, delay_before_try_s
from gateway.ports import Repositories, UnitOfWork
from kit.errors import AppError
from kit.ids import new_id
from kit.logging import get_logger
from kit.tasks import end

log = get_logger(__name__)

SEND_TIMEOUT_S: Final = 15.0
RESERVE_MS: Final = 60_000  # Longer than any try; a sender that dies mid-try gives the message back after it.
BATCH_MAX: Final = 50
PER_HOST_MAX: Final = 4  # One dead receiver must not hold every slot.
IDLE_S: Final = 1.0  # How long a message made by another process may lie unnoticed.
SLOW_DOWN: Final = frozenset({429, 502, 503, 504})
GONE: Final = 410


@dataclass(frozen=True, kw_only=True)
class FinishedJob:
    """What a webhook says of a job."""

    id: str
    client_id: str
    event_id: str
    state: str  #: "succeeded", "failed", "expired" or "cancelled".
    capability: str
    output_asset_ids: tuple[str, ...]
    error: Mapping[str, str | int | bool | None] | None
    sequence: int
    occur_ms: int
    occur_time: str  #: RFC 3339, UTC.
    webhook_url: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the receiver said; status 0 when it said nothing."""

    status: int
    retry_after_s: float | None = None


class Sender(Protocol):
    """The wall for outgoing HTTP."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> Answer:
        """Send once, follow nothing; every transport failure is an Answer with status 0."""
        ...


class QueueDelivery:
    """Writes the message of a finished job, once for each event."""

    def __init__(self, *, uow: UnitOfWork, poke: Callable[[], None]) -> None:
        self._uow = uow
        self._poke = poke

    async def __call__(self, job: FinishedJob) -> None:
        delivery = Delivery(
            id=new_id("msg"),
            client_id=job.client_id,
            job_id=job.id,
            url=job.webhook_url,
            body=render(job),
        )

        def work(repositories: Repositories) -> None:
            if not repositories.deliveries.seen(job.event_id):
                repositories.deliveries.add(delivery)

        await self._uow.write(work)
        self._poke()


def render(job: FinishedJob) -> bytes:
    """The message's body: the open contract's `event` and `job`, plus what Standard Webhooks asks for."""
    event = f"generation.{job.state}"
    described: dict[str, object] = {
        "id": job.id,
        "capability": job.capability,
        "status": job.state,
        "outputAssetIds": list(job.output_asset_ids),
    }
    if job.error is not None:
        described["error"] = dict(job.error)
    return orjson.dumps(
        {"event": event, "type": event, "timestamp": job.occur_time, "sequence": job.sequence, "job": described}
    )


def sign(delivery_id: str, body: bytes, *, now_s: int, secret: SecretStr | None) -> dict[str, str]:
    """The headers of one try. Without a secret the message is unsigned but still has its id and time."""
    headers = {"content-type": "application/json", "webhook-id": delivery_id, "webhook-timestamp": str(now_s)}
    if secret is not None:
        key = secret.get_secret_value().encode()
        headers["x-zhinian-signature"] = f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
        moment = datetime.fromtimestamp(now_s, tz=UTC)
        headers["webhook-signature"] = Webhook(key).sign(delivery_id, moment, body.decode())
    return headers


class SendDeliveries:
    """Sends what is due, several at once but few to one host, and writes down what became of each try."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        sender: Sender,
        secret: SecretStr | None,
        now_ms: Callable[[], int],
        jitter: Callable[[], float] = lambda: random.uniform(-1, 1),  # noqa: S311 -- spreads load, guards nothing
    ) -> None:
        self._uow = uow
        self._sender = sender
        self._secret = secret
        self._now_ms = now_ms
        self._jitter = jitter
        self._poked = asyncio.Event()
        self._busy_hosts: Counter[str] = Counter()
        self._sending: set[asyncio.Task[None]] = set()

    def poke(self) -> None:
        """Look for due messages now."""
        self._poked.set()

    async def run(self) -> None:
        """Send for ever; cancel to stop. Tries under way are given up and made again after their reservation."""
        try:
            while True:
                self._poked.clear()
                try:
                    await self._send_due()
                except AppError as error:
                    log.warning("webhook_queue_unreadable", reason=error.reason.value)
                # Not wait_for: on Python 3.11 it can swallow a cancellation that comes together with the event.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_S):
                        await self._poked.wait()
        finally:
            await end(*self._sending)

    async def _send_due(self) -> None:
        due = await self._uow.read(
            lambda repositories: repositories.deliveries.due(now_ms=repositories.now_ms, size=BATCH_MAX)
        )
        for delivery in due:
            host = urlsplit(delivery.url).netloc
            if len(self._sending) >= BATCH_MAX or self._busy_hosts[host] >= PER_HOST_MAX:
                continue
            if not await self._reserve(delivery):
                continue
            self._busy_hosts[host] += 1
            task = asyncio.create_task(self._send(delivery))
            self._sending.add(task)
            task.add_done_callback(functools.partial(self._done, host))

    def _done(self, host: str, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._busy_hosts[host] -= 1
        if not self._busy_hosts[host]:
            del self._busy_hosts[host]
        self._poked.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("webhook_try_unrecorded", exc_info=task.exception())

    async def _reserve(self, delivery: Delivery) -> bool:
        return await self._uow.write(
            lambda repositories: repositories.deliveries.reserve(
                delivery.id, tries=delivery.tries, until_ms=repositories.now_ms + RESERVE_MS
            )
        )

    async def _send(self, delivery: Delivery) -> None:
        headers = sign(delivery.id, delivery.body, now_s=self._now_ms() // 1000, secret=self._secret)
        answer = await self._sender.post(delivery.url, delivery.body, headers, timeout_s=SEND_TIMEOUT_S)
        tries = delivery.tries + 1
        state, wait_s = self._judge(answer, tries)

        def record(repositories: Repositories) -> None:
            next_try_ms = None if wait_s is None else repositories.now_ms + int(wait_s * 1000)
            repositories.deliveries.record(
                delivery.id, state=state, tries=tries, last_status=answer.status, next_try_ms=next_try_ms
            )

        await self._uow.write(record)
        log.info("webhook_tried", delivery_id=delivery.id, job_id=delivery.job_id, status=answer.status, state=state)

    def _judge(self, answer: Answer, tries: int) -> tuple[DeliveryState, float | None]:
        """What follows from an answer: done, given up, or tried again after so many seconds."""
        if 200 <= answer.status < 300:
            return DeliveryState.DELIVERED, None
        if answer.status == GONE:
            return DeliveryState.EXHAUSTED, None
        wish = answer.retry_after_s if answer.status in SLOW_DOWN else None
        wait_s = delay_before_try_s(tries, jitter=self._jitter(), retry_after_s=wish)
        return (DeliveryState.EXHAUSTED if wait_s is None else DeliveryState.PENDING), wait_s
