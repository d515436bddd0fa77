"""Revisions of a report: which one it is, and what takes a report back.

An event may be reported again under a higher `revision`, with its whole new content; the highest one counts, in
whatever order they come. `"void": true` is a revision without content: nothing is left of the event, until a higher
one brings it back.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

from billing.particulars import Number, ParticularInvalidError
from rates.money import DecimalInvalidError, exact, parse_decimal

FIRST = 1
LAST = 2**31 - 1

FINGERPRINT_BYTES = 16
VOID_FINGERPRINT = blake2b(b"void", digest_size=FINGERPRINT_BYTES).digest()
"""What stands for the content of each void: all of one revision say the same."""


class Void(NamedTuple):
    """A report that takes an event back. Whatever else it says of the event has no meaning, and is not read."""

    source: str
    id: str
    revision: int


def is_void(given: Mapping[str, object]) -> bool:
    """Whether a payload takes its event back. Raises ParticularInvalidError."""
    void = given.get("void", False)
    if not isinstance(void, bool):
        raise ParticularInvalidError("void", "is neither true nor false")
    if void and "revision" not in given:
        raise ParticularInvalidError("revision", "is missing: a void has the number after that of what it takes back")
    return void


def revision_of(given: Mapping[str, object]) -> int:
    """Which revision of its event a payload is; 1 where it does not say. Raises ParticularInvalidError."""
    said = given.get("revision", Number(FIRST))
    if not isinstance(said, str):
        raise ParticularInvalidError("revision", "is not a number")
    try:
        number = exact(parse_decimal(str(said)))
    except DecimalInvalidError as error:
        raise ParticularInvalidError("revision", f"is not a plain number: {error.problem}") from None
    if number.denominator != 1 or not FIRST <= number <= LAST:
        raise ParticularInvalidError("revision", f"is not a whole number from {FIRST} to {LAST}")
    return number.numerator
