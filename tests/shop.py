"""A small billing shop for tests: a migrated database, a card, accounts that pay, and usage to post."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import numpy as np

from billing.accounts import Account, AccountId
from billing.contracts import Contract
from billing.flows.ingest import Intake
from billing.flows.publish import Published, add_accounts, add_contracts, publish
from billing.periods import Period
from billing.receipts import Receipt
from billing.store.engine import Engine, snapshot, transaction
from billing.store.totals import read_totals
from rates.cardfile import read_card
from rates.cards import Card
from rates.products import Product, by_id, read_product
from rates.usage import TOTALS

CATALOGUE = Path(__file__).resolve().parents[1] / "rates" / "catalogue"
AT = datetime(2026, 10, 15, 12, tzinfo=UTC)
OCTOBER = Period.parse("2026-10")
SOURCE = "voice-eu-1"

Row = tuple[int, ...]


@cache
def products() -> dict[str, Product]:
    """The built-in products."""
    read = [read_product(tomllib.loads(path.read_text()), path.name) for path in sorted(CATALOGUE.glob("*.toml"))]
    return by_id([product for product, _ in read if product is not None])


def read(toml: str, rates: str = "") -> Card:
    """The card of a TOML text, and of the rows that it calls rates.csv."""
    found, faults = read_card(toml, {"rates.csv": rates.encode()}, products())
    assert found is not None, faults
    return found


def tiered(*rows: tuple[str, str], id_: str = "list") -> Card:
    """A card of rows of a prefix and two prices: the first is for the month's first minute to all of them together."""
    head = f"""
        id = "{id_}"
        currency = "USD"
        effective_from = 2026-10-01T00:00:00Z
        rates = "rates.csv"
        [tiers.all]
        up_to = ["1"]
        unit = "minute"
        fill = [{{product = "voice.outbound"}}]
    """
    lines = [f"voice.outbound,{prefix},minute,1/1,all,{prices}" for prefix, prices in rows]
    return read(head, "\n".join(["product,prefixes,unit,increments,tiers,prices", *lines, ""]))


def card(rates: str = "voice.outbound,44,minute,60/60,0.02", *, since: str = "2026-10-01", id_: str = "list") -> Card:
    """A card in USD of lines of product, prefixes, unit, increments, price and, if given, setup fee."""
    head = f'id = "{id_}"\ncurrency = "USD"\neffective_from = {since}T00:00:00Z\nrates = "rates.csv"\n'
    columns = ["product", "prefixes", "unit", "increments", "price", "setup_fee"]
    header = ",".join(columns[: rates.partition("\n")[0].count(",") + 1])
    return read(head, f"{header}\n{rates}\n")


def account(id_: str, **facts: object) -> Account:
    """An account that pays in USD, unless `facts` say otherwise."""
    return Account(id=AccountId(id_), **({"currency": "USD"} | facts))  # type: ignore[arg-type]


def call(number: int, **changes: object) -> dict[str, object]:
    """A call of 61 seconds to Britain; `changes` replace fields, and None leaves one out."""
    event: dict[str, object] = {
        "id": f"call-{number}",
        "account": "acme",
        "product": "voice.outbound",
        "occurred_at": "2026-10-02T10:11:12Z",
        "to": "+447700900123",
        "duration_seconds": "61",
        "status": "completed",
    }
    return {key: value for key, value in (event | changes).items() if value is not None}


def payloads(events: Sequence[Mapping[str, object]]) -> list[bytes]:
    """Events as they come over the wire."""
    return [json.dumps(event).encode() for event in events]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A database with a way to do the ordinary things to it."""

    engine: Engine

    def publish(self, of: Card | None = None, at: datetime = AT) -> Published:
        """Publish a card."""
        return publish(self.engine, of or card(), products(), at=at, actor="finance")

    def admit(self, *names: str, cards: tuple[str, ...] = ("list",), since: date = date(2026, 10, 1)) -> None:
        """Add accounts that pay, each with a contract."""
        add_accounts(self.engine, [account(name) for name in names], at=AT, actor="finance")
        contracts = [Contract(account=name, effective_from=since, cards=cards) for name in names]
        add_contracts(self.engine, contracts, products(), at=AT, actor="finance")

    def post(self, *events: Mapping[str, object], at: datetime = AT) -> Receipt:
        """Take events in as one chunk."""
        intake = Intake(engine=self.engine, products=products(), source=SOURCE)
        return intake.ingest(payloads(events), at)

    def forget(self) -> None:
        """Take all usage away, also what is never changed."""
        kept = ("event_revisions", "event_revision_elements")
        tables = "event_identity, events, event_elements, quarantine, unfolded, usage_totals, touched_months"
        with transaction(self.engine) as connection:
            for table in kept:
                connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_stay".encode())
            connection.execute(f"TRUNCATE {tables}, {', '.join(kept)}".encode())
            for table in kept:
                connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_stay".encode())

    def totals(self, period: Period = OCTOBER) -> list[Row]:
        """The totals of a period: payer, account, price, country, day, events, quantity."""
        with snapshot(self.engine) as connection:
            totals = read_totals(connection, period)
        return list(zip(*(getattr(totals, name).tolist() for name in TOTALS), strict=True))

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What a query finds."""
        with snapshot(self.engine) as connection:
            return connection.execute(query.encode()).fetchall()


def outcomes(receipt: Receipt) -> list[str]:
    """The outcomes of a receipt, in words."""
    return [str(receipt.outcome(row)) for row in range(len(np.atleast_1d(receipt.outcomes)))]
