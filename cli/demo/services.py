"""A customer of the demo who uses every product: one card, one contract, and each product's example of its page."""

from datetime import datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing.periods import Period
    from cli.db import Engine

ALL_SERVICES = "all-services"
_FOLDER = "every_product"


def add_services(engine: "Engine", usage: Path, at: datetime) -> int:
    """Publish the card and the contract, append the usage to a file of usage, and give the number of its events."""
    from billing.flows import publish
    from cli.cardfiles import card_of
    from cli.parties import accounts_in, contracts_in
    from cli.world import actor, products

    with as_file(files("cli.demo") / _FOLDER) as folder:
        publish.publish(engine, card_of(folder / "card.toml"), products(), at=at, actor=actor())
        publish.add_accounts(engine, accounts_in([folder / "accounts.toml"]), at=at, actor=actor())
        contracts = contracts_in([folder / "contracts.toml"])
        publish.add_contracts(engine, contracts, products(), at=at, actor=actor())
        lines = (folder / "usage.ndjson").read_text(encoding="utf-8")
    with usage.open("a", encoding="utf-8") as file:
        file.write(lines)
    return lines.count("\n")


def post_charges_of_services(engine: "Engine", month: "Period", at: datetime) -> int:
    """Add the customer's charges, post what is due of them in a month, and give how many times that is."""
    from billing.flows.charge import add_charges
    from billing.flows.post import post_charges, until_end
    from cli.parties import charges_in
    from cli.world import actor, products

    with as_file(files("cli.demo") / _FOLDER) as folder:
        add_charges(engine, charges_in([folder / "charges.toml"]), at=at, actor=actor())
    return sum(post_charges(engine, products(), at=at, until=until_end(month, at)).values())


def explain_all(engine: "Engine", month: "Period") -> tuple[int, int]:
    """How many lines the customer's invoice has, and of how many products; each of them is followed to its events.

    Raises AssertionError for a line that its events do not add up to.
    """
    from billing.flows.explain import explain_line
    from billing.store.queries.invoices import read_invoices
    from cli.db import reading_from
    from cli.world import products

    with reading_from(engine) as connection:
        (invoice,) = read_invoices(connection, month, final=True, account=ALL_SERVICES)
    for number, line in enumerate(invoice.lines, start=1):
        if not explain_line(engine, products(), month, ALL_SERVICES, number, size=1).adds_up:
            raise AssertionError(f"line {number}, {line.product}, does not add up from its events")
    return len(invoice.lines), len({line.product for line in invoice.lines})
