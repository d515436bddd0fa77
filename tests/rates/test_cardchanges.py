from fractions import Fraction

import pytest

from rates.cardchanges import Rows, countries_denied, jumps
from rates.cards import Card
from tests.shop import products, read

COLUMNS = (
    "product,country,prefixes,origin_prefixes,exact,unit,price,prices,steps,tiers,blocked,effective_from,effective_to"
)
SCHEDULE = '[tiers.t]\nup_to = ["10"]\nunit = "minute"\nfill = [{product = "voice.*"}]\n'


def card(*rows: dict[str, str], month: str = "10") -> Card:
    lines = [COLUMNS]
    for row in rows:
        cells = {"product": "voice.outbound", "unit": "minute"} | row
        lines.append(",".join(cells.get(name, "") for name in COLUMNS.split(",")))
    head = f'id = "c"\ncurrency = "USD"\neffective_from = 2026-{month}-01T00:00:00Z\nrates = "rates.csv"\n{SCHEDULE}'
    return read(head, "\n".join([*lines, ""]))


def jumping(old: list[dict[str, str]], new: list[dict[str, str]], bound: Fraction = Fraction(2)) -> list[str]:
    return [str(fault).split(";")[0] for fault in jumps(card(*old), card(*new, month="11"), bound)]


@pytest.mark.parametrize(
    ("before", "after", "jumped"),
    [
        ("0.10", "0.20", False),
        ("0.10", "0.200000000001", True),
        ("0.10", "0.05", False),
        ("0.10", "0.0499", True),
        ("0", "0", False),
        ("0", "0.000001", True),
        ("0.10", "0", True),
    ],
)
def test_a_price_jumps_when_it_moves_further_than_the_bound(before: str, after: str, jumped: bool) -> None:  # noqa: FBT001
    found = jumping([{"prefixes": "44", "price": before}], [{"prefixes": "44", "price": after}])
    assert jumped is bool(found)


def test_each_jump_names_its_row_its_prefix_and_both_prices() -> None:
    old = [{"prefixes": "33", "price": "0.1"}, {"prefixes": "44 49", "price": "0.1"}]
    new = [{"prefixes": "33", "price": "0.11"}, {"prefixes": "49", "price": "1"}, {"prefixes": "44", "price": "0.1"}]
    assert ['rates.csv:3 prefixes "49": the price is 1, was 0.1'] == jumping(old, new)


def test_rows_in_the_head_are_named_by_their_position() -> None:
    old, new = card({"prefixes": "44", "price": "1"}), card({"prefixes": "44", "price": "9"}, month="11")
    (fault,) = jumps(old, new, Fraction(2), written=Rows(place="card.toml: rate", inline=True))
    assert "card.toml: rate[2].prefixes" == fault.place


@pytest.mark.parametrize(
    ("before", "after", "jumped"),
    [
        ({"steps": "0:0.1 60:0.05"}, {"steps": "0:0.2 60:0.1"}, False),
        ({"steps": "0:0.1 60:0.05"}, {"steps": "0:0.1 60:0.02"}, True),
        ({"steps": "0:0.1 60:0.05"}, {"steps": "0:0.1 30:0.05"}, False),
        ({"steps": "0:0.1 60:0.03"}, {"steps": "0:0.1 30:0.03"}, True),  # from second 30 on 0.03, was 0.1
        ({"price": "0.1"}, {"steps": "0:0.1 60:0.05"}, False),
        ({"price": "0.1"}, {"steps": "0:0.1 60:0.04"}, True),
        ({"steps": "0:0.1 60:0.04"}, {"price": "0.1"}, True),
    ],
)
def test_steps_jump_at_any_of_their_bounds(before: dict[str, str], after: dict[str, str], *, jumped: bool) -> None:
    found = jumping([{"prefixes": "44", **before}], [{"prefixes": "44", **after}])
    assert jumped is bool(found), found


def test_rows_are_compared_by_all_that_they_match() -> None:
    old = [{"prefixes": "44", "price": "0.1"}, {"prefixes": "44", "origin_prefixes": "33", "price": "1"}]
    assert [] == jumping(old, old[::-1])
    assert [] == jumping(old, [{"prefixes": "447", "price": "9"}])


def test_any_tier_can_jump_and_another_unit_is_a_jump() -> None:
    tiers = {"prefixes": "44", "tiers": "t"}
    old = [tiers | {"prices": "0.2 0.1"}]
    assert [] == jumping(old, [tiers | {"prices": "0.2 0.09"}])
    assert 1 == len(jumping(old, [tiers | {"prices": "0.2 0.01"}]))
    assert ['rates.csv:2 prefixes "44": is now per second, was per minute'] == jumping(
        old, [tiers | {"prices": "0.2 0.1", "unit": "second"}]
    )


def test_a_row_that_ends_where_the_new_card_begins_was_in_force_before_it() -> None:
    old = [{"prefixes": "44", "price": "0.1", "effective_to": "2026-11-01"}]
    assert 1 == len(jumping(old, [{"prefixes": "44", "price": "9"}]))


def test_the_old_row_is_the_one_in_force_when_the_new_card_begins() -> None:
    old = [
        {"prefixes": "44", "price": "9", "effective_to": "2026-10-15"},
        {"prefixes": "44", "price": "0.1", "effective_from": "2026-10-15"},
    ]
    assert [] == jumping(old, [{"prefixes": "44", "price": "0.11"}])


def test_a_row_that_was_or_is_blocked_has_no_price_to_compare() -> None:
    blocked, open_ = {"prefixes": "44", "blocked": "true"}, {"prefixes": "44", "price": "1"}
    assert [] == jumping([blocked], [open_]) == jumping([open_], [blocked])


def test_of_many_jumps_each_is_found() -> None:
    old, new = ([{"prefixes": f"44{i}", "price": price} for i in range(300)] for price in ("1", "3"))
    found = jumping(old, new)
    assert 300 == len(found)
    assert 'rates.csv:301 prefixes "44299": the price is 3, was 1' == found[-1]


@pytest.mark.parametrize(
    ("country", "prefixes", "denied"),
    [
        ("GB", "44", False),
        ("GG", "44", False),
        ("DE", "44", True),
        ("DE", "44 49", False),
        ("US", "1", False),
        ("CA", "1204", False),
        ("US", "1204", True),
        ("", "44", False),
        ("DE", "", False),
    ],
)
def test_a_country_is_denied_when_none_of_the_prefixes_lies_in_it(country: str, prefixes: str, denied: bool) -> None:  # noqa: FBT001
    found = countries_denied(card({"country": country, "prefixes": prefixes, "price": "1"}), products())
    assert denied is bool(found)
    if denied:
        assert str(found[0]).startswith(f'rates.csv:2 country "{country}": the numbering plan has none')


def test_whole_addresses_have_no_country_in_the_numbering_plan() -> None:
    assert [] == countries_denied(
        card({"country": "DE", "prefixes": "112", "exact": "true", "price": "1"}, {"prefixes": "49", "price": "1"}),
        products(),
    )
