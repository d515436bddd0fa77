"""CGRateS' calls as cards: rates by destination, time of the week and duration, each call billed by itself.

Rates of one prefix that hold at different times become rows with windows that do not overlap: at each minute the one
of the highest weight, then of the latest start. Rates of one prefix and time that follow each other by the duration of
the call become steps. A connection fee is a setup fee, a cap that makes the rest free is a maximum charge.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from itertools import groupby
from math import lcm
from typing import Any

from billing.periods import Period
from rates.windows import DAYS, MINUTES_A_DAY, clock
from tests.conformance import reasons
from tests.conformance.tariffs import NOON, PAYER, Billed, Table, Tariff, billed, decimal, product_named
from tests.conformance.verdicts import CannotSayError, Compared, Given

_BOOKKEEPING = (
    "name",
    "branch",
    "source_path",
    "checked",
    "semantics",
    "expected_span_count",  # how a call is kept, not what it costs
    "derived_billed_s",
    "derived_segments",
)
_ANY = "*any"
_MIDNIGHT = "00:00:00"
_MODES = {"up": "up", "down": "down", "middle": "half-up"}
_MOST_DECIMALS = 12
_NATIONAL = "9"  # numbers that are written without a country code are given one, so that they are numbers
_EARLY = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Plan:
    """What calls to one prefix cost at some times of the week: rates in the order in which a call runs into them."""

    window: Mapping[str, Any] | None
    weight: Fraction
    rates: tuple[Given, ...]

    @property
    def start(self) -> int:
        """The minute of the day from which on it holds."""
        return minute_of(self.window.get("start", _MIDNIGHT)) if self.window else 0

    def minutes(self) -> set[int]:
        """The minutes of the week, from Monday 00:00, in which it holds."""
        return set(range(len(DAYS) * MINUTES_A_DAY)) if self.window is None else set(_minutes(self.window))


def compared(facts: Mapping[str, object]) -> list[Compared]:
    """What a call costs there, exactly, and here. Raises CannotSayError."""
    given = Given(facts, *_BOOKKEEPING)
    if given.get("continuation"):
        raise CannotSayError(reasons.PART_OF_A_CALL)
    call = _call(given)
    bill = billed(call.tariff)
    found = [_unrated(given, bill)] if given.get("expected_error") else _costs(given, bill, call.excuses)
    given.finish()
    return found


def _costs(given: Given, bill: Billed, excuses: Mapping[str, str]) -> list[Compared]:
    exact_cost, cost = given.get("exact_cost"), given.get("expected_cost")
    found = [Compared(fact="cost", expected=exact_cost or cost, came=bill.exact, **excuses)]
    if "expected_billed_s" in given:
        seconds = str(given["expected_billed_s"])
        found.append(Compared(fact="billed", expected=seconds, came=bill.quantity("call"), **excuses))
    return found


def _unrated(given: Given, bill: Billed) -> Compared:
    """A call that nothing prices there stays unpriced here."""
    zero = "" if Fraction(given["usage_s"]) else reasons.NOTHING_BILLED
    came = "unrated" if bill.quarantined else "rated"
    return Compared(fact="outcome", expected="unrated", came=came, otherwise=zero)


# --- time -------------------------------------------------------------------------------------------------------------


def minute_of(clock_time: str) -> int:
    """The minute of the day of a time. Raises CannotSayError for seconds."""
    hour, minute, second = map(int, clock_time.split(":"))
    if second:
        raise CannotSayError(reasons.SECONDS_OF_WINDOWS)
    return hour * 60 + minute


def end_of(window: Mapping[str, Any]) -> int:
    """The minute of the day at which a window ends. Its last second is inside, there: 17:59:59 is up to 18:00."""
    end = window.get("end")
    if not end:
        return MINUTES_A_DAY
    return minute_of(end[:-2] + "00") + 1 if end.endswith(":59") else minute_of(end)


def _minutes(window: Mapping[str, Any]) -> Iterator[int]:
    if window.get("months") or window.get("monthdays"):
        raise CannotSayError(reasons.DATES_OF_WINDOWS)
    begins, ends = minute_of(window.get("start", _MIDNIGHT)), end_of(window)
    for day in window.get("weekdays") or range(1, len(DAYS) + 1):
        yield from range((day - 1) * MINUTES_A_DAY + begins, (day - 1) * MINUTES_A_DAY + ends)


def _tiled(plans: Sequence[Plan]) -> list[tuple[Plan, set[int]]]:
    """The plans of one prefix, each with the minutes in which it is the one that holds."""
    left: set[int] = set()
    found = []
    ranked = sorted(plans, key=lambda plan: (plan.weight, plan.start), reverse=True)
    for _, alike in groupby(ranked, key=lambda plan: (plan.weight, plan.start)):
        own: set[int] = set()
        for plan in alike:
            minutes = plan.minutes() - left
            if minutes & own:
                raise CannotSayError(reasons.AMBIGUOUS_TARIFF)
            own |= minutes
            found.append((plan, minutes))
        left |= own
    return [(plan, minutes) for plan, minutes in found if minutes]


def _spells(minutes: set[int]) -> Iterator[tuple[list[str], int, int]]:
    """Minutes of the week as times of the day that hold on some days: the days, from, to."""
    days: dict[tuple[int, int], list[str]] = {}
    for number, day in enumerate(DAYS):
        own = sorted(minute % MINUTES_A_DAY for minute in minutes if minute // MINUTES_A_DAY == number)
        for _, run in groupby(enumerate(own), key=lambda pair: pair[1] - pair[0]):
            block = [minute for _, minute in run]
            days.setdefault((block[0], block[-1] + 1), []).append(day)
    for (begins, ends), names in days.items():
        yield names, begins, ends


# --- the tariff -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The tariff with the one call, and for which reasons it may come to something else."""

    tariff: Tariff
    excuses: Mapping[str, str]


def _call(given: Given) -> Call:
    to, timed = given.get("destination") or _ANY, given["kind"] == "voice"
    at = datetime.fromisoformat(given["answer_time"]) if "answer_time" in given else NOON
    plans = _plans(given, to)
    number = _number(to)
    own = _matching(plans, to)
    unit = lcm(*(int(rate["rate_unit_s"]) or 1 for each in plans.values() for plan in each for rate in plan.rates))
    rows, windows = list[Table](), dict[str, Table]()
    for prefix, each in plans.items():
        try:
            rows += _rows(prefix, each, windows, unit=unit, timed=timed)
        except CannotSayError:
            if prefix == own:  # what cannot be said of other destinations does not matter for this call
                raise
    return Call(
        tariff=Tariff(
            products=[_product(unit, timed=timed)],
            cards=[{**_head(plans.get(own, []), timed=timed), "rate": rows, "windows": windows}],
            events=[_event(given, number, at)],
            accounts=[{"id": PAYER, "currency": "USD"}],
            period=Period.of_month(at.year, at.month),
        ),
        excuses=_excuses(plans.get(own, []), timed=timed),
    )


def _product(unit: int, *, timed: bool) -> Table:
    base, measure = ("second", "duration_seconds") if timed else ("piece", "quantity")
    return product_named("call", base=base, units={base: 1, "unit": 1, "span": unit}, measure=measure)


def _event(given: Given, number: str, at: datetime) -> Table:
    event: Table = {"source": "source", "id": "call", "account": PAYER, "product": "call"}
    measure = "duration_seconds" if given["kind"] == "voice" else "quantity"
    event |= {"occurred_at": at.astimezone(UTC).isoformat(), measure: str(given["usage_s"])}
    return event | ({"to": number} if number else {})


def _number(to: str) -> str:
    """The destination as events write it: a number in full, or an address as it stands."""
    if to == _ANY or to.startswith("+"):
        return "" if to == _ANY else to
    return f"+{_NATIONAL}{to}" if to.isdigit() else to


def _plans(given: Given, to: str) -> dict[str, list[Plan]]:
    """The plans of each prefix that is written as the destination is."""
    by_plan: dict[str, tuple[Mapping[str, Any], list[Given]]] = {}
    for facts in given["rates"]:
        key = repr((facts["prefixes"], facts.get("time_window"), facts.get("weight")))
        by_plan.setdefault(key, (facts, []))[1].append(_rate(facts))
    plans: dict[str, list[Plan]] = {}
    for facts, rates in by_plan.values():
        rates.sort(key=lambda rate: int(rate["group_interval_start_s"]))
        starts = [int(rate["group_interval_start_s"]) for rate in rates]
        if starts[0] or len(set(starts)) < len(starts):
            raise CannotSayError(reasons.AMBIGUOUS_TARIFF)
        plan = Plan(facts.get("time_window"), Fraction(facts.get("weight") or 0), tuple(rates))
        for prefix in facts["prefixes"]:
            if "destination" not in given:  # there is a single rate, whatever it is for
                plans.setdefault(_ANY, []).append(plan)
            elif prefix == _ANY or (prefix.startswith("+") == to.startswith("+") and prefix.isdigit() == to.isdigit()):
                plans.setdefault(prefix, []).append(plan)
            if not to.removeprefix("+").isdigit() and to.startswith(prefix) and to != prefix:
                raise CannotSayError(reasons.WHOLE_ADDRESSES)
    return plans


def _rate(facts: Mapping[str, Any]) -> Given:
    rate = Given(facts, "destination", "prefixes", "time_window", "weight", "max_cost", "max_cost_strategy")
    for key in ("connect_fee", "rate", "rate_unit_s", "rate_increment_s", "group_interval_start_s"):
        rate.get(key)
    for key in ("rounding_method", "rounding_decimals"):
        rate.get(key)
    rate.finish()
    return rate


def _matching(plans: Mapping[str, object], to: str) -> str:
    """The prefix that decides a call: the longest."""
    return max((each for each in plans if each != _ANY and to.startswith(each)), key=len, default=_ANY)


def _head(plans: Sequence[Plan], *, timed: bool) -> Table:
    """The head of the card: a call is rounded as the rates of its own destination say."""
    head: Table = {"id": "card", "currency": "USD", "effective_from": _EARLY}
    said = {
        (rate.get("rounding_method"), int(rate.get("rounding_decimals") or 0)) for plan in plans for rate in plan.rates
    }
    if len(said) > 1:
        raise CannotSayError(reasons.SEVERAL_ROUNDINGS)
    blocks = {int(rate["rate_increment_s"]) for plan in plans for rate in plan.rates} - {1}
    if not timed and blocks:  # the month has one event: whole blocks of the month are those of the event
        if len(blocks) > 1:
            raise CannotSayError(reasons.EVENT_BLOCKS)
        pool = {"free": "0", "block": str(*blocks), "unit": "unit", "fill": [{"product": ["call"]}]}
        return head | {"pools": {"call": pool}}
    method, decimals = next(iter(said), (None, 0))
    if method and 0 < decimals <= _MOST_DECIMALS:
        head["rounding"] = {"per": "event", "decimals": decimals, "mode": _MODES[method]}
    return head


# --- its rows ---------------------------------------------------------------------------------------------------------


def _rows(prefix: str, plans: Sequence[Plan], windows: dict[str, Table], *, unit: int, timed: bool) -> Iterator[Table]:
    """The rows of a prefix, and the windows that they name."""
    tiled = _tiled(plans)
    match = _match(prefix)
    if len(tiled) == 1 and len(tiled[0][1]) == len(DAYS) * MINUTES_A_DAY:
        yield match | _charges(tiled[0][0], unit=unit, timed=timed)
        return
    split = timed and not any(_steps(plan) for plan, _ in tiled)
    for plan, minutes in tiled:
        for days, begins, ends in _spells(minutes):
            name = f"{'-'.join(days)}-{begins}-{ends}{'-cut' if split else ''}"
            windows[name] = {"days": days, "from": clock(begins), "to": clock(ends), "split": split}
            yield match | _charges(plan, unit=unit, timed=timed) | {"window": name}
    if sum(len(minutes) for _, minutes in tiled) < len(DAYS) * MINUTES_A_DAY:
        yield match | {"product": "call", "unit": "span", "blocked": True}


def _match(prefix: str) -> Table:
    if prefix == _ANY:
        return {}
    if not prefix.removeprefix("+").isdigit():
        return {"prefixes": [prefix], "exact": True}
    return {"prefixes": [prefix[1:] if prefix.startswith("+") else _NATIONAL + prefix]}


def _steps(plan: Plan) -> list[tuple[int, Fraction]]:
    """From which second on a second costs what; nothing where it costs the same all along."""
    found = [
        (int(rate["group_interval_start_s"]), Fraction(rate["rate"]) / (int(rate["rate_unit_s"]) or 1))
        for rate in plan.rates
    ]
    return found if len({price for _, price in found}) > 1 else []


def _charges(plan: Plan, *, unit: int, timed: bool) -> Table:
    """The cells of a row that say what a call costs."""
    first = plan.rates[0]
    row: Table = {"product": "call", "unit": "span", "destination": "there"}
    if timed:
        row["increments"] = _increments(plan)
    if steps := _steps(plan):
        row["steps"] = " ".join(f"{start}:{decimal(price * unit)}" for start, price in steps)
    else:
        row["price"] = decimal(Fraction(first["rate"]) / (int(first["rate_unit_s"]) or 1) * unit)
    if Fraction(first.get("connect_fee") or 0):
        row["setup_fee"] = decimal(Fraction(first["connect_fee"]))
    if first.get("max_cost_strategy", "").strip("*") == "free":
        row["max_charge"] = decimal(Fraction(first["max_cost"]))
    return row


def _increments(plan: Plan) -> str:
    """The increment of the first step, and that of those after it."""
    sizes = [int(rate["rate_increment_s"]) for rate in plan.rates]
    return f"{sizes[0]}/{sizes[min(1, len(sizes) - 1)]}"


def _excuses(plans: Sequence[Plan], *, timed: bool) -> dict[str, str]:
    """For which reason a call may come to something else than there; for most calls there is none."""
    sizes = {int(rate["rate_increment_s"]) for plan in plans for rate in plan.rates}
    if not timed:
        return {"unsaid": reasons.EVENT_BLOCKS} if sizes != {1} else {}
    if len(sizes) > 1:
        return {"unsaid": reasons.STEP_INCREMENTS}
    if len(plans) > 1 and any(map(_steps, plans)):
        return {"unsaid": reasons.STEPS_AND_WINDOWS}
    if len({(plan.rates[0].get("max_cost"), plan.rates[0].get("max_cost_strategy")) for plan in plans}) > 1:
        return {"unsaid": reasons.CAPPED_WINDOW}
    if any(plan.window and not plan.window.get("end", ":59").endswith(":59") for plan in plans):
        return {"otherwise": reasons.HALF_OPEN}
    several = len(plans) > 1 or any(len(plan.rates) > 1 for plan in plans)
    return {"otherwise": reasons.CUT_AT_THE_SECOND} if several and sizes != {1} else {}
