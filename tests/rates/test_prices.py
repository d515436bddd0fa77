from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa

from rates.cards import Card
from rates.prices import Price, PriceList, price_list
from rates.tiers import Measure, Mode, Schedule, Scope, Selector
from tests.shop import products


def listed(*rows: dict[str, str]) -> PriceList:
    defaults = {"product": "voice.outbound", "unit": "minute"}
    names = sorted({name for row in rows for name in row} | defaults.keys())
    columns = {name: [(defaults | row).get(name, "") for row in rows] for name in names}
    at = datetime(2026, 10, 1, tzinfo=UTC)
    return price_list(Card(id="c", currency="USD", effective_from=at, rows=pa.table(columns)), products())


def test_rows_that_differ_only_in_prefix_increments_and_country_share_a_price() -> None:
    found = listed(
        {"prefixes": "1201", "prices": "0.01", "increments": "60/60", "country": "US"},
        {"prefixes": "1202", "prices": "0.01", "increments": "6/6", "grace": "3"},
        {"prefixes": "1203", "prices": "0.02"},
    )
    assert [0, 0, 1] == found.usage.tolist()
    assert [-1, -1, -1] == found.setup.tolist()
    assert [(Decimal("0.01"),), (Decimal("0.02"),)] == [price.prices for price in found.prices]


def test_what_a_line_is_about_makes_another_price() -> None:
    base = {"prices": "0.01", "destination": "A"}
    others = [
        {"destination": "B"},
        {"product": "voice.inbound"},
        {"unit": "second"},
        {"element": "surcharge"},
        {"number_type": "mobile"},
        {"free_units": "10"},
        {"block": "1"},
        {"prices": "0.02"},
        {"tiers": "t"},
    ]
    found = listed(base, *(base | other for other in others))
    assert list(range(len(others) + 1)) == found.usage.tolist()


def test_prices_are_numbered_as_rows_first_name_them_and_set_up_fees_after_them() -> None:
    found = listed(
        {"prices": "0.02", "setup_fee": "0.1", "destination": "A"},
        {"prices": "", "blocked": "true"},
        {"prices": "0.01", "setup_fee": "0.1", "destination": "A"},
        {"prices": "0.02", "destination": "A"},
    )
    assert [0, -1, 1, 0] == found.usage.tolist()
    assert [2, -1, 2, -1] == found.setup.tolist()
    assert ["usage", "usage", "setup"] == [price.element for price in found.prices]
    setup = found.prices[2]
    assert ("event", 1, "event", (Decimal("0.1"),), "") == (
        setup.unit, setup.unit_size, setup.base, setup.prices, setup.schedule,
    )  # fmt: skip


def test_a_price_knows_its_unit_in_base_units() -> None:
    found = listed({"prices": "1"}, {"prices": "1", "unit": "second"}, {"prices": "1", "unit": "event"})
    assert [("minute", 60, "second"), ("second", 1, "second"), ("event", 1, "event")] == [
        (price.unit, price.unit_size, price.base) for price in found.prices
    ]
    assert {"c@2026-10-01T00:00:00Z"} == {price.card for price in found.prices}


def tiered(*prices: str) -> Price:
    return listed({"prices": " ".join(prices), "tiers": "t"}).prices[0]


def schedule(*discounts: str) -> Schedule:
    return Schedule(
        name="t",
        mode=Mode.GRADUATED,
        up_to=(Decimal(10), Decimal(20)),
        unit="minute",
        measure=Measure.QUANTITY,
        scope=Scope.BILLING_ACCOUNT,
        fill=(Selector(product=("voice.*",)),),
        discounts=tuple(map(Decimal, discounts)),
    )


def test_a_unit_costs_the_price_of_its_tier() -> None:
    price = tiered("0.014", "0.013", "0.012")
    assert [Fraction(14, 1000), Fraction(13, 1000), Fraction(12, 1000)] == [
        price.unit_price(tier, schedule()) for tier in range(3)
    ]


def test_one_price_holds_in_every_tier_less_the_tiers_percent_exactly() -> None:
    price = tiered("0.01")
    assert [Fraction(1, 100)] * 3 == [price.unit_price(tier, schedule()) for tier in range(3)]
    assert [Fraction(1, 100), Fraction(19, 2000), Fraction(667, 100_000)] == [
        price.unit_price(tier, schedule("0", "5", "33.3")) for tier in range(3)
    ]
    assert Fraction(1, 100) == price.unit_price(0, None)


def test_the_same_card_gives_the_same_list() -> None:
    rows = [{"prices": f"0.{i % 7 + 1}", "destination": f"D{i % 5}"} for i in range(200)]
    one, other = listed(*rows), listed(*rows)
    assert one.prices == other.prices
    assert 35 == len(one.prices)
    assert [one.prices[code].prices[0] for code in one.usage] == [Decimal(row["prices"]) for row in rows]
