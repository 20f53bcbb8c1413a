"""WebSocket of the points contract: every change of the caller's tasks, each once and in order, across reconnects."""

from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from testkit.deployments import Deployment, NewPartner
from testkit.openclient import OpenClient
from testkit.pointsclient import PointsClient, received

ENDS = {"completed", "failed"}
ORDER = {"queued": 0, "processing": 1, "completed": 2, "failed": 2}


def position_of(socket: Any) -> int:
    return int(socket.response.headers["x-position"])


async def until_the_end_of(socket: Any, tasks: set[str]) -> list[dict[str, Any]]:
    """All pushes until each of the tasks has ended."""
    pushed: list[dict[str, Any]] = []
    left = set(tasks)
    while left:
        pushed.append(await received(socket))
        if pushed[-1]["status"] in ENDS:
            left.discard(pushed[-1]["taskNo"])
    return pushed


def assert_once_and_in_order(pushed: list[dict[str, Any]]) -> None:
    positions = [one["position"] for one in pushed]
    assert positions == sorted(set(positions))
    for name in {one["taskNo"] for one in pushed}:
        stages = [(ORDER[one["status"]], one["progress"]) for one in pushed if one["taskNo"] == name]
        assert stages == sorted(stages)


async def test_each_change_is_pushed_once_and_in_order_with_the_same_data(
    house: Deployment, partner: OpenClient
) -> None:
    async with PointsClient(house.url, partner.key) as client, client.pushes() as socket:
        task = await client.submitted("sc_soraimg_text_1x1", "猫")
        pushed = await until_the_end_of(socket, {task["taskNo"]})

        assert_once_and_in_order(pushed)
        assert [one["status"] for one in pushed if one["progress"] == 0][:2] == ["queued", "processing"]
        last = pushed[-1]
        assert last.pop("position") > 0
        assert last == await client.task(task["taskNo"])  # Links and all.


async def test_reconnect_with_the_last_position_misses_nothing_and_repeats_nothing(
    house: Deployment, partner: OpenClient
) -> None:
    async with PointsClient(house.url, partner.key) as client:
        async with client.pushes() as witness:
            pushed: list[dict[str, Any]] = []
            async with client.pushes() as socket:
                names = {(await client.submitted("sc_soraimg_text_1x1", "山"))["taskNo"] for _ in range(2)}
                pushed.append(await received(socket))
            expected = await until_the_end_of(witness, names)
        while pushed[-1] != expected[-1]:  # One change a connection.
            async with client.pushes(after=pushed[-1]["position"]) as socket:
                pushed.append(await received(socket))
    assert pushed == expected


async def test_sockets_of_other_users_stay_silent(house: Deployment, make_partner: NewPartner) -> None:
    mine, stranger = await make_partner(), await make_partner()
    async with (
        PointsClient(house.url, mine.key) as client,
        PointsClient(house.url, stranger.key) as other,
        other.pushes() as socket,
    ):
        task = await client.submitted("sc_soraimg_text_1x1", "猫")
        await client.finished(task["taskNo"])
        own = await other.submitted("sc_soraimg_text_1x1", "狗")
        heard = await until_the_end_of(socket, {own["taskNo"]})
    assert {one["taskNo"] for one in heard} == {own["taskNo"]}


async def test_handshake_tells_where_the_pushes_begin(house: Deployment, partner: OpenClient) -> None:
    """So that a connection that breaks before its first message leaves no gap."""
    async with PointsClient(house.url, partner.key) as client:
        async with client.pushes() as socket:
            begin = position_of(socket)
        task = await client.submitted("sc_soraimg_text_1x1", "猫")  # While nobody listens.
        done = await client.finished(task["taskNo"])
        async with client.pushes(after=begin) as socket:
            assert position_of(socket) == begin == 0
            pushed = await until_the_end_of(socket, {task["taskNo"]})
            assert (pushed[0]["status"], pushed[-1]["resultUrl"]) == ("queued", done["resultUrl"])
        async with client.pushes() as socket:
            assert position_of(socket) > begin


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 19])
async def test_position_that_is_none_is_refused(house: Deployment, partner: OpenClient, after: Any) -> None:
    async with PointsClient(house.url, partner.key) as client, client.pushes(after=after) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await received(socket, timeout_s=30)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4400, "参数错误:after")


async def test_what_a_client_sends_is_not_looked_at(house: Deployment, partner: OpenClient) -> None:
    async with PointsClient(house.url, partner.key) as client, client.pushes() as socket:
        await socket.send('{"type": "ping"}')
        await socket.send(b"\x00")
        task = await client.submitted("sc_soraimg_text_1x1", "猫")
        assert (await received(socket))["taskNo"] == task["taskNo"]
        await client.finished(task["taskNo"])
