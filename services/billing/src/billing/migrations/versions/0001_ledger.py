"""The books: accounts, transactions, postings, holds, grants, lots, and the triggers that make them append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SMALL = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")

#: table → columns that never change there; None for all of them. Nothing is ever removed from any of these tables.
IMMUTABLE: dict[str, tuple[str, ...] | None] = {
    "transactions": None,
    "postings": None,
    "grants": None,
    "draws": None,
    "refunds": None,
    "lots": ("grant_id", "client_id", "unit", "priority", "expire_ms", "create_ms"),
    "accounts": ("id", "client_id", "unit", "kind"),
    "holds": (
        "id",
        "client_id",
        "unit",
        "amount",
        "amount_per_output",
        "outputs",
        "input_hash",
        "catalog_version",
        "create_ms",
        "expire_ms",
        "model",
    ),
}
#: What makes a row of a table one of its kind.
KEYS = {
    "postings": "number = NEW.number AND line = NEW.line",
    "draws": "number = NEW.number AND line = NEW.line",
    "lots": "grant_id = NEW.grant_id",
}
#: table → changes that are refused whatever else is allowed there: name → condition.
NEVER = {
    "holds": {
        "end_once": "OLD.state <> 'held' AND NOT (NEW.state = OLD.state AND NEW.captured = OLD.captured"
        " AND NEW.resolve_ms = OLD.resolve_ms AND NEW.outcome = OLD.outcome AND NEW.reason = OLD.reason"
        " AND NEW.provider = OLD.provider"
        " AND COALESCE(NEW.provider_cost_fen, -1) = COALESCE(OLD.provider_cost_fen, -1))",
        "refund_grows": "NEW.refunded < OLD.refunded",
    },
    "lots": {"lapse_grows": "NEW.lapses < OLD.lapses OR NEW.lapse_ms < OLD.lapse_ms"},
}


def upgrade() -> None:
    """Go forward; there is no way back but a new revision."""
    _accounts()
    _transactions()
    _holds()
    _grants()
    _lots()
    _refunds()
    _events()
    if op.get_bind().dialect.name == "sqlite":
        _sqlite_triggers()
    else:
        _postgres_triggers()


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("balance", WHOLE, nullable=False),
        sa.Column("low_mark", WHOLE, nullable=True),
        sa.Column("lots", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("balance >= 0 OR kind IN ('funding', 'adjust')", name="accounts_floor"),
        sa.CheckConstraint("unit IN ('points', 'count', 'fen')", name="accounts_unit"),
        sa.CheckConstraint(
            "kind IN ('available', 'held', 'revenue', 'lapsed', 'funding', 'adjust')", name="accounts_kind"
        ),
        sa.CheckConstraint("id = kind || '/' || unit || '/' || client_id", name="accounts_id"),
        sqlite_strict=True,
    )
    op.create_index("accounts_by_client", "accounts", ["client_id"])


def _transactions() -> None:
    op.create_table(
        "transactions",
        sa.Column("number", WHOLE, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("input_hash", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("create_ms", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("transactions_by_client", "transactions", ["client_id", "create_ms", "number"])
    op.create_table(
        "postings",
        sa.Column("number", WHOLE, autoincrement=False, nullable=False),
        sa.Column("line", SMALL, autoincrement=False, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("delta", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("number", "line"),
        sa.ForeignKeyConstraint(["number"], ["transactions.number"]),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"]),
        sa.CheckConstraint("delta <> 0", name="postings_move"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _holds() -> None:
    op.create_table(
        "holds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("amount", WHOLE, nullable=False),
        sa.Column("amount_per_output", WHOLE, nullable=False),
        sa.Column("outputs", SMALL, nullable=False),
        sa.Column("captured", WHOLE, nullable=False),
        sa.Column("refunded", WHOLE, nullable=False),
        sa.Column("input_hash", sa.Text(), nullable=False),
        sa.Column("catalog_version", sa.Text(), nullable=False),
        sa.Column("create_ms", WHOLE, nullable=False),
        sa.Column("expire_ms", WHOLE, nullable=False),
        sa.Column("resolve_ms", WHOLE, nullable=True),
        sa.Column("next_look_ms", WHOLE, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_cost_fen", WHOLE, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("amount >= 0 AND amount = amount_per_output * outputs", name="holds_amount"),
        sa.CheckConstraint(
            "captured BETWEEN 0 AND amount AND (captured = 0 OR state = 'captured')", name="holds_captured"
        ),
        sa.CheckConstraint("refunded BETWEEN 0 AND captured", name="holds_refunded"),
        sa.CheckConstraint("(state = 'held') = (resolve_ms IS NULL)", name="holds_resolved"),
        sa.CheckConstraint("state IN ('held', 'captured', 'released', 'timed_out')", name="holds_state"),
        sqlite_strict=True,
    )
    _partial("holds_due", "holds", "next_look_ms", where="state = 'held'")


def _grants() -> None:
    op.create_table(
        "grants",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("amount", WHOLE, nullable=False),
        sa.Column("priority", SMALL, nullable=False),
        sa.Column("expire_ms", WHOLE, nullable=True),
        sa.Column("create_ms", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("amount > 0", name="grants_amount"),
        sqlite_strict=True,
    )
    op.create_index("grants_by_client", "grants", ["client_id", "unit"])


def _partial(name: str, table: str, column: str, *more: str, where: str) -> None:
    op.create_index(name, table, [column, *more], sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _lots() -> None:
    op.create_table(
        "lots",
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("priority", SMALL, nullable=False),
        sa.Column("expire_ms", WHOLE, nullable=False),
        sa.Column("create_ms", WHOLE, nullable=False),
        sa.Column("remaining", WHOLE, nullable=False),
        sa.Column("lapse_ms", WHOLE, nullable=False),
        sa.Column("lapses", SMALL, nullable=False),
        sa.PrimaryKeyConstraint("grant_id"),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"]),
        sa.CheckConstraint("remaining >= 0", name="lots_remaining"),
        sa.CheckConstraint("lapse_ms >= expire_ms", name="lots_lapse"),
        sqlite_strict=True,
    )
    _partial("lots_open", "lots", "client_id", "unit", where="remaining > 0")
    _partial("lots_due", "lots", "lapse_ms", where="remaining > 0")
    op.create_table(
        "draws",
        sa.Column("number", WHOLE, autoincrement=False, nullable=False),
        sa.Column("line", SMALL, autoincrement=False, nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=True),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("delta", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("number", "line"),
        sa.ForeignKeyConstraint(["number"], ["transactions.number"]),
        sa.ForeignKeyConstraint(["grant_id"], ["lots.grant_id"]),
        sa.CheckConstraint("delta <> 0", name="draws_move"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    _partial("draws_by_job", "draws", "job_id", where="job_id <> ''")
    op.create_index("draws_by_grant", "draws", ["grant_id"])


def _refunds() -> None:
    op.create_table(
        "refunds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("hold_id", sa.Text(), nullable=False),
        sa.Column("amount", WHOLE, nullable=False),
        sa.Column("create_ms", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["hold_id"], ["holds.id"]),
        sa.CheckConstraint("amount > 0", name="refunds_amount"),
        sqlite_strict=True,
    )
    op.create_index("refunds_by_hold", "refunds", ["hold_id"])


def _events() -> None:
    op.create_table(
        "outbox",
        sa.Column("seq", WHOLE, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("order_key", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent_ms", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("outbox_unsent", "outbox", ["sent_ms", "seq"])
    op.create_table(
        "inbox",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "event_id"),
    )
    op.create_index("inbox_seen", "inbox", ["seen_ms"])


def _sqlite_triggers() -> None:
    def refuse(name: str, event: str, table: str, when: str = "") -> None:
        op.execute(
            f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} {when}"
            f" BEGIN SELECT RAISE(ABORT, 'the books are append-only: {event} of {table}'); END"
        )

    for table, columns in IMMUTABLE.items():
        refuse("no_delete", "DELETE", table)
        refuse("no_update", f"UPDATE OF {', '.join(columns)}" if columns else "UPDATE", table)
    for table, conditions in NEVER.items():
        for name, condition in conditions.items():
            refuse(name, "UPDATE", table, f"WHEN {condition}")
    # INSERT OR REPLACE would remove the old row without firing its DELETE trigger.
    for table in IMMUTABLE:
        key = KEYS.get(table, "id = NEW.id")
        refuse("no_replace", "INSERT", table, f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {key})")  # noqa: S608  Names from above.


def _postgres_triggers() -> None:
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'the books are append-only: % of %', TG_OP, TG_TABLE_NAME"
        " USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )

    def refuse(name: str, event: str, table: str, scope: str) -> None:
        op.execute(
            f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} FOR EACH {scope} EXECUTE FUNCTION refuse_change()"
        )

    for table, columns in IMMUTABLE.items():
        refuse("no_delete", "DELETE", table, "ROW")
        refuse("no_truncate", "TRUNCATE", table, "STATEMENT")
        refuse("no_update", f"UPDATE OF {', '.join(columns)}" if columns else "UPDATE", table, "ROW")
    for table, conditions in NEVER.items():
        for name, condition in conditions.items():
            refuse(name, "UPDATE", table, f"ROW WHEN ({condition})")
