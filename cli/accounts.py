"""`tollbook accounts` and `tollbook contracts`: who pays, and which cards rate whom."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import contractreports, simulations
from cli.options import DryRunOption, ForceOption, NameOption, ReasonOption, forced_by
from cli.output import Format, FormatOption, emit, say, text
from cli.words import counted, of_number

if TYPE_CHECKING:
    from billing.flows.publish import Changed
    from billing.flows.release import Released

app = typer.Typer(no_args_is_help=True, help="Accounts: who uses, and who pays.")
contracts = typer.Typer(no_args_is_help=True, help="Contracts: which cards rate an account, and from when.")

contracts.command("show")(contractreports.show)
contracts.command("diff")(contractreports.diff)
contracts.command("simulate")(simulations.simulate_contracts)

_Files = Annotated[list[Path], typer.Argument(help="TOML files; - is standard input.", allow_dash=True)]

_ACCOUNTS = (
    text("id", "account"),
    text("name"),
    text("parent"),
    text("payer", "paid by"),
    text("currency"),
    text("suspended", spare=1),
)
_CONTRACTS = (text("account"), text("effective_from", "from"), text("cards"), text("terms", spare=1))


@app.command("add")
def add_accounts(files: _Files, dry_run: DryRunOption = False, form: FormatOption = Format.TABLE) -> None:
    """Add accounts, or change what is said about them, and let out of the quarantine what waited for them.

    The same again changes nothing.
    """
    from billing.flows import publish
    from cli.db import writing
    from cli.parties import accounts_in, told_where
    from cli.released import let_out
    from cli.world import actor, now, products

    found = accounts_in(files)
    with told_where(found.places), writing() as engine:
        rehearse_with = products() if dry_run else None
        changed = publish.add_accounts(engine, found, at=now(), actor=actor(), rehearse_with=rehearse_with)
        released = let_out(engine, changed)
    _report(changed, released, form, "account", len(dict.fromkeys(found)), dry_run=dry_run)


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
def add_contracts(
    files: _Files,
    force: ForceOption = False,
    reason: ReasonOption = "",
    name: NameOption = "",
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Add contracts, and let out of the quarantine what waited for them. The same again changes nothing.

    A contract is never edited, the next one follows it. One from the past that charges otherwise what was rated is
    refused unless it is forced, and in any case where an invoice is final: months are billed by the contracts they had.
    """
    why, who = forced_by(reason, name, force=force)
    from billing.flows import publish
    from cli.db import compiled_cards, writing
    from cli.parties import contracts_in, told_where
    from cli.released import let_out
    from cli.world import now, products

    found = contracts_in(files)
    with told_where(found.places), writing() as engine:
        kept = compiled_cards()
        changed = publish.add_contracts(
            engine, found, products(), at=now(), actor=who, kept=kept, dry_run=dry_run, reason=why
        )
        released = let_out(engine, changed)
    _report(changed, released, form, "contract", len(dict.fromkeys(found)), dry_run=dry_run)


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


def _report(changed: "Changed", released: "Released", form: Format, noun: str, given: int, *, dry_run: bool) -> None:
    """Say what was new, what says something else now, and what was known already, of so many that were given."""
    from cli.released import tell

    known = given - changed.added - changed.altered
    would = "would be " if dry_run else ""
    parts = ((changed.added, f"{would}added"), (changed.altered, f"{would}changed"))
    words = ", ".join(f"{counted(count, noun)} {what}" for count, what in parts if count)
    if not words:
        words = f"{counted(given, noun)}: nothing has changed"
    elif known:
        words += f"; {known:,} {of_number(known, 'was', 'were')} known already"
    facts = {f"{noun}s": given, "added": changed.added, "changed": changed.altered, "unchanged": known}
    tell(changed, released, form, words=f"{words}.", facts=facts, dry_run=dry_run)
