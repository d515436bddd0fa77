"""Rate cards: dated, immutable lists of rates in one currency. Their identity is the hash of their content.

The rows of a card are columns. A column that is absent, or an empty cell, means the default of FORMATS section 2, so
that equal cards have equal columns however they were written.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rates.money import RoundingMode, normal
from rates.tiers import Pool, Schedule, Selector
from rates.windows import Window

RULES = 1
"""The rule set that this code rates by; a card is stamped with it."""

MATCHED = (
    "product", "element", "country", "prefixes", "origin_prefixes", "origin", "exact",
    "mcc", "mnc", "number_type", "region", "package", "jurisdiction", "window",
)  # fmt: skip
"""Columns that say which usage a row is for."""

PRICED = (
    "destination", "unit", "prices", "steps", "tiers", "increments", "setup_fee", "min_charge", "max_charge",
    "free_units", "block", "grace", "max_quantity", "blocked", "effective_from", "effective_to",
)  # fmt: skip
"""Columns that say what it costs. Decimals are canonical (`0.014`), lists space-separated, flags `true`."""

_FIELD = "\x1f"
_PACKED = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """Where amounts of a card are rounded: per line to the currency, or per event to `decimals` places."""

    per: str = "line"
    decimals: int = 0
    mode: RoundingMode = RoundingMode.HALF_UP


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One version of a rate card.

    `rows` has the column `row` (int32: the line or place in the source, for faults and explanations) and any of
    `MATCHED` and `PRICED` and declared dimensions as canonical strings (plain or dictionary-encoded), in source order.
    """

    id: str
    currency: str
    effective_from: datetime
    effective_to: datetime | None = None
    rules: int = RULES
    timezone: str = "UTC"
    overlay: bool = False
    rounding: Rounding = field(default_factory=Rounding)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    windows: Mapping[str, Window] = field(default_factory=dict)
    rows: pa.Table

    @property
    def version(self) -> str:
        """The name of this version, as lines and explanations show it: `list-usd@2026-10-01T00:00:00Z`."""
        return f"{self.id}@{instant(self.effective_from)}"


def instant(at: datetime) -> str:
    """An instant in UTC as RFC 3339 with `Z`."""
    return at.isoformat().replace("+00:00", "Z")


def column(rows: pa.Table, name: str) -> pa.Array:
    """A column as a dictionary array, `""` throughout where the card has none."""
    if name not in rows.column_names:
        codes = pa.array(np.zeros(rows.num_rows, dtype=np.int32))
        return pa.DictionaryArray.from_arrays(codes, pa.array([""]))
    chunked = rows[name].combine_chunks()
    return chunked if pa.types.is_dictionary(chunked.type) else pc.dictionary_encode(chunked)


def codes_and_values(rows: pa.Table, name: str) -> tuple[NDArray[np.int32], list[str]]:
    """A column as codes `int32[n]` into the list of its distinct values."""
    encoded = column(rows, name)
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32), encoded.dictionary.to_pylist()


def combined(rows: pa.Table, names: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The distinct combinations of some columns, numbered in the order in which rows first show them.

    Returns the number of each row's combination, `int32[n]`, and the first row of each, `int64[k]`.
    """
    packed, size = np.zeros(rows.num_rows, dtype=np.int64), 1
    for name in names:
        encoded = column(rows, name)
        if size * len(encoded.dictionary) > _PACKED:
            packed, size = _compacted(packed)
        packed = packed * len(encoded.dictionary) + encoded.indices.to_numpy(zero_copy_only=False)
        size *= len(encoded.dictionary)
    codes, count = _compacted(packed)
    first = np.empty(count, dtype=np.int64)
    first[codes[::-1]] = np.arange(rows.num_rows - 1, -1, -1)  # of the rows of one combination the first stays
    return codes.astype(np.int32), first


def _compacted(packed: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    encoded = pc.dictionary_encode(pa.array(packed))
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), len(encoded.dictionary)


def identity(card: Card) -> bytes:
    """SHA-256 of the canonical form: rows sorted, decimals normalised, defaults omitted."""
    digest = hashlib.sha256(_FIELD.join(_head(card)).encode())
    lines = _lines(card.rows)
    joined = pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), "\n")[0]
    digest.update(b"\n" + joined.as_buffer() if len(lines) else b"")
    return digest.digest()


def _lines(rows: pa.Table) -> pa.Array:
    columns = []
    for name in sorted(set(rows.column_names) - {"row"}):
        plain = rows[name].combine_chunks().cast(pa.string())
        keyed = pc.binary_join_element_wise(pa.scalar(name), plain, "=")
        columns.append(pc.if_else(pc.equal(plain, ""), pa.scalar(None, pa.string()), keyed))
    joined = pc.binary_join_element_wise(*columns, _FIELD, null_handling="skip")
    return joined.take(pc.sort_indices(joined))


def _head(card: Card) -> list[str]:
    until = instant(card.effective_to) if card.effective_to else ""
    rounding = f"{card.rounding.per}/{card.rounding.decimals}/{card.rounding.mode}"
    parts = [card.id, str(card.rules), card.currency, instant(card.effective_from), until]
    parts += [card.timezone, str(card.overlay), rounding]
    parts += [_schedule(card.schedules[name]) for name in sorted(card.schedules)]
    # Usage is in the first pool that takes it: their order is content. That of schedules says nothing.
    parts += [_pool(pool) for pool in card.pools.values()]
    return parts + [_window(card.windows[name]) for name in sorted(card.windows)]


def _schedule(s: Schedule) -> str:
    numbers = ["/".join(map(normal, values)) for values in (s.up_to, s.flats, s.discounts)]
    return repr(("tiers", s.name, s.mode, s.unit, s.measure, s.scope, numbers, s.flat_at_zero, _fill(s.fill)))


def _pool(p: Pool) -> str:
    return repr(("pool", p.name, normal(p.free), normal(p.block), p.unit, p.scope, _fill(p.fill)))


def _window(w: Window) -> str:
    return repr(("window", w.name, w.days, w.begins, w.ends, w.split))


def _fill(selectors: tuple[Selector, ...]) -> list[tuple[list[str], ...]]:
    return sorted((sorted(s.product), sorted(s.country), sorted(s.number_type)) for s in selectors)


def decimals(text: str) -> tuple[Decimal, ...]:
    """The decimals of a canonical `prices` cell."""
    return tuple(map(Decimal, text.split()))
