"""Write the next revision of a service: `python -m kit.db.revise PACKAGE MODULE:METADATA MESSAGE`.

The difference is taken between the tables in code and an empty SQLite file brought to the newest revision, so no
server is needed. Read what was written before committing it: Alembic does not notice renames, CHECK constraints or
triggers.
"""

import importlib
import sys
import tempfile
from pathlib import Path

from sqlalchemy import Connection, MetaData

from kit.db.migrations import configuration, locked, versions_of
from kit.db.urls import parse_url


def revise(package: str, metadata: MetaData, message: str) -> Path:
    """Write `<package>/migrations/versions/<number>_<message>.py` and return its path."""
    versions = versions_of(package)
    versions.mkdir(parents=True, exist_ok=True)
    number = f"{len(list(versions.glob('*.py'))) + 1:04}"

    def write(connection: Connection) -> Path:
        from alembic import command

        config = configuration(versions, connection, metadata)
        command.upgrade(config, "head")
        script = command.revision(config, message, autogenerate=True, rev_id=number, version_path=str(versions))
        assert script is not None
        assert not isinstance(script, list)
        return Path(script.path)

    with tempfile.TemporaryDirectory() as folder:
        path: Path = locked(parse_url(f"sqlite:///{folder}/scratch.db"), write)
        return path


def main(arguments: list[str]) -> int:
    """Run the command line; 2 when the arguments are wrong."""
    if len(arguments) != 3 or ":" not in arguments[1]:
        sys.stderr.write("usage: python -m kit.db.revise PACKAGE MODULE:METADATA MESSAGE\n")
        return 2
    package, place, message = arguments
    module, _, name = place.partition(":")
    path = revise(package, getattr(importlib.import_module(module), name), message)
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
