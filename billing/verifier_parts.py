"""What the verifier makes of what few events say (FORMATS 4): several packages, and charges that an event brings."""

from collections.abc import Mapping
from dataclasses import replace

import billing.verifier_usage as given
from billing.verifier_usage import InputFaultError, Usage, text

MONEY = 10**9  # charges are counted in billionths


def packages_of(usage: Usage) -> list[tuple[str, str]]:
    """The packages that a look-up asks for, by name, each with its own status; "" where it is the event's."""
    found = list[tuple[str, str]]()
    listed = usage.fields.get("packages") or ()
    for each in listed if isinstance(listed, list | tuple) else [None]:
        name, status = (text(each, "name"), text(each, "status")) if isinstance(each, Mapping) else (each, "")
        if not isinstance(name, str) or not name or name in dict(found):
            raise InputFaultError(usage.place, "packages must be a list of names, or {name, status}, each once")
        found.append((name, status))
    return sorted(found)


def parts_of(usage: Usage) -> list[Usage]:
    """An event of several packages as many events, each of which asks for one; any other as it is."""
    parts = []
    for name, status in packages_of(usage):
        said = {"packages": [name], "quantity": 1, **({"status": status} if status else {})}
        parts.append(replace(usage, fields={**usage.fields, **said}))
    return parts or [usage]


def charges_of(usage: Usage) -> dict[str, int]:
    """What the event brings for elements, in billionths; never more than the most that it names."""
    found = {}
    charges = given.table(usage.fields, "charges")
    for name in charges:
        said, place = charges[name], f"{usage.place} charges.{name}"
        amounts = [said[key] for key in ("price", "max") if key in said] if isinstance(said, Mapping) else [said]
        charge = min(given.exact(amount, place) for amount in amounts) * MONEY
        if charge < 0 or charge.denominator != 1:
            raise InputFaultError(place, f"{said!r} is not a charge of 9 decimals at most")
        found[name] = charge.numerator
    return found
