"""Rate cards in files: a TOML head and its rows (FORMATS section 2) read into a `Card` or every fault of it, and back.

Nothing is half-loaded: a card with one fault is no card. Texts come in and go out; whoever calls reads the files.
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from rates.cards import MATCHED, PRICED, RULES, Card, Rounding, column, instant
from rates.checking.cells import WAYS, CellInvalidError, Way, canonical, check_exact, check_token, one_by_one, one_of
from rates.checking.counters import in_currency, pool_faults, schedule_faults
from rates.checking.rows import check
from rates.checking.sheet import Sheet, from_tables, read_csv, write_csv
from rates.checking.ties import tie_faults
from rates.checking.weeks import window_faults
from rates.errors import CardFaultyError, Fault
from rates.money import CurrencyUnknownError, RoundingMode, currency, plain
from rates.products import Product
from rates.reading import Reader, parse_toml
from rates.tiers import Schedule, Selector, read_pool, read_schedule
from rates.windows import Window, clock, read_window

T = TypeVar("T")

_MOST_DECIMALS = 12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_card(
    toml_text: str, attachments: Mapping[str, bytes], products: Mapping[str, Product], *, place: str = "card.toml"
) -> tuple[Card | None, list[Fault]]:
    """The card of a TOML text, its rows from `attachments` by the name that `rates` gives; or every fault of it."""
    table, faults = parse_toml(toml_text, place)
    return (None, faults) if faults else card_from_table(table, attachments, products, place=f"{place}: ")


def card_from_table(
    table: Mapping[str, object],
    attachments: Mapping[str, bytes],
    products: Mapping[str, Product],
    *,
    place: str = "card.toml: ",
) -> tuple[Card | None, list[Fault]]:
    """The card of a table in the form of `card.toml`, or every fault of it.

    `place` is what faults begin with: `card.toml: ` for a whole file, `scenario.toml: card[0]` for a table in one.
    """
    read = Reader(place=place, table=table, faults=[])
    sheet = _sheet(read, attachments, products)
    return _card(read, sheet, products)


def card_from_sheet(
    table: Mapping[str, object], sheet: Sheet, products: Mapping[str, Product], *, place: str = "card.toml: "
) -> tuple[Card | None, list[Fault]]:
    """The card of a head without rows and of rows read elsewhere (a deck), or every fault of it."""
    return _card(Reader(place=place, table=table, faults=[]), sheet, products)


def _card(read: Reader, sheet: Sheet | None, products: Mapping[str, Product]) -> tuple[Card | None, list[Fault]]:
    head = _head(read, products)
    read.finish()
    if sheet is None:
        return None, read.faults
    rows, cell_faults = _rows(sheet, products, head)
    read.faults.extend(cell_faults)
    card = replace(head, rows=rows)
    # What contradicts is looked for in any card, ties only where keys are what was meant.
    read.faults.extend(check(card, sheet, products))
    if not read.faults:
        read.faults.extend(tie_faults(card, sheet) or window_faults(card, sheet, products))
    return (None if read.faults else card), read.faults


def write_card(card: Card, rates: str = "rates.csv") -> tuple[str, bytes]:
    """The head and the rows of a card as the two files that read back as the same card; rows keep their order."""
    columns = {name: _plain(column(card.rows, name)) for name in card.rows.column_names if name != "row"}
    if "prices" in columns:
        several = pc.match_substring(columns["prices"], " ")
        columns["price"] = pc.if_else(several, "", columns["prices"])
        columns["prices"] = pc.if_else(several, columns["prices"], "")
    order = [*MATCHED, *sorted(columns.keys() - {*MATCHED, *PRICED, "price"}), "price", *PRICED]
    kept = {name: columns[name] for name in order if name in columns and _filled(columns[name])}
    return write_head(card, rates), write_csv(kept)


def write_head(card: Card, rates: str = "rates.csv") -> str:
    """The first of the two: all that a card says beside its rows."""
    return "\n".join(_toml(card, rates)) + "\n"


def with_head(toml_text: str, rows: pa.Table, products: Mapping[str, Product]) -> Card:
    """The card of a head that `write_card` wrote and of rows that were checked before, as a store keeps them.

    Raises `CardFaultyError` where the head cannot be understood any more.
    """
    read = Reader(place="card.toml: ", table=tomllib.loads(toml_text), faults=[])
    head = _head(read, products)
    if read.faults:
        raise CardFaultyError(read.faults)
    return replace(head, rows=rows)


def schedules_of(toml_text: str) -> dict[str, Schedule]:
    """The schedules of a head that `write_card` wrote, alone."""
    if "[tiers." not in toml_text:  # of most cards, and there may be one for each account
        return {}
    tables = Reader(place="card.toml: ", table=tomllib.loads(toml_text), faults=[]).below("tiers")
    return {name: read_schedule(tables.below(name), name) for name in tables.table}


def columns_of(products: Mapping[str, Product]) -> frozenset[str]:
    """The keys that a rate may have: those of the format, and the dimensions that products declare."""
    declared = {name for product in products.values() for name in product.dimensions}
    return frozenset({*MATCHED, *PRICED, "price", *declared})


def _head(read: Reader, products: Mapping[str, Product]) -> Card:
    head = Card(
        id=_id(read),
        currency=_currency(read),
        effective_from=read.instant("effective_from") or _EPOCH,
        effective_to=read.instant("effective_to", required=False),
        rules=read.integer("rules", RULES),
        timezone=read.timezone("timezone"),
        overlay=read.flag("overlay"),
        rounding=_rounding(read.below("rounding"), given="rounding" in read.table),
        schedules=_named(read.below("tiers"), products, read_schedule, schedule_faults),
        pools=_named(read.below("pools"), products, read_pool, pool_faults),
        windows=_windows(read.below("windows")),
        rows=pa.table({}),
    )
    head = replace(head, schedules=in_currency(head.schedules, head.currency, read))
    if head.rules != RULES:
        read.fault("rules", "is a rule set that this version does not have", f"write rules = {RULES}, or leave it out")
    if head.effective_to is not None and head.effective_to <= head.effective_from:
        read.fault("effective_to", "is not after effective_from", "a card is in force for some time")
    if head.rounding.per == "event" and head.pools:
        read.fault("pools", "stand beside rounding per event", "round per line, or remove the pools")
    return head


def _id(read: Reader) -> str:
    name = read.text("id")
    if any(character.isspace() or not character.isprintable() or character == "@" for character in name):
        read.fault("id", "has a space, a control character or @", "write a short name, as in list-usd")
    return name


def _currency(read: Reader) -> str:
    code = read.text("currency")
    try:
        return currency(code) if code else ""
    except CurrencyUnknownError as error:
        read.fault("currency", error.problem, error.remedy)
        return ""


def _rounding(read: Reader, *, given: bool) -> Rounding:
    if not given:
        return Rounding()
    per = read.choice("per", ("line", "event"), "line")
    mode = RoundingMode(read.choice("mode", tuple(RoundingMode), RoundingMode.HALF_UP))
    decimals = read.integer("decimals", 0)
    if per == "line":
        if "decimals" in read.table:
            read.fault("decimals", "stands beside rounding per line", "a line rounds to the currency: remove it")
        if mode is not RoundingMode.HALF_UP:
            read.fault("mode", "stands beside rounding per line", "a line rounds half-up: remove it")
    elif "decimals" not in read.table:
        read.fault("decimals", "is missing", "rounding per event says to how many decimals")
    elif decimals > _MOST_DECIMALS:
        read.fault("decimals", f"is above {_MOST_DECIMALS}", "prices have no more")
    read.finish()
    return Rounding(per=per, decimals=decimals, mode=mode)


def _named(
    read: Reader,
    products: Mapping[str, Product],
    one: Callable[[Reader, str], T],
    wrong: Callable[[T, Mapping[str, Product], str], list[Fault]],
) -> dict[str, T]:
    """The tables below a reader by their names; what is readable is held against the products that it counts."""
    found = {}
    for name in read.table:
        below = read.below(name)
        known = len(read.faults)
        if not name.isprintable():
            below.fault("", "has a control character in its name", "write a short name, as in voice-us")
        found[name] = one(below, name)
        if len(read.faults) == known:
            read.faults.extend(wrong(found[name], products, below.place))
    return found


def _windows(read: Reader) -> dict[str, Window]:
    return {name: read_window(read.below(name), name) for name in read.table}


def _sheet(read: Reader, attachments: Mapping[str, bytes], products: Mapping[str, Product]) -> Sheet | None:
    known = columns_of(products)
    read.seen.update({"rates", "rate"})
    if "rates" in read.table and "rate" in read.table:
        read.fault("rates", "stands beside [[rate]] tables", "keep the rows in one place")
        return None
    if "rates" in read.table:
        name = read.text("rates")
        if name not in attachments:
            read.fault("rates", "is not there", "put the file beside the card")
            return None
        sheet, faults = read_csv(attachments[name], name, known)
        read.faults.extend(faults)
        return sheet
    sheet = from_tables(read, "rate", known)
    if not len(sheet) and not any(fault.place == read.at("rate") for fault in read.faults):
        read.fault("rates", "is missing", 'write rates = "rates.csv" or [[rate]] tables')
    return sheet if len(sheet) else None


def _rows(sheet: Sheet, products: Mapping[str, Product], head: Card) -> tuple[pa.Table, list[Fault]]:
    ways, tiers, windows = dict(WAYS), head.schedules, head.windows
    ways["product"] = one_by_one, one_of(products, "is not a product that is known here")
    ways["tiers"] = one_by_one, one_of(tiers, "is not a schedule of this card", f"define [tiers.NAME]; {_known(tiers)}")
    remedy = f"define [windows.NAME]; {_known(windows)}"
    ways["window"] = one_by_one, one_of(windows, "is not a window of this card", remedy)
    faults: list[Fault] = []
    columns = {}
    for key in sorted(sheet.columns):
        columns[key], found = _column(sheet, key, ways.get(key, (one_by_one, check_token)))
        faults += found
    faults += _both_prices(sheet)
    if "price" in columns:
        columns["prices"] = _folded(columns.pop("price"), columns.get("prices"))
    if "element" in columns:
        usual = pc.if_else(pc.equal(columns["element"].dictionary, "usage"), "", columns["element"].dictionary)
        columns["element"] = _recoded(columns["element"], usual)
    order = [*MATCHED, *sorted(columns.keys() - {*MATCHED, *PRICED}), *PRICED]
    kept = {name: columns[name] for name in order if name in columns and _filled(columns[name].dictionary)}
    return pa.table({"row": sheet.lines, **kept}), faults


def _column(sheet: Sheet, key: str, way: Way) -> tuple[pa.DictionaryArray, list[Fault]]:
    cells = sheet.cells(key)
    if key != "prefixes" or "exact" not in sheet.columns:
        return canonical(sheet, key, cells, way)
    exact = pc.equal(pc.utf8_lower(sheet.cells("exact")), "true")
    numbers, faults = canonical(sheet, key, pc.if_else(exact, "", cells), way)
    addresses, more = canonical(sheet, key, pc.if_else(exact, cells, ""), (one_by_one, check_exact))
    return pc.dictionary_encode(pc.if_else(exact, _plain(addresses), _plain(numbers))), faults + more


def _both_prices(sheet: Sheet) -> list[Fault]:
    if not {"price", "prices"} <= sheet.columns.keys():
        return []
    single, several = sheet.cells("price"), sheet.cells("prices")
    both = pc.and_(pc.not_equal(single, ""), pc.not_equal(several, ""))
    return canonical(sheet, "price", pc.if_else(both, single, ""), (one_by_one, _refuse_both))[1]


def _refuse_both(text: str) -> str:
    raise CellInvalidError("price and prices are both given", value=text, remedy="keep one of them")


def _known(names: Mapping[str, object]) -> str:
    return f"known: {', '.join(sorted(names))}" if names else "none is defined"


def _folded(single: pa.DictionaryArray, several: pa.DictionaryArray | None) -> pa.DictionaryArray:
    if several is None:
        return single
    plain_single = _plain(single)
    return pc.dictionary_encode(pc.if_else(pc.equal(plain_single, ""), _plain(several), plain_single))


def _plain(cells: pa.DictionaryArray) -> pa.Array:
    return cells.dictionary.take(cells.indices)


def _recoded(cells: pa.DictionaryArray, values: pa.Array) -> pa.DictionaryArray:
    distinct = pc.dictionary_encode(values)
    return pa.DictionaryArray.from_arrays(distinct.indices.take(cells.indices), distinct.dictionary)


def _filled(cells: pa.Array) -> bool:
    return bool(pc.any(pc.not_equal(cells, "")).as_py())


def _toml(card: Card, rates: str) -> list[str]:
    lines = [f"id = {_string(card.id)}", f"rules = {card.rules}", f"currency = {_string(card.currency)}"]
    lines.append(f"effective_from = {instant(card.effective_from)}")
    if card.effective_to is not None:
        lines.append(f"effective_to = {instant(card.effective_to)}")
    lines += [f"timezone = {_string(card.timezone)}", f"overlay = {str(card.overlay).lower()}"]
    lines.append(f"rates = {_string(rates)}")
    if card.rounding.per == "event":
        lines += ["", "[rounding]", 'per = "event"', f"decimals = {card.rounding.decimals}"]
        lines.append(f"mode = {_string(card.rounding.mode)}")
    for schedule in card.schedules.values():
        lines += _schedule(schedule)
    for pool in card.pools.values():
        lines += ["", f"[pools.{_string(pool.name)}]", f"free = {_string(plain(pool.free))}"]
        lines += [f"block = {_string(plain(pool.block))}", f"unit = {_string(pool.unit)}"]
        lines += [f"scope = {_string(pool.scope)}", f"fill = {_fill(pool.fill)}"]
    for window in card.windows.values():
        days = ", ".join(map(_string, window.days))
        lines += ["", f"[windows.{_string(window.name)}]", f"days = [{days}]"]
        lines += [f"from = {_string(clock(window.begins))}", f"to = {_string(clock(window.ends))}"]
        lines.append(f"split = {str(window.split).lower()}")
    return lines


def _schedule(schedule: Schedule) -> list[str]:
    lines = ["", f"[tiers.{_string(schedule.name)}]", f"mode = {_string(schedule.mode)}"]
    lines += [f"up_to = {_decimals(schedule.up_to)}", f"unit = {_string(schedule.unit)}"]
    lines += [f"measure = {_string(schedule.measure)}", f"scope = {_string(schedule.scope)}"]
    lines.append(f"fill = {_fill(schedule.fill)}")
    if schedule.flats:
        lines.append(f"flats = {_decimals(schedule.flats)}")
    lines.append(f"flat_at_zero = {str(schedule.flat_at_zero).lower()}")
    if schedule.discounts:
        lines.append(f"discounts = {_decimals(schedule.discounts)}")
    return lines


def _fill(selectors: tuple[Selector, ...]) -> str:
    tables = []
    for selector in selectors:
        conditions = {"product": selector.product, "country": selector.country, "number_type": selector.number_type}
        given = [f"{name} = [{', '.join(map(_string, items))}]" for name, items in conditions.items() if items]
        tables.append("{" + ", ".join(given) + "}")
    return f"[{', '.join(tables)}]"


def _decimals(values: tuple[Decimal, ...]) -> str:
    return f"[{', '.join(_string(plain(value)) for value in values)}]"


def _string(text: str) -> str:
    # JSON's escapes are TOML's; the one character that JSON leaves alone and TOML refuses is DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
