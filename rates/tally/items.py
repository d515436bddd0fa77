"""Items: what is priced, row by row, of which all that is said of its kinds is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rates.errors import TollbookError
from rates.lines import Cut, Parts
from rates.runs import blocks
from rates.summing import NOWHERE
from rates.tally.counters import Bools, Int64s
from rates.tally.daily import Days
from rates.tally.kinds import Kinds
from rates.tally.orders import by_payer_and_day, days_among
from rates.tiers import Scope
from rates.usage import TOTALS, Totals


class CrossingsIncompleteError(TollbookError):
    """Events of a crossing day are missing, or do not add up to the day's totals."""


@dataclass(slots=True, kw_only=True)
class Items:
    """What is priced, in chronological order within each payer, and its kinds.

    `kind` is int32[n] into `kinds`. `billed` int64[n] is the payer under the terms of the day (`deals.under`).
    `replaced` (bool[n]) is usage in place of which its events are priced, which are items apart.
    Where nothing needs the order of days, they are in none, but `cell` (int64[n]) of the table `days`.
    """

    rows: Totals
    kinds: Kinds
    kind: NDArray[np.int32]
    billed: Int64s
    ordered: Bools
    replaced: Bools
    days: Days | None = None
    cell: Int64s | None = None

    @property
    def book(self) -> Int64s:
        """The book of each item's day, int64[n] into those of `kinds`."""
        return np.searchsorted(self.kinds.begins, self.rows.day, side="right").astype(np.int64, copy=False)

    def version_of(self, parts: Parts, kind: NDArray[np.int32]) -> Int64s:
        """The numbers of the card versions of some kinds, int64[m]."""
        cards, of_kind = self.kinds.cards
        numbers = np.array([parts.version(card) for card in cards], dtype=np.int64)
        return np.broadcast_to(numbers[0], len(kind)) if len(numbers) == 1 else numbers[of_kind[kind]]

    def where(self, wanted: Bools) -> Bools:
        """Items whose kind is wanted (bool[k])."""
        if wanted.all() or not wanted.any():
            return np.full(len(self.kind), bool(wanted.any()))
        return wanted[self.kind]

    def scope(self, scope: Scope) -> Int64s:
        """The payer or the account of each item."""
        return self.rows.payer if scope is Scope.BILLING_ACCOUNT else self.rows.account

    def emit(self, parts: Parts, lines: NDArray[np.integer], events: Int64s, quantity: Int64s) -> None:
        """Put events and quantities (int64[n]) on lines; `lines` has the number of each kind's line key."""
        if len(self.kind):
            line = lines[self.kind]
            line[self.replaced] = NOWHERE
            parts.add(self.billed, line, self.version_of(parts, self.kind), events, quantity)

    def emit_cuts(self, parts: Parts, lines: NDArray[np.integer], beyond: Sequence[tuple[int, Fraction]]) -> None:
        """Put what bounds of money cut of items, as (item, units), on lines by the number of each kind's key."""
        for item, units in beyond:
            kind = int(self.kind[item])
            line, version = int(lines[kind]), parts.version(self.kinds.prices[kind].card)
            key = parts.key(line)
            amount = units * key.unit_price * Fraction(1, key.unit_size)
            parts.cut(Cut(int(self.billed[item]), line, item, amount), version)

    def emit_rows(
        self,
        parts: Parts,
        lines: NDArray[np.integer],
        rows: Int64s | None,
        which: NDArray[np.integer],
        events: Int64s,
        quantity: Int64s,
    ) -> None:
        """Put events and quantities of some rows (int64[m], None: of all) on lines: of each row those of its `which`.

        `lines` ([w, k]) has for each of these the number of each kind's line key.
        """
        if len(which):
            kind, billed = (self.kind, self.billed) if rows is None else (self.kind[rows], self.billed[rows])
            numbers, line = lines.ravel(), np.empty(len(which), dtype=lines.dtype)
            for some in blocks(len(which)):
                place = which[some].astype(np.int64) * len(self.kinds) + kind[some]
                # Every place is below the length: unlike "raise", this needs no second column.
                np.take(numbers, place, out=line[some], mode="clip")
            line[self.replaced if rows is None else self.replaced[rows]] = NOWHERE
            parts.add(billed, line, self.version_of(parts, kind), events, quantity, rows)

    def emit_rounded(self, parts: Parts, lines: NDArray[np.integer], quantity: Int64s) -> None:
        """Say of which of these quantities (int64[n]) no price is multiplied, and what is charged for them instead."""
        for value, kinds in self.kinds.charge_values:
            some = np.flatnonzero(self.where(kinds) & ~self.replaced)
            entries = parts.charges.setdefault(value, [])
            entries.append((self.billed[some], lines[self.kind[some]], self.rows.quantity[some]))
        if not self.kinds.is_rounded.any():
            return
        some = np.flatnonzero(self.where(self.kinds.is_rounded) & (quantity != 0) & ~self.replaced)
        if len(some):
            parts.rounded.append((self.billed[some], lines[self.kind[some]], quantity[some]))

    @property
    def is_further(self) -> Bools:
        """Items that are further parts of an event that was cut: the part that counts it stands before them."""
        further: Bools = self.ordered & ~self.replaced & (self.rows.events == 0)
        return further

    @property
    def head(self) -> Int64s:
        """Of each item itself, or of a further part of an event the first part, int64[n]."""
        return np.maximum.accumulate(np.where(self.is_further, 0, np.arange(len(self.rows), dtype=np.int64)))


def items_of(totals: Totals, crossings: Totals, kinds: Kinds) -> Items:
    """The totals with the usage of ordered days replaced by its events, in order."""
    kept = np.arange(len(totals))
    if len(crossings):
        among = days_among(totals.payer, totals.day, crossings.payer, crossings.day)
        kept = np.flatnonzero(~_replaced(totals, among, crossings, kinds))
    rows = _with(totals, kept, crossings) if len(crossings) else totals
    ordered = np.arange(len(rows)) >= len(kept)
    order = by_payer_and_day(rows.payer, rows.day)
    rows, ordered = rows.take(order), ordered[order]
    kind, billed = kinds.of_rows(rows)
    return Items(
        rows=rows, kinds=kinds, kind=kind, billed=billed, ordered=ordered, replaced=np.zeros(len(rows), dtype=np.bool_)
    )


def items_by_day(totals: Totals, crossings: Totals, kinds: Kinds) -> list[Items]:
    """The totals as they come and, where there are any, the events of ordered days beside them.

    Only the events of a day of a payer are in their order, and nothing else.
    """
    strands = [totals, crossings] if len(crossings) else [totals]
    days = Days.of([rows.payer for rows in strands], [rows.day for rows in strands])
    cells = [days.cell(rows.payer, rows.day) for rows in strands]
    replaced = np.zeros(len(totals), dtype=np.bool_)
    if len(crossings):
        of_events = np.zeros(len(days), dtype=np.bool_)
        of_events[cells[1]] = True
        replaced = _replaced(totals, of_events.take(cells[0], mode="clip"), crossings, kinds)
    every = np.ones(len(crossings), dtype=np.bool_)
    marks = [(replaced, replaced), (every, ~every)]
    found = []
    for rows, cell, (ordered, away) in zip(strands, cells, marks[: len(strands)], strict=True):
        kind, billed = kinds.of_rows(rows)
        found.append(
            Items(
                rows=rows,
                kinds=kinds,
                kind=kind,
                billed=billed,
                ordered=ordered,
                replaced=away,
                days=days,
                cell=cell,
            )
        )
    return found


def _replaced(totals: Totals, among: Bools, crossings: Totals, kinds: Kinds) -> Bools:
    """The usage of which `crossings` are the events, bool[n]; `among` (bool[n]) is what is of their days."""
    if not kinds.is_usage.all():
        among = among & kinds.is_usage[kinds.of_rows(totals)[0]]
    rows = np.flatnonzero(among)
    if (totals.quantity[rows].sum(), totals.events[rows].sum()) != (crossings.quantity.sum(), crossings.events.sum()):
        raise CrossingsIncompleteError("ordered events do not add up to the totals of their days", place="crossings")
    return among


def _with(totals: Totals, kept: Int64s, more: Totals) -> Totals:
    """Some of the rows and then others, each copied once."""

    def column(name: str) -> NDArray[Any]:
        before = getattr(totals, name)
        found = np.empty(len(kept) + len(more), dtype=before.dtype)
        np.take(before, kept, out=found[: len(kept)], mode="clip")
        found[len(kept) :] = getattr(more, name)
        return found

    return Totals(**{name: column(name) for name in TOTALS})
