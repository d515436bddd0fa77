"""One event that is as many events of one identity: a look-up of several packages, each charged by itself.

Each package is rated as an event that asks for it alone. What comes of them is one event again: its first priced part
stands as its usage, the others are elements beside it, counted each. If one of them waits, all of it does.
"""

import json
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.products import PACKAGES
from rates.ratings import FIRST_QUARANTINED, Ratings
from rates.usage import Texts, UsageColumns

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]


class Split(NamedTuple):
    """The parts of n events, p of them, as columns of events; `event` int64[p], ascending, is whose part each is."""

    columns: UsageColumns
    event: Int64s


def split(columns: UsageColumns) -> Split | None:
    """The parts of events; None where none has several, and each is its own part."""
    stated = columns.texts.get(PACKAGES)
    if stated is None or len(stated.values) <= 1:
        return None
    listed = [json.loads(text) if text else [] for text in stated.values]
    many = np.array([len(each) for each in listed], dtype=np.int64)
    parts_of = np.maximum(many, 1)[stated.codes]
    event = np.repeat(np.arange(len(columns), dtype=np.int64), parts_of)
    nth = np.arange(len(event), dtype=np.int64) - np.repeat(np.cumsum(parts_of) - parts_of, parts_of)
    parts = columns.take(event)
    listing = stated.codes[event]
    asks = many[listing] > 0
    place = (np.cumsum(many) - many)[listing] + nth
    said = [pair for each in listed for pair in each]
    texts = dict(parts.texts)
    for name, cells in (("package", [name for name, _ in said]), ("status", [status for _, status in said])):
        texts[name] = _said(parts.texts.get(name), cells, np.where(asks, place, -1))
    return Split(replace(parts, texts=texts, measured=np.where(asks, 1, parts.measured)), event)


def _said(text: Texts | None, cells: list[str], place: Int64s) -> Texts:
    """What parts say by themselves (`place` int64[p] into `cells`, -1 for nothing), and where it is "", their event."""
    known = text or Texts(np.zeros(len(place), dtype=np.int32), ("",))
    values = (*known.values, *dict.fromkeys(cell for cell in cells if cell not in {"", *known.values}))
    codes = {value: code for code, value in enumerate(values)}
    own = np.array([*(codes[cell] for cell in cells), 0], dtype=np.int32)[place]
    return Texts(np.where(own > 0, own, known.codes).astype(np.int32), values)


def rejoined(ratings: Ratings, event: Int64s, n: int) -> Ratings:
    """The ratings of n events from those of their parts, `event` int64[p]."""
    place = np.arange(len(event), dtype=np.int64)
    waits, priced = ratings.reason >= FIRST_QUARANTINED, ratings.reason == 0
    # What waits speaks for the event, else the first part that is priced, else the first.
    rank = np.where(waits, 0, np.where(priced, 1, 2)) * np.int64(len(event)) + place
    first = np.searchsorted(event, np.arange(n))
    lead = np.minimum.reduceat(rank, first) % len(event) if n else place
    further = priced & (ratings.price >= 0) & ~np.isin(place, lead)
    out = waits[lead]
    beside = ratings.extra_event
    columns: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {
        "extra_event": (place, beside),
        "extra_rate": (ratings.rate, ratings.extra_rate),
        "extra_price": (ratings.price, ratings.extra_price),
        "extra_billed": (ratings.billed, ratings.extra_billed),
        "extra_events": (np.ones(len(event), dtype=np.int8), ratings.extra_events),
    }
    kept = np.flatnonzero(np.concatenate([further & ~out[event], ~out[event[beside]]]))
    # A part's own elements stand behind it.
    order = np.concatenate([place * 2, beside * 2 + 1])[kept]
    kept = kept[np.argsort(order, kind="stable")]
    joined: dict[str, NDArray[Any]] = {name: np.concatenate(both)[kept] for name, both in columns.items()}
    joined["extra_event"] = event[joined["extra_event"]]
    own = {name: getattr(ratings, name)[lead] for name in ("rate", "price", "billed", "reason")}
    # Of one number: what is known of it where a card was asked about any part.
    own["country"] = np.maximum.reduceat(ratings.country, first) if n else ratings.country
    return Ratings(**own, **joined)
