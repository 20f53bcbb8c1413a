"""The tables. Times are unix milliseconds of the database's clock, JSON is text, flags are 0 or 1.

Tables whose rows are small and found by their key alone are kept WITHOUT ROWID on SQLite: one tree to write, not two.

Every index is there for one question, named beside it. Partial indexes keep the questions of the hot path as small as
the queue, however many jobs have ended; their conditions are repeated literally by the statements, because SQLite
uses a partial index only when it recognises the condition.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from kit import events

METADATA: Final = MetaData()

LIVE: Final = "state <= 2"
READY: Final = "waiting = 1 AND not_before_ms = 0"
DELAYED: Final = "waiting = 1 AND not_before_ms > 0"
LEASED: Final = "state = 2 AND waiting = 0"
CANCEL_ASKED: Final = "state = 2 AND cancel_ms IS NOT NULL"
KEPT_FOR_A_TIME: Final = "forget_ms IS NOT NULL"


def _required(name: str, type_: Any) -> "Column[Any]":
    return Column(name, type_, nullable=False)


def _partial(name: str, *columns: str, where: str) -> Index:
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


# One row for each id ever used: the unique key decides between a job and a fence, whichever commits first.
JOB_IDS: Final = Table(
    "job_ids",
    METADATA,
    Column("id", Text, primary_key=True),
    _required("fenced", SmallInteger),
    sqlite_with_rowid=False,
)

JOBS: Final = Table(
    "jobs",
    METADATA,
    # The order: written once.
    Column("id", Text, primary_key=True),
    _required("client_id", Text),
    Column("external_id", Text, unique=True),
    _required("contract", Text),
    _required("model", Text),
    _required("capability", Text),
    _required("parameters_json", Text),
    _required("inputs_json", Text),
    _required("routes_json", Text),
    _required("pool", Text),
    _required("priority_rank", SmallInteger),  # Minus the priority, so that the first in line sorts first.
    _required("price_json", Text),
    _required("charges_json", Text),
    _required("held_unit", SmallInteger),
    _required("held_value", BigInteger),
    Column("retention_ms", BigInteger),
    Column("forget_ms", BigInteger),
    _required("webhook_url", Text),
    _required("labels_json", Text),
    _required("fingerprint", Text),
    _required("create_ms", BigInteger),
    _required("deadline_ms", BigInteger),
    _required("accept_position", BigInteger),
    # The standing: written at every transition.
    _required("state", SmallInteger),
    _required("waiting", SmallInteger),
    _required("reconciling", SmallInteger),
    Column("outputs_json", Text),
    Column("notes_json", Text),
    _required("progress", SmallInteger),
    _required("progress_event_ms", BigInteger),
    Column("failure_json", Text),
    _required("attempts", BigInteger),
    _required("provider", Text),
    _required("provider_cost_fen", BigInteger),
    _required("outcome", SmallInteger),
    _required("charged", BigInteger),
    _required("sequence", BigInteger),
    Column("cancel_ms", BigInteger),
    Column("start_ms", BigInteger),
    Column("finish_ms", BigInteger),
    _required("epoch", BigInteger),
    _required("holder", Text),
    _required("lease_expire_ms", BigInteger),
    _required("not_before_ms", BigInteger),
    _required("setbacks", SmallInteger),
    _required("ended_epoch", BigInteger),
    _required("ended_outcome", SmallInteger),
    # A client's jobs, newest first; each state is one ordered range.
    Index("jobs_of_client", "client_id", "state", "create_ms", "accept_position"),
    # All jobs, newest first.
    Index("jobs_newest", "create_ms", "id"),
    # The next job of a lane.
    _partial("jobs_ready", "pool", "client_id", "priority_rank", "accept_position", where=READY),
    # Whose back-off is over?
    _partial("jobs_delayed", "pool", "not_before_ms", where=DELAYED),
    # Whose lease is over?
    _partial("jobs_leased", "lease_expire_ms", where=LEASED),
    # Whose deadline is over?
    _partial("jobs_live", "deadline_ms", where=LIVE),
    # Which cancels were not heeded?
    _partial("jobs_cancel_asked", "cancel_ms", where=CANCEL_ASKED),
    # Whose time to be asked for is over?
    _partial("jobs_kept_for_a_time", "forget_ms", where=KEPT_FOR_A_TIME),
)

ATTEMPTS: Final = Table(
    "attempts",
    METADATA,
    Column("id", Text, primary_key=True),
    _required("job_id", Text),
    _required("number", SmallInteger),  # Order within the job.
    _required("epoch", BigInteger),
    _required("route", SmallInteger),
    _required("provider", Text),
    _required("repeatable", SmallInteger),
    _required("begin_ms", BigInteger),
    _required("state", SmallInteger),
    _required("upstream_task_id", Text),
    _required("outcome", SmallInteger),
    Column("failure_json", Text),
    _required("provider_cost_fen", BigInteger),
    Column("finish_ms", BigInteger),
    _required("reported_epoch", BigInteger),
    UniqueConstraint("job_id", "number", name="attempts_of_job"),
)

IDEMPOTENCY_KEYS: Final = Table(
    "idempotency_keys",
    METADATA,
    Column("client_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    _required("fingerprint", Text),
    _required("job_id", Text),
    _required("create_ms", BigInteger),
    # Which keys are old enough to forget?
    Index("idempotency_keys_by_age", "create_ms"),
    sqlite_with_rowid=False,
)

# One row a client. Its lock orders the client's events: whoever holds it takes the next position, so positions become
# visible in order and a reader's cursor never passes over one that commits later.
CLIENTS: Final = Table(
    "clients",
    METADATA,
    Column("client_id", Text, primary_key=True),
    _required("last_position", BigInteger),
    _required("in_flight", BigInteger),  # Unfinished jobs.
    _required("quota_day", BigInteger),  # The latest day a job was accepted on,
    _required("quota_jobs", BigInteger),  # and how many on that day.
    sqlite_with_rowid=False,
)

EVENTS: Final = Table(
    "job_events",
    METADATA,
    Column("client_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    _required("job_id", Text),
    _required("sequence", BigInteger),
    _required("kind", Text),
    _required("time_ms", BigInteger),
    _required("standing_json", Text),  # The job right after the event, without what the order says.
    UniqueConstraint("job_id", "sequence", name="job_events_of_job"),
    sqlite_with_rowid=False,
)

# A client's place in a pool's queue; see domain/fairness.py.
LANES: Final = Table(
    "lanes",
    METADATA,
    Column("pool", Text, primary_key=True),
    Column("client_id", Text, primary_key=True),
    _required("pass", BigInteger),
    _required("weight", SmallInteger),
    _required("ready", BigInteger),
    _required("delayed", BigInteger),
    # Who is next?
    _partial("lanes_ready", "pool", "pass", where="ready > 0"),
    # How long is the queue?
    _partial("lanes_waiting", "pool", "ready", "delayed", where="ready + delayed > 0"),
    sqlite_with_rowid=False,
)

POOLS: Final = Table(
    "pools",
    METADATA,
    Column("pool", Text, primary_key=True),
    _required("served_pass", BigInteger),
    sqlite_with_rowid=False,
)

events.tables(METADATA)
