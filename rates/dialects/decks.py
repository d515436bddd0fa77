"""Decks to cards: a file of text cells and a dialect give canonical rows, or every fault with its place in the file.

Columns are translated whole, each distinct value once. Nothing is left out in silence: rows that a mapping skips,
columns that it does not read and what was found instead of told are said as notes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rates.cardfile import card_from_sheet
from rates.cards import Card
from rates.checking.sheet import Sheet
from rates.dialects.codes import SKIP
from rates.dialects.columns import Cells, amounts, canonical_columns, single_currency
from rates.dialects.files import Body, DeckFile
from rates.dialects.headers import Header, find_header, unread
from rates.dialects.mappings import AMOUNTS, Dialect, Price
from rates.dialects.validity import in_time
from rates.errors import Fault
from rates.prices import EVENT
from rates.products import Product

Bools = NDArray[np.bool_]
Columns = dict[str, pa.Array]

_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What whoever imports a deck says of it. The dialect's own facts stand where something is left empty."""

    card_id: str
    effective_from: datetime
    currency: str = ""
    product: str = ""
    increments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What came of a deck: a card or every fault of it, and what a person should know of how it was read."""

    card: Card | None
    faults: list[Fault]
    notes: tuple[str, ...] = ()


def read_deck(file: DeckFile, dialect: Dialect, told: Told, products: Mapping[str, Product]) -> Reading:
    """The card of a deck, or every fault of it."""
    header, faults = find_header(file.top, dialect, file.place)
    if header is None:
        return Reading(card=None, faults=faults)
    body, faults = file.below(header.row)
    if body is None:
        return Reading(card=None, faults=faults)
    body, notes = _without_skipped(body, header, dialect)
    notes = [*_found(file, header, dialect), *notes]
    told = replace(told, product=told.product or dialect.product, increments=told.increments or dialect.increments)
    if not len(body.lines):
        return Reading(card=None, faults=[_nothing(file)], notes=tuple(notes))
    faults = _odd_faults(file, body)
    body = taken(body, ~body.odd) if faults else body
    cells = Cells(file=file, header=header, body=body, dialect=dialect, currency="", faults=faults)
    cells = replace(cells, currency=single_currency(cells, told.currency))
    sheet = _rows(cells, told, products)
    if cells.faults:
        return Reading(card=None, faults=cells.faults, notes=tuple(notes))
    sheet, more = in_time(sheet, told.effective_from)
    if not len(sheet):
        return Reading(card=None, faults=[_nothing(file)], notes=(*notes, *more))
    head = {"id": told.card_id, "currency": cells.currency, "effective_from": told.effective_from}
    card, faults = card_from_sheet(head, sheet, products, place="")
    return Reading(card=card, faults=faults, notes=(*notes, *more))


def _found(file: DeckFile, header: Header, dialect: Dialect) -> list[str]:
    notes = [f"read with {', '.join(file.said)}"] if file.said else []
    above = header.row - sum(1 for row in file.top[: max(header.row, 0)] if not any(row))
    if above > 0:
        notes.append(f"{above} {'row' if above == 1 else 'rows'} above the header skipped")
    left = unread(header, dialect)
    if left:
        shown = ", ".join(left[:_SHOWN]) + (", …" if len(left) > _SHOWN else "")
        notes.append(f"columns not read: {shown}")
    return notes


def _without_skipped(body: Body, header: Header, dialect: Dialect) -> tuple[Body, list[str]]:
    notes = []
    kept = np.ones(len(body.lines), dtype=bool)
    for why, found in _skipped(body, header, dialect):
        lines = body.lines[found & kept]
        kept &= ~found
        if len(lines):
            count = f"{len(lines):,} {'row' if len(lines) == 1 else 'rows'}"
            notes.append(f"{count} skipped ({why}), the first on line {int(lines[0]):,}")
    return (body if kept.all() else taken(body, kept)), notes


def _skipped(body: Body, header: Header, dialect: Dialect) -> Iterator[tuple[str, Bools]]:
    """Why rows are skipped, and which: by the rules of a dialect, and by words of a column that it tells to skip."""
    for rule in dialect.skips:
        position = header.find(rule.names)
        columns = body.columns if not rule.names else () if position is None else (body.columns[position],)
        found = np.zeros(len(body.lines), dtype=bool)
        for cells in columns:
            found |= pc.match_substring_regex(cells, rule.pattern).to_numpy(zero_copy_only=False)
        yield rule.why, found
    for column in dialect.columns.values():
        words = [word for word, meaning in column.words.items() if meaning == SKIP]
        for position in header.positions(column)[-1:] if words else ():
            written = pc.utf8_lower(body.columns[position])
            for word in words:
                yield f"{header.called(position)} {word}", pc.equal(written, word).to_numpy(zero_copy_only=False)


def taken(body: Body, kept: Bools) -> Body:
    """The rows of a body that are kept."""
    return Body(
        lines=body.lines[kept],
        columns=tuple(cells.filter(pa.array(kept)) for cells in body.columns),
        odd=body.odd[kept],
        numbers=tuple(None if held is None else held[kept] for held in body.numbers),
    )


def _nothing(file: DeckFile) -> Fault:
    return Fault(
        place=file.place, value="", problem="has no row that is a rate", remedy="see what was skipped, and why"
    )


def _odd_faults(file: DeckFile, body: Body) -> list[Fault]:
    sheet = Sheet(place=file.place, inline=False, lines=body.lines, columns={})
    remedy = "quote cells that have the delimiter in them, or tell which rows to skip"
    problem = f"has not the {len(body.columns)} cells of the others"
    return sheet.faults("", body.odd, body.columns[0], problem, remedy)


def _rows(cells: Cells, told: Told, products: Mapping[str, Product]) -> Sheet:
    base = canonical_columns(cells)
    n = len(cells.body.lines)
    blocked = pc.equal(base.pop("blocked", pa.repeat(pa.scalar(""), n)), "true").to_numpy(zero_copy_only=False)
    blocks = []
    for price in cells.dialect.prices:
        position = cells.header.find(price.names)
        if position is not None:
            blocks.append(_block(cells, price, position, base, blocked))
    return _joined(cells, blocks, told, products)


def _block(
    cells: Cells, price: Price, position: int, base: Columns, blocked: Bools
) -> tuple[NDArray[np.int64], Columns]:
    """The rows that a column of prices gives: the positions of their rows in the file, and their cells."""
    written = cells.body.columns[position]
    words = pc.is_in(pc.utf8_lower(written), pa.array(price.blocked, pa.string())).to_numpy(zero_copy_only=False)
    empty = pc.equal(written, "").to_numpy(zero_copy_only=False)
    barred = blocked | words | (empty & (price.empty == "blocked"))
    written = pc.if_else(pa.array(barred), "", written)
    alive = np.ones(len(empty), dtype=bool)
    if price.empty == "0":
        written = pc.if_else(pa.array(empty & ~barred), "0", written)
    elif price.optional:
        alive = ~empty
    else:
        cells.note(position, empty & ~barred, "is missing", "every rate has a price: mend it, or skip the row")
    priced = amounts(cells, position, written, price.scale)
    rows = np.flatnonzero(alive)
    index = pa.array(rows)
    columns = {key: column.take(index) for key, column in base.items()}
    columns["price"] = priced.take(index)
    columns["unit"] = pa.repeat(pa.scalar(price.unit), len(rows))
    flags = pa.array(barred[rows])
    columns["blocked"] = pc.if_else(flags, "true", "")
    for key, text in price.sets.items():
        columns[key] = pa.repeat(pa.scalar(text), len(rows))
    for key in AMOUNTS & columns.keys():
        usage = price.sets.get("element", "usage") == "usage"
        columns[key] = pc.if_else(flags, "", columns[key]) if usage else pa.repeat(pa.scalar(""), len(rows))
    return rows, columns


def _joined(
    cells: Cells, blocks: list[tuple[NDArray[np.int64], Columns]], told: Told, products: Mapping[str, Product]
) -> Sheet:
    rows = np.concatenate([rows for rows, _ in blocks])
    order = np.argsort(rows, kind="stable") if len(blocks) > 1 else None
    keys = dict.fromkeys(key for _, columns in blocks for key in columns)
    columns: Columns = {}
    for key in keys:
        parts = [columns.get(key, pa.repeat(pa.scalar(""), len(rows))) for rows, columns in blocks]
        whole = pa.concat_arrays(parts) if len(parts) > 1 else parts[0]
        columns[key] = whole if order is None else whole.take(pa.array(order))
    count = len(rows)
    for key, text in cells.dialect.constants.items():
        columns[key] = pa.repeat(pa.scalar(text), count)
    columns.setdefault("product", pa.repeat(pa.scalar(told.product), count))
    names = cells.names() | ({"price": cells.header.called(_only(cells))} if len(blocks) == 1 else {})
    lines = cells.body.lines[rows if order is None else rows[order]]
    sheet = Sheet(place=cells.file.place, inline=False, lines=lines, columns=columns, names=names)
    return _with_increments(cells, sheet, told, products)


def _only(cells: Cells) -> int:
    return next(found for price in cells.dialect.prices if (found := cells.header.find(price.names)) is not None)


def _with_increments(cells: Cells, sheet: Sheet, told: Told, products: Mapping[str, Product]) -> Sheet:
    """Increments as written, else as told: of a time product there are no others."""
    written = sheet.cells("increments")
    timed = [name for name, product in products.items() if product.timed]
    counted = pc.and_(
        pc.is_in(sheet.columns["product"], pa.array(timed, pa.string())),
        pc.and_(pc.not_equal(sheet.columns["unit"], EVENT), pc.equal(sheet.columns["blocked"], "")),
    )
    lacking = pc.and_(counted, pc.equal(written, ""))
    if told.increments:
        filled = pc.if_else(lacking, told.increments, written)
        return replace(sheet, columns={**sheet.columns, "increments": filled})
    bad = lacking.to_numpy(zero_copy_only=False)
    if bad.any() and not (cells.faults and "increments" in sheet.columns):
        remedy = "tell them, as in --increments 60/60: there is no default"
        if "increments" in sheet.columns:
            cells.faults.extend(sheet.faults("increments", bad, written, "has no increments", remedy))
        else:
            problem = "has no column of increments, and none are told"
            cells.faults.append(Fault(place=sheet.place, value="", problem=problem, remedy=remedy))
    return sheet
