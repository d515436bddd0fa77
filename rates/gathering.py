"""Sums that grow: totals of one batch after the other, kept as one row a key, however many batches there are.

What is held follows the keys, and not the events. Sums of batches are sorted already, so that putting them together
is a merge; it is done when there are as many new rows as old ones, which makes its cost follow the rows.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rates.numbering import COUNTRIES
from rates.packing import Field, joined
from rates.totals import summed, sums_of
from rates.usage import MICROSECONDS_A_DAY, Totals, no_totals

Int64s = NDArray[np.int64]

_BITS = 63
_AT_ONCE = 1 << 20


class _Run(NamedTuple):
    """Sums by packed key, ascending; int64[k] each."""

    key: Int64s
    events: Int64s
    quantity: Int64s


@dataclass(slots=True, kw_only=True)
class Gathered:
    """Totals of accounts whose payers are known: `ranked` are the accounts by payer, and `payers` theirs (int64[a]).

    `place` int64: where an account is among them, by its number. Where the keys need more than 64 bits (`fields` is
    empty), rows are kept as they are.
    """

    ranked: Int64s
    payers: Int64s
    place: Int64s
    fields: tuple[Field, ...]
    runs: list[_Run] = field(default_factory=list)
    rest: list[Totals] = field(default_factory=list)

    @classmethod
    def of(cls, opens: int, closes: int, payer: Int64s, account: Int64s, least_price: int, most_price: int) -> Self:
        """For days between two instants (microseconds), accounts (int64[a]) with their payers, and prices."""
        order = np.lexsort((account, payer))
        ranked, payers = account[order], payer[order]
        place = np.zeros(int(account.max(initial=0)) + 1, dtype=np.int64)
        place[ranked] = np.arange(len(ranked))
        fields = (
            Field.of("account", 0, max(len(ranked) - 1, 0)),
            Field.of("price", least_price, most_price),
            Field.of("day", opens // MICROSECONDS_A_DAY, closes // MICROSECONDS_A_DAY),
            Field.of("country", 0, len(COUNTRIES)),
        )
        fits = sum(each.bits for each in fields) <= _BITS
        return cls(ranked=ranked, payers=payers, place=place, fields=fields if fits else ())

    def add(self, totals: Totals) -> None:
        """Add the totals of a batch. Raises `QuantityOverflowError`."""
        if not self.fields:
            self.rest = [summed(joined([*self.rest, totals]))]
            return
        if not len(totals):
            return
        key = np.zeros(len(totals), dtype=np.int64)
        for each in self.fields:
            column = self.place[totals.account] if each.name == "account" else getattr(totals, each.name)
            key <<= each.bits
            key += column - each.base
        self.runs.append(_merged([_Run(key, totals.events, totals.quantity)]))
        if sum(len(run.key) for run in self.runs[1:]) >= max(len(self.runs[0].key), _AT_ONCE):
            self.runs = [_merged(self.runs)]

    def totals(self) -> Totals:
        """One row for each (payer, account, price, day, country), in that order."""
        if not self.fields:
            return joined(self.rest) if self.rest else no_totals()
        if not self.runs:
            return no_totals()
        self.runs = [_merged(self.runs)]
        rest, events, quantity = self.runs[0]
        columns: dict[str, Int64s] = {}
        for each in reversed(self.fields):
            columns[each.name] = (rest & ((1 << each.bits) - 1)) + each.base
            rest = rest >> each.bits
        account = columns["account"]
        return Totals(
            payer=self.payers[account],
            account=self.ranked[account],
            price=columns["price"].astype(np.int32),
            country=columns["country"].astype(np.int16),
            day=columns["day"].astype(np.int32),
            events=events,
            quantity=quantity,
        )


def _merged(runs: list[_Run]) -> _Run:
    """Runs as one, a row a key. Sorted runs are merged by this sort, and not sorted again."""
    key, events, quantity = (np.concatenate(column) for column in zip(*runs, strict=True))
    if len(runs) > 1 or (key[1:] <= key[:-1]).any():
        order = np.argsort(key, kind="stable")
        key, events, quantity = key[order], events[order], quantity[order]
    first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    if len(first) == len(key):
        return _Run(key, events, quantity)
    return _Run(key[first], sums_of(events, first, "events"), sums_of(quantity, first, "a quantity"))
