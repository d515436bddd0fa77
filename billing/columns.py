"""Decoded payloads understood by column: numbers, instants and quantities, and which rows are out of the ordinary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from billing.payloads import E164, FORMS, INSTANT, LONGEST_TEXT, REQUIRED, WRITTEN_APART, Flat, most_of
from billing.revisions import FIRST, LAST
from rates.products import Product
from rates.usage import Int32s, Int64s, Texts

Bools = NDArray[np.bool_]
Column = Any  # an Arrow string array: Arrow publishes no types

# Field by field, and not payload by payload: other threads get their turn between the fields.
_FIELDS = {name: attrgetter(name) for name in Flat.__struct_fields__}
MEASURES = ("quantity", "duration_seconds", "segments", "bytes_sent", "bytes_received")
NUMBERS = (*MEASURES, "revision")
"""Fields that are a string or a whole number."""

_NO_COLON = frozenset((*NUMBERS, "package", "attributes"))
ALWAYS = (*REQUIRED, "source")
_QUANTITY, _DURATION, _SEGMENTS, _BYTES = 1, 2, 4, 8
_OWN = {"duration_seconds": _DURATION, "segments": _SEGMENTS, "bytes": _BYTES}
_UNKNOWN_PRODUCT = -1
_NO_FIELD = -2
_WHOLE = r"^[0-9]{1,15}$"
_REVISION = r"^[1-9][0-9]{0,9}$"
_SECONDS = r"^(?P<whole>[0-9]{1,10})(?:\.(?P<part>[0-9]{1,20}))?$"
_TOO_FINE = r"(\.[0-9]{6})[0-9]+"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Payloads as columns, n rows. A text that no payload states is absent, but for those that every event has."""

    row: Int64s
    texts: Mapping[str, Column]
    occurred_at: Int64s
    to: Int64s
    from_: Int64s
    rated_to: Int64s
    measured: Int64s
    revision: Int32s

    def encoded(self, name: str) -> Texts:
        """A text column dictionary-encoded, code 0 being the empty text."""
        return encoded(self.texts[name])


def understand(
    stated: Mapping[str, Column], row: Int64s, colons: Int64s, source: Column, products: Mapping[str, Product]
) -> tuple[Columns, Bools]:
    """The columns of n payloads, and which of them are out of the ordinary and must be read with care.

    `stated` is what they state, as `stated_by` gives it; `colons` is int64[n]: how many the raw payload holds, -1
    where that is not to be checked. `source` is that of all payloads, or of each (Arrow strings); null where
    a payload names its own.
    """
    n = len(row)
    odd = _given_twice(stated, colons) | _misshapen(stated) | _from_elsewhere(stated, source)
    occurred_at, wrong = _instants(stated["occurred_at"])
    odd |= wrong
    numbers = {name: _e164(stated.get(name), n) for name in ("to", "from_", "rated_to")}
    for name, begins in (("to", "+"), ("rated_to", "")):
        if name in stated:
            meant = pc.and_(pc.not_equal(stated[name], ""), pc.starts_with(stated[name], begins))
            odd |= _numpy(meant) & (numbers[name] == 0)
    measured, wrong = _measured(stated, products, n)
    odd |= wrong
    revision, wrong = _revisions(stated.get("revision"), n)
    odd |= wrong
    texts = {name: text for name, text in stated.items() if name not in NUMBERS}
    if isinstance(source, pa.Array):
        texts["source"] = pc.if_else(pc.equal(stated["source"], ""), pc.fill_null(source, ""), stated["source"])
    for name, address in (("to", "to_address"), ("from_", "from_address")):
        text = texts.pop(name, None)
        if text is not None:
            no_number = numbers[name] == 0
            if no_number.any():
                texts[address] = pc.if_else(pa.array(no_number), text, "")
    texts.pop("rated_to", None)
    columns = Columns(
        row=row, texts=texts, occurred_at=occurred_at, measured=measured, revision=revision,
        to=numbers["to"], from_=numbers["from_"], rated_to=numbers["rated_to"],
    )  # fmt: skip
    return columns, odd


def encoded(text: Column) -> Texts:
    """An Arrow string array dictionary-encoded, code 0 being the empty text."""
    dictionary = pc.dictionary_encode(text)
    codes = dictionary.indices.to_numpy(zero_copy_only=False)
    values = dictionary.dictionary.to_pylist()
    order = sorted(range(len(values)), key=lambda code: values[code] != "")  # stable: only "" moves
    shift = 0 if "" in values else 1
    place = np.zeros(len(values) + 1, dtype=np.int32)
    place[order] = np.arange(len(values), dtype=np.int32) + shift
    return Texts(place[codes], tuple([""] * shift + [values[code] for code in order]))


def stated_by(flats: Sequence[Flat]) -> dict[str, Column]:
    """The fields that any payload states, as Arrow strings; those that every event has, always."""
    stated = {}
    for name, value_of in _FIELDS.items():
        if name in NUMBERS:
            column = list(map(value_of, flats))
            if column.count("") != len(column):
                stated[name] = _strings(column)
        elif name in ALWAYS or any(map(value_of, flats)):
            stated[name] = pa.array(list(map(value_of, flats)), pa.string())
    return stated


def together(first: Mapping[str, Column], second: Mapping[str, Column], order: Int64s) -> dict[str, Column]:
    """What the payloads of both state, as `stated_by` gives it; `order` is of those of `first`, then of `second`."""
    blank = [pa.repeat(pa.scalar("", pa.string()), len(stated["id"])) for stated in (first, second)]
    found = {}
    for name in {**first, **second}:
        both = pa.concat_arrays([first.get(name, blank[0]), second.get(name, blank[1])])
        found[name] = both.take(pa.array(order))
    return found


def _strings(column: Sequence[str | int]) -> Column:
    try:
        return pa.array(column, pa.string())
    except pa.ArrowTypeError:
        return pa.array([str(value) for value in column], pa.string())  # integers, exact as they are


def _given_twice(stated: Mapping[str, Column], colons: Int64s) -> Bools:
    """Payloads with more keys than fields: a decoder keeps the last of two equal keys, and one would be lost.

    Outside of texts, a flat object has one colon a key. So, where nothing is escaped, the colons of a payload are as
    many as its fields and the colons in their texts, unless a key stands there twice.
    """
    expected = np.zeros(len(colons), dtype=np.int64)
    if (colons < 0).all():
        return np.zeros(len(colons), dtype=np.bool_)
    for name, text in stated.items():
        expected += _numpy(pc.not_equal(text, ""))
        if name not in _NO_COLON:
            expected += _numpy(pc.count_substring(text, ":"))
    twice: Bools = (colons >= 0) & (colons != expected)
    return twice


def _misshapen(stated: Mapping[str, Column]) -> Bools:
    odd = np.zeros(len(stated["id"]), dtype=bool)
    for name in REQUIRED:
        odd |= _numpy(pc.equal(stated[name], ""))
    for name, text in stated.items():
        if name != "attributes":
            odd |= _numpy(pc.greater(pc.utf8_length(text), LONGEST_TEXT))
    for name, (form, _) in FORMS.items():
        if name in stated:
            odd |= ~_matches(stated[name], f"^({form})?$")
    # Of all white space only the blank is left in what is plain; what was read with care has been refused for others.
    odd |= _numpy(pc.or_(pc.starts_with(stated["id"], " "), pc.ends_with(stated["id"], " ")))
    for name, form in (("to", ".*"), ("from_", WRITTEN_APART), ("rated_to", ".*")):
        if name in stated:
            blank = _numpy(pc.match_substring(stated[name], " "))
            odd |= blank & _matches(stated[name], f"^{form}$") if blank.any() else blank
    return odd


def _from_elsewhere(stated: Mapping[str, Column], source: Column) -> Bools:
    """Payloads that name another source than the one they come from, or none where none is known."""
    named = stated["source"]
    if source is None:
        return _numpy(pc.equal(named, ""))
    silent = pc.equal(named, "")
    if isinstance(source, str):
        return ~_numpy(pc.or_(silent, pc.equal(named, source)))
    # Null, as it is where a payload has to name its own, is equal to nothing, and it is odd to be silent then.
    own = pc.is_null(source)
    return ~_numpy(pc.if_else(own, pc.invert(silent), pc.or_kleene(silent, pc.equal(named, source))))


def _instants(text: Column) -> tuple[Int64s, Bools]:
    """Microseconds since the epoch, and which texts are no instant of the years 1970 to 9999 in UTC.

    What is finer is cut off.
    """
    right = pc.match_substring_regex(text, f"^{INSTANT}$")
    text = pc.if_else(right, text, "1970-01-01T00:00:00Z")
    try:
        micros = _cast_instants(text)
    except pa.ArrowInvalid:
        micros = np.array([_instant(value) for value in text.to_pylist()], dtype=np.int64)
    return micros, ~_numpy(right) | (micros < 0) | (micros > _LAST)


def _cast_instants(text: Column) -> Int64s:
    kind = pa.timestamp("us", "UTC")
    try:
        instants = text.cast(kind)
    except pa.ArrowInvalid:
        instants = pc.replace_substring_regex(text, _TOO_FINE, r"\1").cast(kind)
    return _numpy(instants.cast(pa.int64()))


def _instant(text: str) -> int:
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return -1


def _e164(text: Column | None, n: int) -> Int64s:
    """The digits of numbers written with `+`, 0 for anything else."""
    if text is None:
        return np.zeros(n, dtype=np.int64)
    number = pc.match_substring_regex(text, f"^{E164}$")
    digits = pc.if_else(number, pc.utf8_slice_codeunits(text, 1), "0")
    return _numpy(digits.cast(pa.int64()))


def _measured(stated: Mapping[str, Column], products: Mapping[str, Product], n: int) -> tuple[Int64s, Bools]:
    """Base units, and which rows state none, more than one way, or in a field that is not their product's."""
    given = {name: _numpy(pc.not_equal(stated[name], "")) for name in MEASURES if name in stated}
    nowhere = np.zeros(n, dtype=bool)
    sent, received = given.get("bytes_sent", nowhere), given.get("bytes_received", nowhere)
    ways = _QUANTITY * given.get("quantity", nowhere)
    ways += _DURATION * given.get("duration_seconds", nowhere)
    ways += _SEGMENTS * given.get("segments", nowhere)
    ways += _BYTES * (sent | received)
    own, most, most_in_own = _by_product(encoded(stated["product"]), products)
    alone = (ways == _QUANTITY) | (ways == _DURATION) | (ways == _SEGMENTS) | (ways == _BYTES)
    odd = ~((ways == _QUANTITY) | (ways == own) | ((own == _UNKNOWN_PRODUCT) & alone)) | (sent != received)
    measured = np.zeros(n, dtype=np.int64)
    for name, here in given.items():
        amount, wrong = _seconds(stated[name]) if name == "duration_seconds" else _whole(stated[name])
        measured += amount
        odd |= wrong & here
    return measured, odd | (measured > np.where(ways == _QUANTITY, most, most_in_own))


def _by_product(product: Texts, products: Mapping[str, Product]) -> tuple[Int64s, Int64s, Int64s]:
    """For each row the way that is its product's own, and the most of one event: in `quantity`, and in that way."""
    known = [products.get(name) for name in product.values]
    own = [_OWN.get(p.measure, _NO_FIELD) if p else _UNKNOWN_PRODUCT for p in known]
    most = [[most_of(p, own=in_own) for p in known] for in_own in (False, True)]
    of_value = np.array([own, *most], dtype=np.int64)
    of_row = of_value[:, product.codes]
    return of_row[0], of_row[1], of_row[2]


def _revisions(text: Column | None, n: int) -> tuple[Int32s, Bools]:
    """Which revision each is, the first where it does not say; and which say something else than a number."""
    if text is None:
        return np.full(n, FIRST, dtype=np.int32), np.zeros(n, dtype=bool)
    right = pc.match_substring_regex(text, _REVISION)
    number = _numpy(pc.if_else(right, text, str(FIRST)).cast(pa.int64()))
    wrong = ~_numpy(pc.or_(right, pc.equal(text, ""))) | (number > LAST)
    return np.where(wrong, FIRST, number).astype(np.int32), wrong


def _whole(text: Column) -> tuple[Int64s, Bools]:
    right = pc.match_substring_regex(text, _WHOLE)
    return _numpy(pc.if_else(right, text, "0").cast(pa.int64())), ~_numpy(right)


def _seconds(text: Column) -> tuple[Int64s, Bools]:
    """Whole seconds; a fraction of a second rounds up (FORMATS 4)."""
    amount, wrong = _whole(text)
    if not wrong.any():
        return amount, wrong
    parts = pc.extract_regex(text, _SECONDS)
    wrong = ~_numpy(pc.is_valid(parts))
    whole = pc.if_else(pa.array(wrong), "0", pc.struct_field(parts, "whole"))
    begun = pc.match_substring_regex(pc.fill_null(pc.struct_field(parts, "part"), ""), "[1-9]")
    return _numpy(whole.cast(pa.int64())) + _numpy(begun), wrong


def _matches(text: Column, pattern: str) -> Bools:
    return _numpy(pc.match_substring_regex(text, pattern))


def _numpy(column: Column) -> NDArray[Any]:
    found: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return found
