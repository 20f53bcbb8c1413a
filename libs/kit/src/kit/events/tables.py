"""The outbox and the inbox: the rows that make "committed" and "told" one thing.

An event is put into the outbox by the transaction that causes it; the relay publishes it afterwards. A consumer
notes the id of an event in its inbox in the transaction of the effect, so a second delivery changes nothing.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects import postgresql, sqlite

from kit.db import Tx
from kit.events.event import Event

OUTBOX_SIGNAL: Final = "outbox"  # `Tx.signal` tells the relay of this database that there is something to send.

_METADATA: Final = MetaData()

OUTBOX: Final = Table(
    "outbox",
    _METADATA,
    # An integer on SQLite, because only INTEGER PRIMARY KEY counts by itself there; it has 64 bits too.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("subject", Text, nullable=False),
    Column("order_key", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("due_ms", BigInteger, nullable=False),  #: Not before: after a failure, or while a relay has it.
    Column("tries", Integer, nullable=False),
    Column("sent_ms", BigInteger),  #: NULL until the bus has taken it, or it was given up.
    Column("error", Text),  #: Why it was given up; such rows are kept.
    Index("outbox_unsent", "sent_ms", "seq"),
)

INBOX: Final = Table(
    "inbox",
    _METADATA,
    Column("consumer", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("seen_ms", BigInteger, nullable=False),
    Index("inbox_seen", "seen_ms"),
)

_PUT: Final = OUTBOX.insert().inline()
_SEE: Final = {
    "sqlite": sqlite.insert(INBOX).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(INBOX).on_conflict_do_nothing(),
}


def tables(metadata: MetaData) -> tuple[Table, Table]:
    """Add `outbox` and `inbox` to a service's `metadata`, for its migrations; return the two tables."""
    return OUTBOX.to_metadata(metadata), INBOX.to_metadata(metadata)


def put(tx: Tx, event: Event) -> None:
    """Write `event` into the outbox; it leaves when `tx` is committed, and only then.

    Raises IntegrityError when an event of that id was put before.
    """
    row = {
        "id": event.id,
        "subject": event.subject,
        "order_key": event.key,
        "payload": event.payload,
        "due_ms": 0,
        "tries": 0,
    }
    tx.conn.execute(_PUT, row)
    tx.signal(OUTBOX_SIGNAL)


def seen(tx: Tx, consumer: str, event_id: str) -> bool:
    """Note that `consumer` handles the event in this transaction; tell whether it did so before.

    When the answer is True, leave the rest of the work undone.
    """
    row = {"consumer": consumer, "event_id": event_id, "seen_ms": tx.now_ms}
    return tx.conn.execute(_SEE[tx.dialect], row).rowcount == 0
