"""Whether bills stay as they are when the books change: priced as committed, and as a unit of work would have them.

Each event may be charged the same and a bill may still change: counters and flats are of the book, not of an event.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from billing.flows.price import Pricer
from billing.invoices import lines_by_payer
from billing.payers import payers_of
from billing.periods import Period
from billing.rerating import Bill, Stretch, bill_of, line_in_words
from billing.store.accounts import read_accounts
from billing.store.engine import Connection, Engine, snapshot
from billing.store.totals import billed_by_month
from rates.products import Product

CHUNK = 2500
"""Accounts whose bills are compared at a time."""


class OtherBill(NamedTuple):
    """An account whose bill of a period would change, and the line that would."""

    payer: int
    account: str
    period: Period
    line: str


def other_bill(
    engine: Engine,
    connection: Connection,
    products: Mapping[str, Product],
    stretches: Sequence[Stretch],
    *,
    only_final: bool,
) -> OtherBill | None:
    """The first bill of usage that is stored which a change of the books within stretches would change.

    `connection` has the change, which is not committed. With `only_final`, of those with a final invoice.
    """
    if not stretches:
        return None
    payers = sorted({each.payer for each in stretches})
    since = min(each.since for each in stretches).date().replace(day=1)
    months = billed_by_month(connection, payers, since, max(each.until for each in stretches).date())
    with snapshot(engine) as before:
        for month, (rated, final) in months.items():
            period = Period.of_month(month.year, month.month)
            sides = [_Side(each, period, products) for each in (before, connection)]
            numbers = sorted(final if only_final else rated | final)
            for start in range(0, len(numbers), CHUNK):
                some = numbers[start : start + CHUNK]
                found = _first_difference(*(side.bills(some, final) for side in sides))
                if found is not None:
                    return OtherBill(found[0], sides[0].name(found[0]), period, found[1])
    return None


class _Side:
    """A period's bills as one connection sees them."""

    def __init__(self, connection: Connection, period: Period, products: Mapping[str, Product]) -> None:
        accounts = read_accounts(connection)
        self._period = period
        self._payers = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, period)
        self._pricer = Pricer.begin(connection, period, products, self._payers)

    def bills(self, numbers: Sequence[int], final: set[int]) -> dict[int, Bill]:
        """The bills of some accounts."""
        paying = [number for number in numbers if number in self._payers]
        totals = self._pricer.read(paying)
        lines = {
            number: bill_of(each, with_cards=number in final)
            for priced in self._pricer.price(paying, totals)
            for number, each in lines_by_payer(priced, str(self._period)).items()
        }
        failed: dict[int, Bill] = {number: (words,) for number, words in self._pricer.failed.items()}
        return {number: lines.get(number, failed.get(number, ())) for number in paying}

    def name(self, payer: int) -> str:
        """The account that pays."""
        return self._payers[payer].party.account


def _first_difference(before: Mapping[int, Bill], after: Mapping[int, Bill]) -> tuple[int, str] | None:
    """A payer whose bills differ, and the line that does."""
    payer = next((payer for payer in before if before[payer] != after[payer]), None)
    if payer is None:
        return None
    pairs = ((before[payer], after[payer]), (after[payer], before[payer]))
    line = next((line for these, those in pairs for line in these if line not in those), "")
    return payer, line_in_words(line)
