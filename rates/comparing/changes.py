"""What a new card changes against an old one, in the carriers' words: new, increase, decrease, ended, other terms.

Compared are rows that match exactly the same usage, code by code: with the row of the old card that is in force right
before the new one begins, or with the one that the new card itself has before. Beside a code that is new or has ended
stands the code that priced its usage before, or prices it from then on: the closest wider one, for a row that is not
there falls to its parent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from itertools import zip_longest
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rates.cards import Card, combined, decimals, instant
from rates.comparing.together import Together
from rates.compiled.patterns import microseconds
from rates.money import exact, format_fraction, round_ratio
from rates.products import Product
from rates.steps import parse_steps

Int64s = NDArray[np.int64]

_FOREVER = int(np.iinfo(np.int64).max)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Change(StrEnum):
    """What became of a code."""

    INCREASE = "increase"
    NEW = "new"
    DECREASE = "decrease"
    ENDED = "ended"
    OTHER_TERMS = "other terms"
    UNCHANGED = "unchanged"


CHANGES = tuple(Change)

_COMPARED = (
    "destination", "unit", "steps", "tiers", "increments", "setup_fee", "min_charge", "max_charge", "free_units",
    "block", "grace", "max_quantity",
)  # fmt: skip
_OF_A_PRICE = {"destination", "unit", "steps"}
"""What of these is looked at with the price, or changes none."""

TERMS = ("unit", "prices", "steps", "blocked")
"""What decides a price."""

_SHOWN = ("increments", "setup_fee")
_DEARER = ("increments", "setup_fee", "min_charge", "tiers", "unit", "grace")
"""What a change of may make usage dearer at the same price."""

COLUMNS = (
    "change", "product", "element", "destination", "code", "origin", "where", "unit", "old_price", "new_price",
    "percent", "old_increments", "new_increments", "old_setup_fee", "new_setup_fee", "changed", "effective_from",
    "beside_code", "beside_price", "notice",
)  # fmt: skip
"""The columns of a comparison. `beside_` is what prices a new code before it, and an ended one after it."""

_OF_A_CODE = frozenset({"code", "beside_code", "beside_price"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A row of text columns (`COLUMNS`) for each code of either card, and how many codes became what.

    `notice` says what a customer would have to be told sooner than the notice period allows, else "".
    """

    old: str
    new: str
    currencies: tuple[str, str]
    rows: pa.Table
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def warnings(self) -> pa.Table:
        """The rows that come too soon."""
        return self.rows.filter(pc.not_equal(self.rows["notice"], ""))

    def by_destination(self) -> pa.Table:
        """The same with the codes that changed alike in one row: `code` is their list, `codes` how many they are."""
        names = [name for name in COLUMNS if name not in _OF_A_CODE]
        grouped = self.rows.group_by(names, use_threads=False).aggregate([("code", "list"), ("code", "count")])
        lists = grouped["code_list"].combine_chunks()
        grouped = grouped.append_column("code", pc.binary_join(lists, " "))
        return grouped.append_column("codes", grouped["code_count"]).select([*names, "code", "codes"])

    def changed(self) -> pa.Table:
        """The rows that are not unchanged, or of which something beside the price is."""
        return self.rows.filter(
            pc.or_(pc.not_equal(self.rows["change"], Change.UNCHANGED), pc.not_equal(self.rows["changed"], ""))
        )

    def summary(self) -> list[dict[str, Any]]:
        """How many codes, and destinations, became what: `change`, `codes` and `destinations` of each change."""
        names = self.rows.select(["change", "destination"]).group_by("change").aggregate(
            [("destination", "count_distinct")]
        )  # fmt: skip
        destinations = dict(zip(names["change"].to_pylist(), pc.cast(names[1], "int64").to_pylist(), strict=True))
        return [
            {"change": change, "codes": count, "destinations": destinations.get(change, 0)}
            for change, count in self.counts.items()
        ]


def compare(old: Card, new: Card, products: Mapping[str, Product], *, notice_from: datetime) -> Comparison:
    """What `new` changes against `old`. What takes effect before `notice_from` and makes usage dearer is too soon."""
    both = Together.of(old, new, products)
    begins = microseconds(new.effective_from)
    sides = _sides(both, old, new, begins)
    texts = _texts(both, sides)
    columns = {**texts, **_judged(texts, products)}
    columns |= _beside(both, sides, columns, begins, products)
    columns["effective_from"] = _instants(sides.effective)
    columns["changed"] = _changed(both, sides)
    columns["change"] = _with_other_terms(columns["change"], columns["changed"])
    columns["notice"] = _notices(columns, sides.effective < microseconds(notice_from))
    table = pa.table({name: columns[name] for name in COLUMNS})
    codes = pc.index_in(table["change"].combine_chunks(), pa.array([str(each) for each in CHANGES]))
    order = pa.table({**{name: table[name] for name in ("destination", "code", "origin")}, "rank": codes})
    keys = [(name, "ascending") for name in ("rank", "destination", "code", "origin")]
    table = table.take(pc.sort_indices(order, sort_keys=keys))
    counts = np.bincount(codes.to_numpy(zero_copy_only=False), minlength=len(CHANGES)).tolist()
    return Comparison(
        old=old.version,
        new=new.version,
        currencies=(old.currency, new.currency),
        rows=table,
        counts={str(change): count for change, count in zip(CHANGES, counts, strict=True)},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """The patterns that stand for each other, -1 for none, and when the second takes the place of the first."""

    was: Int64s
    now: Int64s
    effective: Int64s


def _sides(both: Together, old: Card, new: Card, begins: int) -> _Sides:
    row = both.patterns.row
    start, end = both.starts[row], both.ends[row]
    at = begins if old.effective_from == new.effective_from else begins - 1
    before = np.flatnonzero((both.card == 0) & (start <= at) & (at < end))
    if old.effective_from > new.effective_from:
        before = np.flatnonzero((both.card == 0) & (start == microseconds(old.effective_from)))
    after = np.flatnonzero(both.card == 1)
    after = after[np.lexsort((start[after], both.key[after]))]
    place = pc.index_in(pa.array(both.key[after]), value_set=pa.array(both.key[before]))
    found = pc.fill_null(place, -1).to_numpy(zero_copy_only=False)
    was = np.where(found >= 0, before[found] if len(before) else -1, -1)
    # Of several rows of one code in the new card, each follows the one before it.
    follows = np.concatenate([[False], both.key[after[1:]] == both.key[after[:-1]]]) if len(after) else after == 1
    previous = np.concatenate([[-1], after[:-1]]) if len(after) else after
    was = np.where(follows, previous, was)
    gone = before[~np.isin(both.key[before], both.key[after])]
    # The last row of a code that ends inside its card ends the code.
    last = np.concatenate([~follows[1:], [True]]) if len(after) else follows
    until = _FOREVER if new.effective_to is None else microseconds(new.effective_to)
    ends = after[last & (end[after] < until)]
    none = np.full(len(gone) + len(ends), -1, dtype=np.int64)
    return _Sides(
        was=np.concatenate([was, gone, ends]),
        now=np.concatenate([after, none]),
        effective=np.concatenate([start[after], np.full(len(gone), begins), end[ends]]).astype(np.int64),
    )


def _texts(both: Together, sides: _Sides) -> dict[str, pa.Array]:
    one = np.where(sides.now >= 0, sides.now, sides.was)
    columns = {name: both.text(name, one) for name in ("product", "element", "destination")}
    columns["element"] = pc.if_else(pc.equal(columns["element"], ""), "usage", columns["element"])
    columns |= {"code": both.codes(one), "origin": both.origins(one), "where": both.dimensions(one)}
    for name in {*TERMS, *_SHOWN}:
        columns[f"old_{name}"], columns[f"new_{name}"] = both.text(name, sides.was), both.text(name, sides.now)
    columns["unit"] = pc.if_else(pc.equal(columns["new_unit"], ""), columns["old_unit"], columns["new_unit"])
    return columns


_Terms = tuple[str, ...]
Judged = tuple[str, str, str, str]
"""Change, the old price, the new price, percent."""


def _judged(texts: Mapping[str, pa.Array], products: Mapping[str, Product]) -> dict[str, pa.Array]:
    """Each distinct pair of what the two sides say of a price is judged once."""
    names = [f"{side}_{name}" for side in ("old", "new") for name in TERMS]

    def judge(product: str, *terms: str) -> Judged:
        return judged(products[product], terms[: len(TERMS)], terms[len(TERMS) :])

    found = each_distinct([texts["product"], *(texts[name] for name in names)], 4, judge)
    return dict(zip(("change", "old_price", "new_price", "percent"), found, strict=True))


def judged(product: Product, old: Sequence[str], new: Sequence[str]) -> Judged:
    """What became of a price: (unit, prices, steps, blocked) of both sides; without a unit there is none."""
    was, now = _priced(old), _priced(new)
    shown = (_said(old, was), _said(new, now))
    if not was or not now:
        change = Change.NEW if now else Change.ENDED if was else Change.UNCHANGED
        if not was and not now and bool(old[0]) != bool(new[0]):
            change = Change.NEW if new[0] else Change.ENDED
        return change, *shown, ""
    if (old[0] == "event") != (new[0] == "event"):
        return Change.INCREASE, *shown, ""
    shares = [
        (b - a, Fraction(b - a, a) if a else None)
        for a, b in zip(*_comparable(product, old, was, new, now), strict=True)
    ]
    rises, falls = [each for each in shares if each[0] > 0], [each for each in shares if each[0] < 0]
    if not rises and not falls:
        return Change.UNCHANGED, *shown, "0"
    some = rises or falls
    shown_share = (
        None if any(share is None for _, share in some) else max((s for _, s in some if s is not None), key=abs)
    )
    change = Change.INCREASE if rises else Change.DECREASE
    return change, *shown, "" if shown_share is None else percent(shown_share)


def _said(terms: Sequence[str], priced: "_Priced") -> str:
    return "blocked" if terms[3] else " ".join(format_fraction(price) for _, _, price in priced)


def percent(share: Fraction) -> str:
    """A share as percent, to two decimals."""
    return format_fraction(Fraction(round_ratio(share.numerator * 10_000, share.denominator), 100))


_Priced = list[tuple[int, str, Fraction]]
"""From which base unit on, in which unit, at which price."""


def _priced(terms: Sequence[str]) -> _Priced:
    unit, prices, steps, blocked = terms
    if not unit or blocked:
        return []
    if steps:
        return [(step.start, unit, exact(step.price)) for step in parse_steps(steps)]
    return [(0, unit, exact(price)) for price in decimals(prices)]


def _comparable(
    product: Product, old: Sequence[str], was: _Priced, new: Sequence[str], now: _Priced
) -> tuple[list[Fraction], list[Fraction]]:
    """Prices a base unit that stand for each other: tier by tier, or at each bound at which either steps."""
    if old[2] or new[2]:
        bounds = sorted({start for start, _, _ in (*was, *now)})
        sides = [[_at(side, bound) for bound in bounds] for side in (was, now)]
    else:
        # A tier that one side does not have costs what its last one costs.
        pairs = list(zip_longest(was, now))
        sides = [[pair[i] or side[-1] for pair in pairs] for i, side in enumerate((was, now))]
    sizes = [[price * Fraction(1, product.unit_size(unit) or 1) for _, unit, price in side] for side in sides]
    return sizes[0], sizes[1]


def _at(side: _Priced, bound: int) -> tuple[int, str, Fraction]:
    return next(each for each in reversed(side) if each[0] <= bound)


def _beside(
    both: Together, sides: _Sides, columns: dict[str, pa.Array], begins: int, products: Mapping[str, Product]
) -> dict[str, pa.Array]:
    """What prices a new code before it and an ended one after it; a new code that is dearer than that is told so."""
    change = columns["change"]
    row = both.patterns.row
    at = np.minimum(both.starts[row], begins)
    lives = (at <= begins) & (both.ends[row] >= begins)
    beside = np.full(len(sides.was), -1, dtype=np.int64)
    for kind, card, own in ((Change.NEW, 0, sides.now), (Change.ENDED, 1, sides.was)):
        which = np.flatnonzero(pc.equal(change, kind).to_numpy(zero_copy_only=False) & (own >= 0))
        asked = np.flatnonzero((both.card == card) & lives)
        if len(which) and len(asked):
            beside[which] = both.closest(own[which], asked)
    terms = [both.text(name, beside) for name in TERMS]
    own_terms = [columns[f"new_{name}"] for name in TERMS]

    def judge(product: str, *texts: str) -> tuple[str, str]:
        found = judged(products[product], texts[: len(TERMS)], texts[len(TERMS) :])
        return found[1], "dearer" if texts[0] and found[0] == Change.INCREASE else ""

    price, dearer = each_distinct([columns["product"], *terms, *own_terms], 2, judge)
    return {"beside_code": both.codes(beside), "beside_price": price, "_dearer": dearer}


def _changed(both: Together, sides: _Sides) -> pa.Array:
    """Which columns beside the price differ, of codes that both sides have."""
    said = pa.repeat(pa.scalar(""), len(sides.was))
    paired = pa.array((sides.was >= 0) & (sides.now >= 0))
    for name in _COMPARED:
        if name in both.rows.column_names:
            differ = pc.not_equal(both.text(name, sides.was), both.text(name, sides.now))
            said = pc.binary_join_element_wise(said, pc.if_else(pc.and_(differ, paired), f" {name}", ""), "")
    return pc.utf8_trim_whitespace(said)


def _with_other_terms(change: pa.Array, changed: pa.Array) -> pa.Array:
    """What is charged otherwise at the same price is not unchanged; under another name alone, it is."""

    def judge(change: str, changed: str) -> tuple[str]:
        terms = set(changed.split()) - _OF_A_PRICE
        return (str(Change.OTHER_TERMS) if terms and change == Change.UNCHANGED else change,)

    return each_distinct([change, changed], 1, judge)[0]


def _notices(columns: Mapping[str, pa.Array], soon: NDArray[np.bool_]) -> pa.Array:
    def notice(change: str, dearer: str, changed: str) -> tuple[str]:
        others = [name for name in changed.split() if name in _DEARER]
        if change == Change.INCREASE or (change == Change.NEW and dearer):
            return ("increase too soon",)
        if change == Change.ENDED:
            return ("ended too soon",)
        return (f"{', '.join(others)} changed too soon" if others and change != Change.NEW else "",)

    (said,) = each_distinct([columns["change"], columns["_dearer"], columns["changed"]], 1, notice)
    return pc.if_else(pa.array(soon), said, "")


def each_distinct(columns: Sequence[pa.Array], width: int, judge: Callable[..., tuple[str, ...]]) -> list[pa.Array]:
    """What a function says, in `width` texts, of each distinct combination of texts, as columns."""
    encoded = [pc.dictionary_encode(column) for column in columns]
    table = pa.table({str(i): column for i, column in enumerate(encoded)})
    codes, first = combined(table, table.column_names)
    rows = pa.array(first)
    cells = [column.take(rows).to_pylist() for column in columns]
    found = [judge(*each) for each in zip(*cells, strict=True)]
    said = zip(*found, strict=True) if found else ((),) * width
    return [pa.array(values, pa.string()).take(pa.array(codes)) for values in said]


def _instants(at: Int64s) -> pa.Array:
    distinct, place = np.unique(at, return_inverse=True)
    texts = [instant(_EPOCH + timedelta(microseconds=each)) for each in distinct.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(place.ravel()))
