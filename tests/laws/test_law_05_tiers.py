"""Law 5.

"Tiers tile [0, ∞). Graduated equals the unit-by-unit oracle always; it is monotone where a schedule's rows
share one price vector (with mixed prices it need not be). Volume changes only at declared bounds."
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rates.cards import Rounding
from rates.lines import LineKey, PricedLines
from rates.prices import Price
from rates.pricing import crossing_days, estimate, price
from rates.terms import CardTerms, Terms
from rates.tiers import Measure, Mode, Schedule, Scope, Selector, split, tier_of
from rates.usage import Totals, no_totals

V1 = "list@2026-10-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A rated event: who pays, which price, when (a day and a place within it), how much."""

    payer: int = 1
    account: int = 1
    price: int
    day: int
    quantity: int


def make_price(
    *values: str, schedule: str = "s", product: str = "voice.outbound", free: str = "0", unit: str = "second"
) -> Price:
    return Price(
        card=V1,
        currency="USD",
        rounding=Rounding(),
        product=product,
        element="usage",
        destination="",
        number_type="",
        unit=unit,
        unit_size=1,
        base=unit,
        prices=tuple(map(Decimal, values)),
        schedule=schedule,
        free_units=Decimal(free),
    )


def make_schedule(*up_to: int, mode: Mode = Mode.GRADUATED, measure: Measure = Measure.QUANTITY) -> Schedule:
    return Schedule(
        name="s",
        mode=mode,
        up_to=tuple(map(Decimal, up_to)),
        unit="second",
        measure=measure,
        scope=Scope.BILLING_ACCOUNT,
        fill=(Selector(product=("voice.outbound",)),),
    )


def make_terms(schedule: Schedule, *prices: Price) -> Terms:
    card = CardTerms(version=V1, effective_from=datetime(2026, 10, 1, tzinfo=UTC), schedules={"s": schedule})
    return Terms(currency="USD", prices=dict(enumerate(prices)), products={}, cards={V1: card})


def as_totals(events: Sequence[Event]) -> Totals:
    n = len(events)
    return Totals(
        payer=np.array([e.payer for e in events], dtype=np.int64),
        account=np.array([e.account for e in events], dtype=np.int64),
        price=np.array([e.price for e in events], dtype=np.int32),
        country=np.zeros(n, dtype=np.int16),
        day=np.array([e.day for e in events], dtype=np.int32),
        events=np.ones(n, dtype=np.int64),
        quantity=np.array([e.quantity for e in events], dtype=np.int64),
    )


def priced(events: Sequence[Event], terms: Terms) -> PricedLines:
    """Price events as the flows do: ask which days' order is needed until none is, then price."""
    chronological = as_totals(sorted(events, key=lambda e: (e.payer, e.day)))
    totals, crossings = as_totals(events), no_totals()
    wanted_days: set[tuple[int, int]] = set()
    while len((wanted := crossing_days(totals, crossings, terms)).payer):
        wanted_days |= set(zip(wanted.payer.tolist(), wanted.day.tolist(), strict=True))
        days = zip(chronological.payer.tolist(), chronological.day.tolist(), strict=True)
        crossings = chronological.take(np.array([day in wanted_days for day in days]))
    return price(totals, crossings, terms)


def by_key(lines: PricedLines) -> dict[LineKey, tuple[int, int]]:
    """Line key -> (events, base quantity), for one payer."""
    keys = [lines.keys[k] for k in lines.key.tolist()]
    return dict(zip(keys, zip(lines.events.tolist(), lines.base_quantity.tolist(), strict=True), strict=True))


def unit_by_unit(events: Sequence[Event], schedule: Schedule, prices: Sequence[Price]) -> dict[tuple[int, str], int]:
    """(price, tier) -> units, each unit counted on its own: the oracle."""
    position = 0
    units: dict[tuple[int, str], int] = {}
    for event in sorted(events, key=lambda e: e.day):
        fills = prices[event.price].product == "voice.outbound"
        before = position
        for _ in range(event.quantity):
            position += fills
            nth = position if fills else before + 1
            tier = 1 + sum(nth > bound for bound in schedule.up_to)
            label = str(tier) if prices[event.price].schedule else ""
            units[event.price, label] = units.get((event.price, label), 0) + 1
    return units


PRICES = (
    make_price("9", "7", "5"),
    make_price("8", "3", "1"),
    make_price("4", schedule=""),
    make_price("6", "5", "2", product="voice.inbound"),
)
EVENTS = st.lists(
    st.builds(Event, price=st.integers(0, 3), day=st.integers(20000, 20004), quantity=st.integers(0, 12)),
    max_size=20,
)
BOUNDS = st.tuples(st.integers(1, 20), st.integers(1, 30)).map(lambda ab: (ab[0], ab[0] + ab[1]))


@given(events=EVENTS, bounds=BOUNDS)
def test_graduated_tiers_equal_counting_unit_by_unit(events: list[Event], bounds: tuple[int, int]) -> None:
    """Rows that fill, rows that do not, rows priced flat: each unit lands on the tier where the counter stood."""
    schedule = make_schedule(*bounds)
    lines = by_key(priced(events, make_terms(schedule, *PRICES)))
    prices_of = {(p.product, p.unit_price(t, schedule), tier): i for i, p in enumerate(PRICES) for t, tier in _tiers(p)}
    counted = {(prices_of[k.product, k.unit_price, k.tier], k.tier): q for k, (_, q) in lines.items() if q}
    assert unit_by_unit(events, schedule, PRICES) == counted


def _tiers(price: Price) -> list[tuple[int, str]]:
    return [(0, "1"), (1, "2"), (2, "3")] if price.schedule else [(0, "")]


@given(events=EVENTS, bounds=BOUNDS)
def test_each_event_is_counted_on_one_line(events: list[Event], bounds: tuple[int, int]) -> None:
    """A split event counts in the tier in which it starts, so that events add up."""
    lines = priced(events, make_terms(make_schedule(*bounds), *PRICES))
    assert len(events) == int(lines.events.sum())


@given(events=EVENTS, bounds=BOUNDS)
def test_volume_prices_all_units_at_the_tier_reached(events: list[Event], bounds: tuple[int, int]) -> None:
    """Volume changes only at declared bounds: at a bound the lower tier still holds."""
    filled = sum(e.quantity for e in events if PRICES[e.price].product == "voice.outbound")
    reached = 1 + sum(filled > bound for bound in bounds)
    lines = by_key(priced(events, make_terms(make_schedule(*bounds, mode=Mode.VOLUME), *PRICES)))
    assert {str(reached), ""} >= {key.tier for key in lines}


@given(events=EVENTS, bounds=BOUNDS)
def test_an_events_schedule_keeps_events_whole(events: list[Event], bounds: tuple[int, int]) -> None:
    """With measure = events the n-th event is in the tier of n, with all of its units."""
    events = [event for event in events if event.price < 3 and event.quantity]
    lines = by_key(priced(events, make_terms(make_schedule(*bounds, measure=Measure.EVENTS), *PRICES[:3])))
    expected: dict[str, int] = {}
    for position, event in enumerate(sorted(events, key=lambda e: e.day), start=1):
        tier = "" if event.price == 2 else str(1 + sum(position > bound for bound in bounds))
        expected[tier] = expected.get(tier, 0) + event.quantity
    found: dict[str, int] = {}
    for key, (_, quantity) in lines.items():
        found[key.tier] = found.get(key.tier, 0) + quantity
    assert {t: q for t, q in expected.items() if q} == {t: q for t, q in found.items() if q}


def money_by_money(
    events: Sequence[Event], schedule: Schedule, prices: Sequence[Price]
) -> dict[tuple[int, str], tuple[int, Fraction]]:
    """(price, tier) -> units that begin there, and what is charged there: a unit lies in each tier that it reaches."""
    edges = [Fraction(0), *map(Fraction, schedule.up_to)]
    position, found = Fraction(0), dict[tuple[int, str], tuple[int, Fraction]]()

    def add(price: int, tier: int, units: int, amount: Fraction) -> None:
        key = (price, str(tier + 1) if prices[price].schedule else "")
        before = found.get(key, (0, Fraction(0)))
        found[key] = (before[0] + units, before[1] + amount)

    for event in sorted(events, key=lambda e: e.day):
        price = prices[event.price]
        cost = Fraction(price.prices[0])
        for _ in range(event.quantity):
            begun = sum(edge <= position for edge in edges) - 1
            if not price.schedule or price.product != "voice.outbound":
                add(event.price, begun, 1, price.unit_price(begun, schedule))
            else:
                add(event.price, begun, 1, Fraction(0))
                for tier, (low, high) in enumerate(zip(edges, [*edges[1:], position + cost + 1], strict=True)):
                    inside = min(high, position + cost) - max(low, position)
                    if inside > 0:
                        add(event.price, tier, 0, inside / cost * price.unit_price(tier, schedule))
            position += cost if price.product == "voice.outbound" else 0
    return found


@settings(deadline=None)
@given(events=EVENTS, bounds=BOUNDS, fine=st.sampled_from(["1", "0.01", "0.000000000007"]))
def test_tiers_by_amount_equal_cutting_each_unit_at_the_exact_amount(
    events: list[Event], bounds: tuple[int, int], fine: str
) -> None:
    """Quantities are whole and add up, and what each tier charges is exact, for prices of any size."""
    prices = [
        replace(each, prices=tuple(value * Decimal(fine) for value in each.prices), unit_size=1) for each in PRICES
    ]
    schedule = replace(
        make_schedule(measure=Measure.AMOUNT), unit="", up_to=tuple(bound * 5 * Decimal(fine) for bound in bounds)
    )
    lines = priced(events, make_terms(schedule, *prices))
    found = {
        (key.product, key.unit_price, key.tier): (quantity, Fraction(minor, 100) + residual)
        for key, quantity, minor, residual in zip(
            (lines.keys[each] for each in lines.key.tolist()),
            lines.base_quantity.tolist(),
            lines.amount_minor.tolist(),
            lines.residuals,
            strict=True,
        )
    }
    expected: dict[tuple[str, Fraction, str], tuple[int, Fraction]] = {}
    for (number, tier), (units, amount) in money_by_money(events, schedule, prices).items():
        unit_price = prices[number].unit_price(int(tier or 1) - 1, schedule)
        expected[prices[number].product, unit_price, tier] = (units, amount)
    # A line of which nothing is left but what bounds cut has no units, and one that is charged nothing has no event.
    assert {key: each for key, each in expected.items() if any(each)} == {
        key: each for key, each in found.items() if any(each)
    }
    charged = sum((amount for _, amount in found.values()), Fraction(0))
    assert charged == sum((amount for _, amount in expected.values()), Fraction(0))


@given(events=st.lists(st.builds(Event, price=st.just(0), day=st.integers(1, 3), quantity=st.integers(0, 9))))
def test_graduated_is_monotone_for_one_price_vector(events: list[Event]) -> None:
    """More usage never costs less."""
    terms = make_terms(make_schedule(5, 11), *PRICES)
    costs = [int(priced(events[:n], terms).amount_minor.sum()) for n in range(len(events) + 1)]
    assert sorted(costs) == costs


@given(start=st.integers(0, 40), quantity=st.integers(0, 40), bounds=BOUNDS)
def test_split_tiles_the_units_of_an_item(start: int, quantity: int, bounds: tuple[int, int]) -> None:
    """Every unit is in exactly one tier, and the first of them in the tier of the position."""
    spread = split(np.array([start]), np.array([quantity]), np.array(bounds))[0]
    assert quantity == spread.sum()
    if quantity:
        assert np.flatnonzero(spread)[0] == tier_of(np.array([start]), np.array(bounds))[0]


@given(events=EVENTS, free=st.integers(0, 30), bounds=BOUNDS)
def test_free_units_are_the_first_ones_and_do_not_fill(events: list[Event], free: int, bounds: tuple[int, int]) -> None:
    """The first `free` units in chronological order cost nothing and leave the counter where it was."""
    pooled = (make_price("9", "7", "5", free=str(free)), make_price("8", "3", "1", free=str(free)))
    chosen = [e for e in events if e.price < 2]
    lines = by_key(priced(chosen, make_terms(make_schedule(*bounds), *pooled)))
    total = sum(e.quantity for e in chosen)
    assert min(free, total) == sum(q for k, (_, q) in lines.items() if k.tier == "free")
    assert min(max(total - free, 0), bounds[0]) == sum(q for k, (_, q) in lines.items() if k.tier == "1")


@given(events=EVENTS, bounds=BOUNDS)
def test_a_price_per_event_moves_the_counter_by_units_and_is_due_once(
    events: list[Event], bounds: tuple[int, int]
) -> None:
    """The event is charged whole, in the tier in which it starts; its units fill like any other's."""
    prices = (make_price("9", "7", "5"), make_price("4", "3", "2", unit="event"))
    used = [event for event in events if event.price < 2 and event.quantity]
    position, expected = 0, dict.fromkeys(("1", "2", "3"), 0)
    for event in sorted(used, key=lambda e: e.day):
        expected[str(1 + sum(position >= bound for bound in bounds))] += event.price
        position += event.quantity
    lines = by_key(priced(used, make_terms(make_schedule(*bounds), *prices)))
    per_event = {key.tier: found for key, found in lines.items() if key.unit == "event"}
    assert {tier: (n, n) for tier, n in expected.items() if n} == per_event
    assert sum(e.quantity for e in used if not e.price) == sum(q for k, (_, q) in lines.items() if k.unit != "event")


@given(events=EVENTS, bounds=BOUNDS)
def test_an_estimate_has_the_same_units_and_needs_no_event(events: list[Event], bounds: tuple[int, int]) -> None:
    """Without the order of events the units are all there, only their tiers are an estimate."""
    lines = estimate(as_totals(events), make_terms(make_schedule(*bounds), *PRICES))
    assert sum(e.quantity for e in events) == int(lines.base_quantity.sum())


def test_the_worked_example_of_a_counter_over_three_prices() -> None:
    """200k in + 200k out + 100k toll-free minutes reach the bound; 1,000 more inbound cost 8.00 at 0.0080."""
    schedule = make_schedule(500_000)
    rows = (make_price("0.0085", "0.0080"), make_price("0.0140", "0.0130"), make_price("0.0220", "0.0200"))
    first = [Event(price=0, day=1, quantity=200_000), Event(price=1, day=2, quantity=200_000)]
    first.append(Event(price=2, day=3, quantity=100_000))
    terms = make_terms(schedule, *rows)
    before = priced(first, terms).amount_minor.sum()
    after = priced([*first, Event(price=0, day=4, quantity=1_000)], terms).amount_minor.sum()
    assert 800 == after - before


def test_amounts_are_exact_until_the_line_and_rounded_half_away_once() -> None:
    """3 units at 1/600 of a cent-and-a-half: the residual is what rounding took, as a fraction."""
    terms = make_terms(make_schedule(10), make_price("0.005", schedule=""))
    lines = priced([Event(price=0, day=1, quantity=1), Event(price=0, day=2, quantity=2)], terms)
    assert [2] == lines.amount_minor.tolist()
    assert [Fraction(-5, 1000)] == list(lines.residuals)
