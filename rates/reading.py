"""Reading tables that people wrote (TOML, JSON): every fault with its place, every unknown key refused.

A `Reader` stands on one table. Each method takes a key out of it, checks it and returns a value that is already
of the right kind; what is wrong becomes a `Fault` in the shared list and the method returns its default, so that
one reading reports all faults of a file and not only the first.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rates.errors import Fault
from rates.money import DecimalInvalidError, parse_decimal

T = TypeVar("T")

_INT64 = range(-(2**63), 2**63)


def parse_instant(text: str) -> datetime:
    """The instant of an RFC 3339 text in UTC, or of a date at 00:00 UTC; naive without a zone. Raises ValueError."""
    if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is None else in_utc(at)


def in_utc(at: datetime) -> datetime:
    """The same instant in UTC. Raises ValueError where it is before the year 1 or after 9999 there."""
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{at.isoformat()} is beyond the calendar in UTC") from error


def parse_toml(text: str, place: str) -> tuple[dict[str, object], list[Fault]]:
    """The table of a TOML text, or the fault of it. Floats are decimals, to be shown as they were written."""
    try:
        table = tomllib.loads(text.removeprefix("\ufeff"), parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        return {}, [Fault(place=place, value="", problem=f"is not TOML: {error}", remedy="see https://toml.io")]
    except RecursionError:
        return {}, [Fault(place=place, value="", problem="is nested too deeply", remedy="see https://toml.io")]
    except ValueError:  # Python reads no decimal integer of more than 4,300 digits
        table = {"": _INT64.stop}
    # TOML's integers have 64 bits, and nobody can count on more.
    if any(isinstance(value, int) and value not in _INT64 for value in _values(table)):
        problem, remedy = "has a whole number beyond 64 bits", "mend it; numbers of money or quantity are strings"
        return {}, [Fault(place=place, value="", problem=problem, remedy=remedy)]
    return table, []


def _values(table: object) -> Iterator[object]:
    """All that stands below a table, however deep."""
    below = [table]
    while below:
        value = below.pop()
        if isinstance(value, dict):
            below.extend(value.values())
        elif isinstance(value, list):
            below.extend(value)
        else:
            yield value


@dataclass(slots=True, kw_only=True)
class Reader:
    """One table of a document, the place it stands at, and the faults found so far."""

    place: str
    table: Mapping[str, object]
    faults: list[Fault]
    seen: set[str] = field(default_factory=set)

    def fault(self, key: str, problem: str, remedy: str = "") -> None:
        """Note that `key` is wrong, with its value as written."""
        written = self.table.get(key)
        value = "" if written is None or isinstance(written, Mapping | list) else str(written)
        self.faults.append(Fault(place=self.at(key), value=value, problem=problem, remedy=remedy))

    def is_faulty(self, key: str) -> bool:
        """Whether a fault of `key` is noted already."""
        return any(fault.place == self.at(key) for fault in self.faults)

    def at(self, key: str) -> str:
        """The place of `key`: `card.toml: tiers.voice-us.mode`."""
        joint = "" if not key or not self.place or self.place.endswith(": ") else "."
        return f"{self.place}{joint}{key}" if key else self.place.removesuffix(": ")

    def text(self, key: str, default: str | None = None) -> str:
        """The string at `key`; without a default it must be there and not be empty."""
        value = self._take(key, str, "a string", default)
        if default is None and value == "" and key in self.table:
            self.fault(key, "is empty", "give a value")
        return self._whole(key, value or "")

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """The string at `key`, one of `allowed`."""
        value = self.text(key, default)
        if value and value not in allowed:
            self.fault(key, "is not known here", f"use one of {', '.join(allowed)}")
            return allowed[0]
        return value or allowed[0]

    def flag(self, key: str, *, default: bool = False) -> bool:
        """The boolean at `key`."""
        return bool(self._take(key, bool, "true or false", default))

    def integer(self, key: str, default: int | None = None, least: int = 0) -> int:
        """The whole number at `key`, not below `least`."""
        value = self._take(key, int, "a whole number", default)
        if value is None or isinstance(value, bool):
            return least
        if value < least:
            self.fault(key, f"is below {least}", f"write at least {least}")
            return least
        return int(value)

    def decimal(self, key: str, default: str | None = None) -> Decimal:
        """The plain decimal string at `key`, exact."""
        return self._decimal(key, self.text(key, default))

    def decimals(self, key: str) -> tuple[Decimal, ...]:
        """The list of plain decimal strings at `key`; empty if absent."""
        return tuple(self._decimal(f"{key}[{i}]", text) for i, text in enumerate(self.texts(key)))

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of strings at `key`; one string stands for a list of one. Empty if absent."""
        self.seen.add(key)
        value = self.table.get(key, [])
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return tuple(self._whole(key, item) for item in items)
        self.fault(key, "is not a list of strings", 'write ["...", "..."]')
        return ()

    def instant(self, key: str, default: datetime | None = None, *, required: bool = True) -> datetime | None:
        """The instant at `key`, in UTC. A date stands for 00:00 UTC; a time without a zone is refused."""
        self.seen.add(key)
        value = self.table.get(key)
        if value is None:
            if required and default is None:
                self.fault(key, "is missing", "write an instant such as 2026-10-01T00:00:00Z")
            return default
        return self._instant(key, value)

    def timezone(self, key: str, default: str = "UTC") -> str:
        """The name of the time zone at `key`."""
        name = self.text(key, default)
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown names, hostile names, names of folders
            self.fault(key, "is not a time zone", "write its name, as in Europe/Paris")
            return default
        return name

    def below(self, key: str) -> "Reader":
        """The table at `key`; an empty one if absent."""
        self.seen.add(key)
        value = self.table.get(key, {})
        if not isinstance(value, Mapping):
            self.fault(key, "is not a table", f"write [{key}]")
            value = {}
        return Reader(place=self.at(key), table=value, faults=self.faults)

    def each(self, key: str) -> Iterator["Reader"]:
        """The tables of the list at `key`."""
        self.seen.add(key)
        value = self.table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            self.fault(key, "is not a list of tables", f"write {key} = [{{...}}]")
            return
        for i, item in enumerate(value):
            yield Reader(place=f"{self.at(key)}[{i}]", table=item, faults=self.faults)

    def finish(self) -> None:
        """Refuse every key that nobody asked for."""
        for key in self.table:
            if key not in self.seen:
                near = get_close_matches(key, self.seen, 1)
                known = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(self.seen))}"
                self.fault(key, "is not a key of this table", known)

    def _whole(self, key: str, text: str) -> str:
        if "\x00" in text:  # databases keep no such text
            self.fault(key, "has a NUL character in it", "remove it")
            return text.replace("\x00", "")
        return text

    def _take(self, key: str, kind: type[T], what: str, default: T | None) -> T | None:
        self.seen.add(key)
        if key not in self.table:
            if default is None:
                self.fault(key, "is missing", f"give {what}")
            return default
        value = self.table[key]
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        self.fault(
            key, f"is not {what}", "numbers of money or quantity are strings" if kind is str else f"write {what}"
        )
        return default

    def _decimal(self, name: str, text: str) -> Decimal:
        if not text:
            return Decimal(0)
        try:
            return parse_decimal(text)
        except DecimalInvalidError as error:
            self.faults.append(Fault(place=self.at(name), value=text, problem=error.problem, remedy=error.remedy))
            return Decimal(0)

    def _instant(self, key: str, value: object) -> datetime | None:
        if isinstance(value, str):
            try:
                value = parse_instant(value)
            except ValueError:
                self.fault(key, "is not an instant", "write it as 2026-10-01T00:00:00Z")
                return None
        if isinstance(value, datetime):
            if value.tzinfo is None:
                self.fault(key, "has no time zone", "end it with Z or an offset")
                return None
            try:
                return in_utc(value)
            except ValueError:
                self.fault(key, "is beyond the calendar in UTC", "write it as 2026-10-01T00:00:00Z")
                return None
        if isinstance(value, date):
            return datetime.combine(value, time(), UTC)
        self.fault(key, "is not an instant", "write it as 2026-10-01T00:00:00Z")
        return None
