"""Decoded payloads understood by column: numbers, instants and quantities, and which rows are out of the ordinary.

Of each column it is asked first whether all is as it mostly is; only where it is not, which of its rows are not.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from billing.payloads import E164, FORMS, INSTANT, LONGEST_TEXT, REQUIRED, TEXTS, WRITTEN_APART, Flat, most_of
from billing.revisions import FIRST, LAST
from billing.written import Column, Written, blanks, encoded, written
from rates.products import Product
from rates.usage import Int32s, Int64s, Texts, Which

Bools = NDArray[np.bool_]
Stated = Mapping[str, Written]
"""The fields that any of some payloads states, by the names that `Flat` has; those that every event has, always."""

# Field by field, and not payload by payload: other threads get their turn between the fields.
_FIELDS = {name: attrgetter(name) for name in Flat.__struct_fields__}
_keyed = msgspec.json.Decoder(dict[str, object]).decode
MEASURES = ("quantity", "duration_seconds", "segments", "bytes_sent", "bytes_received")
NUMBERS = (*MEASURES, "revision")
"""Fields that are a string or a whole number."""

ALWAYS = (*REQUIRED, "source")
_ADDRESSES = {"to": "to_address", "from_": "from_address"}
_CODED = ("account", "product", *TEXTS, "package", "attributes")
_QUANTITY, _DURATION, _SEGMENTS, _BYTES = 1, 2, 4, 8
_WAYS = {
    "quantity": _QUANTITY, "duration_seconds": _DURATION, "segments": _SEGMENTS,
    "bytes_sent": _BYTES, "bytes_received": _BYTES,
}  # fmt: skip
_OWN = {"duration_seconds": _DURATION, "segments": _SEGMENTS, "bytes": _BYTES}
_IS_ONE_WAY = np.array([ways in _WAYS.values() for ways in range(16)], dtype=np.bool_)
_UNKNOWN_PRODUCT = -1
_NO_FIELD = -2
_MOST_DIGITS = 15
_DIGITS = b"0123456789"
_PLUS, _COLON, _ZERO = b"+:0"
_NO_NUMBER = "?"
"""What stands for a number that is given as an empty text, which is not as if there were none."""

_WHOLE = r"^[0-9]{1,15}$"
_REVISION = r"^[1-9][0-9]{0,9}$"
_SECONDS = r"^(?P<whole>[0-9]{1,10})(?:\.(?P<part>[0-9]{1,20}))?$"
_TOO_FINE = r"(\.[0-9]{6})[0-9]+"
_INSTANT = re.compile(INSTANT.encode())
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Payloads as columns, n rows. A text that no payload states is absent, but for those that every event has.

    `id`, `account` and `product` are Arrow strings, as they were stated; the last two are of `texts`, too.
    """

    row: Int64s
    id: Column
    account: Column
    product: Column
    texts: Mapping[str, Texts]
    occurred_at: Int64s
    to: Int64s
    from_: Int64s
    rated_to: Int64s
    measured: Int64s
    revision: Int32s


def understand(stated: Stated, row: Int64s, source: Column, products: Mapping[str, Product]) -> tuple[Columns, Bools]:
    """The columns of n payloads, and which of them are out of the ordinary and must be read with care.

    `stated` is what they state. `source` is that of all payloads, or of each (Arrow strings); null where a payload
    names its own.
    """
    n = len(row)
    texts = {name: encoded(stated[name]) for name in _CODED if name in stated}
    odd = np.zeros(n, dtype=np.bool_)
    _note_misshapen(stated, texts, odd)
    odd |= _from_elsewhere(stated, source)
    occurred_at, wrong = _instants(stated["occurred_at"])
    odd |= wrong
    numbers = _numbers(stated, n)
    odd |= _no_numbers(stated, numbers)
    measured, wrong = _measured(stated, texts["product"], products)
    odd |= wrong
    revision, wrong = _revisions(stated.get("revision"), n)
    odd |= wrong
    columns = Columns(
        row=row, id=stated["id"].text, account=stated["account"].text, product=stated["product"].text,
        texts=texts | _sources(stated, source) | _addresses(stated, numbers),
        occurred_at=occurred_at, measured=measured, revision=revision,
        to=numbers["to"], from_=numbers["from_"], rated_to=numbers["rated_to"],
    )  # fmt: skip
    return columns, odd


def stated_by(flats: Sequence[Flat], payloads: Sequence[bytes] = ()) -> tuple[dict[str, Written], bool]:
    """The fields that any payload states; and whether these are all that stands in the payloads, each once.

    Outside of texts, a flat object has one colon a key. So, where nothing is escaped, the payloads have as many colons
    as their fields and the texts of these, unless a key stands there twice: a decoder keeps the last of two, and one
    would be lost. What the first payload states is mostly all.
    """
    first, colons = flats[0] if flats else Flat(), _colons(payloads)
    own = [name for name in _FIELDS if getattr(first, name) is not None]
    stated, keys = _stated(flats, own)
    is_all = keys == colons - _colons([text.octets for text in stated.values()])
    if not is_all:
        others, more = _stated(flats, [name for name in _FIELDS if name not in own])
        stated |= others
        behind_keys = colons - _colons([text.octets for text in stated.values()])
        is_all = behind_keys == keys + more or behind_keys == sum(map(len, map(_keyed, payloads)))  # some with null
    for name in ALWAYS:
        if name not in stated:
            stated[name] = blanks(len(flats))
    return stated, is_all


def given_twice(stated: Stated, colons: Int64s) -> Bools:
    """Payloads with other colons (int64[n]) than their fields have: mostly, a key is given twice."""
    expected = np.zeros(len(colons), dtype=np.int64)
    for text in stated.values():
        expected += text.lengths > 0
        expected += _numpy(pc.count_substring(text.text, ":"))
    twice: Bools = colons != expected
    return twice


def texts_of(stated: Stated) -> dict[str, Column]:
    """What payloads state, as Arrow strings."""
    return {name: each.text for name, each in stated.items()}


def together(parts: Sequence[Mapping[str, Column]]) -> dict[str, Column]:
    """What the payloads of all parts state, one part after the other."""
    blank = [blanks(len(part["id"])).text for part in parts]
    names = dict.fromkeys(name for part in parts for name in part)
    return {
        name: pa.concat_arrays([part.get(name, none) for part, none in zip(parts, blank, strict=True)])
        for name in names
    }


def _stated(flats: Sequence[Flat], names: Iterable[str]) -> tuple[dict[str, Written], int]:
    """Those of some fields that any payload states; and how often any of them is given."""
    stated, keys = {}, 0
    for name in names:
        column = list(map(_FIELDS[name], flats))
        text = _strings(column)
        given = len(column) - text.null_count
        if given:
            whole = _without_nulls(text)
            if name in NUMBERS and np.count_nonzero(whole.lengths) < given:
                whole = _without_nulls(_strings([_NO_NUMBER if value == "" else value for value in column]))
            keys += given
            if whole.longest:
                stated[name] = whole
    return stated, keys


def _without_nulls(text: Column) -> Written:
    return written(pc.fill_null(text, "") if text.null_count else text)


def _colons(texts: Sequence[bytes]) -> int:
    return int(np.count_nonzero(np.frombuffer(b"".join(texts), dtype=np.uint8) == _COLON))


def _strings(column: Sequence[str | int | None]) -> Column:
    try:
        return pa.array(column, pa.string())
    except pa.ArrowTypeError:  # integers, exact as they are
        return pa.array([None if value is None else str(value) for value in column], pa.string())


def _note_misshapen(stated: Stated, texts: Mapping[str, Texts], odd: Bools) -> None:
    """Note payloads with a text that is missing, too long, or not as such a text is written."""
    for name in REQUIRED:
        if stated[name].has_blanks:
            odd |= stated[name].lengths == 0
    for name, text in stated.items():
        if text.longest > LONGEST_TEXT and name != "attributes":
            odd |= _numpy(pc.greater(pc.utf8_length(text.text), LONGEST_TEXT))
    for name, (form, _) in FORMS.items():
        if name in texts:
            wrong = [bool(value) and not re.fullmatch(form, value) for value in texts[name].values]
            odd |= np.array(wrong, dtype=np.bool_)[texts[name].codes]
    # Of all white space only the blank is left in what is plain; what was read with care has been refused for others.
    if b" " in stated["id"].octets:
        ids = stated["id"].text
        odd |= _numpy(pc.or_(pc.starts_with(ids, " "), pc.ends_with(ids, " ")))
    for name, form in (("to", ".*"), ("from_", WRITTEN_APART), ("rated_to", ".*")):
        if name in stated and b" " in stated[name].octets:
            text = stated[name].text
            odd |= _matches(text, " ") & _matches(text, f"^{form}$")


def _from_elsewhere(stated: Stated, source: Column) -> Which:
    """Payloads that name another source than the one they come from, or none where none is known."""
    named = stated["source"]
    if isinstance(source, str):
        return bool(named.longest) and ~_flags(pc.is_in(named.text, pa.array(["", source])))
    silent: Bools = named.lengths == 0
    if source is None:
        return silent
    own = _flags(pc.is_null(source))
    if silent.all():
        return own
    # Where a payload has to name its own, it is odd to be silent.
    same = _flags(pc.equal(named.text, pc.fill_null(source, "")))
    return np.where(own, silent, ~(silent | same))


def _sources(stated: Stated, source: Column) -> dict[str, Texts]:
    """Where payloads come from; nothing where all come from one place."""
    if isinstance(source, str):
        return {}
    named = stated["source"]
    if source is None or not len(source):
        return {"source": encoded(named)}
    told = pc.fill_null(source, "")
    return {"source": encoded(written(pc.if_else(pa.array(named.lengths == 0), told, named.text)))}


def _addresses(stated: Stated, numbers: Mapping[str, Int64s]) -> dict[str, Texts]:
    """What is written where numbers are and is none."""
    found = {}
    for name, address in _ADDRESSES.items():
        if name in stated:
            no_number = numbers[name] == 0
            if no_number.any():
                found[address] = encoded(written(pc.if_else(pa.array(no_number), stated[name].text, "")))
    return found


def _instants(text: Written) -> tuple[Int64s, Which]:
    """Microseconds since the epoch, and which texts are no instant of the years 1970 to 9999 in UTC.

    What is finer is cut off.
    """
    wrong: Which = False
    instants = text.text
    if not _INSTANT.fullmatch(text.form):
        right = pc.match_substring_regex(instants, f"^{INSTANT}$")
        wrong = ~_numpy(right)
        instants = pc.if_else(right, instants, "1970-01-01T00:00:00Z")
    try:
        micros = _cast_instants(instants)
    except pa.ArrowInvalid:
        micros = np.array([_instant(value) for value in instants.to_pylist()], dtype=np.int64)
    return micros, wrong | (micros < 0) | (micros > _LAST)


def _cast_instants(text: Column) -> Int64s:
    kind = pa.timestamp("us", "UTC")
    try:
        instants = text.cast(kind)
    except pa.ArrowInvalid:
        instants = pc.replace_substring_regex(text, _TOO_FINE, r"\1").cast(kind)
    return _numpy(instants.view(pa.int64()))


def _instant(text: str) -> int:
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return -1


def _numbers(stated: Stated, n: int) -> dict[str, Int64s]:
    """The digits of numbers written with `+`, 0 for anything else."""
    return {name: _e164(stated.get(name), n) for name in ("to", "from_", "rated_to")}


def _e164(text: Written | None, n: int) -> Int64s:
    """The digits of numbers written with `+`, 0 for anything else."""
    if text is None:
        return np.zeros(n, dtype=np.int64)
    if _are_numbers(text):
        return np.fromstring(text.octets, dtype=np.int64, sep="+")  # the first one has its `+` as a sign
    number = pc.match_substring_regex(text.text, f"^{E164}$")
    return _numpy(pc.if_else(number, pc.utf8_slice_codeunits(text.text, 1), "0").cast(pa.int64()))


def _are_numbers(text: Written) -> bool:
    """Whether all texts are numbers written with `+`."""
    starts = text.places[:-1]
    if text.shortest <= 1 or text.longest > _MOST_DIGITS + 1:
        return False
    if text.octets.translate(None, delete=_DIGITS) != b"+" * len(starts):
        return False
    # There are as many `+` as texts: if each begins with one, none has another.
    octets = np.frombuffer(text.octets, dtype=np.uint8)
    return bool((octets[starts] == _PLUS).all() and (octets[starts + 1] != _ZERO).all())


def _no_numbers(stated: Stated, numbers: Mapping[str, Int64s]) -> Which:
    """Payloads that name what is called in the way of a number, and it is none."""
    odd: Which = False
    for name, begins in (("to", b"+"), ("rated_to", b"")):
        if name in stated and begins in stated[name].octets:
            text = stated[name]
            no_number = numbers[name] == 0
            if no_number.any():
                odd |= no_number & (text.lengths > 0) & _numpy(pc.starts_with(text.text, begins))
    return odd


def _measured(stated: Stated, product: Texts, products: Mapping[str, Product]) -> tuple[Int64s, Bools]:
    """Base units, and which rows state none, more than one way, or in a field that is not their product's."""
    n = len(product.codes)
    given = {name: stated[name].lengths > 0 for name in MEASURES if name in stated}
    ways, measured, odd = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
    for name, here in given.items():
        ways |= _WAYS[name] * here
        amount, wrong = _seconds(stated[name]) if name == "duration_seconds" else _whole(stated[name])
        measured += amount
        odd |= wrong & here
    if "bytes_sent" in given or "bytes_received" in given:
        nowhere = np.zeros(n, dtype=np.bool_)
        odd |= given.get("bytes_sent", nowhere) != given.get("bytes_received", nowhere)
    own, most, most_in_own = _by_product(product, products)
    in_quantity = ways == _QUANTITY
    odd |= ~(in_quantity | (ways == own) | ((own == _UNKNOWN_PRODUCT) & _IS_ONE_WAY[ways]))
    return measured, odd | (measured > np.where(in_quantity, most, most_in_own))


def _by_product(product: Texts, products: Mapping[str, Product]) -> tuple[Int64s, Int64s, Int64s]:
    """For each row the way that is its product's own, and the most of one event: in `quantity`, and in that way."""
    known = [products.get(name) for name in product.values]
    own = [_OWN.get(p.measure, _NO_FIELD) if p else _UNKNOWN_PRODUCT for p in known]
    most = [[most_of(p, own=in_own) for p in known] for in_own in (False, True)]
    of_value = np.array([own, *most], dtype=np.int64)
    of_row = of_value.take(product.codes, axis=1)
    return of_row[0], of_row[1], of_row[2]


def _revisions(text: Written | None, n: int) -> tuple[Int32s, Which]:
    """Which revision each is, the first where it does not say; and which say something else than a number."""
    if text is None:
        return np.full(n, FIRST, dtype=np.int32), False
    right = pc.match_substring_regex(text.text, _REVISION)
    number = _numpy(pc.if_else(right, text.text, str(FIRST)).cast(pa.int64()))
    wrong = ~(_numpy(right) | (text.lengths == 0)) | (number > LAST)
    return np.where(wrong, FIRST, number).astype(np.int32), wrong


def _whole(text: Written) -> tuple[Int64s, Which]:
    """Whole numbers, 0 where there is none; and which texts, beside empty ones, are no such."""
    if text.octets.isdigit() and text.longest <= _MOST_DIGITS:
        given = pc.if_else(pa.array(text.lengths > 0), text.text, "0") if text.has_blanks else text.text
        return _numpy(given.cast(pa.int64())), False
    right = pc.match_substring_regex(text.text, _WHOLE)
    return _numpy(pc.if_else(right, text.text, "0").cast(pa.int64())), ~_numpy(right)


def _seconds(text: Written) -> tuple[Int64s, Which]:
    """Whole seconds; a fraction of a second rounds up (FORMATS 4)."""
    amount, wrong = _whole(text)
    if not np.any(wrong):
        return amount, wrong
    parts = pc.extract_regex(text.text, _SECONDS)
    wrong = ~_numpy(pc.is_valid(parts))
    whole = pc.if_else(pa.array(wrong), "0", pc.struct_field(parts, "whole"))
    begun = pc.match_substring_regex(pc.fill_null(pc.struct_field(parts, "part"), ""), "[1-9]")
    return _numpy(whole.cast(pa.int64())) + _numpy(begun), wrong


def _matches(text: Column, pattern: str) -> Bools:
    return _flags(pc.match_substring_regex(text, pattern))


def _flags(column: Column) -> Bools:
    found: Bools = column.to_numpy(zero_copy_only=False)
    return found


def _numpy(column: Column) -> NDArray[Any]:
    found: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return found
