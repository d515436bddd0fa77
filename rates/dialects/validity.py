"""Rows of a deck in time: what has ended or was replaced before the card begins, and what replaces what after it.

Decks give the date from which a rate holds, often years ago, and list the next one below it. A card begins at an
instant and its rows live inside it: rates that hold already begin with it, and a rate ends where the next one for the
same usage begins.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rates.cards import PRICED, combined, instant
from rates.checking.sheet import Sheet
from rates.checking.ties import micros

Int64s = NDArray[np.int64]

_FOREVER = int(np.iinfo(np.int64).max)
_PAST = -_FOREVER
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def in_time(sheet: Sheet, begins: datetime) -> tuple[Sheet, list[str]]:
    """The rows that live in a card that begins then, and how many do not.

    Rows are of the same usage where all that is matched is the same cell by cell. Two of them from the same date are
    both kept: that is a fault of the card.
    """
    if not {"effective_from", "effective_to"} & sheet.columns.keys():
        return sheet, []
    start = _instants(sheet, "effective_from", _PAST)
    end = _instants(sheet, "effective_to", _FOREVER)
    opens = micros(begins.isoformat())
    later = _next_start(sheet, start)
    ended, replaced = end <= opens, later <= opens
    kept = ~ended & ~replaced
    succeeded = kept & (end == _FOREVER) & (later != _FOREVER)
    columns = dict(sheet.columns)
    columns["effective_from"] = pc.if_else(pa.array(start <= opens), "", sheet.cells("effective_from"))
    columns["effective_to"] = _ends(sheet.cells("effective_to"), succeeded, later)
    notes = [
        f"{count:,} {'row' if count == 1 else 'rows'} {why} before the card begins: left out"
        for count, why in ((int((ended & ~replaced).sum()), "ended"), (int(replaced.sum()), "replaced"))
        if count
    ]
    if kept.all():
        return replace(sheet, columns=columns), notes
    filtered = {key: cells.filter(pa.array(kept)) for key, cells in columns.items()}
    return replace(sheet, lines=sheet.lines[kept], columns=filtered), notes


def _ends(written: pa.Array, succeeded: NDArray[np.bool_], later: Int64s) -> pa.Array:
    """The ends as written; of rows that another one follows, the instant at which that begins."""
    if not succeeded.any():
        return written
    distinct, position = np.unique(later[succeeded], return_inverse=True)
    texts = pa.array([instant(_EPOCH + timedelta(microseconds=at)) for at in distinct.tolist()], pa.string())
    return pc.replace_with_mask(written, pa.array(succeeded), texts.take(pa.array(position)))


def _next_start(sheet: Sheet, start: Int64s) -> Int64s:
    """When the next row of the same usage begins, int64[n] microseconds; never where there is none."""
    matched = [key for key in sheet.columns if key not in {*PRICED, "price"}]
    same, _ = combined(pa.table({key: sheet.columns[key] for key in matched}), matched)
    order = np.lexsort((start, same))
    usage, begin = same[order], start[order]
    # Rows of one usage from one instant share what follows them.
    opens = np.flatnonzero(np.concatenate([[True], (usage[1:] != usage[:-1]) | (begin[1:] != begin[:-1])]))
    following = np.full(len(opens), _FOREVER, dtype=np.int64)
    goes_on = usage[opens[1:]] == usage[opens[:-1]]
    following[:-1] = np.where(goes_on, begin[opens[1:]], _FOREVER)
    later = np.empty(len(order), dtype=np.int64)
    later[order] = np.repeat(following, np.diff(np.append(opens, len(order))))
    return later


def _instants(sheet: Sheet, key: str, default: int) -> Int64s:
    encoded = pc.dictionary_encode(sheet.cells(key))
    values = [micros(text) if text else default for text in encoded.dictionary.to_pylist()]
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    return np.array(values, dtype=np.int64)[codes] if values else np.empty(0, dtype=np.int64)
