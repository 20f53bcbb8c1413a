"""The relay's statements on the outbox and the inbox."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, select, update

from kit.db import Tx
from kit.events.event import Event
from kit.events.port import Retry
from kit.events.tables import INBOX, OUTBOX

CLAIM_MS: Final = 15_000  # Longer than one publish; after a crash another replica's relay waits this long.
OUTBOX_KEPT_MS: Final = 10 * 60_000  # Sent rows are there to be sent again when the stream is lost with unread events.
INBOX_KEPT_MS: Final = 4 * 86_400_000  # A day longer than the stream keeps what it may deliver again.
PRUNE_ROWS_MAX: Final = 1_000  # In one transaction, so that nobody waits behind it.

_COLUMNS: Final = (
    OUTBOX.c.seq,
    OUTBOX.c.id,
    OUTBOX.c.subject,
    OUTBOX.c.payload,
    OUTBOX.c.order_key,
    OUTBOX.c.tries,
)
_UNSENT: Final = OUTBOX.c.sent_ms.is_(None) & (OUTBOX.c.due_ms <= bindparam("now_ms"))
_LOOK: Final = (
    select(*_COLUMNS)
    .where(_UNSENT, OUTBOX.c.seq.not_in(bindparam("held", expanding=True)))
    .order_by(OUTBOX.c.seq)
    .limit(bindparam("rows"))
)
_CLAIM: Final = (
    update(OUTBOX)
    .where(
        OUTBOX.c.seq.in_(
            select(OUTBOX.c.seq)
            .where(_UNSENT, OUTBOX.c.seq.not_in(bindparam("held", expanding=True)))
            .order_by(OUTBOX.c.seq)
            .limit(bindparam("rows"))
            .with_for_update(skip_locked=True)
        )
    )
    .values(due_ms=bindparam("claimed_until_ms"))
    .returning(*_COLUMNS)
)
_OF_THESE: Final = OUTBOX.c.seq.in_(bindparam("seqs", expanding=True))
_SENT: Final = update(OUTBOX).where(_OF_THESE).values(sent_ms=bindparam("now_ms"))
_RELEASE: Final = update(OUTBOX).where(_OF_THESE).values(due_ms=0)
_OF_THIS: Final = OUTBOX.c.seq == bindparam("of_seq")
_LATER: Final = update(OUTBOX).where(_OF_THIS).values(due_ms=bindparam("then_ms"), tries=OUTBOX.c.tries + 1)
_GIVE_UP: Final = (
    update(OUTBOX).where(_OF_THIS).values(sent_ms=bindparam("now_ms"), tries=OUTBOX.c.tries + 1, error=bindparam("why"))
)
_RESEND: Final = (
    update(OUTBOX)
    .where(OUTBOX.c.sent_ms < bindparam("sent_before_ms"), OUTBOX.c.error.is_(None))
    .values(sent_ms=None, due_ms=0)
)
_PRUNE_OUTBOX: Final = delete(OUTBOX).where(
    OUTBOX.c.seq.in_(
        select(OUTBOX.c.seq)
        .where(OUTBOX.c.sent_ms < bindparam("before_ms"), OUTBOX.c.error.is_(None))
        .limit(PRUNE_ROWS_MAX)
    )
)
_PRUNE_INBOX: Final = delete(INBOX).where(INBOX.c.seen_ms < bindparam("before_ms"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """One unsent event and how often it failed already."""

    seq: int
    event: Event
    tries: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of publishing one event."""

    outgoing: Outgoing
    sent: bool = False
    error: str = ""  #: Why its handler failed; empty and not sent means that the bus was away.


def take(rows: int, held: Collection[int]) -> Callable[[Tx], list[Outgoing]]:
    """Return a work that gives the first `rows` unsent events that are due, in order, without those in `held`.

    On SQLite it only reads, because one process serves the file. On Postgres it also claims the rows, so that
    the relays of several replicas share the work; rows that another relay is claiming are passed over.
    """

    def work(tx: Tx) -> list[Outgoing]:
        values = {"now_ms": tx.now_ms, "rows": rows, "held": list(held)}
        if tx.dialect == "sqlite":
            found = tx.conn.execute(_LOOK, values).all()
        else:
            found = tx.conn.execute(_CLAIM, values | {"claimed_until_ms": tx.now_ms + CLAIM_MS}).all()
        return [_outgoing(row) for row in sorted(found, key=lambda row: row.seq)]

    return work


def settle(outcomes: Collection[Outcome], retry: Retry) -> Callable[[Tx], None]:
    """Return a work that writes down what became of the events."""
    sent = [outcome.outgoing.seq for outcome in outcomes if outcome.sent]
    released = [outcome.outgoing.seq for outcome in outcomes if not outcome.sent and not outcome.error]
    failed = [outcome for outcome in outcomes if outcome.error]

    def work(tx: Tx) -> None:
        if sent:
            tx.conn.execute(_SENT, {"seqs": sent, "now_ms": tx.now_ms})
        if released and tx.dialect == "postgresql":
            tx.conn.execute(_RELEASE, {"seqs": released})
        for outcome in failed:
            seq, tries = outcome.outgoing.seq, outcome.outgoing.tries + 1
            if retry.is_over(tries):
                tx.conn.execute(_GIVE_UP, {"of_seq": seq, "now_ms": tx.now_ms, "why": outcome.error})
            else:
                then_ms = tx.now_ms + round(retry.delay_s(tries) * 1000)
                tx.conn.execute(_LATER, {"of_seq": seq, "then_ms": then_ms})

    return work


def resend(*, sent_before_ms: int) -> Callable[[Tx], int]:
    """Return a work that makes all events unsent which are still here and were sent earlier; it tells how many."""

    def work(tx: Tx) -> int:
        return tx.conn.execute(_RESEND, {"sent_before_ms": sent_before_ms}).rowcount

    return work


def prune(tx: Tx) -> bool:
    """Delete old rows that were sent or seen; tell whether there may be more. Events given up are kept."""
    deleted = tx.conn.execute(_PRUNE_OUTBOX, {"before_ms": tx.now_ms - OUTBOX_KEPT_MS}).rowcount
    tx.conn.execute(_PRUNE_INBOX, {"before_ms": tx.now_ms - INBOX_KEPT_MS})
    return deleted >= PRUNE_ROWS_MAX


def _outgoing(row: Row[Any, Any, Any, Any, Any, Any]) -> Outgoing:
    seq, event_id, subject, payload, key, tries = row
    event = Event(id=event_id, subject=subject, payload=bytes(payload), key=key)
    return Outgoing(seq=seq, event=event, tries=tries)
