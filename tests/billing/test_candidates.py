"""Where a candidate card or contract stands among the contracts of a month."""

from datetime import UTC, date, datetime

import pytest

from billing.accounts import Account, AccountId
from billing.candidates import CandidateMisplacedError, rates_otherwise, throughout, with_card, with_contracts
from billing.contracts import Contract
from tests.shop import OCTOBER, card

USD = {name: Account(id=AccountId(name), currency="USD") for name in ("acme", "bolt")}
ACCOUNTS = {
    **USD,
    "euro": Account(id=AccountId("euro"), currency="EUR"),
    "acme-sub": Account(id=AccountId("acme-sub"), parent="acme", pays=False),
}


def contract(account: str, *cards: str, since: date = date(2026, 10, 1)) -> Contract:
    return Contract(account=account, effective_from=since, cards=cards)


CONTRACTS = {
    "acme": [contract("acme", "special", "list"), contract("acme", "list", since=date(2026, 10, 15))],
    "bolt": [contract("bolt", "other")],
    "euro": [contract("euro", "euros")],
}


def cards_of(placed: object, account: str) -> list[tuple[str, ...]]:
    return [each.cards for each in placed.contracts[account]]  # type: ignore[attr-defined]


def test_a_card_stays_where_its_id_is_and_touches_only_who_has_it() -> None:
    placed = with_card(ACCOUNTS, CONTRACTS, OCTOBER, "special", "USD")
    assert (frozenset({"acme"}), False) == (placed.accounts, placed.before)
    assert [("special", "list"), ("list",)] == cards_of(placed, "acme")


def test_a_card_takes_the_place_of_another_in_its_order() -> None:
    placed = with_card(ACCOUNTS, CONTRACTS, OCTOBER, "new", "USD", replaces="list")
    assert {"acme"} == placed.accounts
    assert [("special", "new"), ("new",)] == cards_of(placed, "acme")
    assert [("other",)] == cards_of(placed, "bolt")


def test_a_card_of_no_contract_stands_before_all_in_its_currency() -> None:
    placed = with_card(ACCOUNTS, CONTRACTS, OCTOBER, "new", "USD")
    assert (frozenset({"acme", "bolt"}), True) == (placed.accounts, placed.before)
    assert [("new", "special", "list"), ("new", "list")] == cards_of(placed, "acme")
    assert [("euros",)] == cards_of(placed, "euro")


def test_contracts_that_ended_before_the_month_or_begin_after_it_name_nothing_in_it() -> None:
    old = {"acme": [contract("acme", "old", since=date(2026, 1, 1)), *CONTRACTS["acme"]]}
    late = {"acme": [*CONTRACTS["acme"], contract("acme", "late", since=date(2026, 11, 1))]}
    for contracts, name in ((old, "old"), (late, "late")):
        assert with_card(ACCOUNTS, contracts, OCTOBER, name, "USD").before
        with pytest.raises(CandidateMisplacedError):
            with_card(ACCOUNTS, contracts, OCTOBER, "new", "USD", replaces=name)


def test_a_candidate_beside_the_card_that_it_replaces_is_refused() -> None:
    with pytest.raises(CandidateMisplacedError, match="from 2026-10-01 names special beside list"):
        with_card(ACCOUNTS, CONTRACTS, OCTOBER, "special", "USD", replaces="list")


def test_throughout_a_month_a_card_has_no_end_and_begins_with_it() -> None:
    later = throughout(card(since="2026-12-01"), OCTOBER)
    assert (OCTOBER.opens, None) == (later.effective_from, later.effective_to)
    earlier = card(since="2026-01-01")
    assert earlier == throughout(earlier, OCTOBER)
    assert datetime(2026, 1, 1, tzinfo=UTC) == throughout(earlier, OCTOBER).effective_from


def test_a_contract_holds_all_month_or_from_its_day_on() -> None:
    new = contract("acme", "new", since=date(2026, 10, 20))
    placed = with_contracts(CONTRACTS, [new], OCTOBER)
    assert [(date(2026, 10, 1), ("new",))] == [(each.effective_from, each.cards) for each in placed.contracts["acme"]]
    dated = with_contracts(CONTRACTS, [new], OCTOBER, as_dated=True)
    assert [*CONTRACTS["acme"], new] == dated.contracts["acme"]


def test_only_cards_and_their_days_rate_otherwise() -> None:
    one = [contract("acme", "list")]
    assert not rates_otherwise(one, [*one, contract("acme", "list", since=date(2026, 10, 9))], OCTOBER)
    assert rates_otherwise(one, [*one, contract("acme", "list", "x", since=date(2026, 10, 9))], OCTOBER)
    assert not rates_otherwise(one, [*one, contract("acme", "x", since=date(2026, 11, 1))], OCTOBER)
    assert rates_otherwise(one, [contract("acme", "list", since=date(2026, 10, 2))], OCTOBER)
    assert rates_otherwise([], one, OCTOBER)
