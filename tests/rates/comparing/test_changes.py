"""What a new card changes, in the carriers' words."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rates.comparing.changes import CHANGES, Comparison, compare
from tests.comparing import card, rate
from tests.decks import BEGINS, PRODUCTS

LATER = BEGINS + timedelta(days=31)
STEPS = {"price": "", "steps": ["0:0.10", "60:0.05"]}


def changes(old: list[dict[str, object]], new: list[dict[str, object]], notice: int = 0) -> Comparison:
    was, now = card(*old), card(*new, begins=LATER)
    return compare(was, now, PRODUCTS, notice_from=LATER + timedelta(days=notice))


def told(found: Comparison, *names: str) -> list[tuple[str, ...]]:
    return sorted(tuple(row[name] for name in ("code", *names)) for row in found.rows.to_pylist())


def test_each_code_is_new_dearer_cheaper_unchanged_or_ended() -> None:
    found = changes(
        [rate("44 447", "0.02"), rate("49", "0.04"), rate("33", "0.01"), rate("39", "0.05")],
        [rate("44", "0.03"), rate("447 49", "0.02"), rate("33", "0.010"), rate("34", "0.07")],
    )
    assert [
        ("33", "unchanged", "0.01", "0.01", "0"),
        ("34", "new", "", "0.07", ""),
        ("39", "ended", "0.05", "", ""),
        ("44", "increase", "0.02", "0.03", "50"),
        ("447", "unchanged", "0.02", "0.02", "0"),
        ("49", "decrease", "0.04", "0.02", "-50"),
    ] == told(found, "change", "old_price", "new_price", "percent")
    assert {"increase": 1, "new": 1, "decrease": 1, "ended": 1, "other terms": 0, "unchanged": 2} == found.counts


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"price": "0.60"}, {"price": "0.01", "unit": "second"}, ("unchanged", "0", "unit")),
        ({"price": "0.60"}, {"price": "0.02", "unit": "second"}, ("increase", "100", "unit")),
        ({"price": "0.60"}, {"price": "0.01", "unit": "event"}, ("increase", "", "unit")),
        ({"price": "0.03"}, {"price": "0.04"}, ("increase", "33.33", "")),
        ({"price": "0"}, {"price": "0.04"}, ("increase", "", "")),
        ({"price": "0.04"}, {"price": "0"}, ("decrease", "-100", "")),
        ({"price": "0.04"}, {"blocked": True}, ("ended", "", "")),
        ({"blocked": True}, {"price": "0.04"}, ("new", "", "")),
        ({"price": "0.1"}, STEPS, ("decrease", "-50", "steps")),
        ({"price": "0.05"}, STEPS, ("increase", "100", "steps")),
        ({"price": "0.05"}, {"price": "0.05", "increments": "1/1"}, ("other terms", "0", "increments")),
        ({"price": "0.05"}, {"price": "0.05", "setup_fee": "0.01"}, ("other terms", "0", "setup_fee")),
        (
            {"price": "0.05"},
            {"price": "0.05", "min_charge": "1", "destination": "y"},
            ("other terms", "0", "destination min_charge"),
        ),
        ({"price": "0.05"}, {"price": "0.05", "destination": "y"}, ("unchanged", "0", "destination")),
    ],
)
def test_a_price_is_judged_by_what_it_costs_and_what_else_changed_is_said(
    old: dict[str, object], new: dict[str, object], said: tuple[str, ...]
) -> None:
    def row(cells: dict[str, object]) -> dict[str, object]:
        return {"prefixes": ["44"], **{key: value for key, value in cells.items() if value != ""}}

    (found,) = changes([row(old)], [row(new)]).rows.to_pylist()
    assert said == (found["change"], found["percent"], found["changed"])


def test_a_new_code_is_told_with_what_priced_it_before_and_an_ended_one_with_what_prices_it_now() -> None:
    found = changes(
        [rate("44", "0.02"), rate("4475", "0.05"), rate("4476", "0.01", origin_prefixes=["49"])],
        [rate("44", "0.02"), rate("447", "0.04"), rate("44791", "0.03")],
        notice=1,
    )
    assert [
        ("44", "unchanged", "", "", ""),
        ("447", "new", "44", "0.02", "increase too soon"),
        ("4475", "ended", "447", "0.04", "ended too soon"),
        ("4476", "ended", "447", "0.04", "ended too soon"),
        ("44791", "new", "44", "0.02", "increase too soon"),
    ] == told(found, "change", "beside_code", "beside_price", "notice")


def test_only_what_makes_usage_dearer_within_the_notice_period_is_warned_of() -> None:
    old = [rate("44", "0.02"), rate("49", "0.02"), rate("33", "0.02"), rate("39", "0.02")]
    new = [rate("44", "0.03"), rate("49", "0.01"), rate("33", "0.02", setup_fee="0.1"), rate("390", "0.01")]
    assert 0 == changes(old, new).warnings.num_rows
    soon = changes(old, new, notice=1)
    assert [
        ("33", "setup_fee changed too soon"),
        ("39", "ended too soon"),
        ("390", ""),
        ("44", "increase too soon"),
        ("49", ""),
    ] == told(soon, "notice")


def test_prices_that_are_announced_for_later_follow_each_other() -> None:
    second = (LATER + timedelta(days=10)).isoformat()
    third = (LATER + timedelta(days=20)).isoformat()
    found = changes(
        [rate("44", "0.02")],
        [
            rate("44", "0.03", effective_to=second),
            rate("44", "0.01", effective_from=second, effective_to=third),
        ],
    )
    assert [
        ("44", "2026-11-01T00:00:00Z", "increase", "0.02", "0.03"),
        ("44", "2026-11-11T00:00:00Z", "decrease", "0.03", "0.01"),
        ("44", "2026-11-21T00:00:00Z", "ended", "0.01", ""),
    ] == told(found, "effective_from", "change", "old_price", "new_price")


def test_rows_of_other_origins_and_elements_are_other_codes() -> None:
    old = [rate("44", "0.02"), rate("44", "0.01", origin_prefixes=["49", "33"]), rate("44", "0.1", element="surcharge")]
    new = [rate("44", "0.02"), rate("44", "0.02", origin_prefixes=["49"]), rate("44", "0.2", element="surcharge")]
    found = changes(old, new)
    assert [
        ("44", "", "surcharge", "increase"),
        ("44", "", "usage", "unchanged"),
        ("44", "33", "usage", "ended"),
        ("44", "49", "usage", "increase"),
    ] == told(found, "origin", "element", "change")


def test_codes_of_a_destination_that_changed_alike_are_one_row() -> None:
    found = changes([rate("44 447 4475", "0.02"), rate("49", "0.02")], [rate("44 447", "0.03"), rate("49", "0.03")])
    assert [("increase", "44 447 49", 3), ("ended", "4475", 1)] == [
        (row["change"], row["code"], row["codes"]) for row in found.by_destination().to_pylist()
    ]


PREFIXES = st.dictionaries(
    st.text("123", min_size=1, max_size=4), st.sampled_from(["0.1", "0.2", "0.30"]), min_size=1, max_size=12
)


@given(old=PREFIXES, new=PREFIXES)
def test_every_code_of_either_card_is_counted_once_and_judged_as_one_by_one(
    old: dict[str, str], new: dict[str, str]
) -> None:
    found = changes([rate(*item) for item in old.items()], [rate(*item) for item in new.items()])
    expected = []
    for code in old.keys() | new.keys():
        was, now = float(old.get(code, -1)), float(new.get(code, -1))
        change = (
            "new"
            if was < 0
            else "ended"
            if now < 0
            else ["unchanged", "increase", "decrease"][(now > was) - (now < was)]
        )
        others = old if was < 0 else new if now < 0 else {}
        beside = max((one for one in others if code.startswith(one)), key=len, default="")
        expected.append((code, change, beside))
    assert sorted(expected) == told(found, "change", "beside_code")
    assert len(expected) == sum(found.counts[change] for change in CHANGES)
