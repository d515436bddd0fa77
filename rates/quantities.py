"""What is billable of what was measured: time increments and message segments, in whole base units."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
import numpy.typing as npt

from rates.errors import TollbookError
from rates.money import DecimalInvalidError, exact, parse_decimal

Int64s = npt.NDArray[np.int64]

INT64_MAX = 2**63 - 1
MAX_SECONDS = 3653 * 86_400
"""Ten years. A longer leg is a broken clock or milliseconds taken for seconds."""


class QuantityInvalidError(TollbookError):
    """A measured quantity is no plain decimal, negative or absurd; `value` is its text."""


class QuantityOverflowError(TollbookError):
    """A column of quantities could leave int64."""


class IncrementsInvalidError(TollbookError):
    """Increments are not two positive whole numbers; `value` is their text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Increments:
    """How time is billed: `first` seconds at least, then in steps of `next` seconds (both 1 to ten years)."""

    first: int
    next: int

    def __post_init__(self) -> None:
        if not (1 <= self.first <= MAX_SECONDS and 1 <= self.next <= MAX_SECONDS):
            raise IncrementsInvalidError(
                "increments are whole seconds from 1",
                value=str(self),
                remedy="write first/next, as in 60/60 or 1/1",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """`first/next` as cards write it, such as 60/60, 30/6 or 1/1. Raises `IncrementsInvalidError`.

        Carriers' 0/0, 0/1 and the like mean different things to each of them: the dialects translate those.
        """
        match = re.fullmatch(r"([0-9]{1,12})/([0-9]{1,12})", text)
        if match is None:
            raise IncrementsInvalidError("not increments", value=text, remedy="write first/next, as in 60/60 or 1/1")
        return cls(first=int(match[1]), next=int(match[2]))

    def __str__(self) -> str:
        return f"{self.first}/{self.next}"

    def billable(self, seconds: int, grace: int = 0) -> int:
        """The billable seconds of a leg: 0 -> 0; up to `first` -> first; else first + steps of `next`.

        A leg shorter than `grace` seconds is free; a longer one is billed from its first second.
        """
        if seconds < 0 or grace < 0:
            raise QuantityInvalidError("a negative duration", value=str(min(seconds, grace)))
        if seconds == 0 or seconds < grace:
            return 0
        if seconds <= self.first:
            return self.first
        return self.first + -(-(seconds - self.first) // self.next) * self.next


def billable_column(measured: Int64s, first: Int64s, next_: Int64s, grace: Int64s | None = None) -> Int64s:
    """`Increments.billable` of n legs: int64[n] of seconds each (or columns that broadcast) -> int64[n].

    Raises `QuantityInvalidError` for a negative duration or an increment below 1, and `QuantityOverflowError`
    before anything is multiplied if a result could leave int64.
    """
    if measured.size == 0:
        return np.zeros(measured.shape, dtype=np.int64)
    if measured.min() < 0 or first.min() < 1 or next_.min() < 1:
        raise QuantityInvalidError("a negative duration or an increment below 1 in a column")
    # first + ceil((d - first) / next) * next < d + next, and a short leg gives first.
    require_headroom(max(int(measured.max()) + int(next_.max()), int(first.max())), "billable seconds")
    steps = (np.maximum(measured - first, 0) + (next_ - 1)) // next_
    billable: Int64s = steps * next_ + first
    free = measured == 0 if grace is None else (measured == 0) | (measured < grace)
    return np.where(free, np.int64(0), billable) if free.any() else billable


def require_headroom(largest: int, what: str) -> None:
    """Raises `QuantityOverflowError` if `largest`, a bound worked out in Python integers, leaves int64."""
    if largest > INT64_MAX:
        raise QuantityOverflowError(
            f"{what} could reach {largest}, beyond 64 bits",
            remedy="use a larger base unit or smaller batches",
        )


def whole_seconds(text: str) -> int:
    """The whole seconds of a plain decimal; a fraction of a second rounds up first (FORMATS 4): "61.2" -> 62.

    Raises `QuantityInvalidError` for anything else, a negative duration, and more than ten years.
    """
    try:
        # 20 places: sources print binary floats, as in 61.199999999999996.
        seconds = exact(parse_decimal(text, places=20))
    except DecimalInvalidError as error:
        raise QuantityInvalidError(error.problem, value=text, remedy=error.remedy) from error
    if seconds < 0:
        raise QuantityInvalidError("a negative duration", value=text, remedy="report the answered seconds")
    whole = -(-seconds.numerator // seconds.denominator)
    if whole > MAX_SECONDS:
        raise QuantityInvalidError("a duration of more than ten years", value=text, remedy="report seconds")
    return whole


class Encoding(StrEnum):
    """The alphabet an SMS text needs."""

    GSM_7 = "GSM-7"
    UCS_2 = "UCS-2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """How many SMS a text takes, and in which alphabet."""

    count: int
    encoding: Encoding


# 3GPP TS 23.038 (V17.0.0), 6.2.1 the default alphabet, in code order without the escape 0x1B, and 6.2.1.1 its
# extension table. 0x09 is the capital Ç: a small ç needs UCS-2.
_GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPED = "\f^{}\\[~]|€"
_GSM_7_ALL = _GSM_7.union(_ESCAPED)
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def segments(text: str) -> Segments:
    """The SMS that `text` takes: GSM-7 160 septets or 153 a part, UCS-2 70 UTF-16 code units or 67 a part.

    Parts lose six octets to the header of concatenation (3GPP TS 23.040, 9.2.3.24.1). An extension character
    takes two septets, a character beyond the BMP two code units, and neither pair is split over parts: parts
    are filled greedily, so 152 × `a` and 77 × `€` are three. An empty text is one segment: networks carry and
    charge a message without characters, and no segment would mean that nothing was sent.
    """
    if _GSM_7_ALL.issuperset(text):
        wide = sum(map(text.count, _ESCAPED))
        return Segments(count=_parts(text, wide, _ESCAPED, 160, 153), encoding=Encoding.GSM_7)
    if _SURROGATE.search(text):
        # Halves of a pair that arrived as two characters are one character again.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    astral = _ASTRAL.findall(text)
    return Segments(count=_parts(text, len(astral), frozenset(astral), 70, 67), encoding=Encoding.UCS_2)


def _parts(text: str, wide: int, pairs: str | frozenset[str], single: int, part: int) -> int:
    """Parts of a text in which the characters in `pairs` (there are `wide` of them) take two places."""
    length = len(text) + wide
    if length <= single:
        return 1
    if wide == 0:
        return -(-length // part)
    count, used = 1, 0
    for character in text:
        width = 2 if character in pairs else 1
        if used + width > part:
            count, used = count + 1, 0
        used += width
    return count
