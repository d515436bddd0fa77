"""Steps, windows, limits and rounding per event against one unit after the other.

The oracle walks through each call second by second, asks zoneinfo for the clock on the wall, and adds up fractions. It
knows nothing of columns, of changes of classes, or of common denominators.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from billing.bills import Arrangement, Bills, bill
from billing.periods import Period
from rates.cardfile import card_from_table
from rates.windows import DAYS
from tests.shop import products

Table = dict[str, Any]
Key = tuple[str, str, str]  # element, destination, unit price
Lines = dict[Key, tuple[int, int, Fraction]]  # events, base quantity, exact amount

# Days on which the clocks of some zone below are set, within one billing period each.
CHANGES = [
    datetime(2026, 10, 25, tzinfo=UTC),  # Europe back
    datetime(2027, 3, 28, tzinfo=UTC),  # Europe on
    datetime(2027, 3, 14, tzinfo=UTC),  # America on
    datetime(2026, 11, 1, 5, tzinfo=UTC),  # America back
    datetime(2026, 10, 3, 15, tzinfo=UTC),  # Lord Howe on, by half an hour
    datetime(2026, 10, 14, tzinfo=UTC),  # nobody's
]
ZONES = ["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
CLOCKS = ["00:00", "01:30", "02:00", "02:15", "03:00", "08:00", "22:00"]
PRICES = ["0", "0.01", "0.0033", "0.6", "1"]
AMOUNTS = ["0.001", "0.02", "0.05", "0.3", "2"]


# ---- the oracle ------------------------------------------------------------------------------------------------------


def holds(window: Table, local: datetime) -> bool:
    now, today, yesterday = f"{local:%H:%M}", DAYS[local.weekday()], DAYS[(local.weekday() - 1) % 7]
    begins, ends, days = window["from"], window["to"], window["days"]
    if ends > begins:
        return today in days and begins <= now < ends
    return (today in days and now >= begins) or (yesterday in days and now < ends)


def row_at(rows: Sequence[Table], windows: Table, zone: ZoneInfo, at: datetime) -> Table:
    local = at.astimezone(zone)
    inside = [row for row in rows if "window" in row and holds(windows[row["window"]], local)]
    assert len(inside) <= 1
    return inside[0] if inside else next(row for row in rows if "window" not in row)


def billed(increments: str, measured: int) -> int:
    first, following = map(int, increments.split("/"))
    units = first
    while units < measured:
        units += following
    return units


def steps_of(row: Table) -> list[tuple[int, str]]:
    if "price" in row:
        return [(0, row["price"])]
    return [(int(start), price) for start, _, price in (step.partition(":") for step in row["steps"].split())]


def to_step(value: Fraction, decimals: int, mode: str) -> Fraction:
    scaled = value * 10**decimals
    whole, rest = scaled.numerator // scaled.denominator, scaled % 1
    half = Fraction(1, 2)
    up = {
        "up": rest > 0,
        "down": False,
        "half-up": rest >= half,
        "half-even": rest > half or (rest == half and whole % 2 == 1),
    }[mode]
    return Fraction(whole + up, 10**decimals)


def naive(card: Table, event: Table) -> Lines:
    """The lines of one call, unit by unit."""
    zone, windows = ZoneInfo(card["timezone"]), card.get("windows", {})
    usage = [row for row in card["rate"] if "element" not in row]
    surcharge = next((row for row in card["rate"] if row.get("element") == "surcharge"), None)
    start, measured = datetime.fromisoformat(event["occurred_at"]), int(event["duration_seconds"])
    main = row_at(usage, windows, zone, start)
    split = any(windows[row["window"]].get("split") for row in usage if "window" in row)
    units = billed(main["increments"], measured)
    parts: dict[Key, int] = defaultdict(int)
    row, first = main, None
    for second in range(units):
        if split and second < measured:  # the padding goes where the last second went
            row = row_at(usage, windows, zone, start + timedelta(seconds=second))
        price = max(step for step in steps_of(row) if step[0] <= second)[1]
        key = "usage", row["destination"], price
        first = first or key
        parts[key] += 1
    assert first is not None
    cost = {key: Fraction(many) * Fraction(key[2]) / 60 for key, many in parts.items()}
    setup = Fraction(main.get("setup_fee", "0"))
    beside = Fraction(billed(surcharge["increments"], measured)) * Fraction(surcharge["price"]) / 60 if surcharge else 0
    total = sum(cost.values()) + setup + beside
    for limit, beyond in (("min", -1), ("max", 1)):
        text = main.get(f"{limit}_charge", "0")
        if (limit == "max" and f"{limit}_charge" in main and total > Fraction(text)) or (
            limit == "min" and total < Fraction(text)
        ):
            assert beyond
            return {(f"{limit}imum", main["destination"], text): (1, 1, Fraction(text))}
    lines: Lines = {key: (int(key == first), many, cost[key]) for key, many in parts.items()}
    rounding = card.get("rounding")
    if rounding:
        charge = to_step(sum(cost.values(), setup), rounding["decimals"], rounding["mode"])
        lines = {key: (lines[key][0], many, charge if key == first else Fraction(0)) for key, many in parts.items()}
    elif setup:
        lines["setup", main["destination"], main["setup_fee"]] = (1, 1, setup)
    if surcharge and beside is not None:
        units = billed(surcharge["increments"], measured)
        lines["surcharge", surcharge["destination"], surcharge["price"]] = (1, units, Fraction(beside))
    return lines


def expected(card: Table, events: Sequence[Table]) -> Lines:
    found: Lines = {}
    for event in events:
        for key, more in naive(card, event).items():
            before = found.get(key, (0, 0, Fraction(0)))
            found[key] = before[0] + more[0], before[1] + more[1], before[2] + more[2]
    return {(element, where, str(Fraction(price))): line for (element, where, price), line in found.items()}


def came(bills: Bills) -> Lines:
    (only,) = bills.bills
    return {
        (line.element, line.destination, str(line.unit_price)): (
            *(line.events, line.base_quantity),
            Fraction(line.amount_minor, 100) + line.residual,
        )
        for line in only.lines
    }


# ---- what is drawn ---------------------------------------------------------------------------------------------------


@st.composite
def windows_of(draw: st.DrawFn) -> Table:
    """One or two windows: the second is what the first leaves of its days, or of the others."""
    days = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True))
    begins, ends = draw(st.lists(st.sampled_from(CLOCKS), min_size=2, max_size=2, unique=True))
    split = draw(st.booleans())
    found: Table = {"one": {"days": days, "from": begins, "to": ends, "split": split}}
    if draw(st.booleans()):
        found["two"] = {"days": days, "from": ends, "to": begins, "split": split}
    return found


@st.composite
def rows_of(draw: st.DrawFn, window: str, *, single: bool, decimals: int | None) -> Table:
    """A usage row: by one price, or by steps; some with a fee and limits."""
    row: Table = {"product": "voice.outbound", "destination": f"to {window or 'all'}", "unit": "minute"}
    row |= {"window": window} if window else {}
    row["increments"] = draw(st.sampled_from(["1/1", "60/60", "30/6", "120/7"]))
    if single or draw(st.booleans()):
        row["price"] = draw(st.sampled_from(PRICES))
    else:
        bounds = [0, *sorted(draw(st.sets(st.sampled_from([1, 59, 60, 61, 600, 3600]), max_size=4)))]
        prices = draw(st.lists(st.sampled_from(PRICES), min_size=len(bounds), max_size=len(bounds)))
        row["steps"] = " ".join(f"{bound}:{price}" for bound, price in zip(bounds, prices, strict=True))
    if draw(st.booleans()):
        row["setup_fee"] = draw(st.sampled_from(AMOUNTS))
    amounts = [each for each in AMOUNTS if decimals is None or len(each) - 2 <= decimals]
    limits = sorted(draw(st.lists(st.sampled_from(amounts), max_size=2)), key=Fraction)
    names = ["min_charge", "max_charge"] if len(limits) > 1 else [draw(st.sampled_from(["min_charge", "max_charge"]))]
    return {**row, **dict(zip(names, limits, strict=False))}


@st.composite
def cards(draw: st.DrawFn) -> Table:
    """A card with a row for each window and one for the rest, and perhaps a surcharge beside them."""
    windows = draw(st.one_of(st.just({}), windows_of()))
    split = any(window["split"] for window in windows.values())
    rounding: Table | None = None
    if draw(st.booleans()):
        modes = st.sampled_from(["half-up", "half-even", "up", "down"])
        rounding = {"per": "event", "decimals": draw(st.integers(0, 4)), "mode": draw(modes)}
    decimals = rounding["decimals"] if rounding else None
    rows = [draw(rows_of(name, single=split, decimals=decimals)) for name in ["", *windows]]
    if draw(st.booleans()):
        charge = {"product": "voice.outbound", "element": "surcharge", "destination": "beside", "unit": "minute"}
        rows.append({**charge, "price": draw(st.sampled_from(PRICES[1:])), "increments": "1/1"})
    card = {"id": "c", "currency": "USD", "effective_from": "2026-10-01T00:00:00Z", "rate": rows}
    card |= {"timezone": draw(st.sampled_from(ZONES)), **({"windows": windows} if windows else {})}
    return {**card, "rounding": rounding} if rounding else card


@st.composite
def calls(draw: st.DrawFn, zone: str) -> list[Table]:
    """Calls of one month around an instant at which some clock is set, some of them not at a whole second.

    Many begin or end where the clock of the zone shows a time at which a window may begin.
    """
    around = draw(st.sampled_from(CHANGES))
    found = []
    for number in range(draw(st.integers(1, 4))):
        seconds = draw(st.one_of(st.integers(1, 130), st.integers(1, 6000)))
        hour, minute = map(int, draw(st.sampled_from(CLOCKS)).split(":"))
        local = around.astimezone(ZoneInfo(zone)) + timedelta(days=draw(st.integers(-1, 1)))
        at = local.replace(hour=hour, minute=minute, fold=draw(st.integers(0, 1))).astimezone(UTC)
        at -= timedelta(seconds=draw(st.one_of(st.sampled_from([0, 1, seconds]), st.integers(0, seconds))))
        at += timedelta(microseconds=draw(st.sampled_from([0, 0, 1, 500_000, 999_999])))
        event = {"id": str(number), "account": "a", "product": "voice.outbound", "status": "completed"}
        found.append({**event, "occurred_at": at.isoformat(), "duration_seconds": str(seconds), "to": "+4420"})
    assume(len({event["occurred_at"][:7] for event in found}) == 1)
    return found


def billed_by_the_engine(card: Table, events: Sequence[Table]) -> Bills:
    made, faults = card_from_table(card, {}, products())
    assert made is not None, [str(fault) for fault in faults]
    deal = Arrangement(cards=[made], products=products())
    payloads = [json.dumps(event).encode() for event in events]
    return bill(payloads, deal, Period.parse(events[0]["occurred_at"][:7]), source="s")


@settings(max_examples=150, deadline=None)
@given(cards().flatmap(lambda card: st.tuples(st.just(card), calls(card["timezone"]))))
def test_any_call_costs_what_its_seconds_cost_one_by_one(drawn: tuple[Table, list[Table]]) -> None:
    card, events = drawn
    assert expected(card, events) == came(billed_by_the_engine(card, events))


@pytest.mark.parametrize("zone", ZONES)
def test_a_call_of_thirty_hours_over_a_change_of_clocks_is_cut_at_every_edge(zone: str) -> None:
    days = {"days": list(DAYS), "split": True}
    windows = {"one": {**days, "from": "02:00", "to": "08:00"}, "two": {**days, "from": "22:00", "to": "02:00"}}
    rows: list[Table] = [
        {"product": "voice.outbound", "destination": name, "unit": "minute", "increments": "120/7", "price": price}
        for name, price in (("one", "0.1"), ("two", "0.01"), ("", "0.6"))
    ]
    rows = [{**row, **({"window": row["destination"]} if row["destination"] else {})} for row in rows]
    card = {"id": "c", "currency": "USD", "effective_from": "2026-10-01T00:00:00Z", "timezone": zone, "rate": rows}
    event = {
        "id": "1",
        "account": "a",
        "product": "voice.outbound",
        "to": "+4420",
        "duration_seconds": str(30 * 3600 - 1000),
    }
    starts = [(at - timedelta(days=1, microseconds=1)).isoformat() for at in CHANGES[:2]]
    for start in starts:
        events = [{**event, "occurred_at": start}]
        assert expected({**card, "windows": windows}, events) == came(
            billed_by_the_engine({**card, "windows": windows}, events)
        )
