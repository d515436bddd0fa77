"""What whoever decides holds in memory: prices, limits, and how everybody stands, as of the last round of watching."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple, Self

from billing.accounts import upwards
from billing.deciding import Owed
from billing.flows.limits import Limits
from billing.guards import Guard, Release
from billing.payers import Payer
from billing.periods import Period
from billing.store.compiled import CompiledCards
from billing.store.engine import Connection
from billing.store.limits import StoredTrigger, read_releases
from billing.store.queries.pricing import price_from, price_rows
from billing.store.ratebooks import Ratebooks, load_books
from billing.store.watching import PayerState, Round, budgets_since, last_round, states_since
from billing.triggers import Action
from rates.averages import prices_of_month, products_of_month
from rates.cards import Card
from rates.compiled.views import view
from rates.deals import WHOLE, Agreements, agreements_of
from rates.money import exact
from rates.prices import Price
from rates.products import Product
from rates.single import Singles


class Tariff(NamedTuple):
    """A price with the head of its card, and what a unit of it costs as the card lists it."""

    price: Price
    card: Card
    base: Fraction


class Bound(NamedTuple):
    """What an account is held against: itself and those above it, the guards and the budgets of any of them."""

    path: tuple[str, ...]
    guards: tuple[Guard, ...]
    budgets: tuple[StoredTrigger, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A month: products as it counts them, and what contracts of its days take off."""

    products: Mapping[str, Product]
    agreements: Agreements | None

    @classmethod
    def of(cls, period: Period, limits: Limits, products: Mapping[str, Product]) -> Self:
        """A month as limits know it."""
        payers: Mapping[int, Payer] = limits.payers(period)
        agreed = {number: payer.agreed for number, payer in payers.items() if payer.agreed is not None}
        return cls(products=products_of_month(products, period.days), agreements=agreements_of(agreed))

    def left(self, payer: int, day: date, price: Price, country: str) -> Fraction:
        """What a payer's contract leaves of a price."""
        if self.agreements is None:
            return WHOLE
        kind = (country, price.number_type)
        return self.agreements.left(payer, day, self.products[price.product], price.element, kind)


@dataclass(frozen=True, kw_only=True)
class Books:
    """What does not change from round to round: how usage is rated, what it costs, what it is held against."""

    limits: Limits
    ratebooks: Ratebooks
    singles: Singles
    rows: object
    ids: Sequence[int]
    releases: Mapping[str, Sequence[Release]]
    months: Mapping[date, Month]
    _tariffs: dict[tuple[int, date], Tariff] = field(default_factory=dict)
    _bounds: dict[str, Bound] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        connection: Connection,
        products: Mapping[str, Product],
        at: datetime,
        known: Self | None,
        kept: CompiledCards | None,
    ) -> Self:
        """As a transaction sees them, with what still holds of what is known."""
        limits = Limits.read(connection, products, None if known is None else known.limits)
        moved = known is None or known.limits.versions.books != limits.versions.books
        if known is None or moved:
            ratebooks = load_books(connection, products, None if known is None else known.ratebooks, kept)
            rows = price_rows(connection, limits.heads.keys())
            singles, ids = Singles(ratebooks.books, products), view(rows["price_id"].to_numpy())
        else:
            ratebooks, singles, rows, ids = known.ratebooks, known.singles, known.rows, known.ids
        period = Period.at(at)
        return cls(
            limits=limits,
            ratebooks=ratebooks,
            singles=singles,
            rows=rows,
            ids=ids,
            releases=read_releases(connection, at),
            months={each.start: Month.of(each, limits, products) for each in (period, period.next())},
        )

    def holds(self, versions: tuple[int, ...], at: datetime) -> bool:
        """Whether these are of such versions, and know the month."""
        return tuple(self.limits.versions) == versions and Period.at(at).start in self.months

    def tariff(self, number: int, month: date) -> Tariff:
        """A price by its id, as a month has it."""
        key = (number, month)
        if key not in self._tariffs:
            price, card = price_from(self.rows, bisect_left(self.ids, number), self.limits.heads)
            sized = prices_of_month({number: price}, self.months[month].products)[number]
            self._tariffs[key] = Tariff(sized, card, exact(sized.prices[0]))
        return self._tariffs[key]

    def bound(self, account: str) -> Bound:
        """What an account is held against."""
        if account not in self._bounds:
            path, paid = [], []
            for each in upwards(account, self.limits.accounts.accounts):
                path.append(each.id)
                if not any(self.limits.accounts.accounts[name].pays for name in path[:-1]):
                    paid.append(each.id)
            guards = tuple(guard for name in ("", *path) for guard in self._guards.get(name, ()))
            budgets = tuple(stored for name in paid for stored in self._budgets.get(name, ()))
            self._bounds[account] = Bound(tuple(path), guards, budgets)
        return self._bounds[account]

    @cached_property
    def _guards(self) -> dict[str, list[Guard]]:
        found: dict[str, list[Guard]] = {}
        for guard in self.limits.guards:
            found.setdefault(guard.account, []).append(guard)
        return found

    @cached_property
    def _budgets(self) -> dict[str, list[StoredTrigger]]:
        found: dict[str, list[StoredTrigger]] = {}
        for stored in self.limits.triggers:
            if stored.trigger.action is Action.STOP:
                found.setdefault(stored.trigger.account, []).append(stored)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How payers stand, as of a round: by month and payer, and what windows of budgets have come to.

    `come_at` is when what it knows was there first, by the clock of whoever reads.
    """

    round: Round
    come_at: datetime
    states: Mapping[int, Mapping[date, "PayerStands"]]
    used: Mapping[tuple[int, date], int]

    @classmethod
    def read(cls, connection: Connection, at: datetime, known: Self | None) -> Self:
        """As a transaction sees it; what is known is brought up to date."""
        round_ = last_round(connection)
        if known is not None and known.round.number == round_.number:
            return known.as_of(round_, at)
        before = -1 if known is None else known.round.number
        period = Period.at(at)
        states = {} if known is None else dict(known.states)
        for (month, payer), state in states_since(connection, before, [period.start, period.next().start]).items():
            states[payer] = {**states.get(payer, {}), month: PayerStands.of(state)}
        used = {} if known is None else {key: n for key, n in known.used.items() if key[1] >= period.start}
        used |= {(each.trigger, each.start): each.used for each in budgets_since(connection, before, period.start)}
        return cls(round=round_, come_at=at, states=states, used=used)

    def as_of(self, round_: Round, at: datetime) -> Self:
        """The same after rounds that found nothing since."""
        return self if round_ == self.round else replace(self, round=round_, come_at=at)

    @property
    def known_at(self) -> datetime | None:
        """As of when this is known; not later than when it came, by however much the worker's clock is ahead."""
        return None if self.round.at is None else min(self.round.at, self.come_at)

    def of(self, payer: int, month: date) -> "PayerStands":
        """How a payer stands in a month; of one without usage as at its beginning."""
        return self.states.get(payer, {}).get(month, _NOTHING)

    def owed(self, payer: int) -> list[Owed]:
        """What the months of a payer come to."""
        months = self.states.get(payer, {})
        return [Owed(str(Period.of_month(month.year, month.month)), each.total) for month, each in months.items()]

    def known(self, payer: int, month: date) -> set[tuple[str, str]]:
        """The (country, destination) of which a payer had dear usage in earlier months."""
        months = self.states.get(payer, {})
        return {each for before, state in months.items() if before < month for each in state.known}

    def failed(self, payer: int) -> list[tuple[date, str]]:
        """The months of a payer of which nobody can tell what they come to, and why."""
        return [(month, each.failed) for month, each in self.states.get(payer, {}).items() if each.failed]


class PayerStands(NamedTuple):
    """How a payer stands in a month: minor units in all and by day and country, what is known as dear, and where
    counters stand, by schedule and owner: position and unit size. `failed`: why nobody can tell how it stands now.
    """

    total: int
    spent: Mapping[str, Mapping[str, int]]
    known: frozenset[tuple[str, str]]
    counters: Mapping[tuple[str, int], tuple[int, int]]
    failed: str = ""

    @classmethod
    def of(cls, state: PayerState) -> Self:
        """As it is stored."""
        counters = {(name, owner): (int(at), int(size)) for name, owner, at, size in state.counters}
        return cls(state.total_minor or 0, state.spent, frozenset(state.known), counters, state.failed)


_NOTHING = PayerStands(0, {}, frozenset(), {})
