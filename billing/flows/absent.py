"""What was not reported of what is billed by the average of a month, of the accounts that a run is about to bill."""

from collections.abc import Sequence
from datetime import date

import numpy as np

from billing.absences import absence, missing_days
from billing.flows.price import Pricer
from billing.store.queries.absences import reported_days
from rates.usage import Totals


def absences_of(pricer: Pricer, totals: Totals, until: date) -> dict[int, tuple[str, ...]]:
    """The days before `until` that are missing in the totals of a period, in words, by the number of who pays.

    Only usage of such products is looked at, event by event, since a report of nothing is in no total.
    """
    averaged = [name for name, product in pricer.products.items() if product.average]
    prices = [number for number, price in pricer.prices.items() if price.product in averaged]
    payers: Sequence[int] = np.unique(totals.payer[np.isin(totals.price, prices)]).tolist() if prices else []
    if not payers:
        return {}
    last = min(pricer.period.end, until)
    found: dict[int, list[str]] = {}
    for reported in reported_days(pricer.reading, pricer.period, payers, averaged):
        if missing := missing_days(reported.days, last):
            found.setdefault(reported.payer, []).append(absence(reported.product, reported.account, missing))
    return {payer: tuple(said) for payer, said in found.items()}
