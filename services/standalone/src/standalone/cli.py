"""`atelier`: serves the embedded default and is the operator's tool."""

import time
from pathlib import Path
from typing import Annotated

import typer

from kit.lifecycle import StartFailed
from standalone.credits_cli import credits_app
from standalone.ops_cli import ops_app
from standalone.place import ROOT, Place, PlaceInUse
from standalone.shell import DATA_DIR, DataDir, fail, run

app = typer.Typer(
    name="atelier", help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)
clients_app = typer.Typer(help="Clients and their credentials.", no_args_is_help=True)
jobs_app = typer.Typer(help="Jobs of all clients.", no_args_is_help=True)
ledger_app = typer.Typer(help="The books.", no_args_is_help=True)
catalog_app = typer.Typer(help="The model catalogue.", no_args_is_help=True)
for name, group in (
    ("clients", clients_app),
    ("credits", credits_app),
    ("jobs", jobs_app),
    ("ledger", ledger_app),
    ("catalog", catalog_app),
    ("ops", ops_app),
):
    app.add_typer(group, name=name)

DEFAULT_BOOTSTRAP = ROOT / "deploy" / "bootstrap.yaml"
TOKEN_LIFE_S = 30 * 24 * 3600  # A token made by hand is for trying things out; partners' own issuers decide for theirs.


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
        fail(str(error))
    except StartFailed as error:
        fail(f"{error}: {error.__cause__}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where results are saved.")] = Path("out"),
    url: Annotated[str, typer.Option(help="A running Atelier; empty starts one for the demo.")] = "",
    key: Annotated[str, typer.Option(help="The API key to use.")] = "key-a",
) -> None:
    """Run real jobs through the open contract and save the pictures."""
    from standalone.demo import run as run_demo

    raise typer.Exit(run_demo(out=out, url=url, key=key))


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

    run(commands.list_clients(Place(data_dir)))


@clients_app.command("add")
def clients_add(
    client_id: str,
    data_dir: DataDir = DATA_DIR,
    user_id: Annotated[str, typer.Option(help="The points contract's user id.")] = "",
) -> None:
    """Make a client and print its first API key, this once."""
    from standalone import commands

    run(commands.add_client(Place(data_dir), client_id, user_id=user_id))


@clients_app.command("disable")
def clients_disable(client_id: str, data_dir: DataDir = DATA_DIR) -> None:
    """Refuse a client everywhere within five seconds."""
    from standalone import commands

    run(commands.set_disabled(Place(data_dir), client_id, disabled=True))


@clients_app.command("enable")
def clients_enable(client_id: str, data_dir: DataDir = DATA_DIR) -> None:
    """Let a disabled client in again."""
    from standalone import commands

    run(commands.set_disabled(Place(data_dir), client_id, disabled=False))


@app.command()
def providers(
    target: Annotated[
        str,
        typer.Option(
            envvar="ATELIER_PROVIDERS_TARGET",
            help="host:port of a provider adapter's RPCs; for the embedded default, that of `atelier up --grpc`.",
        ),
    ] = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """List providers: whether calls go through to them, and how many tasks are under way."""
    from standalone.providers import list_providers

    if not target:
        fail("--target (ATELIER_PROVIDERS_TARGET) must say where: start `atelier up --grpc 127.0.0.1:9090` for one")
    run(list_providers(Place(data_dir), target))


@jobs_app.command("list")
def jobs_list(data_dir: DataDir = DATA_DIR, client: str = "", state: str = "", limit: int = 20) -> None:
    """List the newest jobs."""
    from standalone import commands

    run(commands.list_jobs(Place(data_dir), client_id=client, state=state, limit=limit))


@jobs_app.command("show")
def jobs_show(job_id: str, data_dir: DataDir = DATA_DIR) -> None:
    """Show one job with its attempts."""
    from standalone import commands

    run(commands.show_job(Place(data_dir), job_id))


@jobs_app.command("resolve")
def jobs_resolve(
    attempt_id: str,
    data_dir: DataDir = DATA_DIR,
    task: Annotated[str, typer.Option(help="The provider has it under this task id: resume it.")] = "",
    *,
    unsent: Annotated[bool, typer.Option("--unsent", help="The provider never got it: try again.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="It will never bring anything: the job fails.")] = False,
) -> None:
    """Settle an attempt whose outcome is unknown, as found out at the provider. `jobs show` lists attempts."""
    from standalone import commands

    if [bool(task), unsent, failed].count(True) != 1:
        fail("exactly one of --task, --unsent and --failed")
    outcome = "UNSENT" if unsent else "FAILED" if failed else "UNSPECIFIED"
    run(commands.resolve_attempt(Place(data_dir), attempt_id, outcome=outcome, upstream_task_id=task))


@ledger_app.command("verify")
def ledger_verify(
    data_dir: DataDir = DATA_DIR,
    *,
    books_only: Annotated[bool, typer.Option("--books-only", help="Leave the finished jobs out.")] = False,
) -> None:
    """Prove the books, and that every finished job is settled for what it says it was charged.

    Exit 0 only when every rule holds, else 1 with the offending rows.
    """
    from standalone import commands

    if not run(commands.verify_ledger(Place(data_dir), books_only=books_only)):
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


def main() -> None:
    """Entry point of the `atelier` command."""
    app()
