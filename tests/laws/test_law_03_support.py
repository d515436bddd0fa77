"""Law 3 for support plans, and the law of plan changes.

"Columnar kernel = `billing/verifier.py`": a month is billed on the first of which the plans of the month before are
posted, with plans that begin, change and end within it. And: what a plan comes to depends on nothing but the days on
which it held. A contract that is written anew in the same words changes nothing, and days add up.
"""

from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.contracts import read_contract
from billing.payers import payers_of
from billing.periods import Period
from rates.money import Currency
from rates.support import Supported
from tests.dealing import deals
from tests.shop import account
from tests.verified import assert_verified, billed, cards_of

Table = dict[str, Any]

NOVEMBER = Period.parse("2026-11")
OCTOBER = NOVEMBER.before()
CARD: Table = {
    "id": "list",
    "currency": "USD",
    "effective_from": "2026-01-01T00:00:00Z",
    "tiers": {"t": {"up_to": ["3"], "unit": "segment", "fill": [{"product": "sms.outbound"}], "flats": ["0", "2"]}},
    "rate": [
        {"product": "sms.outbound", "unit": "segment", "tiers": "t", "prices": ["7", "0.333"]},
        {"product": "sms.outbound", "element": "carrier_fee", "unit": "segment", "price": "0.05"},
        {"product": "voice.outbound", "unit": "minute", "increments": "60/60", "price": "1.1"},
        {"product": "support.plan", "unit": "money", "price": "1"},
    ],
}
plans = st.fixed_dictionaries(
    {
        "plan": st.sampled_from(["business", "production"]),
        "percent": st.sampled_from(["4", "6.25", "33.333333", "100"]),
    },
    optional={
        "min": st.sampled_from(["0.01", "25", "1500"]),
        "partner_discount": st.sampled_from(["10", "33.3", "100"]),
    },
)
days = st.integers(0, 61).map(lambda n: OCTOBER.start + timedelta(days=n - 10))


@st.composite
def contracts(draw: st.DrawFn) -> list[Table]:
    """Up to four contracts that follow each other, each with a plan or without, and with other terms of money."""
    begins = draw(st.lists(days, min_size=1, max_size=4, unique=True).map(sorted))
    found = []
    for since in begins:
        table: Table = {"account": "a", "effective_from": since, "cards": ["list"]}
        table |= draw(deals(NOVEMBER, ["voice.outbound", "sms.*", "support.plan"], ["US", "GB", ""]))
        found.append(table | ({"support": draw(plans)} if draw(st.integers(0, 2)) else {}))
    return found


@st.composite
def usage(draw: st.DrawFn) -> list[Table]:
    """A few messages, calls and charges of October and November, of an account and one below it."""
    found = []
    for number in range(draw(st.integers(0, 8))):
        at = OCTOBER.start + timedelta(days=draw(st.integers(0, 60)))
        event: Table = {"source": "s", "id": f"e{number}", "account": draw(st.sampled_from(["a", "a-sub"]))}
        event |= {"occurred_at": f"{at}T12:00:00Z", "to": draw(st.sampled_from(["+14155550100", "+441632960000"]))}
        quantity = str(draw(st.integers(1, 5)))
        kinds: list[Table] = [
            {"product": "sms.outbound", "segments": quantity, "status": "delivered"},
            {"product": "voice.outbound", "duration_seconds": quantity, "status": "completed"},
            {"product": "support.plan", "quantity": "1", "charges": {"usage": f"{quantity}.50"}},
        ]
        found.append(event | draw(st.sampled_from(kinds)))
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(contracted=contracts(), used=usage(), month=st.sampled_from([OCTOBER, NOVEMBER, NOVEMBER.next()]))
def test_the_engine_and_the_verifier_post_the_same_support(
    contracted: list[Table], used: list[Table], month: Period
) -> None:
    read = cards_of([CARD])
    assert read is not None
    tree: list[Table] = [{"id": "a", "currency": "USD"}, {"id": "a-sub", "parent": "a"}]
    assert_verified(billed(read, tree, contracted, used, month), [CARD], tree, contracted, used)


def supported(tables: list[Table]) -> tuple[Supported, ...]:
    """The plans of October that November posts."""
    read = [read_contract(table, "contract")[0] for table in tables]
    accounts = {"a": account("a")}
    (payer,) = payers_of(accounts, {"a": [each for each in read if each is not None]}, {"a": 1}, NOVEMBER).values()
    return () if payer.agreed is None else payer.agreed.support


@given(plan=plans, since=days, base=st.integers(0, 10**9), again=st.lists(days, max_size=4, unique=True))
def test_a_contract_that_is_written_anew_changes_nothing(
    plan: Table, since: date, base: int, again: list[date]
) -> None:
    """However often the same plan is agreed, it comes to what it would have come to."""
    own = [since, *(day for day in again if day > since)]
    tables = [{"account": "a", "effective_from": day, "cards": ["list"], "support": plan} for day in own]
    once, often = (supported(some) for some in (tables[:1], tables))
    assert once == often
    assert all(each._replace(base_minor=base).days <= OCTOBER.days for each in once)


@given(first=plans, second=plans, change=st.integers(1, 30), base=st.integers(0, 10**9))
def test_days_add_up_whatever_plan_holds_on_them(first: Table, second: Table, change: int, base: int) -> None:
    """Each plan comes to its part of what it would come to in a whole month, and no day is in two or in none."""
    days_of = (OCTOBER.start, OCTOBER.start + timedelta(days=change))
    tables = [
        {"account": "a", "effective_from": day, "cards": ["list"], "support": plan}
        for day, plan in zip(days_of, (first, second), strict=True)
    ]
    found = [each._replace(base_minor=base) for each in supported(tables)]
    assert OCTOBER.days == sum(each.days for each in found)
    usd = Currency("USD")
    whole = {each.support: each._replace(days=OCTOBER.days).exact(usd) for each in found}
    assert [whole[each.support] * Fraction(each.days, OCTOBER.days) for each in found] == [
        each.exact(usd) for each in found
    ]
