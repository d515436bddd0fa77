"""Usage payloads as columns: many payloads in, the good ones as columns of plain values, the bad ones with the fault.

Payloads are decoded one by one, but understood by column: what the payloads of a chunk have in common is checked once
for the column, and only a payload in which something is out of the ordinary is read again, key by key, by
`billing.payloads`. So an ordinary payload costs a few microseconds, and no payload passes unread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Self

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from billing.columns import Columns, Stated, given_twice, stated_by, texts_of, together, understand
from billing.glance import read_each, read_plain
from billing.payloads import TEXTS, Fault, Flat, attributes_of, read_payload
from billing.periods import months_before
from billing.revisions import FINGERPRINT_BYTES, Void
from billing.written import Column, constant, written
from rates.products import Product
from rates.usage import MICROSECONDS_A_DAY, Int32s, Int64s, Texts, UsageColumns, encode

Bools = NDArray[np.bool_]

CLOCK_SKEW = timedelta(hours=24)
"""How far ahead of the receiver a source's clock may be."""

ACCEPTED_MONTHS = 13
Origin = str | None | tuple[str | None, ...]
"""The source that payloads come from, or of each the source that it comes from; None: the payload names it."""

DIMENSIONS = (*TEXTS, "package", "to_address", "from_address")

_AT_ONCE = 1_000
"""So many payloads are on their way at once, which the processor's cache holds."""

_SEPARATOR = "\x1f"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A payload that is no usage event: its position among the payloads, a JSON pointer to the fault, the reason."""

    row: int
    pointer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Well-formed usage events as columns, n rows in the order of the payloads.

    `row` is the position among the payloads (int64[n]). `to`, `from_` and `rated_to` are E.164 digits (int64, 0 where
    there are none), `occurred_at` microseconds, `measured` base units. `texts` holds every stated dimension and the
    addresses that are not E.164, `attributes` the declared dimensions once more, as JSON text. `id` is an Arrow
    string array and `fingerprint` one of 16 bytes each. `too_old` marks what lies before the accepted months.
    `revision` (int32[n]) is which report of its event each is.
    """

    row: Int64s
    source: Texts
    id: Column
    account: Texts
    product: Texts
    occurred_at: Int64s
    to: Int64s
    from_: Int64s
    rated_to: Int64s
    measured: Int64s
    texts: Mapping[str, Texts]
    attributes: Texts
    fingerprint: Column
    too_old: Bools
    revision: Int32s

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: Int64s) -> Self:
        """Some of the events, in the order given."""
        taken = {f.name: _take(getattr(self, f.name), rows) for f in fields(self) if f.name != "texts"}
        texts = {name: _take(text, rows) for name, text in self.texts.items()}
        return type(self)(**taken, texts=texts)

    def with_others(self, others: Self) -> Self:
        """These events and, behind them, others."""
        names = dict.fromkeys((*self.texts, *others.texts))
        none = [Texts(np.zeros(len(each), dtype=np.int32), ("",)) for each in (self, others)]
        texts = {name: _joined(self.texts.get(name, none[0]), others.texts.get(name, none[1])) for name in names}
        own = {
            f.name: _joined(getattr(self, f.name), getattr(others, f.name)) for f in fields(self) if f.name != "texts"
        }
        return type(self)(**own, texts=texts)

    def to_rate(self, *, products: tuple[str, ...], product: Int64s, book: Int32s) -> UsageColumns:
        """What the kernel rates; `product` (into `products`) and `book` are aligned with the events."""
        ported = self.rated_to > 0
        texts = dict(self.texts)
        if "to_address" in texts:
            # `rated_to` is used instead of `to`, also where `to` is no number: nothing of it may match a row.
            codes, values = texts["to_address"]
            texts["to_address"] = Texts(np.where(ported, np.int32(0), codes), values)
        return UsageColumns(
            products=products,
            product=product.astype(np.int16),
            book=book,
            occurred_at=self.occurred_at,
            to=np.where(ported, self.rated_to, self.to),
            from_=self.from_,
            measured=self.measured,
            texts=texts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Voids:
    """Reports that take events back, v rows in the order of the payloads: `row` is int64[v], `revision` int32[v]."""

    row: Int64s
    source: tuple[str, ...]
    id: tuple[str, ...]
    revision: Int32s

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: Int64s) -> Self:
        """Some of them, in the order given."""
        source, id_ = (tuple(column[row] for row in rows.tolist()) for column in (self.source, self.id))
        return type(self)(row=self.row[rows], source=source, id=id_, revision=self.revision[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a number of payloads came to: each is a row of `usage` or of the `voids`, or one of the `rejects`."""

    usage: Usage
    rejects: tuple[Reject, ...]
    voids: Voids


def parse(payloads: Sequence[bytes], *, source: Origin, products: Mapping[str, Product], at: datetime) -> Parsed:
    """Usage events from their JSON payloads, as received `at`. Never raises for what a payload holds.

    Those that come from a `source` may leave theirs out and not name another.
    """
    reading = _Reading(payloads=payloads, source=source, products=products)
    reading.decode()
    columns = reading.understand()
    usage, ahead = _usage(columns, source, at), columns.occurred_at > micros(at + CLOCK_SKEW)
    for row in columns.row[ahead].tolist():
        reading.faults[row] = Fault("/occurred_at", "is more than 24 hours ahead of the clock")
    faults = sorted(reading.faults.items())
    return Parsed(
        usage=usage.take(np.flatnonzero(~ahead)) if ahead.any() else usage,
        rejects=tuple(Reject(row=row, pointer=fault.pointer, reason=fault.reason) for row, fault in faults),
        voids=voids_of(reading.voids),
    )


def voids_of(found: Mapping[int, Void]) -> Voids:
    """Voids by the positions of their payloads, as columns."""
    rows = sorted(found)
    return Voids(
        row=np.array(rows, dtype=np.int64),
        source=tuple(found[row].source for row in rows),
        id=tuple(found[row].id for row in rows),
        revision=np.array([found[row].revision for row in rows], dtype=np.int32),
    )


@dataclass(slots=True, kw_only=True)
class _Reading:
    """Payloads on their way to columns: `row` and what is `stated` of those that are usage, as far as is known.

    `careful` are the positions of those that were read with care.
    """

    payloads: Sequence[bytes]
    source: Origin
    products: Mapping[str, Product]
    row: Int64s = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    stated: Stated = field(default_factory=dict)
    careful: set[int] = field(default_factory=set)
    voids: dict[int, Void] = field(default_factory=dict)
    faults: dict[int, Fault] = field(default_factory=dict)

    def decode(self) -> None:
        """Take plain payloads at a glance, and those that do not fit with care."""
        blocks = [self._glance(start) for start in range(0, len(self.payloads) or 1, _AT_ONCE)]
        self.row, self.stated = blocks[0]
        if len(blocks) > 1:
            self.row = np.concatenate([row for row, _ in blocks])
            whole = together([texts_of(stated) for _, stated in blocks])
            self.stated = {name: written(text) for name, text in whole.items()}

    def understand(self) -> Columns:
        """The columns of all that is usage. What is out of the ordinary is read with care first."""
        while True:
            source: str | Column | None = (
                pa.array(self.source, pa.string()).take(pa.array(self.row))
                if isinstance(self.source, tuple)
                else self.source
            )
            columns, odd = understand(self.stated, self.row, source, self.products)
            if not odd.any():
                return columns
            self.row, self.stated = self._read_again(self.row, self.stated, odd)

    def _glance(self, start: int) -> tuple[Int64s, Stated]:
        """Some payloads that are usage, and what they state."""
        payloads = self.payloads[start : start + _AT_ONCE]
        row, flats = np.arange(start, start + len(payloads)), read_plain(payloads)
        if flats is None:
            glanced = zip(row.tolist(), read_each(payloads), strict=True)
            read = {each: flat for each, plain in glanced if (flat := plain or self._with_care(each)) is not None}
            row, flats = np.array(list(read), dtype=np.int64), list(read.values())
            # What was read with care is written plainly, to be looked at as the others are.
            payloads = [
                msgspec.json.encode(read[each]) if each in self.careful else self.payloads[each] for each in read
            ]
        stated, is_all = stated_by(flats, payloads)
        if is_all:
            return row, stated
        colons = np.array([payload.count(b":") for payload in payloads], dtype=np.int64)
        return self._read_again(row, stated, given_twice(stated, colons))

    def _read_again(self, row: Int64s, stated: Stated, odd: Bools) -> tuple[Int64s, Stated]:
        """The same payloads, but for what reading those that are odd with care says of them."""
        read = {each: flat for each in row[odd].tolist() if (flat := self._with_care(each)) is not None}
        kept = pa.array(~odd)
        others = {name: text.filter(kept) for name, text in texts_of(stated).items()}
        row = np.concatenate([row[~odd], np.array(list(read), dtype=np.int64)])
        order = np.argsort(row)
        both = together([others, texts_of(stated_by(list(read.values()))[0])])
        return row[order], {name: written(text.take(pa.array(order))) for name, text in both.items()}

    def _with_care(self, row: int) -> Flat | None:
        """What a payload states, if it is usage. One that is odd even so is refused, lest it pass unread."""
        source = self.source[row] if isinstance(self.source, tuple) else self.source
        read = read_payload(self.payloads[row], source, self.products)
        if isinstance(read, Void):
            self.voids[row] = read
        elif isinstance(read, Fault) or row in self.careful:
            self.faults[row] = read if isinstance(read, Fault) else Fault("", "is not understood")
        else:
            self.careful.add(row)
            return read
        return None


def months_of(occurred_at: Int64s) -> set[date]:
    """The first days of the months in which events lie."""
    if not len(occurred_at):
        return set()
    first, last = (_month_of(int(each)) for each in (occurred_at.min(), occurred_at.max()))
    if first == last:
        return {first}
    days = np.unique(occurred_at // MICROSECONDS_A_DAY).astype("datetime64[D]")
    return set(np.unique(days.astype("datetime64[M]")).astype("datetime64[D]").tolist())


def _month_of(micros: int) -> date:
    return at_micros(micros).date().replace(day=1)


def _usage(columns: Columns, source: Origin, at: datetime) -> Usage:
    n, texts = len(columns.row), columns.texts
    attributes = texts.get("attributes", constant("", n))
    return Usage(
        row=columns.row,
        source=constant(source, n) if isinstance(source, str) else texts["source"],
        id=columns.id,
        account=texts["account"],
        product=texts["product"],
        occurred_at=columns.occurred_at,
        to=columns.to,
        from_=columns.from_,
        rated_to=columns.rated_to,
        measured=columns.measured,
        texts={name: texts[name] for name in DIMENSIONS if name in texts} | declared(attributes),
        attributes=attributes,
        fingerprint=_fingerprints(columns),
        too_old=columns.occurred_at < _oldest(at.astimezone(UTC).date()),
        revision=columns.revision,
    )


@lru_cache(maxsize=1)
def _oldest(day: date) -> int:
    """Where the months begin of which events are accepted on a day, in microseconds."""
    return micros(datetime.combine(months_before(day, ACCEPTED_MONTHS), time(), UTC))


def declared(attributes: Texts) -> dict[str, Texts]:
    """The columns of the attributes that some event states. Each distinct text of them is read once."""
    stated = attributes_of(attributes.values)
    names = sorted({name for each in stated for name in each})
    distinct = {name: encode([each.get(name, "") for each in stated]) for name in names}
    return {name: Texts(values=text.values, codes=text.codes[attributes.codes]) for name, text in distinct.items()}


def _fingerprints(columns: Columns) -> Column:
    """128-bit BLAKE2b of what decides how an event is rated, normalised, without what has its default.

    Two payloads with the same fingerprint are the same usage, however they were written.
    """
    n = len(columns.row)
    numbers = (columns.occurred_at, columns.measured, columns.to, columns.from_, columns.rated_to)
    written = pa.array(np.concatenate(numbers)).cast(pa.string())
    parts = [columns.account, columns.product]
    parts += [written.slice(place * n, n) for place in range(len(numbers))]
    parts += [_said(name, columns.texts[name]) for name in (*DIMENSIONS, "attributes") if name in columns.texts]
    joined = pc.binary_join_element_wise(*parts, _SEPARATOR, null_handling="skip").view(pa.binary())
    digests = []
    fresh = blake2b(digest_size=FINGERPRINT_BYTES).copy
    for text in joined.to_pylist():
        state = fresh()  # sooner copied than made
        state.update(text)
        digests.append(state.digest())
    digest = pa.py_buffer(b"".join(digests))
    return pa.Array.from_buffers(pa.binary(FINGERPRINT_BYTES), n, [None, digest])


def _said(name: str, text: Texts) -> Column:
    """What events say of a dimension, and null where they say nothing."""
    said = [None, *(f"{name}={value}" for value in text.values[1:])]
    return pa.array(said, pa.string()).take(pa.array(text.codes))


def _take(column: Column, rows: Int64s) -> Column:
    if isinstance(column, Texts):
        return Texts(column.codes[rows], column.values)
    return column.take(pa.array(rows)) if isinstance(column, pa.Array) else column[rows]


def _joined(first: Column, then: Column) -> Column:
    if isinstance(first, Texts):
        place = {value: code for code, value in enumerate(dict.fromkeys((*first.values, *then.values)))}
        codes = [
            np.array([place[value] for value in each.values], dtype=np.int32)[each.codes] for each in (first, then)
        ]
        return Texts(np.concatenate(codes), tuple(place))
    return pa.concat_arrays([first, then]) if isinstance(first, pa.Array) else np.concatenate([first, then])


def micros(instant: datetime) -> int:
    """An instant as columns have it: microseconds since 1970."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def at_micros(micros: int) -> datetime:
    """The instant that columns have as microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)
