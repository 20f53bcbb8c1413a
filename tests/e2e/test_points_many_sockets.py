"""Five hundred WebSocket connections on one process each get every change of their user's tasks, once and in order."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from testkit.deployments import Deployment, NewPartner
from testkit.openclient import OpenClient
from testkit.pointsclient import PointsClient, received

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.parametrize(
        "deployment", [pytest.param("standalone", marks=pytest.mark.xdist_group("e2e-standalone"))], indirect=True
    ),
]

USERS, SOCKETS_A_USER, TASKS_A_USER = 50, 10, 3
RECONNECTING = 5  # Of each user's connections; they break at random and come back with their last position.
SMALL = {"capability": "image.generate", "prompt": "山", "width": 64, "height": 64}
STORY_TIMEOUT_S = 400.0
OPENING = asyncio.Semaphore(50)  # The listen queue is not what this is about.


class Listener:
    """One connection, or one after the other, of one user."""

    def __init__(self, client: PointsClient, *, breaks: bool) -> None:
        self.heard: list[dict[str, Any]] = []
        self.connections = 0
        self._client = client
        self._breaks = breaks
        self._ends = 0

    async def listen(self, begun: asyncio.Event) -> None:
        """Listen until every task of the user has ended."""
        after: int | None = None
        while self._ends < TASKS_A_USER:
            async with self._socket(after) as socket:
                if after is None:
                    after = int(socket.response.headers["x-position"])  # type: ignore[union-attr]  # It is open.
                    begun.set()
                patience = random.randint(1, 3) if self._breaks else 10**6
                with contextlib.suppress(ConnectionClosed):
                    await self._hear(socket, patience)
            after = self.heard[-1]["position"] if self.heard else after

    @contextlib.asynccontextmanager
    async def _socket(self, after: int | None) -> AsyncIterator[ClientConnection]:
        self.connections += 1
        async with contextlib.AsyncExitStack() as stack:
            async with OPENING:
                socket = await stack.enter_async_context(self._client.pushes(after=after))
            yield socket

    async def _hear(self, socket: ClientConnection, patience: int) -> None:
        """Take some messages, then break off."""
        while patience and self._ends < TASKS_A_USER:
            pushed = json.loads(await socket.recv())
            self.heard.append(pushed)
            self._ends += pushed["status"] in {"completed", "failed"}
            patience -= 1


async def test_each_connection_hears_everything_once_and_in_order(house: Deployment, make_partner: NewPartner) -> None:
    partners: list[OpenClient] = [await make_partner() for _ in range(USERS)]
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(STORY_TIMEOUT_S):
        clients = [await stack.enter_async_context(PointsClient(house.url, one.key)) for one in partners]
        listeners = [
            [Listener(client, breaks=number < RECONNECTING) for number in range(SOCKETS_A_USER)] for client in clients
        ]
        begun = [asyncio.Event() for _ in range(USERS * SOCKETS_A_USER)]
        every = [one for of_user in listeners for one in of_user]
        async with asyncio.TaskGroup() as group:
            for listener, event in zip(every, begun, strict=True):
                group.create_task(listener.listen(event))
            for event in begun:
                await event.wait()
            jobs = await asyncio.gather(*(one.create_job(**SMALL) for one in partners for _ in range(TASKS_A_USER)))
            # Some end in another way; those that were quicker answer 409.
            await asyncio.gather(
                *(
                    one.post(f"/jobs/{job['id']}/cancel")
                    for one, job in zip(partners, jobs[2::TASKS_A_USER], strict=True)
                )
            )
        for client, of_user in zip(clients, listeners, strict=True):
            truth = await whole_log(client, len(of_user[0].heard))
            for listener in of_user:
                assert listener.heard == truth
    assert sum(listener.connections for listener in every) > USERS * (SOCKETS_A_USER + RECONNECTING)


async def whole_log(client: PointsClient, length: int) -> list[dict[str, Any]]:
    """All changes of the user's tasks from the first, as the log has them."""
    async with client.pushes(after=0) as socket:
        return [await received(socket) for _ in range(length)]
