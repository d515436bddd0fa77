"""What the verifier reads: exact numbers, instants, products and usage events.

Everything arrives as plain Python objects, the way a TOML or JSON reader leaves them. Money and quantities are
plain decimal strings and become `Fraction`; a float is refused, because its digits are already lost. Nothing here
knows a price. The rules are those of FORMATS 1 (products) and 4 (usage events) and DESIGN 4 and 6.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import TypeVar

Raw = Mapping[str, object]
"""A table as its reader left it."""

_PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_E164 = re.compile(r"\+[1-9][0-9]{0,14}", re.ASCII)
_GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM7_PAIRS = frozenset("\f^{}\\[~]|€")
_BASIC_PLANE = 0xFFFF
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS = "CLF UYW"
_ALWAYS = datetime.min.replace(tzinfo=UTC)


class FaultError(ValueError):
    """What the verifier was given cannot be used: `place` says where, `fault` what is wrong there."""

    def __init__(self, place: str, fault: str) -> None:
        self.place, self.fault = self.args = (place, fault)  # pickling calls the class again with `args`

    def __str__(self) -> str:
        return f"{self.place}: {self.fault}"


class InputFaultError(FaultError):
    """A value that cannot be read or contradicts another; in an event, one that ingest rejects."""


class CardFaultError(FaultError):
    """A rate card that no publication check lets pass, or one that uses what this verifier cannot rate."""


def exact(value: object, place: str) -> Fraction:
    """The value of a plain decimal: a string, an int or a Decimal, never a float."""
    digits = format(value, "f") if isinstance(value, Decimal) else str(value).strip()
    if isinstance(value, bool | float) or _PLAIN.fullmatch(digits) is None:
        raise InputFaultError(place, f"{value!r} is not a plain decimal; write it as a string like 0.0140")
    return Fraction(digits)


def number(raw: Raw, key: str, place: str) -> Fraction | None:
    """The exact value of `raw[key]`; None if it is absent or an empty cell."""
    return None if raw.get(key) in (None, "") else exact(raw[key], f"{place} {key}")


def whole(raw: Raw, key: str, place: str) -> int | None:
    """Like `number`, for what must be a whole number of 0 or more."""
    value = number(raw, key, place)
    if value is not None and (value < 0 or value.denominator != 1):
        raise InputFaultError(f"{place} {key}", f"{raw[key]!r} is not a whole number of 0 or more")
    return None if value is None else value.numerator


def text(raw: Raw, key: str) -> str:
    """The string at `raw[key]`; "" if it is absent."""
    value = raw.get(key)
    return "" if value is None else str(value)


def words(value: object) -> tuple[str, ...]:
    """A list of strings, or the words of a space-separated cell."""
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    return () if value is None else tuple(str(value).split())


def flag(raw: Raw, key: str, *, default: bool = False) -> bool:
    """A TOML boolean or the cells `true` and `false`; an empty cell is the default."""
    said = text(raw, key).lower()
    if said not in {"", "true", "false"}:
        raise InputFaultError(key, f"{said!r} is neither true nor false")
    return said == "true" if said else default


def table(raw: Raw, key: str) -> Raw:
    """The table at `raw[key]`; an empty one if it is absent."""
    value = raw.get(key) or {}
    if not isinstance(value, Mapping):
        raise InputFaultError(key, "must be a table")
    return value


def tables(raw: Raw, key: str) -> tuple[Raw, ...]:
    """The list of tables at `raw[key]`; an empty one if it is absent."""
    value = raw.get(key) or ()
    if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
        raise InputFaultError(key, "must be a list of tables")
    return tuple(value)


def instant(raw: Raw, key: str, place: str) -> datetime | None:
    """The moment at `raw[key]` in UTC, None if absent. A date is its 00:00 UTC; a time needs its zone."""
    value = raw.get(key)
    if value is None or value == "":
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise InputFaultError(f"{place} {key}", f"{value!r} is not an RFC 3339 time") from None
    if moment.tzinfo is None:
        if len(str(value)) > len("2026-10-01"):
            raise InputFaultError(f"{place} {key}", f"{value!r} has no time zone")
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def month(period: str) -> tuple[datetime, datetime]:
    """The half-open UTC month `YYYY-MM`."""
    first = date.fromisoformat(f"{period}-01")
    start = datetime(first.year, first.month, 1, tzinfo=UTC)
    return start, datetime(first.year + first.month // 12, first.month % 12 + 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # each is itself: answers are remembered by identity
class Dated:
    """What holds from `effective_from` until just before `effective_to`; either may be open."""

    effective_from: datetime | None = None
    effective_to: datetime | None = None

    def holds_at(self, at: datetime) -> bool:
        """Whether it is in force at that moment."""
        begun = self.effective_from is None or self.effective_from <= at
        return begun and (self.effective_to is None or at < self.effective_to)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DatedFacts(Dated):
    """A product's rule, an account or a contract, as its file states it."""

    facts: Raw


def read_dated(raw: Raw, place: str) -> DatedFacts:
    """A table with its dates read."""
    start, end = instant(raw, "effective_from", place), instant(raw, "effective_to", place)
    return DatedFacts(effective_from=start, effective_to=end, facts=raw)


_D = TypeVar("_D", bound=Dated)


def in_force(versions: Iterable[_D], at: datetime) -> _D | None:
    """The latest version that has begun, unless it has ended: the one before it never comes back to life."""
    begun = [version for version in versions if version.effective_from is None or version.effective_from <= at]
    latest = max(begun, key=lambda version: version.effective_from or _ALWAYS, default=None)
    return latest if latest is not None and latest.holds_at(at) else None


def to_step(value: Fraction, step: Fraction, mode: str = "half-up") -> Fraction:
    """The multiple of `step` nearest to `value`: half-up (away from zero), half-even, up, down (to zero)."""
    steps = Fraction(abs(value), step)
    below, rest = floor(steps), 2 * (steps - floor(steps))
    up = {"half-up": rest >= 1, "half-even": rest > 1 or (rest == 1 and below % 2 == 1), "up": rest > 0, "down": False}
    if mode not in up:
        raise CardFaultError("rounding", f"mode {mode!r} is not one of {', '.join(up)}")
    return (below + up[mode]) * (step if value > 0 else -step)


def minor_unit(currency: str) -> tuple[Fraction, int]:
    """What amounts are rounded to, and the decimals printed: 0.01, yen 1, three-decimal currencies 0.010."""
    if currency in _THREE_DECIMALS.split():
        return Fraction(1, 100), 3
    if currency in _FOUR_DECIMALS.split():
        return Fraction(1, 10_000), 4
    return (Fraction(1), 0) if currency in _NO_DECIMALS.split() else (Fraction(1, 100), 2)


def plain(value: Fraction, decimals: int) -> str:
    """The value with that many decimals, half away from zero."""
    digits = str(abs(to_step(value, Fraction(1, 10**decimals)) * 10**decimals)).rjust(decimals + 1, "0")
    sign = "-" if value < 0 and digits.strip("0") else ""
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else sign + digits


def shortest(value: Fraction, decimals: int = 30) -> str:
    """The exact plain decimal without trailing zeros; what has none within `decimals` as `n/d`."""
    if 10**decimals % value.denominator:
        return str(value)
    digits = plain(value, decimals)
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def e164_digits(written: str) -> str:
    """The digits of a number written with `+` (1 to 15, not starting with 0); "" for everything else."""
    return written[1:] if _E164.fullmatch(written) else ""


def country_of(digits: str, plan: Mapping[str, str]) -> str:
    """The country of the longest prefix of `digits` in the numbering plan, "" for none."""
    prefixes = (digits[:length] for length in range(len(digits), 0, -1))
    return next((plan[prefix] for prefix in prefixes if prefix in plan), "")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Product:
    """What is measured and matched; `dimensions` besides the two numbers, in the order in which they decide."""

    id: str
    base: str
    units: Mapping[str, int]
    country_of: str
    dimensions: tuple[str, ...]
    required: frozenset[str]
    measure: str
    rules: tuple[DatedFacts, ...]
    fees: frozenset[str]
    discountable: bool

    def size(self, unit: str) -> int:
        """How many base units one `unit` has; an `event` counts as itself, `money` in billionths."""
        own = {**self.units, "event": 1, "money": 10**9}
        if unit not in own:
            raise CardFaultError(f"unit {unit!r}", f"is not a unit of {self.id}: {', '.join(own)}")
        return own[unit]


def read_product(raw: Raw) -> Product:
    """A product from its file (FORMATS 1). One without rules bills everything as it stands."""
    place = f"product {text(raw, 'id')}"
    units = {unit: whole(table(raw, "units"), unit, place) or 1 for unit in table(raw, "units")}
    declared = [name for name in words(raw.get("match")) if name not in {"to", "from"}]
    rules = [read_dated(rule, place) for rule in tables(raw, "rules")]
    return Product(
        id=text(raw, "id"), base=text(raw, "base"), units={text(raw, "base"): 1} | units,
        country_of=text(raw, "country_of"), measure=text(raw, "measure"),
        # `country` may be asked of every product; where the product does not rank it, it decides last.
        dimensions=tuple(declared if "country" in declared else [*declared, "country"]),
        required=frozenset({"usage", *words(raw.get("required"))}),
        rules=tuple(rules or [DatedFacts(facts={})]),
        fees=frozenset(text(fee, "element") for rule in rules for fee in tables(rule.facts, "fees")),
        discountable=flag(raw, "discountable", default=True),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One usage event, as its winning revision stands. `to` is the ported number where the event gives one."""

    source: str
    id: str
    account: str
    product: str
    occurred_at: datetime
    to: str
    origin: str
    fields: Raw

    @property
    def place(self) -> str:
        """How faults name it."""
        return f"event {self.source}/{self.id}"

    def value(self, name: str) -> str:
        """A field or a declared attribute; "" if the event does not say. Of `packages` it has one."""
        if name == "package" and (names := words(self.fields.get("packages"))):
            return names[0]
        return text(self.fields, name) or text(table(self.fields, "attributes"), name)


def read_usage(raw: Raw) -> Usage:
    """One event from its JSON object (FORMATS 4)."""
    place = f"event {text(raw, 'source')}/{text(raw, 'id')}"
    occurred_at = instant(raw, "occurred_at", place)
    missing = [key for key in ("id", "account", "product", "occurred_at") if not text(raw, key)]
    if missing or occurred_at is None:
        raise InputFaultError(place, f"{', '.join(missing)} missing")
    return Usage(
        source=text(raw, "source"), id=text(raw, "id"), account=text(raw, "account"), product=text(raw, "product"),
        occurred_at=occurred_at, to=text(raw, "rated_to") or text(raw, "to"), origin=text(raw, "from"), fields=raw,
    )  # fmt: skip


def settle_revisions(events: Iterable[Raw]) -> tuple[list[Usage], list[dict[str, str]]]:
    """One event per (source, id) in chronological order, and the malformed ones with the reason.

    The highest revision wins in whatever order they arrive; of equal revisions the first. A void one leaves nothing.
    """
    winners: dict[tuple[str, str], tuple[int, Usage | None]] = {}
    rejected: list[dict[str, str]] = []
    for raw in events:
        source, name = identity = (text(raw, "source"), text(raw, "id"))
        try:
            revision = _revision(raw, f"event {source}/{name}")
            usage = None if flag(raw, "void") else read_usage(raw)
        except InputFaultError as fault:
            rejected.append({"source": source, "id": name, "reason": str(fault)})
            continue
        if identity not in winners or revision > winners[identity][0]:
            winners[identity] = (revision, usage)
    kept = [usage for _, usage in winners.values() if usage is not None]
    return sorted(kept, key=lambda usage: (usage.occurred_at, usage.source, usage.id)), rejected


def _revision(raw: Raw, place: str) -> int:
    """Which report of its event this is. One that takes it back says so, and whose."""
    revision = whole(raw, "revision", place)
    if flag(raw, "void") and (revision is None or not text(raw, "id")):
        raise InputFaultError(place, "a void needs its id and its revision")
    if revision is not None and not 0 < revision < 1 << 31:
        raise InputFaultError(f"{place} revision", f"{revision} is not a number from 1 and below 2^31")
    return revision or 1


def holds(condition: Raw, usage: Usage, *, when_silent: bool) -> bool:
    """Whether each field that the condition names has one of its values; one that the event lacks: `when_silent`."""
    said = ((usage.value(name), words(allowed)) for name, allowed in condition.items())
    return all(value in allowed if value else when_silent for value, allowed in said)


def why_silent(rule: DatedFacts, usage: Usage) -> str:
    """Why the event itself does not bill, "" if it does. One that states no outcome is taken to have happened."""
    pending = table(rule.facts, "pending")
    if pending and holds(pending, usage, when_silent=False):
        return "pending"
    return "" if holds(table(rule.facts, "billable"), usage, when_silent=True) else "status_not_billable"


def fees_due(rule: DatedFacts, usage: Usage) -> list[str]:
    """The elements of the fees that this outcome brings, unless the event is exempt."""
    due = [fee for fee in tables(rule.facts, "fees") if holds(table(fee, "when"), usage, when_silent=False)]
    exempt = [bool(fee.get("exempt")) and holds(table(fee, "exempt"), usage, when_silent=False) for fee in due]
    return [text(fee, "element") for fee, spared in zip(due, exempt, strict=True) if not spared]


def apply_increments(quantity: int, increments: str) -> int:
    """`first/next`: nothing stays nothing, up to `first` is `first`, then whole steps of `next`."""
    parts = increments.split("/")
    if [part.isdecimal() for part in parts] != [True, True] or not int(parts[1]):
        raise CardFaultError("increments", f"{increments!r} is not like 60/60")
    first, following = int(parts[0]), int(parts[1])
    if quantity <= first:
        return first if quantity else 0
    return first - (first - quantity) // following * following


def count_segments(message: str) -> int:
    """SMS segments: GSM-7 160 septets or parts of 153, else UCS-2 70 or parts of 67; pairs are never split."""
    gsm7 = set(message) <= _GSM7 | _GSM7_PAIRS
    alone, part = (160, 153) if gsm7 else (70, 67)
    costs = [1 + (one in _GSM7_PAIRS if gsm7 else ord(one) > _BASIC_PLANE) for one in message]
    segments, room = 1, part
    for cost in costs if sum(costs) > alone else ():
        segments, room = (segments, room) if cost <= room else (segments + 1, part)
        room -= cost
    return segments
