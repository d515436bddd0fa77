"""Mappings: what the columns of a deck mean, as data. The built-in dialects are mappings, and a user's own is one too.

A mapping is a TOML file:

    name = "Example Telecom A–Z"
    product = "voice.outbound"          # told by --product where it is another
    unit = "minute"                     # what the prices are per: a unit of the product, or event
    currency = "EUR"                    # where the deck never has another
    increments = "60/60"                # where no column says them
    timezone = "Europe/Paris"           # of dates; UTC without it
    dates = "D/M/YYYY"                  # how dates are written; ISO 8601 is always understood
    refuse = ["Included Seconds"]       # columns that would change a price: refused unless empty or 0
    needs = [["MCC", "MCCMNC"]]         # columns that a deck of this dialect has, of each list at least one

    [file]                              # all of it is found where it is not told
    delimiter = ";"
    encoding = "cp1252"
    sheet = "Rates"
    header = true                       # false: columns are named by their positions, from 1

    [numbers]
    decimal = ","
    group = "."

    [columns]                           # key of a rate -> the headers that it may have, case and spaces aside
    prefixes = {column = ["Code", "Prefix"], hyphen = "range"}
    destination = {parts = [["Country"], ["Network"]]}
    increments = {first = ["Min"], next = ["Step"]}
    effective_from = "Valid from"

    [[prices]]                          # each gives its own rows
    column = ["Rate"]
    [[prices]]
    column = ["Surcharge"]
    optional = true
    set = {element = "carrier_fee"}

    [[skip]]                            # rows that are none; how many is said
    column = "Code"
    matches = "Total.*"
    why = "the footer"
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from rates.cards import MATCHED, PRICED
from rates.dialects.dates import DatesInvalidError, date_pattern
from rates.dialects.texts import DELIMITERS
from rates.errors import Fault
from rates.quantities import Increments, IncrementsInvalidError
from rates.reading import Reader

Names = tuple[str | int, ...]
"""What a column may be called, the first that is there counts; or its position, from 1."""

CODES = frozenset({"prefixes", "origin_prefixes"})
AMOUNTS = frozenset({"setup_fee", "free_units", "block", "min_charge", "max_charge"})
DATES = frozenset({"effective_from", "effective_to"})
FLAGS = frozenset({"exact", "blocked"})
SPECIAL = frozenset({"currency", "mccmnc"})
"""Columns that are not a key of a rate: the currency of every row, and a network as mcc and mnc in one."""

_NO_COLUMN = frozenset({"prices", "price"})
_SCALES = ("1", "0.1", "0.01", "0.001", "0.0001", "0.00001", "0.000001")
_LONGEST_POSITION, _MOST_PAD = 9, 15
_TRUE, _FALSE = ("true", "yes", "y", "1", "x"), ("", "false", "no", "n", "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Where the cells of one key of a rate stand, and what is special about how they are written.

    `parts` are columns whose cells are put together (one that may be missing ends with an empty name); `names` is one
    column for it, read where a part is missing.
    The rest is explained where it is read: codes, amounts, values, dates.
    """

    key: str
    names: Names = ()
    parts: tuple[Names, ...] = ()
    optional: bool = False
    unless: str = ""
    separator: str = ""
    hyphen: str = ""
    trunk: str = ""
    plan: str = ""
    pad: int = 0
    zero: str = ""
    scale: str = "1"
    remove: tuple[str, ...] = ()
    default: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    true: tuple[str, ...] = _TRUE
    false: tuple[str, ...] = _FALSE
    inclusive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A column of prices, and what is said in each row that it gives. `empty` is what an empty cell stands for."""

    names: Names
    unit: str
    sets: Mapping[str, str]
    optional: bool = False
    empty: str = ""
    blocked: tuple[str, ...] = ()
    scale: str = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Rows that are not rates: those whose cell in a column (without one: in any) is like this."""

    names: Names
    matches: str
    why: str

    @property
    def pattern(self) -> str:
        """The pattern for a whole cell, in any case."""
        return f"(?i)^(?:{self.matches})$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A mapping, read and checked. Of `delimiter`, `encoding` and `sheet`, what is empty is found in the file."""

    name: str
    product: str
    unit: str
    currency: str
    increments: str
    timezone: str
    dates: str
    refuse: tuple[str, ...]
    needs: tuple[Names, ...]
    delimiter: str
    encoding: str
    sheet: str
    header: bool
    decimal: str
    group: str
    columns: Mapping[str, Column]
    prices: tuple[Price, ...]
    constants: Mapping[str, str]
    skips: tuple[Skip, ...]


def read_mapping(
    table: Mapping[str, object], place: str, dimensions: Collection[str] = ()
) -> tuple[Dialect | None, list[Fault]]:
    """The dialect of a mapping's table, or every fault of it; `dimensions` are those that products declare."""
    faults: list[Fault] = []
    read = Reader(place=f"{place}: ", table=table, faults=faults)
    file, numbers = read.below("file"), read.below("numbers")
    keys = frozenset({*MATCHED, *PRICED, *dimensions, *SPECIAL, "min_charge", "max_charge"}) - _NO_COLUMN
    unit = read.text("unit", "")
    dialect = Dialect(
        name=read.text("name", ""),
        product=read.text("product", ""),
        unit=unit,
        currency=read.text("currency", ""),
        increments=_increments(read),
        timezone=read.timezone("timezone"),
        dates=_dates(read, "dates"),
        refuse=read.texts("refuse"),
        needs=_parts(read, "needs"),
        delimiter=_delimiter(file),
        encoding=file.text("encoding", ""),
        sheet=file.text("sheet", ""),
        header=file.flag("header", default=True),
        decimal=numbers.choice("decimal", (".", ","), "."),
        group=numbers.choice("group", ("", ",", ".", " ", "'"), ""),
        columns={key: _column(read.below("columns"), key, keys) for key in read.below("columns").table},
        prices=tuple(_price(each, unit) for each in read.each("prices")),
        constants=_constants(read.below("constants"), keys),
        skips=tuple(map(_skip, read.each("skip"))),
    )
    if numbers.table.get("group") and dialect.group == dialect.decimal:
        numbers.fault("group", "is the decimal sign too", "tell two different signs")
    if not dialect.prices:
        read.fault("prices", "is missing", "write [[prices]] with the column of the price")
    if not dialect.unit and any(not price.unit for price in dialect.prices):
        read.fault("unit", "is missing", "say what prices are per: minute, second, segment, event, ...")
    for part in (read, file, numbers):
        part.finish()
    return (None if faults else dialect), faults


def told(table: Mapping[str, object], settings: Mapping[str, str]) -> dict[str, object]:
    """A mapping's table with settings told beside it: `columns.prefixes.hyphen` -> `range`.

    A setting of a column that is only named adds to it; `skip` adds a pattern of rows to skip. `true` and `false` are
    flags.
    """
    result = _copied(table)
    for path, text in settings.items():
        *above, last = path.split(".")
        if path == "skip":
            rules = result.get("skip", [])
            result["skip"] = [*(rules if isinstance(rules, list) else []), {"matches": text, "why": "as told"}]
            continue
        below = result
        for key in above:
            inner = below.get(key)
            if not isinstance(inner, dict):
                inner = {} if inner is None else {"column": inner}
                below[key] = inner
            below = inner
        flag = {"true": True, "false": False}.get(text)
        below[last] = flag if flag is not None else int(text) if last == "pad" and _is_position(text) else text
    return result


def _copied(table: Mapping[str, object]) -> dict[str, object]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in table.items()}


def _column(columns: Reader, key: str, keys: Collection[str]) -> Column:
    columns.seen.add(key)
    if key not in keys:
        columns.fault(key, "is not a key of a rate", f"known here: {', '.join(sorted(keys))}")
        return Column(key=key)
    value = columns.table[key]
    table = value if isinstance(value, Mapping) else {"column": value}
    read = Reader(place=columns.at(key), table=table, faults=columns.faults)
    pair = tuple(_names(read, name) for name in ("first", "next")) if key == "increments" else ()
    column = Column(
        key=key,
        names=_names(read, "column"),
        parts=pair if any(pair) else _parts(read),
        optional=read.flag("optional"),
    )
    if not column.names and not all(column.parts or ((),)):
        read.fault("column", "is missing", 'name the column, as in column = ["Code", "Prefix"]')
    column = _with_words(read, _of_its_kind(read, column))
    read.finish()
    return column


def _of_its_kind(read: Reader, column: Column) -> Column:
    """The column with what only columns of some kinds have."""
    if column.key in CODES:
        return replace(
            column,
            separator=read.choice("separator", ("", ",", ";", "|", "/", " "), ""),
            hyphen=read.choice("hyphen", ("", "range", "join"), ""),
            trunk=read.choice("trunk", ("", "0"), ""),
            plan=read.choice("plan", ("", "nanp"), ""),
        )
    if column.key in AMOUNTS:
        return replace(column, scale=read.choice("scale", _SCALES, "1"))
    if column.key == "effective_to" and "inclusive" not in read.table:
        read.fault("inclusive", "is missing", "true if the day itself still counts, false if it ends before it")
    if column.key in DATES:
        return replace(column, inclusive=column.key == "effective_to" and read.flag("inclusive"))
    if column.key in FLAGS:
        return replace(column, true=_lower(read, "true", _TRUE), false=_lower(read, "false", _FALSE))
    if column.key == "increments":
        return replace(column, zero=read.text("zero", ""))
    if column.key == "destination":
        return replace(column, remove=read.texts("remove"))
    return replace(column, default=_lower(read, "default", ()), pad=_pad(read), unless=read.text("unless", ""))


def _pad(read: Reader) -> int:
    pad = read.integer("pad", 0)
    if pad > _MOST_PAD:
        read.fault("pad", f"is above {_MOST_PAD}", "no code is that long")
        return 0
    return pad


def _with_words(read: Reader, column: Column) -> Column:
    if column.key in AMOUNTS | DATES | FLAGS or column.key in {"increments", "destination"}:
        return column
    words = read.below("words")
    return replace(column, words={word.strip().casefold(): words.text(word, "") for word in words.table})


def _lower(read: Reader, key: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    texts = read.texts(key)
    return tuple(text.strip().casefold() for text in texts) if key in read.table else usual


def _parts(read: Reader, key: str = "parts") -> tuple[Names, ...]:
    read.seen.add(key)
    value = read.table.get(key, [])
    if not isinstance(value, list):
        read.fault(key, "is not a list of columns", 'write [["Country code"], ["Area code"]]')
        return ()
    return tuple(_listed(read, key, item) for item in value)


def _names(read: Reader, key: str) -> Names:
    read.seen.add(key)
    return _listed(read, key, read.table[key]) if key in read.table else ()


def _listed(read: Reader, key: str, value: object) -> Names:
    items = value if isinstance(value, list) else [value]
    good = [item for item in items if isinstance(item, str | int) and not isinstance(item, bool)]
    empty = any(item == "" or (isinstance(item, int) and item < 1) for item in (good[:-1] if key == "parts" else good))
    if not any(items) or len(good) != len(items) or empty:
        read.fault(key, "is neither headers nor a position", 'write ["Code", "Prefix"], or a position from 1')
    return tuple(int(item) if _is_position(item) else item for item in good)


def _is_position(item: str | int) -> bool:
    return isinstance(item, str) and item.isdecimal() and len(item) <= _LONGEST_POSITION


def _price(read: Reader, unit: str) -> Price:
    sets = read.below("set")
    price = Price(
        names=_names(read, "column"),
        unit=read.text("unit", unit),
        sets={key: sets.text(key) for key in sets.table},
        optional=read.flag("optional"),
        empty=read.choice("empty", ("", "0", "blocked"), ""),
        blocked=_lower(read, "blocked", ()),
        scale=read.choice("scale", _SCALES, "1"),
    )
    if not price.names:
        read.fault("column", "is missing", "name the column of the price")
    for key in (key for key in sets.table if key not in {*MATCHED, "destination", "tiers"}):
        sets.fault(key, "is not told by a price column", f"use {', '.join(MATCHED)}")
    read.finish()
    return price


def _skip(read: Reader) -> Skip:
    skip = Skip(names=_names(read, "column"), matches=read.text("matches"), why=read.text("why", "skipped"))
    try:
        pc.match_substring_regex(pa.array([""]), skip.pattern)
    except pa.ArrowInvalid:
        read.fault("matches", "is not a pattern", "write a regular expression (RE2), as in (Total|Note).*")
    read.finish()
    return skip


def _constants(read: Reader, keys: frozenset[str]) -> dict[str, str]:
    for key in read.table:
        if key not in keys - SPECIAL:
            read.fault(key, "is not a key of a rate", "see the columns of a rate card")
    return {key: read.text(key) for key in read.table}


def _delimiter(read: Reader) -> str:
    named = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
    text = read.text("delimiter", "")
    sign = named.get(text, text)
    if sign and sign not in DELIMITERS:
        read.fault("delimiter", "is not known here", "use , ; | or tab")
        return ""
    return sign


def _increments(read: Reader) -> str:
    text = read.text("increments", "")
    try:
        return str(Increments.parse(text)) if text else ""
    except IncrementsInvalidError as error:
        read.fault("increments", error.problem, error.remedy)
        return ""


def _dates(read: Reader, key: str) -> str:
    text = read.text(key, "")
    try:
        if text:
            date_pattern(text)
    except DatesInvalidError as error:
        read.fault(key, error.problem, error.remedy)
        return ""
    return text
