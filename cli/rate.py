"""`tollbook rate`: price a file of usage with files of cards. Nothing is stored, no database is needed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Exit
from cli.output import LINES, Format, FormatOption, emit_json, emit_lines, say, show, table, text
from cli.words import counted, of_number

if TYPE_CHECKING:
    from billing.accounts import Account
    from billing.bills import Bills
    from billing.contracts import Contract
    from billing.periods import Period
    from rates.cards import Card


def rate(
    card: Annotated[list[Path], typer.Option("--card", help="A card's TOML file, in order of priority.")],
    usage: Annotated[Path, typer.Option(help="NDJSON or a JSON array, also gzipped; - is standard input.")],
    period: Annotated[str, typer.Option(help="A month, as in 2026-10.")],
    more: Annotated[list[Path] | None, typer.Argument(metavar="CARD", help="Further cards after the first.")] = None,
    contract: Annotated[
        list[Path] | None, typer.Option(help="Contracts; without them everyone has all the cards.")
    ] = None,
    accounts: Annotated[
        list[Path] | None, typer.Option(help="Accounts; without them each one named pays for itself.")
    ] = None,
    charges: Annotated[
        list[Path] | None, typer.Option(help="Charges; what is due of them in the period is rated with the usage.")
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Rate usage from a file with cards from files: the bills of a period, and what could not be priced."""
    from billing.bills import Arrangement, bill
    from billing.periods import Period
    from billing.records import bills_record
    from cli.parties import told_where
    from cli.payloads import payloads_in
    from cli.world import products, states

    month = Period.parse(period)
    places: dict[str, str] = {}
    contracts = _contracts(contract, places) if contract else None
    deal = Arrangement(
        cards=[_card(path, places) for path in (*card, *(more or ()))],
        products=products(),
        accounts=_accounts(accounts, places, contracts or {}) if accounts else None,
        contracts=contracts,
        states=states(),
    )
    payloads = [*payloads_in(usage), *_dues(charges or [], deal.accounts or {}, month)]
    with told_where(places):
        bills = bill(payloads, deal, month)
    found: dict[str, Any] = bills_record(bills)
    if form is Format.TABLE:
        _show(found)
    elif form is Format.CSV:
        about = ("account", "currency")
        lines = [
            {"period": found["period"], **{key: each[key] for key in about}, **line}
            for each in found["accounts"]
            for line in each["lines"]
        ]
        emit_lines(lines, text("account"), text("period"), text("currency"))
    else:
        emit_json(found)
    _report(bills)
    if not _has_usage(bills):
        say(f"There is no usage{f' of {month}' if payloads else ''} in {usage}: nothing to do.")
        raise typer.Exit(Exit.NOTHING_TO_DO)


def _card(path: Path, places: dict[str, str]) -> "Card":
    from cli.cardfiles import card_of

    card = card_of(path)
    places[f"card {card.version}"] = str(path)
    return card


def _accounts(
    paths: list[Path], places: dict[str, str], contracts: "Mapping[str, Sequence[Contract]]"
) -> "dict[str, Account]":
    from billing.accounts import check_tree
    from billing.errors import InputFaultyError
    from billing.reselling import resellers
    from cli.parties import accounts_in, told_where

    found = accounts_in(paths)
    places |= found.places
    accounts: dict[str, Account] = {account.id: account for account in found}
    if faults := check_tree(accounts, resellers(contracts)):
        with told_where(places):
            raise InputFaultyError(faults, place="accounts")
    return accounts


def _contracts(paths: list[Path], places: dict[str, str]) -> "dict[str, list[Contract]]":
    from cli.parties import contracts_in

    found = contracts_in(paths)
    places |= found.places
    contracts: dict[str, list[Contract]] = {}
    for contract in found:
        contracts.setdefault(contract.account, []).append(contract)
    return contracts


def _dues(paths: list[Path], accounts: "Mapping[str, Account]", period: "Period") -> list[bytes]:
    """The usage events of a period, and of the month before, of which support plans are, that some charges become."""
    from billing.charges import events_of, twice
    from billing.errors import InputFaultyError
    from cli.parties import charges_in

    charges = charges_in(paths) if paths else []
    if faults := twice(charges):
        raise InputFaultyError(faults, place="charges")
    return [each for month in (period.before(), period) for each in events_of(charges, accounts, month)]


def _show(found: Mapping[str, Any]) -> None:
    for account in found["accounts"]:
        total = {"destination": "total", "amount": account["total"]}
        title = f"{account['account']}, {found['period']}, {account['currency']}"
        show(table(account["lines"], LINES[1:], title=title, total=total))


def _has_usage(bills: "Bills") -> bool:
    """Whether any usage is of the period: priced, waiting, or at zero."""
    lines = any(each.lines for each in bills.bills)
    return bool(lines or bills.quarantined or bills.zero_rated)


def _report(bills: "Bills") -> None:
    """Say what is on no line, and end with the exit code that it asks for."""
    for each in bills.rejects:
        say(f"event {each.row + 1} {each.pointer}: {each.reason}; it is left out")
    for row in bills.conflicts:
        say(f"event {row + 1}: was reported before with other content; the first report stands")
    if bills.superseded:
        lower = len(bills.superseded)
        say(f"{counted(lower, 'event')} {of_number(lower, 'has', 'have')} a higher revision, which counts instead")
    for reason, count in sorted(Counter(each.reason for each in bills.quarantined).items()):
        say(f"{counted(count, 'event')} {of_number(count, 'is', 'are')} not priced: {reason}")
    for reason, count in sorted(Counter(each.reason for each in bills.zero_rated).items()):
        say(f"{counted(count, 'event')} {of_number(count, 'costs', 'cost')} nothing: {reason}")
    if bills.duplicates:
        twice = len(bills.duplicates)
        stand = of_number(twice, "stands there twice, and counts", "stand there twice, and count")
        say(f"{counted(twice, 'event')} {stand} once")
    if bills.rejects:
        raise typer.Exit(Exit.BAD_INPUT)
    if bills.quarantined or bills.conflicts:
        raise typer.Exit(Exit.NEEDS_A_PERSON)
