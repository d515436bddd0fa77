from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest

from billing.accounts import Account, AccountId
from billing.assignment import NOBODY, BookName, assignment
from billing.contracts import (
    Contract,
    contract_of,
    counted_together,
    in_force,
    read_contract,
    unsold,
)
from billing.reselling import unpaid
from rates.deals import Commitment, Credit, Deal, Discount, in_words, table_of
from rates.tiers import Selector
from rates.usage import encode

TABLE: dict[str, object] = {"account": "acme", "effective_from": date(2026, 10, 1), "cards": ["special", "list"]}
ACCOUNTS = {
    "acme": Account(id=AccountId("acme"), currency="USD"),
    "below": Account(id=AccountId("below"), parent="acme", pays=False),
    "own": Account(id=AccountId("own"), parent="acme", currency="EUR"),
}


def contract(account: str, day: int, *cards: str) -> Contract:
    return Contract(account=account, effective_from=date(2026, 10, day), cards=cards)


CONTRACTS = {
    "acme": [contract("acme", 1, "list"), contract("acme", 10, "new")],
    "below": [contract("below", 5, "mine")],
}


def test_a_contract_is_read_with_its_cards_in_order() -> None:
    expected = Contract(account="acme", effective_from=date(2026, 10, 1), cards=("special", "list"))
    begins: list[object] = [date(2026, 10, 1), "2026-10-01T00:00:00Z", datetime(2026, 10, 1, tzinfo=UTC)]
    for begin in begins:
        assert (expected, []) == read_contract(TABLE | {"effective_from": begin}, "contract.toml")


def test_what_is_agreed_of_money_is_read_in_one_form() -> None:
    said = {
        "discounts": [{"percent": "5", "on": [{"product": "voice.*"}]}],
        "commitment": {"min": "5000", "max": "20000.00"},
        "credits": [
            {"id": "b", "amount": "100"},
            {"id": "a", "amount": "50", "until": date(2027, 1, 1), "on": [{"country": ["US", "CA"]}]},
        ],
    }
    found, faults = read_contract(TABLE | said, "contract.toml")
    assert [] == faults
    assert found is not None
    expected = Deal(
        discounts=(Discount(percent=Decimal(5), on=(Selector(product=("voice.*",)),)),),
        commitment=Commitment(least=Decimal(5000), most=Decimal(20000)),
        credits=(
            Credit(id="a", amount=Decimal(50), until=date(2027, 1, 1), on=(Selector(country=("CA", "US")),)),
            Credit(id="b", amount=Decimal(100)),
        ),
    )
    assert expected == found.deal
    assert (found, []) == read_contract(TABLE | table_of(found.deal), "contract.toml")
    assert "5 % off voice.*; minimum 5000 and maximum 20000; " in in_words(found.deal)
    assert "credit a 50 until 2027-01-01 on CA/US; credit b 100" in in_words(found.deal)


def test_a_plan_and_a_percent_of_a_number_type_are_written_as_they_are_read() -> None:
    said = {
        "discounts": [{"percent": "5", "on": [{"product": ["voice.*"], "number_type": ["local", "toll_free"]}]}],
        "support": {"plan": "business", "percent": "6", "min": "1500", "partner_discount": "10"},
    }
    found = read_contract(TABLE | said, "contract.toml")[0]
    assert found is not None
    assert said == table_of(found.deal)
    assert "5 % off voice.* local/toll_free; support business 6 % at least 1500 less 10 %" == in_words(found.deal)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"cards": []}, "cards"),
        ({"cards": ["list", "list"]}, "cards"),
        ({"effective_from": "2026-10-01T01:00:00Z"}, "effective_from"),
        ({"effective_from": "2026-10-01T00:00:00"}, "effective_from"),
        ({"account": ""}, "account"),
        ({"card": "list"}, "card"),
        ({"discounts": [{"percent": "0"}]}, "discounts[0].percent"),
        ({"effective_from": date(1, 1, 1)}, "effective_from"),
        ({"effective_from": date(1969, 12, 31)}, "effective_from"),
        ({"effective_from": "2100-01-01T00:00:00Z"}, "effective_from"),
        ({"discounts": [{"percent": "100.5"}]}, "discounts[0].percent"),
        ({"discounts": [{}]}, "discounts[0].percent"),
        ({"discounts": [{"percent": "5", "on": [{"prefixes": "44"}]}]}, "discounts[0].on[0].prefixes"),
        ({"credits": [{"id": "a", "amount": "1", "on": [{"number_type": "mobile"}]}]}, "credits[0].on[0].number_type"),
        ({"commitment": {"min": "1", "on": [{"number_type": "mobile"}]}}, "commitment.on[0].number_type"),
        ({"support": {"plan": "business"}}, "support"),
        ({"support": {"percent": "6"}}, "support.plan"),
        ({"support": {"plan": "business\n", "percent": "6"}}, "support.plan"),
        ({"support": {"plan": "business", "percent": "106"}}, "support.percent"),
        ({"credits": [{"id": "welcome\t", "amount": "1"}]}, "credits[0].id"),
        ({"support": {"plan": "business", "percent": "six"}}, "support.percent"),
        ({"support": {"plan": "business", "min": "-1"}}, "support.min"),
        ({"support": {"plan": "business", "min": "1000000000001"}}, "support.min"),
        ({"support": {"plan": "business", "min": "1", "partner_discount": "-5"}}, "support.partner_discount"),
        ({"support": {"plan": "business", "min": "1", "partner": "5"}}, "support.partner"),
        ({"discounts": [{"percent": "5", "on": []}]}, "discounts[0].on"),
        ({"discounts": [{"percent": "5 %"}]}, "discounts[0].percent"),
        ({"discounts": [{"percent": "5", "on": [{"country": "UK"}]}]}, "discounts[0].on[0].country"),
        ({"credits": [{"id": "a", "amount": "1", "on": [{"country": ["GB", "gb"]}]}]}, "credits[0].on[0].country"),
        ({"commitment": {"max": "1000000000001"}}, "commitment.max"),
        ({"commitment": []}, "commitment"),
        ({"credits": [{"id": "a", "amount": "99999999999999999999999"}]}, "credits[0].amount"),
        ({"credits": [{"id": "a"}]}, "credits[0].amount"),
        ({"discounts": [{"percent": "5"}, {"percent": "9", "on": [{"country": "GB"}]}]}, "discounts[1]"),
        ({"commitment": {}}, "commitment"),
        ({"commitment": {"min": "-1"}}, "commitment.min"),
        ({"commitment": {"min": "2", "max": "1"}}, "commitment.max"),
        ({"commitment": {"min": 2}}, "commitment.min"),
        ({"commitment": {"least": "2", "min": "2"}}, "commitment.least"),
        ({"credits": [{"id": "a", "amount": "0"}]}, "credits[0].amount"),
        ({"credits": [{"id": "a", "amount": "1"}, {"id": "a", "amount": "2"}]}, "credits"),
        ({"credits": [{"id": "a", "amount": "1", "until": "2027-01-01T12:00:00Z"}]}, "credits[0].until"),
    ],
)
def test_a_fault_says_where_it_is(changes: dict[str, object], place: str) -> None:
    found, faults = read_contract(TABLE | changes, "contract.toml")
    assert (None, [f"contract.toml: {place}"]) == (found, [fault.place for fault in faults])


def test_what_is_agreed_on_a_product_that_nobody_knows_is_a_fault() -> None:
    """A misspelt product would be billed without the discount that was agreed."""
    said = {
        "discounts": [{"percent": "5", "on": [{"product": ["voice.*", "vioce.*"]}]}],
        "commitment": {"max": "5", "on": [{"product": "sms"}]},
        "credits": [{"id": "a", "amount": "1", "on": [{"product": "sms.*"}]}],
    }
    found, _ = read_contract(TABLE | said, "contract.toml")
    assert found is not None
    known = "selects no product; known: sms.outbound, voice.outbound"
    assert [f'contract acme: discounts "vioce.*": {known}', f'contract acme: commitment "sms": {known}'] == [
        str(fault) for fault in unsold([found], ["voice.outbound", "sms.outbound"])
    ]


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"effective_from": "2026-09-05T12:00:00Z"}, "write 2026-09-05"),
        ({"credits": [{"id": "a", "amount": "1", "until": "2026-12-31T12:00:00Z"}]}, "write 2026-12-31"),
        ({"discounts": {"percent": "5"}}, "write discounts = [{...}]"),
    ],
)
def test_what_a_fault_advises_is_about_what_was_written(changes: dict[str, object], remedy: str) -> None:
    """Who follows it to the letter must not get another day, or a table that stands elsewhere in the file."""
    _, (fault,) = read_contract(TABLE | changes, "contract.toml")
    assert remedy in fault.remedy


def test_the_contract_in_force_is_the_last_that_has_begun() -> None:
    days = [date(2026, 9, 30), date(2026, 10, 1), date(2026, 10, 9), date(2026, 10, 10)]
    found = [in_force(CONTRACTS["acme"], day) for day in days]
    assert [None, ("list",), ("list",), ("new",)] == [c.cards if c else None for c in found]


def test_the_contract_of_whoever_pays_decides_and_no_other() -> None:
    def cards(name: str, day: int) -> tuple[str, ...] | None:
        found = contract_of(name, ACCOUNTS, CONTRACTS, date(2026, 10, day))
        return found.cards if found else None

    assert (("list",), ("list",), ("new",)) == (cards("below", 4), cards("below", 5), cards("below", 31))
    assert cards("own", 20) is None
    assert cards("nobody", 20) is None


def test_a_contract_of_an_account_that_does_not_pay_is_a_fault_that_says_who_pays() -> None:
    said = (
        "contract below from 2026-10-05: usage of below is paid by acme, which does not resell on 2026-10-05;"
        " give acme the contract, or let its contract of that day say resells = true"
    )
    assert [said] == [str(fault) for fault in unpaid(CONTRACTS, ACCOUNTS)]


def test_columns_of_accounts_and_instants_are_assigned_as_each_would_be() -> None:
    numbers = {"acme": 7, "below": 9, "own": 11}
    assigned = assignment(ACCOUNTS, CONTRACTS, numbers)
    names = ["acme", "below", "own", "nobody"] * 4
    days = [day for day in (0, 4, 5, 10) for _ in range(4)]
    start = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp()) * 1_000_000
    # The last microsecond of the day before, or the first of the day.
    instants = np.array([start + (day - 1) * 86_400_000_000 + (0 if day else 86_399_999_999) for day in days])
    found = assigned.assign(encode(names), instants)
    assert [numbers.get(name, NOBODY) for name in names] == found.account.tolist()
    assert [{"acme": 7, "below": 7, "own": 11}.get(name, NOBODY) for name in names] == found.payer.tolist()
    expected: list[BookName | None] = []
    for name, day in zip(names, days, strict=True):
        on = date(2026, 9, 30) if day == 0 else date(2026, 10, day)
        of = contract_of(name, ACCOUNTS, CONTRACTS, on) if name in ACCOUNTS else None
        expected.append(BookName(of.cards, "USD") if of else None)
    assert expected == [assigned.books[book] if book >= 0 else None for book in found.book.tolist()]


def test_accounts_with_equal_contracts_share_a_book() -> None:
    many = {f"a{i}": Account(id=AccountId(f"a{i}"), currency="USD" if i % 2 else "EUR") for i in range(10)}
    contracts = {name: [contract(name, 1, "list")] for name in many}
    assert 2 == len(assignment(many, contracts, {name: i for i, name in enumerate(many)}).books)


def test_the_cards_of_contracts_that_hold_in_one_month_are_counted_together() -> None:
    """A counter begins anew with the month: what another contract said before the first of it is over."""
    october, november = (
        contract("acme", 1, "a", "b"),
        Contract(account="acme", effective_from=date(2026, 11, 1), cards=("c",)),
    )
    assert {("a", "b"), ("c",)} == counted_together([october, november])
    later = replace(november, effective_from=date(2026, 11, 2))
    assert {("a", "b"), ("a", "b", "c")} == counted_together([october, later])
    assert {("a", "b", "d"), ("d", "c")} == counted_together([october, contract("acme", 20, "d"), later])
    assert set() == counted_together([])
