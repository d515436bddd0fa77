"""What OpenMeter, Kill Bill, Flexprice, Stripe, Meteroid, Lago and others publish, as cards.

One order of steps holds for all of them: conversion of units, free units, price, rounding (of every line of a tier, of
the sum, or none), then spend limits, credits, and what was billed before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from tests.conformance import deals, reasons
from tests.conformance.charges import (
    CURRENCIES,
    Charge,
    added,
    amount,
    charge_of,
    currency_of,
    fees_of,
    past_last_tier,
    places_of,
    round_to,
)
from tests.conformance.killbill import capacity, consumable, segments
from tests.conformance.lago import picked
from tests.conformance.tariffs import PAYER, Billed, Sale, Tier, billed, sold
from tests.conformance.verdicts import CannotSayError, Compared, Given, whole

_BOOKKEEPING = ("name", "source_path", "model", "checked", "system", "derived")
_CENT = Fraction(1, 100)

# Keys of `params` that stand for steps after the price.
_LATER = {"last_line": reasons.LAST_LINE}


def compared(facts: Mapping[str, object]) -> list[Compared]:
    """What a case says, and what comes of it here. Raises CannotSayError."""
    given = Given(facts, *_BOOKKEEPING)
    model = given.get("model", "")
    if model in _NOT_SAID:
        raise CannotSayError(_NOT_SAID[model])
    if model not in _MODELS:
        raise CannotSayError(f"{reasons.UNKNOWN_MODEL}: {model}")
    params = given.below("params")
    if later := [why for key, why in _LATER.items() if key in params]:
        raise CannotSayError(later[0])
    found = _MODELS[model](given, params)
    params.finish()
    given.finish()
    return found


# --- quantities -------------------------------------------------------------------------------------------------------


def _converted(sale: Sale, params: Given, used: Sequence[Fraction]) -> Sale:
    """The sale in converted units: divided ones that are rounded up are whole blocks of the measured unit."""
    config = params.below("unit_config")
    if not config:
        return replace(sale, used={PAYER: used})
    factor, rounding = Fraction(config["factor"]), config.get("rounding") or "none"
    step = Fraction(10) ** -whole(config.get("precision") or 0)
    factor = factor if config["op"] == "divide" else 1 / factor
    config.finish()
    if rounding not in {"none", "ceiling"} or (rounding == "ceiling" and sale.block):
        raise CannotSayError(reasons.ROUNDED_QUANTITY)
    block = step if rounding == "ceiling" else sale.block
    return replace(sale, used={PAYER: [each / factor for each in used]}, block=block)


def _metered(given: Given, params: Given, sale: Sale) -> list[Compared]:
    """A sale of the case's quantity, after what earlier lines of the period had, with a fee beside it."""
    sale = replace(sale, free=Fraction(params.get("free_units") or sale.free))
    quantity, currency, fees = Fraction(given["quantity"]), currency_of(params), fees_of(params)
    params.get("first_line")  # it says what the difference of two bills shows by itself
    deal = deals.deal_of(params)
    if is_limited := bool(deal and "billed" in params):
        # What a limit holds for was billed in part before: it stands on the same bill, and its amount is taken off.
        fees = [*fees, Sale(product="before", price=Fraction(params["billed"]), used={PAYER: [Fraction(1)]})]

    def bill_of(*used: Fraction, beside: Sequence[Sale] = fees) -> Billed:
        own = _converted(sale, params, used)
        sales = picked(own, Fraction(params["pick"])) if "pick" in params else [own]
        return billed(sold(*sales, *beside, currency=currency, deal=deal))

    if "pre" not in params:
        beyond = past_last_tier(sale, quantity)
        return amount(given, params, charge_of(bill_of(quantity)), beyond, with_billed=is_limited)
    first = Fraction(params["pre"])
    charge = added(bill_of(first, quantity), bill_of(first, beside=()))
    return amount(given, params, charge, past_last_tier(sale, first + quantity))


# --- sales ------------------------------------------------------------------------------------------------------------


def _per_unit(params: Given) -> Sale:
    return Sale(price=Fraction(params["unit"]))


def _dynamic(params: Given) -> Sale:
    return Sale(price=Fraction(params["multiplier"]))


def _tiered(params: Given, mode: str, price: str = "unit", share: Fraction = Fraction(1)) -> Sale:
    tiers = []
    for each in params["tiers"]:
        tier = Given(each)
        bound = Fraction(tier["up_to"]) if tier.get("up_to") is not None else None
        tiers.append(Tier(up_to=bound, price=Fraction(tier[price]) * share, flat=Fraction(tier.get("flat") or 0)))
        tier.finish()
    return Sale(tiers=tiers, mode=mode, flat_at_zero=bool(params.get("zero_flat"))).opened()


def _package(params: Given) -> Sale:
    size = Fraction(params["size"])
    if params.get("round", "up") != "up":
        raise CannotSayError(reasons.ROUNDED_QUANTITY)
    return Sale(price=Fraction(params["amount"]), per=size, block=size, free=Fraction(params.get("free") or 0))


_SALES: Mapping[str, Callable[[Given], Sale]] = {
    "per_unit": _per_unit,
    "dynamic": _dynamic,
    "graduated": lambda params: _tiered(params, "graduated"),
    "volume": lambda params: _tiered(params, "volume"),
    "graduated_percentage": lambda params: _tiered(params, "graduated", "rate_pct", _CENT),
    "package": _package,
}


def _inner(params: Given) -> Sale:
    if params["inner"] not in _SALES:
        raise CannotSayError(_NOT_SAID.get(params["inner"], reasons.UNKNOWN_MODEL))
    return _SALES[params["inner"]](params)


# --- models made of others --------------------------------------------------------------------------------------------


def _delta(given: Given, params: Given) -> list[Compared]:
    """The difference of two bills, each of all the usage until then."""
    sale, ends = _inner(params), given.below("quantity")
    deal = deals.deal_of(params)
    # A minimum is due at the end of the period, and not before.
    agreed = {"from": deals.without_minimum(deal), "to": deal if params.get("final") else deals.without_minimum(deal)}
    bills = [
        billed(sold(_converted(sale, params, [Fraction(ends[key])]), deal=agreed[key])) for key in agreed if key in ends
    ]
    charges = [charge_of(each) for each in bills]
    before = charges[0] if "from" in ends else Charge(lines=Fraction(0), once=Fraction(0), exact=Fraction(0))
    after = charges[-1]
    ends.finish()
    difference = Charge(
        lines=after.lines - before.lines, once=after.once - before.once, exact=after.exact - before.exact
    )
    return amount(given, params, difference)


def _bucketed(given: Given, params: Given) -> list[Compared]:
    """Buckets that are priced each by itself, on one bill: a counter for each, as subaccounts have one."""
    sale = replace(_inner(params), scope="account")
    used = {f"bucket-{number}": [Fraction(each)] for number, each in enumerate(given["quantity"], start=1)}
    charge = charge_of(billed(sold(replace(sale, used=used), currency=currency_of(params))))
    expected = given["expected_amount"]
    otherwise = reasons.PER_LINE if Fraction(expected) == charge.once else ""
    return [Compared(fact="amount", expected=expected, came=charge.lines, otherwise=otherwise)]


# --- Meteroid ---------------------------------------------------------------------------------------------------------


def _from_first_units(params: Given, gap: int) -> list[Tier]:
    """Tiers that are named by their first unit; a bound is `gap` below the first unit of the next."""
    read = [Given(each) for each in params["tiers"]]
    firsts = [Fraction(tier["first_unit"]) for tier in read]
    bounds = [*(first - gap for first in firsts[1:]), None]
    if any(tier.get("cap") is not None for tier in read):
        raise CannotSayError(reasons.CAPPED_TIER)
    tiers = [
        Tier(up_to=bound, price=Fraction(tier["unit"]), flat=Fraction(tier.get("flat") or 0))
        for tier, bound in zip(read, bounds, strict=True)
    ]
    for tier in read:
        tier.finish()
    tiers = [tier for tier in tiers if tier.up_to is None or tier.up_to > 0]
    before = firsts[0] - gap  # units below the first one that is named cost nothing
    return [Tier(up_to=before, price=Fraction(0)), *tiers] if before > 0 else tiers


def _by_first_unit(given: Given, params: Given, mode: str, gap: int) -> list[Compared]:
    tiers, quantity = _from_first_units(params, gap), Fraction(given["quantity"])
    if gap and quantity.denominator != 1:
        raise CannotSayError(reasons.BETWEEN_BOUNDS)
    return _metered(given, params, Sale(tiers=tiers, mode=mode))


# --- shares of money --------------------------------------------------------------------------------------------------


def _percentage(given: Given, params: Given) -> list[Compared]:
    """A share of money above what is free, and a fee for so many transactions."""
    money = Sale(
        price=Fraction(params["rate_pct"]) * _CENT,
        free=Fraction(params.get("free_amount") or 0),
        used={PAYER: [Fraction(given["quantity"])]},
    )
    paid = [Fraction(1)] * whole(params.get("paid_events") or 0)
    fees = Sale(product="fee", price=Fraction(params.get("fixed") or 0), used={PAYER: paid})
    return amount(given, params, charge_of(billed(sold(money, fees, currency=currency_of(params)))))


def _percentage_per_event(given: Given, params: Given) -> list[Compared]:
    values = [Fraction(each) for each in given["quantity"]]
    fee, least, most = (Fraction(params[key]) if key in params else None for key in ("fixed", "event_min", "event_max"))
    sale = Sale(price=Fraction(params["rate_pct"]) * _CENT, used={PAYER: values}, setup=fee, least=least, most=most)
    zero = "" if all(values) else reasons.NOTHING_BILLED
    return amount(given, params, charge_of(billed(sold(sale, currency=currency_of(params)))), zero)


# --- single values ----------------------------------------------------------------------------------------------------


def _sum_rounded(given: Given, params: Given) -> list[Compared]:
    """One line for each value, each rounded, and their sum."""
    quantity = given["quantity"]
    values = [Fraction(each) for each in (quantity if isinstance(quantity, list) else [quantity])]
    places, once, expected = places_of(params), [Fraction(1)], given["expected_amount"]
    if min(values) < 0 or places not in CURRENCIES:  # no price is below zero, but a credit may be
        came = sum((round_to(value, places) for value in values), Fraction(0))
        return [Compared(fact="amount", expected=expected, came=came)]
    lines = [Sale(product=f"p{n}", price=value, used={PAYER: once}) for n, value in enumerate(values)]
    return [Compared(fact="amount", expected=expected, came=billed(sold(*lines, currency=CURRENCIES[places])).total)]


def _convert(given: Given, params: Given) -> list[Compared]:
    came = billed(sold(_converted(Sale(), params, [Fraction(given["quantity"])]))).quantity()
    return [Compared(fact="units", expected=given["expected_amount"], came=came)]


def _proration(given: Given, params: Given) -> list[Compared]:
    """Something counted each day, priced for all days of the period."""
    daily = [Fraction(1)] * whole(params["days"])
    sale = Sale(price=Fraction(params["price"]), per=Fraction(params["of"]), used={PAYER: daily})
    return amount(given, params, charge_of(billed(sold(sale, currency=currency_of(params)))))


def _sold(model: str) -> Callable[[Given, Given], list[Compared]]:
    return lambda given, params: _metered(given, params, _SALES[model](params))


_MODELS: Mapping[str, Callable[[Given, Given], list[Compared]]] = {
    **{model: _sold(model) for model in _SALES},
    "delta": _delta,
    "bucketed": _bucketed,
    "kb_consumable": consumable,
    "kb_segments": segments,
    "kb_capacity": capacity,
    "meteroid_graduated": lambda given, params: _by_first_unit(given, params, "graduated", 0),
    "meteroid_volume": lambda given, params: _by_first_unit(given, params, "volume", 1),
    "percentage": _percentage,
    "percentage_per_event": _percentage_per_event,
    "round": _sum_rounded,
    "sum_rounded": _sum_rounded,
    "convert": _convert,
    "proration": _proration,
    "allocate": deals.allocate,
    "true_up": deals.true_up,
    "commitment": deals.commitment,
    "windowed_commitment": deals.windowed_commitment,
    "overage_discount": deals.overage_discount,
    "discount_stack": deals.discount_stack,
}

_NOT_SAID = {
    "percent_sum": reasons.TAXES,
}
