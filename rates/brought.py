"""What events bring: charges for elements, in billionths, which rates in the unit `money` are multiplied with."""

import json
from collections.abc import Mapping
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from rates.money import exact
from rates.prefixes import NONE
from rates.products import CHARGES, MONEY_SIZE
from rates.usage import Rows, UsageColumns, count, pick

Int64s = NDArray[np.int64]


class Brought:
    """The charges that events bring, by element."""

    def __init__(self, usage: UsageColumns) -> None:
        stated = usage.texts.get(CHARGES)
        found = [] if stated is None else [_charges(text) for text in stated.values]
        self._codes = None if stated is None else stated.codes
        self.elements = frozenset(element for charges in found for element in charges)
        self._amounts = {
            element: np.array([charges.get(element, NONE) for charges in found], dtype=np.int64)
            for element in self.elements
        }

    def of(self, element: str, rows: Rows) -> Int64s:
        """What events bring for an element, int64[n] billionths; -1 for those that bring nothing."""
        if self._codes is None or element not in self.elements:
            return np.full(count(rows), NONE, dtype=np.int64)
        return self._amounts[element][self._codes[rows]]

    def some(self, element: str, rows: Rows) -> Rows:
        """Those of the rows that bring a charge for an element."""
        if element not in self.elements:
            return np.empty(0, dtype=np.int64)
        return pick(rows, self.of(element, rows) >= 0)


def _charges(text: str) -> Mapping[str, int]:
    stated: Mapping[str, str] = json.loads(text) if text else {}
    # Whole: what has more decimals is refused where it is read.
    return {element: (exact(Decimal(amount)) * MONEY_SIZE).numerator for element, amount in stated.items()}
