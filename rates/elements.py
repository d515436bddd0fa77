"""Further elements of events as columns: what comes beside the first piece of their usage."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rates.usage import Flags, Int32s, Int64s

Int8s = NDArray[np.int8]


class Elements(NamedTuple):
    """m elements. `event` int64[m] is the row of the event, `rate` int64[m] and `price` int32[m] are global ids.

    `billed` is int64[m]. `events` int8[m] is 1 where the event is counted with the element. `limited` bool[m]: it is
    not due where the event costs its minimum or maximum.
    """

    event: Int64s
    rate: Int64s
    price: Int32s
    billed: Int64s
    events: Int8s
    limited: Flags

    @classmethod
    def of(cls, event: Int64s, rate: Int64s, price: Int32s, billed: Int64s, *, events: int, limited: bool) -> Self:
        """Elements that are alike in whether they count their event, and in whether limits are about them."""
        n = len(event)
        return cls(event, rate, price, billed, np.full(n, events, dtype=np.int8), np.full(n, limited, dtype=np.bool_))

    def take(self, some: Int64s) -> Self:
        """Some of them, in the order given."""
        return type(self)(
            self.event[some],
            self.rate[some],
            self.price[some],
            self.billed[some],
            self.events[some],
            self.limited[some],
        )

    @classmethod
    def joined(cls, parts: "Sequence[Elements]") -> Self:
        """One after the other."""
        kinds = (np.int64, np.int64, np.int32, np.int64, np.int8, np.bool_)
        nothing: tuple[NDArray[Any], ...] = tuple(np.empty(0, dtype=kind) for kind in kinds)
        return cls(*(joined_columns([nothing, *parts]) if parts else nothing))


def joined_columns(parts: Sequence[tuple[NDArray[Any], ...]]) -> list[NDArray[Any]]:
    """Each column of some parts, one part after the other."""
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
