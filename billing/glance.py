"""Many plain payloads read at once into columns, by Arrow: no Python object is made of an event, and no key of it.

The fast way in front of the two others: of a chunk of payloads it takes those that are plain, and says nothing about
what is wrong with one that is not. `billing.columns` then understands what was read, whichever way it was.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import json

from billing.columns import ALWAYS, NUMBERS, Column
from billing.payloads import LONGEST_LINE, REQUIRED, Flat
from rates.usage import Int64s

FEWEST = 64
"""Fewer payloads than this are sooner read one by one."""

_FIELDS = {field.encode_name: field.name for field in msgspec.structs.fields(Flat)}
_TEXTS = {f'"{name}"'.encode(): name for name, field in _FIELDS.items() if field not in NUMBERS}
_STRING, _INTEGER, _NOTHING = pa.string(), pa.int64(), pa.null()
_NEWLINE, _OPENS, _CLOSES = b"\n{}"


def is_plain(text: bytes) -> bool:
    """Whether text is ASCII without an escape: then what is decoded of it are the bytes that were sent."""
    return text.isascii() and b"\\" not in text and b"\x7f" not in text


def read_plain(payloads: Sequence[bytes]) -> tuple[Int64s, dict[str, Column]] | None:
    """The positions of the plain payloads, and the fields that they state; None if it is not worth it, or goes wrong.

    Where all are flat objects to the eye, and one says what no event does, none is taken: who is to say which it was.
    """
    stated = read_at_once(payloads)
    if stated is not None:
        return np.arange(len(payloads)), stated
    rows = _plain_rows(payloads) if len(payloads) >= FEWEST else np.zeros(0, dtype=np.int64)
    if len(rows) < len(payloads):
        stated = read_at_once([payloads[row] for row in rows.tolist()])
    return None if stated is None else (rows, stated)


def _plain_rows(payloads: Sequence[bytes]) -> Int64s:
    """The payloads that are one flat object each, as far as their octets tell, and have nothing odd in them."""
    lengths = np.fromiter(map(len, payloads), dtype=np.int64, count=len(payloads))
    octets = np.frombuffer(b"".join(payloads), dtype=np.uint8)
    ends = np.cumsum(lengths)
    plain: NDArray[np.bool_] = (lengths > 1) & (lengths <= LONGEST_LINE)
    odd = (octets < ord(" ")) | (octets > ord("~")) | (octets == ord("\\")) | (octets == ord("["))
    plain[np.searchsorted(ends, np.flatnonzero(odd), side="right")] = False
    for brace, places in ((_OPENS, ends - lengths), (_CLOSES, ends - 1)):
        found = np.flatnonzero(octets == brace)
        # How many braces lie before each end; and, where there is just one in a payload, where it is.
        count = np.diff(np.searchsorted(found, ends), prepend=0)
        plain &= count == 1
        place = found[np.minimum(np.cumsum(count) - 1, len(found) - 1)] if len(found) else np.full(len(ends), -1)
        plain &= place == places
    return np.flatnonzero(plain)


def read_at_once(payloads: Sequence[bytes]) -> dict[str, Column] | None:
    """The fields that n payloads state, as Arrow strings ("" where one does not), by the names that `Flat` has.

    None if any of them is not one flat JSON object of known fields on one line, plain, each field given once.
    """
    if len(payloads) < FEWEST or max(map(len, payloads)) > LONGEST_LINE:
        return None
    text = b"\n".join(payloads)
    if not is_plain(text) or b"[" in text or not _one_object_a_line(text, len(payloads)):
        return None
    # A text may look like a date, which Arrow would make of it: those that the first payload has are told to be texts.
    texts = [name for quoted, name in _TEXTS.items() if quoted in payloads[0]]
    schema = pa.schema([(name, _STRING) for name in dict.fromkeys((*REQUIRED, *texts))])
    try:
        table = json.read_json(
            pa.BufferReader(text),
            read_options=json.ReadOptions(use_threads=False, block_size=len(text) + 1),
            parse_options=json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer"),
        )
    except pa.ArrowInvalid:  # also where a key is given twice
        return None
    return _stated(table) if table.num_rows == len(payloads) else None


def _one_object_a_line(text: bytes, lines: int) -> bool:
    """Whether each line begins with the only `{` and ends with the only `}` that it has: so none holds two objects."""
    octets = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(octets == _NEWLINE)
    if len(ends) != lines - 1 or any(np.count_nonzero(octets == brace) != lines for brace in (_OPENS, _CLOSES)):
        return False
    if octets[-1] != _CLOSES:
        return False
    begins, closes = np.append(0, ends + 1), np.append(ends, len(octets)) - 1
    return bool((octets[begins] == _OPENS).all() and (octets[closes] == _CLOSES).all())


def _stated(table: Column) -> dict[str, Column] | None:
    """The columns of a table as texts; None if there is one that no event has, or one of another type."""
    nothing = pa.repeat(pa.scalar("", _STRING), table.num_rows)
    stated: dict[str, Column] = dict.fromkeys(ALWAYS, nothing)
    for name, column in zip(table.column_names, table.columns, strict=True):
        field, kind = _FIELDS.get(name), column.type
        if field is None or kind not in (_STRING, _NOTHING, _INTEGER if field in NUMBERS else _STRING):
            return None
        if column.null_count == len(column):
            continue
        text = pa.concat_arrays(column.chunks).cast(_STRING)
        blank = pc.equal(text, "")
        if pc.any(blank).as_py() and (field in NUMBERS or pc.all(blank).as_py()):
            return None
        stated[field] = pc.fill_null(text, "")
    return stated
