"""The usage of days in order: as it is rated and as it can be rated again, read once for whoever asks."""

import numpy as np

from billing.flows.days import Days
from billing.flows.imagine import numbered_payers
from billing.flows.price import days_numbered
from billing.store.accounts import read_accounts
from billing.store.engine import snapshot
from billing.store.queries.pricing import read_crossings
from billing.store.totals import read_totals
from rates.packing import joined
from rates.pricing import Wanted
from rates.usage import TOTALS, Totals
from tests.shop import OCTOBER, Shop, call, read

CARD = """
id = "list"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
timezone = "America/New_York"

[windows.peak]
days = ["mon", "tue", "wed", "thu", "fri"]
from = "08:00"
to = "20:00"
split = true

[[rate]]
product = "voice.outbound"
destination = "United Kingdom"
prefixes = ["44"]
window = "peak"
unit = "minute"
increments = "1/1"
price = "0.03"
[[rate]]
product = "voice.outbound"
destination = "United Kingdom, night"
prefixes = ["44"]
unit = "minute"
increments = "1/1"
price = "0.01"
"""


def rows(totals: Totals) -> list[tuple[int, ...]]:
    return list(zip(*(getattr(totals, name).tolist() for name in TOTALS), strict=True))


def used(shop: Shop) -> None:
    """Calls of two accounts on three days: some are cut at 8:00 in New York, some nobody charges, some wait."""
    shop.publish(read(CARD))
    shop.admit("acme", "bolt")
    days = [f"2026-10-0{day}T11:59:{30 + n}Z" for day in (5, 6, 7) for n in (7, 1, 1)]
    calls = [call(n, account=("acme", "bolt")[n % 2], occurred_at=at) for n, at in enumerate(days)]
    unpriced = [call(20, occurred_at=days[0], to="+33123456789"), call(21, occurred_at=days[4], status="busy")]
    shop.post(*calls, *unpriced)


def every_day(totals: Totals) -> Wanted:
    _, first = np.unique(days_numbered(totals.payer, totals.day), return_index=True)
    return Wanted(totals.payer[first], totals.day[first])


def test_what_is_rated_of_days_is_what_bills_read_and_all_of_it_can_be_rated_again(shop: Shop) -> None:
    used(shop)
    with snapshot(shop.engine) as connection:
        totals = read_totals(connection, OCTOBER)
        days = Days(reading=connection, period=OCTOBER, paid=numbered_payers(read_accounts(connection)))
        wanted = every_day(totals)
        found = list(days.of(wanted))
        billed = rows(read_crossings(connection, wanted))
    assert billed == rows(joined([some.rated for some in found]))
    assert 9 < len(billed)  # calls were cut
    assert 11 == sum(len(some.events) for some in found)


def test_a_day_that_was_read_is_not_read_again_until_it_is_forgotten(shop: Shop) -> None:
    used(shop)
    with snapshot(shop.engine) as connection:
        totals = read_totals(connection, OCTOBER)
        days = Days(reading=connection, period=OCTOBER, paid=numbered_payers(read_accounts(connection)))
        first = Wanted(totals.payer[:1], totals.day[:1])
        alone = joined([some.rated for some in days.of(first)])
        assert {int(days_numbered(*first)[0])} == set(days_numbered(alone.payer, alone.day).tolist())
        both = every_day(totals)
        everything = joined([some.rated for some in days.of(both)])
    # The connection is closed, and what is kept is told all the same.
    assert rows(everything) == rows(joined([some.rated for some in days.of(both)]))
    assert rows(alone) == rows(joined([some.rated for some in days.of(first)]))
    with snapshot(shop.engine) as connection:
        again = days.on(connection)
        days.forget()
        assert [] == days.kept == again.kept
        assert rows(alone) == rows(joined([some.rated for some in again.of(first)]))
