"""The columns of a deck as columns of a card, each by the kind of its key: codes, names, amounts, dates, values."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rates.checking.cells import Check, Way, canonical, check_country, one_by_one
from rates.checking.sheet import Sheet
from rates.dialects.codes import COUNTRY, JOINT, Codes, numbers_of
from rates.dialects.dates import check_dates
from rates.dialects.files import Body, DeckFile
from rates.dialects.headers import Header
from rates.dialects.mappings import AMOUNTS, CODES, DATES, FLAGS, Column, Dialect
from rates.dialects.values import (
    Amounts,
    check_flag_of,
    check_interval,
    check_network,
    check_value_of,
    mixed_signs,
)
from rates.errors import Fault

Bools = NDArray[np.bool_]

_SURE_DIGITS = 3
_FIRST = frozenset({"country", "exact"})
"""Columns by which others are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The rows of a deck, where their columns are, and the faults so far."""

    file: DeckFile
    header: Header
    body: Body
    dialect: Dialect
    currency: str
    faults: list[Fault]

    def positions(self, key: str) -> tuple[int, ...]:
        """Where the cells of a key stand; nowhere if the dialect or the file has none."""
        column = self.dialect.columns.get(key)
        return () if column is None else self.header.positions(column)

    def names(self) -> dict[str, str]:
        """What the columns of keys are called in the file."""
        found = {key: self.positions(key) for key in self.dialect.columns}
        return {key: " + ".join(map(self.header.called, at)) for key, at in found.items() if at}

    def read(self, positions: tuple[int, ...], cells: pa.Array, way: Way) -> pa.Array:
        """Columns put together, in the form that a check gives each distinct value; faults are noted at all of them."""
        called = " + ".join(map(self.header.called, positions))
        found, faults = canonical(self._sheet(), called, cells, way)
        self.faults.extend(faults)
        return found.dictionary.take(found.indices)

    def note(self, position: int, bad: Bools, problem: str, remedy: str) -> None:
        """A fault at a column of each row that is bad."""
        called = self.header.called(position)
        self.faults.extend(self._sheet().faults(called, bad, self.body.columns[position], problem, remedy))

    def _sheet(self) -> Sheet:
        return Sheet(place=self.file.place, inline=False, lines=self.body.lines, columns={})


def single_currency(cells: Cells, told: str) -> str:
    """The currency of a deck: as told, as its dialect says, or as a column says in every row; they must agree."""
    says = told or cells.dialect.currency
    if told and cells.dialect.currency not in {"", told}:
        problem, remedy = f"decks of this dialect are in {cells.dialect.currency}", "leave --currency out"
        cells.faults.append(Fault(place=cells.file.place, value=told, problem=problem, remedy=remedy))
    for position in cells.positions("currency"):
        written = pc.utf8_upper(cells.body.columns[position])
        says = says or (written[0].as_py() if len(written) else "")
        other = pc.and_(pc.not_equal(written, says), pc.not_equal(written, ""))
        problem, remedy = f"is another currency than {says}", "a card has one currency: import each by itself"
        cells.note(position, other.to_numpy(zero_copy_only=False), problem, remedy)
    return says


def canonical_columns(cells: Cells) -> dict[str, pa.Array]:
    """The columns of the file's rows by key, `mccmnc` as mcc and mnc."""
    for name in cells.dialect.refuse:
        position = cells.header.find((name,))
        if position is not None:
            filled = pc.invert(pc.is_in(cells.body.columns[position], pa.array(["", "0", "0.0", "0.00", "0.0000"])))
            remedy = "no rate can say it here: leave it empty"
            cells.note(position, filled.to_numpy(zero_copy_only=False), "would change the price", remedy)
    found: dict[str, pa.Array] = {}
    for key, column in sorted(cells.dialect.columns.items(), key=lambda item: item[0] not in _FIRST):
        at = cells.positions(key)
        if at and key != "currency":
            found |= _read(cells, column, at, found)
    for key, column in cells.dialect.columns.items():
        if column.unless in found and key in found:
            found[key] = pc.if_else(pc.equal(found[column.unless], ""), found[key], "")
    return found


def _read(cells: Cells, column: Column, at: tuple[int, ...], found: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    key = column.key
    written = [cells.body.columns[position] for position in at]
    if key in CODES:
        return {key: _codes(cells, column, at, found)}
    if key == "destination":
        return {key: _named(written, column)}
    if key == "mccmnc":
        networks = cells.read(at, written[0], (one_by_one, check_network(column)))
        return {"mcc": pc.utf8_slice_codeunits(networks, 0, 3), "mnc": pc.utf8_slice_codeunits(networks, 4, 7)}
    if key == "mnc" and not column.pad:
        _zeros_lost(cells, at[0])
    if key == "increments":
        joined = pc.binary_join_element_wise(*written, "/")
        joined = pc.if_else(pc.equal(joined, "/"), "", joined) if len(written) > 1 else joined
        return {key: cells.read(at, joined, (one_by_one, check_interval(column.zero)))}
    if key in AMOUNTS:
        return {key: amounts(cells, at[0], written[0], column.scale)}
    return {key: cells.read(at, written[0], _way(cells, column))}


def amounts(cells: Cells, position: int, written: pa.Array, scale: str) -> pa.Array:
    """The amounts of a column whose cells are `written`: texts by the signs that are told, n texts -> n plain decimals.

    What a spreadsheet holds as a number has no signs: it is that number, whatever is told of texts.
    """
    dialect, at = cells.dialect, (position,)
    held = cells.body.numbers[position] if cells.body.numbers else None
    texts = written if held is None else pc.if_else(pa.array(held), "", written)
    way = Amounts(
        decimal=dialect.decimal,
        group=dialect.group,
        currency=cells.currency,
        scale=scale,
        mixed=mixed_signs(texts),
    )
    found = cells.read(at, texts, (way.prepared, way.check))
    if held is None:
        return found
    numbers = pa.array(held)
    way = Amounts(decimal=".", group="", currency=cells.currency, scale=scale)
    return pc.if_else(numbers, cells.read(at, pc.if_else(numbers, written, ""), (way.prepared, way.check)), found)


def _way(cells: Cells, column: Column) -> Way:
    dialect = cells.dialect
    if column.key in DATES:
        return one_by_one, check_dates(dialect.dates, dialect.timezone, inclusive=column.inclusive)
    if column.key in FLAGS:
        return one_by_one, check_flag_of(column)
    return one_by_one, _upper(check_value_of(column)) if column.key == "country" else check_value_of(column)


def _upper(check: Check) -> Check:
    def checked(text: str) -> str:
        value = check(text)
        return check_country(value.upper()) if value else ""

    return checked


def _named(written: list[pa.Array], column: Column) -> pa.Array:
    """Texts on one line, without what the column is told to remove."""
    names = written[0] if len(written) == 1 else pc.binary_join_element_wise(*written, " ")
    for text in column.remove:
        names = pc.replace_substring(names, text, "")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(names, r"[\s\x{a0}]+", " "))


def _codes(cells: Cells, column: Column, at: tuple[int, ...], found: Mapping[str, pa.Array]) -> pa.Array:
    written = [cells.body.columns[position] for position in at]
    joined = written[0] if len(written) == 1 else pc.binary_join_element_wise(*written, JOINT)
    if column.words:
        joined = _worded(cells, column, at[-1], joined, found)
    if len(at) > 1:
        joined = pc.if_else(pc.match_substring_regex(joined, f"^{JOINT}+$"), "", joined)
    if column.key == "prefixes" and not column.optional:
        none = pc.equal(joined, "").to_numpy(zero_copy_only=False)
        cells.note(at[-1], none, "is missing", "a rate without prefixes would match every number: skip the row")
    way, whole = Codes(column=column), at if column.plan else at[-1:]
    if column.key != "prefixes" or "exact" not in found:
        return cells.read(whole, joined, (way.prepared, way.check))
    exact = pc.equal(found["exact"], "true")
    codes = cells.read(whole, pc.if_else(exact, "", joined), (way.prepared, way.check))
    return pc.if_else(exact, pc.utf8_trim_whitespace(pc.replace_substring_regex(joined, r"[\s,;|]+", " ")), codes)


def _worded(cells: Cells, column: Column, position: int, written: pa.Array, found: Mapping[str, pa.Array]) -> pa.Array:
    """Words that stand for prefixes, replaced by those: as told, or those of the row's country."""
    lower = pc.utf8_lower(written)
    for word, meaning in column.words.items():
        meant = pc.equal(lower, word)
        if meaning == COUNTRY:
            countries = found.get("country", pa.repeat(pa.scalar(""), len(written)))
            distinct = pc.dictionary_encode(countries)
            sign = column.separator or " "
            lists = pa.array([sign.join(numbers_of(country)) for country in distinct.dictionary.to_pylist()])
            numbers = lists.take(distinct.indices)
            unknown = pc.and_(meant, pc.equal(numbers, "")).to_numpy(zero_copy_only=False)
            cells.note(
                position, unknown, "is a country's own numbers, and the row has no country", "tell columns.country"
            )
            written = pc.if_else(meant, numbers, written)
        else:
            written = pc.if_else(meant, meaning, written)
    return written


def _zeros_lost(cells: Cells, position: int) -> None:
    """A network code that a spreadsheet holds as a number may have been 01 or 001."""
    held = cells.body.numbers[position] if cells.body.numbers else None
    if held is not None:
        short = pc.less(pc.utf8_length(cells.body.columns[position]), _SURE_DIGITS).to_numpy(zero_copy_only=False)
        remedy = "format the column as text, or tell columns.mnc.pad = 2 if all have two digits"
        cells.note(position, held & short, "is a number in the spreadsheet: its leading zeros are lost", remedy)
