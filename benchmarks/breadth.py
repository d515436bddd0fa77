"""Breadth: how much a hundred further products, or a thousand further schedules, slow down the rating of the others.

The same calls are rated to totals by the same card, once with the catalogue alone and once beside a hundred products
with rates of their own, and beside a thousand schedules of which one in ten prices something else. Nothing of that is
about the calls, so the ratio is to stay near one.
"""

import argparse
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa

from benchmarks.harness import Run, Times, alternate, report
from benchmarks.rating import PREFIXES, PRODUCT, THREADS, Month, make_month
from cli.world import products
from rates.cards import Card
from rates.compiled.cards import compile_card, lineages
from rates.matching import Book, Books
from rates.products import Product
from rates.tiers import Measure, Mode, Schedule, Scope, Selector
from rates.totals import rate_totals
from rates.usage import UsageColumns

BOUND = 1.15
EVENTS, RUNS = 4_000_000, 11
MORE_PRODUCTS, MORE_SCHEDULES = 100, 1_000
PRICED_BY_SCHEDULES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The calls with a book, and the products that are known beside theirs."""

    month: Month
    usage: UsageColumns
    books: Books
    products: dict[str, Product]

    @classmethod
    def of(cls, month: Month, *, more_products: int = 0, more_schedules: int = 0) -> "Side":
        """Compile the card with so many rates of further products, and so many further schedules."""
        known = dict(products())
        known |= {
            name: replace(known["mms.outbound"], id=name) for name in _names(max(more_products, more_schedules and 1))
        }
        card = _card(month, more_products, more_schedules)
        many = len(month.number)
        usage = UsageColumns(
            products=tuple(known),
            product=np.broadcast_to(np.int16([*known].index(PRODUCT)), many),
            book=np.broadcast_to(np.int32(0), many),
            occurred_at=month.occurred_at,
            to=month.number,
            from_=np.broadcast_to(np.int64(0), many),
            measured=month.seconds,
        )
        books = Books([Book(lineages=tuple(lineages([compile_card(card, known)]).values()))])
        return cls(month=month, usage=usage, books=books, products=known)

    def prepare(self) -> Run:
        """Nothing is kept from run to run."""
        return self.rate

    def rate(self) -> int:
        """Rate all calls. Returns their seconds, which must be the same on all sides."""
        account = self.month.account
        totals, _ = rate_totals(self.usage, self.books, self.products, account, account, threads=THREADS)
        return int(totals.quantity.sum())


def _names(many: int) -> list[str]:
    return [f"other.{number:03}" for number in range(many)]


def _schedule(number: int) -> Schedule:
    return Schedule(
        name=f"schedule-{number:04}",
        mode=Mode.GRADUATED,
        up_to=(Decimal(1000 + number),),
        unit="message",
        measure=Measure.QUANTITY,
        scope=Scope.BILLING_ACCOUNT,
        fill=(Selector(product=("other.*",)),),
    )


def _card(month: Month, more_products: int, more_schedules: int) -> Card:
    """Calls by prefix; then a row for each further product, or of one further product for each schedule that prices."""
    priced = min(more_schedules, PRICED_BY_SCHEDULES)
    further = more_products + priced
    names = [*_names(more_products), *["other.000"] * priced]
    columns = {
        "product": [PRODUCT] * PREFIXES + names,
        "prefixes": [
            *month.prefixes.astype("U9").tolist(),
            *[""] * more_products,
            *map(str, range(1000, 1000 + priced)),
        ],
        "destination": [*month.price.astype("U9").tolist(), *["other"] * further],
        "unit": ["minute"] * PREFIXES + ["message"] * further,
        "prices": ["0.01"] * PREFIXES + ["0.02"] * more_products + ["0.03 0.02"] * priced,
        "increments": [f"{first}/{following}" for first, following in month.increments] + [""] * further,
        "tiers": [""] * (PREFIXES + more_products) + [f"schedule-{number:04}" for number in range(priced)],
    }
    rows = {"row": pa.array(np.arange(PREFIXES + further, dtype=np.int32)), **columns}
    return Card(
        id="list",
        currency="USD",
        effective_from=datetime(2026, 1, 1, tzinfo=UTC),
        schedules={each.name: each for each in map(_schedule, range(more_schedules))},
        rows=pa.table(rows),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the calls, for a quick look")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    month = make_month(int(EVENTS * options.scale))
    alone = Side.of(month)
    by_products = Side.of(month, more_products=MORE_PRODUCTS)
    by_schedules = Side.of(month, more_schedules=MORE_SCHEDULES)
    if len({side.rate() for side in (alone, by_products, by_schedules)}) > 1:
        raise SystemExit("the same calls come to other seconds")
    first: Times = alternate(by_products.prepare, alone.prepare, options.runs)
    second: Times = alternate(by_schedules.prepare, alone.prepare, options.runs)
    report(
        "breadth",
        first.ours / first.reference,
        BOUND,
        at_most=True,
        sizes={
            "events": len(month.number),
            "prefixes": PREFIXES,
            "more_products": MORE_PRODUCTS,
            "more_schedules": MORE_SCHEDULES,
        },
        times=first,
        compared=f"seconds to rate calls from columns in memory beside {MORE_PRODUCTS} further products with rates"
        f" (schedules: beside {MORE_SCHEDULES} further schedules), against the same without, {THREADS} threads; the"
        " seconds billed are the same",
        further={"schedules": (second.ours / second.reference, BOUND)},
    )


if __name__ == "__main__":
    main()
