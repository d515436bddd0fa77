"""What typical usage costs on a new card and on the old one: increments, fees and minimums count as prices do.

Each pair of terms that stand for each other gets a number of its own, on two cards that hold nothing else: so the
kernel says what both charge, by the way that margins are found, and no other row comes between them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pyarrow as pa

from rates.cardchanges import RATES_CSV, Rows, jumps, paired_terms
from rates.cards import Card
from rates.comparing.margins import Sides
from rates.compiled.patterns import microseconds
from rates.errors import Fault
from rates.money import format_fraction
from rates.products import Product
from rates.rating import CODES, Reason
from rates.usage import UsageColumns

DURATIONS = (6, 30, 60, 180)
"""Seconds that calls typically last. Of what is not time, one is used."""

_BESIDE = ("steps", "tiers", "increments", "setup_fee", "min_charge", "max_charge", "grace", "max_quantity")
_TERMS = ("product", "unit", "prices", *_BESIDE)
_FIRST_NUMBER = 10**9
_CHARGED = (0, CODES[Reason.ZERO_QUANTITY])
"""That there is a price, or that usage is free, as within the grace: all other usage would wait for what is missing."""


Terms = tuple[str, ...]
Kind = tuple[Terms, Terms]
"""What the old card and the new one say of the same usage, by `_TERMS`."""


def every_jump(
    old: Card, new: Card, bound: Fraction, products: Mapping[str, Product], *, written: Rows = RATES_CSV
) -> list[Fault]:
    """A fault for each code whose price jumps, or whose typical usage costs beyond the bound more or less than before.

    Usage that one of the cards does not take is not compared.
    """
    pairs = paired_terms(old, new, _TERMS)
    found = [""] * len(pairs.kinds)
    alike = old.rounding == new.rounding
    for name, product in products.items():
        some = [
            i
            for i, (was, now) in enumerate(pairs.kinds)
            if was[0] == name == now[0] and _comparable(was, now) and not (alike and _same(old, new, was, now))
        ]
        if some:
            said = _jumps_of([pairs.kinds[i] for i in some], (old, new), product, products, bound)
            for i, text in zip(some, said, strict=True):
                found[i] = text
    faults = jumps(old, new, bound, written=written)
    told = {(fault.place, fault.value) for fault in faults}
    more = pairs.faults(found, new, written, "mend what is beside the price, or accept it")
    return [*faults, *(fault for fault in more if (fault.place, fault.value) not in told)]


def _comparable(was: Terms, now: Terms) -> bool:
    """Whether both have a price, per the same unit: another unit is a jump by itself."""
    return all(any(_cell(side, name) for name in ("prices", "steps")) for side in (was, now)) and was[1] == now[1]


def _same(old: Card, new: Card, was: Terms, now: Terms) -> bool:
    """Whether nothing beside the prices differs: then usage costs no more times as much than they are."""
    tiers = old.schedules.get(_cell(was, "tiers")) == new.schedules.get(_cell(now, "tiers"))
    return tiers and all(_cell(was, name) == _cell(now, name) for name in _BESIDE)


def _cell(side: Terms, name: str) -> str:
    return side[_TERMS.index(name)]


def _jumps_of(
    kinds: Sequence[Kind], cards: tuple[Card, Card], product: Product, products: Mapping[str, Product], bound: Fraction
) -> list[str]:
    """What there is to say of each pair of terms of a product, "" for nothing."""
    old, new = (_card_of(card, [kind[side] for kind in kinds], cards[1]) for side, card in enumerate(cards))
    at, said = microseconds(new.effective_from), [""] * len(kinds)
    high, low = bound.numerator, bound.denominator
    tiered = any(_cell(side, "tiers") for kind in kinds for side in kind)
    for dearest in (True, False) if tiered else (True,):
        sides = Sides.of([new], [old], products, dearest=(dearest, dearest))
        for quantity in DURATIONS if product.timed else (1,):
            margins = sides.margins(_usage(product.id, len(kinds), at, quantity), product.id)
            taken = np.isin(margins.reason, _CHARGED)
            # As Python's own numbers: times the bound they may be larger than 64 bits hold.
            amounts = zip(taken.tolist(), margins.cost.tolist(), margins.revenue.tolist(), strict=True)
            for i, (compared, was, now) in enumerate(amounts):
                if compared and not said[i] and (now * low > high * was or was * low > high * now):
                    costs = (format_fraction(sides.exact(int(amount))) for amount in (now, was))
                    said[i] = _said(kinds[i], f"{quantity} {product.base}{'' if quantity == 1 else 's'}", *costs)
    return said


def _said(kind: Kind, used: str, now: str, was: str) -> str:
    told = [
        f"{name} {_cell(kind[1], name) or 'none'}, was {_cell(kind[0], name) or 'none'}"
        for name in _BESIDE
        if _cell(kind[0], name) != _cell(kind[1], name)
    ]
    return ": ".join([f"usage of {used} costs {now}, cost {was} before", *filter(None, ["; ".join(told)])])


def _card_of(card: Card, terms: Sequence[Terms], new: Card) -> Card:
    """A card of a row for each of some terms, each with a number of its own, from the new card's first moment on."""
    columns = {name: _encoded([side[i] for side in terms]) for i, name in enumerate(_TERMS)}
    columns["prefixes"] = _encoded([str(_FIRST_NUMBER + i) for i in range(len(terms))])
    columns["row"] = pa.array(np.arange(len(terms), dtype=np.int32))
    rows = pa.table(columns)
    begins = new.effective_from
    return replace(card, effective_from=begins, effective_to=None, overlay=False, pools={}, windows={}, rows=rows)


def _encoded(texts: Sequence[str]) -> pa.Array:
    return pa.array(texts, pa.string()).dictionary_encode()


def _usage(product: str, count: int, at: int, quantity: int) -> UsageColumns:
    return UsageColumns(
        products=(product,),
        product=np.zeros(count, dtype=np.int16),
        book=np.zeros(count, dtype=np.int32),
        occurred_at=np.full(count, at, dtype=np.int64),
        to=np.arange(_FIRST_NUMBER, _FIRST_NUMBER + count, dtype=np.int64),
        from_=np.zeros(count, dtype=np.int64),
        measured=np.full(count, quantity, dtype=np.int64),
    )
