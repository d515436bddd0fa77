"""Adjustments: what a month that was billed comes to now, minus all that was billed for it, line key by line key.

Both sides are rounded lines: of each key the amount is the rounded one of now minus those that were issued, and the
residual is such a difference too, so that amount and residual together are the exact difference. A key that is gone
gives a negative line. Promotional credits and support stay out on both sides: they are not worked out anew for what
came late.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from billing.invoices import Adjusted, InvoiceLine
from billing.periods import Period
from rates.deals import Agreed
from rates.lines import LineKey, PricedLines
from rates.money import Currency, currency
from rates.netting import CREDIT, bound_minor
from rates.quantities import INT64_MAX, require_headroom
from rates.ratios import Ratios
from rates.support import SUPPORT

NOT_AGAIN = frozenset({CREDIT, SUPPORT})
"""Elements of lines that are not worked out anew where a month is adjusted."""

LATE_LIMIT = 3
"""How many months before the one that is drawn up are adjusted without a person who releases it."""


class Part(NamedTuple):
    """What lies on a line; `residual` in major units."""

    events: int
    base_quantity: int
    amount_minor: int
    residual: Fraction
    cards: tuple[str, ...]


Parts = Mapping[LineKey, Part]


class AddedLine(NamedTuple):
    """A line that a document has beside those of its own month: of which payer and month it is."""

    payer: int
    origin: str
    key: LineKey
    part: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What a payer is still billed for a month, or gets back; `corrects` is the number of what billed it first."""

    payer: int
    currency: Currency
    about: Adjusted
    lines: Parts
    corrects: str = ""

    @property
    def net_minor(self) -> int:
        """The sum of its lines."""
        return sum(part.amount_minor for part in self.lines.values())

    @property
    def is_credit(self) -> bool:
        """Whether it is a credit note, and not lines on the next invoice."""
        return self.net_minor < 0

    def added(self) -> list[AddedLine]:
        """Its lines, in the order of their keys."""
        return [AddedLine(self.payer, self.about.period, key, part) for key, part in sorted(self.lines.items())]


def difference(now: Parts, issued: Parts) -> dict[LineKey, Part]:
    """What lines come to now minus what was issued. What is gone has the cards that it was issued with."""
    found = {}
    for key in sorted({*now, *issued}):
        ours, theirs = now.get(key), issued.get(key)
        left = _minus(ours, theirs)
        if left.events or left.base_quantity or left.amount_minor or left.residual:
            found[key] = left
    return found


def _minus(now: Part | None, issued: Part | None) -> Part:
    cards = now.cards if now is not None else issued.cards if issued is not None else ()
    ours, theirs = now or NOTHING, issued or NOTHING
    return Part(
        ours.events - theirs.events,
        ours.base_quantity - theirs.base_quantity,
        ours.amount_minor - theirs.amount_minor,
        ours.residual - theirs.residual,
        cards,
    )


NOTHING = Part(0, 0, 0, Fraction(0), ())


def plus(one: Part, other: Part) -> Part:
    """Both on one line."""
    return Part(
        one.events + other.events,
        one.base_quantity + other.base_quantity,
        one.amount_minor + other.amount_minor,
        one.residual + other.residual,
        tuple(sorted({*one.cards, *other.cards})),
    )


def parts_of(lines: Iterable[InvoiceLine]) -> dict[LineKey, Part]:
    """What invoice lines of one month and payer come to by their keys, without `NOT_AGAIN`."""
    found: dict[LineKey, Part] = {}
    for line in lines:
        if line.element not in NOT_AGAIN:
            key = key_of_line(line)
            part = Part(line.events, line.base_quantity, line.amount_minor, line.residual, line.cards)
            found[key] = plus(found[key], part) if key in found else part
    return found


def parts_by_payer(priced: PricedLines) -> dict[int, dict[LineKey, Part]]:
    """What each payer's lines come to by their keys, without `NOT_AGAIN`."""
    found: dict[int, dict[LineKey, Part]] = {}
    columns = (priced.payer, priced.key, priced.events, priced.base_quantity, priced.amount_minor)
    for i, (payer, at, events, quantity, amount) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
        key = priced.keys[at]
        if key.element not in NOT_AGAIN:
            found.setdefault(payer, {})[key] = Part(events, quantity, amount, priced.residuals[i], priced.cards[i])
    return found


def line_of(key: LineKey, part: Part, origin: str) -> InvoiceLine:
    """A line of an invoice."""
    return InvoiceLine(
        product=key.product,
        element=key.element,
        country=key.country,
        destination=key.destination,
        tier=key.tier,
        events=part.events,
        unit=key.unit,
        unit_size=key.unit_size,
        unit_price=key.unit_price,
        amount_minor=part.amount_minor,
        residual=part.residual,
        base_quantity=part.base_quantity,
        base_unit=key.base,
        origin_period=origin,
        cards=part.cards,
    )


def key_of_line(line: InvoiceLine) -> LineKey:
    """What makes a line one line."""
    return LineKey(
        line.product,
        line.element,
        line.country,
        line.destination,
        line.tier,
        line.unit_price,
        line.unit,
        line.unit_size,
        line.base_unit,
    )


def without_credits(agreed: Agreed, code: str) -> Agreed:
    """What was agreed, without support plans, and with all promotional credits used up.

    They pay nothing, and divide what they always divided.
    """
    money = currency(code)
    every = {credit.id: credit for span in agreed.spans for credit in span.deal.credits}
    used = {name: bound_minor(each.amount, 1, 1, money) for name, each in every.items()}
    return replace(agreed, used=used, support=())


def beyond(origin: Period, period: Period, limit: int) -> bool:
    """Whether a month lies more than `limit` months before the one that is drawn up."""
    months = (period.start.year - origin.start.year) * 12 + period.start.month - origin.start.month
    return months > limit


class Joined(NamedTuple):
    """Lines of several months: `origins` are the months, `origin` int32[m] says whose a line is."""

    lines: PricedLines
    origins: Sequence[str]
    origin: NDArray[np.int32]


def joined(own: PricedLines, period: str, added: Sequence[AddedLine]) -> Joined:
    """The lines of a month and those of earlier ones behind them, payer by payer, each month's in the order of keys."""
    if not added:
        return Joined(own, [period], np.zeros(len(own.payer), dtype=np.int32))
    for what in ("base_quantity", "amount_minor"):
        require_headroom(max(abs(getattr(each.part, what)) for each in added), f"the {what} of a line")
    keys = sorted({*own.keys, *(each.key for each in added)})
    places = {key: place for place, key in enumerate(keys)}
    origins = [period, *sorted({each.origin for each in added})]
    months = {origin: number for number, origin in enumerate(origins[1:], start=1)}
    known = np.array([places[key] for key in own.keys], dtype=np.int32)

    def with_added(column: NDArray[Any], values: Iterable[int]) -> NDArray[Any]:
        return np.concatenate([column, np.fromiter(values, dtype=column.dtype, count=len(added))])

    payer = with_added(own.payer, (each.payer for each in added))
    key = with_added(known[own.key], (places[each.key] for each in added))
    origin = with_added(np.zeros(len(own.payer), dtype=np.int32), (months[each.origin] for each in added))
    order = np.lexsort((key, origin, payer))
    cards = [*own.cards, *(each.part.cards for each in added)]
    return Joined(
        PricedLines(
            currency=own.currency,
            keys=keys,
            payer=payer[order],
            key=key[order],
            events=with_added(own.events, (each.part.events for each in added))[order],
            base_quantity=with_added(own.base_quantity, (each.part.base_quantity for each in added))[order],
            amount_minor=with_added(own.amount_minor, (each.part.amount_minor for each in added))[order],
            residuals=_residuals(own.residuals, [each.part.residual for each in added], order),
            cards=[cards[i] for i in order.tolist()],
        ),
        origins,
        origin[order],
    )


def no_lines(code: str) -> PricedLines:
    """No lines at all, in a currency."""
    nothing = np.zeros(0, dtype=np.int64)
    return PricedLines(
        currency=code,
        keys=[],
        payer=nothing,
        key=nothing.astype(np.int32),
        events=nothing,
        base_quantity=nothing,
        amount_minor=nothing,
        residuals=Ratios(numerator=nothing, denominator=nothing),
        cards=[],
    )


def _residuals(own: Ratios, more: Sequence[Fraction], order: NDArray[np.intp]) -> Ratios:
    fits = all(max(abs(each.numerator), each.denominator) <= INT64_MAX for each in more)
    kind = own.numerator.dtype if fits else np.dtype(object)
    tops = np.array([each.numerator for each in more], dtype=kind)
    bottoms = np.array([each.denominator for each in more], dtype=kind)
    return Ratios(
        numerator=np.concatenate([own.numerator.astype(kind), tops])[order],
        denominator=np.concatenate([own.denominator.astype(kind), bottoms])[order],
    )


def by_currency(adjustments: Iterable[Adjustment]) -> list[tuple[Currency, list[Adjustment]]]:
    """Adjustments by their currency, in order."""
    ordered = sorted(adjustments, key=lambda each: (each.currency, each.payer, each.about.period))
    return [(code, list(some)) for code, some in groupby(ordered, key=lambda each: each.currency)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LateEvent:
    """An event that came after a month was billed: what it is charged for is in base units, below zero if it went."""

    source: str
    id: str
    occurred_at: datetime
    received_at: datetime
    base_quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustmentExplanation:
    """A line that adjusts an earlier month: what was issued of it `before`, by which documents, and what it is now.

    `came` counts the events of its product that came in between and are charged for, a `page` of which is listed. What
    they do not account for was rated again, or moved by them from one tier to another.
    """

    account: str
    invoice: str
    period: str
    line: InvoiceLine
    currency: Currency
    issued: tuple[tuple[str, str], ...]
    before: Part
    now: Part
    came: int
    page: tuple[LateEvent, ...]
