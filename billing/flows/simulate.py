"""Simulate: what a month would have come to with another card, or with another contract. Nothing is stored.

Stored usage is rated again by the imagined books, and both sides go through the pricing of every bill: tiers, pools,
percents, commitments and credits of contracts. The simulation with what is published changes nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from billing.candidates import Placed, rates_otherwise, throughout, with_card, with_contracts
from billing.contracts import Contract, unsold
from billing.errors import InputFaultyError
from billing.flows.contracting import contract_faults
from billing.flows.costs import Costs
from billing.flows.counters import imagined_faults
from billing.flows.days import Days
from billing.flows.imagine import Books, ImaginedPricer, RealPricer, Retold, imagine, numbered_payers, retell
from billing.flows.price import Pricer, totals_of
from billing.invoices import InvoiceLine, lines_by_payer
from billing.payers import payers_of, paying
from billing.periods import Period
from billing.simulations import Lines, Side, Simulation
from billing.store.accounts import Accounts, read_accounts
from billing.store.compiled import CompiledCards
from billing.store.engine import Connection, Engine, snapshot, transaction
from billing.store.queries.verification import join_snapshot, share_snapshot
from billing.store.ratebooks import read_card_versions
from rates.cards import Card
from rates.money import Currency
from rates.products import Product

CHUNK = 2500
"""Accounts that are priced at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A card to try: its id and currency, the version if it is not published, and whose place it takes.

    `as_dated`: it holds from its own beginning on, as if it were published; else throughout the month.
    """

    id: str
    currency: str
    card: Card | None = None
    replaces: str = ""
    as_dated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What both kinds of simulations are asked: of which accounts, bought by which card, and with the lines or not."""

    accounts: Sequence[str] = ()
    buy: Costs | None = None
    with_lines: bool = False
    kept: CompiledCards | None = None


def simulate_card(
    engine: Engine, products: Mapping[str, Product], period: Period, candidate: Candidate, asked: Asked
) -> Simulation:
    """What the month would have come to with a candidate card, for the accounts whose contracts have it then.

    Raises CandidateMisplacedError where it has no place, SubjectMissingError for an account that does not pay, and
    InputFaultyError for a candidate that could not be published beside the other cards.
    """
    with snapshot(engine) as reading:
        stored = read_accounts(reading)
        named = (candidate.id, candidate.currency)
        placed = with_card(stored.accounts, stored.contracts, period, *named, replaces=candidate.replaces)
        card = candidate.card
        if card is not None and not candidate.as_dated:
            card = throughout(card, period)
        cards = [] if card is None else [card]
        books = imagine(
            reading, products, stored, placed.contracts, cards=cards, as_dated=candidate.as_dated, kept=asked.kept
        )
        moment = _Moment(engine=engine, reading=reading, products=products, period=period, stored=stored)
        return _simulate(moment, placed, books, asked, rerated=True)


def simulate_contracts(
    engine: Engine,
    products: Mapping[str, Product],
    period: Period,
    contracts: Sequence[Contract],
    asked: Asked,
    *,
    as_dated: bool = False,
) -> Simulation:
    """What the month would have come to under other contracts of their accounts. Usage is rated again only if their
    cards differ.

    Raises SubjectMissingError for an account that does not pay, and InputFaultyError for contracts that could not be
    added.
    """
    with snapshot(engine) as reading:
        stored = read_accounts(reading)
        placed = with_contracts(stored.contracts, contracts, period, as_dated=as_dated)
        otherwise = [
            name
            for name in placed.accounts
            if rates_otherwise(stored.contracts.get(name, ()), placed.contracts[name], period)
        ]
        if faults := [*contract_faults(contracts, stored, read_card_versions(reading)), *unsold(contracts, products)]:
            raise InputFaultyError(faults, place="contracts")
        books = imagine(reading, products, stored, placed.contracts, kept=asked.kept)
        moment = _Moment(engine=engine, reading=reading, products=products, period=period, stored=stored)
        return _simulate(moment, placed, books, asked, rerated=bool(otherwise))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """The books and the usage of a period as one snapshot has them."""

    engine: Engine
    reading: Connection
    products: Mapping[str, Product]
    period: Period
    stored: Accounts


def _simulate(moment: _Moment, placed: Placed, books: Books, asked: Asked, *, rerated: bool) -> Simulation:
    stored = moment.stored
    wanted = dict.fromkeys(paying(name, stored.accounts).id for name in asked.accounts or sorted(placed.accounts))
    after = [placed.contracts.get(name, ()) for name in wanted]
    if faults := imagined_faults(moment.reading, after, stored.accounts, books.heads):
        raise InputFaultyError(faults, place="cards and contracts")
    names = {stored.numbers[name]: name for name in sorted(wanted, key=lambda name: stored.numbers[name])}
    now, then, told = _both_sides(moment, books, asked, names, rerated=rerated)
    failed: dict[str, str] = {names[number]: why for number, why in sorted({**now.failed, **then.failed}.items())}
    if failed:  # of one side, its amounts would be a change
        left = {number: name for number, name in names.items() if name not in failed}
        now, then, told = _both_sides(moment, books, asked, left, rerated=rerated)
    if asked.buy is not None:
        for priced, costs in zip((now, then), told.costs, strict=True):
            asked.buy.add(priced.side, costs)
    known: dict[str, Lines] = {
        name: Lines(now.lines.get(number, []), then.lines.get(number, [])) for number, name in names.items()
    }
    return Simulation(
        period=moment.period,
        accounts={name: Currency(stored.accounts[name].currency) for name in wanted},
        now=now.side,
        then=then.side,
        events=told.events,
        unpriced=_by_name(told.unpriced, names) if rerated else {},
        priced=_by_name(told.priced, names) if rerated else {},
        unbought=told.unbought,
        has_costs=asked.buy is not None,
        failed=failed,
        lines=known if asked.with_lines else {},
    )


def _both_sides(
    moment: _Moment, books: Books, asked: Asked, names: Mapping[int, str], *, rerated: bool
) -> tuple["_Priced", "_Priced", Retold]:
    """What some accounts come to now and then, on two connections that see the same moment: each prices one half."""
    stored, period, products = moment.stored, moment.period, moment.products
    numbers = [*names]
    payers = payers_of(stored.accounts, stored.contracts, stored.numbers, period)
    told = Retold()
    with ThreadPoolExecutor(max_workers=1) as thread, transaction(moment.engine) as beside:
        join_snapshot(beside, share_snapshot(moment.reading))
        if numbers and (rerated or asked.buy is not None):
            told = retell(moment.reading, books, period, numbers, asked.buy)
        days = Days(reading=moment.reading, period=period, paid=numbered_payers(books.accounts))
        now = RealPricer.beside(Pricer.begin(moment.reading, period, products, payers), days)
        then = ImaginedPricer.imagined(products, books, told.totals if rerated else None, days)
        middle = len(numbers) // 2
        coming = thread.submit(_priced, *_elsewhere(now, then, beside), numbers[middle:], names, asked)
        ours, others = _priced(now, then, numbers[:middle], names, asked), coming.result()
        return ours[0].plus(others[0]), ours[1].plus(others[1]), told


def _elsewhere(now: RealPricer, then: ImaginedPricer, reading: Connection) -> tuple[RealPricer, ImaginedPricer]:
    """The same pricers on another connection, for other accounts."""
    days = then.days.on(reading)
    return (
        replace(now, reading=reading, days=days, prices=dict(now.prices), failed={}),
        replace(then, reading=reading, days=days, prices=dict(then.prices), failed={}),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Priced:
    """Some accounts priced: their sums, why some cannot be, and the lines of each, where they are asked for."""

    side: Side
    failed: Mapping[int, str]
    lines: dict[int, list[InvoiceLine]]

    def plus(self, other: "_Priced") -> "_Priced":
        """These and others."""
        lines, failed = {**self.lines, **other.lines}, {**self.failed, **other.failed}
        return _Priced(side=self.side.plus(other.side), failed=failed, lines=lines)


def _priced(
    now: RealPricer, then: ImaginedPricer, numbers: Sequence[int], names: Mapping[int, str], asked: Asked
) -> tuple[_Priced, _Priced]:
    """Price some accounts now and then, chunk by chunk."""
    sides = [_Priced(side=Side(names=names), failed=pricer.failed, lines={}) for pricer in (now, then)]
    for start in range(0, len(numbers), CHUNK):
        for pricer, priced in zip((now, then), sides, strict=True):
            for some, totals in pricer.read_each(numbers[start : start + CHUNK]):
                for lines in pricer.price(some, totals_of(totals, some)):
                    priced.side.add(lines)
                    if asked.with_lines:
                        priced.lines.update(lines_by_payer(lines, str(pricer.period)))
        then.days.forget()
    return sides[0], sides[1]


def _by_name(counts: Counter[int], names: Mapping[int, str]) -> dict[str, int]:
    return dict(sorted((names[number], count) for number, count in counts.items() if count))
