"""Exact fractions as columns, and amounts of money rounded from them, each once."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from rates.runs import blocks, in_threads
from rates.usage import Int64s

_BLOCK = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios(Sequence[Fraction]):
    """Exact fractions as columns: integers `numerator` and `denominator` (> 0), [n] each, in any terms.

    Both are int64, or Python's integers (dtype object) where 64 bits do not hold them.
    """

    numerator: NDArray[Any]
    denominator: NDArray[Any]

    def __len__(self) -> int:
        return len(self.numerator)

    @overload
    def __getitem__(self, at: int) -> Fraction: ...
    @overload
    def __getitem__(self, at: slice) -> "Ratios": ...
    def __getitem__(self, at: int | slice) -> "Fraction | Ratios":
        if isinstance(at, slice):
            return Ratios(numerator=self.numerator[at], denominator=self.denominator[at])
        return Fraction(int(self.numerator[at]), int(self.denominator[at]))

    def lowest(self) -> "Ratios":
        """The same in lowest terms."""
        shared = np.gcd(self.numerator, self.denominator)
        return Ratios(numerator=self.numerator // shared, denominator=self.denominator // shared)


class Charged(NamedTuple):
    """What is on each line beside quantity times price: Python's integers [m], of which `whole` are one of money."""

    units: NDArray[np.object_]
    whole: int


def rounded(
    top: NDArray[Any],
    bottom: NDArray[Any],
    which: NDArray[np.integer],
    quantity: Int64s,
    charged: Charged | None,
    step: int,
    scale: int,
) -> tuple[NDArray[Any], Ratios]:
    """Quantities times ratios in minor units, to steps, and what that took away in major ones.

    `quantity` is int64[n]; `which` [n] of the ratios, `top` by `bottom`, is that of each. `scale` minor units are a
    major one. Nothing may overflow the kind of `top`.
    """
    kind = top.dtype
    minor = np.empty(len(which), dtype=kind)
    residuals = Ratios(numerator=np.empty_like(minor), denominator=np.empty_like(minor))

    def work(some: slice) -> None:
        above, below = top[which[some]] * quantity[some].astype(kind, copy=False), bottom[which[some]]
        if charged is not None:
            above = above * charged.whole + charged.units[some] * scale * below
            below = below * charged.whole
        nearest = (2 * np.abs(above) + below * step) // (2 * below * step)
        minor[some] = np.where(above < 0, -nearest, nearest) * step
        residuals.numerator[some] = above - minor[some] * below
        residuals.denominator[some] = below * scale

    in_threads(work, list(blocks(len(which), _BLOCK)))
    return minor, residuals
