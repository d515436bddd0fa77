"""What one event is charged: its elements, and what of them is not simply quantity × price.

Four things are settled within the event, before anything is summed; each needs a row with one price (FORMATS 2):

- steps      The billed quantity is cut at the row's bounds, and each piece has the price of its step.
- windows    Where they split, the measured seconds are cut wherever the clock on the wall enters or leaves one. Each
             second belongs to the window in which it begins; what increments add to the seconds belongs to the last.
- limits     A charge below the row's minimum, or above its maximum, is replaced by that amount.
- rounding   Where a card rounds each event, usage and setup fee are summed and rounded once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

import billing.verifier_usage as given
from billing.verifier_cards import Match, Row
from billing.verifier_usage import Product

_MOST_STEPS = 2**63 - 1  # what a charge in units of 10^-decimals may have: 9.2 million at 12 decimals
_LIMITED = ("setup", "surcharge")  # what is held to the row's limits together with the usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One priced part of an event: `quantity` base units, of which `size` are one `unit`, at the `price` of tier 1.

    `events` is 0 where the event is counted elsewhere: on the first part of its usage. `rounded` is the amount that
    stands in place of quantity × price, None where nothing does.
    """

    name: str
    match: Match
    unit: str
    price: Fraction
    size: int = 1
    quantity: int = 1
    events: int = 1
    rounded: Fraction | None = None

    @property
    def units(self) -> int:
        """What is counted on its line: what is priced per event is counted once, however long it was."""
        return 1 if self.unit == "event" else self.quantity

    @property
    def cost(self) -> Fraction:
        """Its exact amount at `price`."""
        return Fraction(self.units * self.price, self.size)

    @property
    def list_cost(self) -> Fraction:
        """Its exact amount before the discounts of a schedule: what counters of money count."""
        price = self.price if self.match.row.steps else self.match.row.list_price
        return Fraction(self.units * price, self.size)

    def price_at(self, tier: int) -> Fraction:
        """The price in a tier, counted from 0; a step has the same in all."""
        return self.price if self.match.row.steps else self.match.row.prices[tier]


class ChargeTooLargeError(Exception):
    """An event that is rounded by itself comes to more steps of rounding than are counted."""


class BlockedPartError(Exception):
    """A part of an event lies in a window whose row is blocked: nothing of the event can be billed."""


def usage_parts(main: Match, product: Product, at: datetime, measured: int, billed: int) -> tuple[Element, ...]:
    """The usage of an event from `at` on, in pieces that have one row and one price each, in order."""
    if not main.split:
        pieces = [(main.row, price, units) for price, units in _cut_by_steps(main.row, billed)]
    else:
        stretches = _cut_by_windows(main, at, measured)
        # Increments are applied to the event as a whole: what they add is in its last stretch.
        stretches[-1] = (stretches[-1][0], stretches[-1][1] + billed - measured)
        pieces = [(row, row.prices[0], units) for row, units in stretches]
    return tuple(
        Element(
            name="usage", match=main if row is main.row else replace(main, row=row), unit=row.unit, price=price,
            size=product.size(row.unit), quantity=units, events=0 if number else 1,
        )
        for number, (row, price, units) in enumerate(pieces)
    )  # fmt: skip


def _cut_by_steps(row: Row, billed: int) -> list[tuple[Fraction, int]]:
    """(price, units) of each step that the event has reached; all at its price for a row without steps."""
    if not row.steps:
        return [(row.prices[0], billed)]
    ends = [*(bound for bound, _ in row.steps[1:]), billed]
    return [
        (price, min(end, billed) - begin) for (begin, price), end in zip(row.steps, ends, strict=True) if begin < billed
    ]


def _cut_by_windows(match: Match, at: datetime, measured: int) -> list[tuple[Row, int]]:
    """(row, seconds) of each stretch between two changes on the clock, minute after minute.

    Windows begin and end on whole minutes, and since 1972 all clocks differ from UTC by whole minutes: so what holds
    for the first second that begins in a minute of UTC holds for every one that does.
    """
    stretches: list[tuple[Row, int]] = []
    seen = 0
    while seen < measured:
        second = at + timedelta(seconds=seen)
        row = match.at(second)
        if row.blocked:
            raise BlockedPartError
        seconds = min(60 - second.second, measured - seen)
        if stretches and stretches[-1][0] is row:
            stretches[-1] = (row, stretches[-1][1] + seconds)
        else:
            stretches.append((row, seconds))
        seen += seconds
    return stretches


def settle(
    main: Match, parts: Sequence[Element], beside: Iterable[Element]
) -> tuple[tuple[Element, ...], list[Element]]:
    """The parts of the usage and what is beside them, once limits and rounding per event have been applied."""
    others, own = list[Element](), list[Element]()
    for element in beside:
        (own if element.name in _LIMITED else others).append(element)
    if limit := _limit(main, sum((element.cost for element in (*parts, *own)), Fraction(0))):
        return (), [limit, *others]
    if main.card.per_event is None:
        return tuple(parts), [*own, *others]
    # The row's own setup fee goes in with its usage, and all of it is shown with the first part.
    charge = sum((part.cost for part in parts), main.row.setup_fee or Fraction(0))
    whole = given.to_step(charge, *main.card.per_event)
    if Fraction(whole, main.card.per_event[0]) > _MOST_STEPS:
        raise ChargeTooLargeError
    amounts = (whole, *(Fraction(0) for _ in parts[1:]))
    beside = [element for element in own if element.match.row is not main.row]
    rounded = (replace(part, rounded=amount) for part, amount in zip(parts, amounts, strict=True))
    return tuple(rounded), [*beside, *others]


def _limit(main: Match, charge: Fraction) -> Element | None:
    """The row's minimum or maximum where the charge lies beyond it; one that is met exactly changes nothing."""
    low, high = main.row.min_charge, main.row.max_charge
    if low is not None and charge < low:
        return Element(name="minimum", match=main, unit="event", price=low)
    if high is not None and charge > high:
        return Element(name="maximum", match=main, unit="event", price=high)
    return None
