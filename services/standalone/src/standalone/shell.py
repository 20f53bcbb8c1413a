"""What every command of `atelier` needs: the data folder, running to the end, failing in one line."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from kit.errors import AppError

T = TypeVar("T")

DataDir = Annotated[
    Path, typer.Option("--data-dir", envvar="ATELIER_DATA_DIR", help="Databases, files and secrets of the deployment.")
]
DATA_DIR = Path("data")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command; refusals become one line and exit status 1. Logs go nowhere: the output is the answer."""
    from kit.logging import configure

    configure("atelier", level="error", format="console")
    try:
        return asyncio.run(work)
    except (AppError, ValueError) as error:
        fail(error.message if isinstance(error, AppError) else str(error))


def fail(message: str) -> NoReturn:
    """Say why in one line and end with status 1."""
    typer.echo(f"atelier: {message}", err=True)
    raise typer.Exit(1)
