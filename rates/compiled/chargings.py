"""How rows charge an event where that is not its quantity times one price, compiled: as columns, few kinds of it.

Steps, windows that split, minimum and maximum charges, rounding per event. And what a surcharge or a setup matched by
a row of its own costs, since the limits of the usage beside it are about that too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rates.cards import Card, column, combined, decimals
from rates.money import RoundingMode, exact
from rates.prefixes import NONE
from rates.prices import EVENT, SETUP, SURCHARGE, USAGE
from rates.products import Product
from rates.steps import Step, parse_steps

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Int8s = NDArray[np.int8]
Flags = NDArray[np.bool_]

Ratio = tuple[int, int]
"""An exact amount of money: numerator and denominator, in lowest terms."""

MODES = tuple(RoundingMode)
"""What the codes of rounding modes stand for."""

LIMITED = frozenset({USAGE, SETUP, SURCHARGE})
"""The elements of an event whose charges its row's limits are about."""

_CELLS = ("product", "element", "unit", "prices", "steps", "setup_fee", "min_charge", "max_charge", "window")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chargings:
    """k kinds of rows, of s steps (or single prices) in all.

    `first_step` int64[k + 1] are the places of each kind's steps among `bound` int64[s] (base units) and `charge`
    int32[s], what a base unit costs there; `per_event` bool[k]: what an event costs. `setup`, `minimum` and `maximum`
    int32[k] are amounts, -1 for none, `decimals` int8[k] is -1 where events are not rounded, `mode` int8[k] a code of
    `MODES`. `splits` bool[k]: events are cut at the edges of windows. Amounts are codes into `amounts`.
    """

    first_step: Int64s
    bound: Int64s
    charge: Int32s
    per_event: Flags
    setup: Int32s
    minimum: Int32s
    maximum: Int32s
    decimals: Int8s
    mode: Int8s
    splits: Flags
    amounts: tuple[Ratio, ...]

    def __len__(self) -> int:
        return len(self.setup)

    @property
    def steps(self) -> Int64s:
        """How many prices of steps each kind has, int64[k]."""
        return np.diff(self.first_step)

    @property
    def to_charge(self) -> Int64s:
        """How far from a row's price that of its rounded charge is (see `rates.prices.PriceList`), int64[k]."""
        return self.steps

    @property
    def to_minimum(self) -> Int64s:
        """How far that of its minimum is."""
        return self.steps + (self.decimals >= 0)

    @property
    def to_maximum(self) -> Int64s:
        """How far that of its maximum is."""
        return self.to_minimum + (self.minimum >= 0)

    @classmethod
    def joined(cls, parts: "Sequence[Chargings]") -> "Chargings":
        """The kinds of several cards, one card after the other."""
        steps = np.cumsum([0, *(len(part.bound) for part in parts)])
        amounts = np.cumsum([0, *(len(part.amounts) for part in parts)])

        def plain(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(part, name) for part in parts])

        def codes(name: str) -> Int32s:
            columns = [getattr(part, name) for part in parts]
            shifted = [np.where(c >= 0, c + n, NONE) for c, n in zip(columns, amounts[:-1], strict=True)]
            return np.concatenate(shifted).astype(np.int32)

        firsts = [part.first_step[:-1] + n for part, n in zip(parts, steps[:-1], strict=True)]
        return cls(
            first_step=np.concatenate([*firsts, steps[-1:]]).astype(np.int64),
            bound=plain("bound"),
            charge=codes("charge"),
            per_event=plain("per_event"),
            setup=codes("setup"),
            minimum=codes("minimum"),
            maximum=codes("maximum"),
            decimals=plain("decimals"),
            mode=plain("mode"),
            splits=plain("splits"),
            amounts=tuple(ratio for part in parts for ratio in part.amounts),
        )


def chargings_of(card: Card, products: Mapping[str, Product]) -> tuple[Int32s, Chargings]:
    """The kind of each row, int32[n] (-1: what it charges is linear), and the kinds. `n` is 0 where all are linear."""
    rows = _concerned(card)
    if not len(rows):
        return np.empty(0, dtype=np.int32), _chargings(card, products, [])
    number, first = combined(card.rows.take(pa.array(rows)), _CELLS)
    cells = zip(*(column(card.rows, name).take(pa.array(rows[first])).to_pylist() for name in _CELLS), strict=True)
    kinds = np.full(card.rows.num_rows, NONE, dtype=np.int32)
    kinds[rows] = number
    return kinds, _chargings(card, products, [dict(zip(_CELLS, each, strict=True)) for each in cells])


def _concerned(card: Card) -> Int64s:
    """The rows that charge and are not linear, or are part of what limits are about."""
    n = card.rows.num_rows
    charges, settles = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    for name in ("prices", "steps"):
        charges |= _is(card, name, "", negated=True)
    is_usage = _is(card, "element", "")
    if card.rounding.per == "event":
        settles |= is_usage
    for name in ("steps", "min_charge", "max_charge"):
        settles |= is_usage & _is(card, name, "", negated=True)
    splitting = [name for name, window in card.windows.items() if window.split]
    if splitting:
        # An event that begins in no window is cut where one opens; most are not, and cost a look.
        settles |= is_usage & _is(card, "window", "", *splitting)
    settles |= _is(card, "element", SETUP, SURCHARGE)
    return np.flatnonzero(charges & settles)


def _is(card: Card, name: str, *values: str, negated: bool = False) -> Flags:
    cells = column(card.rows, name)
    held = pc.is_in(cells.dictionary, pa.array(values, pa.string())).to_numpy(zero_copy_only=False) ^ negated
    of_row: Flags = held[cells.indices.to_numpy(zero_copy_only=False)]
    return of_row


def _chargings(card: Card, products: Mapping[str, Product], kinds: Sequence[Mapping[str, str]]) -> Chargings:
    amounts: dict[Ratio, int] = {}

    def code(amount: Fraction) -> int:
        return amounts.setdefault(amount.as_integer_ratio(), len(amounts))

    def of_cell(name: str) -> Int32s:
        codes = [code(Fraction(cell[name])) if cell[name] else NONE for cell in kinds]
        return np.array(codes, dtype=np.int32)

    steps = [parse_steps(cell["steps"]) or (Step(0, decimals(cell["prices"])[0]),) for cell in kinds]
    sizes = [products[cell["product"]].unit_size(cell["unit"]) or 1 for cell in kinds]
    charges = [code(exact(step.price) * Fraction(1, size)) for s, size in zip(steps, sizes, strict=True) for step in s]
    rounded = [card.rounding.per == "event" and not cell["element"] for cell in kinds]
    windows = {name for name, window in card.windows.items() if window.split}
    splits = [bool(windows) and not cell["element"] and cell["window"] in {"", *windows} for cell in kinds]
    return Chargings(
        first_step=np.cumsum([0, *map(len, steps)], dtype=np.int64),
        bound=np.array([step.start for each in steps for step in each], dtype=np.int64),
        charge=np.array(charges, dtype=np.int32),
        per_event=np.array([cell["unit"] == EVENT for cell in kinds], dtype=np.bool_),
        setup=of_cell("setup_fee"),
        minimum=of_cell("min_charge"),
        maximum=of_cell("max_charge"),
        decimals=np.array([card.rounding.decimals if each else NONE for each in rounded], dtype=np.int8),
        mode=np.full(len(kinds), MODES.index(card.rounding.mode), dtype=np.int8),
        splits=np.array(splits, dtype=np.bool_),
        amounts=tuple(amounts),
    )
