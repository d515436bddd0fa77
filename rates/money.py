"""Exact decimals, currencies and rounding: the only place that touches `Decimal`.

`Decimal` only parses and prints. It rounds silently at 28 digits, so nothing here calculates with it: prices
become `Fraction` at once, money is an integer of minor units, and it is rounded where the caller says, once.
"""

import re
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import NewType

from rates.errors import Reasons, TollbookError, reason_of

Currency = NewType("Currency", str)
"""An ISO 4217 alphabetic code that `currency()` has accepted."""

# ISO 4217:2015, List One (currency and funds codes in use), as known in January 2026: every active code with a
# minor unit. Left out: the thirteen without one (metals XAG XAU XPD XPT, XDR, XTS, XXX, ...) and withdrawn
# codes (ANG -> XCG, BGN -> EUR, CUC, HRK -> EUR, SLL -> SLE, ZWL -> ZWG).
_TWO = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF
IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK
MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP
SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG
YER ZAR ZMW ZWG
"""
_ZERO = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"

EXPONENTS = {
    Currency(code): exponent
    for exponent, codes in ((0, _ZERO), (2, _TWO), (3, _THREE), (4, _FOUR))
    for code in codes.split()
}
"""Currency -> number of decimals of its minor unit (ISO 4217)."""

_PLAIN = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?")
_SIGNIFICANT = 24
_LONGEST_FRACTION = 400
_THREE_DECIMALS = 3
_REASONS: Reasons = (  # from certain to general
    (r"^$", "nothing stands here", "write a plain decimal"),
    (r"(?i)^[+-]?s?nan|^[+-]?inf", "not a finite number", "write a plain decimal"),
    (r"[^\x00-\x7f]", "a character outside ASCII", "write it with the digits 0 to 9 and a point"),
    (r"\s", "white space in a number", "remove it"),
    (r"_", "an underscore in a number", "remove it"),
    (r"^\+", "a leading plus sign", "remove it"),
    (r"(?i)^-?[0-9.]+e[+-]?[0-9]+$", "an exponent", "write all its digits"),
    (r",", "a comma in a number", "write the decimals after a point, and no group signs"),
    (r"^-?\.[0-9]|^-?[0-9]+\.$", "no digit on one side of the decimal point", "write it, as in 0.5"),
    ("", "not a plain decimal", "write digits and a point, as in 0.0140"),
)


class DecimalInvalidError(TollbookError):
    """A text is not a plain decimal within its bounds; `value` is the text."""


class CurrencyUnknownError(TollbookError):
    """A code is not an active ISO 4217 currency with a minor unit; `value` is the code."""


class RoundingMode(StrEnum):
    """How a value between two steps is rounded (FORMATS 2, `rounding.mode`)."""

    HALF_UP = "half-up"  # to the nearest, ties away from zero
    HALF_EVEN = "half-even"  # to the nearest, ties to the even step
    UP = "up"  # away from zero
    DOWN = "down"  # to zero


def parse_decimal(text: str, *, places: int = 12, whole: int = _SIGNIFICANT) -> Decimal:
    """The plain decimal `-?digits[.digits]` that `text` is, its decimals kept as given; -0 becomes 0.

    At most `places` decimals, `whole` digits before the point (leading zeros aside), 24 significant in all.
    Raises `DecimalInvalidError`, which says why: exponents, NaN, Infinity, leading `+`, spaces, underscores,
    group signs and other scripts' digits are not plain decimals.
    """
    match = _PLAIN.fullmatch(text)
    if match is None:
        raise _not_plain(text)
    before, after = match[1].lstrip("0"), match[2] or ""
    if len(after) > places:
        raise _out_of_bounds(text, f"{len(after)} decimals, but at most {places} are allowed")
    if len(before) > whole:
        raise _out_of_bounds(text, f"{len(before)} digits before the point, but at most {whole} are allowed")
    significant = len((before + after).lstrip("0"))
    if significant > _SIGNIFICANT:
        raise _out_of_bounds(text, f"{significant} significant digits, but at most {_SIGNIFICANT} are allowed")
    value = Decimal(text)
    return value.copy_abs() if value.is_zero() else value


def parse_price(text: str) -> Decimal:
    """`parse_decimal` within numeric(24,12), the column of unit prices: 12 digits, point, 12 digits."""
    return parse_decimal(text, places=12, whole=12)


def _not_plain(text: str) -> DecimalInvalidError:
    problem, remedy = reason_of(text, _REASONS)
    return DecimalInvalidError(problem, value=text, remedy=remedy)


def _out_of_bounds(text: str, problem: str) -> DecimalInvalidError:
    return DecimalInvalidError(problem, value=text, remedy="shorten it")


def exact(decimal: Decimal) -> Fraction:
    """The same number as a fraction. A NaN or an infinity, which `parse_decimal` never yields, is refused."""
    if not decimal.is_finite():
        raise DecimalInvalidError("not a finite number", value=str(decimal))
    return Fraction(decimal)


def plain(decimal: Decimal) -> str:
    """`decimal` without an exponent, its decimals as given: 1E+3 -> "1000", 0.0140 -> "0.0140"."""
    return format(decimal, "f")


def normal(decimal: Decimal) -> str:
    """The canonical text of the number: no exponent, no trailing zeros, "0" for every zero."""
    text = plain(decimal)
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def currency(code: str) -> Currency:
    """The currency of an ISO 4217 code in capitals. Raises `CurrencyUnknownError`."""
    if code not in EXPONENTS:
        raise CurrencyUnknownError(
            "not an active ISO 4217 currency", value=code, remedy="write its three capital letters, as in EUR"
        )
    return Currency(code)


def invoice_step(currency: Currency) -> int:
    """The smallest difference between two invoice amounts, in minor units.

    Three-decimal currencies invoice in steps of 0.010: EN 16931 amounts have two decimals, and gateways
    refuse a last digit other than zero.
    """
    return 10 if EXPONENTS[currency] == _THREE_DECIMALS else 1


def round_ratio(numerator: int, denominator: int) -> int:
    """The integer nearest to numerator over denominator (> 0), ties away from zero."""
    if denominator <= 0:
        raise ZeroDivisionError(f"the denominator of a ratio must be positive, not {denominator}")
    nearest = (2 * abs(numerator) + denominator) // (2 * denominator)
    return nearest if numerator >= 0 else -nearest


def rounded(numerator: int, denominator: int, mode: RoundingMode) -> int:
    """The integer that numerator (>= 0) over denominator (> 0) is rounded to.

    Raises ValueError for a negative ratio: nothing that is rounded by a mode is below zero.
    """
    if numerator < 0 or denominator <= 0:
        raise ValueError(f"{numerator}/{denominator} is not a ratio from 0")
    whole, rest = divmod(numerator, denominator)
    match mode:
        case RoundingMode.DOWN:
            return whole
        case RoundingMode.UP:
            return whole + (rest > 0)
        case RoundingMode.HALF_UP:
            return whole + (2 * rest >= denominator)
        case RoundingMode.HALF_EVEN:
            return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))


def format_minor(minor: int, currency: Currency) -> str:
    """Minor units as a plain decimal of major units: 1230 -> "12.30" in EUR, "1230" in JPY."""
    return _point(minor, EXPONENTS[currency])


def format_fraction(value: Fraction) -> str:
    """The exact number: a plain decimal if it ends ("0.004"), else one in lowest terms ("-1/300")."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    return _point(value.numerator * 10**places // value.denominator, places)


def parse_fraction(text: str) -> Fraction:
    """What `format_fraction` and `str(Fraction)` write, up to 400 characters, read back.

    Raises `DecimalInvalidError`.
    """
    plausible = re.fullmatch(r"-?[0-9]+(\.[0-9]+|/0*[1-9][0-9]*)?", text)
    if plausible is None or len(text) > _LONGEST_FRACTION:
        raise DecimalInvalidError("neither a plain decimal nor a fraction", value=text, remedy="write it as in -1/300")
    return Fraction(text)


def _point(units: int, places: int) -> str:
    digits = str(abs(units)).rjust(places + 1, "0")
    cut = len(digits) - places
    return ("-" if units < 0 else "") + (f"{digits[:cut]}.{digits[cut:]}" if places else digits)
