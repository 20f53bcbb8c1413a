"""The Alembic environment of every service: it runs on the connection that `kit.db.migrations` hands over.

That connection is inside a transaction which also holds the lock, so a migration is applied whole or not at all.
"""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes.get("metadata"),
    render_as_batch=True,  # SQLite cannot ALTER much; batches rebuild the table there and ALTER it on Postgres.
    compare_type=True,
    transactional_ddl=True,  # True on both databases, because the driver's implicit commits are switched off.
)
context.run_migrations()
