"""Prices, increments, flags and match values as decks write them, in the form that a rate card has.

Each distinct value of a column is read once. What a mapping does not tell is not guessed: neither the decimal sign nor
groups, nor what a blank or a 0 stands for.
"""

import re
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from rates.checking.cells import Canonical, CellInvalidError, Check, check_increments, check_price
from rates.dialects.mappings import Column
from rates.money import DecimalInvalidError

# Signs of money that decks put beside a price, and the currencies that they may stand for.
_SIGNS = {
    "US$": {"USD"},
    "$": {"USD", "AUD", "CAD", "NZD", "SGD", "HKD", "TWD", "MXN", "ARS", "CLP", "COP", "XCD", "JMD", "TTD", "BBD"},
    "€": {"EUR"},
    "£": {"GBP", "EGP", "GIP", "FKP", "SHP", "SYP", "LBP"},
    "¥": {"JPY", "CNY"},
    "₹": {"INR"},
    "₽": {"RUB"},
    "₺": {"TRY"},
    "zł": {"PLN"},
    "R$": {"BRL"},
}
_SIGN = r"[^\d\s.,+-]*"
_NUMBER = r"[+-]?[\d.,'\s]*\d(?:[eE][+-]?\d+)?"
_MONEY = re.compile(rf"(?P<before>{_SIGN})\s*(?P<number>{_NUMBER})\s*(?P<after>{_SIGN})")
_LONGEST = 100
_SPACES = "[ \u00a0\u202f]"
_PLAIN = "^([0-9]{1,12}([.][0-9]{1,12})?)?$"
_WHOLE = "^([0-9]{1,12})?$"
_INTERVAL = re.compile(r"([0-9]{1,12})\s*(?:[/:|+;-]\s*([0-9]{1,12}))?(?:\s*(?:s|sec|seconds))?", re.IGNORECASE)
_DATE_OF_INTERVAL = re.compile(r"\d{1,2}-[A-Za-z]{3}|[A-Za-z]{3}-\d{2}|\d{4}-\d{2}-\d{2}.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """Prices in a column: its decimal and group signs, its currency, its scale (`0.01`: cents)."""

    decimal: str
    group: str
    currency: str
    scale: str
    mixed: str = ""
    """That the column mixes two decimal signs, in words with an example of each, where it does."""

    def prepared(self, cells: pa.Array) -> Canonical:
        """Plain decimals as they stand, where nothing else was told; the rest is in doubt."""
        sure = _PLAIN if self.decimal == "." else _WHOLE
        good = pc.match_substring_regex(cells, sure if self.scale == "1" else "^$")
        return cells, pc.invert(good).to_numpy(zero_copy_only=False)

    def check(self, text: str) -> str:
        """The plain decimal that a cell says. Raises a `TollbookError`."""
        # What is longer than any price is not searched for one: a search takes the square of its length.
        found = _MONEY.fullmatch(text) if len(text) <= _LONGEST else None
        if found is None:
            return check_price(text)
        for sign in (found["before"], found["after"]):
            self._of_the_currency(sign, text)
        number = self._point(found["number"], text)
        try:
            return check_price(_shifted(number, len(self.scale) - 2) if self.scale != "1" else number)
        except DecimalInvalidError as error:
            remedy = "round the column to the decimals that were published" if "decimals" in error.problem else ""
            raise CellInvalidError(error.problem, value=text, remedy=remedy or error.remedy) from None

    def _of_the_currency(self, sign: str, text: str) -> None:
        if not sign or sign.upper() == self.currency or self.currency in _SIGNS.get(sign, ()):
            return
        if sign in _SIGNS or re.fullmatch("[A-Z]{3}", sign):
            problem = f"is in {sign}, the deck in {self.currency or 'no currency that is told'}"
            raise CellInvalidError(problem, value=text, remedy="tell the deck's own currency, or mend the cell")
        raise CellInvalidError("is not a price", value=text, remedy="write digits and a point, as in 0.0140")

    def _point(self, number: str, text: str) -> str:
        whole, sign, decimals = number.partition(self.decimal)
        if self.group:
            group = _SPACES if self.group == " " else re.escape(self.group)
            # What begins with 0 is not a number of thousands: 0.012 is twelve thousandths, never 12.
            if not re.fullmatch(f"[+-]?([1-9][0-9]{{0,2}}({group}[0-9]{{3}})+|[0-9]+)", whole):
                remedy = "mend the cell, or tell the signs of its numbers"
                raise self._unclear(f"has {self.group!r} where no thousands end", text, remedy)
            whole = re.sub(group, "", whole)
        elif self.decimal == "." and "," in whole + decimals:
            if _grouped(number, ",", "."):
                remedy = 'tell which: numbers.decimal = "," or numbers.group = ","'
                raise self._unclear("has a comma, of decimals or of thousands", text, remedy)
            raise self._unclear("has a comma, of decimals", text, 'tell numbers.decimal = ",", or mend the cell')
        if self.decimal == "," and "." in whole + decimals:
            remedy = 'mend the cell, or tell numbers.decimal = "." if that is so in all of them'
            if _grouped(number, ".", ","):
                read = number.replace(".", "")
                remedy = f'tell numbers.group = "." if it stands for {read}, or mend the cell'
            raise self._unclear("has a point, and its decimals stand after a comma", text, remedy)
        return f"{whole}.{decimals}" if sign else whole

    def _unclear(self, problem: str, text: str, remedy: str) -> CellInvalidError:
        if self.mixed:
            problem, remedy = self.mixed, "write all of its cells with one decimal sign"
        return CellInvalidError(problem, value=text, remedy=remedy)


def _grouped(number: str, group: str, decimal: str) -> bool:
    """Whether a sign in a number may stand between thousands."""
    pattern = rf"[+-]?[1-9][0-9]{{0,2}}({re.escape(group)}[0-9]{{3}})+({re.escape(decimal)}[0-9]*)?"
    return re.fullmatch(pattern, number.strip()) is not None


def mixed_signs(cells: pa.Array) -> str:
    """That some texts can only have decimals after a comma and others only after a point, in words; else ""."""
    if not pc.any(pc.match_substring(cells, ",")).as_py():
        return ""
    distinct = pc.unique(cells)
    found = []
    for sign in (",", "."):
        last = pc.match_substring_regex(distinct, f"^[^{sign}]*[{sign}][0-9][^.,]*$")
        thousands = pc.match_substring_regex(distinct, f"^[^0-9]*[1-9][0-9]{{0,2}}[{sign}][0-9]{{3}}[^0-9]*$")
        sure = distinct.filter(pc.and_not(last, thousands))
        if not len(sure):
            return ""
        found.append(sure[0].as_py())
    return f"is in a column that mixes two decimal signs: {found[0]} has a comma, {found[1]} a point"


def _shifted(number: str, places: int) -> str:
    """A plain decimal divided by ten to the number of places, by moving its point."""
    whole, _, decimals = number.partition(".")
    if not re.fullmatch("[0-9]+", whole):
        return number
    digits = whole.rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}{decimals}"


def check_interval(zero: str) -> Check:
    """`60/1`, `60-1`, `60:1` and `60` (60/60) as first/next; a step of 0 is `zero` where that is told."""

    def check(text: str) -> str:
        if _DATE_OF_INTERVAL.fullmatch(text):
            remedy = "format the column as text, or write its two numbers in two columns"
            raise CellInvalidError("a spreadsheet made a date of these increments", value=text, remedy=remedy)
        found = _INTERVAL.fullmatch(text)
        if found is None:
            return check_increments(text)
        first, after = found[1], found[2] if found[2] is not None else found[1]
        if int(after) == 0 or int(first) == 0:
            if not zero:
                remedy = "tell columns.increments.zero, as in 1 for by the second"
                raise CellInvalidError("has a step of 0, which can mean many things", value=text, remedy=remedy)
            after = after if int(after) else zero
            first = first if int(first) else after
        return check_increments(f"{first}/{after}")

    return check


def check_flag_of(column: Column) -> Check:
    """`true` or nothing, by the words that a column has for them."""

    def check(text: str) -> str:
        word = text.casefold()
        if word in column.true:
            return "true"
        if word in column.false:
            return ""
        remedy = f"tell columns.{column.key}.true or columns.{column.key}.false"
        raise CellInvalidError("is neither a yes nor a no that is known", value=text, remedy=remedy)

    return check


def check_value_of(column: Column) -> Check:
    """A match value: other words for it replaced, what stands for `any` emptied, padded with zeros as told."""

    def check(text: str) -> str:
        word = text.casefold()
        if word in column.default:
            return ""
        value = column.words.get(word, text)
        if column.key in {"mcc", "mnc"} and not re.fullmatch("[0-9]+", value):
            named = ", ".join(f'"{known}"' for known in (*column.default, word))
            remedy = (
                f"write its digits, zeros included, or tell columns.{column.key}.default = [{named}] if it means any"
            )
            raise CellInvalidError("is not a mobile code", value=text, remedy=remedy)
        return value.rjust(column.pad, "0") if column.pad and value.isdecimal() else value

    return check


def check_network(column: Column) -> Check:
    """A mobile network in one cell (`310410`, `310-410`, `310/410`) as mcc, space, mnc; of a whole country, `310 `."""
    plain = replace(column, words={})

    def check(text: str) -> str:
        found = re.fullmatch(r"([2-9][0-9]{2})[\s/,-]*([0-9]{0,3})", text)
        if found is None:
            remedy = "write the three digits of the country, then those of the network"
            raise CellInvalidError("is no mobile network", value=text, remedy=remedy)
        return f"{found[1]} {check_value_of(plain)(found[2]) if found[2] else ''}"

    return check
