"""Netting: what contracts take off the priced lines of a period, and what they add. The second pass over money.

It works on rounded lines, in integers of minor units, and in the order of DESIGN 7: the maximum of a commitment, its
minimum (true-up), the support plans of the month before, then promotional credits. What is divided is divided by
largest remainder, in invoice steps. `docs/decisions/0014-the-order-of-money.md` says what is divided among what.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import compress
from math import lcm
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.deals import Agreed, Commitment, Credit, is_committed, payer_and_terms
from rates.lines import LineKey, PricedLines
from rates.money import EXPONENTS, Currency, currency, exact, format_minor, invoice_step, round_ratio
from rates.products import Product
from rates.quantities import INT64_MAX, require_headroom
from rates.ratios import Ratios
from rates.support import SUPPORT, SUPPORT_PLAN
from rates.terms import Terms
from rates.tiers import Selector, selected

MAXIMUM_SPEND = "maximum_spend"
TRUE_UP = "true_up"
CREDIT = "credit"
"""The elements of the lines of the second pass, in the order in which they come about."""

NETTED = frozenset({MAXIMUM_SPEND, TRUE_UP, SUPPORT, CREDIT})

MINOR = "minor"
"""The base unit of these lines: minor units of the currency, which is their unit."""


class _Row(NamedTuple):
    """A line of one payer; `residual` in major units."""

    payer: int
    key: LineKey
    events: int
    base_quantity: int
    amount_minor: int
    residual: Fraction
    cards: tuple[str, ...]


class _Cell(NamedTuple):
    """What amounts are told apart by. `aside`: no commitment is about them. `terms` are those of their days."""

    product: str
    country: str
    aside: bool
    terms: int


@dataclass(slots=True)
class _Line:
    """A line gathered over its days: exact minor units by the terms of these."""

    events: int = 0
    base_quantity: int = 0
    exact: dict[int, Fraction] = field(default_factory=dict)
    cards: set[str] = field(default_factory=set)


def net(lines: PricedLines, terms: Terms, payers: Sequence[int]) -> PricedLines:
    """The lines with those that the commitments and credits of their payers bring; `payers` also names idle ones.

    Lines of a payer whose terms change within the period come apart, by `deals.under`, and are put together.
    """
    if terms.agreements is None:
        return lines
    agreed = terms.agreements.by_payer
    own, held = payer_and_terms(lines.payer)
    named = {*payers, *np.unique(own).tolist()}
    concerned = sorted(number for number in named if number in agreed and agreed[number].has_money)
    if not concerned:
        return lines
    apart = [number for number in concerned if len(agreed[number].terms()) > 1]
    in_one = np.setdiff1d(concerned, apart)
    cells = _cells(lines, np.flatnonzero(np.isin(lines.payer, in_one)), terms.products)
    moved = np.isin(own, apart)
    rows_of: dict[int, list[tuple[int, int]]] = {number: [] for number in apart}
    at = np.flatnonzero(moved)
    for row, number, under in zip(at.tolist(), own[at].tolist(), held[at].tolist(), strict=True):
        rows_of[number].append((row, under))
    rows: list[_Row] = []
    for number in concerned:
        bill = _Bill(payer=number, money=currency(lines.currency), agreed=agreed[number], cells=cells.get(number, {}))
        rows += bill.gather(lines, rows_of[number], terms.products) if number in rows_of else ()
        rows += bill.rows()
    return _joined(lines, ~moved, rows)


def _cells(
    lines: PricedLines, rows: NDArray[np.int64], products: Mapping[str, Product]
) -> dict[int, dict["_Cell", int]]:
    """What the lines of payers under one set of terms come to, by payer; `rows` int64[n] are those lines."""
    if not len(rows):
        return {}
    named = [_Cell(key.product, key.country, not _committed(key, products), 0) for key in lines.keys]
    distinct = sorted(set(named))
    places = {cell: place for place, cell in enumerate(distinct)}
    cell = np.array([places[each] for each in named], dtype=np.int64)[lines.key[rows]]
    packed = lines.payer[rows] * len(distinct) + cell
    order = np.argsort(packed, kind="stable")
    first = np.flatnonzero(np.diff(packed[order], prepend=-1))
    # In Python's integers where 64 bits might not hold a sum.
    amounts = lines.amount_minor[rows][order]
    fits = int(np.abs(amounts).max()) * len(amounts) <= INT64_MAX
    sums = np.add.reduceat(amounts if fits else amounts.astype(object), first)
    found: dict[int, dict[_Cell, int]] = {}
    for each, minor in zip(packed[order][first].tolist(), sums.tolist(), strict=True):
        payer, place = divmod(each, len(distinct))
        found.setdefault(payer, {})[distinct[place]] = minor
    return found


def _committed(key: LineKey, products: Mapping[str, Product]) -> bool:
    return is_committed(products.get(key.product), key.element)


def bound_minor(amount: Decimal, days: int, of_days: int, money: Currency) -> int:
    """What some days' part of an amount a month is, in minor units, rounded once to the invoice step."""
    step = invoice_step(money)
    top = exact(amount) * days * 10 ** EXPONENTS[money]
    return round_ratio(top.numerator, top.denominator * of_days * step) * step


def apportioned(total: int, weights: Sequence[Fraction | int]) -> list[int]:
    """`total` divided in proportion to weights (0 or more) by largest remainder; ties go to the first."""
    # In integers over one denominator: fractions take several times as long.
    common = lcm(*(weight.denominator for weight in weights))
    parts = [weight.numerator * (common // weight.denominator) for weight in weights]
    whole = sum(parts)
    if not whole:
        return [0] * len(parts)
    shares = [total * part // whole for part in parts]
    remainders = [total * part % whole for part in parts]
    by_remainder = sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares


@dataclass(slots=True, kw_only=True)
class _Bill:
    """One payer's bill in the second pass: what is left of its lines by cell, and what was taken off or added."""

    payer: int
    money: Currency
    agreed: Agreed
    cells: dict[_Cell, int]
    added: dict[LineKey, int] = field(default_factory=dict)

    def gather(
        self, lines: PricedLines, rows: Iterable[tuple[int, int]], products: Mapping[str, Product]
    ) -> Iterator[_Row]:
        """Put lines together that are apart by their terms: `rows` are (row, terms)."""
        scale, step = 10 ** EXPONENTS[self.money], invoice_step(self.money)
        for key, line in _gathered(lines, rows, scale).items():
            whole = sum(line.exact.values(), Fraction(0))
            minor = round_ratio(whole.numerator, whole.denominator * step) * step
            residual = (whole - minor) * Fraction(1, scale)
            yield _Row(self.payer, key, line.events, line.base_quantity, minor, residual, tuple(sorted(line.cards)))
            held = sorted(line.exact)
            shares = self.divided(minor, [line.exact[under] for under in held]) if len(held) > 1 else [minor]
            for under, share in zip(held, shares, strict=True):
                cell = _Cell(key.product, key.country, not _committed(key, products), under)
                self.cells[cell] = self.cells.get(cell, 0) + share

    def rows(self) -> Iterator[_Row]:
        """The lines of commitments, support plans and credits."""
        for commitment in dict.fromkeys(each.commitment for each in self.agreed.terms() if each.commitment):
            self.hold_to(commitment)
        self.post_support()
        used = dict(self.agreed.used)
        credit = dict.fromkeys(one for each in self.agreed.terms() for one in each.credits)
        for each in sorted(credit, key=lambda one: one.turn):
            used[each.id] = used.get(each.id, 0) + self.pay(each, used.get(each.id, 0))
        for key, quantity in self.added.items():
            yield _Row(self.payer, key, 0, quantity, quantity * key.unit_price.numerator, Fraction(0), ())

    def hold_to(self, commitment: Commitment) -> None:
        """Take off what is above the maximum, and add what lacks of the minimum."""
        spans = [span for span in self.agreed.spans if span.deal.commitment == commitment]
        held = {i for i, each in enumerate(self.agreed.terms()) if each.commitment == commitment}
        days = sum(span.days for span in spans)
        cells = self.taken(commitment.on, lambda cell: cell.terms in held and not cell.aside)
        come_to = sum(self.cells[cell] for cell in cells)
        if commitment.most is not None:
            most = bound_minor(commitment.most, days, self.agreed.days, self.money)
            self.reduce(MAXIMUM_SPEND, f"maximum {format_minor(most, self.money)}", come_to - most, cells)
            come_to = min(come_to, most)
        if commitment.least is not None:
            least = bound_minor(commitment.least, days, self.agreed.days, self.money)
            if come_to < least:
                self.add(LineName("", TRUE_UP, "", f"minimum {format_minor(least, self.money)}"), 1, least - come_to)
                last = _Cell("", "", False, self.agreed.terms().index(spans[-1].deal.money))  # noqa: FBT003 (a field)
                self.cells[last] = self.cells.get(last, 0) + least - come_to

    def post_support(self) -> None:
        """Add what the support plans of the month before come to. It is of the first day: of the first terms."""
        first = _Cell(SUPPORT_PLAN, "", aside=True, terms=0)
        for each in self.agreed.support:
            due = each.minor(self.money)
            self.cells[first] = self.cells.get(first, 0) + due
            self.add(LineName(SUPPORT_PLAN, SUPPORT, "", each.name), 1, due)

    def pay(self, credit: Credit, used: int) -> int:
        """Pay what a credit still can, of which so much is used; gives what it paid."""
        held = {i for i, each in enumerate(self.agreed.terms()) if credit in each.credits}
        cells = self.taken(credit.on, lambda cell: cell.terms in held)
        left = bound_minor(credit.amount, 1, 1, self.money) - used
        paid = max(min(left, sum(self.cells[cell] for cell in cells)), 0)
        self.reduce(CREDIT, credit.id, paid, cells)
        return paid

    def taken(self, on: tuple[Selector, ...], wanted: Callable[[_Cell], bool]) -> list[_Cell]:
        """The cells that selectors take and are wanted, in their order."""
        cells = (cell for cell in sorted(self.cells) if wanted(cell))
        return [cell for cell in cells if selected(on, cell.product, cell.country, "")]

    def reduce(self, element: str, name: str, by: int, cells: Sequence[_Cell]) -> None:
        """Take an amount off cells, on a line for each product and country."""
        if by <= 0:
            return
        for cell, share in zip(cells, self.divided(by, [self.cells[cell] for cell in cells]), strict=True):
            self.cells[cell] -= share
            self.add(LineName(cell.product, element, cell.country, name), -1, share)

    def divided(self, total: int, weights: Sequence[Fraction | int]) -> list[int]:
        """An amount divided in invoice steps."""
        step = invoice_step(self.money)
        return [share * step for share in apportioned(total // step, weights)]

    def add(self, name: "LineName", sign: int, minor: int) -> None:
        """Put an amount on a line of its own."""
        if minor:
            key = LineKey(*name, "", Fraction(sign), self.money, 10 ** EXPONENTS[self.money], MINOR)
            self.added[key] = self.added.get(key, 0) + minor


class LineName(NamedTuple):
    """What a line of the second pass is called: where it belongs, and which bound or credit it is of."""

    product: str
    element: str
    country: str
    destination: str


def _gathered(lines: PricedLines, rows: Iterable[tuple[int, int]], scale: int) -> dict[LineKey, _Line]:
    found: dict[int, _Line] = {}
    for row, under in rows:
        line = found.setdefault(int(lines.key[row]), _Line())
        line.events += int(lines.events[row])
        line.base_quantity += int(lines.base_quantity[row])
        top, bottom = int(lines.residuals.numerator[row]), int(lines.residuals.denominator[row])
        whole = Fraction(int(lines.amount_minor[row]) * bottom + top * scale, bottom)
        line.exact[under] = line.exact[under] + whole if under in line.exact else whole
        line.cards.update(lines.cards[row])
    return {lines.keys[key]: line for key, line in found.items()}


def _joined(lines: PricedLines, kept: NDArray[np.bool_], rows: Sequence[_Row]) -> PricedLines:
    """The lines that are kept, and others put between them, in the order of payers and keys."""
    keys = sorted({*lines.keys, *(row.key for row in rows)})
    places = {key: place for place, key in enumerate(keys)}
    known = np.array([places[key] for key in lines.keys], dtype=np.int64)
    for what in ("base_quantity", "amount_minor"):
        require_headroom(max((abs(getattr(row, what)) for row in rows), default=0), f"the {what} of a line")
    rows = sorted(rows, key=lambda row: (row.payer, row.key))
    payer, key = lines.payer[kept], known[lines.key[kept]]
    names = np.array([row.payer * len(keys) + places[row.key] for row in rows], dtype=np.int64)
    # What is kept is in order, and stays in it.
    at = np.searchsorted(payer * len(keys) + key, names)

    def with_rows(column: NDArray[Any], values: Iterable[Any]) -> NDArray[Any]:
        return np.insert(column, at, np.fromiter(values, dtype=column.dtype, count=len(rows)))

    return PricedLines(
        currency=lines.currency,
        keys=keys,
        payer=with_rows(payer, (row.payer for row in rows)),
        key=with_rows(key, (places[row.key] for row in rows)).astype(np.int32),
        events=with_rows(lines.events[kept], (row.events for row in rows)),
        base_quantity=with_rows(lines.base_quantity[kept], (row.base_quantity for row in rows)),
        amount_minor=with_rows(lines.amount_minor[kept], (row.amount_minor for row in rows)),
        residuals=_residuals(lines.residuals, kept, [row.residual for row in rows], at),
        cards=with_rows(
            np.fromiter(compress(lines.cards, kept), dtype=object, count=len(payer)), (row.cards for row in rows)
        ).tolist(),
    )


def _residuals(before: Ratios, kept: NDArray[np.bool_], more: Sequence[Fraction], at: NDArray[np.int64]) -> Ratios:
    widest = max((max(abs(each.numerator), each.denominator) for each in more), default=0)
    kind = before.numerator.dtype if widest <= INT64_MAX else np.dtype(object)
    tops = np.array([each.numerator for each in more], dtype=kind)
    bottoms = np.array([each.denominator for each in more], dtype=kind)
    return Ratios(
        numerator=np.insert(before.numerator[kept].astype(kind, copy=False), at, tops),
        denominator=np.insert(before.denominator[kept].astype(kind, copy=False), at, bottoms),
    )
