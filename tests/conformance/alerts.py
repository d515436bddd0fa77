"""Thresholds of spend as triggers: which of them fire when usage comes to what was used before, and then to all of it.

What was invoiced before is used earlier in the same window, since a trigger counts the usage of a window and no
invoices. A threshold that recurs behind the last fixed one is a trigger at each of its steps.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from fractions import Fraction

import numpy as np

from billing.triggers import EPOCH, Sums, Trigger, counted, read_trigger
from rates.money import format_fraction
from tests.conformance.tariffs import PAYER
from tests.conformance.verdicts import Compared, Given, whole
from tests.shop import products

_CENTS = 100
_DAY = (date(2026, 10, 1) - EPOCH).days


def compared(given: Given) -> list[Compared]:
    """The thresholds that the current usage crosses, in their order; a recurring one is named by its step."""
    params, expected = given.below("params"), given["expected_crossed"]
    if given["amount_unit"] != "major":
        raise AssertionError("thresholds are in units of a currency")
    before, current = Fraction(params["invoiced"]), Fraction(params["current"])
    thresholds = list(_thresholds(params["fixed"], params.get("recurring", ""), before + current))
    params.finish()
    triggers = [_trigger(str(place), at) for place, (_, at) in enumerate(thresholds)]
    fired = _reached(triggers, [before, current]) - _reached(triggers, [before])
    came = dict.fromkeys(thresholds[place][0] for place in sorted(fired))
    return [Compared(fact="crossed", expected=" ".join(expected), came=" ".join(came))]


def _thresholds(fixed: Sequence[str], recurring: str, most: Fraction) -> Iterator[tuple[str, Fraction]]:
    """What each threshold is called, and where it is; those that recur as far as usage comes."""
    yield from ((each, Fraction(each)) for each in fixed)
    step, last = Fraction(recurring or 0), max(map(Fraction, fixed), default=Fraction(0))
    for number in range(1, int((most - last) // step) + 1 if step else 0):
        yield recurring, last + number * step


def _trigger(name: str, at: Fraction) -> Trigger:
    table = {"id": name, "account": PAYER, "measure": "amount", "unit": "USD", "threshold": format_fraction(at)}
    trigger, faults = read_trigger(table, "threshold", products())
    if trigger is None:
        raise AssertionError(faults)
    return trigger


def _reached(triggers: Sequence[Trigger], amounts: Sequence[Fraction]) -> set[int]:
    """The places of the triggers that a month comes to in which so much is used, a day after the other."""
    ones = np.ones(len(amounts), dtype=np.int64)
    sums = Sums(
        products=("voice.outbound",),
        subject=ones,
        product=ones * 0,
        country=ones * 0,
        day=_DAY + np.arange(len(amounts), dtype=np.int64),
        count=np.array([whole(each * _CENTS) for each in amounts], dtype=np.int64),
    )
    found = counted(triggers, np.ones(len(triggers), dtype=np.int64), sums)
    return set(found.trigger[found.reached(triggers)].tolist())
