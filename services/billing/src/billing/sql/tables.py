"""The tables of the books, the same on SQLite and Postgres.

Transactions and postings are append-only: triggers (see the first migration) refuse to change or remove them. SQLite's
tables are STRICT, so that its integers are integers there too.
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

ACCOUNTS: Final = Table(
    "accounts",
    METADATA,
    Column("id", Text, primary_key=True),  # kind/unit/client
    Column("client_id", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("balance", WHOLE, nullable=False),
    CheckConstraint("balance >= 0 OR kind IN ('funding', 'adjust')", name="accounts_floor"),
    CheckConstraint("unit IN ('points', 'count', 'fen')", name="accounts_unit"),
    CheckConstraint("kind IN ('available', 'held', 'revenue', 'funding', 'adjust')", name="accounts_kind"),
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
    Index("transactions_by_client", "client_id", "number"),
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
    CheckConstraint("(state = 'held') = (resolve_ms IS NULL)", name="holds_resolved"),
    CheckConstraint("state IN ('held', 'captured', 'released', 'timed_out')", name="holds_state"),
    Index(
        "holds_due",
        "next_look_ms",
        sqlite_where=text("state = 'held'"),
        postgresql_where=text("state = 'held'"),
    ),
    **_STRICT,
)

# Grants are kept apart from their transactions so that expiry (spend the earliest first) can be added
# beside them; `expire_ms` is NULL in every row until then.
GRANTS: Final = Table(
    "grants",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("amount", WHOLE, nullable=False),
    Column("expire_ms", WHOLE),
    Column("create_ms", WHOLE, nullable=False),
    CheckConstraint("amount > 0", name="grants_amount"),
    Index("grants_by_client", "client_id", "unit"),
    **_STRICT,
)

event_tables(METADATA)
