"""Numbers as they were dialled, made E.164 by a stated dialling plan. What does not fit it stays as it was written.

Short codes, emergency numbers, extensions, `sip:` and `client:` addresses do not fit: they match rows with `exact`
only, and are never guessed to be numbers (ITU-T E.164: at most 15 digits; country codes begin with 1 to 9).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from billing.written import Column

SHORTEST = 7
"""Digits of the shortest number with its country code: what comes to fewer is a short code."""

SHORTEST_NATIONAL = 7
"""Digits of the shortest national number where none is marked by a trunk prefix: below are codes and extensions."""

_NANP, _NANP_DIGITS = "1", 10
_WRITTEN = r"^\+?[0-9][0-9 ()-]*$|^\([0-9][0-9 ()-]*$"
_E164 = r"^\+[1-9][0-9]{6,14}$"


@dataclass(frozen=True, slots=True, kw_only=True)
class DialingPlan:
    """How numbers are dialled where a switch stands.

    A number behind an international prefix begins with its country code; one behind a trunk prefix is national. Either
    may be "": then numbers are written that way without a prefix. Longer prefixes are looked for first.
    """

    country_code: str
    trunk: tuple[str, ...]
    international: tuple[str, ...]

    def __post_init__(self) -> None:
        if not _digits(self.country_code) or self.country_code.startswith("0") or len(self.country_code) > len("999"):
            raise ValueError(f"{self.country_code or 'nothing'} is not a country code, as in 33")
        for prefix in (*self.trunk, *self.international):
            if prefix and not _digits(prefix):
                raise ValueError(f"{prefix} is not a prefix that is dialled: digits only")
        if not self.trunk or not self.international:
            raise ValueError("a dialling plan has a trunk prefix and an international prefix; either may be empty")
        both = set(self.trunk) & set(self.international)
        if both:
            shown = ", ".join(prefix or "the empty one" for prefix in sorted(both))
            raise ValueError(f"a prefix is either a trunk prefix or an international one: {shown}")

    def numbers(self, text: Column) -> Column:
        """As many numbers, as `+` and digits where they fit the plan, else as they were written."""
        written = pc.match_substring_regex(text, _WRITTEN)
        plain = pc.if_else(written, pc.replace_substring_regex(text, "[ ()-]", ""), text)
        found = pc.if_else(pc.match_substring_regex(plain, _E164), plain, "")
        open_ = _none(found) & _numpy(pc.match_substring_regex(plain, "^[0-9]+$"))
        for prefix, is_trunk in self._prefixes():
            here = open_ & _numpy(pc.starts_with(plain, prefix)) if prefix else open_
            if not here.any():
                continue
            rest = pc.utf8_slice_codeunits(plain, len(prefix))
            number = self._national(rest, marked=bool(prefix)) if is_trunk else _foreign(rest)
            found = pc.if_else(pa.array(here), number, found)
            open_ &= ~here
        return pc.if_else(pa.array(_none(found)), text, found)

    def _prefixes(self) -> Iterable[tuple[str, bool]]:
        both = [(prefix, True) for prefix in self.trunk] + [(prefix, False) for prefix in self.international]
        return sorted(both, key=lambda pair: (-len(pair[0]), pair[0]))

    def _national(self, rest: Column, *, marked: bool) -> Column:
        digits = pc.utf8_length(rest)
        if self.country_code == _NANP:
            fits = pc.equal(digits, _NANP_DIGITS)
        else:
            fits = pc.greater_equal(digits, 1 if marked else SHORTEST_NATIONAL)
        number = pc.binary_join_element_wise(pa.scalar("+" + self.country_code), rest, "")
        return _if(pc.and_(fits, pc.match_substring_regex(number, _E164)), number)


def _foreign(rest: Column) -> Column:
    number = pc.binary_join_element_wise(pa.scalar("+"), rest, "")
    return _if(pc.match_substring_regex(number, _E164), number)


def _if(fits: Column, number: Column) -> Column:
    return pc.if_else(fits, number, "")


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _none(found: Column) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return _numpy(pc.equal(found, ""))


def _numpy(column: Column) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = column.to_numpy(zero_copy_only=False)
    return found
