"""Cells of a card in canonical form: each distinct value of a column is checked once, whatever the number of rows.

What is wrong with a value is described for the rows that hold it; a column with none takes a few vector operations.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rates.cards import instant
from rates.checking.sheet import Sheet
from rates.errors import Fault, Reasons, TollbookError, reason_of
from rates.money import normal, parse_decimal, parse_price
from rates.numbering import ASSIGNED
from rates.quantities import INT64_MAX, Increments
from rates.reading import parse_instant
from rates.steps import canonical_steps

Check = Callable[[str], str]
"""The canonical form of a cell that is not empty. Raises `TollbookError` for a faulty one."""

Canonical = tuple[pa.Array, NDArray[np.bool_]]
"""Distinct values in canonical form, and which of them (bool[k]) have to be looked at one by one."""

_PREFIX = "[1-9][0-9]{0,14}"
_DECIMAL = r"[0-9]{1,12}(\.[0-9]{1,12})?"
_LONGEST = 255
_PREFIX_REASONS: Reasons = (
    (
        r"(?i)^[0-9.,]+e\+?[0-9]+$",
        "a spreadsheet destroyed this prefix",
        "export the column as text",
    ),
    (r"^[0-9]{1,3}(,[0-9]{3})+$", "a spreadsheet put group signs into this prefix", "export the column as text"),
    (r"^[0-9]+\.[0-9]*$", "a spreadsheet made a decimal number of this prefix", "export the column as text"),
    (r"[,;|]", "several prefixes in one cell", "separate them with spaces"),
    (r"^\+", "begins with +", "write the digits only"),
    (r"^0", "begins with 0", "write E.164 digits: the country code first, no trunk or international prefix"),
    (r"^[0-9]+-[0-9]+$", "is a range", "list its prefixes, or import the deck with its dialect"),
    (r"^[0-9]{16,}$", "is longer than the 15 digits of E.164", "check the column"),
    (r"[^\x00-\x7f]", "has a character outside ASCII", "write it with the digits 0 to 9"),
    ("", "is not a prefix", "write E.164 digits without +"),
)


class CellInvalidError(TollbookError):
    """A cell of a card is not what its column holds; `value` is the faulty part."""


def canonical_prices(values: pa.Array) -> Canonical:
    """Lists of unit prices: `"0.0140 0.0130"` -> `"0.014 0.013"`."""
    good = pc.match_substring_regex(values, f"^({_DECIMAL}( {_DECIMAL})*)?$")
    pieces = pc.split_pattern(pc.if_else(good, values, ""), " ")
    flat = pc.replace_substring_regex(pieces.flatten(), r"^0+([0-9])", r"\1")
    flat = pc.replace_substring_regex(flat, r"(\.[0-9]*?)0+$", r"\1")
    flat = pc.replace_substring_regex(flat, r"\.$", "")
    joined = pc.binary_join(pa.ListArray.from_arrays(pieces.offsets, flat), " ")
    return joined, pc.invert(good).to_numpy(zero_copy_only=False)


def canonical_price(values: pa.Array) -> Canonical:
    """Single unit prices: `"0.0140"` -> `"0.014"`."""
    single = pc.match_substring_regex(values, f"^({_DECIMAL})?$")
    prices, _ = canonical_prices(pc.if_else(single, values, ""))
    return prices, pc.invert(single).to_numpy(zero_copy_only=False)


def canonical_prefixes(values: pa.Array) -> Canonical:
    """Lists of E.164 prefixes, sorted. Only faulty ones are looked at one by one."""
    single = pc.match_substring_regex(values, f"^({_PREFIX})?$")
    listed = pc.match_substring_regex(values, f"^{_PREFIX}( {_PREFIX})+$")
    doubtful = pc.invert(pc.or_(single, listed)).to_numpy(zero_copy_only=False)
    which = np.flatnonzero(listed.to_numpy(zero_copy_only=False))
    if len(which):
        lists, twice = sorted_lists(values.take(pa.array(which)))
        values = pc.replace_with_mask(values, listed, lists)
        doubtful[which[twice]] = True
    return values, doubtful


def sorted_lists(values: pa.Array) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Lists of items with single spaces between, each list sorted; and which of them (bool[k]) have an item twice."""
    pieces = pc.split_pattern(values, " ")
    table = pa.table({"list": pc.list_parent_indices(pieces), "item": pieces.flatten()})
    order = pc.sort_indices(table, sort_keys=[("list", "ascending"), ("item", "ascending")])
    lists, items = table["list"].combine_chunks(), table["item"].combine_chunks().take(order)
    parents = lists.to_numpy()
    same = (parents[1:] == parents[:-1]) & pc.equal(items[1:], items[:-1]).to_numpy(zero_copy_only=False)
    twice = np.zeros(len(values), dtype=bool)
    twice[parents[1:][same]] = True
    return pc.binary_join(pa.ListArray.from_arrays(pieces.offsets, items), " "), twice


def canonical_names(values: pa.Array) -> Canonical:
    """Free text on one line, as it stands."""
    good = pc.match_substring_regex(values, r"^([^\s\p{Cc}]([^\p{Cc}\x{2028}\x{2029}]*[^\s\p{Cc}])?)?$")
    return values, pc.invert(good).to_numpy(zero_copy_only=False)


def one_by_one(values: pa.Array) -> Canonical:
    """Every distinct value that is not empty is looked at by itself."""
    return values, pc.not_equal(values, "").to_numpy(zero_copy_only=False)


def check_prices(cell: str) -> str:
    """The canonical form of a list of prices."""
    return " ".join(map(check_price, cell.split()))


def check_price(text: str) -> str:
    """The canonical form of one price, not below zero."""
    value = parse_price(text)
    if value < 0:
        raise CellInvalidError("is negative", value=text, remedy="a rate charges; give money back as a credit")
    return normal(value)


def check_charge(text: str) -> str:
    """The canonical form of a fee or a number of units where zero means none."""
    price = check_price(text)
    return "" if price == "0" else price


def check_prefixes(cell: str) -> str:
    """The canonical form of a list of E.164 prefixes."""
    for prefix in cell.split():
        if re.fullmatch(_PREFIX, prefix) is None:
            raise _prefix_error(prefix)
    return _sorted(cell)


def check_exact(cell: str) -> str:
    """The canonical form of a list of whole addresses that are matched as they stand."""
    for address in cell.split():
        if address.startswith("+"):
            remedy = "without exact, list its digits as a prefix"
            raise CellInvalidError("is a number with +, which exact never matches", value=address, remedy=remedy)
        if not address.isprintable() or len(address) > _LONGEST:
            raise CellInvalidError("is not an address", value=address, remedy="write a short code, sip: or client:")
    return _sorted(cell)


def check_name(text: str) -> str:
    """Raises for free text that is no single line, or begins or ends with a space."""
    if text != text.strip():
        raise CellInvalidError("begins or ends with white space", value=text, remedy="remove it")
    raise CellInvalidError("has a control character", value=text, remedy="remove it")


def check_token(text: str) -> str:
    """A match value: no white space, no control characters."""
    if not text.isprintable() or any(map(str.isspace, text)) or len(text) > _LONGEST:
        raise CellInvalidError("has white space or control characters", value=text, remedy="remove them")
    return text


def check_code(text: str) -> str:
    """A mobile country or network code: digits, kept as text."""
    if re.fullmatch("[0-9]{1,3}", text) is None:
        raise CellInvalidError("is not a mobile code", value=text, remedy="write its 2 or 3 digits, zeros included")
    return text


def check_mcc(text: str) -> str:
    """A mobile country code: three digits (ITU-T E.212), kept as text."""
    if re.fullmatch("[0-9]{3}", text) is None:
        raise CellInvalidError("is not a mobile code", value=text, remedy="write its 3 digits, as in 248")
    return text


def check_country(code: str) -> str:
    """An ISO 3166-1 alpha-2 code."""
    if code not in ASSIGNED:
        upper = code.strip().upper()
        remedy = f"write {upper}" if upper in ASSIGNED else "write its two capital letters, as in GB"
        raise CellInvalidError("is not an ISO 3166-1 country", value=code, remedy=remedy)
    return code


def check_flag(text: str) -> str:
    """`true`, or nothing for `false`; spreadsheets write both in capitals."""
    if text.lower() not in {"true", "false"}:
        raise CellInvalidError("is neither true nor false", value=text, remedy="write true, or leave it empty")
    return "true" if text.lower() == "true" else ""


def check_increments(text: str) -> str:
    """`first/next` in whole base units."""
    return str(Increments.parse(text))


def check_whole(text: str) -> str:
    """A whole number of base units; none for 0."""
    value = parse_decimal(text)
    if re.fullmatch("[0-9]+", text) is None or value > INT64_MAX:
        raise CellInvalidError("is not a whole number of base units", value=text, remedy="write digits only")
    return "" if value.is_zero() else normal(value)


def check_instant(text: str) -> str:
    """An instant as RFC 3339 in UTC; a date stands for 00:00 UTC."""
    try:
        at = parse_instant(text)
    except ValueError:
        raise CellInvalidError("is not an instant", value=text, remedy="write it as 2026-10-01T00:00:00Z") from None
    if at.tzinfo is None:
        raise CellInvalidError("has no time zone", value=text, remedy="end it with Z or an offset")
    return instant(at.astimezone(UTC))


def one_of(allowed: Iterable[str], problem: str, remedy: str = "") -> Check:
    """A cell that is one of `allowed`."""
    known = frozenset(allowed)

    def check(text: str) -> str:
        if text not in known:
            names = ", ".join(sorted(known)) or "none"
            raise CellInvalidError(problem, value=text, remedy=remedy or f"use one of {names}")
        return text

    return check


Way = tuple[Callable[[pa.Array], Canonical], Check]
"""How a column is read: all its distinct values at once, then those in doubt one by one."""

WAYS: Mapping[str, Way] = {
    "country": (one_by_one, check_country),
    "prefixes": (canonical_prefixes, check_prefixes),
    "origin_prefixes": (canonical_prefixes, check_prefixes),
    "origin": (one_by_one, one_of(["unknown"], "is not an origin", "write unknown, or leave it empty")),
    "exact": (one_by_one, check_flag),
    "blocked": (one_by_one, check_flag),
    "mcc": (one_by_one, check_mcc),
    "mnc": (one_by_one, check_code),
    "destination": (canonical_names, check_name),
    "price": (canonical_price, check_price),
    "prices": (canonical_prices, check_prices),
    "steps": (one_by_one, canonical_steps),
    "setup_fee": (one_by_one, check_charge),
    "min_charge": (one_by_one, check_charge),
    "max_charge": (canonical_price, check_price),
    "free_units": (one_by_one, check_charge),
    "block": (one_by_one, check_charge),
    "increments": (one_by_one, check_increments),
    "grace": (one_by_one, check_whole),
    "max_quantity": (one_by_one, check_whole),
    "effective_from": (one_by_one, check_instant),
    "effective_to": (one_by_one, check_instant),
}
"""Column -> how its distinct values are read."""


def canonical(sheet: Sheet, key: str, cells: pa.Array, way: Way) -> tuple[pa.DictionaryArray, list[Fault]]:
    """A column in canonical form (dictionary-encoded, no value twice), and its faults row by row.

    A faulty cell becomes empty, so that later checks do not stumble over it.
    """
    prepare, check = way
    encoded = pc.dictionary_encode(cells)
    values, doubtful = prepare(encoded.dictionary)
    faulty: dict[int, TollbookError] = {}
    if doubtful.any():
        texts = values.to_pylist()
        written = encoded.dictionary.to_pylist()
        for i in np.flatnonzero(doubtful).tolist():
            try:
                texts[i] = check(written[i])
            except TollbookError as error:
                faulty[i], texts[i] = error, ""
        values = pa.array(texts, pa.string())
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    faults = _faults(sheet, key, codes, faulty)
    if values is not encoded.dictionary:
        # "0.10" and "0.1" were two values and are one now.
        distinct = pc.dictionary_encode(values)
        codes = distinct.indices.to_numpy(zero_copy_only=False)[codes]
        values = distinct.dictionary
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), values), faults


def _faults(sheet: Sheet, key: str, codes: NDArray[np.int32], faulty: Mapping[int, TollbookError]) -> list[Fault]:
    if not faulty:
        return []
    rows = np.flatnonzero(np.isin(codes, np.array(list(faulty), dtype=np.int64)))
    found = zip(rows.tolist(), codes[rows].tolist(), strict=True)
    return [faulty[code].fault(sheet.at(row, key)) for row, code in found]


def _sorted(cell: str) -> str:
    items = cell.split()
    if len(set(items)) != len(items):
        twice = next(item for item in items if items.count(item) > 1)
        raise CellInvalidError("is listed twice in this row", value=twice, remedy="list it once")
    return " ".join(sorted(items))


def _prefix_error(prefix: str) -> CellInvalidError:
    problem, remedy = reason_of(prefix, _PREFIX_REASONS)
    return CellInvalidError(problem, value=prefix, remedy=remedy)
