"""The two-file deck of CDRTool (AG Projects' rating engine): a file of rates and a file of destinations.

How CDRTool reads them (doc/RATING.txt of its sources): the longest prefix among the *destinations* decides,
and a rate for exactly that destination is looked up. So a rate without a destination of its own is never reached, and
a destination without a rate leaves its calls unpriced. Both are faults here, since no card can say what was meant;
no rate borrows the increments of a shorter prefix.

What a row of a rate is for stands in `App`: audio is calls. Rates of messages are not rates of calls; they are left
out, and that is told.

Prices are 1/10,000 of a unit of currency per 60 seconds, connect fees 1/10,000 a call. Durations are rounded up to
the increment (`Incr`) and to the minimum (`Min Dur`) at least; 0 and 0 is by the second.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rates.cardfile import card_from_sheet
from rates.cards import Card
from rates.checking.cells import CellInvalidError, canonical, one_by_one
from rates.checking.sheet import Sheet, header_of, read_csv
from rates.errors import Fault
from rates.products import Product

RATES = ("Ops", "Reseller", "Rate", "Destination", "App", "Connect", "Duration", "Conn In", "Duration In")
DESTINATIONS = (
    "Ops", "Reseller", "Trusted peer", "Domain", "Subscriber", "Destination", "Region", "Description",
    "Incr", "Min Dur", "Max Dur", "Max Price",
)  # fmt: skip

_CALLS = "audio"
_NEEDED = {
    "rates": ("Rate", "Destination", "App", "Connect", "Duration"),
    "destinations": ("Destination", "Incr", "Min Dur"),
}
# Columns that would change a price and that this dialect does not translate: refused unless empty or 0.
_UNREAD = ("Conn In", "Duration In", "Trusted peer", "Domain", "Subscriber", "Region", "Max Dur", "Max Price")


class File(NamedTuple):
    """A file of a deck: what it is called in faults, and its bytes."""

    name: str
    data: bytes


class Deck(NamedTuple):
    """What a deck came to: its card, or every fault of it; and which of its rows are not on the card, and why."""

    card: Card | None
    faults: list[Fault]
    left_out: list[Fault]


def read_cdrtool(
    rates: File,
    destinations: File,
    *,
    products: Mapping[str, Product],
    card_id: str,
    currency: str,
    effective_from: datetime,
    product: str = "voice.outbound",
    profile: str | None = None,
) -> Deck:
    """The card of a deck, or every fault of it.

    Read are the rates of one `profile` (the column `Rate`; it may be left out where the file has one) for the
    application (`App`) audio.
    """
    timed = sorted(name for name, found in products.items() if found.timed and "to" in found.match)
    if product not in timed:
        problem, remedy = "is not a product of calls that are counted in seconds", f"use one of {', '.join(timed)}"
        return Deck(None, [Fault(place="", value=product, problem=problem, remedy=remedy)], [])
    tariff, faults = _read(rates, RATES, _NEEDED["rates"])
    plan, more = _read(destinations, DESTINATIONS, _NEEDED["destinations"])
    if tariff is None or plan is None or faults or more:
        return Deck(None, faults + more, [])
    left_out = _left_out(tariff, profile)
    tariff, faults = _selected(tariff, profile)
    if faults:
        return Deck(None, faults, left_out)
    rows, faults = _joined(tariff, plan, product)
    if faults:
        return Deck(None, faults, left_out)
    head = {"id": card_id, "currency": currency, "effective_from": effective_from}
    return Deck(*card_from_sheet(head, rows, products, place=""), left_out)


def are_swapped(rates: bytes, destinations: bytes) -> bool:
    """Whether, by their headers, the file of destinations stands where the file of rates belongs, and vice versa."""
    first, second = frozenset(header_of(rates)), frozenset(header_of(destinations))
    of_rates, of_destinations = (frozenset(_NEEDED[kind]) for kind in ("rates", "destinations"))
    return of_destinations <= first and of_rates <= second and not (of_rates <= first or of_destinations <= second)


def _read(file: File, known: Sequence[str], needed: Sequence[str]) -> tuple[Sheet | None, list[Fault]]:
    sheet, faults = read_csv(file.data, file.name, known)
    return sheet, faults if sheet is None else faults + _file_faults(sheet, needed)


def _left_out(tariff: Sheet, profile: str | None) -> list[Fault]:
    calls = pc.equal(tariff.cells("App"), _CALLS)
    of_others = pc.invert(calls)
    remedy = f"only {_CALLS} is read: other prices belong on a card of their own"
    told = _counted(tariff, "App", of_others, "this application", remedy)
    if profile is not None:
        others = pc.and_(calls, pc.not_equal(tariff.cells("Rate"), profile))
        told += _counted(tariff, "Rate", others, "this rate profile", "import each profile as its own card")
    return told


def _counted(sheet: Sheet, key: str, rows: pa.Array, what: str, remedy: str) -> list[Fault]:
    """How many of some rows have each value of a column, placed at the first."""
    cells, places = sheet.cells(key).filter(rows), np.flatnonzero(rows.to_numpy(zero_copy_only=False))
    told = []
    for value, count in sorted((each["values"], each["counts"]) for each in pc.value_counts(cells).to_pylist()):
        first = int(places[pc.index(cells, value).as_py()])
        left = "1 row of" if count == 1 else f"{count:,} rows of"
        problem = f"{left} {what} {'is' if count == 1 else 'are'} left out"
        told.append(Fault(place=sheet.at(first, key), value=value, problem=problem, remedy=remedy))
    return told


def _file_faults(sheet: Sheet, needed: Sequence[str]) -> list[Fault]:
    faults = [
        Fault(place=f"{sheet.place}:1", value=name, problem="is not in the header", remedy="add the column")
        for name in needed
        if name not in sheet.columns
    ]
    operations = pc.is_in(sheet.cells("Ops"), pa.array(["", "1", "2"]))
    faults += _noted(sheet, "Ops", pc.invert(operations), "deletes a row", "a card is whole: leave deleted rows out")
    for name in _UNREAD:
        if name in sheet.columns:
            filled = pc.invert(pc.is_in(sheet.cells(name), pa.array(["", "0"])))
            faults += _noted(sheet, name, filled, "is not rated by this version", "leave it empty")
    return faults


def _selected(tariff: Sheet, profile: str | None) -> tuple[Sheet, list[Fault]]:
    tariff = _taken(tariff, pc.equal(tariff.cells("App"), _CALLS))
    found = sorted(pc.unique(tariff.cells("Rate")).to_pylist())
    if profile is None and len(found) == 1:
        return tariff, []
    if profile in found:
        return _taken(tariff, pc.equal(tariff.cells("Rate"), profile)), []
    problem = "holds several rate profiles" if profile is None else "is not a rate profile of this file"
    remedy = f"name one of {', '.join(found)}" if found else f"no rate is for {_CALLS}"
    return tariff, [Fault(place=f"{tariff.place} Rate", value=profile or "", problem=problem, remedy=remedy)]


def _joined(tariff: Sheet, plan: Sheet, product: str) -> tuple[Sheet, list[Fault]]:
    prefixes, planned = tariff.cells("Destination"), plan.cells("Destination")
    where = pc.index_in(prefixes, value_set=planned)
    remedy = "CDRTool never reaches it: add its destination with its increments, or remove the rate"
    faults = _noted(tariff, "Destination", pc.is_null(where), "has no row among the destinations", remedy)
    remedy = "CDRTool would leave its calls unpriced: give it a rate, or remove it"
    unpriced = pc.invert(pc.is_in(planned, value_set=prefixes))
    faults += _noted(plan, "Destination", unpriced, "has no rate", remedy)
    first = pc.index_in(planned, value_set=planned).to_numpy(zero_copy_only=False)
    twice = pa.array(first != np.arange(len(plan)))
    faults += _noted(plan, "Destination", twice, "is listed twice", "keep one")
    intervals = pc.binary_join_element_wise(plan.cells("Incr"), plan.cells("Min Dur"), "/")
    increments, found = canonical(plan, "Incr", intervals, (one_by_one, _increments))
    faults += found
    prices = {}
    for key in ("Duration", "Connect"):
        prices[key], found = canonical(tariff, key, tariff.cells(key), (one_by_one, _tenthousandths))
        faults += found
    if faults:
        return tariff, faults
    columns = {
        "product": pa.repeat(pa.scalar(product), len(tariff)),
        "destination": pc.utf8_trim_whitespace(plan.cells("Description").take(where)),
        "prefixes": prefixes,
        "unit": pa.repeat(pa.scalar("minute"), len(tariff)),
        "price": _plain(prices["Duration"]),
        "setup_fee": _plain(prices["Connect"]),
        "increments": _plain(increments).take(where),
    }
    return replace(tariff, columns=columns), faults


def _tenthousandths(text: str) -> str:
    """The decimal that is 1/10,000 of a plain decimal, by moving its point."""
    match = re.fullmatch(r"([0-9]+)(?:\.([0-9]+))?", text)
    if match is None:
        remedy = "write it in 1/10,000 of a unit of currency"
        raise CellInvalidError("is not a plain number", value=text, remedy=remedy)
    digits = match[1].rjust(5, "0")
    return f"{digits[:-4]}.{digits[-4:]}{match[2] or ''}"


def _increments(text: str) -> str:
    """`Incr/Min Dur` as `first/next`: the minimum first, then whole increments."""
    match = re.fullmatch("([0-9]{0,12})/([0-9]{0,12})", text)
    if match is None:
        raise CellInvalidError("is not a number of seconds", value=text, remedy="write Incr and Min Dur in digits")
    increment, minimum = int(match[1] or 0) or 1, int(match[2] or 0)
    if minimum > increment and minimum % increment:
        problem = "is no whole part of the minimum duration"
        raise CellInvalidError(problem, value=text, remedy="no increments can say that: make Min Dur a multiple")
    return f"{max(minimum, increment)}/{increment}"


def _noted(sheet: Sheet, key: str, bad: pa.Array, problem: str, remedy: str) -> list[Fault]:
    return sheet.faults(key, bad.to_numpy(zero_copy_only=False), sheet.cells(key), problem, remedy)


def _taken(sheet: Sheet, kept: pa.Array) -> Sheet:
    columns = {name: cells.filter(kept) for name, cells in sheet.columns.items()}
    return replace(sheet, lines=sheet.lines[kept.to_numpy(zero_copy_only=False)], columns=columns)


def _plain(cells: pa.DictionaryArray) -> pa.Array:
    return cells.dictionary.take(cells.indices)
