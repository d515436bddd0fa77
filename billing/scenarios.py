"""Scenarios: cards, usage, and the invoices that must come out, in one file that finance can read (FORMATS 5).

A scenario is run by the same pure functions as everything else; no database is needed.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import count

from billing.accounts import Account, check_tree, read_account
from billing.bills import Arrangement, bill, faults_of
from billing.charges import Charge, events_of, read_charge
from billing.contracts import Contract, read_contract
from billing.errors import PeriodInvalidError
from billing.expectations import Expectation, compare, read_expectation
from billing.periods import Period
from billing.reselling import resellers
from billing.steps import Step, read_steps
from billing.timeline import bill_over_time
from rates.cardfile import card_from_table
from rates.cards import Card, instant
from rates.errors import Fault
from rates.jurisdiction import States, states_of
from rates.products import Product, by_id, read_product
from rates.reading import Reader

Table = Mapping[str, object]
CardSource = Callable[[str], tuple[Card | None, list[Fault]]]
"""Gives the card of a path that a scenario names, or its faults."""

SOURCE = "scenario"
ACCOUNT = "a"

_NOON = timedelta(hours=12)
_MOST = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is given, as it is rated, and what is expected. `payloads` are the usage events as JSON.

    What is reported in `steps` comes after them.
    """

    name: str
    period: Period
    deal: Arrangement
    payloads: tuple[bytes, ...]
    expectation: Expectation
    steps: tuple[Step, ...] = ()


def read_scenario(
    table: Table, products: Mapping[str, Product], card_of: CardSource, *, place: str
) -> tuple[Scenario | None, list[Fault]]:
    """A scenario from its table, or every fault of it. `card_of` gives the cards that are named by their path."""
    read = Reader(place=f"{place}: ", table=table, faults=[])
    period = _period(read)
    known = {**products, **_products(read)}
    cards = _cards(read, known, card_of, period)
    accounts = _accounts(read)
    defaults = {"id": "card", "effective_from": period.opens}
    tables = read_steps(read, lambda table, at: card_from_table({**defaults, **table}, {}, known, place=at))
    closed = list(dict.fromkeys(each.step.close for each in tables if each.step.close is not None))
    contracts = _contracts(read, cards, period)
    if accounts is not None and not read.faults:
        read.faults.extend(check_tree(accounts, resellers(contracts or {})))
    _require_no_credits(read, contracts, closed)
    # Charges of the month before are in the base of its support plans, which are posted in this one.
    months = dict.fromkeys([period.before(), period, *closed])
    charged = _charges(read, known, period)
    charges = [each for month in months for each in events_of(charged, accounts or {}, month)]
    reported, *later = _payloads(period, [list(read.each("usage")), *(each.usage for each in tables)])
    scenario = Scenario(
        name=read.text("name"),
        period=period,
        deal=Arrangement(
            cards=cards,
            products=known,
            accounts=accounts,
            contracts=contracts,
            states=_states(read.below("states")),
        ),
        payloads=(*reported, *charges),
        expectation=read_expectation(read.below("expect"), closed or [period]),
        steps=tuple(replace(each.step, payloads=some) for each, some in zip(tables, later, strict=True)),
    )
    read.finish()
    if not read.faults:
        read.faults.extend(replace(fault, place=read.at(fault.place)) for fault in faults_of(scenario.deal))
    return (None if read.faults else scenario), read.faults


def run(scenario: Scenario) -> list[str]:
    """What came out otherwise than expected; nothing if all is as it should be."""
    given = (scenario.deal, scenario.period)
    if any(step.close or step.publish for step in scenario.steps):
        return compare(scenario.expectation, bill_over_time(scenario.payloads, scenario.steps, *given))
    reported = [*scenario.payloads, *(each for step in scenario.steps for each in step.payloads)]
    return compare(scenario.expectation, bill(reported, *given))


def _require_no_credits(
    read: Reader, contracts: Mapping[str, Sequence[Contract]] | None, closed: Sequence[Period]
) -> None:
    agreed = [each.deal for some in (contracts or {}).values() for each in some]
    if len(closed) > 1 and any(deal.credits or deal.support for deal in agreed):
        problem = "promotional credits and support over several months are not run by this version"
        read.fault("contract", problem, "leave them out, or close one month only")


def _period(read: Reader) -> Period:
    text = read.text("period")
    try:
        return Period.parse(text)
    except PeriodInvalidError as error:
        if text:
            read.fault("period", error.problem, error.remedy)
        return Period.of_month(2026, 1)


def _products(read: Reader) -> dict[str, Product]:
    found = []
    for below in read.each("product"):
        product, faults = read_product(below.table, below.place)
        read.faults.extend(faults)
        found += [product] if product is not None else []
    return by_id(found)


def _states(read: Reader) -> States | None:
    """The states of area codes and exchanges, as a table of six digits each."""
    found, faults = states_of((read.at(office), office, read.text(office)) for office in read.table)
    read.faults.extend(faults)
    return found if read.table else None


def _cards(read: Reader, products: Mapping[str, Product], card_of: CardSource, period: Period) -> tuple[Card, ...]:
    """Cards in the scenario, or by their paths."""
    written = read.table.get("card", [])
    if isinstance(written, list) and written and all(isinstance(each, str) for each in written):
        read.seen.add("card")
        found = [card_of(path) for path in written]
    else:
        defaults = {"id": "card", "effective_from": period.opens}
        tables = [(below.place, {**defaults, **below.table}) for below in read.each("card")]
        found = [card_from_table(table, {}, products, place=place) for place, table in tables]
    read.faults.extend(fault for _, faults in found for fault in faults)
    cards = tuple(card for card, _ in found if card is not None)
    if not written:
        read.fault("card", "is missing", 'write [[card]], or card = ["path.toml"]')
    if len({(card.id, card.effective_from) for card in cards}) != len(cards):
        read.fault("card", "has two versions from one instant", "give each an id or an effective_from of its own")
    return cards


def _accounts(read: Reader) -> dict[str, Account] | None:
    if "account" not in read.table:
        return None
    accounts: dict[str, Account] = {}
    for below in read.each("account"):
        account, faults = read_account(below.table, below.place)
        read.faults.extend(faults)
        if account is not None and account.id in accounts:
            below.fault("id", "is there already", "name each account once")
        accounts |= {account.id: account} if account is not None else {}
    return accounts


def _contracts(read: Reader, cards: Sequence[Card], period: Period) -> dict[str, list[Contract]] | None:
    if "contract" not in read.table:
        return None
    known = list(dict.fromkeys(card.id for card in cards))
    defaults: Table = {"account": ACCOUNT, "effective_from": period.start, "cards": known}
    single = isinstance(read.table["contract"], Mapping)
    contracts: dict[str, list[Contract]] = {}
    for below in [read.below("contract")] if single else read.each("contract"):
        contract, faults = read_contract({**defaults, **below.table}, below.place)
        read.faults.extend(faults)
        if contract is not None:
            contracts.setdefault(contract.account, []).append(contract)
            if not set(contract.cards) <= set(known):
                below.fault("cards", "names a card that is not here", f"known: {', '.join(known)}")
    return contracts


def _charges(read: Reader, products: Mapping[str, Product], period: Period) -> list[Charge]:
    found: dict[str, Charge] = {}
    for number, below in enumerate(read.each("charge"), start=1):
        defaults: Table = {"id": f"c{number:04}", "account": ACCOUNT, "effective_from": period.opens}
        charge, faults = read_charge({**defaults, **below.table}, below.place, products)
        read.faults.extend(faults)
        if charge is not None and found.setdefault(charge.id, charge) is not charge:
            below.fault("id", "is there already", "give each charge an id of its own")
    return [*found.values()]


def _payloads(period: Period, groups: Sequence[Sequence[Reader]]) -> list[tuple[bytes, ...]]:
    """What is reported, group by group; the ids are numbered over all of them."""
    numbers = count(1)
    return [tuple(each for below in some for each in _repeated(below, period, next(numbers))) for some in groups]


def _repeated(below: Reader, period: Period, number: int) -> list[bytes]:
    payloads: list[bytes] = []
    times = below.integer("repeat", 1, least=1)
    if times > _MOST:
        below.fault("repeat", f"is above {_MOST}", "write a larger quantity instead")
    else:
        defaults = {"source": SOURCE, "id": f"e{number:04}", "account": ACCOUNT}
        defaults["occurred_at"] = instant(period.opens + _NOON)
        event = {**defaults, **{key: _plain(below, key) for key in below.table if key != "repeat"}}
        for n in range(1, times + 1):
            own = event if times == 1 else {**event, "id": f"{event['id']}-{n:06}"}
            payloads.append(json.dumps(own).encode())
    return payloads


def _plain(read: Reader, key: str) -> object:
    """A value as it stands in JSON, however deep. TOML's times have their own type there; its floats are refused."""

    def plain(value: object) -> object:
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, Mapping):
            return {name: plain(item) for name, item in value.items()}
        if not isinstance(value, str | int):
            read.fault(key, "is a float", "write the number as a string")
        return value if isinstance(value, str | int) else str(value)

    return plain(read.table[key])
