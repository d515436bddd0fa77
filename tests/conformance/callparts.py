"""CGRateS' figures about parts of a call: increments, steps, tiers, windows, limits and rounding, each by itself.

Where a whole bill says it, a bill is made; rounding and increments of a number go to the functions themselves.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import groupby
from math import lcm

import numpy as np

from billing.periods import Period
from rates.money import RoundingMode, round_ratio, rounded
from rates.quantities import Increments, billable_column
from rates.windows import DAYS, clock
from tests.conformance import reasons
from tests.conformance.calls import end_of, minute_of
from tests.conformance.tariffs import PAYER, Billed, Sale, Table, Tariff, Tier, billed, decimal, product_named, sold
from tests.conformance.verdicts import CannotSayError, Compared, Given

_BOOKKEEPING = ("name", "branch", "source_path", "checked", "semantics", "tier_mode")
_EARLY = "1970-01-01T00:00:00Z"
_MODES = {"up": RoundingMode.UP, "down": RoundingMode.DOWN, "middle": RoundingMode.HALF_UP}


def compared(model: str, facts: Mapping[str, object]) -> list[Compared]:
    """What a part of a call comes to there and here; `model` is the list it is in. Raises CannotSayError."""
    if model == "span_count":
        raise CannotSayError(reasons.SPANS)
    if model not in _MODELS:
        raise CannotSayError(f"{reasons.UNKNOWN_MODEL}: {model}")
    given = Given(facts, *_BOOKKEEPING)
    found = _MODELS[model](given)
    given.finish()
    return found


def _increment_rounding(given: Given) -> list[Compared]:
    """The billable seconds, of one leg and of a column of legs."""
    size, usage = int(given["increment_s"]), int(given["usage_s"])
    if size < 1:
        raise CannotSayError(reasons.NO_INCREMENT)
    expected, column = str(given["expected_billed_s"]), np.array([size])
    one = Increments(first=size, next=size).billable(usage)
    many = billable_column(np.array([usage]), column, column)
    return [
        Compared(fact="seconds", expected=expected, came=Fraction(one)),
        Compared(fact="seconds in a column", expected=expected, came=Fraction(int(many[0]))),
    ]


def _rounding(given: Given) -> list[Compared]:
    value, mode = Fraction(given["x"]) * Fraction(10) ** int(given["decimals"]), _MODES[given["method"]]
    if value < 0 and mode is not RoundingMode.HALF_UP:
        raise CannotSayError(reasons.NEGATIVE)
    ratio = value.as_integer_ratio()
    whole = round_ratio(*ratio) if value < 0 else rounded(*ratio, mode)
    came = Fraction(whole) / Fraction(10) ** int(given["decimals"])
    return [Compared(fact="rounded", expected=given["expected"], came=came)]


def _limits(given: Given) -> list[Compared]:
    """An event that would cost so much, between a minimum and a maximum."""
    least, most = (Fraction(given[key]) if key in given else None for key in ("min_cost", "max_cost"))
    sale = Sale(price=Fraction(given["cost"]), least=least, most=most, used={PAYER: [Fraction(1)]})
    rounding: Table | None = None
    if "round_param" in given:
        rounding = {"per": "event", "decimals": int(given["round_param"]), "mode": "half-up"}
    came = billed(sold(sale, rounding=rounding)).exact
    return [Compared(fact="cost", expected=given["expected"], came=came)]


def _volume_tier(given: Given) -> list[Compared]:
    """What usage adds after what was used before, each second at the tier it falls in."""
    tiers = [Given(each) for each in given["tiers"]]
    unit = lcm(*(int(tier["unit_s"]) or 1 for tier in tiers))
    if {int(tier["increment_s"]) for tier in tiers} != {1}:
        raise CannotSayError(reasons.BLOCKS_BY_TIER)
    found = []
    for tier in tiers:
        bound = Fraction(tier["upto_s"]) if tier.get("upto_s") is not None else None
        found.append(Tier(up_to=bound, price=Fraction(tier["rate"]) / (int(tier["unit_s"]) or 1) * unit))
        tier.finish()
    before, usage = Fraction(given["already_used_s"]), Fraction(given["usage_s"])
    sale = Sale(tiers=found, per=Fraction(unit)).opened()

    def bill_of(*used: Fraction) -> Billed:
        return billed(sold(replace(sale, used={PAYER: used})))

    came = bill_of(before, usage).exact - bill_of(before).exact
    cost = given.get("expected_cost")
    return [Compared(fact="cost", expected=given.get("exact_cost") or cost, came=came)]


def _increment_count(given: Given) -> list[Compared]:
    """A call that runs through intervals, each at its own rate: as steps from its start."""
    intervals = [Given(each, "usage_s", "increments") for each in given["expected_increments"]]
    fees = [Fraction(fee) for fee in given.get("fixed_fees") or []]
    if len(fees) > 1:
        raise CannotSayError(reasons.SEVERAL_FEES)
    start = int(given["interval_start_s"])
    unit = lcm(*(int(each["unit_s"]) or 1 for each in intervals))
    steps = [(int(each["start_s"]) - start, Fraction(each["rate"]) / (int(each["unit_s"]) or 1)) for each in intervals]
    sizes = [int(each["increment_s"]) for each in intervals]
    for each in intervals:
        each.finish()
    row: Table = {"product": "call", "unit": "span", "increments": f"{sizes[0]}/{sizes[min(1, len(sizes) - 1)]}"}
    row["steps"] = " ".join(f"{at}:{decimal(price * unit)}" for at, price in steps)
    if fees:
        row["setup_fee"] = decimal(*fees)
    bill = billed(_of_one_event(row, unit, int(given["usage_s"])))
    # Increments that are alike still need not end where a step does.
    unsaid = reasons.STEP_INCREMENTS if set(sizes) != {1} else ""
    seconds = Fraction(given["derived_billed_s"])
    return [
        Compared(fact="cost", expected=given["derived_cost"], came=bill.exact, unsaid=unsaid),
        Compared(fact="seconds", expected=str(seconds), came=bill.quantity("call"), unsaid=unsaid),
    ]


def _of_one_event(row: Table, unit: int, usage: int) -> Tariff:
    event = {"source": "source", "id": "call", "account": PAYER, "product": "call", "quantity": str(usage)}
    return Tariff(
        products=[product_named("call", base="second", units={"second": 1, "unit": 1, "span": unit})],
        cards=[{"id": "card", "currency": "USD", "effective_from": _EARLY, "rate": [row]}],
        events=[event | {"occurred_at": "2026-10-15T12:00:00Z"}],
        accounts=[{"id": PAYER, "currency": "USD"}],
        period=Period.parse("2026-10"),
    )


# --- windows ----------------------------------------------------------------------------------------------------------


def _time_window(given: Given) -> list[Compared]:
    """Whether an instant is in a window: by the row that prices an event of that instant."""
    window, at = given.below("time_window"), datetime.fromisoformat(given["at"])
    begins = minute_of(window["start"])
    ends = end_of(window)
    week = [DAYS[number - 1] for number in window.get("weekdays") or range(1, len(DAYS) + 1)]
    dated = list(_spells(at.year, window.get("months"), window.get("monthdays")))
    window.finish()
    row: Table = {"product": "call", "unit": "unit", "price": "1"}
    inside = [row | {"destination": "inside", "window": "w", "effective_from": a, "effective_to": b} for a, b in dated]
    tariff = _of_one_event({}, 1, 1)
    head = tariff.cards[0] | {"windows": {"w": {"days": week, "from": clock(begins), "to": clock(ends)}}}
    bill = billed(
        replace(
            tariff,
            products=[product_named("call", base="piece", units={"piece": 1, "unit": 1})],
            cards=[head | {"rate": [*inside, row | {"destination": "outside"}]}],
            events=[tariff.events[0] | {"occurred_at": at.astimezone(UTC).isoformat()}],
            period=Period.of_month(at.year, at.month),
        )
    )
    expected = "inside" if given["expected_active"] else "outside"
    at_end = at.hour * 60 + at.minute == ends and at.second == 0
    otherwise = reasons.HALF_OPEN if at_end else ""
    return [Compared(fact="window", expected=expected, came=bill.lines[0].destination, otherwise=otherwise)]


def _spells(year: int, months: list[int] | None, days: list[int] | None) -> Iterator[tuple[str, str]]:
    """The dates of a year in some months and on some days of them, as half-open spells."""
    first = datetime(year, 1, 1, tzinfo=UTC)
    dates = [first + timedelta(days=n) for n in range((first.replace(year=year + 1) - first).days)]
    kept = [each for each in dates if each.month in (months or [each.month]) and each.day in (days or [each.day])]
    for _, run in groupby(enumerate(kept), key=lambda pair: pair[1] - timedelta(days=pair[0])):
        spell = [date for _, date in run]
        yield spell[0].isoformat(), (spell[-1] + timedelta(days=1)).isoformat()


_MODELS: Mapping[str, Callable[[Given], list[Compared]]] = {
    "increment_rounding": _increment_rounding,
    "rounding": _rounding,
    "min_max": _limits,
    "volume_tier": _volume_tier,
    "increment_count": _increment_count,
    "time_window": _time_window,
}
