"""`tollbook contracts show` and `diff`: what was agreed, from when, and what a file would change."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Exit
from cli.options import AtOption, instant_of
from cli.output import Format, FormatOption, emit, emit_json, say, text
from cli.words import counted, of_number

if TYPE_CHECKING:
    from datetime import date

    from billing.termsheets import Held

_SHOWN = (text("from"), text("to"), text("state"), text("term", whole=True), text("value"))
_CHANGED = (
    text("account"),
    text("from", spare=1),
    text("term", whole=True),
    text("in_force", "in force"),
    text("in_file", "in the file"),
    text("change"),
)


def show(
    account: Annotated[str, typer.Argument(help="An account; of one that does not pay, the contracts of its payer.")],
    at: AtOption = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """The contracts of an account with their days: cards in order of priority, and all terms. Exit 3 without any."""
    from billing.payers import SubjectMissingError
    from billing.store.queries.accounts import agreed_with
    from billing.termsheets import held, held_record
    from cli.db import reading

    day = instant_of(at).date()
    with reading() as connection:
        found = agreed_with(connection, account)
    if found is None:
        raise SubjectMissingError("is no account", value=account, remedy="see `tollbook accounts list`")
    if found.payer and found.payer != account:
        say(f"Usage of {account} is paid by {found.payer}, whose contracts these are.")
    sheets = held(found.contracts)
    if form is Format.JSON:
        emit_json(
            {
                "account": account,
                "payer": found.payer,
                "currency": found.currency,
                "contracts": [held_record(each, day) for each in sheets],
            }
        )
    else:
        rows = [row for each in sheets for row in _rows(each, day, every=form is Format.CSV)]
        emit(rows, _SHOWN, form, title=f"Contracts of {found.payer or account}, {found.currency}")
    if not sheets:
        say(f"{account} has no contract: `tollbook contracts add FILE` adds one.")
        raise typer.Exit(Exit.NOTHING_TO_DO)


def diff(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Contracts in TOML; - is standard input.")],
    everything: Annotated[bool, typer.Option("--all", help="List what stays as it is too.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """What contracts in a file change against those in force on their first day: new, ended, raised, lowered, changed.

    Cards are compared by their places. Exit code 3: nothing would change.
    """
    from billing.contracts import in_force
    from billing.store.queries.accounts import agreed_with
    from billing.termsheets import changes
    from cli.db import reading
    from cli.parties import contracts_in

    rows: list[dict[str, Any]] = []
    differing = 0
    for contract in contracts_in(files):
        with reading() as connection:
            found = agreed_with(connection, contract.account)
        own = () if found is None or found.payer != contract.account else found.contracts
        before = in_force(own, contract.effective_from)
        terms = changes(before, contract)
        differing += any(each.change != "unchanged" for each in terms)
        if before is None:
            say(f"{contract.account} has no contract on {contract.effective_from}: all of it is new.")
        rows += [
            {
                "account": contract.account,
                "from": str(contract.effective_from),
                "term": each.term,
                "in_force": each.before,
                "in_file": each.after,
                "change": each.change,
            }
            for each in terms
            if everything or each.change != "unchanged"
        ]
    emit(rows, _CHANGED, form, title="Changes of contracts")
    if not differing:
        say("Nothing would change.")
        raise typer.Exit(Exit.NOTHING_TO_DO)
    say(f"{counted(differing, 'contract')} {of_number(differing, 'changes', 'change')} something.")


def _rows(each: "Held", day: "date", *, every: bool) -> list[dict[str, Any]]:
    """The terms of a contract; its days stand beside the first, for programs beside all."""
    from billing.termsheets import last_day, term_sheet

    about = {"from": str(each.contract.effective_from), "to": last_day(each.until), "state": each.state(day)}
    terms = term_sheet(each.contract)
    return [{**(about if every or not place else {}), **term._asdict()} for place, term in enumerate(terms)]
