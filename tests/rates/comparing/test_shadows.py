"""Rows that shadow others, against a search one by one."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from rates.cards import Card
from rates.comparing.shadows import shadows
from rates.compiled.patterns import microseconds
from tests.comparing import card, rate
from tests.decks import BEGINS, PRODUCTS

AT = microseconds(BEGINS)


def told(one: Card, below: Card | None = None, *names: str) -> list[tuple[str, ...]]:
    found = shadows(one, below, PRODUCTS, AT).to_pylist()
    return [tuple(row[name] for name in ("code", "over_code", "change", *names)) for row in found]


def test_a_longer_prefix_shadows_the_next_shorter_one_with_its_price_change() -> None:
    one = card(rate("44", "0.02"), rate("447", "0.05"), rate("44791", "0.01"), rate("49", "0.02"))
    assert [
        ("447", "44", "increase", "150", "0.05", "0.02"),
        ("44791", "447", "decrease", "-80", "0.01", "0.05"),
    ] == told(one, None, "percent", "price", "over_price")


def test_prefixes_of_one_row_and_rows_of_other_elements_and_products_shadow_nothing() -> None:
    assert [] == told(card(rate("44 447", "0.02"), rate("4479", "0.1", element="surcharge")))
    assert [] == told(card(rate("44", "0.02"), rate("447", "0.1", product="voice.inbound")))


def test_an_origin_shadows_any_origin_and_a_blocked_row_ends_what_it_shadows() -> None:
    one = card(
        rate("372", "0.48"),
        rate("372", "0.06", origin_prefixes=["49", "4930"]),
        rate("3725", origin_prefixes=["493"], blocked=True),
    )
    assert [
        ("372", "372", "decrease", "49", ""),
        ("372", "372", "decrease", "4930", ""),
        ("3725", "372", "ended", "493", "49"),
    ] == told(one, None, "origin", "over_origin")


def test_rows_that_do_not_live_then_shadow_nothing() -> None:
    later = (BEGINS + timedelta(days=9)).isoformat()
    assert [] == told(card(rate("44", "0.02"), rate("447", "0.05", effective_from=later)))


def test_a_card_takes_over_from_the_one_below_it_and_hides_its_longer_prefixes() -> None:
    special, below = card(rate("44", "0.01"), name="special"), card(rate("4", "0.04"), rate("447", "0.05"))
    assert [("44", "4", "decrease"), ("44", "447", "decrease")] == told(special, below)
    assert [("44", "4", "decrease")] == told(card(rate("44", "0.01"), name="special", overlay=True), below)
    assert [("44", "44", "unchanged")] == told(special, card(rate("44", "0.01")))


def test_networks_shadow_the_other_networks() -> None:
    sms = {"product": "sms.outbound", "unit": "segment", "increments": "", "mcc": "248"}

    def network(price: str, **cells: str) -> dict[str, object]:
        return {**sms, "price": price, **cells}

    one = card(network("0.02"), network("0.1", mnc="1"), network("0.2", mnc="1", number_type="local"))
    found = shadows(one, None, PRODUCTS, AT).to_pylist()
    assert [("mcc=248 mnc=1", "mcc=248"), ("mcc=248 mnc=1 number_type=local", "mcc=248 mnc=1")] == [
        (row["where"], row["over_where"]) for row in found
    ]


ROWS = st.sets(st.tuples(st.text("12", max_size=3), st.text("34", max_size=2)), min_size=1, max_size=12)


@given(rows=ROWS)
def test_the_shadowed_row_is_the_longest_destination_then_the_longest_origin(rows: set[tuple[str, str]]) -> None:
    one = card(*(rate(to, "0.1", origin_prefixes=origin.split()) for to, origin in sorted(rows)))
    expected = []
    for to, origin in rows:
        wider = [(a, b) for a, b in rows - {(to, origin)} if to.startswith(a) and origin.startswith(b)]
        if wider:
            expected.append((to, origin, *max(wider, key=lambda pair: (len(pair[0]), len(pair[1])))))
    found = shadows(one, None, PRODUCTS, AT).to_pylist()
    names = ("code", "origin", "over_code", "over_origin")
    assert sorted(expected) == sorted(tuple(row[name] for name in names) for row in found)
