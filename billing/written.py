"""Columns of texts beside the octets in which they are written, so that one look at those tells what is so of all.

What is mostly so, as that all texts are digits or none is empty, is asked once of a column, and of each text only where
it is not.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from rates.usage import Int32s, Texts

Column = Any  # an Arrow string array: Arrow publishes no types

_DIGITS = b"0123456789"
_LEAST, _MOST = (bytes.maketrans(_DIGITS, digit * 10) for digit in (b"0", b"9"))
_OFFSET_BYTES = 4


class Written(NamedTuple):
    """n texts, of which none is missing: as an Arrow string array, and all their octets in a row.

    `places` int32[n + 1] are where in `octets` each begins, and where the last one ends. `shortest` and `longest` are
    in octets, 0 where there are no texts.
    """

    text: Column
    octets: bytes
    places: Int32s
    shortest: int
    longest: int

    @property
    def lengths(self) -> Int32s:
        """How many octets each has, int32[n]."""
        lengths: Int32s = self.places[1:] - self.places[:-1]
        return lengths

    @property
    def has_blanks(self) -> bool:
        """Whether any is empty; where there are no texts, too."""
        return self.shortest == 0

    @property
    def form(self) -> bytes:
        """What all of them are but for their digits, which are 0 here; b"" if they are not alike."""
        if self.shortest != self.longest or not self.longest:
            return b""
        first = self.octets[: self.longest]
        form, most = first.translate(_LEAST), np.frombuffer(first.translate(_MOST), dtype=np.uint8)
        least = np.frombuffer(form, dtype=np.uint8)
        cells = np.frombuffer(self.octets, dtype=np.uint8).reshape(-1, self.longest)
        return form if ((cells - least) <= (most - least)).all() else b""


def written(text: Column) -> Written:
    """An Arrow string array without nulls, beside its octets."""
    n = len(text)
    if not n:
        return Written(text, b"", np.zeros(1, dtype=np.int32), 0, 0)
    _, offsets, octets = text.buffers()
    places = np.frombuffer(offsets, dtype=np.int32, count=n + 1, offset=_OFFSET_BYTES * text.offset)
    begin, end = int(places[0]), int(places[-1])
    lengths = places[1:] - places[:-1]
    return Written(
        text,
        octets.slice(begin, end - begin).to_pybytes() if end > begin else b"",
        places - begin if begin else places,
        int(lengths.min()),
        int(lengths.max()),
    )


def encoded(column: Written) -> Texts:
    """The texts dictionary-encoded, code 0 being the empty text."""
    n, first = len(column.places) - 1, column.octets[: column.longest]
    if column.shortest == column.longest and column.octets == first * n:
        return constant(first.decode(), n)
    dictionary = column.text.dictionary_encode()
    codes: Int32s = dictionary.indices.to_numpy(zero_copy_only=False)
    values = dictionary.dictionary.to_pylist()
    if not column.has_blanks:
        return Texts(codes + np.int32(1), ("", *values))
    blank = values.index("")
    values.insert(0, values.pop(blank))
    return Texts(np.where(codes == blank, np.int32(0), codes + (codes < blank)), tuple(values))


def constant(text: str, n: int) -> Texts:
    """One text, n times."""
    code = 1 if text else 0
    return Texts(np.full(n, code, dtype=np.int32), ("", text) if text else ("",))


def blanks(n: int) -> Written:
    """The empty text, n times."""
    places = np.zeros(n + 1, dtype=np.int32)
    text = pa.StringArray.from_buffers(n, pa.py_buffer(places), pa.py_buffer(b""))
    return Written(text, b"", places, 0, 0)
