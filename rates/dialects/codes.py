"""Prefixes as decks write them: `+44`, `0044`, `^93.*`, `9370-9372`, many in one cell, country and area code apart.

What could mean two things is not guessed: a hyphen (a range, or a country and an area code), `1,204,250` (three codes,
or one with group signs), an area code that begins with the trunk prefix 0.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rates.checking.cells import Canonical, CellInvalidError, check_prefixes, sorted_lists
from rates.dialects.mappings import Column
from rates.errors import TollbookError
from rates.numbering import PLAN

JOINT = "\x1f"
"""Between the country code and the area codes of one cell, where they stood in columns of their own."""

SKIP, COUNTRY = "skip", "country"
"""What a word instead of prefixes may be told to mean: a row that is left out; the numbers of the row's country."""

# Countries whose national numbers begin with 0 and are dialled with it from abroad (ITU-T E.164 numbering plans of
# Italy, San Marino, Côte d'Ivoire since 2021, Benin since 2024, Gabon since 2019, Congo).
_ZERO_KEPT = ("39", "378", "225", "229", "241", "242")
_PLAIN = "[1-9][0-9]{0,14}"
_WRITTEN = rf"\^?(?:\+|00)?({_PLAIN})(?:\.\*)?\$?"
_GROUPED = re.compile("[0-9]{1,3}(,[0-9]{3})+")
_RANGE = re.compile("([0-9]{1,15})-([0-9]{1,15})")
_PATTERN = re.compile(r"\^?(?:00|\\?\+)?([0-9]*)(?:\.\*|\[0-9\]\*)?\$?")
_NANP = re.compile("1?([2-9][0-9]{2}(?:[2-9][0-9]{2}[0-9]?)?)")
_SEPARATORS = r"[\s,;|/]+"
_SPANNED = 10_000
_SHARED = frozenset(known[:length] for known in PLAN for length in range(1, len(known)))
"""Prefixes in which the plan knows longer ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """How the cells of one column of codes are read: all distinct ones at once, those in doubt one by one."""

    column: Column

    def prepared(self, cells: pa.Array) -> Canonical:
        """Single codes, with `+` and `00` and as `^93.*` too, and lists of them; whatever else is in doubt."""
        if self.column.plan:
            parts = f"^1?([2-9][0-9]{{2}}){JOINT}?([2-9][0-9]{{2}})?{JOINT}?([0-9]?)$"
            plain = pc.replace_substring_regex(cells, parts, r"1\1\2\3")
            good = pc.match_substring_regex(plain, "^(1[2-9][0-9]{2}([2-9][0-9]{2}[0-9]?)?)?$")
        else:
            plain = pc.replace_substring_regex(cells, rf"^{_WRITTEN}$", r"\1")
            plain = pc.replace_substring_regex(plain, f"^(?:\\+|00)?([1-9][0-9]{{0,3}}){JOINT}([1-9][0-9]*)?$", r"\1\2")
            good = pc.match_substring_regex(plain, f"^({_PLAIN})?$")
        doubtful = pc.invert(good).to_numpy(zero_copy_only=False)
        prepared = pc.if_else(good, plain, cells)
        return (prepared, doubtful) if self.column.plan or not doubtful.any() else self._lists(prepared, doubtful)

    def _lists(self, cells: pa.Array, doubtful: NDArray[np.bool_]) -> Canonical:
        sign = {"": _SEPARATORS, " ": r"\s+"}.get(self.column.separator, rf"\s*[{self.column.separator}]\s*")
        listed = pc.match_substring_regex(cells, f"^{_WRITTEN}({sign}{_WRITTEN})+$")
        if not self.column.separator:
            listed = pc.and_not(listed, pc.match_substring_regex(cells, f"^{_GROUPED.pattern}$"))
        which = np.flatnonzero(listed.to_numpy(zero_copy_only=False) & doubtful)
        if not len(which):
            return cells, doubtful
        pieces = pc.split_pattern_regex(cells.take(pa.array(which)), sign)
        items = pc.replace_substring_regex(pieces.flatten(), rf"^{_WRITTEN}$", r"\1")
        lists, twice = sorted_lists(pc.binary_join(pa.ListArray.from_arrays(pieces.offsets, items), " "))
        mask = np.zeros(len(cells), dtype=bool)
        mask[which[~twice]] = True
        filled = pc.replace_with_mask(cells, pa.array(mask), lists.filter(pa.array(~twice)))
        return filled, doubtful & ~mask

    def check(self, cell: str) -> str:
        """The canonical form of a cell: its prefixes, separated by spaces. Raises `CellInvalidError`.

        Of a plan's code in several columns the value of a fault is all of it: none of its parts is one.
        """
        try:
            return self._checked(cell)
        except TollbookError as error:
            if JOINT not in cell or not self.column.plan:
                raise
            whole = " ".join(filter(None, cell.split(JOINT)))
            raise CellInvalidError(error.problem, value=whole, remedy=error.remedy) from None

    def _checked(self, cell: str) -> str:
        before, joint, rest = cell.rpartition(JOINT)
        country = "".join(self._digits(part, part) for part in before.split(JOINT)) if joint else ""
        codes = self._codes(country, rest)
        if not codes:
            raise CellInvalidError("holds no prefix", value=cell.replace(JOINT, " ").strip(), remedy="check the column")
        return check_prefixes(" ".join(codes))

    def _codes(self, country: str, rest: str) -> list[str]:
        items = self._items(rest)
        if country and not items:
            return [self._planned(country, country)]
        return [self._planned(country + code, item) for item in items for code in self._spread(item, country)]

    def _items(self, cell: str) -> list[str]:
        sign = self.column.separator
        if not sign and _GROUPED.fullmatch(cell):
            remedy = 'export the column as text, or tell separator = "," if these are several prefixes'
            raise CellInvalidError("a spreadsheet may have put group signs into this prefix", value=cell, remedy=remedy)
        # In two steps: in one, a search takes the square of the length of white space.
        even = re.sub(r" ?[-\u2013\u2014] ?", "-", re.sub(r"\s+", " ", cell))
        items = re.split({"": _SEPARATORS, " ": r"\s+"}.get(sign, re.escape(sign)), even)
        return [item.strip() for item in items if item.strip()]

    def _spread(self, item: str, country: str) -> Iterator[str]:
        found = _RANGE.fullmatch(item.lstrip("+")) or (_RANGE.fullmatch(item.removeprefix("00")))
        if found is None or self.column.hyphen == "join":
            yield self._area(
                self._digits(item.replace("-", "") if found else item, item, inner=bool(country)), country, item
            )
        elif self.column.hyphen == "range":
            for code in expanded(found[1], found[2], item):
                yield self._area(code, country, item)
        else:
            problem = "is a range, or a country and an area code"
            raise CellInvalidError(problem, value=item, remedy='tell which: hyphen = "range" or hyphen = "join"')

    def _digits(self, code: str, item: str, *, inner: bool = False) -> str:
        found = re.fullmatch("([0-9]+)", code) if inner else _PATTERN.fullmatch(code)
        if found is not None and found[1]:
            return found[1]
        if item.isalpha() and self.column.key == "origin_prefixes":
            name = f"columns.{self.column.key}.words.{item.casefold()}"
            remedy = f"tell what {name} stands for: prefixes, {COUNTRY} (those of the row's own), or {SKIP}"
            raise CellInvalidError("is a word instead of prefixes", value=item, remedy=remedy)
        sign = self.column.separator
        if sign and not _GROUPED.fullmatch(item) and re.fullmatch(rf"\^?\+?[0-9]+({_SEPARATORS}\+?[0-9]+)+", item):
            other = re.sub(r"[0-9+^\s]", "", item)[:1] or " "
            setting = f'columns.{self.column.key}.separator = "{other}"'
            remedy = f"separate them with {_called(sign)}, or tell {setting} if all are"
            raise CellInvalidError("several prefixes in one cell", value=item, remedy=remedy)
        check_prefixes(item)
        raise CellInvalidError("is not a prefix", value=item, remedy="write E.164 digits")

    def _area(self, code: str, country: str, item: str) -> str:
        if not country or not code.startswith("0") or country in _ZERO_KEPT:
            return code
        if self.column.trunk:
            return code.removeprefix(self.column.trunk)
        remedy = 'write it without, or tell trunk = "0"'
        raise CellInvalidError("begins with the trunk prefix 0 inside a country", value=item, remedy=remedy)

    def _planned(self, code: str, item: str) -> str:
        if not self.column.plan:
            return code
        found = _NANP.fullmatch(code)
        if found is None:
            remedy = "write NPA, NPA-NXX or NPA-NXX-X, with the country code 1 or without"
            raise CellInvalidError("is no code of the North American plan", value=item, remedy=remedy)
        return f"1{found[1]}"


def _called(sign: str) -> str:
    return {" ": "spaces", ",": "commas"}.get(sign, sign)


def expanded(first: str, last: str, item: str) -> list[str]:
    """The fewest prefixes that cover a range: 9370-9379 -> 937, 9370-72 -> 9370 9371 9372.

    The end may be shortened to the digits in which it differs. Raises `CellInvalidError`.
    """
    end = first[: len(first) - len(last)] + last
    if len(end) != len(first) or end < first or int(end) - int(first) >= _SPANNED:
        remedy = "write first-last with as many digits, the smaller first"
        raise CellInvalidError("is no range of prefixes", value=item, remedy=remedy)
    return list(_covering(int(first), int(end), len(first)))


def numbers_of(country: str) -> list[str]:
    """The fewest prefixes that cover the numbers of a country, and of no other, by the numbering plan."""
    return [prefix for start in "123456789" for prefix in _owned(start, country, PLAN.get(start))]


def _owned(prefix: str, country: str, owner: str | None) -> Iterator[str]:
    if prefix not in _SHARED:
        if owner == country:
            yield prefix
        return
    for digit in "0123456789":
        yield from _owned(prefix + digit, country, PLAN.get(prefix + digit, owner))


def _covering(first: int, last: int, length: int) -> Iterator[str]:
    while first <= last:
        size, shorter = 1, 0
        while first % (size * 10) == 0 and first + size * 10 - 1 <= last and shorter + 1 < length:
            size, shorter = size * 10, shorter + 1
        yield str(first).rjust(length, "0")[: length - shorter]
        first += size
