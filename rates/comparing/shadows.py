"""Rows that shadow others: what a row takes over from the one that would price its usage without it.

In one card a row shadows the closest wider one: a longer prefix within a shorter one, an origin within any. Over the
cards below it in a book it also hides every narrower row, for the first card in which a row matches decides; not so an
overlay, which yields to longer prefixes.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rates.cards import Card
from rates.comparing.changes import TERMS, each_distinct, judged
from rates.comparing.together import Together
from rates.products import Product

Int64s = NDArray[np.int64]

SIDE = ("row", "code", "origin", "where", "destination", "price", "increments")
"""What is said of a row, and as `over_` of the one that it shadows. `row` is its line in its source."""

COLUMNS = ("change", "percent", "product", "element", *SIDE, "over", *(f"over_{name}" for name in SIDE))
"""The columns of shadows; `over` is the version of the card whose row is shadowed."""


def shadows(card: Card, below: Card | None, products: Mapping[str, Product], at: int) -> pa.Table:
    """A row of text columns for each code of a card that shadows a row of itself (`below` None) or of one below it.

    Of rows that live at an instant (microseconds). `change` is what the shadow makes of the price.
    """
    both = Together.of(below or card, card, products)
    alive = both.alive(at)
    own, other = (np.flatnonzero(alive & (both.card == side)) for side in (1, 0))
    if below is None:
        over = _of_other_rows(both, own, both.closest(own, own))
        return _table(both, own[over >= 0], over[over >= 0], (card, card), products)
    wider = _same_or_closest(both, own, other)
    pairs = [np.stack([own, wider])[:, wider >= 0]]
    if not card.overlay:
        hiding = both.closest(other, own)
        pairs.append(np.stack([hiding, other])[:, hiding >= 0])
    shadow, over = np.concatenate(pairs, axis=1)
    return _table(both, shadow, over, (below, card), products)


def _of_other_rows(both: Together, own: Int64s, closest: Int64s) -> Int64s:
    """The closest pattern of another row: one within the same row shadows nothing, and what that shadows is meant."""
    further = np.full(len(both.card) + 1, -1, dtype=np.int64)
    further[own] = closest
    over, row = closest, both.patterns.row
    while (same := (over >= 0) & (row[over] == row[own])).any():
        over = np.where(same, further[over], over)
    return over


def _same_or_closest(both: Together, asking: Int64s, asked: Int64s) -> Int64s:
    place = pc.index_in(pa.array(both.key[asking]), value_set=pa.array(both.key[asked]))
    same = pc.fill_null(place, -1).to_numpy(zero_copy_only=False)
    found = np.where(same >= 0, asked[same] if len(asked) else -1, -1)
    rest = np.flatnonzero(found < 0)
    found[rest] = both.closest(asking[rest], asked)
    return found


def _table(
    both: Together, shadow: Int64s, over: Int64s, cards: tuple[Card, Card], products: Mapping[str, Product]
) -> pa.Table:
    product = both.text("product", shadow)
    terms = [both.text(name, side) for side in (over, shadow) for name in TERMS]

    def judge(product: str, *texts: str) -> tuple[str, ...]:
        return judged(products[product], texts[: len(TERMS)], texts[len(TERMS) :])

    change, over_price, price, share = each_distinct([product, *terms], 4, judge)
    element = both.text("element", shadow)
    columns = {
        "change": change,
        "percent": share,
        "product": product,
        "element": pc.if_else(pc.equal(element, ""), "usage", element),
        **_side(both, shadow, price, cards),
        "over": pa.repeat(pa.scalar(cards[0].version), len(shadow)),
        **{f"over_{name}": cells for name, cells in _side(both, over, over_price, cards).items()},
    }
    table = pa.table({name: columns[name] for name in COLUMNS})
    order = [(name, "ascending") for name in ("code", "origin", "where", "over_code", "over_origin")]
    return table.take(pc.sort_indices(table, sort_keys=order))


def _side(both: Together, pattern: Int64s, price: pa.Array, cards: tuple[Card, Card]) -> dict[str, pa.Array]:
    lines = np.concatenate([card.rows["row"].to_numpy() for card in cards])
    return {
        "row": pa.array(lines[both.patterns.row[pattern]]).cast(pa.string()),
        "code": both.codes(pattern),
        "origin": both.origins(pattern),
        "where": both.dimensions(pattern),
        "destination": both.text("destination", pattern),
        "price": price,
        "increments": both.text("increments", pattern),
    }
