"""A first mapping for a deck that nobody has described yet: which column may be what, why, and what must be told.

A person reads the draft before it reads a deck. What the file cannot say is left open and listed: the currency, the
increments, the order of day and month.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from rates.dialects.drafting import draft
from rates.dialects.files import Body, DeckFile
from rates.dialects.headers import Header, find_header, unread
from rates.dialects.looks import Look, look_at
from rates.dialects.mappings import Dialect
from rates.errors import Fault

# Names that headers of decks have, beside those that the built-in dialects know. In plain form: no spaces, no case.
_NAMES = {
    "prefixes": "code codes prefix prefixes dialcode dialcodes destinationcode areacode destcode numberprefix digits "
    "dialprefix destinationprefix destinationprefixes breakout phonecode callingcode",
    "destination": "description destination destinations destinationname name breakoutname operator network carrier "
    "zone route location countryname country",
    "price": "rate price cost rate/min price/min rateperminute priceperminute minuterate perminute tariff "
    "newrate currentrate ratepermin usd eur gbp rate(usd) rate(eur) price(usd) price(eur) rateusd rateeur",
    "increments": "increments increment billing billingincrement billingincrements interval billinginterval step",
    "first": "interval1 firstinterval initialincrement initial duration minduration minimum min first "
    "firstincrement mintime initialinterval",
    "next": "intervaln subinterval nextinterval increment next subsequentincrement pulse subsequent nextincrement "
    "additional",
    "setup_fee": "connectfee setupfee connectionfee setup connectcost pricepercall connectioncharge connect",
    "effective_from": "effective effectivedate effectivefrom validfrom startdate from start activationdate begindate",
    "effective_to": "enddate validto effectiveto expirydate expires until end",
    "country": "iso isocode countryiso isocountry iso2",
    "origin_prefixes": "originationprefixes originprefixes originprefix sourceprefix ani origin callerprefix",
    "mcc": "mcc",
    "mnc": "mnc",
    "mccmnc": "mccmnc mcc/mnc mcc-mnc plmn",
    "carrier_fee": "carrierfee surcharge carriersurcharge passthroughfee",
    "interstate": "inter interstate interrate interstaterate",
    "intrastate": "intra intrastate intrarate intrastaterate",
    "indeterminate": "ij indeterminate ijrate indeterminaterate indeter indet",
    "currency": "currency curr ccy",
    "npa": "npa",
    "nxx": "nxx",
    "npanxx": "npanxx npa-nxx npa/nxx npanxxx",
    "exact": "exactmatch exact",
}
_KNOWN = {name: (key, rank) for key, names in reversed(_NAMES.items()) for rank, name in enumerate(names.split())}
_MONEY = {"price", "setup_fee", "carrier_fee", "interstate", "intrastate", "indeterminate"}
_STEPS = {"increments", "first", "next"}
_MONEY_WORDS = re.compile("rate|price|cost|tariff|charge|fee|peak")
_TIMES = re.compile(
    "peak|weekend|week-end|weekday|daytime|evening|night|holiday|^day$|^day(rate|price)|(rate|price)day$"
)
_MANY = 3
_MOST, _HALF = 900, 500
_MONTHS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a column may be, and why; `key` is empty where nothing speaks for anything."""

    column: str
    key: str
    reason: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sniffed:
    """What was found in a file: the dialects that fit it, best first; each column; a draft; and what must be told.

    `damage` says in words which cells are lost, however their columns are read.
    """

    dialects: tuple[str, ...]
    header_line: int
    said: tuple[str, ...]
    guesses: tuple[Guess, ...]
    tell: tuple[str, ...]
    damage: tuple[str, ...]
    mapping: str
    rows: int = field(default=0)


def sniff(file: DeckFile, dialects: Mapping[str, Dialect]) -> tuple[Sniffed | None, list[Fault]]:
    """What a file may be, or what is wrong with it as a file."""
    header = likely_header(file)
    body, faults = file.below(header.row)
    if body is None:
        return None, faults
    looks = [look_at(header.called(i), i, cells) for i, cells in enumerate(body.columns)]
    at_times = by_time(looks)
    guesses = guessed(looks, at_times)
    named = {key: (look, reason) for look, key, reason in guesses if key and look not in at_times}
    mapping, tell = draft(header, named, _dates(body, guesses), at_times)
    tell.extend(_left_out(guesses))
    return Sniffed(
        dialects=tuple(fitting(file, dialects)),
        header_line=header.row + 1,
        said=file.said,
        guesses=tuple(
            Guess(column=look.name, key=key, reason=reason, examples=look.examples) for look, key, reason in guesses
        ),
        tell=tuple(tell),
        damage=tuple(_damage(look) for look in looks if look.destroyed),
        mapping=mapping,
        rows=len(body.lines),
    ), []


def _damage(look: Look) -> str:
    count = len(look.destroyed)
    cells = f"{count:,} cells such as {look.destroyed[0]}" if count > 1 else f"the cell {look.destroyed[0]}"
    return f"a spreadsheet destroyed {cells} in column {look.name.removeprefix('column ')}; export the column as text"


def fitting(file: DeckFile, dialects: Mapping[str, Dialect]) -> Iterator[str]:
    """The dialects whose columns a file has, those first of which it has the fewest that are not read."""
    found = []
    for name, dialect in dialects.items():
        header, _ = find_header(file.top, dialect, file.place)
        if header is not None:
            found.append((len(unread(header, dialect)), name))
    yield from (name for _, name in sorted(found))


def likely_header(file: DeckFile) -> Header:
    """The first row in which most cells are names of columns; else the first of words alone; else there is none."""
    rows = [[cell.strip() for cell in row] for row in file.top]
    known = [sum(1 for cell in row if _plain(cell) in _KNOWN) for row in rows]
    if max(known, default=0) > 1:
        best = known.index(max(known))
        return Header(row=best, names=tuple(rows[best]))
    width = max(map(len, rows))
    for i, cells in enumerate(rows):
        if len(cells) == width and all(cells) and not any(re.search(r"\d", cell) for cell in cells):
            return Header(row=i, names=tuple(cells))
    return Header(row=-1, names=("",) * width)


def by_time(looks: list[Look]) -> list[Look]:
    """Columns of prices by the time of the week: two or more that are named after times."""
    found = [look for look in looks if _TIMES.search(_plain(look.name)) and _is_money(look)]
    return found if len(found) > 1 else []


def guessed(looks: list[Look], at_times: list[Look]) -> list[tuple[Look, str, str]]:
    """Each column with what it may be and why: by its name first, then by its cells, each key once."""
    taken: dict[str, int] = {"price": -1} if at_times else {}
    reasons = {look.position: ("price", "is named after a time of the week") for look in at_times}
    named = [(_KNOWN.get(_plain(look.name)), look) for look in looks if look not in at_times]
    for (key, _), look in sorted(((known, look) for known, look in named if known), key=lambda pair: pair[0][1]):
        if key not in taken and _may_be(key, look):
            taken[key] = look.position
            reasons[look.position] = key, "is a usual name for it"
    if taken.keys() & {"npanxx", "npa", "mcc", "mccmnc"}:
        taken.setdefault("prefixes", -1)
    if taken.keys() & {"interstate", "intrastate"}:
        taken.setdefault("price", -1)
    if taken.keys() & {"first", "next"}:
        taken.setdefault("increments", -1)
    for key, looks_right, reason in _BY_LOOK:
        for look in looks:
            if key not in taken and look.position not in reasons and look.filled and looks_right(look):
                taken[key] = look.position
                reasons[look.position] = key, reason
    _name_the_next(looks, taken, reasons)
    return [(look, *reasons.get(look.position, ("", ""))) for look in looks]


def _name_the_next(looks: list[Look], taken: Mapping[str, int], reasons: dict[int, tuple[str, str]]) -> None:
    """A column of increments without pairs is that of the next ones where another is that of the first."""
    step = taken.get("increments", -1)
    if (
        "first" in taken
        and "next" not in taken
        and any(look.position == step and not look.mostly("interval") for look in looks)
    ):
        reasons[step] = "next", "stands beside a first increment"


def _may_be(key: str, look: Look) -> bool:
    """Whether the cells of a column do not deny what its name says: of decks in which `Destination` is a prefix."""
    shares = look.shares
    if key == "price":
        return _is_number(look)
    if key == "prefixes":
        return shares["code"] + shares["codes"] >= _HALF
    return key != "destination" or not look.filled or shares["words"] >= _HALF


def _is_money(look: Look) -> bool:
    return _is_number(look) and look.shares["decimal"] > 0


def _left_out(guesses: list[tuple[Look, str, str]]) -> Iterator[str]:
    """Columns that may be of money or of increments and are in no draft: another one is, under the same key."""
    for look, key, _ in guesses:
        name = _plain(look.name)
        of_money = _KNOWN.get(name, ("",))[0] in _MONEY or _MONEY_WORDS.search(name) is not None
        if not key and look.filled and (look.mostly("decimal") or (of_money and _is_number(look))):
            shown = ", ".join(look.examples)
            yield f"what {look.name} is, which looks like a price ({shown}) and is not in the draft"
        elif not key and look.filled and (look.mostly("interval") or _KNOWN.get(name, ("",))[0] in _STEPS):
            shown = ", ".join(look.examples)
            yield f"what {look.name} is, which looks like increments ({shown}) and is not in the draft"


def _is_number(look: Look) -> bool:
    return look.shares["decimal"] + look.shares["whole"] >= _HALF


def _codes(look: Look) -> bool:
    shares = look.shares
    return shares["code"] + shares["codes"] >= _MOST and look.mostly("assigned") and look.distinct > _MANY


def _dates(body: Body, guesses: list[tuple[Look, str, str]]) -> str:
    """The one order of day and month in which all dates of a deck are days of the calendar; nothing if both are."""
    for look, key, _ in guesses:
        if key == "effective_from":
            return date_order(body.columns[look.position].unique().to_pylist())
    return ""


def date_order(texts: list[str]) -> str:
    """`M/D/YYYY`, `D.M.YYYY`, ... if the dates can only be that; nothing where both orders are possible."""
    found = [re.match(r"(\d{1,2})([/.-])(\d{1,2})[/.-](\d{4}|\d{2})(?!\d)", text) for text in texts if text]
    if not found or None in found:
        return ""
    matches = [match for match in found if match is not None]
    sign, year = matches[0][2], "Y" * len(matches[0][4])
    month_first = all(int(match[1]) <= _MONTHS for match in matches)
    day_first = all(int(match[3]) <= _MONTHS for match in matches)
    if month_first == day_first:
        return ""
    return f"M{sign}D{sign}{year}" if month_first else f"D{sign}M{sign}{year}"


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", "", name).casefold()


_BY_LOOK: tuple[tuple[str, Callable[[Look], bool], str], ...] = (
    ("increments", lambda look: look.mostly("interval"), "cells such as 60/1 are increments"),
    ("effective_from", lambda look: look.mostly("date"), "the cells are dates"),
    ("country", lambda look: look.mostly("country"), "the cells are ISO countries"),
    ("prefixes", _codes, "the cells are codes that begin with calling codes"),
    ("price", lambda look: look.mostly("decimal"), "the cells are decimals"),
    ("destination", lambda look: look.mostly("words", _HALF), "the cells are words"),
)
"""Key -> whether the cells of a column look like it, tried in this order where its name says nothing."""
