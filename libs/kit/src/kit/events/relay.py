"""The outbox relay: publishes what transactions have put, and marks it sent only after the bus has it.

It may publish twice (a crash between the two), never not at all. One loop reads due rows, hands each to a lane of
its order key, and writes down in one transaction whatever the lanes have finished meanwhile; a slow handler holds
up its own key only.
"""

import asyncio
from functools import partial
from typing import Final

from kit import crash
from kit.db import Database
from kit.errors import AppError, DependencyUnavailable
from kit.events.lanes import KeyedLanes
from kit.events.outbox import Outcome, Outgoing, prune, resend, settle, take
from kit.events.port import EventBus, HandlerFailed, Retry
from kit.events.tables import OUTBOX_SIGNAL
from kit.logging import get_logger

POLL_S: Final = 1.0  # Finds what nobody poked for: rows of other processes, of before a crash, due again.
IN_FLIGHT_MAX: Final = 256  # Events being published at once; enough to fill a group commit of their handlers.
AWAY_MAX_S: Final = 5.0  # Between tries while the bus or the database is away; each costs one call.
PRUNE_EVERY_S: Final = 60.0
CLOCKS_DIFFER_MS: Final = 60_000  # The bus' clock and the database's, at most; inboxes know what is sent in vain.
STOP_TIMEOUT_S: Final = 5.0  # For the handlers that run when the process ends; what is cut off is sent again.

BEFORE_PUBLISH: Final = crash.declare("events.relay.before_publish", "the row is committed, the bus has nothing")
BEFORE_MARK: Final = crash.declare("events.relay.before_mark", "the bus has the event, the row still says unsent")

_log = get_logger(__name__)


class OutboxRelay:
    """Moves events from one database's outbox to the bus."""

    def __init__(self, db: Database, bus: EventBus, *, retry: Retry | None = None) -> None:
        """Does nothing before `run`; from then on each `put` committed through `db` wakes it."""
        self._retry = retry or Retry()
        self._db = db
        self._bus = bus
        self._wake = asyncio.Event()
        self._lanes = KeyedLanes(IN_FLIGHT_MAX)
        self._held: dict[int, Outgoing] = {}  #: In the lanes, or finished and not yet written down.
        self._outcomes: list[Outcome] = []
        self._bus_failures = 0
        self._bus_kept_since_ms = 0
        self._paused_until_s = 0.0
        self._prune_at_s = 0.0
        db.listen(OUTBOX_SIGNAL, self.poke)

    def poke(self) -> None:
        """Look into the outbox now. Call it on the event loop that `run` runs on."""
        self._wake.set()

    async def run(self) -> None:
        """Relay until cancelled; survives the database and the bus being away."""
        failures = 0
        try:
            while True:
                try:
                    await self._round()
                    failures = 0
                except AppError as error:
                    failures += 1
                    _log.warning("outbox_unreachable", error=error.message, failures=failures)
                except Exception:  # A bug must not stop the events of everybody for good.
                    failures += 1
                    _log.exception("outbox_relay_failed", failures=failures)
                if failures:
                    await asyncio.sleep(self._away_s(failures))
                await self._wait()
        finally:
            await self._finish()

    async def _round(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._bus.kept_since_ms != self._bus_kept_since_ms:
            await self._send_lost_again(self._bus.kept_since_ms)
        if now_s >= self._paused_until_s and self._lanes.room > 0:
            await self._take()
        await self._settle()
        if now_s >= self._prune_at_s and self._bus.ready:  # While it is away, nobody knows what it will have lost.
            more = await self._db.write(prune)
            self._prune_at_s = now_s + (POLL_S if more else PRUNE_EVERY_S)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _take(self) -> None:
        work = take(self._lanes.room, self._held.keys())
        # Claiming writes; SQLite needs no claim and its readers do not wait for the writer.
        rows = await (self._db.read(work) if self._db.dialect == "sqlite" else self._db.write(work))
        for outgoing in rows:
            self._held[outgoing.seq] = outgoing
            self._lanes.add(outgoing.event.order, partial(self._publish, outgoing))

    async def _send_lost_again(self, kept_since_ms: int) -> None:
        """Send what went into a stream that is no more, as far back as sent rows are kept."""
        events = await self._db.write(resend(sent_before_ms=kept_since_ms + CLOCKS_DIFFER_MS))
        self._bus_kept_since_ms = kept_since_ms
        if events:
            _log.info("events_sent_again", events=events)

    async def _publish(self, outgoing: Outgoing) -> None:
        """Publish one event and note the outcome; part of a lane, so it does not raise."""
        event = outgoing.event
        crash.point(BEFORE_PUBLISH)
        try:
            await self._bus.publish(event)
        except DependencyUnavailable as error:
            self._pause(error)
            outcome = Outcome(outgoing=outgoing)
        except Exception as error:
            if not isinstance(error, HandlerFailed):
                _log.exception("event_not_published", event_id=event.id, subject=event.subject)
            outcome = Outcome(outgoing=outgoing, error=str(error) or type(error).__name__)
            self._report(outcome)
        else:
            self._bus_failures = 0
            outcome = Outcome(outgoing=outgoing, sent=True)
        self._outcomes.append(outcome)
        self._wake.set()

    def _away_s(self, failures: int) -> float:
        return min(AWAY_MAX_S, self._retry.delay_s(failures))

    def _pause(self, error: DependencyUnavailable) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._paused_until_s:  # Many publishes fail together; they count as one.
            self._bus_failures += 1
            self._paused_until_s = now_s + self._away_s(self._bus_failures)
            _log.warning("event_bus_unavailable", error=error.message, failures=self._bus_failures)

    def _report(self, outcome: Outcome) -> None:
        event, tries = outcome.outgoing.event, outcome.outgoing.tries + 1
        if self._retry.is_over(tries):
            _log.error("event_given_up", event_id=event.id, subject=event.subject, tries=tries, error=outcome.error)
        else:
            asyncio.get_running_loop().call_later(self._retry.delay_s(tries), self.poke)

    async def _settle(self) -> None:
        outcomes = self._outcomes
        if not outcomes:
            return
        self._outcomes = []
        crash.point(BEFORE_MARK)
        try:
            await self._db.write(settle(outcomes, self._retry))
        except BaseException:
            self._outcomes = outcomes + self._outcomes
            raise
        for outcome in outcomes:
            del self._held[outcome.outgoing.seq]

    async def _finish(self) -> None:
        """Let running publishes end and mark them; what is cut off stays unsent and is sent again."""
        await self._lanes.drain(STOP_TIMEOUT_S)
        try:
            await self._settle()
        except AppError as error:
            _log.warning("outbox_unreachable", error=error.message, failures=1)
