from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from billing.accounts import Account, AccountId
from billing.contracts import Contract
from billing.payers import SubjectMissingError, payers_of, paying, versions_in
from billing.periods import Period
from rates.cards import Card
from rates.deals import Agreed, Commitment, Credit, Deal, Span
from rates.terms import Priority

OCTOBER = Period.parse("2026-10")


def account(name: str, **facts: object) -> Account:
    return Account(id=AccountId(name), **({"currency": "USD"} | facts))  # type: ignore[arg-type]


def contract(name: str, day: date, *cards: str) -> Contract:
    return Contract(account=name, effective_from=day, cards=cards)


def version(name: str, begins: datetime, ends: datetime | None = None) -> Card:
    return Card(id=name, currency="USD", effective_from=begins, effective_to=ends, rows=pa.table({"row": []}))


def test_a_payer_is_rated_by_the_cards_of_its_own_contracts() -> None:
    accounts = {str(each.id): each for each in (account("a"), account("a-fr", parent="a", pays=False), account("b"))}
    contracts = {
        "a": [contract("a", date(2026, 1, 1), "list")],
        "a-fr": [contract("a-fr", date(2026, 10, 5), "french")],
    }
    found = payers_of(accounts, contracts, {"a": 1, "a-fr": 2, "b": 3}, OCTOBER)
    assert {1: {"list"}, 3: set()} == {number: payer.cards for number, payer in found.items()}
    assert "a" == found[1].party.account


@pytest.mark.parametrize(
    ("days", "cards"),
    [
        ([date(2026, 9, 30)], {"c0"}),
        ([date(2026, 10, 31)], {"c0"}),
        ([date(2026, 11, 1)], set()),
        ([date(2026, 9, 1), date(2026, 10, 1)], {"c1"}),
        ([date(2026, 9, 1), date(2026, 10, 2)], {"c0", "c1"}),
        ([date(2026, 9, 1), date(2026, 11, 1)], {"c0"}),
    ],
)
def test_a_contract_counts_on_the_days_until_the_next_one(days: list[date], cards: set[str]) -> None:
    contracts = {"a": [contract("a", day, f"c{place}") for place, day in enumerate(days)]}
    assert cards == payers_of({"a": account("a")}, contracts, {"a": 1}, OCTOBER)[1].cards


def test_each_contract_says_the_order_of_its_cards_on_its_days_of_the_period() -> None:
    """What began before the period holds from its first day, so that it is no difference since when."""
    contracts = {
        "a": [contract("a", date(2026, 1, 1), "old"), contract("a", date(2026, 9, 30), "top", "list")],
        "b": [contract("b", date(2026, 10, 15), "list", "top"), contract("b", date(2026, 3, 1), "top", "list")],
    }
    found = payers_of({"a": account("a"), "b": account("b")}, contracts, {"a": 1, "b": 2}, OCTOBER)
    first = Priority(date(2026, 10, 1), ("top", "list"))
    assert (first,) == found[1].priorities
    assert (first, Priority(date(2026, 10, 15), ("list", "top"))) == found[2].priorities


def test_deals_hold_on_their_days_and_credits_until_theirs() -> None:
    credit = Credit(id="c", amount=Decimal(5), until=date(2026, 10, 20))
    least = Commitment(least=Decimal(100))
    contracts = {
        "a": [
            replace(contract("a", date(2026, 1, 1), "list"), deal=Deal(commitment=least)),
            replace(contract("a", date(2026, 10, 11), "list"), deal=Deal(commitment=least, credits=(credit,))),
        ],
        "b": [contract("b", date(2026, 1, 1), "list")],
    }
    found = payers_of({"a": account("a"), "b": account("b")}, contracts, {"a": 1, "b": 2}, OCTOBER)
    assert None is found[2].agreed
    assert found[1].agreed == Agreed(
        spans=(
            Span(date(2026, 10, 1), 10, Deal(commitment=least)),
            Span(date(2026, 10, 11), 9, Deal(commitment=least, credits=(credit,))),
            Span(date(2026, 10, 20), 12, Deal(commitment=least)),
        ),
        days=31,
    )


def test_versions_that_are_in_force_for_no_instant_of_the_period_say_nothing_in_it() -> None:
    versions = [
        version("list", datetime(2026, 1, 1, tzinfo=UTC)),
        version("list", datetime(2026, 10, 1, tzinfo=UTC)),
        version("list", datetime(2026, 10, 20, 6, tzinfo=UTC)),
        version("list", datetime(2026, 11, 1, tzinfo=UTC)),
        version("over", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)),
        version("ends", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 10, 1, 0, 0, 1, tzinfo=UTC)),
    ]
    assert {versions[1].version, versions[2].version, versions[5].version} == {
        card.version for card in versions_in(OCTOBER, versions)
    }


def test_whoever_does_not_pay_is_told_who_does() -> None:
    accounts = {str(each.id): each for each in (account("a"), account("a-fr", parent="a", pays=False))}
    assert "a" == paying("a", accounts).id
    with pytest.raises(SubjectMissingError, match="on the invoices of a"):
        paying("a-fr", accounts)
    with pytest.raises(SubjectMissingError, match="accounts list"):
        paying("nobody", accounts)
