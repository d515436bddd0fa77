"""The files of the demo: its cards, accounts and contracts as they lie in the program, and usage that is made up."""

from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.output import say

if TYPE_CHECKING:
    from billing.accounts import Account
    from billing.periods import Period
    from cli.demo.traffic import Clientele
    from rates.cards import Card

CARDS = ("contact-center.toml", "list-usd.toml", "list-eur.toml")
EUROS_IN_20 = 1
IDLE = "museum"


def clienteles_of(accounts: "Sequence[Account]", cards: "Sequence[Card]", events: int) -> "Mapping[int, Clientele]":
    """Who uses how many of a month's events; `cards` are those of CARDS."""
    from cli.demo.traffic import DOLLARS, EUROS, Clientele

    euros = [account.id for account in accounts if account.currency == "EUR"]
    dollars = [account.id for account in accounts if account.id not in {*euros, IDLE}]
    in_euros = events * EUROS_IN_20 // 20
    return {
        events - in_euros: Clientele(accounts=dollars, card=cards[1], mix=DOLLARS),
        in_euros: Clientele(accounts=euros, card=cards[2], mix=EUROS),
    }


def write_files(folder: Path, months: "Sequence[Period]", events: int) -> None:
    """Write cards, accounts, contracts, and so many events of each month, to a folder that has none of them yet."""
    from cli.cardfiles import card_of
    from cli.demo.traffic import write_month
    from cli.parties import accounts_in

    if folder.exists() and any(folder.iterdir()):
        raise typer.BadParameter(f"--write: {folder} is not empty; name a new folder")
    with as_file(files("cli.demo")) as ours:
        for source in (*sorted((ours / "cards").iterdir()), ours / "accounts.toml", ours / "contracts.toml"):
            target = folder / source.relative_to(ours)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    accounts = accounts_in([folder / "accounts.toml"])
    cards = [card_of(folder / "cards" / name) for name in CARDS]
    for month in months:
        lines = write_month(folder / f"{month}.ndjson", clienteles_of(accounts, cards, events), month)
        say(f"{folder / f'{month}.ndjson'}: {lines:,} lines of usage")
