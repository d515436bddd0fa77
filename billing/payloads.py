"""One payload at a time: a usage event as JSON, checked key by key, with a pointer to what is wrong with it.

The careful way, for payloads that the columnar way (`billing.usage`) does not understand at a glance. Both accept
the same payloads: what is plain passes there, everything else is decided here.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import NamedTuple

from msgspec import Struct, field

from billing.particulars import Number as _Number
from billing.particulars import ParticularInvalidError, package_of, packages_of, particulars_of
from billing.revisions import Void, is_void, revision_of
from rates.money import DecimalInvalidError, exact, parse_decimal
from rates.numbering import ASSIGNED
from rates.products import DELIVERED_AS, DIMENSIONS, PARTICULARS, STATES, Product
from rates.quantities import MAX_SECONDS, QuantityInvalidError, segments, whole_seconds

LONGEST_LINE = 65_536
"""Bytes of one payload. The longest honest one, a long message with its text, is far below."""

LONGEST_TEXT = 200
MAX_QUANTITY = 10**12
"""The most base units of one event, such as a terabyte in bytes; 9,000,000 such events still add up in 64 bits.

The bound stands here, at the door, because sums beyond 64 bits can be neither folded nor billed. What is measured in
seconds has a lower one, `rates.quantities.MAX_SECONDS`, and of a product's own field its file may state the `most`.
"""

INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
E164 = r"\+[1-9][0-9]{0,14}"
FORMS = {
    "country": ("|".join(sorted(ASSIGNED)), "is not an ISO 3166-1 country: write its two capital letters, as in GB"),
    "mcc": ("[0-9]{3}", "is not three digits, as in 310"),
    "mnc": ("[0-9]{1,3}", "is not one to three digits"),
}
"""What a text must look like beyond being short and printable, and what is said of one that does not."""

WRITTEN_APART = r"[+0-9().\-/\s]*"
"""A number as people write it, with white space. A sender's name may have some too, and is no number."""

REQUIRED = ("id", "account", "product", "occurred_at")
TEXTS = ("country", "mcc", "mnc", "number_type", "region", "jurisdiction", "status", "error_code")
OWN_FIELDS: Mapping[str, tuple[str, ...]] = {
    "quantity": (),
    "duration_seconds": ("duration_seconds",),
    "segments": ("segments", "text"),
    "bytes": ("bytes_sent", "bytes_received"),
    "packages": ("packages",),
}
"""A product's measure -> the fields that say it, beside `quantity`."""

_MEASURED = ("duration_seconds", "segments", "text", "bytes_sent", "bytes_received", "packages")
KEYS = {
    *REQUIRED, *TEXTS, *_MEASURED, *PARTICULARS,
    "source", "to", "from", "rated_to", "quantity", "attributes", "revision", "void",
}  # fmt: skip
_ENVELOPE = {"specversion", "source", "id", "time", "subject", "type", "data", "datacontenttype", "dataschema"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Flat(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False, kw_only=True):
    """A payload without nesting: the shape of nearly all of them. What it does not state is None.

    The last two are filled from nested fields only: payloads that are not ASCII are not decoded at a glance, so that
    none sets them by their names here.
    """

    id: str | None = None
    account: str | None = None
    product: str | None = None
    occurred_at: str | None = None
    source: str | None = None
    to: str | None = None
    from_: str | None = field(name="from", default=None)
    rated_to: str | None = None
    country: str | None = None
    mcc: str | None = None
    mnc: str | None = None
    number_type: str | None = None
    region: str | None = None
    jurisdiction: str | None = None
    status: str | None = None
    error_code: str | None = None
    revision: str | int | None = None
    quantity: str | int | None = None
    duration_seconds: str | int | None = None
    segments: str | int | None = None
    bytes_sent: str | int | None = None
    bytes_received: str | int | None = None
    package: str | None = field(name="package·", default=None)
    attributes: str | None = field(name="attributes·", default=None)


class Fault(NamedTuple):
    """What is wrong with a payload: a JSON pointer (RFC 6901) to the place, and the reason."""

    pointer: str
    reason: str


class _FaultError(Exception):
    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.fault = Fault(f"/{key}" if key else "", reason)


def read_payload(line: bytes, source: str | None, products: Mapping[str, Product]) -> Flat | Void | Fault:
    """The event that one payload states, in the plainest form, or that it takes back; or what is wrong with it.

    With a `source`, payloads may leave theirs out, but not name another.
    """
    try:
        given = _json(line)
        if "specversion" in given:
            given = _unwrapped(given)
        given = {key: value for key, value in given.items() if value is not None}
        _check_keys(given)
        return _void(given, source) if is_void(given) else _flat(given, source, products)
    except _FaultError as error:
        return error.fault
    except ParticularInvalidError as error:
        return Fault(f"/{error.key}", error.reason)


def _json(line: bytes) -> dict[str, object]:
    if len(line) > LONGEST_LINE:
        raise _FaultError("", f"is longer than {LONGEST_LINE} bytes")
    try:
        value = json.loads(
            line.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_Number,
            parse_int=_Number,
            parse_constant=_constant,
        )
    except UnicodeDecodeError:
        raise _FaultError("", "is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _FaultError("", f"is not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise _FaultError("", "is nested too deeply") from None
    if not isinstance(value, dict):
        raise _FaultError("", "is not a JSON object")
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _FaultError(_shown(key), "is given twice")
        found[key] = value
    return found


def _constant(name: str) -> object:
    raise _FaultError("", f"is not JSON: {name}")


def _unwrapped(given: Mapping[str, object]) -> dict[str, object]:
    """The plain form of a CloudEvents 1.0 envelope."""
    for key in given:
        if key not in _ENVELOPE:
            raise _FaultError(_shown(key), "is not an attribute of a usage event in CloudEvents form")
    if given["specversion"] != "1.0":
        raise _FaultError("specversion", "is not 1.0")
    kind, data = given.get("type"), given.get("data", {})
    if not isinstance(kind, str) or not kind.startswith("usage."):
        raise _FaultError("type", "is not usage. and a product")
    if not isinstance(data, dict):
        raise _FaultError("data", "is not an object")
    head = {"id": given.get("id"), "occurred_at": given.get("time"), "account": given.get("subject")}
    head |= {"source": given.get("source"), "product": kind.removeprefix("usage.")}
    for key in data:
        if key in head:
            raise _FaultError(f"data/{key}", "belongs to the envelope")
    return head | data


def _flat(given: Mapping[str, object], source: str | None, products: Mapping[str, Product]) -> Flat:
    texts = {key: _text(given, key) for key in (*REQUIRED, *TEXTS, "source", "to", "from", "rated_to")}
    _check_names(given, texts, source)
    _check_numbers(texts)
    _check_forms(texts)
    texts["occurred_at"] = _instant(texts["occurred_at"])
    texts["source"] = "" if source is not None else texts["source"]  # "": that of all payloads
    texts["from_"] = texts.pop("from")
    product = products.get(texts["product"])
    particulars = particulars_of(given)
    measured = _measured_as(product, particulars.get(DELIVERED_AS, ""), texts["occurred_at"], products)
    texts["quantity"] = str(_quantity(given, measured))
    texts["package"] = package_of(given)
    texts["attributes"] = _attributes(given, product, particulars)
    revision = revision_of(given) if "revision" in given else None
    return Flat(**{key: text for key, text in texts.items() if text}, revision=revision)


def _void(given: Mapping[str, object], source: str | None) -> Void:
    texts = {key: _text(given, key) for key in ("id", "source")}
    _check_names(given, texts, source)
    return Void(source or texts["source"], texts["id"], revision_of(given))


def _check_keys(given: Mapping[str, object]) -> None:
    for key in (key for key in given if key not in KEYS):
        near = "".join(f" did you mean {name}?" for name in get_close_matches(key, KEYS, 1))
        said = f"is not a field of a usage event;{near} a dimension that the product declares stands in attributes"
        raise _FaultError(_shown(key), said)


def _check_names(given: Mapping[str, object], texts: Mapping[str, str], source: str | None) -> None:
    required = [key for key in REQUIRED if key in texts]
    for key in required if source is not None else (*required, "source"):
        if not texts[key]:
            raise _FaultError(key, "is missing" if key not in given else "is empty")
    if texts["id"] != texts["id"].strip():
        raise _FaultError("id", "has white space around it: write it without")
    if texts["source"] and source is not None and texts["source"] != source:
        raise _FaultError("source", f"is not {source}, the source that these events are taken from")


def _check_numbers(texts: Mapping[str, str]) -> None:
    for key in ("to", "from", "rated_to"):
        text = texts[key]
        if re.search(r"\s", text) and (key != "from" or re.fullmatch(WRITTEN_APART, text)):
            raise _FaultError(key, "has white space in it: write the number as in +442079460000")
        required = text and (key == "rated_to" or (key == "to" and text.startswith("+")))
        if required and not re.fullmatch(E164, text):
            raise _FaultError(key, "is not a number as in +447700900123: up to 15 digits after the +")


def _check_forms(texts: Mapping[str, str]) -> None:
    for key, (form, said) in FORMS.items():
        if texts[key] and not re.fullmatch(form, texts[key]):
            raise _FaultError(key, said)


def _text(given: Mapping[str, object], key: str) -> str:
    value = given.get(key, "")
    if isinstance(value, _Number) or not isinstance(value, str):
        raise _FaultError(key, "is not a string")
    if len(value) > LONGEST_TEXT:
        raise _FaultError(key, f"is longer than {LONGEST_TEXT} characters")
    if _UNPRINTABLE.search(value):
        raise _FaultError(key, "has a control character or half a character in it")
    return value


def _instant(text: str) -> str:
    """The same instant in UTC, in microseconds; what is finer is cut off."""
    if not re.fullmatch(INSTANT, text):
        naive = re.fullmatch(INSTANT, text + "Z")
        reason = "has no time zone; end it with Z or an offset" if naive else "is not like 2026-10-02T10:11:12Z"
        raise _FaultError("occurred_at", reason)
    try:
        instant = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _FaultError("occurred_at", "is not a date and time that exists") from None
    if instant < _EPOCH:
        raise _FaultError("occurred_at", "is before 1970, as of a clock that was never set")
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _quantity(given: Mapping[str, object], product: Product | None) -> int:
    """Base units, from `quantity` and from the product's own field; they must agree."""
    found = {key: value for key, value in _measured(given).items() if key == "quantity" or _own(key, product)}
    if not found:
        own = OWN_FIELDS[product.measure] if product else ()
        raise _FaultError("quantity", f"is missing; give it, or {' and '.join(own)}" if own else "is missing")
    if len(set(found.values())) > 1:
        stated = ", ".join(f"{key} says {value}" for key, value in found.items())
        raise _FaultError("quantity", f"is stated in two ways that differ: {stated}")
    quantity = next(iter(found.values()))
    place = next((key for key in found if key != "quantity"), "quantity")
    most = most_of(product, own=place != "quantity")
    if quantity > most:
        raise _FaultError(place, _absurd(quantity, most, product))
    return quantity


def _measured_as(
    product: Product | None, delivered_as: str, occurred_at: str, products: Mapping[str, Product]
) -> Product | None:
    """The product by which an event is measured: that which it was delivered as, if it says so."""
    if product is None or not delivered_as:
        return product
    rule = product.rule_at(datetime.fromisoformat(occurred_at))
    if rule is None:
        return product
    if delivered_as not in rule.delivered_as:
        known = ", ".join(sorted(rule.delivered_as)) or "nothing else"
        raise _FaultError(DELIVERED_AS, f"is not what {product.id} may be delivered as: {known}")
    return products.get(rule.delivered_as[delivered_as])


def _absurd(quantity: int, most: int, product: Product | None) -> str:
    said = f"is absurd: {quantity} {product.base if product else 'unit'}s"
    if product is None or most != product.most:
        return said
    return (
        f"{said}, and one event of {product.id} has at most {most}; look at the source (another unit? a clock? a leg "
        f"that never ended?), or raise `most` in the product's file"
    )


def most_of(product: Product | None, *, own: bool) -> int:
    """The most base units that one event may state: in the product's `own` field, or else in `quantity`."""
    # `quantity` may be the sum of many calls, as in the worked example of the volume discounts (200,000 minutes): what
    # one call cannot be bounds only the field that is of one call.
    most = MAX_SECONDS if product is not None and product.timed else MAX_QUANTITY
    if product is not None and product.most is not None and (own or product.measure == "quantity"):
        return min(product.most, most)
    return most


def _own(key: str, product: Product | None) -> bool:
    if product is not None and key not in OWN_FIELDS[product.measure]:
        raise _FaultError(key, f"does not measure {product.id}, whose quantity is in {product.base}s")
    return True


def _measured(given: Mapping[str, object]) -> dict[str, int]:
    found: dict[str, int] = {}
    if "quantity" in given:
        found["quantity"] = _whole(given, "quantity")
    if "duration_seconds" in given:
        found["duration_seconds"] = _seconds(given["duration_seconds"])
    if "segments" in given:
        found["segments"] = _whole(given, "segments")
    if "text" in given:
        text = given["text"]
        if isinstance(text, _Number) or not isinstance(text, str):
            raise _FaultError("text", "is not a string")
        found["text"] = segments(text).count
    if "bytes_sent" in given or "bytes_received" in given:
        # Both, even if zero: absent is not zero.
        found["bytes_sent"] = _whole(given, "bytes_sent") + _whole(given, "bytes_received")
    if "packages" in given:
        found["packages"] = len(packages_of(given))
    return found


def _whole(given: Mapping[str, object], key: str) -> int:
    if key not in given:
        raise _FaultError(key, "is missing")
    value = given[key]
    if not isinstance(value, str):
        raise _FaultError(key, "is not a number")
    try:
        number = exact(parse_decimal(str(value)))
    except DecimalInvalidError as error:
        raise _FaultError(key, f"is not a plain number: {error.problem}") from None
    if number < 0:
        raise _FaultError(key, "is negative")
    if number.denominator != 1:
        raise _FaultError(key, "is not a whole number of base units")
    return number.numerator


def _seconds(value: object) -> int:
    if not isinstance(value, str):
        raise _FaultError("duration_seconds", "is not a number")
    try:
        return whole_seconds(str(value))
    except QuantityInvalidError as error:
        raise _FaultError("duration_seconds", f"is not a duration: {error.problem}") from None


def _attributes(given: Mapping[str, object], product: Product | None, particulars: Mapping[str, str]) -> str:
    """The declared dimensions and the particulars as JSON text, names sorted; "" for none."""
    attributes = given.get("attributes", {})
    if not isinstance(attributes, Mapping):
        raise _FaultError("attributes", "is not an object")
    for name, value in attributes.items():
        place = f"attributes/{_shown(name)}"
        if name in (*DIMENSIONS, *PARTICULARS, STATES) or (product is not None and name not in product.dimensions):
            raise _FaultError(place, "is not a dimension that the product declares beside the built-in ones")
        _text({place: value}, place)
    stated = {**attributes, **particulars}
    return json.dumps(dict(sorted(stated.items())), separators=(",", ":")) if stated else ""


def attributes_of(texts: Sequence[str]) -> list[dict[str, str]]:
    """What `Flat.attributes` says, read back."""
    return [json.loads(text) if text else {} for text in texts]


def _shown(key: str) -> str:
    """A key as it stands in a JSON pointer, short and on one line."""
    escaped = _UNPRINTABLE.sub("?", key.replace("~", "~0").replace("/", "~1"))
    return escaped if len(escaped) <= LONGEST_TEXT else escaped[:LONGEST_TEXT] + "…"
