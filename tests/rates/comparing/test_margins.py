"""Margins of lists: every row that is sold against all that it may be bought by, after both roundings."""

from fractions import Fraction
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from rates.cards import Card
from rates.comparing.margins import Sides
from rates.comparing.probes import DURATIONS, worst_margins
from rates.compiled.patterns import microseconds
from rates.quantities import Increments
from tests.comparing import card, rate
from tests.decks import BEGINS, PRODUCTS

AT = microseconds(BEGINS)


class Told(NamedTuple):
    number: str
    buy: int
    at: int
    margin: Fraction
    negative_at: tuple[int, ...]


def worst(sell: Card, buy: Card, product: str = "voice.outbound", bought_as: str = "") -> dict[int, Told]:
    """By the line of the sell row."""
    sides = Sides.of([sell], [buy], PRODUCTS)
    found = worst_margins(sides, (product, bought_as or product), AT)
    return {
        each.sell: Told(each.number, each.buy, each.at, sides.exact(each.revenue - each.cost), each.negative_at)
        for each in found
    }


def test_a_row_is_sold_against_the_dearest_row_it_may_be_bought_by() -> None:
    found = worst(
        card(rate("372", "0.30"), rate("49", "0.05")),
        card(
            rate("372", "0.033"),
            rate("3725", "0.4783"),
            rate("4", "0.05"),
            rate("37250", "0.9", product="voice.inbound"),
        ),
    )
    assert Told("+3725", 1, 180, Fraction("0.30") * 3 - Fraction("0.4783") * 3, DURATIONS) == found[0]
    assert (2, Fraction(0), ()) == (found[1].buy, found[1].margin, found[1].negative_at)


def test_increments_of_both_sides_tell() -> None:
    found = worst(card(rate("44", "0.06", increments="1/1")), card(rate("44", "0.03", increments="60/60")))
    assert (1, Fraction(6, 6000) - Fraction(3, 100), (1, 6)) == (found[0].at, found[0].margin, found[0].negative_at)


def test_rows_that_meet_only_together_are_found() -> None:
    sell = card(rate("372", "0.30"), rate("372", "0.10", origin_prefixes=["49"]))
    buy = card(rate("3725", "0.20"), rate("3", "0.01"))
    assert ("+3725", (1, 6, 30, 60, 61, 180)) == (worst(sell, buy)[1].number, worst(sell, buy)[1].negative_at)
    assert () == worst(sell, buy)[0].negative_at


def test_a_row_that_nothing_is_bought_for_is_known_as_such() -> None:
    found = worst(card(rate("44", "0.02"), rate("49", "0.02")), card(rate("44", "0.01"), rate("49", blocked=True)))
    assert (0, -1) == (found[0].buy, found[1].buy)


def test_fees_tiers_and_rounding_per_event_count_on_both_sides() -> None:
    sell = card(rate("44", "0.02"))
    assert Fraction("0.02") - Fraction("0.03") == worst(sell, card(rate("44", "0.01", setup_fee="0.02")))[0].margin
    tiers = {"v": {"up_to": ["100"], "unit": "minute", "fill": [{"product": "voice.outbound"}]}}
    tiered = card(rate("44", tiers="v", prices=["0.05", "0.01"]), tiers=tiers)
    assert Fraction("-0.03") == worst(tiered, card(rate("44", "0.02")))[0].margin
    rounded = card(rate("44", "0.011"), rounding={"per": "event", "decimals": 2, "mode": "up"})
    assert Fraction("0.02") == worst(sell, rounded)[0].margin + Fraction("0.02")


def test_messages_and_trunks_are_bought_as_what_they_are() -> None:
    cells = {"product": "sms.outbound", "unit": "segment", "increments": "", "mcc": "248"}
    sell = card({**cells, "price": "0.05"})
    buy = card({**cells, "price": "0.04"}, {**cells, "price": "0.09", "mnc": "01"})
    assert 1 == worst(sell, buy, "sms.outbound")[0].buy
    trunk = card(rate("44", "0.03", product="trunk.termination", jurisdiction="interstate"))
    told = worst(card(rate("44", "0.02")), trunk, bought_as="trunk.termination")[0]
    assert (0, DURATIONS) == (told.buy, told.negative_at)


ROWS = st.dictionaries(
    st.tuples(st.text("12", min_size=1, max_size=3), st.sampled_from(["", "3", "34"])),
    st.tuples(st.sampled_from(["0.1", "0.2", "0.3"]), st.sampled_from(["60/60", "1/1", "30/6"])),
    min_size=1,
    max_size=6,
)


@given(sold=ROWS, bought=ROWS)
def test_every_call_that_loses_is_found_by_its_row(
    sold: dict[tuple[str, str], tuple[str, str]], bought: dict[tuple[str, str], tuple[str, str]]
) -> None:
    """Against calls of all short numbers from all origins, each priced by a linear search."""
    cards = [
        card(
            *(
                rate(to, price, origin_prefixes=origin.split(), increments=step)
                for (to, origin), (price, step) in r.items()
            )
        )
        for r in (sold, bought)
    ]
    expected: dict[int, set[int]] = {}
    numbers = [a + b + c + d for a in "12" for b in ["", "1", "2"] for c in ["", "1", "2"] for d in ["", "1", "2"]]
    for number in numbers:
        for caller in ("34", "35", "9"):
            sides = [_row(rows, number, caller) for rows in (sold, bought)]
            if sides[0] is not None and sides[1] is not None:
                lost = expected.setdefault(sides[0], set())
                amounts = [
                    list(rows.values())[i] for rows, i in zip((sold, bought), sides, strict=True) if i is not None
                ]
                for seconds in DURATIONS:
                    revenue, cost = (Increments.parse(step).billable(seconds) * Fraction(p) for p, step in amounts)
                    lost |= {seconds} if revenue < cost else set()
    found = {row: set(told.negative_at) for row, told in worst(cards[0], cards[1]).items() if told.buy >= 0}
    assert expected == found


def _row(rows: dict[tuple[str, str], tuple[str, str]], number: str, caller: str) -> int | None:
    fits = [(len(to), len(o), i) for i, (to, o) in enumerate(rows) if number.startswith(to) and caller.startswith(o)]
    return max(fits)[2] if fits else None
