"""What the independent re-rater makes of steps, windows, limits and rounding per event: figures derived by hand.

The card of most examples: calls to +1 at 0.60 per minute, 0.01 a second, by the second (1/1).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import verifier
from billing.verifier_usage import FaultError
from billing.verifier_windows import DAYS, Window
from cli.world import product_tables

Raw = Mapping[str, object]

ALL_DAY = {"days": DAYS, "from": "08:00", "to": "20:00", "split": True}


def row(**keys: object) -> dict[str, object]:
    plain = {"product": "voice.outbound", "prefixes": ["1"], "unit": "minute", "increments": "1/1"}
    return plain | ({} if {"steps", "blocked", "prices"} & keys.keys() else {"price": "0.60"}) | keys


def card(*rates: Raw, **head: object) -> dict[str, object]:
    return {"id": "list", "currency": "USD", "effective_from": "2026-10-01T00:00:00Z", "rate": rates} | head


def call(seconds: int, at: str = "2026-10-05T10:00:00Z", **keys: object) -> dict[str, object]:
    event = {"source": "s", "account": "a", "product": "voice.outbound", "to": "+14155550123", "occurred_at": at}
    return event | {"id": f"{at} {seconds}", "quantity": str(seconds)} | keys


def rate(events: Sequence[Raw], *cards: Raw, cards_of_a: Sequence[str] = ("list",)) -> dict[str, Any]:
    return verifier.rate(
        period="2026-10",
        events=events,
        cards=cards,
        products=product_tables(),
        accounts=[{"id": "a", "currency": "USD"}],
        contracts=[{"account": "a", "effective_from": "2026-01-01", "cards": cards_of_a}],
        plan={},
    )


def lines(events: Sequence[Raw], *cards: Raw, cards_of_a: Sequence[str] = ("list",)) -> dict[str, str]:
    """`element destination tier price` -> `events, base quantity, exact amount`."""
    found = rate(events, *cards, cards_of_a=cards_of_a)
    assert [] == found["rejected"] == found["quarantined"]
    return {
        " ".join(filter(None, (each["element"], each["destination"], each["tier"], each["unit_price"]))): (
            f"{each['events']}, {each['base_quantity']}, {Fraction(each['amount']) + Fraction(each['residual'])}"
        )
        for account in found["accounts"]
        for each in account["lines"]
    }


# --- steps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (60, {"usage 0.6": "1, 60, 3/5"}),  # the bound itself is where the next step begins
        (61, {"usage 0.6": "1, 60, 3/5", "usage 0.3": "0, 1, 1/200"}),
        (200, {"usage 0.6": "1, 60, 3/5", "usage 0.3": "0, 120, 3/5", "usage 0": "0, 20, 0"}),
    ],
)
def test_the_billed_quantity_is_cut_at_the_bounds_of_the_steps(seconds: int, expected: dict[str, str]) -> None:
    assert expected == lines([call(seconds)], card(row(steps="0:0.60 60:0.30 180:0")))


def test_steps_are_of_what_is_billed_not_of_what_was_measured() -> None:
    """61 s bill 120: 90 at 0.60 a minute, 30 at 0.30; one setup fee."""
    expected = {"usage 0.6": "1, 90, 9/10", "usage 0.3": "0, 30, 3/20", "setup 0.25": "1, 1, 1/4"}
    assert expected == lines([call(61)], card(row(steps="0:0.60 90:0.30", increments="60/60", setup_fee="0.25")))


def test_steps_fill_a_counter_with_all_that_is_billed_and_show_its_tier() -> None:
    """100 s in two steps, then 60 of one price: the counter stands at 100, so 20 s are in tier 1 and 40 in tier 2."""
    fill = [{"product": "voice.outbound"}]
    schedules = {"one": {"unit": "minute", "fill": fill}, "two": {"up_to": ["2"], "unit": "minute", "fill": fill}}
    stepped = row(steps="0:0.60 60:0.30", tiers="one")
    other = row(prefixes=["44"], prices=["0.06", "0.03"], tiers="two")
    usage = [call(100), call(60, "2026-10-05T11:00:00Z", to="+442071838750")]
    assert {
        "usage 1 0.6": "1, 60, 3/5",
        "usage 1 0.3": "0, 40, 1/5",
        "usage 1 0.06": "1, 20, 1/50",
        "usage 2 0.03": "0, 40, 1/50",
    } == lines(usage, card(stepped, other, tiers=schedules))


# --- windows ----------------------------------------------------------------------------------------------------------


def window(days: str, begins: int, ends: int, zone: str = "UTC", *, split: bool = False) -> Window:
    numbers = frozenset(DAYS.index(day) for day in days.split())
    return Window(name="w", zone=ZoneInfo(zone), days=numbers, begins=begins, ends=ends, split=split)


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        ("2026-10-09T21:59:59Z", False),  # Friday
        ("2026-10-09T22:00:00Z", True),
        ("2026-10-10T05:59:59.999999Z", True),  # Saturday, still of Friday's
        ("2026-10-10T06:00:00Z", False),
        ("2026-10-10T22:00:00Z", False),  # Saturday's does not begin
        ("2026-10-09T05:00:00Z", False),  # Thursday's did not
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins(at: str, inside: bool) -> None:  # noqa: FBT001
    assert inside == window("fri", 22 * 60, 6 * 60).holds_at(datetime.fromisoformat(at))


def test_a_window_until_24_00_ends_with_its_day() -> None:
    found = [window("mon", 0, 24 * 60).holds_at(datetime(2026, 10, day, 12, tzinfo=UTC)) for day in (4, 5, 6)]
    assert [False, True, False] == found


def test_both_passes_of_a_repeated_hour_are_inside_and_a_skipped_one_never_is() -> None:
    """Berlin: on 25 October 02:00-03:00 is 00:00-02:00 UTC; on 28 March at 01:00 UTC it is 03:00."""
    night = window(" ".join(DAYS), 2 * 60, 3 * 60, "Europe/Berlin")
    back = datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert [120 <= minute < 240 for minute in range(600)] == [
        night.holds_at(back + timedelta(minutes=minute)) for minute in range(600)
    ]
    on = datetime(2027, 3, 27, 22, tzinfo=UTC)
    assert not any(night.holds_at(on + timedelta(minutes=minute)) for minute in range(600))


DAY = row(window="day", destination="day", price="1.20")
NIGHT = row(destination="night")


def test_without_split_the_row_at_the_start_prices_the_whole_call() -> None:
    offer = card(DAY, NIGHT, windows={"day": {**ALL_DAY, "split": False}})
    assert {"usage day 1.2": "1, 100, 2"} == lines([call(100, "2026-10-05T19:59:00Z")], offer)
    assert {"usage night 0.6": "1, 100, 1"} == lines([call(100, "2026-10-05T20:00:00Z")], offer)


@pytest.mark.parametrize(
    ("at", "day", "night"),
    [
        ("19:59:00", 60, 40),
        ("19:59:59", 1, 99),
        ("19:59:59.000001", 1, 99),  # a second belongs to where it begins
        ("19:59:58.999999", 2, 98),
        ("19:58:20", 100, 0),
        ("19:58:21", 99, 1),
    ],
)
def test_a_call_is_cut_where_the_window_ends(at: str, day: int, night: int) -> None:
    offer = card(DAY, NIGHT, windows={"day": ALL_DAY})
    expected = {"usage day 1.2": f"1, {day}, {Fraction(day, 50)}"}
    expected |= {"usage night 0.6": f"0, {night}, {Fraction(night, 100)}"} if night else {}
    assert expected == lines([call(100, f"2026-10-05T{at}Z")], offer)


def test_increments_are_of_the_row_at_the_start_and_pad_the_last_part() -> None:
    """100 s from 19:59: 60 s of day; 40 s of night and 20 s of padding, by day's 60/60 and not night's 1/1."""
    offer = card({**DAY, "increments": "60/60"}, NIGHT, windows={"day": ALL_DAY})
    usage = [call(100, "2026-10-05T19:59:00Z")]
    assert {"usage day 1.2": "1, 60, 6/5", "usage night 0.6": "0, 60, 3/5"} == lines(usage, offer)


def test_parts_on_one_row_are_summed_and_the_call_is_counted_once() -> None:
    """From 07:59 for twelve hours and two minutes: night, day, night."""
    offer = card(DAY, NIGHT, windows={"day": ALL_DAY})
    expected = {"usage day 1.2": "0, 43200, 864", "usage night 0.6": "1, 120, 6/5"}
    assert expected == lines([call(43320, "2026-10-05T07:59:00Z")], offer)


def test_a_part_that_is_blocked_quarantines_the_whole_call() -> None:
    offer = card(DAY, row(blocked=True), windows={"day": ALL_DAY})
    found = rate([call(61, "2026-10-05T19:59:00Z"), call(60, "2026-10-05T19:59:00Z")], offer)
    assert ["blocked"] == [each["reason"] for each in found["quarantined"]]
    assert ["1.20"] == [each["total"] for each in found["accounts"]]


def test_the_row_at_the_start_has_the_setup_fee_the_maximum_and_the_limits() -> None:
    day = {**DAY, "setup_fee": "0.10", "max_charge": "1.60"}
    offer = card(day, {**NIGHT, "setup_fee": "9", "max_charge": "0.01"}, windows={"day": ALL_DAY})
    usage = [call(90, "2026-10-05T19:59:00Z")]  # 1.20 + 0.30 + 0.10
    expected = {"usage day 1.2": "1, 60, 6/5", "usage night 0.6": "0, 30, 3/10", "setup day 0.1": "1, 1, 1/10"}
    assert expected == lines(usage, offer)
    assert {"maximum day 1.6": "1, 1, 8/5"} == lines([call(91, "2026-10-05T19:59:00Z")], offer)


def test_parts_take_free_units_and_fill_counters_in_their_order() -> None:
    """90 s free: 60 of day, 30 of night; the other 30 s of night fill the counter, 20 of them in tier 1."""
    fill = [{"product": "voice.outbound"}]
    counted = {"t": {"up_to": ["0.5"], "unit": "minute", "fill": fill}}
    pool = {"p": {"free": "1.5", "unit": "minute", "fill": fill}}
    offer = card({**DAY, "tiers": "t"}, {**NIGHT, "tiers": "t"}, windows={"day": ALL_DAY}, tiers=counted, pools=pool)
    assert {
        "usage day free 0": "1, 60, 0",
        "usage night free 0": "0, 30, 0",
        "usage night 1 0.6": "0, 30, 3/10",
        "usage night 2 0.6": "0, 10, 1/10",
    } == lines([call(130, "2026-10-05T19:59:00Z")], offer)


def test_windows_come_after_the_prefix() -> None:
    """The longer prefix has no window that holds, but a row without one: not the window of the shorter prefix."""
    offer = card(DAY, NIGHT, row(prefixes=["1415"], destination="Bay", price="0.06"), windows={"day": ALL_DAY})
    assert {"usage Bay 0.06": "1, 60, 3/50"} == lines([call(60)], offer)


def test_an_overlay_yields_to_no_window_of_the_card_below_it() -> None:
    special = card(row(destination="special"), id="special", overlay=True)
    listed = card(DAY, NIGHT, windows={"day": ALL_DAY})
    assert {"usage special 0.6": "1, 60, 3/5"} == lines([call(60)], special, listed, cards_of_a=["special", "list"])


@given(
    days=st.sets(st.sampled_from(DAYS), min_size=1),
    clock=st.lists(st.integers(0, 24 * 60 - 1), min_size=2, max_size=2, unique=True),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    begins=st.datetimes(datetime(2026, 10, 24, 20), datetime(2026, 10, 25, 4), timezones=st.just(UTC)),  # noqa: DTZ001
    seconds=st.integers(1, 4000),
)
def test_minute_by_minute_is_second_by_second(
    days: set[str], clock: list[int], zone: str, begins: datetime, seconds: int
) -> None:
    named = window(" ".join(days), clock[0], clock[1], zone, split=True)
    clocks = [f"{minute // 60:02}:{minute % 60:02}" for minute in clock]
    said = {"days": sorted(days), "from": clocks[0], "to": clocks[1], "split": True}
    inside = sum(named.holds_at(begins + timedelta(seconds=second)) for second in range(seconds))
    found = lines([call(seconds, begins.isoformat())], card(DAY, NIGHT, timezone=zone, windows={"day": said}))
    quantities = {key.split()[1]: int(value.split(", ")[1]) for key, value in found.items()}
    assert (inside, seconds - inside) == (quantities.get("day", 0), quantities.get("night", 0))


# --- limits -----------------------------------------------------------------------------------------------------------


def test_only_what_lies_beyond_a_limit_is_replaced_by_it() -> None:
    """Usage, setup 0.05 and surcharge 0.10 of 9, 10, 35 and 36 s: 0.24, 0.25, 0.50 and 0.51. A carrier fee stays."""
    rows = [
        row(setup_fee="0.05", min_charge="0.25", max_charge="0.50"),
        row(element="surcharge", unit="event", price="0.10"),
        row(element="carrier_fee", unit="event", price="0.001"),
    ]
    assert {
        "carrier_fee 0.001": "4, 4, 1/250",
        "minimum 0.25": "1, 1, 1/4",
        "maximum 0.5": "1, 1, 1/2",
        "usage 0.6": "2, 45, 9/20",
        "setup 0.05": "2, 2, 1/10",
        "surcharge 0.1": "2, 2, 1/5",
    } == lines([call(n) for n in (9, 10, 35, 36)], card(*rows))


def test_a_call_of_nothing_has_no_minimum() -> None:
    found = rate([call(0), call(5)], card(row(min_charge="1", grace="6")))
    assert ([], 2) == (found["accounts"], len(found["zero_rated"]))


def test_a_clamped_call_fills_no_counter_and_no_pool() -> None:
    """The first call costs its minimum; a minute is free and a minute in tier 1 for the other ones all the same."""
    fill = [{"product": "voice.outbound"}]
    special = card(row(prefixes=["44"], min_charge="9"), id="special")
    tiered = row(prices=["0.60", "0.06"], tiers="t")
    listed = card(
        tiered,
        tiers={"t": {"up_to": ["1"], "unit": "minute", "fill": fill}},
        pools={"p": {"free": "1", "unit": "minute", "fill": fill}},
    )
    usage = [call(60, to="+442071838750"), call(60, "2026-10-05T11:00:00Z"), call(60, "2026-10-05T12:00:00Z")]
    found = lines(usage, special, listed, cards_of_a=["special", "list"])
    assert {"minimum 9": "1, 1, 9", "usage free 0": "1, 60, 0", "usage 1 0.6": "1, 60, 3/5"} == found


# --- rounding per event -----------------------------------------------------------------------------------------------

TO_CENTS = {"per": "event", "decimals": 2}


def test_all_of_a_rounded_charge_is_with_the_first_part() -> None:
    """61 s in steps: 0.60 + 0.005 + setup 0.001 = 0.606, rounded 0.61."""
    offer = card(row(steps="0:0.60 60:0.30", setup_fee="0.001"), rounding=TO_CENTS)
    assert {"usage 0.6": "1, 60, 61/100", "usage 0.3": "0, 1, 0"} == lines([call(61)], offer)


def test_what_stands_beside_the_usage_is_not_rounded_with_it() -> None:
    """Three calls of 1 s at 0.333 a minute: 0.00555 is 0.01 each; their surcharges of 0.004 are 0.012 in all."""
    surcharge = row(element="surcharge", unit="event", price="0.004")
    usage = [call(1, f"2026-10-05T10:00:0{n}Z") for n in range(3)]
    expected = {"usage 0.333": "3, 3, 3/100", "surcharge 0.004": "3, 3, 3/250"}
    assert expected == lines(usage, card(row(price="0.333"), surcharge, rounding=TO_CENTS))


def test_limits_are_about_the_exact_charge_and_are_not_rounded_again() -> None:
    """1 s at 0.30 is 0.005, which would round to 0.01: it is below 0.006 all the same."""
    offer = card(row(price="0.30", min_charge="0.006"), rounding=TO_CENTS)
    assert {"minimum 0.006": "1, 1, 3/500"} == lines([call(1)], offer)


# --- faults -----------------------------------------------------------------------------------------------------------

SPLIT, WHOLE = {"w": ALL_DAY}, {"w": {**ALL_DAY, "split": False}}
IN = {"window": "w"}
POOL = {"p": {"free": "1", "unit": "minute", "fill": [{"product": "voice.*"}]}}


@pytest.mark.parametrize(
    "bad",
    [
        card(row(steps="60:1")), card(row(steps="0:1 60:2 60:3")), card(row(steps="0:1 60:2 30:3")),
        card(row(steps="0:1 60")), card(row(steps="0:1", price="1")), card(row(steps="0:1", unit="event")),
        card(row(steps="0:1", element="surcharge")), card(row(steps="0:1", free_units="1")),
        card(row(min_charge="2", max_charge="1")), card(row(min_charge="1", block="1")),
        card(row(steps="0:1"), pools=POOL), card(row(max_charge="9"), pools=POOL),
        card(row(**IN)), card(row(), row(**IN), windows={"w": {**ALL_DAY, "from": "8:00"}}),
        card(row(), row(**IN), windows={"w": {**ALL_DAY, "to": "08:00"}}), card(row(), timezone="Mars/Olympus"),
        card(row(), row(**IN), windows={"w": {**ALL_DAY, "days": ["monday"]}}),
        card(row(), row(**IN), windows={"w": {**ALL_DAY, "days": []}}),
        card(row(), row(**IN, unit="event"), windows=SPLIT), card(row(), row(**IN, steps="0:1"), windows=SPLIT),
        card(row(), row(**IN, element="surcharge"), windows=SPLIT),
        card(row(), row(**IN), row(window="v"), windows=SPLIT | {"v": ALL_DAY}),  # both hold
        card(row(**IN), windows={"w": {**ALL_DAY, "to": "09:00"}}),  # none does
        card(row(), row(**IN), row(window="v"), windows=SPLIT | {"v": {**ALL_DAY, "from": "21:00", "split": False}}),
    ],
)  # fmt: skip
def test_a_card_whose_charges_contradict_gives_no_figure(bad: Raw) -> None:
    with pytest.raises(FaultError):
        rate([call(60)], bad)
