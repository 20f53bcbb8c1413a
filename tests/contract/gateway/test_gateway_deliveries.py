"""Webhook messages: queued once for each event, sent until taken or given up, on SQLite and Postgres."""

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from gateway.domain import TRY_DELAYS_S, Delivery, DeliveryState
from gateway.sql import SqlUnitOfWork
from gateway.usecases.clients import ManageDeliveries
from gateway.usecases.deliver import Answer, FinishedJob, QueueDelivery, SendDeliveries
from kit.errors import InvalidArgument, NotFound
from testkit.clock import FakeClock

SECRET = "webhook-secret-of-the-deployment"
OK = Answer(status=200)


class Receiver:
    """A partner that answers as it is told and remembers what it got."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.got: list[tuple[str, bytes, Mapping[str, str]]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.at_once = 0
        self.at_once_max = 0

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> Answer:
        self.got.append((url, body, headers))
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        try:
            await self.open.wait()
        finally:
            self.at_once -= 1
        return self.answers.pop(0) if self.answers else OK


class Post:
    """Queue, sender and administration on one database."""

    def __init__(self, uow: SqlUnitOfWork, clock: FakeClock) -> None:
        self.clock, self.receiver = clock, Receiver()
        self.send = SendDeliveries(
            uow=uow, sender=self.receiver, secret=SecretStr(SECRET), now_ms=clock.now_ms, jitter=lambda: 0.0
        )
        self.queue = QueueDelivery(uow=uow, poke=self.send.poke)
        self.manage = ManageDeliveries(uow=uow, poke=self.send.poke)

    async def all(self, **filters: Any) -> list[Delivery]:
        return list(await self.manage.page(**({"client_id": "", "job_id": "", "state": "", "size": 0} | filters)))

    async def until(self, tries: int, *, state: DeliveryState | None = None) -> Delivery:
        """Run the sender until the only delivery was tried so often."""
        async with asyncio.timeout(30):
            async with running(self.send):
                while True:
                    (delivery,) = await self.all()
                    if delivery.tries >= tries and (state is None or delivery.state is state):
                        return delivery
                    await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(send: SendDeliveries) -> Any:
    task = asyncio.create_task(send.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def post(uow: SqlUnitOfWork, clock: FakeClock) -> Post:
    return Post(uow, clock)


def finished(**changes: Any) -> FinishedJob:
    facts: dict[str, Any] = {
        "id": "job_1",
        "client_id": "partner-a",
        "event_id": "event-1",
        "state": "succeeded",
        "capability": "image.generate",
        "output_asset_ids": ("asset_1",),
        "error": None,
        "sequence": 3,
        "occur_ms": 0,
        "occur_time": "2026-01-01T00:00:00Z",
        "webhook_url": "https://partner.example/hook",
    }
    return FinishedJob(**(facts | changes))


async def test_message_is_signed_in_both_ways(post: Post) -> None:
    import time

    post.clock.set(time.time_ns() // 1_000_000)  # The library that verifies has no clock of ours.
    await post.queue(finished())
    delivery = await post.until(1)
    assert delivery.state is DeliveryState.DELIVERED
    ((url, body, headers),) = post.receiver.got
    assert url == "https://partner.example/hook"
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["x-zhinian-signature"] == f"sha256={digest}"
    content = Webhook(SECRET.encode()).verify(body, dict(headers))
    assert content["event"] == "generation.succeeded"
    assert content["job"]["outputAssetIds"] == ["asset_1"]
    assert headers["webhook-id"] == delivery.id


async def test_event_delivered_twice_makes_one_message(post: Post) -> None:
    for _ in range(3):
        await post.queue(finished())
    assert len(await post.all()) == 1


async def test_failed_job_tells_why(post: Post) -> None:
    await post.queue(finished(state="failed", error={"code": "provider_failed", "message": "m"}, output_asset_ids=()))
    (delivery,) = await post.all()
    content = orjson.loads(delivery.body)
    assert content["event"] == "generation.failed"
    assert content["job"]["error"] == {"code": "provider_failed", "message": "m"}


@pytest.mark.parametrize("status", [0, 301, 400, 500, 503])
async def test_failed_try_is_repeated_later_with_the_same_id(post: Post, status: int) -> None:
    post.receiver.answers = [Answer(status=status), OK]
    await post.queue(finished())
    first = await post.until(1)
    assert (first.state, first.last_status) == (DeliveryState.PENDING, status)
    assert first.next_try_ms == post.clock.now_ms() + TRY_DELAYS_S[1] * 1000
    post.clock.advance(TRY_DELAYS_S[1])
    assert (await post.until(2)).state is DeliveryState.DELIVERED
    one, two = (headers["webhook-id"] for _, _, headers in post.receiver.got)
    assert one == two


async def test_retry_after_is_honoured_when_it_is_longer(post: Post) -> None:
    post.receiver.answers = [Answer(status=429, retry_after_s=3600)]
    await post.queue(finished())
    assert (await post.until(1)).next_try_ms == post.clock.now_ms() + 3_600_000


async def test_gone_ends_the_delivery(post: Post) -> None:
    post.receiver.answers = [Answer(status=410)]
    await post.queue(finished())
    assert (await post.until(1)).state is DeliveryState.EXHAUSTED


async def test_delivery_is_exhausted_after_the_last_try_and_can_be_replayed(post: Post) -> None:
    post.receiver.answers = [Answer(status=500)] * len(TRY_DELAYS_S)
    await post.queue(finished())
    for tries in range(1, len(TRY_DELAYS_S) + 1):
        await post.until(tries)
        post.clock.advance(36_000)
    (delivery,) = await post.all(state="exhausted")
    assert delivery.next_try_ms is None
    await post.manage.replay(delivery.id)
    assert (await post.until(1, state=DeliveryState.DELIVERED)).id == delivery.id


async def test_sender_that_died_gives_its_message_back(post: Post) -> None:
    post.receiver.open.clear()
    await post.queue(finished())
    async with running(post.send):
        async with asyncio.timeout(5):
            while not post.receiver.got:
                await asyncio.sleep(0.02)
    post.receiver.open.set()
    post.clock.advance(60)
    assert (await post.until(1)).state is DeliveryState.DELIVERED
    assert len(post.receiver.got) == 2


async def test_one_host_gets_few_messages_at_once_and_others_are_not_held_up(post: Post) -> None:
    post.receiver.open.clear()
    for number in range(12):
        await post.queue(finished(event_id=f"event-{number}"))
    await post.queue(finished(event_id="event-b", webhook_url="https://other.example/hook"))
    async with running(post.send):
        await asyncio.sleep(0.5)
        hosts = [url.split("/")[2] for url, _, _ in post.receiver.got]
        assert hosts.count("partner.example") == 4
        assert hosts.count("other.example") == 1
        post.receiver.open.set()
        async with asyncio.timeout(30):
            while len(await post.all(state="delivered")) < 13:
                await asyncio.sleep(0.02)


async def test_filters_narrow_the_list(post: Post) -> None:
    await post.queue(finished())
    await post.queue(finished(event_id="event-2", id="job_2", client_id="partner-b"))
    assert [one.job_id for one in await post.all(client_id="partner-b")] == ["job_2"]
    assert [one.job_id for one in await post.all(job_id="job_1")] == ["job_1"]
    with pytest.raises(InvalidArgument):
        await post.all(state="lost")
    with pytest.raises(NotFound):
        await post.manage.replay("msg_none")
