"""Twilio's pricing API: the body (JSON) of one country's voice, trunking or message prices, as the API returned it.

Several bodies make one card. Outbound calls are priced by destination prefixes, and where the same prefixes are listed
again with origination prefixes, by where the call comes from; `ALL` is any origin. Messages are priced by network
(mcc, mnc) and number type; the network 999 is what the country's other networks cost. What is received is priced by
the country and the type of the number. (Twilio's documentation of its Pricing API, versions 1 and 2.)

What is charged is `current_price`, the account's own; `base_price` is the list price, read where that is told. Minutes
are whole, as Twilio publishes for Programmable Voice: other increments are told.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from rates.cardchanges import Rows
from rates.cardfile import card_from_sheet
from rates.checking.cells import Check, check_code, check_country, check_mcc, check_prefixes, check_price
from rates.checking.sheet import Sheet
from rates.dialects.decks import Reading, Told
from rates.errors import Fault, TollbookError
from rates.products import Product

SETTINGS = ("price", "mnc.pad")
"""What may be told of bodies: which price is read, and to how many digits a mnc is filled with zeros."""

_PRICES = ("current_price", "base_price")
_ANY_ORIGIN, _OTHER_NETWORKS = "ALL", "999"
_NAMES = {
    "prefixes": "destination_prefixes",
    "origin_prefixes": "origination_prefixes",
    "destination": "friendly_name",
    "country": "iso_country",
}
_KNOWN = frozenset({"country", "iso_country", "url", "price_unit"})
_REMOVED = ("Programmable Outbound Minute - ", "Trunking Outbound Minute - ", "Outbound Trunking Minute - ")
_CALLS = {"outbound_prefix_prices": "voice.outbound", "terminating_prefix_prices": "trunk.termination"}
_CALLED = {
    "inbound_call_prices": "voice.inbound",
    "originating_call_prices": "trunk.origination",
    "inbound_sms_prices": "sms.inbound",
}
_MESSAGES = {"outbound_sms_prices": "sms.outbound"}
_LISTS = {**_CALLS, **_CALLED, **_MESSAGES}
_SHORT_MNC = 2
_HALF = re.compile("[\ud800-\udfff]")

Item = tuple[str, object]
"""Where something stands in a body, and what stands there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries(Sheet):
    """Prices of bodies as rows; `places` says of each where it stands: `EE.json: outbound_prefix_prices[0]`."""

    places: Sequence[str]

    def at(self, row: int, key: str) -> str:
        """Where a value stands: `EE.json: outbound_prefix_prices[0].current_price`."""
        return f"{self.places[row]}.{self.names.get(key, key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRows(Rows):
    """The same for the rows of the card that came of them."""

    places: Sequence[str] = ()

    def at(self, row: int, key: str) -> str:
        """Where a value stands."""
        return f"{self.places[row]}.{_NAMES.get(key, key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is told of bodies: the price that is read, and how many digits a network code has (0: as written)."""

    price: str = "current_price"
    digits: int = 0

    @classmethod
    def told(cls, pairs: Mapping[str, str]) -> "tuple[Settings | None, list[Fault]]":
        """The settings of `--set KEY=VALUE` pairs, or what is wrong with them."""
        price, pad = pairs.get("price", "current_price"), pairs.get("mnc.pad", "0")
        faults = [
            Fault(place=key, value=pairs[key], problem="is not told of bodies", remedy=f"known: {', '.join(SETTINGS)}")
            for key in pairs
            if key not in SETTINGS
        ]
        if price not in _PRICES:
            remedy = f"use one of {', '.join(_PRICES)}"
            faults.append(Fault(place="price", value=price, problem="is not a price of a body", remedy=remedy))
        if pad not in {"0", "2", "3"}:
            faults.append(Fault(place="mnc.pad", value=pad, problem="is no number of digits", remedy="use 2 or 3"))
        return (None if faults else cls(price=price, digits=int(pad))), faults


def read_twilio_pricing(
    bodies: Sequence[tuple[str, bytes]],
    told: Told,
    products: Mapping[str, Product],
    settings: Settings = Settings(),
) -> tuple[Reading, EntryRows]:
    """The card of some bodies, each with the name of its file, or every fault of them; and where its rows stand."""
    rows = _Rows(told=told, products=products, settings=settings)
    for name, data in bodies:
        rows.read(name, data)
    written = EntryRows(place=", ".join(name for name, _ in bodies), places=tuple(rows.places))
    rows.finish(written.place)
    notes = tuple(rows.notes)
    if rows.faults:
        return Reading(card=None, faults=rows.faults, notes=notes), written
    head = {"id": told.card_id, "currency": rows.currency, "effective_from": told.effective_from}
    card, faults = card_from_sheet(head, rows.sheet(written.place), products, place="")
    return Reading(card=card, faults=faults, notes=notes), written


@dataclass(slots=True, kw_only=True)
class _Rows:
    """The rows of bodies so far, by key of a rate, and what is wrong with them."""

    told: Told
    products: Mapping[str, Product]
    settings: Settings
    places: list[str] = field(default_factory=list)
    cells: list[dict[str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    currency: str = ""
    changed: int = 0
    short: list[str] = field(default_factory=list)

    def read(self, name: str, data: bytes) -> None:
        """Add the prices of a body."""
        body, faults = _decoded(name, data)
        self.faults.extend(faults)
        if body is None:
            return
        self._currency(name, body)
        lists = [key for key in body if key in _LISTS]
        if not lists:
            remedy = f"a body has one of {', '.join(sorted(_LISTS))}"
            self.fault(name, "", "is not a body of prices", remedy)
        unread = sorted(body.keys() - _KNOWN - _LISTS.keys())
        if unread:
            self.notes.append(f"{name}: not read: {', '.join(unread)}")
        for key in lists:
            self._list(f"{name}: {key}", key, body)

    def finish(self, place: str) -> None:
        """Say what there is to say of all of them."""
        if not self.cells and not self.faults:
            self.fault(place, "", "has no prices", "the country may have none: see the body")
        other = "base_price" if self.settings.price == "current_price" else "current_price"
        if self.changed:
            self.notes.append(f"{self.changed:,} prices are not the {other}: {self.settings.price} is read")
        if self.short:
            shown = ", ".join(dict.fromkeys(self.short))
            self.notes.append(
                f"mnc without leading zeros: {shown}. Usage that says 0{self.short[0]} does not match them and costs"
                " what other networks do: tell mnc.pad=2 if its source writes two digits"
            )

    def sheet(self, place: str) -> Entries:
        """The rows as they were written."""
        keys = dict.fromkeys(key for row in self.cells for key in row)
        columns = {key: pa.array([row.get(key, "") for row in self.cells], pa.string()) for key in keys}
        return Entries(
            place=place,
            inline=True,
            lines=np.arange(len(self.cells), dtype=np.int32),
            columns=columns,
            names={**_NAMES, "price": self.settings.price},
            places=self.places,
        )

    def fault(self, place: str, value: object, problem: str, remedy: str) -> None:
        """Note a fault."""
        text = value if isinstance(value, str) else json.dumps(value)
        self.faults.append(Fault(place=place, value=text, problem=problem, remedy=remedy))

    def _currency(self, name: str, body: Mapping[str, object]) -> None:
        unit = self._text(f"{name}: price_unit", body.get("price_unit")).upper()
        known = self.currency or self.told.currency
        if unit and known and unit != known:
            self.fault(f"{name}: price_unit", unit, f"is another currency than {known}", "a card has one currency")
        self.currency = known or unit

    def _list(self, place: str, key: str, body: Mapping[str, object]) -> None:
        product = _LISTS[key]
        entries = list(self._items(place, body[key]))
        if entries and product not in self.products:
            self.notes.append(f"{place}: {len(entries):,} prices left out: {product} is not a product here")
            return
        for at, entry in entries:
            if not isinstance(entry, dict):
                self.fault(at, entry, "is not an object", "see the body as the API returned it")
            elif key in _CALLS:
                self._call(at, entry, product)
            elif key in _CALLED:
                country = self._checked(
                    f"{place.removesuffix(f': {key}')}: iso_country", body.get("iso_country"), _country
                )
                name = self._text(f"{place.removesuffix(f': {key}')}: country", body.get("country", ""))
                self._add(at, entry, {"product": product, "country": country, "destination": name})
            else:
                self._network(at, entry, product)

    def _call(self, at: str, entry: Mapping[str, object], product: str) -> None:
        key = "destination_prefixes" if "destination_prefixes" in entry else "prefixes"
        name = self._text(f"{at}.friendly_name", entry.get("friendly_name", ""))
        for text in _REMOVED:
            name = name.removeprefix(text)
        origins = list(self._items(f"{at}.origination_prefixes", entry.get("origination_prefixes", [_ANY_ORIGIN])))
        if any(origin == _ANY_ORIGIN for _, origin in origins):
            if len(origins) > 1:
                self.fault(f"{at}.origination_prefixes", "ALL", "stands beside prefixes", "keep one of them")
            origins = []
        elif not origins:
            self.fault(f"{at}.origination_prefixes", "", "is empty", "any origin is written ALL")
        cells = {
            "product": product,
            "destination": name.strip(),
            "prefixes": self._prefixes(f"{at}.{key}", list(self._items(f"{at}.{key}", entry.get(key)))),
            "origin_prefixes": self._prefixes(f"{at}.origination_prefixes", origins) if origins else "",
        }
        self._add(at, entry, cells)

    def _network(self, at: str, entry: Mapping[str, object], product: str) -> None:
        mcc, mnc = (
            self._checked(f"{at}.{key}", entry.get(key), check)
            for key, check in (("mcc", check_mcc), ("mnc", check_code))
        )
        if mnc == _OTHER_NETWORKS:
            mnc = ""
        elif mnc and self.settings.digits:
            mnc = mnc.rjust(self.settings.digits, "0")
        elif mnc and len(mnc) < _SHORT_MNC:
            self.short.append(mnc)
        carrier = self._text(f"{at}.carrier", entry.get("carrier", ""))
        prices = list(self._items(f"{at}.prices", entry.get("prices")))
        if not prices:
            self.fault(f"{at}.prices", "", "is empty", "a network has a price")
        for place, price in prices:
            if isinstance(price, dict):
                cells = {"product": product, "mcc": mcc, "mnc": mnc, "destination": carrier.strip()}
                self._add(place, price, cells)
            else:
                self.fault(place, price, "is not an object", "see the body as the API returned it")

    def _add(self, at: str, entry: Mapping[str, object], cells: dict[str, str]) -> None:
        """A row: its price, what it is per, and what messages and received calls are told apart by."""
        product = self.products[cells["product"]]
        amounts = {key: self._amount(f"{at}.{key}", entry, key) for key in _PRICES if key in entry}
        price = self.settings.price
        if price not in entry:
            self.fault(f"{at}.{price}", "", "is missing", "every entry has one")
        elif len(amounts) == len(_PRICES) and len(set(amounts.values())) > 1:
            self.changed += 1
        kind = self._text(f"{at}.number_type", entry.get("number_type", ""))
        if "number_type" not in entry and "prefixes" not in cells:
            self.fault(f"{at}.number_type", "", "is missing", "name the type of the number, as in mobile")
        cells |= {"unit": "minute" if product.timed else "segment", "price": amounts.get(price, "")}
        cells["number_type"] = "_".join(kind.lower().replace("-", " ").split())
        if product.timed:
            cells["increments"] = self.told.increments or "60/60"
        self.cells.append(cells)
        self.places.append(at)

    def _amount(self, place: str, entry: Mapping[str, object], key: str) -> str:
        return self._checked(place, entry[key], check_price)

    def _checked(self, place: str, value: object, check: Check) -> str:
        if value is None or value == "":
            self.fault(place, "", "is missing", "see the body as the API returned it")
            return ""
        text = self._text(place, value)
        try:
            return check(text) if text else ""
        except TollbookError as error:
            self.faults.append(error.fault(place))
            return ""

    def _prefixes(self, place: str, items: Collection[Item]) -> str:
        if not items:
            self.fault(place, "", "has no prefixes", "a price without prefixes would be for every number")
        found: dict[str, str] = {}
        for at, item in items:
            prefix = self._checked(at, item, check_prefixes)
            if prefix in found:
                self.fault(at, prefix, f"stands in {found[prefix]} too", "list it once")
            elif prefix:
                found[prefix] = at
        return " ".join(sorted(found))

    def _items(self, place: str, value: object) -> Iterator[Item]:
        if isinstance(value, list):
            yield from ((f"{place}[{i}]", item) for i, item in enumerate(value))
        else:
            problem = "is missing" if value is None else "is not a list"
            self.fault(place, "" if value is None else value, problem, "see the body as the API returned it")

    def _text(self, place: str, value: object) -> str:
        if isinstance(value, str):
            if _HALF.search(value) is None:
                return value
            self.fault(place, value, "has half a character in it", "remove it")
            return ""
        if value is not None:
            self.fault(place, value, "is not a text", "see the body as the API returned it")
        return ""


def _country(text: str) -> str:
    return check_country(text.upper())


def _decoded(name: str, data: bytes) -> tuple[dict[str, object] | None, list[Fault]]:
    """The object of a body, its numbers as the texts that they are written as; or what is wrong with it."""
    twice: list[str] = []

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(items)
        if len(found) < len(items):
            twice.extend(sorted(key for key, count in Counter(key for key, _ in items).items() if count > 1))
        return found

    try:
        text = data.decode("utf-8-sig")
        body = json.loads(text, object_pairs_hook=pairs, parse_float=str, parse_int=str, parse_constant=str)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"is not UTF-8: byte 0x{data[error.start]:02x}"
        return None, [Fault(place=f"{name}:{line}", value="", problem=problem, remedy="save the body as it came")]
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg}, column {error.colno}"
        return None, [Fault(place=f"{name}:{error.lineno}", value="", problem=problem, remedy="save it as it came")]
    except RecursionError:
        return None, [Fault(place=name, value="", problem="is nested too deep", remedy="save the body as it came")]
    if twice:
        remedy = "a body has each key once"
        return None, [Fault(place=name, value=key, problem="stands twice in an object", remedy=remedy) for key in twice]
    if not isinstance(body, dict):
        return None, [Fault(place=name, value="", problem="is not an object", remedy="one body a file, one a country")]
    return body, []
