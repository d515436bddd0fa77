"""Ask what the next unit of some usage costs an account, by its cards and by where its counters stand now."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Self

from billing.currentprices import Asked, CurrentPrice, current_price
from billing.errors import InputFaultyError
from billing.explanations import increments_of
from billing.flows.holding import Books
from billing.flows.price import Pricer
from billing.jurisdictions import with_jurisdictions
from billing.payers import billed_by
from billing.payloads import TEXTS
from billing.periods import Period
from billing.rated import Rated, rate_usage
from billing.store.accounts import Accounts, read_accounts
from billing.store.compiled import CompiledCards
from billing.store.engine import Connection, Engine, snapshot
from billing.store.queries.explain import RateRow, read_rates
from billing.store.queries.pricing import read_heads, read_prices
from billing.store.ratebooks import Ratebooks, book_version, load_books
from billing.usage import parse
from rates.cards import Card, instant
from rates.errors import Fault
from rates.jurisdiction import States
from rates.numbering import COUNTRIES
from rates.products import Product
from rates.rating import REASONS

SOURCE = "tollbook.prices"
"""The source of usage that is asked about, and nobody reported."""

_BILLED_FROM, _BILLED_UNTIL = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Instants of months that are billed; around those at the ends of the calendar there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What some usage of an account costs: by which row of which card, and its price now.

    `reason` says why it has no price; then there is nothing but it.
    """

    account: str
    product: str
    at: datetime
    reason: str = ""
    payer: str = ""
    currency: str = ""
    country: str = ""
    card: str = ""
    row: str = ""
    increments: str = ""
    price: CurrentPrice | None = None


def ask(
    engine: Engine,
    products: Mapping[str, Product],
    at: datetime,
    usage: Mapping[str, object],
    *,
    kept: CompiledCards | None = None,
    states: States | None = None,
    known: Books | None = None,
) -> Answer:
    """What the next unit of some usage costs: `usage` are the fields of an event, with its account and product.

    All of it is read in one snapshot, with what is not folded yet, but for what is `known` of the books, if these are
    still the same there. `states`: by which jurisdictions are derived.
    Raises InputFaultyError for what no event has.
    """
    if not _BILLED_FROM <= at < _BILLED_UNTIL:
        fault = Fault(place="/at", value=instant(at), problem="is not of 1970 to 2099", remedy="ask of a month to bill")
        raise InputFaultyError([fault], place="usage")
    named = {"id": "asked", "quantity": "1", **usage, "occurred_at": at.isoformat()}
    parsed = parse([json.dumps(named).encode()], source=SOURCE, products=products, at=at)
    if parsed.rejects:
        faults = [Fault(place=each.pointer, value="", problem=each.reason, remedy="") for each in parsed.rejects]
        raise InputFaultyError(faults, place="usage")
    parsed = with_jurisdictions(parsed, states, products)
    said = Answer(account=str(usage["account"]), product=str(usage["product"]), at=at)
    with snapshot(engine) as connection:
        prices = _Prices.read(connection, products, known, kept)
        books, accounts = prices.ratebooks, prices.accounts
        rated = rate_usage(parsed.usage, books.assignment, books.books, products)
        if rated.ratings.price[0] < 0:
            return _unpriced(said, rated)
        number, period = int(rated.payer[0]), Period.at(at)
        name = prices.names[number]
        payer = billed_by(accounts.accounts[name], accounts.contracts.get(name, ()), period)
        pricer = Pricer.with_heads(connection, period, products, {number: payer}, prices.heads)
        asked = Asked(
            payer=number,
            account=int(rated.account[0]),
            price=int(rated.ratings.price[0]),
            country=int(rated.ratings.country[0]),
            day=at.date(),
        )
        totals = pricer.read([asked.payer])
        pricer.prices |= read_prices(connection, [asked.price], pricer.heads)
        found = current_price(asked, totals, pricer.terms(asked.payer, totals), period, said.account)
        rate = int(rated.ratings.rate[0])
        row: RateRow = read_rates(connection, [rate])[rate]
        return Answer(
            account=said.account,
            product=said.product,
            at=at,
            payer=payer.party.account,
            currency=payer.party.currency,
            country=COUNTRIES[asked.country],
            card=row.card,
            row=row.row,
            increments=str(increments_of(row.cells, products[said.product], at) or ""),
            price=found,
        )


class _Prices(NamedTuple):
    """What prices go by: the books, all accounts and contracts, their names by number, and cards without their rows."""

    ratebooks: Ratebooks
    accounts: Accounts
    names: Mapping[int, str]
    heads: Mapping[int, Card]

    @classmethod
    def read(
        cls, connection: Connection, products: Mapping[str, Product], known: Books | None, kept: CompiledCards | None
    ) -> Self:
        """As a transaction sees them; what is known holds as long as the books are of its version."""
        if known is not None and known.limits.versions.books == book_version(connection):
            return cls(known.ratebooks, known.limits.accounts, known.limits.names, known.limits.heads)
        ratebooks = load_books(connection, products, None if known is None else known.ratebooks, kept)
        accounts = read_accounts(connection)
        names = {number: name for name, number in accounts.numbers.items()}
        return cls(ratebooks, accounts, names, read_heads(connection, products))


def usage_of(account: str, product: str, fields: Mapping[str, str]) -> dict[str, object]:
    """The usage to ask about: fields where an event has them, a package in a list, what only products declare among
    the attributes. Those that say nothing are left out.
    """
    said = {key: value for key, value in fields.items() if value}
    own = {*TEXTS, "to", "from", "rated_to", "delivered_as", "package"}
    placed: dict[str, object] = {key: value for key, value in said.items() if key in own}
    if "package" in placed:
        placed["packages"] = [placed.pop("package")]
    declared = {key: value for key, value in said.items() if key not in own}
    return {"account": account, "product": product, **placed, **({"attributes": declared} if declared else {})}


def answer_record(found: Answer) -> dict[str, object]:
    """An answer as plain values; of a counter that there is not, all is empty."""
    price, stands = found.price, None if found.price is None else found.price.progress
    return {
        "account": found.account,
        "payer": found.payer,
        "product": found.product,
        "at": instant(found.at),
        "reason": found.reason,
        "country": found.country,
        "destination": "" if price is None else price.destination,
        "currency": found.currency,
        "unit": "" if price is None else price.unit,
        "base_price": "" if price is None else price.base_price,
        "current_price": "" if price is None else price.current_price,
        "next_price": "" if price is None else price.next_price,
        "next_threshold": "" if stands is None else stands.next_threshold,
        "units_to_go": "" if stands is None else stands.to_go,
        "counted_in": "" if stands is None else stands.unit,
        "position": "" if stands is None else stands.position,
        "schedule": "" if stands is None else stands.schedule,
        "mode": "" if stands is None else stands.mode,
        "tier": "" if stands is None else stands.tier,
        "tiers": "" if stands is None else stands.tiers,
        "free_left": "" if price is None else price.free_left,
        "increments": found.increments,
        "card": found.card,
        "row": found.row,
    }


def _unpriced(said: Answer, rated: Rated) -> Answer:
    reason = REASONS[rated.ratings.reason[0]]
    return Answer(account=said.account, product=said.product, at=said.at, reason=str(reason or "nothing billable"))
