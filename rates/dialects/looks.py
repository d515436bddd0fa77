"""What the cells of a column look like: the shares of a sample that are written as codes, prices, dates, ...

A look is a guess and never more than that: it drafts a mapping for a person to read, and reads no deck.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rates.numbering import ASSIGNED, CALLING_CODES

_SAMPLE = 4_000
_EXAMPLES = 3
_CODE = r"^\^?(\+|00)?[0-9]{1,15}(\.\*)?$"
_CODES = r"^\^?\+?[0-9]{1,15}([\s,;|/-]+[0-9]{1,15})+$"
_EXPONENT = r"(?i)^[0-9]+([.,][0-9]+)?e\+[0-9]+$"
_SHAPES = {
    "code": _CODE,
    "codes": _CODES,
    "range": r"^[0-9]+\s*-\s*[0-9]+$",
    "decimal": r"^[^\d\s.,-]{0,3}\s*[0-9]*([.,][0-9]+)+\s*[^\d\s.,-]{0,3}$",
    "whole": "^[0-9]{1,4}$",
    "interval": r"^[0-9]+\s*[/:-]\s*[0-9]+$",
    "date": r"^[0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{1,4}( .*)?$",
    "pair": "^[A-Za-z]{2}$",
    "mobile": "^[2-7][0-9]{2}$",
    "words": r"^.*\p{L}{2}.*$",
}
"""Shape -> the pattern of a whole cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The looks of a column: how many of 1,000 cells that are not empty have a shape; how varied they are; examples.

    `destroyed` are cells, of all rows and not of a sample, that a spreadsheet has rounded, as in 4.95E+12.
    """

    name: str
    position: int
    filled: int
    distinct: int
    shares: dict[str, int]
    examples: tuple[str, ...]
    texts: tuple[str, ...]
    destroyed: tuple[str, ...] = ()

    def mostly(self, shape: str, least: int = 900) -> bool:
        """Whether at least `least` of 1,000 cells have a shape."""
        return self.filled > 0 and self.shares[shape] >= least


def look_at(name: str, position: int, cells: pa.Array) -> Look:
    """The look of a column, by a sample spread over its rows."""
    sample = sampled(cells)
    filled = sample.filter(pc.not_equal(sample, ""))
    count = max(len(filled), 1)
    distinct = pc.unique(filled)
    shares = {
        shape: 1000 * int(pc.sum(pc.match_substring_regex(filled, pattern)).as_py() or 0) // count
        for shape, pattern in _SHAPES.items()
    }
    shares["country"] = 1000 * int(pc.sum(pc.is_in(pc.utf8_upper(filled), _countries())).as_py() or 0) // count
    shares["assigned"] = 1000 * _assigned(filled) // count
    texts = tuple(distinct.to_pylist())
    return Look(
        name=name,
        position=position,
        filled=len(filled),
        distinct=len(distinct),
        shares=shares,
        examples=texts[:_EXAMPLES],
        texts=texts,
        destroyed=tuple(cells.filter(pc.match_substring_regex(cells, _EXPONENT)).to_pylist()),
    )


def sampled(cells: pa.Array) -> pa.Array:
    """Some thousand cells, spread evenly."""
    step = max(1, len(cells) // _SAMPLE)
    return cells.take(pa.array(np.arange(0, len(cells), step))) if step > 1 else cells


def _countries() -> pa.Array:
    return pa.array(sorted(ASSIGNED), pa.string())


def _assigned(cells: pa.Array) -> int:
    """How many cells begin with a calling code that is assigned."""
    digits = pc.replace_substring_regex(cells, r"^\^?(\+|00)?", "")
    codes = pa.array(sorted(CALLING_CODES), pa.string())
    found = [pc.is_in(pc.utf8_slice_codeunits(digits, 0, length), codes) for length in (1, 2, 3)]
    return int(pc.sum(pc.or_(found[0], pc.or_(found[1], found[2]))).as_py() or 0)
