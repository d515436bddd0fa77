"""Watch usage: which triggers fire, and how everybody stands to budgets and guards. One round after the other.

A round looks at the payers whose usage has changed since the last one and of whom somebody wants to know, in one
snapshot, and writes what it finds and that it was looked at in one transaction: so it may stop anywhere, any number may
run at once, and each window of a trigger fires once. Whoever decides (`billing.flows.authorize`) reads what rounds
leave.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from itertools import product

import numpy as np

from billing.flows.applying import Applied, Applying
from billing.flows.concerns import LASTING, MONTHS_KNOWN, concerns
from billing.flows.counts import Counts, Rows
from billing.flows.limits import Limits
from billing.flows.price import Pricer, totals_of
from billing.guards import Guard, Kind, unit_price
from billing.payers import Payer
from billing.periods import Period, day_of, months_before
from billing.store.engine import Connection, Engine, snapshot, transaction
from billing.store.watching import (
    BudgetState,
    Concerns,
    Firing,
    PayerState,
    Touched,
    end_round,
    lock_watching,
    note_changes,
    read_budgets,
    read_states,
    touched_months,
    write_budgets,
    write_failures,
    write_firings,
    write_states,
)
from billing.store.webhooks import emit
from billing.triggers import EPOCH, Action, Measure, Trigger, counted, open_since
from billing.webhooks import Message, MessageType
from rates.money import exact
from rates.numbering import COUNTRIES
from rates.prices import MAXIMUM, MINIMUM, USAGE, Price
from rates.products import Product
from rates.usage import Int64s, Totals, no_totals

EVERY = timedelta(milliseconds=250)
"""How long after one round the next one may begin, if that was short; and how often it is asked what rounds left."""
OLDEST = timedelta(seconds=1)
"""How old the state may be by which it is decided."""

_SHORTEST = timedelta(milliseconds=50)
_TO_SPARE = timedelta(milliseconds=100)
"""For what it takes to read what a round left, and a clock of another machine."""

PAYERS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A trigger (by its number too) that fired: in which window, and what this had come to, in what it counts."""

    number: int
    trigger: Trigger
    start: date
    end: date
    used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A round: how many months of payers were looked at, what fired, and whose amounts nobody can tell, and why."""

    number: int
    looked_at: int
    fired: tuple[Fired, ...]
    failed: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class Watcher:
    """Rounds of watching, with what stays the same from one to the next."""

    engine: Engine
    products: Mapping[str, Product]
    _limits: Limits | None = None
    _concerns: tuple[Limits, date, Concerns] | None = None
    _payers: dict[Period, dict[int, Payer]] = field(default_factory=dict)
    _prices: dict[Period, dict[int, Price]] = field(default_factory=dict)

    def round(self, at: datetime) -> Watched:
        """Look at all that changed, as of now, which is `at`. Safe to repeat and to run at once with others."""
        fired: list[Fired] = []
        failed: dict[str, str] = {}
        looked_at, news = 0, False
        with transaction(self.engine) as writing:
            number = lock_watching(writing)
            with snapshot(self.engine) as reading:
                limits = self._known(reading)
                months = touched_months(reading, self._concerning(limits, at), limits.versions, *_since(limits, at))
                for month, touched in months.items():
                    for some in _chunks(touched):
                        found = self._look(reading, limits, month, some)
                        fired += found.write(writing, at, number)
                        failed |= found.failed
                        news = news or found.news
                    looked_at += len(touched)
            end_round(writing, number if news else number - 1, at)
        return Watched(number=number, looked_at=looked_at, fired=tuple(fired), failed=failed)

    def _known(self, reading: Connection) -> Limits:
        limits = Limits.read(reading, self.products, self._limits)
        if self._limits is None or self._limits.versions.books != limits.versions.books:
            self._payers, self._prices = {}, {}
        self._limits = limits
        return limits

    def _concerning(self, limits: Limits, at: datetime) -> Concerns:
        day = at.astimezone(UTC).date()
        if self._concerns is None or self._concerns[0] is not limits or self._concerns[1] != day:
            self._concerns = limits, day, concerns(limits, day)
        return self._concerns[2]

    def _look(self, reading: Connection, limits: Limits, month: date, touched: Sequence[Touched]) -> "_Look":
        period = Period.of_month(month.year, month.month)
        if period not in self._payers:
            self._payers[period] = limits.payers(period)
        payers = self._payers[period]
        changes = {each.payer: each.changes for each in touched if each.payer in payers}
        own = {each: payers[each] for each in changes}
        pricer = Pricer.with_heads(reading, period, self.products, own, limits.heads)
        pricer.prices = self._prices.setdefault(period, {})
        totals = reduce(Totals.plus, (found for _, found in pricer.read_each([*changes])), no_totals())
        changes = {payer: count for payer, count in changes.items() if payer not in pricer.failed}
        counts = Counts(pricer=pricer, totals=totals, products=(*self.products, ""))
        look = _Look(reading=reading, limits=limits, period=period, changes=changes, counts=counts)
        look.run()
        return look


def watch(engine: Engine, products: Mapping[str, Product], at: datetime) -> Watched:
    """One round by itself."""
    return Watcher(engine=engine, products=products).round(at)


def announce(connection: Connection, fired: Sequence[Fired], at: datetime) -> int:
    """Tell of triggers that fired, in the transaction in which they do. Gives how many messages that is."""
    return emit(connection, [_message(each, at) for each in fired])


def _message(fired: Fired, at: datetime) -> Message:
    trigger = fired.trigger
    data: dict[str, object] = {
        "trigger": trigger.id,
        "account": trigger.account,
        "action": str(trigger.action),
        "measure": str(trigger.measure),
        "product": trigger.product,
        "country": trigger.country,
        "window": str(trigger.window),
        "window_start": fired.start.isoformat(),
        "window_end": fired.end.isoformat(),
        "threshold": trigger.in_words(trigger.threshold),
        "used": trigger.in_words(fired.used),
        "unit": trigger.unit,
    }
    subject = f"{fired.number} {fired.start}"  # of another trigger of this name it is told by itself
    return Message(type=MessageType.TRIGGER_FIRED, subject=subject, account=trigger.account, at=at, data=data)


@dataclass(slots=True, kw_only=True)
class _Look:
    """A look at some payers in a month: what they come to, what fires, how they stand."""

    reading: Connection
    limits: Limits
    period: Period
    changes: Mapping[int, int]
    counts: Counts
    same: dict[int, int] = field(default_factory=dict)
    states: list[PayerState] = field(default_factory=list)
    budgets: list[BudgetState] = field(default_factory=list)
    firings: list[Firing] = field(default_factory=list)
    failures: int = 0

    @property
    def failed(self) -> dict[str, str]:
        """Whose usage could not be summed up or priced, and why."""
        return {self.limits.names[payer]: why for payer, why in self.counts.pricer.failed.items()}

    @property
    def news(self) -> bool:
        """Whether anything that was written is not as it was before."""
        return bool(self.states or self.budgets or self.failures)

    def run(self) -> None:
        """Look at those that may not stand as they did; of the others only note how many changes there are."""
        before = read_states(self.reading, self.period.start, [*self.changes], self.limits.versions)
        digests = self.counts.digests()
        changed = {}
        for payer, count in self.changes.items():
            old, days = before.get(payer), digests.get(payer, {})
            if old is not None and old.days == days and not self.counts.goes_by_order:
                self.same[payer] = count
            else:
                changed[payer] = _first_change(None if old is None else old.days, days, self.period)
        if changed:
            self._look_at(changed, before, digests)

    def write(self, writing: Connection, at: datetime, number: int) -> list[Fired]:
        """Write what was found; what fires that had not."""
        note_changes(writing, self.period.start, self.same)
        write_states(writing, self.period.start, self.states, self.limits.versions, number)
        failed = self.counts.pricer.failed
        self.failures = write_failures(writing, self.period.start, failed, self.limits.versions, number)
        write_budgets(writing, self.budgets, number)
        new = write_firings(writing, self.firings, at)
        known = {each.number: each.trigger for each in self.limits.triggers}
        fired = [
            Fired(
                number=each.trigger,
                trigger=known[each.trigger],
                start=each.start,
                end=each.end,
                used=each.used,
            )
            for each in new
        ]
        announce(writing, fired, at)
        return fired

    def _look_at(
        self,
        changed: Mapping[int, int],
        before: Mapping[int, PayerState],
        digests: Mapping[int, Mapping[str, int]],
    ) -> None:
        applying = Applying.of(self.limits, changed)
        by_day = applying.billed(daily=True)
        daily = {payer: day for payer, day in changed.items() if payer in by_day}
        by_month = sorted(applying.billed(daily=False))
        months, totals, of_trees = self.counts.months(by_month, applying.trees(Measure.AMOUNT, daily=False))
        days, of_trees_by_day = self.counts.days(daily, applying.trees(Measure.AMOUNT, daily=True))
        counters = self._counters([*changed])
        lost = self.counts.pricer.failed
        priced = applying.but_for(lost)
        amounts = [months.of(priced.whole), of_trees]
        self._count(priced.some(Measure.AMOUNT, daily=False), Rows.joined(amounts), {})
        amounts = [days.of(priced.whole), of_trees_by_day]
        self._count(priced.some(Measure.AMOUNT, daily=True), Rows.joined(amounts), daily)
        for measure, by in product((Measure.EVENTS, Measure.QUANTITY), (False, True)):
            first = changed if by else None  # windows of days before are what they were
            whole, trees = applying.wholes(measure, daily=by), applying.trees(measure, daily=by)
            self._count(applying.some(measure, daily=by), self.counts.usage(measure, whole, trees, first), first or {})
        spent, known = _spent(days), self._known(applying.guarded(Kind.DEAR))
        credited, spending = applying.guarded(Kind.CREDIT), applying.guarded(Kind.SPEND)
        for payer in changed.keys() - lost.keys():
            old = before.get(payer)
            kept = {} if old is None else {day: each for day, each in old.spent.items() if int(day) < changed[payer]}
            state = PayerState(
                payer=payer,
                changes=self.changes[payer],
                total_minor=totals.get(payer, 0) if payer in credited else None,
                counters=counters.get(payer, []),
                days=digests.get(payer, {}),
                spent=kept | spent.get(payer, {}) if payer in spending else {},
                known=known.get(payer, []),
            )
            if old is not None and replace(old, changes=state.changes) == state:
                self.same[payer] = state.changes
            else:
                self.states.append(state)

    def _count(self, some: Sequence["Applied"], rows: Rows, first: Mapping[int, int]) -> None:
        """Note what windows of triggers come to; `first`: of whom only windows from a day on were counted."""
        if not some:
            return
        triggers = [each.stored.trigger for each in some]
        subjects = np.array([each.subject for each in some], dtype=np.int64)
        found = counted(triggers, subjects, self.counts.sums(rows))
        is_open = open_since(triggers, [each.stored.added_at.astimezone(UTC) for each in some], found)
        reached = found.reached(triggers) & is_open
        windows = list(zip(found.trigger.tolist(), found.start.tolist(), found.count.tolist(), strict=True))
        for (place, start, used), fires in zip(windows, reached.tolist(), strict=True):
            if fires:
                window = triggers[place].window_at(day_of(start))
                self.firings.append(Firing(some[place].stored.number, window.start, window.end, used))
        self._budget(some, windows, first)

    def _budget(
        self, some: Sequence["Applied"], windows: Sequence[tuple[int, int, int]], first: Mapping[int, int]
    ) -> None:
        """What windows of budgets have come to, where that is news: also those that have come to nothing since."""
        stopping = {place: each for place, each in enumerate(some) if each.stored.trigger.action is Action.STOP}
        used = {(stopping[place].stored.number, day_of(day)): n for place, day, n in windows if place in stopping}
        since = {
            each.stored.number: day_of(first[each.payer]) if each.payer in first else self.period.start
            for each in stopping.values()
        }
        for old in read_budgets(self.reading, since, self.period.end):
            if used.setdefault((old.trigger, old.start), 0) == old.used:
                del used[old.trigger, old.start]
        self.budgets += [BudgetState(number, start, count) for (number, start), count in used.items()]

    def _counters(self, some: Sequence[int]) -> dict[int, list[tuple[str, int, str, str]]]:
        """Where the counters of some payers stand: of those whom the supplier bills."""
        payers, totals = self.counts.pricer.payers, totals_of(self.counts.totals, some)
        pairs = np.unique(totals.payer << 32 | totals.account).tolist()
        payer_of = {pair & 0xFFFFFFFF: pair >> 32 for pair in pairs if not payers[pair >> 32].resold}
        found: dict[int, list[tuple[str, int, str, str]]] = {}
        for key, standings in self.counts.pricer.standings(some, totals):
            for each in standings if not key.resold else ():
                payer = each.owner if each.owner in self.changes else payer_of[each.owner]
                counter = (each.schedule.name, each.owner, str(each.position), str(each.unit_size))
                found.setdefault(payer, []).append(counter)
        return found

    def _known(self, dear: Mapping[int, Sequence[Guard]]) -> dict[int, list[tuple[str, str]]]:
        """The (country, destination) of usage that is dear by some guard, by payer; what costs its limit may be."""
        found: dict[int, set[tuple[str, str]]] = {}
        alike: dict[tuple[Guard, ...], list[int]] = {}
        for payer, own in dear.items():
            alike.setdefault(tuple(own), []).append(payer)
        prices, products = self.counts.pricer.prices, self.counts.pricer.products
        for guards, payers in alike.items():
            totals = totals_of(self.counts.totals, payers)
            known = [n for n in np.unique(totals.price).tolist() if _is_known(guards, prices[n], products)]
            for payer, number, country in _combinations(totals.take(np.isin(totals.price, known))):
                found.setdefault(payer, set()).add((COUNTRIES[country], prices[number].destination))
        return {payer: sorted(each) for payer, each in found.items()}


def rest(took: timedelta) -> timedelta:
    """How long to rest after a round: in proportion, as far as nothing is older than it may be before the next is read.

    What is committed as a round begins waits for its end, a rest, the next round, and whoever asks what that left.
    """
    longest = OLDEST - EVERY - _TO_SPARE - 2 * took
    return max(min(max(EVERY, 3 * took), longest), _SHORTEST)


def _since(limits: Limits, at: datetime) -> tuple[date, date]:
    """The first months that are looked at again where the books or triggers, or where the guards, are others."""
    now = Period.at(at).start
    lasting = any(guard.kind in LASTING for guard in limits.guards)
    return now, months_before(now, MONTHS_KNOWN) if lasting else now


def _first_change(old: Mapping[str, int] | None, new: Mapping[str, int], period: Period) -> int:
    """The first day, since the epoch, of which the totals are not what they were; of the month if nobody knows that."""
    if old is None or old == new:
        return (period.start - EPOCH).days
    return min(int(day) for day in old.keys() | new.keys() if old.get(day) != new.get(day))


def _spent(days: Rows) -> dict[int, dict[str, dict[str, int]]]:
    """What is spent, by payer, day and country."""
    found: dict[int, dict[str, dict[str, int]]] = {}
    for payer, country, day, minor in zip(*(each.tolist() for each in _by_country(days)), strict=True):
        if minor:
            found.setdefault(payer, {}).setdefault(str(day), {})[COUNTRIES[country]] = minor
    return found


def _by_country(days: Rows) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    order = np.lexsort((days.country, days.day, days.whose))
    whose, country, day, counted_ = (each[order] for each in (days.whose, days.country, days.day, days.counted))
    if not len(whose):
        return whose, country, day, counted_
    changes = (np.diff(each, prepend=-1) != 0 for each in (whose, country, day))
    first = np.flatnonzero(np.logical_or.reduce([*changes]))
    return whose[first], country[first], day[first], np.add.reduceat(counted_, first)


def _combinations(totals: Totals) -> Iterator[tuple[int, int, int]]:
    """Each payer with each price and country that it has usage of, once."""
    columns = np.stack([totals.payer, totals.price.astype(np.int64), totals.country.astype(np.int64)], axis=1)
    yield from map(tuple, np.unique(columns, axis=0).tolist())


def _is_known(guards: Sequence[Guard], price: Price, products: Mapping[str, Product]) -> bool:
    if price.element in {MINIMUM, MAXIMUM}:
        return True
    return price.element == USAGE and any(_is_dear(guard, price, products) for guard in guards)


def _is_dear(guard: Guard, price: Price, products: Mapping[str, Product]) -> bool:
    size = products[price.product].unit_size(guard.unit) if price.product in products else None
    per_unit = unit_price(guard, price, exact(price.prices[0]), size)
    return per_unit is not None and guard.limit is not None and per_unit > guard.limit


def _chunks(touched: Sequence[Touched]) -> Iterator[Sequence[Touched]]:
    for start in range(0, len(touched), PAYERS_AT_ONCE):
        yield touched[start : start + PAYERS_AT_ONCE]
