"""The countries of numbers, by the numbering plan."""

import numpy as np
from numpy.typing import NDArray

from rates.numbering import COUNTRY_CODES, PLAN
from rates.prefixes import PrefixTable, digit_counts

Int64s = NDArray[np.int64]
Int16s = NDArray[np.int16]

PLAN_PREFIXES = np.array(sorted(map(int, PLAN)), dtype=np.int64)
"""The prefixes of the numbering plan, ascending."""

_PLAN_COUNTRIES = np.array([COUNTRY_CODES[PLAN[str(prefix)]] for prefix in PLAN_PREFIXES], dtype=np.int16)
_PLAN_TABLE = PrefixTable.build(PLAN_PREFIXES, digit_counts(PLAN_PREFIXES))


def plan_countries(numbers: Int64s) -> Int16s:
    """The codes of the countries of numbers (int64[n], 0 for none) by the numbering plan, 0 for none."""
    slot = _PLAN_TABLE.lookup(numbers)
    return np.where(slot >= 0, _PLAN_COUNTRIES.take(slot, mode="clip"), np.int16(0))


def cell_countries(numbers: PrefixTable, cells: Int64s) -> Int16s:
    """The codes of the countries of the slots of a table that knows the plan; `cells` are its prefixes, ascending."""
    country = np.zeros(len(cells), dtype=np.int16)
    planned = np.searchsorted(cells, PLAN_PREFIXES)
    country[planned] = _PLAN_COUNTRIES
    in_plan = np.zeros(len(cells), dtype=np.bool_)
    in_plan[planned] = True
    for length in range(1, numbers.deepest + 1):
        some = np.flatnonzero((numbers.length == length) & ~in_plan)
        country[some] = country[numbers.parent[some]]
    return country
