"""Tiers: a month rated and priced with three graduated tiers over mixed prices, against the same month without tiers.

Every account has a counter of its own, which all its calls fill. Each destination has prices of its own, so it matters
which call came first: on the days on which a counter crosses a bound the events decide, one by one, in their order.
Both sides rate 20 million calls from columns in memory to totals and price these to invoice lines; with tiers, the
crossing days are then found, their events rated for themselves, and placed.
"""

import argparse
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.harness import RUNS, Run, alternate, report
from benchmarks.rating import ACCOUNTS, FIRST_DAY, PREFIXES, PRODUCT, THREADS, Int64s, Month, make_month
from cli.world import products
from rates.cards import Card
from rates.compiled.cards import compile_card, lineages
from rates.lines import PricedLines
from rates.matching import Book, Books
from rates.money import EXPONENTS, currency, exact
from rates.prices import price_list
from rates.pricing import crossing_days, price
from rates.rating import rate
from rates.runs import blocks, in_threads
from rates.terms import Terms, card_terms
from rates.tiers import Measure, Mode, Schedule, Scope, Selector
from rates.totals import elements, rate_totals
from rates.usage import MICROSECONDS_A_DAY, Totals, UsageColumns, no_totals

BOUND = 1.4
_DAY_BITS = 6
_AT_ONCE = 4_000_000
EVENTS = 20_000_000
CHECKED = 1_000  # accounts whose amounts are worked out call by call
TIERS = Schedule(
    name="voice",
    mode=Mode.GRADUATED,
    up_to=(Decimal(100), Decimal(1000)),
    unit="minute",
    measure=Measure.QUANTITY,
    scope=Scope.BILLING_ACCOUNT,
    fill=(Selector(product=(PRODUCT,)),),
)


class Priced(NamedTuple):
    """The lines, and how many events were placed one by one."""

    lines: PricedLines
    placed: int


@dataclass(slots=True, kw_only=True)
class Side:
    """A month with a card that prices it; `events` are those of each account and day, found once."""

    month: Month
    usage: UsageColumns
    books: Books
    terms: Terms
    by_day: Int64s = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @classmethod
    def of(cls, month: Month, *, tiered: bool) -> "Side":
        """Compile the card, with three prices a destination or with one."""
        known = products()
        card = _card(month, tiered=tiered)
        many = len(month.number)
        usage = UsageColumns(
            products=(PRODUCT,),
            product=np.broadcast_to(np.int16(0), many),
            book=np.broadcast_to(np.int32(0), many),
            occurred_at=month.occurred_at,
            to=month.number,
            from_=np.broadcast_to(np.int64(0), many),
            measured=month.seconds,
        )
        books = Books([Book(lineages=tuple(lineages([compile_card(card, known)]).values()))])
        prices = dict(enumerate(price_list(card, known).prices))
        terms = Terms(currency="USD", prices=prices, products=known, cards={card.version: card_terms(card)})
        by_day = _days(month.account, month.occurred_at // MICROSECONDS_A_DAY)
        return cls(month=month, usage=usage, books=books, terms=terms, by_day=by_day)

    def prepare(self) -> Run:
        """Nothing is kept from run to run."""
        return self.bill

    def bill(self) -> Priced:
        """Rate, find the crossing days, rate their events, and price."""
        account = self.month.account
        totals, _ = rate_totals(self.usage, self.books, self.terms.products, account, account, threads=THREADS)
        crossings = no_totals()
        while len((wanted := crossing_days(totals, crossings, self.terms)).payer):
            crossings = crossings.plus(self._ordered(_days(wanted.payer, wanted.day)))
        return Priced(price(totals, crossings, self.terms), len(crossings))

    def _ordered(self, days: Int64s) -> Totals:
        """The usage of some days of accounts, event by event; the month is in chronological order already."""
        wanted = np.zeros(ACCOUNTS << _DAY_BITS, dtype=np.bool_)
        wanted[days] = True

        def rated(stretch: slice) -> Totals:
            rows = np.flatnonzero(wanted[self.by_day[stretch]]) + stretch.start
            some, account = self.usage.take(rows), self.month.account[rows]
            return elements(rate(some, self.books, self.terms.products), some, account, account)

        found = reduce(Totals.plus, in_threads(rated, list(blocks(len(self.by_day), _AT_ONCE))))
        return found.take(np.argsort(found.payer.astype(np.uint16), kind="stable"))


def _days(account: Int64s, day: NDArray[np.int32] | Int64s) -> Int64s:
    days: Int64s = account * (1 << _DAY_BITS) + (day - FIRST_DAY)
    return days


def _card(month: Month, *, tiered: bool) -> Card:
    many = len(month.prefixes)
    first = 100 + month.price % 997
    texts = [f"0.{n:04} 0.{n * 9 // 10:04} 0.{n * 3 // 4:04}" if tiered else f"0.{n:04}" for n in first.tolist()]
    rows = {
        "row": pa.array(np.arange(many, dtype=np.int32)),
        "product": [PRODUCT] * many,
        "prefixes": month.prefixes.astype("U9"),
        "destination": month.price.astype("U9"),
        "unit": ["minute"] * many,
        "prices": texts,
        "tiers": ["voice" if tiered else ""] * many,
        "increments": [f"{first}/{following}" for first, following in month.increments],
    }
    schedules = {TIERS.name: TIERS} if tiered else {}
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    return Card(id="list", currency="USD", effective_from=begins, schedules=schedules, rows=pa.table(rows))


def check(with_tiers: Priced, without: Priced) -> None:
    """Both bill the same calls and seconds; with tiers, each account's first 6,000 seconds lie on tier 1."""
    both = [(int(each.lines.events.sum()), int(each.lines.base_quantity.sum())) for each in (with_tiers, without)]
    tiers = np.array([key.tier == "1" for key in with_tiers.lines.keys])[with_tiers.lines.key]
    first = np.bincount(with_tiers.lines.payer[tiers], with_tiers.lines.base_quantity[tiers], ACCOUNTS)
    if both[0] != both[1] or first.max() != int(TIERS.up_to[0]) * 60 or not with_tiers.placed:
        raise SystemExit("the lines with tiers and without are not of the same usage")


def check_amounts(side: Side, found: PricedLines) -> None:
    """Some accounts' lines come to what their calls do, one after the other, each second at its tier's price."""
    rows = np.flatnonzero(side.month.account < CHECKED)
    rows = rows[np.argsort(side.month.account[rows], kind="stable")]
    some, account = side.usage.take(rows), side.month.account[rows]
    calls = elements(rate(some, side.books, side.terms.products), some, account, account)
    after = np.cumsum(calls.quantity)
    first = np.searchsorted(calls.account, calls.account)
    end = after - (after - calls.quantity)[first]
    edges = [0, *(int(bound) * 60 for bound in TIERS.up_to), int(end.max())]
    due = Fraction(0)
    for tier, (low, high) in enumerate(pairwise(edges)):
        within = np.clip(end, low, high) - np.clip(end - calls.quantity, low, high)
        seconds = np.zeros(int(calls.price.max()) + 1, dtype=np.int64)
        np.add.at(seconds, calls.price, within)
        for price_id in np.flatnonzero(seconds).tolist():
            due += int(seconds[price_id]) * exact(side.terms.prices[price_id].prices[tier]) / 60
    lines = np.flatnonzero(found.payer < CHECKED)
    charged = Fraction(int(found.amount_minor[lines].sum()), 10 ** EXPONENTS[currency(found.currency)])
    left = found.residuals
    for bottom in np.unique(left.denominator[lines]).tolist():
        charged += Fraction(int(left.numerator[lines[left.denominator[lines] == bottom]].sum()), bottom)
    if charged != due:
        raise SystemExit(f"the lines come to {charged}, the calls to {due}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the calls, for a quick look")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    month = make_month(int(EVENTS * options.scale))
    tiered, plain = Side.of(month, tiered=True), Side.of(month, tiered=False)
    found = tiered.bill()
    check(found, plain.bill())
    check_amounts(tiered, found.lines)
    sizes = {"events": len(month.number), "prefixes": PREFIXES, "accounts": ACCOUNTS, "placed": found.placed}
    sizes["lines"] = len(found.lines.payer)
    del found
    times = alternate(tiered.prepare, plain.prepare, options.runs)
    report(
        "tiers",
        times.ours / times.reference,
        BOUND,
        at_most=True,
        sizes=sizes,
        times=times,
        compared="seconds to rate and price a month from columns in memory, with three graduated tiers over mixed"
        f" prices for each account, against the same without tiers, {THREADS} threads",
    )


if __name__ == "__main__":
    main()
