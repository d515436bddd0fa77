"""Bills: usage and cards in, what each billing account owes out, in one step that touches nothing.

The same pure functions as with a store, one after the other: payloads become columns, columns ratings, ratings totals,
totals lines. All that the store adds is that everything is remembered.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from billing.accounts import Account, AccountId
from billing.assignment import Assignment, assignment
from billing.contracts import (
    Contract,
    Counting,
    counted_together,
    counter_faults,
    overlapping,
    unsold,
    without_support,
)
from billing.errors import InputFaultyError
from billing.invoices import InvoiceLine, Kind, lines_by_payer, total_minor
from billing.jurisdictions import with_jurisdictions
from billing.payers import payers_of, versions_in, with_bases
from billing.periods import Period
from billing.prepaid import prepaid_faults
from billing.rated import Rated, rate_usage
from billing.reselling import mirrored, unpaid
from billing.settled import settle
from billing.support import support_base
from billing.usage import Reject, Usage, parse
from rates.averages import prices_of_month, products_of_month
from rates.cards import Card
from rates.compiled.cards import CardTable, compile_card, lineages
from rates.compiled.patterns import microseconds
from rates.deals import agreements_of
from rates.errors import Fault
from rates.filling import Filled, filled_of, unfilled
from rates.jurisdiction import States
from rates.matching import Book, Books
from rates.money import Currency
from rates.prices import USAGE, Price, price_list
from rates.pricing import crossing_days, price
from rates.products import Product
from rates.rating import REASONS, ZERO_RATED, Reason
from rates.terms import Priority, Terms, card_terms, day_faults
from rates.totals import elements, summed
from rates.usage import Int32s, Int64s, Totals, no_totals

_Prices = Mapping[int, Price]

_LATER = timedelta(days=300)
"""How long after its period usage is looked at: by then nothing of the period is too old or ahead of the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """Everything that decides a price: checked cards, products, accounts, and contracts by their account.

    Without `accounts` each account that is named pays for itself, in the currency of the first card; without
    `contracts` everyone who pays has all cards, in their order. `states`: by which jurisdictions are derived.
    """

    cards: Sequence[Card]
    products: Mapping[str, Product]
    accounts: Mapping[str, Account] | None = None
    contracts: Mapping[str, Sequence[Contract]] | None = None
    states: States | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a billing account owes for the period: its lines, rounded, and their sum in minor units.

    Of several months, `period` says which one it was drawn up for, and `kind` what it is.
    """

    account: str
    currency: Currency
    lines: tuple[InvoiceLine, ...]
    total_minor: int
    period: str = ""
    kind: Kind = Kind.USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrated:
    """An event of the period that is on no line, and why."""

    source: str
    id: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Bills:
    """What the payloads came to: each is on lines, of another period, or one of the others.

    `bills` has one for each account that pays and has usage or a contract in the period, in the order of the accounts.
    `duplicates` are the positions of payloads that say again what an earlier one said, `conflicts` of those that
    contradict an earlier one of the same identity and revision: the first stands. Above the `superseded` ones stands a
    higher revision. `held` are adjustments beyond the late limit.
    """

    period: Period
    bills: tuple[Bill, ...]
    quarantined: tuple[Unrated, ...]
    zero_rated: tuple[Unrated, ...]
    rejects: tuple[Reject, ...]
    duplicates: tuple[int, ...]
    conflicts: tuple[int, ...]
    superseded: tuple[int, ...] = ()
    held: tuple[str, ...] = ()


def faults_of(deal: Arrangement) -> list[Fault]:
    """Where the parts of an arrangement, each right by itself, do not fit together."""
    versions: dict[str, list[Counting]] = {}
    for card in deal.cards:
        versions.setdefault(card.id, []).append((card.version, card.schedules))
    within = day_faults(map(card_terms, deal.cards))
    accounts, contracts = deal.accounts or {}, _contracts(deal)
    if deal.contracts is not None:
        within = [
            *overlapping(contracts),
            *unpaid(deal.contracts, accounts),
            *unsold(contracts, deal.products),
            *within,
        ]
    return [
        *within,
        *counter_faults(_groups(deal), versions),
        *prepaid_faults(contracts, accounts, versions),
        *unfilled_faults(deal),
    ]


def unfilled_faults(deal: Arrangement) -> list[Fault]:
    """Where cards that rate one account together count what none of them prices."""
    filled: dict[str, list[Filled]] = {}
    for card in deal.cards:
        filled.setdefault(card.id, []).append(filled_of(card))
    books = (chain.from_iterable(filled.get(name, ()) for name in group) for group in sorted(_groups(deal)))
    return list(dict.fromkeys(chain.from_iterable(map(unfilled, books))))


def _groups(deal: Arrangement) -> set[tuple[str, ...]]:
    """The ids of cards that rate one account together."""
    if deal.contracts is None:
        return {tuple(dict.fromkeys(card.id for card in deal.cards))}
    return set().union(*map(counted_together, deal.contracts.values()))


def _contracts(deal: Arrangement) -> list[Contract]:
    """All contracts; of an arrangement without them, that everyone who pays has all cards."""
    if deal.contracts is not None:
        return list(chain.from_iterable(deal.contracts.values()))
    cards = tuple(dict.fromkeys(card.id for card in deal.cards))
    payers = [account.id for account in (deal.accounts or {}).values() if account.pays]
    return [Contract(account=name, effective_from=date.min, cards=cards) for name in payers]


def bill(payloads: Sequence[bytes], deal: Arrangement, period: Period, *, source: str | None = None) -> Bills:
    """The bills of a period. `payloads` are usage events as JSON in the order of arrival; see `billing.usage.parse`.

    The support plans of the month before are of what the payloads come to in that month. Raises InputFaultyError for an
    arrangement whose parts do not fit together.
    """
    if faults := faults_of(deal):
        raise InputFaultyError(faults, place="cards and contracts")
    parsed = parse(payloads, source=source, products=deal.products, at=period.closes + _LATER)
    parsed = with_jurisdictions(parsed, deal.states, deal.products)
    settled = settle(parsed)
    usage = parsed.usage.take(settled.standing[_within(parsed.usage.occurred_at[settled.standing], period)])
    deal = _complete(deal, usage, period)
    assigned = assignment(deal.accounts or {}, deal.contracts or {}, _numbers(deal))
    resold = mirrored(usage, assigned)
    usage = usage if resold is None else usage.with_others(resold.usage)
    prices, books = _compiled(deal, assigned)
    rated = rate_usage(usage, assigned, books, deal.products)
    bases = _bases(payloads, deal, period.before(), source)
    unrated = tuple(_unrated(rated))
    return Bills(
        period=period,
        bills=tuple(_bills(rated, prices, deal, period, bases)),
        quarantined=tuple(each for each in unrated if each.reason not in ZERO_RATED),
        zero_rated=tuple(each for each in unrated if each.reason in ZERO_RATED),
        rejects=parsed.rejects,
        duplicates=settled.duplicates,
        conflicts=settled.conflicts,
        superseded=settled.superseded,
    )


def _bases(payloads: Sequence[bytes], deal: Arrangement, month: Period, source: str | None) -> dict[str, int]:
    """What a month came to for support plans, by account; nothing where nobody had one."""
    contracts = deal.contracts or {}
    held = {name for name, some in contracts.items() if any(each.deal.support for each in some)}
    if not held:
        return {}
    # Support is in no base, so that the month before the month before is nobody's concern.
    plain = {name: [without_support(each) for each in some] for name, some in contracts.items()}
    bills = bill(payloads, replace(deal, contracts=plain), month, source=source).bills
    return {each.account: support_base(each.lines, deal.products, str(month)) for each in bills if each.account in held}


def _within(occurred_at: Int64s, period: Period) -> Int64s:
    opens, closes = microseconds(period.opens), microseconds(period.closes)
    return np.flatnonzero((opens <= occurred_at) & (occurred_at < closes))


def _complete(deal: Arrangement, usage: Usage, period: Period) -> Arrangement:
    """The arrangement with the accounts and contracts that it takes for granted."""
    accounts, contracts = deal.accounts, deal.contracts
    if accounts is None:
        named = dict.fromkeys([*(contracts or ()), *(usage.account.values[code] for code in usage.account.codes)])
        money = deal.cards[0].currency if deal.cards else ""
        accounts = {name: Account(id=AccountId(name), currency=money) for name in named}
    if contracts is None:
        cards = tuple(dict.fromkeys(card.id for card in deal.cards))
        payers = [account.id for account in accounts.values() if account.pays]
        contracts = {name: (Contract(account=name, effective_from=period.start, cards=cards),) for name in payers}
    return replace(deal, accounts=accounts, contracts=contracts)


def _numbers(deal: Arrangement) -> dict[str, int]:
    return {name: number for number, name in enumerate(deal.accounts or {})}


def _compiled(deal: Arrangement, assigned: Assignment) -> tuple[_Prices, Books]:
    prices: dict[int, Price] = {}
    tables: list[CardTable] = []
    rates = 0
    for card in deal.cards:
        base = len(prices)
        prices |= dict(enumerate(price_list(card, deal.products).prices, start=base))
        tables.append(compile_card(card, deal.products, rate_base=rates, price_base=base))
        rates += card.rows.num_rows
    known = lineages(tables)
    books = [
        Book(lineages=tuple(known[name] for name in book.cards if name in known), currency=book.currency)
        for book in assigned.books
    ]
    return prices, Books(books)


def _unrated(rated: Rated) -> Iterator[Unrated]:
    """The events without any element."""
    silent = rated.ratings.reason != 0
    silent[rated.ratings.extra_event] = False  # a failed message may still cost a fee
    rows = np.flatnonzero(silent)
    sources = rated.usage.source
    ids = rated.usage.id.take(pa.array(rows)).to_pylist()
    for row, name in zip(rows.tolist(), ids, strict=True):
        reason = REASONS[rated.ratings.reason[row]]
        if reason is not None:
            yield Unrated(source=sources.values[sources.codes[row]], id=name, reason=reason)


def _bills(
    rated: Rated, prices: _Prices, deal: Arrangement, period: Period, bases: Mapping[str, int]
) -> Iterator[Bill]:
    """The bills, in the order of the accounts; payers that share their cards and currency are priced at once."""
    payers = payers_of(deal.accounts or {}, deal.contracts or {}, _numbers(deal), period)
    groups: dict[tuple[tuple[Priority, ...], Currency, bool], list[int]] = {}
    for number, payer in payers.items():
        if payer.priorities:
            groups.setdefault((payer.priorities, payer.party.currency, payer.resold), []).append(number)
    rows, found = _elements(rated), dict[int, list[InvoiceLine]]()
    usage = np.array([number for number, each in prices.items() if each.element == USAGE], dtype=np.int64)
    totals, ordered = summed(rows), _ordered(rated, rows, usage)
    of_version: dict[str, dict[int, Price]] = {}
    for number, each in prices.items():
        of_version.setdefault(each.card, {})[number] = each
    for (priorities, money, _), members in groups.items():
        agreed = ((number, payers[number].agreed, bases.get(payers[number].party.account, 0)) for number in members)
        deals = {number: with_bases(each, base) for number, each, base in agreed if each is not None}
        terms = replace(_terms(deal, of_version, priorities, money, period), agreements=agreements_of(deals))
        own = _of_payers(totals, members)
        crossings = _crossings(own, _of_payers(ordered, members), terms)
        found |= {number: [] for number in members}
        found |= lines_by_payer(price(own, crossings, terms, payers=members), str(period))
    for number in sorted(found):
        party, lines = payers[number].party, tuple(found[number])
        yield Bill(account=party.account, currency=party.currency, lines=lines, total_minor=total_minor(lines))


def _terms(
    deal: Arrangement,
    prices: Mapping[str, _Prices],
    priorities: tuple[Priority, ...],
    money: Currency,
    period: Period,
) -> Terms:
    """The terms of the card versions that are in force in some of the period."""
    names = {card for priority in priorities for card in priority.cards}
    own = [card for card in deal.cards if card.id in names and card.currency == money]
    versions = {card.version: card_terms(card) for card in versions_in(period, own)}
    own_prices = {number: each for version in versions for number, each in prices.get(version, {}).items()}
    products = products_of_month(deal.products, period.days)
    settled = prices_of_month(own_prices, products)
    return Terms(currency=money, prices=settled, products=products, cards=versions, priorities=priorities)


def _crossings(own: Totals, ordered: Totals, terms: Terms) -> Totals:
    """The ordered events of the days on which a counter of these totals crosses a bound."""
    crossings = no_totals()
    while len((wanted := crossing_days(own, crossings, terms)).payer):
        days = _days(ordered.payer, ordered.day)
        crossings = crossings.plus(ordered.take(np.isin(days, _days(wanted.payer, wanted.day))))
    return crossings


def _days(payer: Int64s, day: Int32s) -> Int64s:
    days: Int64s = (payer << 32) + day
    return days


def _of_payers(rows: Totals, payers: Sequence[int]) -> Totals:
    """The rows of some payers, out of rows that are sorted by payer first."""
    bounds = (np.searchsorted(rows.payer, payers, side=side).tolist() for side in ("left", "right"))
    return rows.take(np.concatenate([np.arange(start, end) for start, end in zip(*bounds, strict=True)]))


def _ordered(rated: Rated, rows: Totals, prices: Int64s) -> Totals:
    """All usage by payer, and of each in the order of counters: by instant, source and id; `prices` are those of usage.

    The parts of an event that was cut stay in their order.
    """
    event = np.concatenate([np.flatnonzero(rated.ratings.price >= 0), rated.ratings.extra_event])  # of each row
    some = np.flatnonzero(np.isin(rows.price, prices))
    usage = rated.usage.take(event[some])
    columns = {
        "payer": pa.array(rows.payer[some]),
        "occurred_at": pa.array(usage.occurred_at),
        "source": pa.array(usage.source.values, pa.string()).take(pa.array(usage.source.codes)),
        "id": usage.id,
        "part": pa.array(some),
    }
    order = pc.sort_indices(pa.table(columns), sort_keys=[(name, "ascending") for name in columns])
    return rows.take(some[order.to_numpy()])


def _elements(rated: Rated) -> Totals:
    """A row for each element: first the usage of the events in their order, then what comes beside it."""
    nothing = np.zeros(len(rated), dtype=np.int64)
    columns = rated.usage.to_rate(products=(), product=nothing, book=nothing.astype(np.int32))
    return elements(rated.ratings, columns, rated.payer.astype(np.int64), rated.account.astype(np.int64))
