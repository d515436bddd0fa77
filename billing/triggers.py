"""Usage triggers: what is counted of whose usage in which window, and at how much somebody is told, or a budget stops.

A window is a UTC day or a calendar month. A trigger looks at windows that end after it was added, and fires once in
each: when its count first comes to the threshold, however late the usage arrives that brings it there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from billing.accounts import LONGEST_ID, Account, payer_of
from billing.contracts import Contract, is_billed
from billing.periods import Period, day_of
from rates.errors import Fault
from rates.money import EXPONENTS, Currency, exact, format_fraction, format_minor
from rates.numbering import ASSIGNED, COUNTRY_CODES
from rates.products import Product
from rates.quantities import INT64_MAX
from rates.reading import Reader
from rates.usage import Flags, Int32s, Int64s

EVENT = "event"
EPOCH = date(1970, 1, 1)
"""The first of the days that columns count."""

_HALF_OF_INT64 = 1 << 62


class Measure(StrEnum):
    """What is counted: events, their billable quantity in base units, or what they come to in minor units."""

    EVENTS = "events"
    QUANTITY = "quantity"
    AMOUNT = "amount"


class Window(StrEnum):
    """How long is counted. The billing period of a payer is the calendar month."""

    DAY = "day"
    MONTH = "month"
    PERIOD = "period"


class Action(StrEnum):
    """What a trigger that fires does: say so, or also stop what asks before it begins: a budget."""

    NOTIFY = "notify"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Usage of an account with its tree: of all that it pays for, if it is billed. `product` may have `*` in it.

    `threshold` is an integer: events, base units (`unit_size` of them are one `unit`), or minor units of the currency
    that `unit` names. `country` "" is every one.
    """

    id: str
    account: str
    measure: Measure
    threshold: int
    unit: str
    unit_size: int = 1
    product: str = "*"
    country: str = ""
    window: Window = Window.MONTH
    action: Action = Action.NOTIFY

    @property
    def is_daily(self) -> bool:
        """Whether its windows are days."""
        return self.window is Window.DAY

    def window_at(self, day: date) -> Period:
        """The window in which a day lies."""
        if self.is_daily:
            return Period(start=day, end=day + timedelta(days=1))
        return Period.of_month(day.year, day.month)

    def in_words(self, count: int) -> str:
        """A count of it, as people write it: in its unit."""
        if self.measure is Measure.AMOUNT:
            return format_minor(count, Currency(self.unit))
        return format_fraction(Fraction(count, self.unit_size))


def read_trigger(
    table: Mapping[str, object], place: str, products: Mapping[str, Product]
) -> tuple[Trigger | None, list[Fault]]:
    """A trigger from its table (TOML or JSON), or every fault of it."""
    faults: list[Fault] = []
    read = Reader(place=f"{place}: ", table=table, faults=faults)
    measure = Measure(read.choice("measure", tuple(Measure)))
    product = read.text("product", "*")
    unit = read.text("unit", EVENT if measure is Measure.EVENTS else None)
    size = _size_of(read, measure, product, unit, products)
    trigger = Trigger(
        id=read.text("id"),
        account=read.text("account"),
        product=product,
        country=read.text("country", ""),
        measure=measure,
        unit=unit,
        unit_size=1 if measure is Measure.AMOUNT else size,
        window=Window(read.choice("window", tuple(Window), Window.MONTH)),
        threshold=_threshold(read, size),
        action=Action(read.choice("action", tuple(Action), Action.NOTIFY)),
    )
    read.finish()
    check_name(read, trigger.id)
    if trigger.country and trigger.country not in ASSIGNED:
        read.fault("country", "is no country", "write its two capital letters, as in GB")
    return (None if faults else trigger), faults


def table_of(trigger: Trigger) -> dict[str, str]:
    """A trigger as its file, and JSON, write it; what `read_trigger` reads."""
    return {
        "id": trigger.id,
        "account": trigger.account,
        "product": trigger.product,
        "country": trigger.country,
        "measure": trigger.measure,
        "unit": trigger.unit,
        "window": trigger.window,
        "threshold": trigger.in_words(trigger.threshold),
        "action": trigger.action,
    }


def check_name(read: Reader, name: str) -> None:
    """Note it where the name of a trigger or guard is too long, or cannot be printed."""
    if len(name) > LONGEST_ID or not name.isprintable():
        read.fault("id", f"is not 1 to {LONGEST_ID} printable characters", "write a short name, as in acme-voice")


def trigger_faults(
    triggers: Sequence[Trigger], accounts: Mapping[str, Account], contracts: Mapping[str, Sequence[Contract]]
) -> list[Fault]:
    """What is wrong with triggers beside those whose usage they count."""
    return [fault for trigger in triggers for fault in _faults_among(trigger, accounts, contracts)]


class Subject(NamedTuple):
    """Whose usage is counted: all that a payer pays for, or of that what some accounts used (None: all of them)."""

    payer: str
    tree: tuple[str, ...] | None = None


def subject_of(
    account: str,
    accounts: Mapping[str, Account],
    contracts: Mapping[str, Sequence[Contract]],
    children: Mapping[str, Sequence[str]] | None = None,
) -> Subject | None:
    """Whose usage a trigger of an account counts; None where nobody pays. `children`: see `children_of`."""
    if account in accounts and is_billed(accounts[account], accounts, contracts):
        return Subject(account)
    payer = payer_of(account, accounts)
    if payer is None:
        return None
    below = children_of(accounts) if children is None else children
    return Subject(payer.id, tuple(_paid_below(account, accounts, below)))


def children_of(accounts: Mapping[str, Account]) -> dict[str, list[str]]:
    """The accounts right below each."""
    found: dict[str, list[str]] = {}
    for account in accounts.values():
        found.setdefault(account.parent, []).append(account.id)
    return found


def _paid_below(account: str, accounts: Mapping[str, Account], children: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """An account and those below it that pay no more than it does."""
    left = [account]
    while left:
        name = left.pop()
        yield name
        left += [child for child in children.get(name, ()) if not accounts[child].pays]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Counts of one measure, n rows in order of `subject`: the number of whose usage it is, the product's code in
    `products`, the country's, the day, and the count (int64, or Python's integers). Rows may repeat a key.
    """

    products: tuple[str, ...]
    subject: Int64s
    product: Int64s
    country: Int64s
    day: Int64s
    count: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What w windows of triggers come to: the place of the trigger, the first day of the window, and the count."""

    trigger: Int64s
    start: Int64s
    count: NDArray[np.int64]

    def reached(self, triggers: Sequence[Trigger]) -> Flags:
        """Which of them come to the thresholds of their triggers: these fire, unless they have."""
        thresholds = np.array([trigger.threshold for trigger in triggers], dtype=self.count.dtype)
        reached: Flags = (self.count >= thresholds[self.trigger]).astype(np.bool_)
        return reached


def counted(triggers: Sequence[Trigger], subjects: Int64s, sums: Sums) -> Counted:
    """The counts of all windows of triggers of one measure with any usage; `subjects` int64[t] are theirs."""
    pair, row = _selected(triggers, sums, *_pairs(subjects, sums.subject))
    daily = np.array([trigger.is_daily for trigger in triggers], dtype=np.bool_)
    start = np.where(daily[pair], sums.day[row], months_of(sums.day[row]))
    order = np.lexsort((start, pair))
    pair, start, count = pair[order], start[order], sums.count[row[order]]
    if not len(pair):
        return Counted(trigger=pair, start=start, count=count)
    first = np.flatnonzero((np.diff(pair, prepend=-1) != 0) | (np.diff(start, prepend=-1) != 0))
    if int(np.abs(count).max()) * len(count) > _HALF_OF_INT64:
        count = count.astype(object)
    return Counted(trigger=pair[first], start=start[first], count=np.add.reduceat(count, first))


def months_of(days: Int64s | Int32s) -> Int64s:
    """The first days of the months of days, all since the epoch."""
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    return months.astype("datetime64[D]").astype(np.int64)


def open_since(triggers: Sequence[Trigger], added: Sequence[datetime], found: Counted) -> Flags:
    """Which windows end after their trigger was added: what was over by then is not looked at."""
    days = [(each.date() - EPOCH).days for each in added]
    ends = {start: _end(day_of(start)) for start in np.unique(found.start).tolist()}
    end = np.array([ends[start] for start in found.start.tolist()], dtype=np.int64)
    daily = np.array([trigger.is_daily for trigger in triggers], dtype=np.bool_)[found.trigger]
    after: Flags = np.where(daily, found.start + 1, end) > np.array(days, dtype=np.int64)[found.trigger]
    return after


def _end(start: date) -> int:
    return (Period.of_month(start.year, start.month).end - EPOCH).days


def _pairs(subjects: Int64s, rows: Int64s) -> tuple[Int64s, Int64s]:
    """Each trigger with each row of its subject; `rows` are the subjects of rows, ascending."""
    first, end = np.searchsorted(rows, subjects, side="left"), np.searchsorted(rows, subjects, side="right")
    many = end - first
    pair = np.repeat(np.arange(len(subjects), dtype=np.int64), many)
    nth = np.arange(len(pair), dtype=np.int64) - np.repeat(np.cumsum(many) - many, many)
    return pair, np.repeat(first, many) + nth


def _selected(triggers: Sequence[Trigger], sums: Sums, pair: Int64s, row: Int64s) -> tuple[Int64s, Int64s]:
    """The pairs in which the trigger selects the row's product and country."""
    if not len(pair):
        return pair, row
    patterns = {pattern: code for code, pattern in enumerate(dict.fromkeys(each.product for each in triggers))}
    takes = np.array([[fnmatchcase(name, pattern) for name in sums.products] for pattern in patterns], dtype=np.bool_)
    pattern = np.array([patterns[each.product] for each in triggers], dtype=np.int64)[pair]
    country = np.array([COUNTRY_CODES[each.country] for each in triggers], dtype=np.int64)[pair]
    kept = takes[pattern, sums.product[row]] & ((country == 0) | (country == sums.country[row]))
    return pair[kept], row[kept]


def _size_of(read: Reader, measure: Measure, product: str, unit: str, products: Mapping[str, Product]) -> int:
    """How many of what is counted are one unit; 0 where that is a fault."""
    some = [each for each in products.values() if fnmatchcase(each.id, product)]
    if product and not some:
        read.fault("product", "selects no product", "write a product, or some as in voice.*")
    if not unit or measure is Measure.EVENTS:
        if unit and unit != EVENT:
            read.fault("unit", "is not what events are counted in", "leave it out")
        return int(measure is Measure.EVENTS and unit == EVENT)
    if measure is Measure.AMOUNT:
        if unit not in EXPONENTS:
            read.fault("unit", "is not a currency, which an amount is in", "write that of who pays, as in EUR")
            return 0
        return int(10 ** EXPONENTS[Currency(unit)])
    if not some:
        return 0
    sizes = {(each.base, each.units.get(unit)) for each in some}
    if len(sizes) != 1 or None in {size for _, size in sizes}:
        known = " or ".join(sorted(set.intersection(*(set(each.units) for each in some))))
        remedy = f"write {known}" if known else "select products that are counted alike, as in voice.*"
        read.fault("unit", f"is not a unit in which all of {product} is counted", remedy)
        return 0
    return next(size or 1 for _, size in sizes)


def _threshold(read: Reader, size: int) -> int:
    """The threshold in what is counted."""
    written = exact(read.decimal("threshold")) * size
    if not size or read.is_faulty("threshold"):
        return 1
    if written.denominator != 1:
        read.fault("threshold", "is not a whole number of what is counted", "write one with fewer decimals")
    elif not 0 < written <= INT64_MAX:
        read.fault("threshold", "is not a number from 1 up that 64 bits hold", 'write it as in "1000"')
    return written.numerator


def _faults_among(
    trigger: Trigger, accounts: Mapping[str, Account], contracts: Mapping[str, Sequence[Contract]]
) -> Iterator[Fault]:
    place = f"trigger {trigger.id}"
    subject = subject_of(trigger.account, accounts, contracts) if trigger.account in accounts else None
    if subject is None:
        problem = "is not an account" if trigger.account not in accounts else "is an account that nobody pays for"
        yield Fault(place=f"{place}: account", value=trigger.account, problem=problem, remedy="add the account first")
    elif trigger.measure is Measure.AMOUNT and accounts[subject.payer].currency != trigger.unit:
        currency = accounts[subject.payer].currency
        problem = f"is not the currency of {subject.payer}, who pays, and no amounts are converted"
        yield Fault(place=f"{place}: unit", value=trigger.unit, problem=problem, remedy=f"write {currency}")
