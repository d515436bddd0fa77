"""The two-file deck of CDRTool (AG Projects' rating engine): a file of rates and a file of destinations.

How CDRTool reads them (doc/RATING.txt of its sources): the longest prefix among the *destinations* decides,
and a rate for exactly that destination is looked up. So a rate without a destination of its own is never reached, and
a destination without a rate leaves its calls unpriced. Both are faults here, since no card can say what was meant;
no rate borrows the increments of a shorter prefix.

Prices are 1/10,000 of a unit of currency per 60 seconds, connect fees 1/10,000 a call. Durations are rounded up to
the increment (`Incr`) and to the minimum (`Min Dur`) at least; 0 and 0 is by the second.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rates.cardfile import card_from_sheet
from rates.cards import Card
from rates.checking.cells import CellInvalidError, canonical, one_by_one
from rates.checking.sheet import SHOWN, Sheet, capped, read_csv
from rates.errors import Fault
from rates.products import Product

RATES = ("Ops", "Reseller", "Rate", "Destination", "App", "Connect", "Duration", "Conn In", "Duration In")
DESTINATIONS = (
    "Ops", "Reseller", "Trusted peer", "Domain", "Subscriber", "Destination", "Region", "Description",
    "Incr", "Min Dur", "Max Dur", "Max Price",
)  # fmt: skip

_RATES_FILE, _DESTINATIONS_FILE = "rates.csv", "destinations.csv"
_CALLS = "audio"
_NEEDED = {
    "rates": ("Rate", "Destination", "App", "Connect", "Duration"),
    "destinations": ("Destination", "Incr", "Min Dur"),
}
# Columns that would change a price and that this dialect does not translate: refused unless empty or 0.
_UNREAD = ("Conn In", "Duration In", "Trusted peer", "Domain", "Subscriber", "Region", "Max Dur", "Max Price")


def read_cdrtool(
    rates: bytes,
    destinations: bytes,
    *,
    products: Mapping[str, Product],
    card_id: str,
    currency: str,
    effective_from: datetime,
    product: str = "voice.outbound",
    profile: str | None = None,
) -> tuple[Card | None, list[Fault]]:
    """The card of a deck, or every fault of it.

    Read are the rates of one `profile` (the column `Rate`; it may be left out where the file has one) for the
    application (`App`) audio. Messages are another product, and their rates are not rates of calls.
    """
    sheets, faults = [], []
    for kind, data, place, known in (
        ("rates", rates, _RATES_FILE, RATES),
        ("destinations", destinations, _DESTINATIONS_FILE, DESTINATIONS),
    ):
        sheet, found = read_csv(data, place, known)
        faults += found
        if sheet is not None:
            faults += _file_faults(sheet, _NEEDED[kind])
            sheets.append(sheet)
    if faults:
        return None, faults
    tariff, plan = sheets
    tariff, faults = _selected(tariff, profile)
    if faults:
        return None, faults
    rows, faults = _joined(tariff, plan, product)
    if faults:
        return None, faults
    head = {"id": card_id, "currency": currency, "effective_from": effective_from}
    return card_from_sheet(head, rows, products, place="")


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
    match = re.fullmatch("([0-9]*)/([0-9]*)", text)
    if match is None:
        raise CellInvalidError("is not a number of seconds", value=text, remedy="write Incr and Min Dur in digits")
    increment, minimum = int(match[1] or 0) or 1, int(match[2] or 0)
    if minimum > increment and minimum % increment:
        problem = "is no whole part of the minimum duration"
        raise CellInvalidError(problem, value=text, remedy="no increments can say that: make Min Dur a multiple")
    return f"{max(minimum, increment)}/{increment}"


def _noted(sheet: Sheet, key: str, bad: pa.Array, problem: str, remedy: str) -> list[Fault]:
    rows = np.flatnonzero(bad.to_numpy(zero_copy_only=False))
    cells = sheet.cells(key)
    shown = [
        Fault(place=sheet.at(row, key), value=cells[row].as_py(), problem=problem, remedy=remedy)
        for row in rows[:SHOWN].tolist()
    ]
    return capped(shown, len(rows), f"{sheet.place} {key}", problem)


def _taken(sheet: Sheet, kept: pa.Array) -> Sheet:
    columns = {name: cells.filter(kept) for name, cells in sheet.columns.items()}
    return replace(sheet, lines=sheet.lines[kept.to_numpy(zero_copy_only=False)], columns=columns)


def _plain(cells: pa.DictionaryArray) -> pa.Array:
    return cells.dictionary.take(cells.indices)
