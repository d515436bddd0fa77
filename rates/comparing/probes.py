"""Probes: one made-up event for each part of the numbering space that the rows of two cards tell apart.

A number that is a prefix itself matches the longest prefix that begins it: with every prefix of either card as a
number, from every origin of either card, every pair of rows that can meet does meet.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rates.cards import Card
from rates.comparing.margins import Margins, Sides
from rates.comparing.together import Together
from rates.compiled.patterns import EXACT, UNKNOWN
from rates.products import Product
from rates.usage import Texts, UsageColumns, encode

Int64s = NDArray[np.int64]

DURATIONS = (1, 6, 30, 60, 61, 180)
"""Seconds that calls typically last, at which increments tell."""

_CHUNK = 500_000
_NOBODY = tuple(int(digit * 15) for digit in "987654321")


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """A sell row where its margin is the least, as a share of nothing: in money. Amounts are of `Sides.bottom`.

    `sell` and `buy` are rates (-1: not bought, for `reason`); `at` is the quantity, `negative_at` all with a loss.
    """

    sell: int
    buy: int
    number: str
    caller: str
    reason: int
    at: int
    revenue: int
    cost: int
    negative_at: tuple[int, ...]


def worst_margins(
    sides: Sides, products: tuple[str, str], at: int, quantities: Sequence[int] = DURATIONS
) -> list[Worst]:
    """For each row of the sell card that prices usage of a product its worst margin, at an instant (microseconds).

    `products` are what it is where it is sold and where it is bought. The cards are the last version of each side.
    """
    sell, buy = sides.sell.cards[-1], sides.buy.cards[-1]
    known = {products[0]: sides.products[products[0]], products[1]: sides.products[products[1]]}
    found: dict[int, Worst] = {}
    for numbers, usage in _probes(sell, buy, known, products, at):
        margins = {quantity: sides.margins(_lasting(usage, quantity), products[1]) for quantity in quantities}
        for worst in _least(margins, numbers):
            known_one = found.get(worst.sell)
            if known_one is None or _rank(worst) < _rank(known_one):
                lost = set(worst.negative_at) | set(known_one.negative_at if known_one else ())
                found[worst.sell] = _with_losses(worst, lost)
            elif not set(worst.negative_at) <= set(known_one.negative_at):
                found[worst.sell] = _with_losses(known_one, set(worst.negative_at) | set(known_one.negative_at))
    return sorted(found.values(), key=_rank)


Numbers = tuple[Sequence[str], Sequence[str]]
"""The called and the calling number of each probe, as text."""


def _rank(worst: Worst) -> tuple[bool, int, int]:
    return worst.buy < 0, worst.revenue - worst.cost, worst.sell


def _with_losses(worst: Worst, lost: set[int]) -> Worst:
    names = [name for name in Worst.__dataclass_fields__ if name != "negative_at"]
    return Worst(**{name: getattr(worst, name) for name in names}, negative_at=tuple(sorted(lost)))


def _least(margins: Mapping[int, Margins], numbers: tuple[Texts, Texts]) -> Iterator[Worst]:
    """The worst probe of each sell row; one that nothing buys only where nothing else is known of the row."""
    each = list(margins.values())
    left = np.stack([one.margin for one in each])
    least = left.min(axis=0)
    whole = np.logical_and.reduce([one.whole for one in each])
    sold = np.logical_and.reduce([one.is_sold for one in each])
    row = each[0].sell
    some = np.flatnonzero(sold)
    order = some[np.lexsort((least[some], ~whole[some], row[some]))]
    first = np.flatnonzero(np.concatenate([[True], row[order][1:] != row[order][:-1]])) if len(order) else order
    lost = [np.isin(row[order[first]], np.unique(one.sell[one.whole & (one.margin < 0)])) for one in each]
    chosen, quantities = order[first], tuple(margins)
    reasons = np.maximum.reduce([one.reason[chosen] for one in each]).tolist()
    for place, (i, which) in enumerate(zip(chosen.tolist(), left[:, chosen].argmin(axis=0).tolist(), strict=True)):
        at, one = quantities[which], each[which]
        yield Worst(
            sell=int(row[i]),
            buy=int(one.buy[i]) if whole[i] else -1,
            number=_text(numbers[0], i),
            caller=_text(numbers[1], i),
            reason=reasons[place],
            at=at,
            revenue=int(one.revenue[i]),
            cost=int(one.cost[i]) if whole[i] else 0,
            negative_at=tuple(quantity for quantity, flags in zip(margins, lost, strict=True) if flags[place]),
        )


def _text(texts: Texts, i: int) -> str:
    return texts.values[int(texts.codes[i])]


def _lasting(usage: UsageColumns, quantity: int) -> UsageColumns:
    whole = usage.take(slice(0, len(usage)))
    measured = np.full(len(usage), quantity, dtype=np.int64)
    names = [name for name in UsageColumns.__dataclass_fields__ if name != "measured"]
    return UsageColumns(**{name: getattr(whole, name) for name in names}, measured=measured)


def _probes(
    sell: Card, buy: Card, known: Mapping[str, Product], products: tuple[str, str], at: int
) -> Iterator[tuple[tuple[Texts, Texts], UsageColumns]]:
    both = Together.of(sell, buy, {**known, **_others(sell, buy, known)})
    mine = np.isin(both.text("product", np.arange(len(both.card))).to_pylist(), products)
    mine &= both.alive(at)
    dimensions = [name for name in both.other if name not in {"product", "element", "window", "country"}]
    country = both.other.get("country", np.zeros(len(mine), dtype=np.int64))
    p = both.patterns
    places = np.unique(np.stack([p.length[mine], p.prefix[mine], country[mine]]), axis=1)
    origins = _origins(p.origin_length[mine], p.origin[mine])
    tuples = _tuples(both, dimensions, mine)
    countries = _values(both, "country")
    a_place = len(origins) * len(tuples)
    step = max(1, _CHUNK // a_place)
    for start in range(0, places.shape[1], step):
        length, prefix, stated = places[:, start : start + step]
        many = len(length)
        which = np.repeat(np.arange(many), a_place)
        origin = np.tile(np.repeat(np.array(origins, dtype=np.int64), len(tuples)), many)
        combination = np.tile(np.arange(len(tuples)), many * len(origins))
        whole = length == EXACT
        texts = {"country": Texts(stated[which].astype(np.int32), countries)}
        addresses = [
            p.exact[value] if flag else "" for value, flag in zip(prefix.tolist(), whole.tolist(), strict=True)
        ]
        address = encode(addresses)
        texts["to_address"] = Texts(address.codes[which], address.values)
        for i, name in enumerate(dimensions):
            codes = np.array([each[i] for each in tuples], dtype=np.int32)
            texts[name] = Texts(codes[combination], _values(both, name))
        to = np.where(whole, 0, prefix)[which].astype(np.int64)
        usage = UsageColumns(
            products=(products[0],),
            product=np.zeros(len(which), dtype=np.int16),
            book=np.zeros(len(which), dtype=np.int32),
            occurred_at=np.full(len(which), at, dtype=np.int64),
            to=to,
            from_=origin,
            measured=np.ones(len(which), dtype=np.int64),
            texts=texts,
        )
        names = ["", *(f"+{number}" if number else "" for number in np.where(whole, 0, prefix).tolist())]
        callers = ("", *(f"+{number}" if number and number not in _NOBODY else "" for number in origins))
        numbers = (
            Texts((which + 1).astype(np.int32), tuple(names)),
            Texts(np.tile(np.repeat(np.arange(len(origins)) + 1, len(tuples)), many).astype(np.int32), callers),
        )
        yield numbers, usage


def _others(sell: Card, buy: Card, known: Mapping[str, Product]) -> dict[str, Product]:
    """Other products of either card, as if they were the first: their rows are left out later."""
    some = next(iter(known.values()))
    names = {name for card in (sell, buy) for name in card.rows["product"].unique().to_pylist()}
    return dict.fromkeys(names - known.keys(), some)


def _origins(length: NDArray[np.int8], origin: Int64s) -> list[int]:
    """The origins of either card, a caller that is in none of them, and nobody where that is told apart."""
    found = np.unique(origin[length > 0]).tolist()
    texts = tuple(map(str, found))
    nobody = next((one for one in _NOBODY if not str(one).startswith(texts)), 0) if texts else 0
    return [*found, nobody, *([0] if nobody and (length == UNKNOWN).any() else [])]


def _tuples(both: Together, dimensions: Sequence[str], mine: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """What the other dimensions may be: as rows of either card state them, and as two rows together do."""
    if not dimensions:
        return [()]
    sides = []
    for card in (0, 1):
        some = mine & (both.card == card)
        stacked = np.stack([both.other[name][some] for name in dimensions])
        sides.append([tuple(column) for column in np.unique(stacked, axis=1).T.tolist()])
    merged = {
        tuple(x or y for x, y in zip(a, b, strict=True))
        for a in sides[0]
        for b in sides[1]
        if all(not x or not y or x == y for x, y in zip(a, b, strict=True))
    }
    return sorted({*sides[0], *sides[1], *merged})


def _values(both: Together, name: str) -> tuple[str, ...]:
    """The values of a dimension by their codes in `other`."""
    if name not in both.rows.column_names:
        return ("",)
    return ("", *both.rows[name].combine_chunks().dictionary.to_pylist())
