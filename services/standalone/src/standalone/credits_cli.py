"""`atelier credits`: what clients can spend, and what became of it."""

from typing import Annotated

import typer

from standalone.place import Place
from standalone.shell import DATA_DIR, DataDir, run

credits_app = typer.Typer(help="What clients can spend.", no_args_is_help=True)

Unit = Annotated[str, typer.Argument(help="points, count or fen")]
Reason = Annotated[str, typer.Option(help="Why; kept in the books.")]
Author = Annotated[str, typer.Option(help="Who; kept in the books.")]


@credits_app.command("grant")
def credits_grant(
    client_id: str,
    amount: Annotated[int, typer.Argument(min=1)],
    unit: Unit = "points",
    *,
    expires: Annotated[
        str,
        typer.Option(help="When what is left lapses: a day (its end) or a moment, e.g. 2027-01-31; never when empty."),
    ] = "",
    priority: Annotated[int, typer.Option(min=0, max=100, help="Units of a higher one are spent first.")] = 0,
    grant_id: Annotated[str, typer.Option(help="The same id never grants twice; made up when empty.")] = "",
    note: str = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Add units to a client's wallet."""
    from standalone import credits

    terms = credits.Terms(expires=expires, priority=priority, grant_id=grant_id, note=note)
    run(credits.grant(Place(data_dir), client_id, amount, unit=unit, terms=terms))


@credits_app.command("adjust")
def credits_adjust(
    client_id: str,
    delta: Annotated[int, typer.Argument(help="Added; negative takes away (put -- before it).")],
    unit: Unit = "points",
    *,
    reason: Reason,
    author: Author,
    adjustment_id: Annotated[str, typer.Option(help="The same id never corrects twice; made up when empty.")] = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Correct a client's wallet, never below zero."""
    from standalone import credits

    cause = credits.Cause(id=adjustment_id, reason=reason, author=author)
    run(credits.adjust(Place(data_dir), client_id, delta, unit=unit, cause=cause))


@credits_app.command("refund")
def credits_refund(
    job_id: str,
    amount: Annotated[int, typer.Argument(min=0, help="0 gives back all that the job was charged.")] = 0,
    *,
    reason: Reason,
    author: Author,
    refund_id: Annotated[str, typer.Option(help="The same id never refunds twice; made up when empty.")] = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Give back what a job has spent, as goodwill; never more than it was charged."""
    from standalone import credits

    run(
        credits.refund(Place(data_dir), job_id, amount, cause=credits.Cause(id=refund_id, reason=reason, author=author))
    )


@credits_app.command("balance")
def credits_balance(client_id: str, data_dir: DataDir = DATA_DIR) -> None:
    """Show what a client can spend."""
    from standalone import credits

    run(credits.balance(Place(data_dir), client_id))


@credits_app.command("alert")
def credits_alert(
    client_id: str,
    unit: Annotated[str, typer.Argument(help="points, count or fen")],
    below: Annotated[int, typer.Argument(min=0, help="Less than this is low; 0 takes the alert away.")],
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Be told (log and event `balance_low`) each time a wallet falls below a mark."""
    from standalone import credits

    run(credits.alert(Place(data_dir), client_id, unit=unit, below=below))


@credits_app.command("statement")
def credits_statement(
    client_id: str,
    *,
    by: Annotated[str, typer.Option(help="job, day or posting")] = "posting",
    begin: Annotated[
        str, typer.Option("--from", help="A day or a moment, e.g. 2026-03-01; empty: the beginning.")
    ] = "",
    end: Annotated[str, typer.Option("--to", help="A day (to its end) or a moment; empty: now.")] = "",
    format: Annotated[str, typer.Option(help="table, csv or json")] = "table",
    limit: Annotated[
        int, typer.Option(min=-1, help="At most so many lines; 0: all; -1: 50 in a table, all else.")
    ] = -1,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Show what moved: each posting (newest first), each job or each day (oldest first)."""
    from standalone import statement

    asked = statement.Asked(by=by, begin=begin, end=end, format=format, lines_max=limit if limit >= 0 else None)
    run(statement.show(Place(data_dir), client_id, asked))
