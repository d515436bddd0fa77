"""Law 1: each unit is in one place.

"Per payer, every accepted unit of every event is in exactly one of: on one line, open, quarantined, zero-rated with a
reason. Counts and quantities match."
"""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from billing.adjustments import key_of_line
from billing.drafts import merged
from billing.explanations import lines_of
from billing.flows.draw_up import draw_up
from billing.flows.explain import explain_event, explain_line
from billing.flows.finalize import finalize
from billing.flows.fold import fold
from billing.flows.limits import Limits
from billing.flows.month import Month
from billing.flows.price import Pricer
from billing.flows.verify import verify
from billing.payers import payers_of
from billing.periods import day_of
from billing.store.accounts import read_accounts
from billing.store.engine import snapshot
from billing.store.queries.explain import read_elements_in_order, read_usage_in_order
from billing.store.queries.invoices import all_invoices
from billing.store.totals import read_totals
from cli.world import product_tables
from rates.lines import FLAT
from rates.pricing import place
from rates.usage import TOTALS
from tests.invoicing import CLOSED, stock
from tests.shop import OCTOBER, Shop, call, products

ACCOUNTS = 6
EVENTS = 1500


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    stock(shop, ACCOUNTS, EVENTS)
    fold(shop.engine)
    shop.post(*(call(EVENTS + number, account="acct-0", to="+14155550100") for number in range(3)), at=CLOSED)
    return shop


def test_each_event_is_on_lines_or_has_a_reason(stocked: Shop) -> None:
    draw_up(stocked.engine, products(), OCTOBER, CLOSED, write=True)
    found = verify(stocked.engine, products(), product_tables(), OCTOBER)
    assert () == found.disagreements
    assert 0 == found.unbalanced_totals
    assert found == verify(stocked.engine, products(), product_tables(), OCTOBER, processes=2)
    assert EVENTS + 3 == found.events == found.billed + found.zero_rated + found.quarantined
    assert min(found.billed, found.zero_rated, found.quarantined) > 0
    ((on_lines,),) = stocked.rows("SELECT sum(events) FROM draft_lines WHERE element = 'usage'")
    ((priced,),) = stocked.rows("SELECT count(*) FROM events WHERE price_id IS NOT NULL")
    assert priced == on_lines


def test_the_units_of_each_event_are_on_its_lines_and_of_each_line_its_events(stocked: Shop) -> None:
    """Placed event by event: no unit twice, none lost, but for the padding of blocks, which is on the last event."""
    with snapshot(stocked.engine) as connection:
        accounts = read_accounts(connection)
        payers = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, OCTOBER)
        pricer = Pricer.begin(connection, OCTOBER, products(), payers)
        days = [OCTOBER.start + timedelta(days=n) for n in range(OCTOBER.days)]
        for number in payers:
            totals = pricer.read([number])
            usage = read_usage_in_order(connection, number, days)
            elements = read_elements_in_order(connection, number, days)
            both = merged(usage.totals.plus(elements.totals))
            for name in TOTALS:
                assert getattr(totals, name).tolist() == getattr(both, name).tolist()
            placed = place(usage.totals, usage.totals, pricer.terms(number, totals))
            units = np.bincount(placed.event, minlength=len(usage.totals)) * 0
            np.add.at(units, placed.event, placed.quantity)
            padding = units - usage.totals.quantity
            assert 0 <= padding.min()
            assert np.count_nonzero(padding) <= 1
            assert int(padding.sum()) < 60
            counted = np.zeros(len(usage.totals), dtype=np.int64)
            np.add.at(counted, placed.event, placed.events)
            assert [1] * len(usage.totals) == counted.tolist()


def test_events_lie_where_they_lie_when_the_whole_month_is_read_in_order(stocked: Shop) -> None:
    days = [OCTOBER.start + timedelta(days=n) for n in range(OCTOBER.days)]
    with snapshot(stocked.engine) as connection:
        accounts = read_accounts(connection)
        payers = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, OCTOBER)
        limits = Limits.read(connection, products())
        names = [payer.party.account for payer in payers.values()]
        for name in names[:4]:
            whole = Month.read(connection, products(), limits, OCTOBER, name)
            whole.order(days)
            everything, least = _lying(whole), len(days)
            for day in days[::5]:
                month = Month.read(connection, products(), limits, OCTOBER, name)
                month.order({day})
                least = min(least, len(month.days))
                found = _lying(month)
                assert {event: everything[event] for event in found} == found
                assert [event for event, on in everything.items() if on[0] == day] == [
                    event for event, on in found.items() if on[0] == day
                ]
            assert least < len(days)


def _lying(month: Month) -> dict[tuple[str, str, int], tuple[object, ...]]:
    """Of each event that is in order, and of its parts: its day, where its counter stood, and the lines it is on."""
    places = month.placed.ordered.tolist()
    identities = month.usage.identities(np.arange(len(places)))
    part = Counter[tuple[str, str]]()
    found: dict[tuple[str, str, int], tuple[object, ...]] = {}
    for (source, identity), at in zip(identities, places, strict=True):
        part[source, identity] += 1
        on = day_of(int(month.placed.rows.day[at])), month.placed.position[at], lines_of(month.placed, at)
        found[source, identity, part[source, identity]] = on
    return found


def test_every_line_adds_up_from_its_events_and_every_event_names_its_lines(stocked: Shop) -> None:
    draw_up(stocked.engine, products(), OCTOBER, CLOSED, write=True)
    with snapshot(stocked.engine) as connection:
        invoices = list(all_invoices(connection, OCTOBER, final=False))
    assert ACCOUNTS == len(invoices)
    for invoice in invoices[:2]:
        for number, line in enumerate(invoice.lines, start=1):
            found = explain_line(stocked.engine, products(), OCTOBER, invoice.party.account, number, size=10 * EVENTS)
            assert found.adds_up
            assert 0 == found.later
            assert line.base_quantity == sum(each.base_quantity for each in found.page) or line.element == FLAT
            assert found.listed == len(found.page)
            for first in {0, found.listed // 3, max(0, found.listed - 4)}:
                some = explain_line(
                    stocked.engine, products(), OCTOBER, invoice.party.account, number, first=first, size=7
                )
                assert replace(found, page=found.page[first : first + 7]) == some
            for share in found.page[:2]:
                event = explain_event(stocked.engine, products(), share.source, share.id)
                here = [part for part in event.parts if part.line_no == number]
                assert share.base_quantity == sum(part.base_quantity for part in here)


def test_what_is_not_billed_yet_is_open_and_what_is_final_stays_in_its_place(stocked: Shop) -> None:
    draw_up(stocked.engine, products(), OCTOBER, CLOSED, write=True)
    finalize(stocked.engine, OCTOBER, CLOSED)
    late = [call(10_000 + number, account="acct-1", to="+14155550100") for number in range(5)]
    stocked.post(*late, at=CLOSED)
    found = verify(stocked.engine, products(), product_tables(), OCTOBER)
    assert () == found.disagreements
    assert ("acct-1",) == found.outdated
    with snapshot(stocked.engine) as connection:
        totals = read_totals(connection, OCTOBER)
        invoices = list(all_invoices(connection, OCTOBER, final=True))
    billed = Counter(key_of_line(line).product for invoice in invoices for line in invoice.lines)
    assert {"voice.outbound", "sms.outbound"} <= set(billed)
    ((events, quantity),) = stocked.rows("SELECT sum(events)::bigint, sum(quantity)::bigint FROM invoice_billed_totals")
    assert int(totals.events.sum()) - 5 == events
    assert int(totals.quantity.sum()) - 5 * 120 == quantity
