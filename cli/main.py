"""The program `tollbook`: its commands, and what becomes of their errors. The composition root of the command line."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from typer.core import TyperGroup

from cli import (
    accounts,
    cards,
    charges,
    close,
    db,
    doctor,
    explain,
    guards,
    invoices,
    keys,
    prices,
    products,
    rate,
    rerate,
    scenarios,
    serve,
    statement,
    triggers,
    usage,
    verify,
    webhooks,
    work,
)
from cli.demo import command as demo
from cli.exits import Exit, exit_of, words_of
from cli.metavars import name_values
from cli.output import printable, say
from cli.pipes import watched
from cli.zones import pin_time_zones

_ORDER = (
    *(
        "products",
        "cards",
        "accounts",
        "contracts",
        "usage",
        "charges",
        "rerate",
        "prices",
        "triggers",
        "guards",
        "authorize",
        "statement",
        "invoices",
        "close",
        "explain",
        "verify",
        "webhooks",
    ),
    *("rate", "scenarios", "demo", "doctor", "serve", "work", "keys", "db", "migrate"),
)
"""The commands as `--help` lists them: as the work goes. Others come last."""

BILLING, BOOKS, CHECKS, MACHINE = "Billing", "Books", "Checks, without a database", "The machine"


class _InOrder(TyperGroup):
    """The commands in their order; Typer would list groups behind all others."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # a Context of Typer's own
        """The names of the commands."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


app = typer.Typer(
    name="tollbook",
    cls=_InOrder,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Bills communications platforms for what their customers used: usage in, exact and explained invoices out.",
    epilog="Exit codes: 0 done, 1 error, 2 wrong call, 3 nothing to do, 4 done but something needs a person,"
    " 5 bad input, 6 a service failed and running it again is safe, 7 locked, 141 the reader of the output left.",
)
app.add_typer(products.app, name="products", rich_help_panel=BOOKS)
app.add_typer(cards.app, name="cards", rich_help_panel=BOOKS)
app.add_typer(accounts.app, name="accounts", rich_help_panel=BOOKS)
app.add_typer(accounts.contracts, name="contracts", rich_help_panel=BOOKS)
app.add_typer(usage.app, name="usage", rich_help_panel=BILLING)
app.add_typer(charges.app, name="charges", rich_help_panel=BILLING)
app.add_typer(invoices.app, name="invoices", rich_help_panel=BILLING)
app.command(rich_help_panel=BILLING)(rerate.rerate)
app.add_typer(prices.app, name="prices", rich_help_panel=BILLING)
app.add_typer(triggers.app, name="triggers", rich_help_panel=BILLING)
app.add_typer(guards.app, name="guards", rich_help_panel=BILLING)
app.command(rich_help_panel=BILLING)(guards.authorize)
app.command(rich_help_panel=BILLING)(statement.statement)
app.command(rich_help_panel=BILLING)(close.close)
app.add_typer(explain.app, name="explain", rich_help_panel=BILLING)
app.command(rich_help_panel=BILLING)(verify.verify)
app.add_typer(webhooks.app, name="webhooks", rich_help_panel=BILLING)
app.command(rich_help_panel=CHECKS)(rate.rate)
app.add_typer(scenarios.app, name="scenarios", rich_help_panel=CHECKS)
app.command(rich_help_panel=MACHINE)(serve.serve)
app.command(rich_help_panel=MACHINE)(work.work)
app.add_typer(keys.app, name="keys", rich_help_panel=MACHINE)
app.add_typer(db.app, name="db", rich_help_panel=MACHINE)
app.command(rich_help_panel=MACHINE)(db.migrate)
app.command(rich_help_panel=MACHINE)(demo.demo)
app.command(rich_help_panel=MACHINE)(doctor.doctor)


@app.callback(invoke_without_command=True)
def root(
    *,
    version: bool = typer.Option(False, "--version", help="Show the version and exit.", is_eager=True),
) -> None:
    """Bills communications platforms for what their customers used: usage in, exact and explained invoices out."""
    if version:
        from importlib.metadata import version as version_of

        sys.stdout.write(f"tollbook {version_of('tollbook')}\n")
        raise typer.Exit


def run() -> None:
    """The entry of the installed command."""
    # A stream that the shell closed (`>&-`) is None here; what is said to nobody goes nowhere.
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        sys.stdout, sys.stderr = watched(sys.stdout) or nowhere, watched(sys.stderr) or nowhere
        sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code. An expected error is a line on stderr, never a traceback."""
    pin_time_zones()
    try:
        try:
            command = typer.main.get_command(app)
            name_values(typer.Context(command), arguments)
            command(list(arguments), prog_name="tollbook")
        finally:
            sys.stdout.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.ERROR
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception as error:  # noqa: BLE001 (the edge of the program)
        return _report(error)
    return Exit.OK


def _report(error: Exception) -> int:
    code = exit_of(error)
    if code is None:
        import traceback

        traceback.print_exception(error)
        say("tollbook: this is a defect; please report it with the lines above")
        return Exit.ERROR
    for line in words_of(error):
        say(f"tollbook: {printable(line)}")
    return code
