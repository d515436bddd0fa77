"""Lago's charge models as cards.

A charge is a product; a fee is an invoice line, so tiers and flats are several lines where Lago has one fee. What is
billed in advance is compared as what each event adds to the exact bill.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import lcm

from rates.money import round_ratio
from tests.conformance import alerts, reasons
from tests.conformance.deals import lago_true_up
from tests.conformance.tariffs import PAYER, Billed, Sale, Table, Tariff, Tier, billed, sold
from tests.conformance.verdicts import CannotSayError, Compared, Given, whole

_BOOKKEEPING = (
    "name",
    "source_path",
    "model",
    "checked",
    "expected_unit_amount",  # an average over all tiers: a line has the exact price of its units instead
    "unit_amount_basis",
)
_CENT = Fraction(1, 100)
_BY_EVENT: Table = {"per": "event", "decimals": 2}


def compared(facts: Mapping[str, object]) -> list[Compared]:
    """What a case of Lago's says, and what comes of it here. Raises CannotSayError."""
    given = Given(facts, *_BOOKKEEPING)
    model = given.get("model", "")
    if model in _NOT_SAID:
        raise CannotSayError(_NOT_SAID[model])
    if model not in _MODELS:
        raise CannotSayError(f"{reasons.UNKNOWN_MODEL}: {model}")
    found = _MODELS[model](given)
    given.finish()
    return found


# --- what is given ----------------------------------------------------------------------------------------------------


def _quantities(given: Given) -> list[Fraction]:
    """The quantities of the events; `units` is one event of them all."""
    if "events" in given:
        return [Fraction(each) for each in given["events"]]
    return [Fraction(given["units"])]


def _used(*quantities: Fraction) -> dict[str, Sequence[Fraction]]:
    return {PAYER: quantities}


def _amount(given: Given, bill: Billed) -> list[Compared]:
    """The amount: of a fee in cents as it is rounded, else exact. In several lines it may be rounded otherwise."""
    expected = Fraction(given["expected_amount"])
    found = []
    if given["amount_unit"] == "cents":
        once = round_ratio(*(bill.exact / _CENT).as_integer_ratio())
        otherwise = reasons.PER_LINE if expected == once else ""
        found.append(Compared(fact="cents", expected=str(expected), came=bill.total / _CENT, otherwise=otherwise))
    else:
        found.append(Compared(fact="amount", expected=given["expected_amount"], came=bill.exact))
    if "expected_precise_cents" in given:
        precise = given["expected_precise_cents"]
        found.append(Compared(fact="exact cents", expected=precise, came=bill.exact / _CENT))
    return found


def _units(given: Given, came: Fraction) -> list[Compared]:
    return [Compared(fact="units", expected=given["expected_units"], came=came)] if "expected_units" in given else []


def _by_event(given: Given, cents: Sequence[Fraction]) -> list[Compared]:
    """What each event adds, rounded by itself, and all of it together."""
    expected, total = given["expected_per_event"], given["expected_amount"]
    if given["amount_unit"] != "cents":
        raise CannotSayError("what events add, in other units than cents")
    rounded = [Fraction(round_ratio(*each.as_integer_ratio())) for each in cents]
    found = [Compared(fact="cents of all events", expected=total, came=sum(rounded, Fraction(0)))]
    return found + [
        Compared(fact=f"cents of event {number}", expected=wanted, came=came)
        for number, (wanted, came) in enumerate(zip(expected, rounded, strict=True), start=1)
    ]


def _charged(given: Given, sale: Sale) -> list[Compared]:
    """The comparison of a charge over all events: at once, or what each adds where it is billed in advance."""
    quantities = sale.used[PAYER]
    if given.get("mode") == "in_advance":
        rounding = None if sale.tiers or sale.free or sale.block else _BY_EVENT
        return _in_advance(given, lambda n: sold(replace(sale, used=_used(*quantities[:n])), rounding=rounding))
    bill = billed(sold(sale))
    return _amount(given, bill) + (_units(given, bill.quantity()) if not sale.block else _unpaid(given, quantities))


def _in_advance(given: Given, first: Callable[[int], Tariff]) -> list[Compared]:
    """What each event adds to the bill of those before it; `first` is the tariff with the first n events."""
    bills = [billed(first(n)) for n in range(1, len(given["events"]) + 1)]
    ends = [Fraction(0), *(each.exact / _CENT for each in bills)]
    found = _by_event(given, [end - start for start, end in pairwise(ends)])
    return found + _units(given, sum(map(Fraction, given["events"]), Fraction(0)))


def _unpaid(given: Given, quantities: Sequence[Fraction]) -> list[Compared]:
    """Of blocks the lines say what is billed; what was used is what came in."""
    return _units(given, sum(quantities, Fraction(0)))


# --- the models -------------------------------------------------------------------------------------------------------


def _standard(given: Given) -> list[Compared]:
    params = given.below("params")
    sale = Sale(price=Fraction(params["amount"]), used=_used(*_quantities(given)))
    params.finish()
    return _charged(given, sale)


def _tiers(given: Given, price: str, share: Fraction = Fraction(1)) -> list[Tier]:
    """The tiers; `from` says nothing beside the bound before."""
    found = []
    for each in given["tiers"]:
        tier = Given(each, "from")
        bound = Fraction(tier["to"]) if tier.get("to") is not None else None
        found.append(Tier(up_to=bound, price=Fraction(tier[price]) * share, flat=Fraction(tier["flat"])))
        tier.finish()
    return found


def _tiered(given: Given, mode: str, price: str, share: Fraction = Fraction(1)) -> Sale:
    used = _used(*_quantities(given))
    return Sale(tiers=_tiers(given, price, share), mode=mode, flat_at_zero=True, used=used)


def _graduated(given: Given) -> list[Compared]:
    sale = _tiered(given, "graduated", "per_unit")
    found = _charged(given, sale)
    if "expected_tier_units" in given:
        found += _tier_units(given, billed(sold(sale)))
    return found


def _tier_units(given: Given, bill: Billed) -> list[Compared]:
    size = bill.sizes["metered"]
    came = {line.tier: Fraction(line.base_quantity, size) for line in bill.lines if line.element == "usage"}
    return [
        Compared(fact=f"units of tier {tier}", expected=wanted, came=came.get(str(tier), Fraction(0)))
        for tier, wanted in enumerate(given["expected_tier_units"], start=1)
    ]


def _percentages(given: Given) -> list[Compared]:
    return _charged(given, _tiered(given, "graduated", "rate_percent", _CENT))


def _one_tier(given: Given, price: str, share: Fraction = Fraction(1)) -> list[Compared]:
    """One tier by itself: what is on its lines when all below it costs nothing."""
    (own,), lower = _tiers(given, price, share), Fraction(given["tier_lower"])
    (quantity,) = _quantities(given)
    name, tiers = ("2", [Tier(up_to=lower, price=Fraction(0))]) if lower else ("1", list[Tier]())
    rest = [Tier(up_to=None, price=Fraction(0))] if own.up_to is not None else []
    sale = Sale(tiers=[*tiers, own, *rest], flat_at_zero=True, used=_used(quantity))
    bill = billed(sold(sale))
    found = replace(bill, lines=tuple(line for line in bill.lines if line.tier == name))
    return _amount(given, found) + _units(given, found.quantity())


def _volume(given: Given) -> list[Compared]:
    """All units at the tier reached: by the full units, where what is paid is prorated."""
    sale = _tiered(given, "volume", "per_unit")
    if "full_units" not in given:
        return _charged(given, sale)
    bill = billed(sold(*picked(sale, Fraction(given["full_units"]))))
    return _amount(given, bill) + _units(given, bill.quantity())


def picked(sale: Sale, full: Fraction) -> list[Sale]:
    """The sale with a counter that another product fills, so that it decides the tier and costs nothing itself."""
    parts = lcm(sale.size, full.denominator)
    return [replace(sale, counter="full", parts=parts), Sale(product="full", parts=parts, used=_used(full))]


def _package(given: Given) -> list[Compared]:
    params = given.below("params")
    size = Fraction(params["package_size"])
    sale = Sale(
        price=Fraction(params["amount"]),
        per=size,
        free=Fraction(params.get("free_units") or 0),
        block=size,
        used=_used(*_quantities(given)),
    )
    params.finish()
    return _charged(given, sale)


def _values(given: Given) -> list[Fraction]:
    """The values of the transactions; where only their sum and count are given, the running total says some of them."""
    if "events" in given:
        return _quantities(given)
    total, count = Fraction(given["units"]), max(whole(given["events_count"]), 1)
    running = [Fraction(0), *map(Fraction, given.get("running_total") or [])]
    known = [end - start for start, end in pairwise(running)][: count - 1]
    rest = total - sum(known, Fraction(0))
    return [*known, *[rest / (count - len(known))] * (count - len(known))]


def _percentage(given: Given) -> list[Compared]:
    """A share of money, and a fee per transaction with its own free transactions: a row for each of the two."""
    params, values = given.below("params"), _values(given)
    rate, fee = Fraction(params["rate_percent"]) * _CENT, Fraction(params.get("fixed_amount") or 0)
    free_money, free_events = Fraction(params.get("free_amount") or 0), whole(params.get("free_events") or 0)
    params.finish()
    if free_money and free_events:
        raise CannotSayError(reasons.TWO_ALLOWANCES)
    if free_money and fee:
        raise CannotSayError(reasons.FREE_AND_FEE)
    if given.get("mode") == "in_advance":
        return _in_advance(given, lambda n: _shares(values[:n], rate, fee, free_money, free_events))
    bill = billed(_shares(values, rate, fee, free_money, free_events))
    zero = reasons.NOTHING_BILLED if not all(values) else ""
    return [replace(each, otherwise=each.otherwise or zero) for each in _amount(given, bill)] + _units(
        given, bill.quantity()
    )


def _shares(values: Sequence[Fraction], rate: Fraction, fee: Fraction, free_money: Fraction, free: int) -> Tariff:
    if not free:
        return sold(Sale(price=rate, setup=fee or None, free=free_money, used=_used(*values)))

    def after(price: Fraction) -> list[Tier]:
        return [Tier(up_to=Fraction(free), price=Fraction(0)), Tier(up_to=None, price=price)]

    ones = [Fraction(1)] * len(values)
    return sold(
        Sale(tiers=after(rate), measure="events", used=_used(*values)),
        Sale(product="fee", tiers=after(fee), used=_used(*ones)),
    )


def _limited(given: Given) -> list[Compared]:
    """A share of each transaction with a fee, a minimum and a maximum."""
    params, values = given.below("params"), _quantities(given)
    sale = Sale(
        price=Fraction(params["rate_percent"]) * _CENT,
        setup=_optional(params, "fixed_amount"),
        least=_optional(params, "min_per_transaction"),
        most=_optional(params, "max_per_transaction"),
        used=_used(*values),
    )
    if Fraction(params.get("free_events") or 0) or Fraction(params.get("free_amount") or 0):
        raise CannotSayError(reasons.FREE_AND_LIMITS)
    params.finish()
    # What a minimum or maximum stands for is not usage any more: its quantity is one event.
    units = _unpaid(given, values)
    zero = reasons.NOTHING_BILLED if not all(values) else ""
    found = [each for each in _charged(given, sale) if each.fact != "units"]
    return units + [replace(each, otherwise=each.otherwise or zero) for each in found]


def _optional(params: Given, key: str) -> Fraction | None:
    value = params.get(key)
    return None if value is None else Fraction(value)


def _dynamic(given: Given) -> list[Compared]:
    """Metered money: cents that cost a cent."""
    given.below("params").finish()
    cents = [Fraction(each) for each in given["event_amounts_cents"]]
    units = Sale(product="units", used=_used(Fraction(given["units"])))
    bill = billed(sold(Sale(price=Fraction(1), per=Fraction(100), used=_used(*cents)), units))
    return _amount(given, bill) + _units(given, bill.quantity("units"))


def _rounded_metric(given: Given) -> list[Compared]:
    params = given.below("params")
    function, block = params["function"], Fraction(10) ** -whole(params["precision"])
    params.finish()
    given.get("amount_unit")
    if function != "ceil":
        raise CannotSayError(reasons.ROUNDED_QUANTITY)
    return _units(given, billed(sold(Sale(block=block, used=_used(*_quantities(given))))).quantity())


def _weighted(given: Given) -> list[Compared]:
    """An average over the days of a period: units counted each day, priced for all its days."""
    params = given.below("params")
    days = Fraction(params["period_days"])
    daily = [Fraction(value) for value, many in params["segments"] for _ in range(whole(many))]
    bill = billed(sold(Sale(price=Fraction(params["price"]), per=days, used=_used(*daily))))
    params.finish()
    return _amount(given, bill) + _units(given, bill.quantity() / days)


def _seat(given: Given) -> list[Compared]:
    """A seat counted each day, priced for all days of the period."""
    params = given.below("params")
    days = Fraction(params["period_days"])
    daily = [Fraction(1)] * whole(params["days"])
    bill = billed(sold(Sale(price=Fraction(params["price"]), per=days, used=_used(*daily))))
    params.finish()
    given.get("expected_units"), given.get("amount_unit")
    return [Compared(fact="amount", expected=given["expected_amount"], came=bill.total)]


_MODELS: Mapping[str, Callable[[Given], list[Compared]]] = {
    "standard": _standard,
    "graduated": _graduated,
    "graduated_tier": lambda given: _one_tier(given, "per_unit"),
    "graduated_percentage": _percentages,
    "graduated_percentage_tier": lambda given: _one_tier(given, "rate_percent", _CENT),
    "volume": _volume,
    "package": _package,
    "percentage": _percentage,
    "percentage_minmax": _limited,
    "percentage_instant": _limited,
    "dynamic": _dynamic,
    "metric_rounding": _rounded_metric,
    "weighted_sum": _weighted,
    "prorated_seat": _seat,
    "true_up": lago_true_up,
    "usage_threshold": alerts.compared,
}

_NOT_SAID = {
    "prorated_graduated": reasons.PRORATED_TIERS,
    "prorated_graduated_fixed": reasons.PRORATED_TIERS,
    "pricing_unit": reasons.OTHER_UNITS,
    "invoice_tax": reasons.TAXES,
    "invoice_coupons": reasons.CREDITS,
    "credit_note": reasons.CREDIT_NOTES,
}
