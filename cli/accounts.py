"""`tollbook accounts` and `tollbook contracts`: who pays, and which cards rate whom."""

from pathlib import Path
from typing import Annotated

import typer

from cli.exits import Exit
from cli.options import DryRunOption
from cli.output import Format, FormatOption, emit, say, text

app = typer.Typer(no_args_is_help=True, help="Accounts: who uses, and who pays.")
contracts = typer.Typer(no_args_is_help=True, help="Contracts: which cards rate an account, and from when.")

_Files = Annotated[list[Path], typer.Argument(help="TOML files; - is standard input.", allow_dash=True)]

_ACCOUNTS = (text("id", "account"), text("name"), text("parent"), text("payer", "paid by"), text("currency"))
_CONTRACTS = (text("account"), text("effective_from", "from"), text("cards"))


@app.command("add")
def add_accounts(files: _Files, dry_run: DryRunOption = False) -> None:
    """Add accounts, or change what is said about them. The same again changes nothing."""
    from billing.flows import publish
    from cli.db import writing
    from cli.parties import accounts_in
    from cli.world import actor, now

    found = accounts_in(files)
    if dry_run:
        say(f"{len(found)} accounts would be added.")
        return
    with writing() as engine:
        status = publish.add_accounts(engine, found, at=now(), actor=actor())
    _report(status, f"{len(found)} accounts")


@app.command("list")
def list_accounts(form: FormatOption = Format.TABLE) -> None:
    """All accounts, and who pays for each."""
    from billing.store.queries.accounts import listed_accounts
    from cli.db import reading

    with reading() as connection:
        rows = [listed._asdict() for listed in listed_accounts(connection)]
    emit(rows, _ACCOUNTS, form, title="Accounts")
    if not rows:
        say("There is no account; `tollbook accounts add FILE` adds some.")


@contracts.command("add")
def add_contracts(files: _Files, dry_run: DryRunOption = False) -> None:
    """Add contracts. The same again changes nothing; a contract is never edited, the next one follows it."""
    from billing.flows import publish
    from cli.db import writing
    from cli.parties import contracts_in
    from cli.world import actor, now

    found = contracts_in(files)
    if dry_run:
        say(f"{len(found)} contracts would be added.")
        return
    with writing() as engine:
        status = publish.add_contracts(engine, found, at=now(), actor=actor())
    _report(status, f"{len(found)} contracts")


@contracts.command("list")
def list_contracts(form: FormatOption = Format.TABLE) -> None:
    """All contracts, of each account in the order of their days."""
    from billing.store.queries.accounts import listed_contracts
    from cli.db import reading

    with reading() as connection:
        rows = [listed._asdict() for listed in listed_contracts(connection)]
    emit(rows, _CONTRACTS, form, title="Contracts")
    if not rows:
        say("There is no contract; `tollbook contracts add FILE` adds some.")


def _report(status: str, what: str) -> None:
    if status == "unchanged":
        say(f"{what}: nothing has changed.")
        raise typer.Exit(Exit.NOTHING_TO_DO)
    say(f"{what}: done.")
