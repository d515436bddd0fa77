"""Two months side by side, of figures: what moved, by how much, and what is beyond the bounds."""

from fractions import Fraction

import pytest

from billing.comparison import Change, Held, Side, What, compare
from rates.money import Currency

USD, EUR = Currency("USD"), Currency("EUR")


def side(accounts: dict[str, int] | None = None, **facts: object) -> Side:
    empty: dict[str, object] = {"products": {}, "cards": frozenset(), "prices": {}, "held": {}}
    named = {(USD, name): minor for name, minor in (accounts or {}).items()}
    return Side(accounts=named, **(empty | facts))  # type: ignore[arg-type]


def changes(before: Side, after: Side, what: What, factor: int = 3) -> list[Change]:
    return [each for each in compare(before, after, factor=Fraction(factor)) if each.what is what]


def test_totals_are_sums_by_currency() -> None:
    before = Side(
        accounts={(USD, "a"): 1, (USD, "b"): 2, (EUR, "c"): 4}, products={}, cards=frozenset(), prices={}, held={}
    )
    found = changes(before, side({"a": 10, "d": 20}), What.TOTAL)
    assert [(EUR, 4, 0), (USD, 3, 30)] == [(each.currency, each.before_minor, each.after_minor) for each in found]


def test_accounts_that_moved_most_come_first_up_or_down_and_those_that_did_not_are_left_out() -> None:
    found = changes(side({"a": 5, "b": 100, "c": 7, "d": 0}), side({"a": 9, "b": 10, "c": 7, "e": 0}), What.ACCOUNT)
    assert [("b", -90, ""), ("a", 4, ""), ("d", 0, "lost"), ("e", 0, "new")] == [
        (each.name, each.moved_minor, each.note) for each in found
    ]


def test_who_is_held_back_is_told_and_is_in_no_total() -> None:
    after = side({"a": 5}, held={(USD, "b"): Held(900, "parked: too much")})
    (held,) = changes(side({"a": 5, "b": 9}), after, What.ACCOUNT)
    assert ("b", 9, 900, "parked: too much", True) == (
        held.name,
        held.before_minor,
        held.after_minor,
        held.note,
        held.beyond,
    )
    assert [(14, 5)] == [
        (each.before_minor, each.after_minor) for each in changes(side({"a": 5, "b": 9}), after, What.TOTAL)
    ]


def test_where_something_is_held_back_the_total_with_it_is_told_beside_both() -> None:
    before = Side(accounts={(USD, "a"): 10, (EUR, "c"): 4}, products={}, cards=frozenset(), prices={}, held={})
    after = side({}, held={(USD, "a"): Held(12, "parked"), (USD, "b"): Held(3, "parked")})
    sums = [each for each in compare(before, after, factor=Fraction(3)) if each.what is not What.ACCOUNT]
    assert [
        (What.TOTAL, EUR, 4, 0, ""),
        (What.TOTAL, USD, 10, 0, ""),
        (What.HELD, USD, 0, 15, ""),
        (What.IN_ALL, USD, 10, 15, "50.0"),
    ] == [(each.what, each.currency, each.before_minor, each.after_minor, each.percent) for each in sums]


def test_what_is_held_back_of_a_currency_without_drafts_has_all_three_rows() -> None:
    after = side({}, held={(EUR, "c"): Held(12, "parked")})
    sums = [each for each in compare(side({}), after, factor=Fraction(3)) if each.what is not What.ACCOUNT]
    assert [(What.TOTAL, 0, 0), (What.HELD, 0, 12), (What.IN_ALL, 0, 12)] == [
        (each.what, each.before_minor, each.after_minor) for each in sums
    ]


def test_a_product_of_which_nothing_is_drawn_up_has_no_percentage_and_an_account_that_left_has() -> None:
    before = side({"a": 10}, products={(USD, "voice"): 10})
    after = side({}, held={(USD, "b"): Held(12, "parked")})
    found = {
        each.what: each.percent for each in compare(before, after, factor=Fraction(3)) if each.name in {"voice", "a"}
    }
    assert {What.PRODUCT: "", What.ACCOUNT: "-100.0"} == found


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [(200, 100, "-50.0"), (-200, -100, "-50.0"), (-100, -200, "100.0"), (3, 4, "33.3"), (0, 5, ""), (None, 5, "")],
)
def test_percents_are_of_what_was_before(before: int | None, after: int, percent: str) -> None:
    change = Change(what=What.ACCOUNT, name="a", currency=USD, before_minor=before, after_minor=after)
    assert percent == change.percent


@pytest.mark.parametrize(
    ("old", "new", "beyond"),
    [
        (["1"], ["3"], False),
        (["1"], ["3.01"], True),
        (["3"], ["1"], False),
        (["3"], ["0.99"], True),
        (["0"], ["1"], True),
        (["1", "2"], ["6"], False),
        (["1", "2"], ["1", "6.1"], True),
        (["1", "2"], ["0.3", "2"], True),
    ],
)
def test_a_price_is_beyond_the_bound_if_it_is_more_than_so_many_times_up_or_down(
    old: list[str],
    new: list[str],
    beyond: bool,  # noqa: FBT001
) -> None:
    prices = [{(USD, "voice"): frozenset(map(Fraction, each))} for each in (old, new)]
    (found,) = changes(side(prices=prices[0]), side(prices=prices[1]), What.PRICE)
    assert beyond is found.beyond


def test_cards_and_prices_that_stay_are_not_told() -> None:
    both = {"cards": frozenset({"list@1"}), "prices": {(USD, "voice"): frozenset({Fraction(1)})}}
    assert () == compare(side(**both), side(**both), factor=Fraction(3))  # type: ignore[arg-type]
    after = side(cards=frozenset({"list@2"}))
    assert [("list@1", "not billed any more"), ("list@2", "new")] == [
        (each.name, each.note) for each in changes(side(cards=frozenset({"list@1"})), after, What.CARD)
    ]
