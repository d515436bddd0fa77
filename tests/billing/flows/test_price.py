"""Pricing from the store: groups that share terms, what breaks alone, crossing days read no more than needed."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from billing.flows.price import Pricer, payers_and_prices, totals_of
from billing.payers import payers_of
from billing.store.accounts import read_accounts
from billing.store.engine import Connection, snapshot, transaction
from billing.store.partitions import make_partitions
from billing.store.queries.pricing import read_crossings
from rates.cardfile import read_card
from rates.cards import Card
from rates.lines import PricedLines
from rates.pricing import Wanted
from rates.terms import Priority
from rates.usage import Totals
from tests.invoicing import CLOSED, card, traffic
from tests.shop import OCTOBER, Shop, call, products
from tests.shop import card as plain_card


def pricer(connection: Connection) -> Pricer:
    accounts = read_accounts(connection)
    payers = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, OCTOBER)
    return Pricer.begin(connection, OCTOBER, products(), payers)


def bills(lines: list[PricedLines]) -> dict[int, int]:
    """What each payer owes, in minor units."""
    owed: dict[int, int] = {}
    for each in lines:
        for payer, amount in zip(each.payer.tolist(), each.amount_minor.tolist(), strict=True):
            owed[payer] = owed.get(payer, 0) + amount
    return owed


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    shop.publish(card())
    shop.admit("acct-0", "acct-1", "acct-2", "acct-3")
    shop.publish(plain_card("voice.outbound,81,minute,60/60,0.5", id_="plain"))
    shop.admit("plain-1", "plain-2", cards=("plain",))
    shop.post(*traffic(4, 200), at=CLOSED)
    shop.post(*(call(1000 + n, account=f"plain-{n}", to="+81312345678") for n in (1, 2)), at=CLOSED)
    return shop


def test_accounts_that_share_their_counters_terms_are_priced_together(stocked: Shop) -> None:
    with snapshot(stocked.engine) as connection:
        work = pricer(connection)
        numbers = sorted(work.payers)
        groups = list(work.price(numbers, work.read(numbers)))
    assert 2 == len(groups)
    assert {} == work.failed
    assert numbers == sorted(bills(groups))


def counting(name: str, flat: str, rate: str) -> Card:
    """A card with one schedule that all calls fill, a flat for entering it, and one row that it does not price."""
    text = f"""
id = "{name}"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
[tiers.calls]
up_to = ["1000"]
unit = "minute"
fill = [{{product = "voice.outbound"}}]
flats = ["{flat}", "0"]
[[rate]]
product = "voice.outbound"
prefixes = ["{rate}"]
unit = "minute"
price = "1"
"""
    found, faults = read_card(text, {}, products())
    assert found is not None, faults
    return found


def test_accounts_are_apart_by_the_order_of_cards_that_count_and_by_no_other_card(shop: Shop) -> None:
    """Each has a card of its own; what matters is only in which order the contract names the other two, and when."""
    shop.publish(counting("more", "7", "33"))
    shop.publish(counting("less", "3", "34"))
    orders = {"a": ("more", "less"), "b": ("more", "less"), "c": ("less", "more"), "d": ()}
    for name, order in orders.items():
        shop.publish(plain_card("voice.outbound,44,minute,60/60,0.5", id_=f"own-{name}"))
        shop.admit(name, cards=(f"own-{name}", *order))
    shop.admit("b", "d", "e", cards=("own-a", "more", "less"), since=date(2026, 10, 12))
    shop.post(*(call(n, account=name) for n, name in enumerate("abcd")), at=CLOSED)
    shop.post(call(4, account="e", occurred_at="2026-10-12T00:00:00Z"), at=CLOSED)
    with snapshot(shop.engine) as connection:
        work = pricer(connection)
        numbers = {payer.party.account: number for number, payer in work.payers.items()}
        groups = list(work.price(sorted(numbers.values()), work.read(sorted(numbers.values()))))
    names = {number: name for name, number in numbers.items()}
    assert ["ab", "c", "de"] == ["".join(names[n] for n in sorted(set(each.payer.tolist()))) for each in groups]
    # Two minutes at 0.50, and the flat of the first card that counts. That of the 12th counts no call of the 2nd.
    owed = {"a": 800, "b": 800, "c": 400, "d": 100, "e": 800}
    assert {numbers[name]: amount for name, amount in owed.items()} == bills(groups)


def test_what_a_card_rated_that_is_in_no_contract_any_more_counts_as_it_said(shop: Shop) -> None:
    """As after a move to another payer, or a contract that was put right later."""
    shop.publish(counting("gone", "7", "44"))
    shop.publish(counting("kept", "3", "33"))
    shop.admit("a", cards=("gone",))
    shop.post(call(1, account="a"), at=CLOSED)
    with snapshot(shop.engine) as connection:
        work = pricer(connection)
        (number,) = work.payers
        before = bills(list(work.price([number], work.read([number]))))
        kept = (Priority(OCTOBER.start, ("kept",)),)
        work.payers = {number: replace(work.payers[number], priorities=kept)}
        after = bills(list(work.price([number], work.read([number]))))
    assert {number: 900} == before == after
    assert {} == work.failed


def test_it_makes_no_difference_with_whom_an_account_is_priced(stocked: Shop) -> None:
    with snapshot(stocked.engine) as connection:
        work = pricer(connection)
        numbers = sorted(work.payers)
        together = bills(list(work.price(numbers, work.read(numbers))))
        alone = [work.price_one(number, work.read([number])) for number in numbers]
    assert together == bills(alone)


def test_too_many_ordered_events_for_one_reading_are_read_in_halves(
    stocked: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with snapshot(stocked.engine) as connection:
        work = pricer(connection)
        numbers = sorted(work.payers)
        totals = work.read(numbers)
        whole = list(work.price(numbers, totals))
        monkeypatch.setattr("billing.flows.price.ORDERED_EVENTS", 1)
        halves = list(work.price(numbers, totals))
    assert len(halves) > len(whole)
    assert bills(whole) == bills(halves)


def test_the_crossing_days_of_all_groups_are_read_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"acct-{number}" for number in range(4)]
    for name in names:
        shop.publish(replace(card(), id=name))
        shop.admit(name, cards=(name,))
    shop.post(*traffic(4, 400), at=CLOSED)
    readings: list[int] = []

    def noted(connection: Connection, wanted: Wanted) -> Totals:
        readings.append(len(np.unique(wanted.payer)))
        return read_crossings(connection, wanted)

    monkeypatch.setattr("billing.flows.price.read_crossings", noted)
    with snapshot(shop.engine) as connection:
        work = pricer(connection)
        numbers = sorted(work.payers)
        together = list(work.price(numbers, work.read(numbers)))
        assert (4, [4]) == (len(together), readings[:1])
        at_once = len(readings)
        alone = [work.price_one(number, work.read([number])) for number in numbers]
        assert at_once < len(readings) - at_once
    assert bills(together) == bills(alone)


def test_crossing_days_are_read_from_their_own_months_partitions_however_many_others_there_are(stocked: Shop) -> None:
    with transaction(stocked.engine) as connection:
        make_partitions(connection, [date(2025, month, 1) for month in range(1, 13)])
    with snapshot(stocked.engine) as connection:
        work = pricer(connection)
        totals = work.read(sorted(work.payers))
        found = read_crossings(connection, Wanted(totals.payer, totals.day))
        # What is left in a plan is locked until the end of the transaction.
        rows = connection.execute(
            "SELECT DISTINCT relname FROM pg_locks JOIN pg_class ON pg_class.oid = relation"
            " WHERE relkind = 'r' AND starts_with(relname, 'event') ORDER BY relname"
        ).fetchall()
        nothing = read_crossings(connection, Wanted(totals.payer[:0], totals.day[:0]))
    assert (True, 0) == (len(found.payer) > 0, len(nothing.payer))
    assert [("event_elements_2026_10",), ("events_2026_10",)] == rows


def test_what_breaks_for_one_account_breaks_for_that_account_only(stocked: Shop) -> None:
    with snapshot(stocked.engine) as connection:
        work = pricer(connection)
        numbers = sorted(work.payers)
        totals = work.read(numbers)
        expected = bills(list(work.price(numbers, totals)))
        victim = numbers[1]
        broken = totals.quantity.copy()
        broken[totals.payer == victim] = 1 << 62
        found = bills(list(work.price(numbers, changed(totals, broken))))
    assert [victim] == list(work.failed)
    assert "Error" in work.failed[victim]
    del expected[victim]
    assert expected == found


def changed(totals: Totals, quantity: object) -> Totals:
    columns = {name: getattr(totals, name) for name in ("payer", "account", "price", "country", "day", "events")}
    return Totals(**columns, quantity=quantity)  # type: ignore[arg-type]


def test_totals_are_divided_by_payer_and_pairs_are_said_once(stocked: Shop) -> None:
    with snapshot(stocked.engine) as connection:
        totals = pricer(connection).read([1, 2])
    assert {1} == set(totals_of(totals, [1]).payer.tolist())
    assert totals is totals_of(totals, [1, 2])
    pairs = list(payers_and_prices(totals))
    assert sorted(set(zip(totals.payer.tolist(), totals.price.tolist(), strict=True))) == pairs
