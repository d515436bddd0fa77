"""What a person should look at before a card is published: prices that jump, countries that the prefixes deny.

None of it makes a card unusable, so it is kept apart from the faults of `rates.cardfile`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rates.cards import Card, codes_and_values, column, combined, decimals
from rates.checking.ties import Keys, exploded, lifetimes, match_keys, micros
from rates.errors import Fault
from rates.money import exact
from rates.numbering import PLAN, country_of
from rates.products import Product
from rates.reading import parse_toml
from rates.steps import Step, parse_steps

Int64s = NDArray[np.int64]

_LONGEST = max(map(len, PLAN))
_LEADING = frozenset((code[:length], country) for code, country in PLAN.items() for length in range(len(code) + 1))
"""(digits, country): some numbers that begin with these digits lie in the country."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Where the rows of a card are written: lines of the file `place`, or tables at `place`, by position."""

    place: str
    inline: bool = False

    def at(self, row: int, key: str) -> str:
        """Where a cell stands: `rates.csv:417 prefixes`, or `card.toml: rate[3].prefixes`."""
        return f"{self.place}[{row}].{key}" if self.inline else f"{self.place}:{row} {key}"


RATES_CSV = Rows(place="rates.csv")


def rows_written(toml_text: str, place: str) -> Rows:
    """Where the rows of the card of a TOML text, which stands at `place`, are written: beside it, or in it."""
    beside = parse_toml(toml_text, place)[0].get("rates")
    return Rows(place=beside) if isinstance(beside, str) else Rows(place=f"{place}: rate", inline=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The codes of two cards that match exactly the same usage, and what both say of it.

    `kinds` are the distinct pairs (old, new) of some cells, `kind` int64[k] the kind of each code, and `row` int64[k]
    its row in the new card, `prefix` its code.
    """

    kinds: list[tuple[tuple[str, ...], tuple[str, ...]]]
    kind: Int64s
    row: Int64s
    prefix: pa.Array

    def faults(self, found: Sequence[str], new: Card, written: Rows, remedy: str) -> list[Fault]:
        """A fault for each code of whose kind something was found ("": nothing)."""
        bad = np.flatnonzero(np.array([bool(text) for text in found], dtype=bool)[self.kind])
        lines = new.rows["row"].to_numpy()
        return [
            Fault(
                place=written.at(int(lines[self.row[i]]), "prefixes"),
                value=self.prefix[i].as_py(),
                problem=found[int(self.kind[i])],
                remedy=remedy,
            )
            for i in bad.tolist()
        ]


def paired_terms(old: Card, new: Card, names: Sequence[str]) -> Pairs:
    """The codes of both cards with the cells of some columns, those of `old` as they are right before `new` begins."""
    keys, was, now = _paired(old, new)
    rows = _union(old, new)
    codes, first = combined(rows, names)
    columns = [codes_and_values(rows, name) for name in names]
    cells = [tuple(values[cell[row]] for cell, values in columns) for row in first.tolist()]
    pairs = np.stack([codes[keys.row[was]], codes[keys.row[now]]])
    kinds, kind = np.unique(pairs, axis=1, return_inverse=True)
    return Pairs(
        kinds=[(cells[a], cells[b]) for a, b in kinds.T.tolist()],
        kind=kind.ravel().astype(np.int64),
        row=keys.row[now] - old.rows.num_rows,
        prefix=keys.prefixes.take(pa.array(keys.prefix[now])),
    )


def jumps(old: Card, new: Card, bound: Fraction, *, written: Rows = RATES_CSV) -> list[Fault]:
    """A fault for each row of `new` whose price is more than `bound` (>= 1) times the old one, or less than that part.

    Compared are rows that match exactly the same usage, with the row of `old` in force right before `new` begins. A
    price that was or becomes zero is beyond any bound, another unit too.
    """
    pairs = paired_terms(old, new, ("unit", "prices", "steps"))
    found = [_jump(was, now, bound) for was, now in pairs.kinds]
    return pairs.faults(found, new, written, "mend the price, or accept it")


def countries_denied(card: Card, products: Mapping[str, Product], *, written: Rows = RATES_CSV) -> list[Fault]:
    """A fault for each row that names a country in which, by the numbering plan, none of its prefixes lies."""
    if not {"country", "prefixes"} <= set(card.rows.column_names):
        return []
    called = pa.array([name for name, product in products.items() if product.country_of == "to"], pa.string())
    named = pc.and_(
        pc.is_in(column(card.rows, "product").cast(pa.string()), called),
        pc.not_equal(column(card.rows, "country").cast(pa.string()), ""),
    )
    named = pc.and_(named, pc.equal(column(card.rows, "exact").cast(pa.string()), ""))
    which = np.flatnonzero(named.to_numpy(zero_copy_only=False)).astype(np.int64)
    position, prefix, prefixes = exploded(card.rows, "prefixes", which)
    heads = pc.dictionary_encode(pc.utf8_slice_codeunits(prefixes, 0, _LONGEST))
    head = heads.indices.to_numpy(zero_copy_only=False)[prefix].astype(np.int64)
    codes, countries = codes_and_values(card.rows, "country")
    packed = head * len(countries) + codes[which][position]
    pairs, inverse = np.unique(packed, return_inverse=True)
    texts = heads.dictionary.to_pylist()
    denied = np.array([_denied(texts[p // len(countries)], countries[p % len(countries)]) for p in pairs.tolist()])
    allowed = np.bincount(position[~denied[inverse]], minlength=len(which)) if len(pairs) else np.empty(0)
    bad = which[allowed == 0]
    lines = card.rows["row"].to_numpy()
    return [
        Fault(
            place=written.at(int(lines[row]), "country"),
            value=countries[codes[row]],
            problem="the numbering plan has none of this row's prefixes there",
            remedy="check the country: usage of another one does not match this row",
        )
        for row in bad.tolist()
    ]


def _union(old: Card, new: Card) -> pa.Table:
    names = [n for n in dict.fromkeys([*old.rows.column_names, *new.rows.column_names]) if n != "row"]
    columns = {}
    for name in names:
        parts = [codes_and_values(card.rows, name) for card in (old, new)]
        texts = [pa.array(values, pa.string()).take(pa.array(codes)) for codes, values in parts]
        columns[name] = pc.dictionary_encode(pa.concat_arrays(texts))
    return pa.table(columns)


def _paired(old: Card, new: Card) -> tuple[Keys, Int64s, Int64s]:
    # Both cards' rows in one table, so that equal keys have equal numbers.
    keys = match_keys(_union(old, new))
    shift = old.rows.num_rows
    starts, ends = lifetimes(old)
    begin = micros(new.effective_from.isoformat())
    alive = (starts < begin) & (begin <= ends)
    mine = keys.row >= shift
    was = np.flatnonzero(~mine & alive[np.minimum(keys.row, shift - 1)])
    now = np.flatnonzero(mine)
    order = np.argsort(keys.key[was], kind="stable")
    was = was[order]
    place = np.minimum(np.searchsorted(keys.key[was], keys.key[now]), max(len(was) - 1, 0))
    same = keys.key[was][place] == keys.key[now] if len(was) else np.zeros(len(now), dtype=bool)
    return keys, was[place[same]], now[same]


def _jump(old: tuple[str, ...], new: tuple[str, ...], bound: Fraction) -> str:
    (old_unit, old_prices, old_steps), (new_unit, new_prices, new_steps) = old, new
    if not (old_prices or old_steps) or not (new_prices or new_steps):
        return ""
    if old_unit != new_unit:
        return f"is now per {new_unit}, was per {old_unit}"
    was, now = _comparable(old_prices, old_steps, new_prices, new_steps)
    if all(b <= bound * a and a <= bound * b for a, b in zip(was, now, strict=True)):
        return ""
    return f"the price is {new_prices or new_steps}, was {old_prices or old_steps}"


def _comparable(
    old_prices: str, old_steps: str, new_prices: str, new_steps: str
) -> tuple[list[Fraction], list[Fraction]]:
    """The prices of two rows that stand for each other: tier by tier, or at each bound that either steps at."""
    if not old_steps and not new_steps:
        was, now = [[exact(price) for price in decimals(cell)] for cell in (old_prices, new_prices)]
        return (was, now) if len(was) == len(now) else (was[:1], now[:1])
    cells = ((old_steps, old_prices), (new_steps, new_prices))
    steps = [parse_steps(cell or f"0:{prices.split()[0]}") for cell, prices in cells]
    bounds = sorted({step.start for each in steps for step in each})
    was, now = ([exact(_price_at(each, bound)) for bound in bounds] for each in steps)
    return was, now


def _price_at(steps: tuple[Step, ...], unit: int) -> Decimal:
    return next(step.price for step in reversed(steps) if step.start <= unit)


def _denied(prefix: str, country: str) -> bool:
    return country_of(prefix) != country and (prefix, country) not in _LEADING
