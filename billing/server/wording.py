"""What is wrong with a request, in the words of this program: pydantic finds it and names its kind, here it is said."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is nothing that is known here",
    "json_invalid": "is not JSON: {error}",
    "string_type": "is not a string",
    "string_too_short": "is shorter than {min_length} characters",
    "string_too_long": "is longer than {max_length} characters",
    "string_pattern_mismatch": "is not written as it should be",
    "int_type": "is not a whole number",
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "bool_type": "is neither true nor false",
    "bool_parsing": "is neither true nor false",
    "list_type": "is not a list",
    "tuple_type": "is not a list",
    "dict_type": "is not an object",
    "model_type": "is not an object",
    "model_attributes_type": "is not an object",
    "too_short": "has fewer than {min_length} in it",
    "too_long": "has more than {max_length} in it",
    "greater_than_equal": "is below {ge}",
    "greater_than": "is not above {gt}",
    "less_than_equal": "is above {le}",
    "less_than": "is not below {lt}",
    "enum": "is none of these",
    "literal_error": "is none of these",
    "date_type": "is not a day",
    "date_parsing": "is not a day",
    "date_from_datetime_parsing": "is not a day",
    "date_from_datetime_inexact": "is not a day",
    "datetime_type": "is not an instant",
    "datetime_parsing": "is not an instant",
    "datetime_from_date_parsing": "is not an instant",
}
"""What is said of each kind of fault, with what pydantic knows of it."""

_DAY, _INSTANT = "write it as 2026-10-31", "write it as 2026-10-01T00:00:00Z"
_REMEDIES = {
    "missing": "give it",
    "extra_forbidden": "leave it out, or mend its name; /v1/openapi.json has the names",
    "json_invalid": "send one JSON object",
    "string_type": "write it between quotation marks",
    "int_type": "write it in digits, without quotation marks",
    "int_parsing": "write it in digits",
    "bool_type": "write true or false, without quotation marks",
    "bool_parsing": "write true or false",
    "list_type": "write it between [ and ]",
    "tuple_type": "write it between [ and ]",
    "dict_type": "write it between { and }",
    "model_type": "write it between { and }",
    "model_attributes_type": "write it between { and }",
    "enum": "write {expected}",
    "literal_error": "write {expected}",
    "date_type": _DAY,
    "date_parsing": _DAY,
    "date_from_datetime_parsing": _DAY,
    "date_from_datetime_inexact": _DAY,
    "datetime_type": _INSTANT,
    "datetime_parsing": _INSTANT,
    "datetime_from_date_parsing": _INSTANT,
}

_DECIMAL = "write a plain decimal between quotation marks, as in 12.50"
FORMS = {
    r"^[^\x00-\x1f\x7f-\x9f]*$": "write it without control characters",
    r"^[^\x00-\x1f\x7f]*$": "write it without control characters",
    r"^(newest|oldest)$": "write newest or oldest",
    r"^([A-Z]{2})?$": "write the two capital letters of a country, as in GB",
    r"^([A-Z]{3})?$": "write the three capital letters of a currency, as in EUR",
    r"^(day|product|country|account)(,(day|product|country|account)){0,3}$": "write some of day, product, country and "
    "account, with commas between",
    r"^((19[7-9][0-9]|20[0-9]{2})-(0[1-9]|1[0-2]))?$": "write a month as 2026-10",
    r"^(19[7-9][0-9]|20[0-9]{2})-(0[1-9]|1[0-2])$": "write a month as 2026-10",
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$": _DAY,
    r"^[1-9][0-9]{0,5}(\.[0-9]{1,6})?$": "write how many times, as in 2 or 1.5",
    r"^(code|destination)$": "write code or destination",
    r"^([0-9]{3})?$": "write three digits, as in 234",
    r"^([0-9]{2,3})?$": "write two or three digits, as in 15",
    r"^([0-9]{1,3})?$": "write one to three digits, as in 15",
    r"^(draft|approved|final)?$": "write draft, approved or final",
    r"^(usage|credit_note)?$": "write usage or credit_note",
    r"^ep_[0-9a-f]{24}$": "write the id of an endpoint, as GET /v1/webhooks lists it",
    r"^msg_[0-9a-f]{32}$": "write the id of a message, as the deliveries of an endpoint list it",
    r"^-?[0-9]+(\.[0-9]+)?$": _DECIMAL,
    r"^[0-9]+(\.[0-9]+)?$": _DECIMAL,
    r"^[0-9]{1,13}(\.[0-9]{1,12})?$": _DECIMAL,
    r"^[0-9]{1,18}$": "write a whole number between quotation marks, as in 86400",
    r"^[0-9a-f]{64}$": "write the digest as the run told it: 64 digits and letters a to f",
}
"""How to write what a request has to write in a form of its own, by its pattern."""


class Said(NamedTuple):
    """Where something is wrong (a JSON pointer into the body, or the name of a parameter), why, and what to do."""

    pointer: str
    reason: str
    remedy: str


def said(fault: Mapping[str, Any]) -> Said:
    """One of pydantic's findings, said."""
    kind, known = str(fault["type"]), dict(fault.get("ctx") or {})
    place: Sequence[str | int] = fault["loc"]
    if kind == "json_invalid":
        position = place[1] if len(place) > 1 else ""
        known["error"] = f"{known.get('error', '')} at character {position}" if position else known.get("error", "")
        return Said("", _REASONS[kind].format_map(known), _REMEDIES[kind])
    if tuple(place) == ("body",) and kind == "missing":
        return Said("", "the body is missing", "send a JSON object")
    if kind == "value_error":  # raised by a form of this program, as `reason: remedy`
        reason, _, remedy = str(known["error"]).partition(": ")
        return Said(_pointer(place), reason, remedy)
    reason = _REASONS[kind].format_map(known) if kind in _REASONS else str(fault["msg"])
    remedy = FORMS.get(str(known.get("pattern")), "") or _REMEDIES.get(kind, "")
    return Said(_pointer(place), reason, remedy.replace("{expected}", str(known.get("expected", ""))))


def _pointer(location: Sequence[str | int]) -> str:
    place, *path = location
    if place == "body":
        return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return f"{place} {'.'.join(map(str, path))}".strip()
