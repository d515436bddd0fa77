"""A card being checked: where its rows stand, and the faults found so far."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rates.cards import Card, column, combined
from rates.checking.sheet import Sheet
from rates.errors import Fault
from rates.products import Product

Bools = NDArray[np.bool_]

Wrong = Callable[..., tuple[str, str] | None]
"""Cells of a row, in the order asked for -> (problem, remedy), or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A card being checked, where its rows stand, and the faults so far."""

    card: Card
    sheet: Sheet
    products: Mapping[str, Product]
    faults: list[Fault]

    def has(self, name: str) -> Bools:
        """The rows (bool[n]) in which a column is not empty."""
        cells = column(self.card.rows, name)
        filled = pc.not_equal(cells.dictionary, "").to_numpy(zero_copy_only=False)
        held: Bools = filled[cells.indices.to_numpy(zero_copy_only=False)]
        return held

    def note(self, name: str, bad: Bools, problem: str, remedy: str) -> None:
        """A fault at `name` of each row that is bad."""
        if bad.any():
            self.faults.extend(self.sheet.faults(name, bad, column(self.card.rows, name), problem, remedy))

    def each(self, names: Sequence[str], name: str, wrong: Wrong, where: Bools | None = None) -> None:
        """A fault at `name` of the rows (of those `where`) whose combination of `names` is `wrong`."""
        numbers, first = combined(self.card.rows, names)
        cells = [column(self.card.rows, each).take(pa.array(first)).to_pylist() for each in names]
        kinds: dict[tuple[str, str], list[int]] = {}
        for number, values in enumerate(zip(*cells, strict=True)):
            found = wrong(*values)
            if found is not None:
                kinds.setdefault(found, []).append(number)
        for (problem, remedy), bad in kinds.items():
            rows = np.isin(numbers, bad)
            self.note(name, rows if where is None else rows & where, problem, remedy)
