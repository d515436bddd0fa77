import tomllib
from decimal import Decimal

import numpy as np
import pytest

from rates.errors import Fault
from rates.reading import Reader
from rates.tiers import (
    Measure,
    Mode,
    Pool,
    Schedule,
    Scope,
    Selector,
    axis_faults,
    read_pool,
    read_schedule,
    selected,
    split,
    tier_of,
    whole,
)

TIERS = """
mode = "volume"
up_to = ["500000", "1000000.5"]
unit = "minute"
measure = "quantity"
scope = "account"
window = "month"
fill = [{product = ["voice.*", "fax"], country = "US"}, {number_type = ["mobile"]}]
flats = ["0", "5", "10.50"]
discounts = ["0", "5", "100"]
"""


def reader(text: str) -> Reader:
    return Reader(place="card.toml: tiers.t", table=tomllib.loads(text, parse_float=Decimal), faults=list[Fault]())


def schedule(text: str) -> tuple[Schedule, list[str]]:
    read = reader(text)
    found = read_schedule(read, "t")
    return found, [str(fault) for fault in read.faults]


def pool(text: str) -> tuple[Pool, list[str]]:
    read = reader(text)
    found = read_pool(read, "p")
    return found, [str(fault) for fault in read.faults]


def test_a_schedule_is_read_with_everything_that_it_says() -> None:
    expected = Schedule(
        name="t",
        mode=Mode.VOLUME,
        up_to=(Decimal(500000), Decimal("1000000.5")),
        unit="minute",
        measure=Measure.QUANTITY,
        scope=Scope.ACCOUNT,
        fill=(Selector(product=("voice.*", "fax"), country=("US",)), Selector(number_type=("mobile",))),
        flats=(Decimal(0), Decimal(5), Decimal("10.50")),
        flat_at_zero=False,
        discounts=(Decimal(0), Decimal(5), Decimal(100)),
    )
    assert (expected, []) == schedule(TIERS)


def test_a_flat_at_zero_usage_is_of_a_counter_for_each_payer() -> None:
    text = TIERS + "flat_at_zero = true\n"
    fault = 'tiers.t.flat_at_zero "True": with a counter for each account is not rated by this version; remove it'
    assert [f"card.toml: {fault}"] == schedule(text)[1]
    found, faults = schedule(text.replace('scope = "account"', 'scope = "billing_account"'))
    assert (True, []) == (found.flat_at_zero, faults)


def test_a_schedule_is_graduated_and_counts_the_quantity_of_the_billing_account_unless_it_says_otherwise() -> None:
    found, faults = schedule('up_to = ["10"]\nunit = "minute"\nfill = [{product = "voice.*"}]')
    assert [] == faults
    assert (Mode.GRADUATED, Measure.QUANTITY, Scope.BILLING_ACCOUNT) == (found.mode, found.measure, found.scope)
    assert 2 == found.tiers


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"1000000.5"', '"500000"', 'card.toml: tiers.t.up_to[1] "500000": 500000 is not above 500000'),
        ('"500000"', '"-1"', 'card.toml: tiers.t.up_to[0] "-1": is not above 0'),
        ('"500000"', '"5e5"', 'card.toml: tiers.t.up_to[0] "5e5": an exponent'),
        ('["0", "5", "10.50"]', "[0.5]", "card.toml: tiers.t.flats: is not a list of strings"),
        ('"10.50"', '"-10"', "card.toml: tiers.t.flats: has one below 0"),
        ('"5", "100"', '"5"', "card.toml: tiers.t.discounts: has 2 values for 3 tiers"),
        ('"quantity"', '"money"', 'card.toml: tiers.t.measure "money": is not known here; use one of quantity, events'),
        ('unit = "minute"', "", "card.toml: tiers.t.unit: is missing"),
        ('"month"', '"day"', 'card.toml: tiers.t.window "day": is not known here'),
        ("up_to", "upto", "card.toml: tiers.t.upto: is not a key of this table; did you mean up_to?"),
    ],
)
def test_a_fault_of_a_schedule_is_named_with_its_key(old: str, new: str, fault: str) -> None:
    assert fault in "\n".join(schedule(TIERS.replace(old, new, 1))[1])


def test_a_pool_is_read_and_its_faults_are_named() -> None:
    text = 'free = "10000"\nblock = "1"\nunit = "minute"\nfill = [{product = "recording.storage"}]\n'
    found, faults = pool(text)
    assert [] == faults
    assert (Decimal(10000), Decimal(1), "minute", Scope.BILLING_ACCOUNT) == (
        found.free, found.block, found.unit, found.scope,
    )  # fmt: skip
    assert 'tiers.t.block "-1": is negative' in pool(text.replace('block = "1"', 'block = "-1"'))[1][0]
    assert "tiers.t.fill: selects nothing" in pool(text.split("fill", maxsplit=1)[0])[1][0]


def test_bounds_are_whole_base_units_or_refused() -> None:
    found, _ = schedule(TIERS)
    assert [30_000_000, 60_000_030] == found.bounds(60).tolist()
    with pytest.raises(ValueError, match=r"1000000\.5 is not a whole number"):
        found.bounds(1)
    assert 90 == whole(Decimal("1.5"), 60)


def test_a_bound_is_inclusive_the_unit_after_it_is_in_the_next_tier() -> None:
    bounds = np.array([500, 1000], dtype=np.int64)
    positions = np.array([0, 499, 500, 999, 1000, 10**15], dtype=np.int64)
    assert [0, 0, 1, 1, 2, 2] == tier_of(positions, bounds).tolist()


def test_quantities_are_split_over_the_tiers_that_they_cross() -> None:
    bounds = np.array([500, 1000], dtype=np.int64)
    start = np.array([0, 0, 499, 500, 400, 2000, 500], dtype=np.int64)
    quantity = np.array([500, 501, 2, 1, 1000, 5, 0], dtype=np.int64)
    expected = [[500, 0, 0], [500, 1, 0], [1, 1, 0], [0, 1, 0], [100, 500, 400], [0, 0, 5], [0, 0, 0]]
    assert expected == split(start, quantity, bounds).tolist()


def test_a_schedule_without_bounds_has_one_open_tier() -> None:
    none = np.array([], dtype=np.int64)
    start, quantity = np.array([0, 7], dtype=np.int64), np.array([3, 10**15], dtype=np.int64)
    assert [[3], [10**15]] == split(start, quantity, none).tolist()


@pytest.mark.parametrize(
    ("usage", "taken"),
    [
        (("voice.outbound", "US", ""), True),
        (("fax", "US", "local"), True),
        (("voice.outbound", "CA", ""), False),
        (("sms.outbound", "US", ""), False),
        (("sms.outbound", "FR", "mobile"), True),
        (("Voice.outbound", "US", ""), False),
    ],
)
def test_usage_is_selected_by_all_conditions_of_any_selector(usage: tuple[str, str, str], taken: bool) -> None:  # noqa: FBT001
    assert taken is selected(schedule(TIERS)[0].fill, *usage)


def test_cards_agree_on_a_counter_by_its_axis_not_by_its_bounds() -> None:
    one, _ = schedule(TIERS)
    other, _ = schedule(TIERS.replace("500000", "600000"))
    assert one.axis == other.axis
    assert one.axis != schedule(TIERS.replace('"account"', '"billing_account"'))[0].axis
    assert one.axis != schedule(TIERS.replace('"US"', '"CA"'))[0].axis
    assert one.axis != schedule(TIERS.replace('"volume"', '"graduated"'))[0].axis


OTHERWISE: list[tuple[dict[str, object], str]] = [
    ({"unit": "hour"}, "unit"),
    ({"measure": "events", "unit": "event"}, "unit, measure"),
    ({"scope": "account"}, "scope"),
    ({"fill": [{"product": "voice.*"}]}, "fill"),
    ({"mode": "volume"}, "mode"),
]


@pytest.mark.parametrize(("changes", "differs"), OTHERWISE)
def test_cards_that_count_otherwise_under_one_name_are_told_with_both_and_what_differs(
    changes: dict[str, object], differs: str
) -> None:
    one, other = stated({}), stated(changes)
    (fault,) = axis_faults([("a", {"voice": one}), ("b", {"voice": other, "x": other})])
    assert "card b: tiers.voice" == fault.place
    assert f"counts otherwise than in card a, in {differs}" == fault.problem


def test_bounds_flats_and_the_order_of_what_fills_may_differ_between_cards() -> None:
    fill = [{"product": "voice.outbound"}, {"product": "sms.outbound", "country": "US"}]
    one = stated({"fill": fill})
    other = stated({"fill": fill[::-1], "up_to": ["9"], "flats": ["1", "2"]})
    assert [] == axis_faults([("a", {"voice": one}), ("b", {"voice": other}), ("c", {})])


def stated(changes: dict[str, object]) -> Schedule:
    table: dict[str, object] = {"unit": "minute", "up_to": ["5"], "fill": [{"product": "voice.outbound"}], **changes}
    read = Reader(place="", table=table, faults=[])
    found = read_schedule(read, "voice")
    assert [] == read.faults
    return found
