"""What few events say, and what no column of theirs holds: several packages, brought charges, another way of delivery.

Each is one text in canonical form, so that what means the same is the same, kept beside the declared dimensions:

    packages        [["caller_name", ""], ["sim_swap", "failed"]]: names in order, each with its own status
    charges         {"carrier_fee": "0.003"}: the element, and what it comes to for the whole event
    delivered_as    sms
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal

from rates.money import DecimalInvalidError, normal, parse_decimal
from rates.products import CHARGES, DELIVERED_AS, MONEY_DECIMALS, PACKAGES

LONGEST_TEXT = 200

BROUGHT = ("usage", "surcharge", "carrier_fee")
"""The elements that an event may bring a charge for; what the product's rules name has its price from a card."""

MOST_CHARGED = 1_000_000
"""The most that an event may bring for an element; 9,000 such charges still add up in 64 bits."""


class Number(str):
    """The text of a JSON number, as it was written."""

    __slots__ = ()


class ParticularInvalidError(Exception):
    """`key` is the place in the payload, `reason` what is wrong there."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key, self.reason = key, reason


def package_of(given: Mapping[str, object]) -> str:
    """The one data package of a look-up that says nothing more of it; "" where there is none, or more is said."""
    packages = packages_of(given)
    return packages[0][0] if len(packages) == 1 and not packages[0][1] else ""


def particulars_of(given: Mapping[str, object]) -> dict[str, str]:
    """What a payload says of all this, in canonical form. Raises ParticularInvalidError."""
    found = {}
    packages = packages_of(given)
    if packages and not package_of(given):
        found[PACKAGES] = _json(packages)
    if charges := _charges(given):
        found[CHARGES] = _json(charges)
    if delivered_as := _text(given.get(DELIVERED_AS, ""), DELIVERED_AS):
        found[DELIVERED_AS] = delivered_as
    if charges and len(packages) > 1:
        raise ParticularInvalidError(CHARGES, "stands beside several packages: report each package by itself")
    if charges and PACKAGES in found:
        raise ParticularInvalidError(CHARGES, "stands beside a package's own status: give it as that of the event")
    return found


def in_words(name: str, text: str) -> str:
    """A particular for people, from its canonical form: `caller_name, sim_swap failed`, `carrier_fee 0.003`.

    Of anything else the text itself.
    """
    if name not in {PACKAGES, CHARGES}:
        return text
    said = json.loads(text)
    pairs = said.items() if isinstance(said, dict) else said
    return ", ".join(" ".join(filter(None, pair)) for pair in pairs)


def packages_of(given: Mapping[str, object]) -> list[tuple[str, str]]:
    """The packages of a look-up and the status of each, "" where it is the event's, in the order of their names."""
    listed = given.get(PACKAGES, [])
    if not isinstance(listed, list):
        raise ParticularInvalidError(PACKAGES, 'is not a list of packages, as in ["caller_name"]')
    if PACKAGES in given and not listed:
        raise ParticularInvalidError(PACKAGES, "names no package: list those that were asked for")
    found = [_package(each, f"{PACKAGES}/{place}") for place, each in enumerate(listed)]
    for place, (name, _) in enumerate(found):
        if name in [before for before, _ in found[:place]]:
            raise ParticularInvalidError(f"{PACKAGES}/{place}", "is asked for twice in one request")
    return sorted(found)


def _package(value: object, key: str) -> tuple[str, str]:
    if isinstance(value, Mapping):
        for name in value:
            if name not in {"name", "status"}:
                raise ParticularInvalidError(key, "is not the name of a package, or {name, status}")
        name, status = _text(value.get("name", ""), f"{key}/name"), _text(value.get("status") or "", f"{key}/status")
        key = f"{key}/name"
    else:
        name, status = _text(value, key, "is not the name of a package"), ""
    if not name:
        raise ParticularInvalidError(key, "is not the name of a package")
    return name, status


def _charges(given: Mapping[str, object]) -> dict[str, str]:
    charges = given.get(CHARGES, {})
    if not isinstance(charges, Mapping):
        raise ParticularInvalidError(CHARGES, "is not an object of elements and what they come to")
    for name in charges:
        if name not in BROUGHT:
            raise ParticularInvalidError(CHARGES, f"may be brought for {', '.join(BROUGHT)} only")
    return {name: _charge(charges[name], f"{CHARGES}/{name}") for name in sorted(charges)}


def _charge(value: object, key: str) -> str:
    """What an element comes to: what is said, but no more than the most that is said beside it."""
    if not isinstance(value, Mapping):
        return normal(_amount(value, key))
    for name in value:
        if name not in {"price", "max"}:
            raise ParticularInvalidError(key, "is not a price, or {price, max}")
    if "price" not in value:
        raise ParticularInvalidError(f"{key}/price", "is missing")
    amounts = [_amount(value[name], f"{key}/{name}") for name in ("price", "max") if name in value]
    return normal(min(amounts))


def _amount(value: object, key: str) -> Decimal:
    if not isinstance(value, str):
        raise ParticularInvalidError(key, "is not a number")
    try:
        amount = parse_decimal(str(value), places=MONEY_DECIMALS)
    except DecimalInvalidError as error:
        raise ParticularInvalidError(key, f"is not a plain number: {error.problem}") from None
    if amount < 0:
        raise ParticularInvalidError(key, "is negative")
    if amount > MOST_CHARGED:
        raise ParticularInvalidError(key, f"is absurd: more than {MOST_CHARGED} for one event")
    return amount


def _text(value: object, key: str, problem: str = "is not a string") -> str:
    if isinstance(value, Number) or not isinstance(value, str):
        raise ParticularInvalidError(key, problem)
    if len(value) > LONGEST_TEXT:
        raise ParticularInvalidError(key, f"is longer than {LONGEST_TEXT} characters")
    if not value.isprintable():
        raise ParticularInvalidError(key, "has a control character or half a character in it")
    return value


def _json(value: Mapping[str, str] | Sequence[tuple[str, str]]) -> str:
    return json.dumps(value, separators=(",", ":"))
