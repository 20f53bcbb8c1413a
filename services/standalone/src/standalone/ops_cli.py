"""`atelier ops`: the local engine's operations, listed, and run on files without any server."""

from pathlib import Path
from typing import Annotated, Any

import typer

SEED_MAX = 2**63 - 1  # What a job's record holds.

ops_app = typer.Typer(help="The local engine's operations, on files.")


@ops_app.callback(invoke_without_command=True)
def ops(context: typer.Context) -> None:
    """List the operations with their inputs and parameters; `ops run` runs one on a file."""
    if context.invoked_subcommand is not None:
        return
    from standalone.ops import describe

    for line in describe():
        typer.echo(line)
    typer.echo("Run one: atelier ops run OPERATION [INPUT …] RESULT --param name=value --seed 1")


@ops_app.command("run")
def ops_run(
    operation: Annotated[str, typer.Argument(help="Its name, as `atelier ops` lists it.")],
    files: Annotated[
        list[Path],
        typer.Argument(
            help="The input pictures, then the result's name; its suffix says the format.", metavar="[INPUT …] RESULT"
        ),
    ],
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="name=value; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=SEED_MAX, help="The same seed gives the same bytes.")] = 0,
) -> None:
    """Run an operation on files: `atelier ops run image.upscale in.png out.png --param scale=2`."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from standalone.ops import OpsFailed, perform

    console = Console(stderr=True)
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            bar = progress.add_task(operation, total=1.0)
            done = perform(operation, files, param or [], seed, lambda share: progress.update(bar, completed=share))
    except OpsFailed as failed:
        typer.echo(f"atelier: {failed}", err=True)
        raise typer.Exit(failed.status) from None
    for each in done.files:
        size = f"{each.width} x {each.height}, " if each.width else ""
        typer.echo(f"{each.path} ({size}{each.size_bytes:,} bytes)")
    for name, text in done.notes.items():
        typer.echo(f"{name}: {text}")
