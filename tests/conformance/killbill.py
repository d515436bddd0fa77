"""Kill Bill's usage as cards: blocks by tier, capacity, and prices that change within the period."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import lcm

from tests.conformance import reasons
from tests.conformance.charges import amount, charge_of, fees_of, past_last_tier
from tests.conformance.tariffs import PAYER, Sale, Tier, billed, changing, sold
from tests.conformance.verdicts import CannotSayError, Compared, Given

_POLICIES = {"ALL_TIERS": "graduated", "TOP_TIER": "volume"}


def _blocks(tiers: Sequence[Mapping[str, str]], policy: str) -> Sale:
    """Tiers of so many blocks of so many units. All tiers: each block at its own; top tier: all at the one reached."""
    read, bound, found = [Given(each) for each in tiers], Fraction(0), list[Tier]()
    sizes = {Fraction(tier["size"]) for tier in read}
    if len(sizes) > 1:
        raise CannotSayError(reasons.BLOCKS_BY_TIER)
    (size,) = sizes
    for tier in read:
        most = Fraction(tier["max"])
        bound += most * size
        found.append(Tier(up_to=None if most < 0 else bound, price=Fraction(tier["price"])))
        tier.finish()
    if policy not in _POLICIES:
        raise CannotSayError(f"{reasons.UNKNOWN_MODEL}: {policy}")
    return Sale(tiers=found, mode=_POLICIES[policy], per=size, block=size).opened()


def consumable(given: Given, params: Given) -> list[Compared]:
    """Blocks of one or several things that are metered, on one bill."""
    policy = params["policy"]
    named = params["units"] if "units" in params else {"metered": params["tiers"]}
    quantities = given["quantity"] if "units" in params else {"metered": given["quantity"]}
    sales, beyond = [], ""
    for name, tiers in named.items():
        quantity, sale = Fraction(quantities.get(name, 0)), _blocks(tiers, policy)
        # All usage at the tier reached stays at the last one also there.
        beyond = beyond or (past_last_tier(sale, quantity) if policy == "ALL_TIERS" else "")
        sales.append(replace(sale, product=name, used={PAYER: [quantity]}))
    return amount(given, params, charge_of(billed(sold(*sales, *fees_of(params)))), beyond)


def segments(given: Given, params: Given) -> list[Compared]:
    """Prices that change within the period: versions of one card, each with the usage of its days."""
    policy, quantities = params["policy"], [Fraction(each) for each in given["quantity"]]
    sales = [_blocks(tiers, policy) for tiers in params["segments"]]
    sales = [replace(sale, used={PAYER: [each]}) for sale, each in zip(sales, quantities, strict=True)]
    parts = lcm(*(sale.size for sale in sales))
    tariff = changing([sold(replace(sale, parts=parts)) for sale in sales])
    several = sum(1 for each in quantities if each) > 1
    return amount(given, params, charge_of(billed(tariff)), reasons.COUNTER_RUNS_ON if several else "")


def capacity(given: Given, params: Given) -> list[Compared]:
    """The flat of the tier that a peak of usage reaches. Only one unit can decide it."""
    peaks = {name: Fraction(peak) for name, peak in given["quantity"].items() if Fraction(peak)}
    if len(peaks) > 1:
        raise CannotSayError(reasons.SEVERAL_COUNTERS)
    ((name, peak),) = peaks.items() or [("", Fraction(0))]
    tiers = []
    for each in params["tiers"]:
        limit = Fraction(each["limits"].get(name, -1))
        tiers.append(Tier(up_to=None if limit < 0 else limit, price=Fraction(0), flat=Fraction(each["price"])))
    ends = next((place for place, tier in enumerate(tiers) if tier.up_to is None), len(tiers) - 1)
    sale = Sale(tiers=tiers[: ends + 1], mode="volume", used={PAYER: [peak]}).opened()
    return amount(given, params, charge_of(billed(sold(sale, *fees_of(params)))))
