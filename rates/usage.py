"""Usage events as columns: what the kernel rates. One event a row, n rows.

Numbers are E.164 digits as int64 (0: none, or not written with `+`); times are microseconds since the epoch, UTC;
quantities are base units of the product. Texts are dictionary-encoded, code 0 being the empty text.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]

MICROSECONDS_A_DAY = 86_400_000_000

Rows = Int64s | slice
"""Some rows of columns: their numbers, or a stretch `slice(start, stop)`, which costs nothing to take."""


Flags = NDArray[np.bool_]
Which = Flags | bool
"""Which of n rows: bool[n], or one answer for all."""


def pick(rows: Rows, which: Which | Int64s) -> Rows:
    """Those of the rows that are marked, or whose places are given (int64[m])."""
    if isinstance(which, bool):
        return rows if which else np.empty(0, dtype=np.int64)
    places = np.flatnonzero(which) if which.dtype == np.bool_ else which
    return places + rows.start if isinstance(rows, slice) else rows[places]


def stretch(rows: Rows, places: slice) -> Rows:
    """The rows at a stretch of places."""
    return slice(rows.start + places.start, rows.start + places.stop) if isinstance(rows, slice) else rows[places]


def inverse(which: Which) -> Which:
    """The other rows."""
    return not which if isinstance(which, bool) else ~which


def count(rows: Rows) -> int:
    """How many rows these are."""
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def numbers_of(rows: Rows) -> Int64s:
    """The rows by their numbers, int64[n]."""
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows


class Texts(NamedTuple):
    """A dictionary-encoded text column: `codes` is int32[n] into `values`, and `values[0]` is `""`."""

    codes: Int32s
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageColumns:
    """Events to rate.

    `product` is int16[n] into `products`; `book` is int32[n] into the books that the kernel is given, -1 where no
    contract covers the event; `to`, `from_` and `measured` are int64[n]; `occurred_at` is int64[n] microseconds.
    `texts` holds the dimensions that the source stated (`country`, `mcc`, `mnc`, `number_type`, `status`,
    `error_code`, declared ones; `to_address` and `from_address` for what is not E.164); one that is absent is empty
    throughout. Constant columns may be broadcast views.
    """

    products: tuple[str, ...]
    product: NDArray[np.int16]
    book: Int32s
    occurred_at: Int64s
    to: Int64s
    from_: Int64s
    measured: Int64s
    texts: Mapping[str, Texts] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.occurred_at)

    def take(self, rows: Int64s | slice) -> "UsageColumns":
        """The same columns for some of the rows."""
        return UsageColumns(
            products=self.products,
            product=self.product[rows],
            book=self.book[rows],
            occurred_at=self.occurred_at[rows],
            to=self.to[rows],
            from_=self.from_[rows],
            measured=self.measured[rows],
            texts={name: Texts(text.codes[rows], text.values) for name, text in self.texts.items()},
        )


def encode(texts: Iterable[str]) -> Texts:
    """A dictionary-encoded column of some texts; for small inputs (the edges encode large ones through Arrow)."""
    codes: dict[str, int] = {"": 0}
    column = np.fromiter((codes.setdefault(text, len(codes)) for text in texts), dtype=np.int32)
    return Texts(column, tuple(codes))


def recode(text: Texts, known: Sequence[str]) -> Int32s:
    """The column in another dictionary: codes into `known`, -1 for what is not in it."""
    place = {value: code for code, value in enumerate(known)}
    return np.array([place.get(value, -1) for value in text.values], dtype=np.int32)[text.codes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums of usage, a row for each (payer, account, price, country, day): `events` and billable `quantity`.

    All int64[n] but `price` (int32: price ids), `country` (int16: codes of `numbering.COUNTRIES`) and `day` (int32:
    days since the epoch). A commutative sum: rows may repeat a key and are then added. The same columns in
    chronological order (`occurred_at`, source, id), one row an event and `events` = 1, are the *crossings*: the
    ordered events of the days on which a counter crosses a bound. An event that was cut when it was rated has its
    further parts right behind it, with `events` = 0.
    """

    payer: Int64s
    account: Int64s
    price: NDArray[np.int32]
    country: NDArray[np.int16]
    day: NDArray[np.int32]
    events: Int64s
    quantity: Int64s

    def __len__(self) -> int:
        return len(self.quantity)

    def take(self, rows: NDArray[np.bool_] | Int64s | slice) -> "Totals":
        """Some of the rows, in the order given."""
        return Totals(**{name: getattr(self, name)[rows] for name in TOTALS})

    def plus(self, other: "Totals") -> "Totals":
        """These rows and then the others."""
        if not len(self):
            return other
        return Totals(**{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in TOTALS})


TOTALS = ("payer", "account", "price", "country", "day", "events", "quantity")


def no_totals() -> Totals:
    """Totals without a row."""
    kinds = {"price": np.int32, "country": np.int16, "day": np.int32}
    return Totals(**{name: np.empty(0, dtype=kinds.get(name, np.int64)) for name in TOTALS})
