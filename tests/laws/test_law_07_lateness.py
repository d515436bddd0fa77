"""Law 7: what came late is billed later, to the same amounts.

"On-time invoice = invoice + later adjustments, before credits and tax, for any delay of any subset within the late
limit." And law 6, of what is taken back: "invoice + full credit note = 0 in every part".

Each example bills one customer twice: to one account all usage of October comes on time, to the other parts of it after
October is issued, after November is, and after December is.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.adjustments import key_of_line
from billing.contracts import Contract
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.fold import fold
from billing.flows.publish import add_accounts, add_contracts, publish
from billing.flows.verify import verify
from billing.invoices import Invoice, InvoiceLine, Kind
from billing.periods import Period
from billing.runs import GRACE
from billing.store.engine import snapshot
from billing.store.queries.invoices import all_invoices
from cli.world import product_tables
from rates.deals import Commitment, Credit, Deal, Discount
from rates.netting import CREDIT
from tests.shop import AT, OCTOBER, Shop, account, call, products, read

MONTHS = [Period.parse(f"2026-{month}") for month in (10, 11, 12)] + [Period.parse("2027-01")]
NUMBERS = ["+14155550100", "+447700900123", "+33123456789"]
_TURN = count()

CARD = """
id = "{name}"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z

[tiers.voice]
mode = "{mode}"
up_to = ["4", "9"]
unit = "minute"
scope = "{scope}"
fill = [{{product = "voice.outbound", country = ["US", "GB"]}}]
flats = ["0", "1", "2.5"]

[pools.france]
free = "2"
block = "1"
unit = "minute"
fill = [{{product = "voice.outbound", country = ["FR"]}}]

[[rate]]
product = "voice.outbound"
prefixes = ["1"]
unit = "minute"
increments = "60/60"
tiers = "voice"
prices = ["0.1403", "0.1301", "0.0207"]

[[rate]]
product = "voice.outbound"
prefixes = ["44"]
unit = "minute"
increments = "1/1"
tiers = "voice"
prices = ["0.2171", "0.1999", "0.1013"]
setup_fee = "0.005"

[[rate]]
product = "voice.outbound"
prefixes = ["33"]
unit = "minute"
increments = "6/6"
price = "0.0333"
"""

CALLS = st.lists(
    st.tuples(
        st.sampled_from(NUMBERS),
        st.integers(1, 4),  # the day
        st.integers(1, 260),  # seconds
        st.integers(0, 3),  # in which month it is reported
    ),
    min_size=2,
    max_size=12,
)
DEALS = st.builds(
    Deal,
    discounts=st.sampled_from([(), (Discount(percent=Decimal("7.5")),)]),
    commitment=st.sampled_from(
        [
            None,
            Commitment(least=Decimal(3)),
            Commitment(most=Decimal("1.20")),
            Commitment(least=Decimal(1), most=Decimal(2)),
        ]
    ),
    credits=st.sampled_from([(), (Credit(id="welcome", amount=Decimal("0.5"), until=date(2026, 10, 3)),)]),
)


def issue(shop: Shop, period: Period) -> None:
    at = period.closes + GRACE
    draw_up(shop.engine, products(), period, at, write=True)
    finalize(shop.engine, period, at)


def documents(shop: Shop, name: str) -> list[Invoice]:
    with snapshot(shop.engine) as connection:
        return [
            each
            for period in MONTHS
            for kind in Kind
            for each in all_invoices(connection, period, final=True, account=name, kind=kind)
        ]


def october_of(invoices: list[Invoice]) -> list[InvoiceLine]:
    lines = (line for each in invoices for line in each.lines)
    return [line for line in lines if line.origin_period == "2026-10" and line.element != CREDIT]


def added_up(lines: list[InvoiceLine]) -> dict[object, tuple[int, int, int, Fraction]]:
    """Events, quantity, amount and residual of each line key."""
    sums: dict[object, Counter[str]] = {}
    exact: dict[object, Fraction] = {}
    for line in lines:
        key = key_of_line(line)
        said = {"events": line.events, "quantity": line.base_quantity, "amount": line.amount_minor}
        sums.setdefault(key, Counter()).update(said)
        exact[key] = exact.get(key, Fraction(0)) + line.residual
    found = {key: (each["events"], each["quantity"], each["amount"], exact[key]) for key, each in sums.items()}
    return {key: each for key, each in found.items() if any(each)}


def customers(shop: Shop, card: str, deal: Deal, *names: str) -> None:
    """Accounts with a subaccount each, under one card and deal."""
    tree = [account(name) for name in names]
    tree += [account(f"{name}-below", parent=name, pays=False) for name in names]
    add_accounts(shop.engine, tree, at=AT, actor="finance")
    contracts = [Contract(account=name, effective_from=date(2026, 10, 1), cards=(card,), deal=deal) for name in names]
    add_contracts(shop.engine, contracts, products(), at=AT, actor="finance")


def usage(calls: list[tuple[str, int, int, int]], name: str) -> list[tuple[int, Mapping[str, Any]]]:
    """The calls with the months in which they are reported; every third is of the subaccount."""
    return [
        (
            month,
            call(
                n,
                id=f"{name}-{n}",
                account=name if n % 3 else f"{name}-below",
                to=to,
                occurred_at=f"2026-10-{day:02}T10:00:{n:02}Z",
                duration_seconds=str(seconds),
            ),
        )
        for n, (to, day, seconds, month) in enumerate(calls)
    ]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    calls=CALLS,
    deal=DEALS,
    mode=st.sampled_from(["graduated", "volume"]),
    scope=st.sampled_from(["billing_account", "account"]),
    folded=st.sets(st.integers(0, 7)),
)
def test_whatever_comes_late_is_billed_to_what_an_on_time_invoice_has(
    shop: Shop, calls: list[tuple[str, int, int, int]], deal: Deal, mode: str, scope: str, folded: set[int]
) -> None:
    turn = next(_TURN)
    punctual, tardy, card = f"punctual-{turn}", f"tardy-{turn}", f"list-{turn}"
    shop.publish(read(CARD.format(name=card, mode=mode, scope=scope)))
    customers(shop, card, deal, punctual, tardy)
    shop.post(*(event for _, event in usage(calls, punctual)))
    late = usage(calls, tardy)
    for number, period in enumerate(MONTHS):
        reported = [event for month, event in late if month == number]
        if reported:
            shop.post(*reported, at=period.closes)
        if 2 * number in folded:
            fold(shop.engine)
        at = period.closes + GRACE
        draw_up(shop.engine, products(), period, at, write=True)
        if 2 * number + 1 in folded:
            fold(shop.engine)
        finalize(shop.engine, period, at)
    on_time, in_parts = (documents(shop, name) for name in (punctual, tardy))
    assert added_up(october_of(on_time)) == added_up(october_of(in_parts))
    for invoice in in_parts:
        assert sum(line.amount_minor for line in invoice.lines) == invoice.total_minor
        for line in invoice.lines:
            limit = Fraction(1, 200) if line.origin_period == invoice.period else Fraction(1, 100)
            assert abs(line.residual) <= limit
    for period in MONTHS:
        found = verify(shop.engine, products(), product_tables(), period)
        assert ((), ()) == (found.disagreements, found.outdated)


@pytest.mark.parametrize("mode", ["graduated", "volume"])
def test_an_invoice_and_the_credit_note_of_all_of_it_come_to_nothing_in_every_part(shop: Shop, mode: str) -> None:
    text = CARD.format(name="list", mode=mode, scope="account")
    shop.publish(read(text))
    customers(shop, "list", Deal(discounts=(Discount(percent=Decimal(5)),)), "acme")
    calls = [(to, day, seconds, 0) for to in NUMBERS for day, seconds in ((1, 200), (2, 61), (3, 130))]
    shop.post(*(event for _, event in usage(calls, "acme")))
    issue(shop, OCTOBER)
    # At no price at all: the card has no rows for it any more, and all usage waits for one.
    gone = read(text[: text.index("[[rate]]")].replace("2.5", "0").replace('"1",', '"0",') + NOTHING)
    publish(shop.engine, gone, products(), at=AT, actor="ann", reason="sold by mistake")
    issue(shop, MONTHS[1])
    invoice, note = documents(shop, "acme")
    assert (Kind.CREDIT_NOTE, invoice.number) == (note.kind, note.corrects)
    assert 0 == invoice.total_minor + note.total_minor > -invoice.total_minor
    assert {} == added_up(october_of([invoice, note]))


NOTHING = """
[[rate]]
product = "voice.outbound"
prefixes = ["999"]
unit = "minute"
increments = "60/60"
price = "0.01"
"""
