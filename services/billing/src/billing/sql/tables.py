"""The tables of the books, the same on SQLite and Postgres.

What happened (transactions, postings, draws, grants, refunds) is append-only: triggers (see the first migration) refuse
to change or remove it. SQLite's tables are STRICT, so that its integers are integers there too.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

from kit.events import tables as event_tables

METADATA: Final = MetaData()
WHOLE: Final = BigInteger().with_variant(Integer(), "sqlite")  # STRICT tables know only INTEGER, of 64 bits.
SMALL: Final = SmallInteger().with_variant(Integer(), "sqlite")
_STRICT: Final[dict[str, Any]] = {"sqlite_strict": True}


def _partial(name: str, *columns: str, where: str) -> Index:
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


ACCOUNTS: Final = Table(
    "accounts",
    METADATA,
    Column("id", Text, primary_key=True),  # kind/unit/client
    Column("client_id", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("balance", WHOLE, nullable=False),
    Column("low_mark", WHOLE),  # Of an available account: below this balance the wallet is low; NULL for none.
    Column(
        "lots", WHOLE, nullable=False
    ),  # Of an available account: how many it ever had; with none, none are looked for.
    CheckConstraint("balance >= 0 OR kind IN ('funding', 'adjust')", name="accounts_floor"),
    CheckConstraint("unit IN ('points', 'count', 'fen')", name="accounts_unit"),
    CheckConstraint("kind IN ('available', 'held', 'revenue', 'lapsed', 'funding', 'adjust')", name="accounts_kind"),
    CheckConstraint("id = kind || '/' || unit || '/' || client_id", name="accounts_id"),
    Index("accounts_by_client", "client_id"),
    **_STRICT,
)

TRANSACTIONS: Final = Table(
    "transactions",
    METADATA,
    Column("number", WHOLE, primary_key=True),  # Orders a statement; gaps mean nothing.
    Column("id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("input_hash", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("create_ms", WHOLE, nullable=False),
    Index("transactions_by_client", "client_id", "create_ms", "number"),
    **_STRICT,
)

POSTINGS: Final = Table(
    "postings",
    METADATA,
    Column("number", WHOLE, ForeignKey("transactions.number"), primary_key=True, autoincrement=False),
    Column("line", SMALL, primary_key=True, autoincrement=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("delta", WHOLE, nullable=False),
    CheckConstraint("delta <> 0", name="postings_move"),
    sqlite_with_rowid=False,
    **_STRICT,
)

HOLDS: Final = Table(
    "holds",
    METADATA,
    Column("id", Text, primary_key=True),  # The job's id.
    Column("client_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("amount", WHOLE, nullable=False),
    Column("amount_per_output", WHOLE, nullable=False),
    Column("outputs", SMALL, nullable=False),
    Column("captured", WHOLE, nullable=False),
    Column("refunded", WHOLE, nullable=False),  # Of what was captured, given back afterwards; only grows.
    Column("input_hash", Text, nullable=False),
    Column("catalog_version", Text, nullable=False),
    Column("create_ms", WHOLE, nullable=False),
    Column("expire_ms", WHOLE, nullable=False),
    Column("resolve_ms", WHOLE),
    Column("next_look_ms", WHOLE, nullable=False),  # The sweeper's; means nothing once resolved.
    # For statements: what the hold pays for, and how its job ended ("" before).
    Column("model", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_cost_fen", WHOLE),  # NULL when no provider reported any.
    CheckConstraint("amount >= 0 AND amount = amount_per_output * outputs", name="holds_amount"),
    CheckConstraint("captured BETWEEN 0 AND amount AND (captured = 0 OR state = 'captured')", name="holds_captured"),
    CheckConstraint("refunded BETWEEN 0 AND captured", name="holds_refunded"),
    CheckConstraint("(state = 'held') = (resolve_ms IS NULL)", name="holds_resolved"),
    CheckConstraint("state IN ('held', 'captured', 'released', 'timed_out')", name="holds_state"),
    _partial("holds_due", "next_look_ms", where="state = 'held'"),
    **_STRICT,
)

GRANTS: Final = Table(
    "grants",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("amount", WHOLE, nullable=False),
    Column("priority", SMALL, nullable=False),
    Column("expire_ms", WHOLE),  # NULL when it never does.
    Column("create_ms", WHOLE, nullable=False),
    CheckConstraint("amount > 0", name="grants_amount"),
    Index("grants_by_client", "client_id", "unit"),
    **_STRICT,
)

# What is left of each grant that expires or has a priority: a part of its wallet's available units. Changed only by who
# holds the lock of that available account, and always together with a row of `draws`.
LOTS: Final = Table(
    "lots",
    METADATA,
    Column("grant_id", Text, ForeignKey("grants.id"), primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("priority", SMALL, nullable=False),
    Column("expire_ms", WHOLE, nullable=False),  # The year 10000 for one that never does.
    Column("create_ms", WHOLE, nullable=False),
    Column("remaining", WHOLE, nullable=False),
    Column("lapse_ms", WHOLE, nullable=False),  # The expiry, later when units came back after it.
    Column("lapses", SMALL, nullable=False),
    CheckConstraint("remaining >= 0", name="lots_remaining"),
    CheckConstraint("lapse_ms >= expire_ms", name="lots_lapse"),
    _partial("lots_open", "client_id", "unit", where="remaining > 0"),
    _partial("lots_due", "lapse_ms", where="remaining > 0"),
    **_STRICT,
)

# Which lots a transaction took its units from or brought them back to; the rest of the wallet is a NULL grant. A
# transaction that touches no lot has no rows; the rows of one that does sum to its posting on the available account.
DRAWS: Final = Table(
    "draws",
    METADATA,
    Column("number", WHOLE, ForeignKey("transactions.number"), primary_key=True, autoincrement=False),
    Column("line", SMALL, primary_key=True, autoincrement=False),
    Column("grant_id", Text, ForeignKey("lots.grant_id")),
    Column("job_id", Text, nullable=False),
    Column("delta", WHOLE, nullable=False),
    CheckConstraint("delta <> 0", name="draws_move"),
    _partial("draws_by_job", "job_id", where="job_id <> ''"),
    Index("draws_by_grant", "grant_id"),
    sqlite_with_rowid=False,
    **_STRICT,
)

REFUNDS: Final = Table(
    "refunds",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("hold_id", Text, ForeignKey("holds.id"), nullable=False),
    Column("amount", WHOLE, nullable=False),
    Column("create_ms", WHOLE, nullable=False),
    CheckConstraint("amount > 0", name="refunds_amount"),
    Index("refunds_by_hold", "hold_id"),
    **_STRICT,
)

event_tables(METADATA)
