"""`atelier`: serves the embedded default and is the operator's tool."""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from kit.errors import AppError
from kit.lifecycle import StartFailed
from standalone.place import ROOT, Place, PlaceInUse

T = TypeVar("T")

app = typer.Typer(
    name="atelier", help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)
clients_app = typer.Typer(help="Clients and their credentials.", no_args_is_help=True)
credits_app = typer.Typer(help="What clients can spend.", no_args_is_help=True)
jobs_app = typer.Typer(help="Jobs of all clients.", no_args_is_help=True)
ledger_app = typer.Typer(help="The books.", no_args_is_help=True)
catalog_app = typer.Typer(help="The model catalogue.", no_args_is_help=True)
for name, group in (
    ("clients", clients_app),
    ("credits", credits_app),
    ("jobs", jobs_app),
    ("ledger", ledger_app),
    ("catalog", catalog_app),
):
    app.add_typer(group, name=name)

DEFAULT_BOOTSTRAP = ROOT / "deploy" / "bootstrap.yaml"
TOKEN_LIFE_S = 30 * 24 * 3600  # A token made by hand is for trying things out; partners' own issuers decide for theirs.

DataDir = Annotated[
    Path, typer.Option("--data-dir", envvar="ATELIER_DATA_DIR", help="Databases, files and secrets of the deployment.")
]
DATA_DIR = Path("data")


@app.command()
def up(  # noqa: PLR0917 - each is an option of the command
    data_dir: DataDir = DATA_DIR,
    port: Annotated[
        int, typer.Option(envvar="ATELIER_PORT", min=0, max=65535, help="HTTP; 0 takes a free one.")
    ] = 8081,
    host: Annotated[str, typer.Option(envvar="ATELIER_HOST", help="Where HTTP listens.")] = "127.0.0.1",
    grpc: Annotated[
        str,
        typer.Option(envvar="ATELIER_GRPC_LISTEN", help="host:port of the RPCs for internal services; empty: none."),
    ] = "",
    bootstrap: Annotated[
        Path | None, typer.Option(envvar="ATELIER_BOOTSTRAP", help="The first clients; made once, kept afterwards.")
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(envvar="ATELIER_CATALOG_DIR", help="Folder with the model catalogue.")
    ] = None,
) -> None:
    """Serve everything in one process."""
    from standalone.serve import serve

    chosen = bootstrap or (DEFAULT_BOOTSTRAP if DEFAULT_BOOTSTRAP.exists() else None)
    try:
        serve(
            Place(data_dir),
            host=host,
            port=port,
            bootstrap_file=chosen,
            catalog_dir=catalog,
            grpc_listen=grpc,
        )
    except (PlaceInUse, ValueError) as error:
        _fail(str(error))
    except StartFailed as error:
        _fail(f"{error}: {error.__cause__}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where results are saved.")] = Path("out"),
    url: Annotated[str, typer.Option(help="A running Atelier; empty starts one for the demo.")] = "",
    key: Annotated[str, typer.Option(help="The API key to use.")] = "key-a",
) -> None:
    """Run real jobs through the open contract and save the pictures."""
    from standalone.demo import run

    raise typer.Exit(run(out=out, url=url, key=key))


@app.command()
def token(
    user_id: Annotated[str, typer.Argument(help="The client's user id of the points contract.")],
    data_dir: DataDir = DATA_DIR,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is good for.")] = TOKEN_LIFE_S // 86400,
) -> None:
    """Print one JWT for the points contract, and nothing else."""
    import jwt

    now_s = int(time.time())
    claims = {"sub": user_id, "iat": now_s, "exp": now_s + days * 86400}
    typer.echo(jwt.encode(claims, Place(data_dir).secrets().jwt.get_secret_value(), algorithm="HS256"))


@clients_app.command("list")
def clients_list(data_dir: DataDir = DATA_DIR) -> None:
    """List clients."""
    from standalone import commands

    _run(commands.list_clients(Place(data_dir)))


@clients_app.command("add")
def clients_add(
    client_id: str,
    data_dir: DataDir = DATA_DIR,
    user_id: Annotated[str, typer.Option(help="The points contract's user id.")] = "",
) -> None:
    """Make a client and print its first API key, this once."""
    from standalone import commands

    _run(commands.add_client(Place(data_dir), client_id, user_id=user_id))


@clients_app.command("disable")
def clients_disable(client_id: str, data_dir: DataDir = DATA_DIR) -> None:
    """Refuse a client everywhere within five seconds."""
    from standalone import commands

    _run(commands.set_disabled(Place(data_dir), client_id, disabled=True))


@clients_app.command("enable")
def clients_enable(client_id: str, data_dir: DataDir = DATA_DIR) -> None:
    """Let a disabled client in again."""
    from standalone import commands

    _run(commands.set_disabled(Place(data_dir), client_id, disabled=False))


@credits_app.command("grant")
def credits_grant(
    client_id: str,
    amount: Annotated[int, typer.Argument(min=1)],
    unit: Annotated[str, typer.Argument(help="points, count or fen")] = "points",
    *,
    grant_id: Annotated[str, typer.Option(help="The same id never grants twice; made up when empty.")] = "",
    note: str = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Add units to a client's wallet."""
    from standalone import commands

    _run(commands.grant(Place(data_dir), client_id, amount, unit=unit, grant_id=grant_id, note=note))


@credits_app.command("balance")
def credits_balance(client_id: str, data_dir: DataDir = DATA_DIR) -> None:
    """Show what a client can spend."""
    from standalone import commands

    _run(commands.balance(Place(data_dir), client_id))


@credits_app.command("statement")
def credits_statement(client_id: str, data_dir: DataDir = DATA_DIR, limit: int = 50) -> None:
    """Show a client's newest postings."""
    from standalone import commands

    _run(commands.statement(Place(data_dir), client_id, limit=limit))


@jobs_app.command("list")
def jobs_list(data_dir: DataDir = DATA_DIR, client: str = "", state: str = "", limit: int = 20) -> None:
    """List the newest jobs."""
    from standalone import commands

    _run(commands.list_jobs(Place(data_dir), client_id=client, state=state, limit=limit))


@jobs_app.command("show")
def jobs_show(job_id: str, data_dir: DataDir = DATA_DIR) -> None:
    """Show one job with its attempts."""
    from standalone import commands

    _run(commands.show_job(Place(data_dir), job_id))


@ledger_app.command("verify")
def ledger_verify(data_dir: DataDir = DATA_DIR) -> None:
    """Prove the books: exit 0 only when every rule holds, else 1 with the offending rows."""
    from standalone import commands

    if not _run(commands.verify_ledger(Place(data_dir))):
        raise typer.Exit(1)


@catalog_app.command("check")
def catalog_check(
    folder: Annotated[Path, typer.Argument(help="Folder with the catalogue's YAML files.")] = ROOT
    / "deploy"
    / "catalog",
) -> None:
    """Check catalogue files and name every fault."""
    from catalog import CatalogInvalid, load

    try:
        catalog = load(folder)
    except CatalogInvalid as error:
        for fault in error.faults:
            typer.echo(fault, err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{len(catalog.models)} models, version {catalog.version}")


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command; refusals become one line and exit status 1. Logs go nowhere: the output is the answer."""
    from kit.logging import configure

    configure("atelier", level="error", format="console")
    try:
        return asyncio.run(work)
    except (AppError, ValueError) as error:
        _fail(error.message if isinstance(error, AppError) else str(error))


def _fail(message: str) -> NoReturn:
    typer.echo(f"atelier: {message}", err=True)
    raise typer.Exit(1)


def main() -> None:
    """Entry point of the `atelier` command."""
    app()
