"""A provider's callback makes the adapter ask at once, or tells the orchestrator of a task that nobody has in hand."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from kit.errors import Conflict, DependencyUnavailable, NotFound, PermissionDenied
from provider_adapter import ports
from provider_adapter.usecases.callback import Callbacks
from provider_adapter.usecases.roster import Known, Roster
from testkit.fakeprovider import Behavior, CallingProvider, FakeProvider

SECRET = SecretStr("s" * 32)


class Orchestrator:
    def __init__(self) -> None:
        self.found_tasks: list[tuple[str, str]] = []
        self.error: Exception | None = None

    async def found(self, attempt_id: str, upstream_task_id: str) -> None:
        if self.error is not None:
            raise self.error
        self.found_tasks.append((attempt_id, upstream_task_id))


def scene(*, public_url: str = "https://house.example") -> Any:
    providers = [CallingProvider(ports, name="calls"), FakeProvider(ports, name="silent")]
    known = [Known(name=each.name, capabilities=each.capabilities, provider=each) for each in providers]
    orchestrator, roster = Orchestrator(), Roster(known)
    callbacks = Callbacks(SECRET, public_url=public_url, roster=roster, attempts=orchestrator)
    return SimpleNamespace(callbacks=callbacks, orchestrator=orchestrator, roster=roster)


def token_of(one: Any, provider: str, attempt_id: str) -> str:
    url: str = one.callbacks.url(provider, attempt_id)
    assert url.startswith(f"https://house.example/callbacks/{provider}/{attempt_id}.")
    return url.rpartition("/")[2]


async def test_task_in_hand_is_asked_after_at_once() -> None:
    one = scene()
    with one.roster.find("calls").listening("task-1", "att_1") as called:
        await one.callbacks.hear("calls", token_of(one, "calls", "att_1"), {}, b"task-1")
        assert called.is_set()
    assert one.orchestrator.found_tasks == []


async def test_task_in_nobodys_hands_is_told_to_the_orchestrator() -> None:
    one = scene()
    await one.callbacks.hear("calls", token_of(one, "calls", "att_1"), {}, b"task-1")
    assert one.orchestrator.found_tasks == [("att_1", "task-1")]
    for told in (Conflict(), NotFound()):  # It has ended, or is forgotten: the provider is not to send it again.
        one.orchestrator.error = told
        await one.callbacks.hear("calls", token_of(one, "calls", "att_1"), {}, b"task-1")
    one.orchestrator.error = DependencyUnavailable()
    with pytest.raises(DependencyUnavailable):  # The provider is to send it again.
        await one.callbacks.hear("calls", token_of(one, "calls", "att_1"), {}, b"task-1")


async def test_only_our_own_urls_are_heard() -> None:
    one = scene()
    good = token_of(one, "calls", "att_1")
    wrong = [
        ("calls", f"att_2.{good.rpartition('.')[2]}"),
        ("calls", "att_1."),
        ("calls", "att_1"),
        ("calls", good[:-1] + ("0" if good[-1] != "0" else "1")),
        ("silent", token_of(one, "silent", "att_1")),
        ("nobody", good),
        ("calls", "ü.ü"),
    ]
    for provider, token in wrong:
        with pytest.raises(NotFound):
            await one.callbacks.hear(provider, token, {}, b"task-1")
    with pytest.raises(PermissionDenied):
        await one.callbacks.hear("calls", good, {}, b"forged task-1")
    await one.callbacks.hear("calls", good, {}, b"")  # It tells of no task.
    assert one.orchestrator.found_tasks == []


def test_house_without_a_public_address_gives_no_urls() -> None:
    assert scene(public_url="").callbacks.url("calls", "att_1") == ""


async def test_callback_ends_the_wait_between_two_questions(house: Any, eventually: Any) -> None:
    provider = CallingProvider(ports, upstream=house.upstream, name="fake", task_ids=True)
    go_on = asyncio.Event()
    house.upstream.behavior = Behavior(until=go_on, poll_after_s=3600.0)
    job = house.jobs.put()
    adapter = await house.work(provider, public_url="https://house.example")
    await eventually(lambda: house.upstream.tasks)
    [task] = house.upstream.tasks.values()
    go_on.set()
    await eventually(lambda: adapter._roster.find("fake").calls)
    url = adapter._callbacks.url("fake", task.attempt_id)
    await adapter._callbacks.hear("fake", url.rpartition("/")[2], {}, task.id.encode())
    await house.reported(job)
    assert job.outcome == "SUCCEEDED"
    assert len(house.upstream.polls) == 1
