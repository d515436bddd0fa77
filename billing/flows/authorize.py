"""Say whether usage may begin, before it does: from memory, in microseconds, by a state that is no older than a second.

A gatekeeper is held by each process that answers. A thread of its own reads what rounds of watching left, a few times a
second; a decision asks neither the database nor the clock.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from threading import Event as Signal
from threading import Lock, Thread
from typing import Self

import numpy as np

from billing.accounts import Account
from billing.assignment import NOBODY
from billing.currentprices import tier_at
from billing.deciding import (
    ACCOUNT,
    PRICE,
    STATE,
    Budget,
    Decision,
    Refusal,
    Stands,
    Wanted,
    WhenStale,
    refusals,
    unevaluated,
)
from billing.errors import InputFaultyError
from billing.flows.holding import Books, Standing, Tariff
from billing.flows.watch import EVERY, OLDEST
from billing.guards import Kind
from billing.payloads import E164
from billing.periods import Period
from billing.store.compiled import CompiledCards
from billing.store.engine import Engine, snapshot, transaction
from billing.store.limits import limits_version
from billing.store.ratebooks import book_version
from billing.store.watching import read_progress
from billing.triggers import EPOCH
from billing.usage import micros
from rates.errors import Fault
from rates.jurisdiction import JURISDICTION, JURISDICTIONS, States, derive
from rates.money import format_fraction
from rates.numbering import COUNTRIES
from rates.prices import CHARGE, EVENT, USAGE
from rates.products import Product
from rates.rating import ZERO_RATED, Reason
from rates.single import Element, Event, One
from rates.tiers import Scope
from rates.worded import amount_of

_PLENTY = 3600
"""So many base units are beyond every grace."""

_SUSPENDED = Refusal("account_suspended", ACCOUNT, "the account that pays is suspended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Usage that is asked about. `quantity` is what is expected of it, in base units; 0: nothing is.

    `to` and `from_` as events have them; `texts` are their other fields, and dimensions that products declare.
    """

    account: str
    product: str
    to: str = ""
    from_: str = ""
    quantity: int = 0
    texts: Mapping[str, str] = field(default_factory=dict)


class Gatekeeper:
    """Decides by what it holds in memory. `start` begins to keep that fresh, `stop` ends it."""

    def __init__(
        self,
        engine: Engine,
        products: Mapping[str, Product],
        clock: Callable[[], datetime],
        *,
        when_stale: WhenStale = WhenStale.CLOSED,
        kept: CompiledCards | None = None,
        states: States | None = None,
        troubled: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self.engine, self.products, self.clock, self.when_stale = engine, products, clock, when_stale
        self.kept, self.jurisdictions = kept, states
        self.troubled = troubled
        """Hears of what went wrong in a thread, and is tried again."""
        self._held: tuple[Books, Standing] | None = None
        self._next: Books | None = None
        self._reading: Thread | None = None
        self._ending = Signal()
        self._refreshing = Lock()
        self._thread: Thread | None = None

    @property
    def books(self) -> Books | None:
        """What it holds of prices and limits, which may have changed since; None before it has read any."""
        held = self._held
        return None if held is None else held[0]

    def start(self) -> None:
        """Begin to keep what is held fresh, in a thread. Until it has read something, nobody knows how things stand."""
        self._ending.clear()
        self._thread = Thread(target=self._keep_fresh, name="gatekeeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def refresh(self, at: datetime, *, wait: bool = True) -> None:
        """Read what has changed. Without `wait`, books that moved are read beside, and hold when they are there."""
        with self._refreshing:
            if not self._unmoved(at):
                self._read(at, wait=wait)

    def _unmoved(self, at: datetime) -> bool:
        """Whether what is held is how things stand, which one statement says."""
        if self._held is None or self._next is not None:
            return False
        books, standing = self._held
        with transaction(self.engine) as connection:
            round_, versions = read_progress(connection)
        if round_.number != standing.round.number or not books.holds(versions, at):
            return False
        self._held = (books, standing.as_of(round_, at))
        return True

    def _read(self, at: datetime, *, wait: bool) -> None:
        with snapshot(self.engine) as connection:
            books, standing = self._held or (None, None)
            if self._next is not None:
                books, self._next = self._next, None
            versions = (book_version(connection), *limits_version(connection))
            if books is None or not books.holds(versions, at):
                moved = books is not None and books.limits.versions.books != versions[0]
                if wait or books is None or not moved:
                    books = Books.read(connection, self.products, at, books, self.kept)
                else:
                    self._read_beside(books, at)
            self._held = (books, Standing.read(connection, at, standing))

    def decide(self, asked: Asked, at: datetime) -> Decision:
        """Whether usage may begin. Raises InputFaultyError for a number that is none."""
        held = self._held
        round_at = None if held is None else held[1].known_at
        age = None if round_at is None else max(at - round_at, timedelta())
        is_stale = age is None or age > OLDEST
        said = Decision(
            allow=True, refusals=(), account=asked.account, product=asked.product, at=at, age=age, is_stale=is_stale
        )
        found = said if held is None else _Deciding(*held, asked, at, said, self.jurisdictions).decide()
        unknown = (*_stale(age), *found.warnings) if is_stale else found.warnings
        if not unknown:
            return found
        if self.when_stale is WhenStale.OPEN:
            return replace(found, warnings=unknown)
        return replace(found, allow=False, refusals=(*unknown, *found.refusals), warnings=())

    def _keep_fresh(self) -> None:
        while not self._ending.is_set():
            try:
                self.refresh(self.clock(), wait=False)
            except Exception as error:  # noqa: BLE001 (whatever it is: the state grows old, and it is said that it does)
                self.troubled(error)
            self._ending.wait(EVERY.total_seconds())

    def _read_beside(self, known: Books, at: datetime) -> None:
        """Read other books in a thread of their own: a large card takes longer than a state may be old."""

        def read() -> None:
            try:
                with snapshot(self.engine) as connection:
                    self._next = Books.read(connection, self.products, at, known, self.kept)
            except Exception as error:  # noqa: BLE001 (tried again by the next refreshing; until then the old ones hold)
                self.troubled(error)

        if self._reading is None or not self._reading.is_alive():
            self._reading = Thread(target=read, name="books", daemon=True)
            self._reading.start()


def _stale(age: timedelta | None) -> tuple[Refusal]:
    why = "usage was never looked at" if age is None else f"usage was looked at {age.total_seconds():.1f} s ago"
    return (Refusal("state_stale", STATE, f"{why}: see that `tollbook work` runs"),)


@dataclass(slots=True)
class _Deciding:
    """One decision; its `warnings` are what nobody can tell."""

    books: Books
    standing: Standing
    asked: Asked
    at: datetime
    said: Decision
    jurisdictions: States | None

    def decide(self) -> Decision:
        """Whether usage may begin, and what it costs."""
        instant = micros(self.at)
        account, payer, book = self.books.ratebooks.assignment.assign_one(self.asked.account, instant)
        if payer == NOBODY:
            unknown = account == NOBODY
            reason = Reason.UNKNOWN_ACCOUNT if unknown else Reason.NO_PAYER
            return self._refused(Refusal(reason, ACCOUNT, "is not an account" if unknown else "nobody pays for it"))
        limits = self.books.limits
        paying = limits.accounts.accounts[limits.names[payer]]
        suspended = [_SUSPENDED] if _is_suspended(paying, self.at) else []
        event = self._event(instant, book)
        one = self._rated(event)
        said = replace(self.said, payer=paying.id, currency=paying.currency, country=COUNTRIES[one.country])
        number = one.price if one.price >= 0 else next((each.price for each in one.extras), NOBODY)
        if one.reason is not None and (one.reason not in ZERO_RATED or number < 0):
            why = [] if one.reason in ZERO_RATED else [Refusal(one.reason, PRICE, "nothing prices it")]
            return replace(said, allow=not (suspended or why), refusals=(*suspended, *why))
        return self._priced(said, one, number, (account, payer), event.to, suspended)

    def _priced(
        self, said: Decision, one: One, number: int, whose: tuple[int, int], called: int, suspended: list[Refusal]
    ) -> Decision:
        month, day = Period.at(self.at).start, self.at.date()
        tariff = self.books.tariff(number, month)
        price = tariff.price
        current = self._current(tariff, whose, said.country)
        cost = self._cost(one, whose, said.country) if self.asked.quantity else Fraction(0)
        wanted = Wanted(
            path=self.books.bound(self.asked.account).path,
            product=price.product,
            country=said.country,
            destination=price.destination,
            number=called,
            currency=said.currency,
            price=price,
            base=tariff.base,
            quantity=one.billed if self.asked.quantity else 0,
            cost=cost,
            at=self.at,
        )
        why = (*suspended, *self._refusals(wanted, whose[1], month, day))
        return replace(
            said,
            allow=not why,
            refusals=why,
            warnings=(*self._unknown(said.payer, whose[1], month), *self._unevaluated(wanted)),
            destination=price.destination,
            unit=price.unit,
            base_price=format_fraction(tariff.base),
            current_price=format_fraction(current),
            expected_cost=format_fraction(cost) if self.asked.quantity else "",
        )

    def _refusals(self, wanted: Wanted, payer: int, month: date, day: date) -> Iterator[Refusal]:
        bound = self.books.bound(self.asked.account)
        if not (bound.guards or bound.budgets):
            return
        kinds = {guard.kind for guard in bound.guards}
        stands = Stands(
            spent=self.standing.of(payer, month).spent.get(str((day - EPOCH).days), {}),
            owed=self.standing.owed(payer) if Kind.CREDIT in kinds else (),
            known=self.standing.known(payer, month) if Kind.DEAR in kinds else (),
        )
        budgets = [
            Budget(each.trigger, self.standing.used.get((each.number, day if each.trigger.is_daily else month), 0))
            for each in bound.budgets
        ]
        units = self.books.months[month].products[wanted.product].unit_size
        yield from refusals(wanted, budgets, bound.guards, stands, self.books.releases, units)

    def _unknown(self, name: str, payer: int, month: date) -> Iterator[Refusal]:
        """The months of a payer of which nobody can tell how they stand: this one; all where limits look at them."""
        for each, why in self.standing.failed(payer):
            kinds = {guard.kind for guard in self.books.bound(self.asked.account).guards}
            if each == month or kinds & {Kind.CREDIT, Kind.DEAR}:
                said = f"what {name} comes to in {each:%Y-%m} cannot be told: {why}; mend that usage, or what prices it"
                yield Refusal("state_failed", STATE, said)

    def _unevaluated(self, wanted: Wanted) -> Iterator[Refusal]:
        return unevaluated(wanted, self.books.bound(self.asked.account).guards, self.books.releases)

    def _event(self, instant: int, book: int) -> Event:
        texts = dict(self.asked.texts)
        to = _number(texts.pop("rated_to", "") or self.asked.to, "to", texts)
        from_ = _number(self.asked.from_, "from", texts)
        product = self.books.singles.products.get(self.asked.product)
        derived = self.jurisdictions is not None and product is not None and JURISDICTION in product.match
        if derived and self.jurisdictions is not None and not texts.get(JURISDICTION):
            origin, called = (np.array([number], dtype=np.int64) for number in (from_, to))
            texts[JURISDICTION] = JURISDICTIONS[derive(origin, called, self.jurisdictions).jurisdiction[0]]
        return Event(self.asked.product, book, instant, to, from_, self.asked.quantity or 1, texts)

    def _rated(self, event: Event) -> One:
        """What is asked about, rated; what is within the grace has the price of what is not, and costs nothing."""
        found = self.books.singles.rate(event)
        if found.reason is not Reason.ZERO_QUANTITY:
            return found
        beyond = self.books.singles.rate(event._replace(measured=_PLENTY))
        if not self.asked.quantity:
            return beyond
        return found if beyond.price < 0 else beyond._replace(billed=found.billed, extras=found.extras)

    def _current(self, tariff: Tariff, whose: tuple[int, int], country: str) -> Fraction:
        """What the next unit of a price costs: in the tier in which its counter stands, after all percents."""
        account, payer = whose
        month, price = Period.at(self.at).start, tariff.price
        schedule = tariff.card.schedules[price.schedule] if price.schedule else None
        tier = 0
        if schedule is not None:
            owner = account if schedule.scope is Scope.ACCOUNT else payer
            counter = self.standing.of(payer, month).counters.get((schedule.name, owner))
            tier = 0 if counter is None else tier_at(schedule, *counter)
        return price.unit_price(tier, schedule) * self.books.months[month].left(payer, self.at.date(), price, country)

    def _cost(self, one: One, whose: tuple[int, int], country: str) -> Fraction:
        """What all of what is expected costs, at the prices of next units."""
        elements = [Element(one.price, one.billed)] if one.price >= 0 and one.billed else []
        return sum((self._amount(each, whose, country) for each in (*elements, *one.extras)), Fraction(0))

    def _amount(self, element: Element, whose: tuple[int, int], country: str) -> Fraction:
        tariff = self.books.tariff(element.price, Period.at(self.at).start)
        price = tariff.price
        if price.is_rounded:  # the charge beside it is what it comes to
            return Fraction(0)
        if price.element == CHARGE:
            return amount_of(price, element.billed)
        billed = 1 if price.unit == EVENT and price.element == USAGE else element.billed
        return amount_of(price, billed, tier_price=self._current(tariff, whose, country))

    def _refused(self, why: Refusal) -> Decision:
        return replace(self.said, allow=False, refusals=(why,))


def _is_suspended(account: Account, at: datetime) -> bool:
    return any(each.begins <= at < each.ends for each in account.suspended)


def _number(text: str, key: str, texts: dict[str, str]) -> int:
    """The digits of a number that is written with `+`; 0 for another address, which goes among the texts."""
    if not text.startswith("+"):
        if text:
            texts[f"{key}_address"] = text
        return 0
    if re.fullmatch(E164, text) is None:
        if key == "from":  # callers may have any name
            texts["from_address"] = text
            return 0
        problem, remedy = "is not a number: up to 15 digits after the +", "write it as in +447700900123"
        raise InputFaultyError([Fault(place=f"/{key}", value=text, problem=problem, remedy=remedy)], place="usage")
    return int(text[1:])
