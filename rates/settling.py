"""Settling: what of an event's charge is not linear becomes elements, when it is rated, from its row's list price.

Steps and the edges of windows cut its usage into pieces, each at its own price; a card may round what usage and setup
come to, event by event; limits put one element in place of usage, setup and surcharge. Amounts are integers over one
denominator: in 64 bits where they fit, which is checked before multiplying, else Python's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import lcm
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rates.compiled.calendars import Calendar
from rates.compiled.cards import RowTerms
from rates.compiled.chargings import MODES, Chargings, Ratio
from rates.compiled.sources import Source
from rates.elements import joined_columns
from rates.money import RoundingMode
from rates.prefixes import NONE
from rates.quantities import INT64_MAX
from rates.usage import Flags, UsageColumns

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Int16s = NDArray[np.int16]
Numbers = NDArray[Any]
"""Integers: int64, or Python's (dtype object) where 64 bits do not hold them."""

_MICROS = 1_000_000


class Pieces(NamedTuple):
    """Pieces of the usage of some events, in order: p of them.

    `place` int64[p], ascending, is the event's among them, `row` int32[p] prices the piece by its step `step` int64[p],
    `quantity` int64[p] (> 0) is in base units.
    """

    place: Int64s
    row: Int32s
    step: Int64s
    quantity: Int64s

    @property
    def is_first(self) -> Flags:
        """Which are the first of their event, bool[p]."""
        return np.diff(self.place, prepend=NONE) > 0

    def where(self, some: Flags) -> Self:
        """Some of them."""
        return self._replace(**{name: getattr(self, name)[some] for name in self._fields})

    def price(self, terms: RowTerms) -> Int32s:
        """Their prices: those of a row's steps stand together."""
        return (terms.price[self.row] + self.step).astype(np.int32)


def stepped(row: Int32s, kind: Int32s, billed: Int64s, chargings: Chargings) -> Pieces:
    """The usage of n events (`billed` > 0) on rows of these kinds, cut at the bounds of their steps."""
    many = chargings.steps[kind]
    place = np.repeat(np.arange(len(kind), dtype=np.int64), many)
    step = np.arange(len(place), dtype=np.int64) - np.repeat(np.cumsum(many) - many, many)
    at = chargings.first_step[kind][place] + step
    ends = np.append(chargings.bound[1:], 0)[at]
    ends[step == many[place] - 1] = INT64_MAX
    begins = chargings.bound[at]
    quantity = np.clip(billed[place], begins, ends) - begins
    return Pieces(place, row[place], step, quantity).where(quantity > 0)


class Stretches(NamedTuple):
    """Stretches of time in which the open windows stay the same: `place` int64[s], class int16[s], units int64[s]."""

    place: Int64s
    window: Int16s
    quantity: Int64s


def stretches(calendar: Calendar, start: Int64s, measured: Int64s, billed: Int64s) -> Stretches:
    """The stretches of n events that begin at `start` (microseconds), last `measured` seconds and are `billed` for.

    Each second belongs to the window in which it begins. What was not measured but is billed is in the last stretch.
    """
    end = start + measured * _MICROS
    changes = calendar.changes(int(start.min()), int(end.max()))
    first = np.searchsorted(changes, start, side="right")
    many = np.searchsorted(changes, end, side="left") - first + 1
    place = np.repeat(np.arange(len(start), dtype=np.int64), many)
    nth = np.arange(len(place), dtype=np.int64) - np.repeat(np.cumsum(many) - many, many)
    change = np.append(changes, 0)[np.maximum(first[place] + nth - 1, 0)]
    at = np.where(nth == 0, start[place], change)
    begins = np.minimum(-((start[place] - at) // _MICROS), measured[place])
    is_last = nth == many[place] - 1
    ends = np.where(is_last, measured[place], np.append(begins[1:], 0))
    kept = ends > begins
    place, at, quantity = place[kept], at[kept], (ends - begins)[kept]
    last = np.diff(place, append=-1) != 0
    quantity[last] += (billed - measured)[place[last]]
    return Stretches(place, calendar.at(at), quantity)


class Asked(NamedTuple):
    """n events that one table decides by the hits `row` int32[n] and that bill `billed` int64[n] (> 0) units.

    `event` int64[n] are their rows in `usage`; `country` int16[n] what is known of theirs before they are looked up,
    None for nothing.
    """

    source: Source
    usage: UsageColumns
    event: Int64s
    row: Int32s
    billed: Int64s
    country: Int16s | None

    @property
    def kind(self) -> Int32s:
        """How their rows charge, int32[n]."""
        return self.source.terms.charging[self.row]


class Settled(NamedTuple):
    """The pieces of the usage of events, and the events (places) that have none, since a piece cannot be rated."""

    pieces: Pieces
    blocked: Int64s
    unmatched: Int64s


def settle(asked: Asked) -> Settled:
    """The pieces in which events are priced."""
    terms, kind = asked.source.terms, asked.kind
    pieces, nothing = stepped(asked.row, kind, asked.billed, terms.chargings), np.empty(0, dtype=np.int64)
    splits = np.flatnonzero(terms.chargings.splits[kind])
    if not len(splits):
        return Settled(pieces, nothing, nothing)
    blocked, unmatched = [nothing], [nothing]
    card = asked.source.card_of(asked.row[splits])
    for number in np.unique(card).tolist():
        found, some = asked.source.cards[number], splits[card == number]
        if found.calendar is None:
            continue
        usage, event = asked.usage, asked.event[some]
        cut = stretches(found.calendar, usage.occurred_at[event], usage.measured[event], asked.billed[some])
        several = np.bincount(cut.place, minlength=len(some))[cut.place] > 1
        if not several.any():
            continue
        place = some[cut.place[several]]
        row, quantity = _rows_of(asked, place, cut.window[several], number), cut.quantity[several]
        if len(terms.uncut):
            # A window that splits is open or shut, but those of this usage are others.
            own = ~np.isin(place, place[(row >= 0) & terms.uncut[row]])
            place, row, quantity = place[own], row[own], quantity[own]
        unmatched.append(place[row < 0])
        blocked.append(place[(row >= 0) & terms.ways.blocked[terms.way[row]]])
        pieces = _replaced(pieces, _runs(place, row, quantity))
    refused = np.concatenate([*blocked, *unmatched])
    pieces = pieces.where(~np.isin(pieces.place, refused)) if len(refused) else pieces
    return Settled(pieces, np.unique(np.concatenate(blocked)), np.unique(np.concatenate(unmatched)))


def _rows_of(asked: Asked, place: Int64s, window: Int16s, card: int) -> Int32s:
    """The row of each stretch: that of its event, but for the window. -1 for none."""
    country = None if asked.country is None else asked.country[place]
    return asked.source.rows_in(card, asked.usage, asked.event[place], country, window)


def _runs(place: Int64s, row: Int32s, quantity: Int64s) -> Pieces:
    """Stretches that follow each other on one row of one event, together."""
    begins = np.flatnonzero((np.diff(place, prepend=NONE) != 0) | (np.diff(row, prepend=NONE - 1) != 0))
    if not len(begins):
        return Pieces(place, row, place, quantity)
    step = np.zeros(len(begins), dtype=np.int64)
    return Pieces(place[begins], row[begins], step, np.add.reduceat(quantity, begins))


def _replaced(pieces: Pieces, runs: Pieces) -> Pieces:
    """The pieces with those of events that lie on several rows in place of theirs."""
    lies = np.bincount(runs.place, minlength=1)
    cut = np.flatnonzero(lies > 1)
    kept, new = pieces.where(~np.isin(pieces.place, cut)), runs.where(lies[runs.place] > 1)
    joined = joined_columns([kept, new])
    order = np.argsort(joined[0], kind="stable")
    return Pieces(*(column[order] for column in joined))


@dataclass(slots=True)
class Ledger:
    """Amounts of money by event, as quantities of exact ratios, until they are summed."""

    codes: dict[Ratio, int] = field(default_factory=dict)
    entries: list[tuple[Int64s, Int64s, Int64s]] = field(default_factory=list)

    def coded(self, amounts: Sequence[Ratio], code: Int32s) -> Int64s:
        """Codes into some amounts, all of them >= 0, as codes of this ledger."""
        known, place = np.unique(code, return_inverse=True)
        own = [self.codes.setdefault(amounts[each], len(self.codes)) for each in known.tolist()]
        return np.array(own, dtype=np.int64)[place]

    def add(self, event: Int64s, amounts: Sequence[Ratio], code: Int32s, quantity: Int64s) -> None:
        """`quantity` times an amount for each of some events; where the code is -1, nothing."""
        some = np.flatnonzero(code >= 0)
        if len(some):
            self.entries.append((event[some], self.coded(amounts, code[some]), quantity[some]))

    def sums(self, n: int) -> tuple[Numbers, Numbers, int]:
        """The sum of each of the events 0 to n - 1, each amount of the ledger, and the denominator of both."""
        nothing = (np.empty(0, dtype=np.int64),) * 3
        event, code, quantity = joined_columns([nothing, *self.entries])
        bottom = lcm(*(below for _, below in self.codes))
        tops = [above * (bottom // below) for above, below in self.codes]
        most = max(int(np.bincount(event, minlength=1).max()), 1) * int(quantity.max(initial=1)) * max(tops, default=0)
        kind = np.dtype(np.int64 if max(most, bottom) <= INT64_MAX else object)
        amount = np.array(tops, dtype=kind)
        total = np.zeros(n, dtype=kind)
        np.add.at(total, event, amount[code] * quantity.astype(kind))
        return total, amount, bottom


def note_usage(ledger: Ledger, pieces: Pieces, terms: RowTerms) -> None:
    """Enter what the pieces cost, and the setup fee of the row of each event's first piece, by their places."""
    chargings, kind = terms.chargings, terms.charging[pieces.row]
    code = chargings.charge[chargings.first_step[kind] + pieces.step]
    ledger.add(pieces.place, chargings.amounts, code, np.where(chargings.per_event[kind], 1, pieces.quantity))
    first = pieces.is_first
    ones = np.ones(int(first.sum()), dtype=np.int64)
    ledger.add(pieces.place[first], chargings.amounts, chargings.setup[kind[first]], ones)


class Charges(NamedTuple):
    """What events (places, int64[m]) that are rounded by themselves come to: int64[m] units of 10^-decimals.

    `beyond` are the places of those that come to more than 64 bits hold.
    """

    place: Int64s
    charge: Int64s
    beyond: Int64s


def rounded_charges(asked: Asked, pieces: Pieces) -> Charges:
    """The charges of the events that are rounded by themselves."""
    terms, kind = asked.source.terms, asked.kind
    decimals, mode = terms.chargings.decimals[kind], terms.chargings.mode[kind]
    charges = np.zeros(len(kind), dtype=np.int64)
    some = decimals >= 0
    if some.any():
        ledger = Ledger()
        note_usage(ledger, pieces.where(some[pieces.place]), terms)
        total, _, bottom = ledger.sums(len(kind))
        for places, code in sorted(
            set(zip(terms.chargings.decimals.tolist(), terms.chargings.mode.tolist(), strict=True))
        ):
            if places < 0:
                continue
            alike = np.flatnonzero((decimals == places) & (mode == code))
            charges[alike] = rounded_column(total[alike], bottom, places, MODES[code])
    place = np.flatnonzero(some & (charges > 0))
    return Charges(place, charges[place], np.flatnonzero(charges == NONE))


def rounded_column(top: Numbers, bottom: int, decimals: int, mode: RoundingMode) -> Int64s:
    """`rates.money.rounded` of top over bottom in units of 10^-decimals: integers [n] -> int64[n].

    -1 where 64 bits do not hold it: one such event must not keep the others of its batch from being rated.
    """
    scale = 10**decimals
    if 2 * max(int(top.max(initial=0)) * scale, bottom) > INT64_MAX:
        top = top.astype(object)
    whole, rest = top * scale // bottom, top * scale % bottom
    up: Numbers = np.zeros(len(top), dtype=np.bool_)
    if mode is RoundingMode.UP:
        up = rest > 0
    elif mode is RoundingMode.HALF_UP:
        up = 2 * rest >= bottom
    elif mode is RoundingMode.HALF_EVEN:
        up = (2 * rest > bottom) | ((2 * rest == bottom) & (whole % 2 == 1))
    whole = whole + up.astype(np.int64)
    charges: Int64s = np.where(whole > INT64_MAX, NONE, whole).astype(np.int64)
    return charges


class Clamped(NamedTuple):
    """Events (int64[m]) that cost their minimum or maximum: by which rate (int64[m]), at which price (int32[m]), and
    how many units of usage they had (int64[m]).
    """

    event: Int64s
    rate: Int64s
    price: Int32s
    billed: Int64s


@dataclass(slots=True)
class Limits:
    """The events of a product whose rows have limits, and what they would be charged without them.

    Limits are about usage, setup and surcharge, which come one after the other: so all is noted, and settled at last.
    """

    ledger: Ledger = field(default_factory=Ledger)
    _noted: list[tuple[Int64s, ...]] = field(default_factory=list)

    @property
    def event(self) -> Int64s:
        """The events noted so far."""
        return np.concatenate([np.empty(0, dtype=np.int64), *(each[0] for each in self._noted)])

    def note(self, asked: Asked, pieces: Pieces) -> None:
        """Note events, those that have a limit, with their usage and setup fee."""
        terms, kind = asked.source.terms, asked.kind
        chargings = terms.chargings
        limited = (chargings.minimum[kind] >= 0) | (chargings.maximum[kind] >= 0)
        if not limited.any():
            return
        before = sum(len(each[0]) for each in self._noted)
        place = np.cumsum(limited) - 1 + before
        own = pieces.where(limited[pieces.place])
        note_usage(self.ledger, own._replace(place=place[own.place]), terms)
        row, kind = asked.row[limited], kind[limited]
        codes = []
        for limit in (chargings.minimum[kind], chargings.maximum[kind]):
            code = np.full(len(kind), NONE, dtype=np.int64)
            code[limit >= 0] = self.ledger.coded(chargings.amounts, limit[limit >= 0])
            codes.append(code)
        prices = (terms.price[row] + each[kind] for each in (chargings.to_minimum, chargings.to_maximum))
        self._noted.append((asked.event[limited], terms.rate[row], asked.billed[limited], *codes, *prices))

    def beside(self, event: Int64s, row: Int32s, quantity: Int64s, terms: RowTerms) -> None:
        """Note what comes with events by rows of their own: setup or surcharge. Others than those noted are ignored."""
        noted = self.event
        order = np.argsort(noted, kind="stable")
        place = np.searchsorted(noted, event, sorter=order)
        some = np.flatnonzero(np.append(noted[order], NONE)[place] == event)
        if not len(some):
            return
        kind = terms.charging[row[some]]
        code = terms.chargings.charge[terms.chargings.first_step[kind]]
        self.ledger.add(order[place[some]], terms.chargings.amounts, code, quantity[some])

    def settle(self) -> Clamped:
        """The events that are charged less than their minimum or more than their maximum; equal is neither."""
        if not self._noted:
            nothing = np.empty(0, dtype=np.int64)
            return Clamped(nothing, nothing, nothing.astype(np.int32), nothing)
        event, rate, billed, minimum, maximum, to_minimum, to_maximum = joined_columns(self._noted)
        total, amount, _ = self.ledger.sums(len(event))
        low = (minimum >= 0) & (total < amount[minimum])
        high = (maximum >= 0) & (total > amount[maximum])
        some = np.flatnonzero((low | high).astype(np.bool_))
        price = np.where(low, to_minimum, to_maximum)[some].astype(np.int32)
        return Clamped(event[some], rate[some], price, billed[some])
