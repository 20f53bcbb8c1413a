"""Every promise of outbox, relay, bus and inbox together, on each bus and each database."""

import asyncio
import random
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import pytest

from kit.db import Tx
from kit.errors import DependencyUnavailable
from kit.events import Event, put
from kit.ids import new_id

if TYPE_CHECKING:
    from .conftest import House

SUBJECT = "atelier.jobs.v1.job_succeeded"


def event(name: str = "", *, subject: str = SUBJECT, key: str = "", payload: bytes = b"{}") -> Event:
    return Event(id=name or new_id("event"), subject=subject, payload=payload, key=key)


class TestDelivery:
    async def test_each_consumer_gets_the_event_whole_when_its_transaction_is_committed(self, house: "House") -> None:
        house.consume("billing", [SUBJECT])
        house.consume("gateway", ["atelier.jobs.v1.*"])
        house.consume("audit", ["atelier.>"])
        house.consume("assets", ["atelier.assets.>", "atelier.jobs.v1.job_failed"])
        await house.start()
        sent = event(payload=bytes(range(256)), key="job_1")
        await house.put(sent)
        await house.until(lambda: all(house.calls[name] for name in ("billing", "gateway", "audit")))
        assert house.calls == {"billing": [sent], "gateway": [sent], "audit": [sent]}

    async def test_an_empty_payload_arrives_empty(self, house: "House") -> None:
        house.consume("billing", [SUBJECT])
        await house.start()
        await house.put(event(payload=b""))
        await house.until(lambda: bool(house.calls["billing"]))
        assert house.calls["billing"][0].payload == b""

    async def test_nothing_leaves_when_the_transaction_is_rolled_back(self, house: "House") -> None:
        house.consume("billing", [SUBJECT])
        await house.start()

        def work(tx: Tx) -> None:
            put(tx, event("never"))
            raise KeyError

        with pytest.raises(KeyError):
            await house.db.write(work)
        await house.put(event("after"))
        await house.until(lambda: bool(house.calls["billing"]))
        assert [call.id for call in house.calls["billing"]] == ["after"]

    async def test_the_outbox_is_empty_when_everything_was_handled(self, house: "House") -> None:
        house.consume("billing", [SUBJECT], house.count)
        await house.start()
        events = [event(key=f"job_{turn % 7}") for turn in range(300)]
        await asyncio.gather(*(house.put(one) for one in events))
        await house.until_effects(300)
        await house.until_sent()
        assert await house.effects() == dict.fromkeys((one.id for one in events), 1)

    async def test_an_event_is_delivered_soon_after_its_commit(self, house: "House") -> None:
        house.consume("billing", [SUBJECT])
        await house.start()
        await house.put(event())
        await house.until(lambda: len(house.calls["billing"]) == 1)
        loop = asyncio.get_running_loop()
        waits_s = []
        for _ in range(10):
            started_s, before = loop.time(), len(house.calls["billing"])
            await house.put(event())
            await house.until(lambda: len(house.calls["billing"]) > before)  # noqa: B023 - used at once.
            waits_s.append(loop.time() - started_s)
        assert sorted(waits_s)[5] < 0.5  # Poked, not polled: polling alone takes half a second on average.


class TestRepeating:
    async def test_the_effect_happens_once_when_each_event_is_delivered_twice(self, house: "House") -> None:
        async def then(call: Event) -> None:
            await house.count(call)
            if len([one for one in house.calls["billing"] if one.id == call.id]) == 1:
                raise ConnectionError("cut off between the commit and the acknowledgement")

        house.consume("billing", [SUBJECT], then)
        await house.start()
        await house.put(*(event(f"e{turn}") for turn in range(5)))
        await house.until(lambda: len(house.calls["billing"]) == 10)
        await house.until_sent()
        assert await house.effects() == {f"e{turn}": 1 for turn in range(5)}

    async def test_an_event_comes_again_until_its_handler_succeeds(self, house: "House") -> None:
        async def then(_: Event) -> None:
            if len(house.calls["billing"]) <= 2:
                raise RuntimeError("not yet")

        house.consume("billing", [SUBJECT], then)
        await house.start()
        sent = event()
        await house.put(sent)
        await house.until(lambda: len(house.calls["billing"]) == 3)
        await house.until_sent()
        await asyncio.sleep(0.3)
        assert house.calls["billing"] == [sent] * 3

    async def test_other_events_go_on_when_one_cannot_be_handled(self, house: "House") -> None:
        async def then(call: Event) -> None:
            if call.id == "poison":
                raise ValueError("cannot be understood")

        house.consume("billing", [SUBJECT], then)
        await house.start()
        await house.put(event("poison"), *(event(f"good{turn}") for turn in range(20)))
        await house.until(lambda: len({call.id for call in house.calls["billing"]}) == 21)

    async def test_an_event_is_given_up_after_the_last_try(
        self, house: "House", logs: list[MutableMapping[str, Any]]
    ) -> None:
        async def then(_: Event) -> None:
            raise ValueError("cannot be understood")

        house.consume("billing", [SUBJECT], then)
        await house.start()
        await house.put(event("poison"))
        await house.until(lambda: len(house.calls["billing"]) == 5)
        await house.until_sent()
        await asyncio.sleep(0.5)
        assert len(house.calls["billing"]) == 5
        [entry] = [entry for entry in logs if entry["event"] == "event_given_up"]
        assert (entry["log_level"], entry["event_id"], entry["tries"]) == ("error", "poison", 5)

    async def test_an_event_comes_again_when_its_handler_hangs_and_is_cut_off(self, house: "House") -> None:
        async def then(_: Event) -> None:
            if len(house.calls["billing"]) == 1:
                raise TimeoutError

        house.consume("billing", [SUBJECT], then)
        await house.start()
        await house.put(event())
        await house.until(lambda: len(house.calls["billing"]) == 2)


class TestOrder:
    async def test_events_of_one_subject_are_handled_in_order(self, house: "House") -> None:
        finished: list[str] = []

        async def then(call: Event) -> None:
            await asyncio.sleep(random.uniform(0, 0.003))
            finished.append(call.id)

        house.consume("billing", [SUBJECT], then)
        events = [event(f"e{turn:03}") for turn in range(60)]
        await house.put(*events[:30])
        await house.start()
        await house.put(*events[30:])
        await house.until(lambda: len(finished) == 60)
        assert finished == [one.id for one in events]

    async def test_events_of_one_key_are_handled_in_order_across_subjects(self, house: "House") -> None:
        finished: list[str] = []

        async def then(call: Event) -> None:
            await asyncio.sleep(random.uniform(0, 0.003))
            finished.append(call.id)

        house.consume("gateway", ["atelier.jobs.v1.*"], then)
        events = [
            event(f"j{job}-{step}", subject=f"atelier.jobs.v1.{step}", key=f"job_{job}")
            for job in range(10)
            for step in ("1_queued", "2_running", "3_succeeded")
        ]
        await house.put(*events)
        await house.start()
        await house.until(lambda: len(finished) == 30)
        for job in range(10):
            assert [one for one in finished if one.startswith(f"j{job}-")] == [
                f"j{job}-1_queued",
                f"j{job}-2_running",
                f"j{job}-3_succeeded",
            ]

    async def test_other_keys_go_on_when_the_handler_of_one_is_slow(self, house: "House") -> None:
        release = asyncio.Event()

        async def then(call: Event) -> None:
            if call.key == "slow":
                await release.wait()

        house.consume("billing", [SUBJECT], then)
        await house.start()
        await house.put(event(key="slow"), *(event(key=f"job_{turn}") for turn in range(20)))
        await house.until(lambda: len(house.calls["billing"]) == 21)
        release.set()
        await house.until_sent()


class TestComingAndGoing:
    async def test_events_wait_when_the_bus_is_not_running(self, house: "House") -> None:
        house.consume("billing", [SUBJECT])
        await house.put(event("early"))
        with pytest.raises(DependencyUnavailable):
            await house.bus.publish(event())
        assert house.bus.ready is False
        await house.start()
        assert house.is_ready()
        await house.until(lambda: bool(house.calls["billing"]))
        await house.until_sent()

    async def test_delivery_goes_on_after_a_restart(self, house: "House") -> None:
        house.consume("billing", [SUBJECT], house.count)
        await house.start()
        await house.put(event("first"))
        await house.until(lambda: len(house.calls["billing"]) == 1)
        await house.stop()
        await house.put(event("second"), event("third"))
        house.renew_bus()
        house.consume("billing", [SUBJECT], house.count)
        await house.start()
        await house.until_effects(3)
        await house.until_sent()
        assert await house.effects() == {"first": 1, "second": 1, "third": 1}

    async def test_a_running_handler_finishes_when_the_bus_stops(self, house: "House") -> None:
        entered, finished = asyncio.Event(), asyncio.Event()

        async def then(_: Event) -> None:
            entered.set()
            await asyncio.sleep(0.3)
            finished.set()

        house.consume("billing", [SUBJECT], then)
        await house.start()
        await house.put(event())
        await asyncio.wait_for(entered.wait(), 10)
        await house.stop()
        assert finished.is_set()

    async def test_nothing_is_published_when_the_bus_was_stopped(self, house: "House") -> None:
        await house.start()
        await house.stop()
        assert not house.bus.ready
        with pytest.raises(DependencyUnavailable):
            await house.bus.publish(event())
        await house.bus.stop()

    async def test_stopping_a_bus_that_never_started_does_nothing(self, house: "House") -> None:
        await house.bus.stop()


class TestMistakes:
    @pytest.mark.parametrize("name", ["", "Billing", "bill.ing", "b" * 33, "-billing", "bil ling"])
    def test_a_malformed_consumer_name_is_refused(self, house: "House", name: str) -> None:
        with pytest.raises(ValueError, match="consumer"):
            house.consume(name, [SUBJECT])

    @pytest.mark.parametrize("subject", ["", ">", "atelier.", "Atelier.jobs", "atelier.>.jobs", "atelier jobs"])
    def test_a_malformed_subject_is_refused(self, house: "House", subject: str) -> None:
        with pytest.raises(ValueError, match="subject"):
            house.consume("billing", [SUBJECT, subject])

    async def test_subscribing_to_nothing_or_twice_or_late_is_refused(self, house: "House") -> None:
        with pytest.raises(ValueError, match="nothing"):
            house.consume("billing", [])
        house.consume("billing", [SUBJECT])
        with pytest.raises(ValueError, match="twice"):
            house.consume("billing", [SUBJECT])
        await house.start()
        with pytest.raises(ValueError, match="after the start"):
            house.consume("gateway", [SUBJECT])

    async def test_an_event_id_is_put_once(self, house: "House") -> None:
        await house.put(event("once"))
        with pytest.raises(Exception, match=r"(?i)unique"):
            await house.put(event("once"))
