"""A card is read whole or not at all. Each faulty card here is the good one with one thing changed."""

import random
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rates.cardfile import card_from_table, read_card, schedules_of, write_card, write_head
from rates.cards import Card, column, identity
from rates.products import Product, by_id, read_product
from rates.tiers import Mode
from tests.shop import products

FURTHER = """
id = "turn.relay"
name = "TURN relay"
base = "byte"
units = {byte = 1, gb = 1000000000}
match = ["region"]
required = ["usage"]
measure = "bytes"
[[rules]]
effective_from = 2020-01-01T00:00:00Z
"""

TRUNK = """
id = "trunk.termination"
name = "Trunk termination"
base = "second"
units = {second = 1, minute = 60}
country_of = "to"
match = ["to", "from", "trunk_group"]
required = ["usage"]
measure = "duration_seconds"
[[rules]]
effective_from = 2020-01-01T00:00:00Z
"""

HEAD = """
id = "list-usd"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
effective_to = 2027-01-01T00:00:00Z
rates = "rates.csv"

[tiers.voice-us]
mode = "graduated"
up_to = ["500000", "1000000"]
unit = "minute"
fill = [{product = ["voice.outbound", "voice.inbound"], country = ["US", "CA"]}]

[tiers.texts]
mode = "volume"
up_to = ["1000"]
unit = "segment"
fill = [{product = "sms.*"}]
discounts = ["0", "5"]
"""

COLUMNS = [
    "product",
    "country",
    "destination",
    "prefixes",
    "origin_prefixes",
    "origin",
    "exact",
    "mcc",
    "mnc",
    "number_type",
    "element",
    "unit",
    "price",
    "prices",
    "tiers",
    "increments",
    "setup_fee",
    "free_units",
    "grace",
    "max_quantity",
    "blocked",
    "effective_from",
    "effective_to",
]

ROWS: list[dict[str, str]] = [
    {
        "product": "voice.outbound",
        "country": "US",
        "destination": "United States, all",
        "prefixes": "1",
        "unit": "minute",
        "prices": "0.0140 0.0130 0.0120",
        "tiers": "voice-us",
        "increments": "60/60",
        "setup_fee": "0.10",
    },
    {
        "product": "voice.outbound",
        "country": "GB",
        "destination": 'United Kingdom "mobile"',
        "prefixes": "4477 4474",
        "origin_prefixes": "33 34",
        "unit": "second",
        "price": "0.00050",
        "increments": "01/1",
        "grace": "3",
        "max_quantity": "7200",
        "effective_from": "2026-10-02T02:00:00+02:00",
        "effective_to": "2026-12-01",
    },
    {"product": "voice.outbound", "prefixes": "112", "exact": "TRUE", "unit": "event", "price": "0"},
    {"product": "voice.outbound", "prefixes": "979", "unit": "minute", "blocked": "true"},
    {"product": "voice.inbound", "number_type": "toll-free", "unit": "minute", "price": "0.022", "free_units": "100"},
    {"product": "sms.outbound", "mcc": "310", "mnc": "026", "unit": "segment", "price": "0.0079", "tiers": "texts"},
    {"product": "sms.outbound", "element": "failed_fee", "unit": "event", "price": "0.001"},
    {"product": "sms.outbound", "origin": "unknown", "element": "usage", "unit": "segment", "price": "1"},
]


def further(toml: str) -> Product:
    found, faults = read_product(tomllib.loads(toml), "p.toml")
    assert found is not None, faults
    return found


PRODUCTS = products() | by_id([further(FURTHER), further(TRUNK)])


def sheet(rows: list[dict[str, str]], columns: list[str] | None = None) -> bytes:
    names = columns or COLUMNS
    lines = [",".join(names)]
    for row in rows:
        cells = [row.get(name, "").replace('"', '""') for name in names]
        lines.append(",".join(f'"{cell}"' if "," in cell or '"' in cell else cell for cell in cells))
    return "\n".join([*lines, ""]).encode()


def read(head: str = HEAD, rows: bytes | None = None) -> tuple[Card | None, list[str]]:
    card, faults = read_card(head, {"rates.csv": sheet(ROWS) if rows is None else rows}, PRODUCTS)
    assert (card is None) == bool(faults)
    return card, [str(fault) for fault in faults]


def good(head: str = HEAD, rows: bytes | None = None) -> Card:
    card, faults = read(head, rows)
    assert [] == faults
    assert card is not None
    return card


def faults_with(*changed: dict[str, str], head: str = HEAD, columns: list[str] | None = None) -> list[str]:
    """The faults of the good card with further rows; the first of them is line 10 of the file."""
    names = columns or [*COLUMNS, *sorted({key for row in changed for key in row} - {*COLUMNS})]
    return read(head, sheet([*ROWS, *changed], names))[1]


VOICE = {"product": "voice.outbound", "prefixes": "49", "unit": "minute", "price": "0.02"}
SMS = {"product": "sms.outbound", "prefixes": "49", "unit": "segment", "price": "0.07"}


def test_the_good_card_reads_with_canonical_cells_and_the_lines_of_its_file() -> None:
    card = good()
    assert ("list-usd", "USD", 1, False, "UTC") == (card.id, card.currency, card.rules, card.overlay, card.timezone)
    assert datetime(2026, 10, 1, tzinfo=UTC) == card.effective_from
    assert datetime(2027, 1, 1, tzinfo=UTC) == card.effective_to
    assert "list-usd@2026-10-01T00:00:00Z" == card.version
    rows = card.rows.to_pydict()
    assert list(range(2, 10)) == rows["row"]
    assert ["0.014 0.013 0.012", "0.0005", "0", "", "0.022", "0.0079", "0.001", "1"] == rows["prices"]
    assert ["1", "4474 4477", "112", "979", "", "", "", ""] == rows["prefixes"]
    assert "33 34" == rows["origin_prefixes"][1]
    assert ["", "", "true", "", "", "", "", ""] == rows["exact"]
    assert "true" == rows["blocked"][3]
    assert ["60/60", "1/1"] == rows["increments"][:2]
    assert ("0.1", "3", "7200", "100") == (
        rows["setup_fee"][0], rows["grace"][1], rows["max_quantity"][1], rows["free_units"][4],
    )  # fmt: skip
    assert ("2026-10-02T00:00:00Z", "2026-12-01T00:00:00Z") == (rows["effective_from"][1], rows["effective_to"][1])
    assert ["failed_fee", ""] == rows["element"][6:]
    assert "026" == rows["mnc"][5]
    assert ["United States, all", 'United Kingdom "mobile"'] == rows["destination"][:2]
    assert "price" not in rows
    assert Mode.VOLUME is card.schedules["texts"].mode
    assert (Decimal(500000), Decimal(1000000)) == card.schedules["voice-us"].up_to


def test_a_card_is_the_same_in_any_order_of_rows_and_columns() -> None:
    expected = identity(good())
    shuffled, columns = ROWS[:], COLUMNS[:]
    random.Random(1).shuffle(shuffled)
    random.Random(2).shuffle(columns)
    assert expected == identity(good(rows=sheet(shuffled, columns)))


@pytest.mark.parametrize(
    ("key", "same"),
    [
        ("prices", "00.014 0.013  0.012000"),
        ("increments", "060/60"),
        ("setup_fee", "0.1000"),
        ("exact", "false"),
        ("element", "usage"),
        ("grace", "0"),
        ("blocked", "FALSE"),
    ],
)
def test_a_card_is_the_same_however_a_value_is_written(key: str, same: str) -> None:
    first = {**ROWS[0], key: same}
    assert identity(good()) == identity(good(rows=sheet([first, *ROWS[1:]])))


def test_two_ways_to_write_a_value_are_one_value() -> None:
    written = {
        "price": ["0.10", "0.1", "00.100"],
        "setup_fee": ["1", "1.0", "01"],
        "increments": ["6/6", "06/6", "6/06"],
    }
    rows = [{**VOICE, "prefixes": f"49{i}", **{key: texts[i] for key, texts in written.items()}} for i in range(3)]
    card = good(rows=sheet(rows, list(rows[0])))
    found = [column(card.rows, key).dictionary.to_pylist() for key in ("prices", "setup_fee", "increments")]
    assert [["0.1"], ["1"], ["6/6"]] == found


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("prices", "0.0141 0.013 0.012"),
        ("increments", "60/30"),
        ("setup_fee", "0.2"),
        ("destination", "USA"),
        ("prefixes", "1 86"),
        ("country", "CA"),
        ("country", ""),
    ],
)
def test_another_value_is_another_card(key: str, other: str) -> None:
    first = {**ROWS[0], key: other}
    assert identity(good()) != identity(good(rows=sheet([first, *ROWS[1:]])))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"500000"', '"500001"'),
        ("list-usd", "list"),
        ('"USD"', '"EUR"'),
        ('["0", "5"]', '["0", "6"]'),
        ("2026-10-01T", "2026-09-30T"),
        ('"volume"', '"graduated"'),
        ('rates = "rates.csv"', 'rates = "rates.csv"\noverlay = true'),
    ],
)
def test_another_head_is_another_card(old: str, new: str) -> None:
    assert identity(good()) != identity(good(HEAD.replace(old, new, 1)))


def test_rows_inline_are_the_same_card_as_rows_in_a_file() -> None:
    lists, flags = ("prefixes", "origin_prefixes", "prices"), ("exact", "blocked")
    lines = [HEAD.replace('rates = "rates.csv"', "")]
    for row in ROWS:
        lines.append("[[rate]]")
        for key, value in row.items():
            text = value.replace('"', '\\"')
            quoted = ", ".join(f'"{item}"' for item in text.split())
            lines.append(f"{key} = " + (f"[{quoted}]" if key in lists else "true" if key in flags else f'"{text}"'))
    inline, faults = read_card("\n".join(lines), {}, PRODUCTS)
    assert [] == faults
    assert inline is not None
    assert identity(good()) == identity(inline)
    assert list(range(8)) == inline.rows["row"].to_pylist()


def test_windows_files_read_the_same_as_unix_files_and_lines_count_on_over_empty_ones() -> None:
    data = sheet(ROWS)
    excel = b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")
    assert identity(good()) == identity(good(rows=excel))
    lines = data.split(b"\n")
    gaps = b"\n".join([lines[0], b"", *lines[1:], b"", b"," * (len(COLUMNS) - 1), b""])
    card = good(rows=gaps)
    assert identity(good()) == identity(card)
    assert list(range(3, 11)) == card.rows["row"].to_pylist()


def test_a_card_written_and_read_again_is_the_same_card() -> None:
    """Law: Card -> toml + csv -> Card keeps the identity, the order of rows and the head."""
    head = HEAD + '\n[pools.x]\nfree = "10"\nblock = "1"\nunit = "minute"\nfill = [{product = "voice.inbound"}]\n'
    head = head.replace('discounts = ["0", "5"]', 'flats = ["0", "7.50"]\nflat_at_zero = true\ndiscounts = ["0", "5"]')
    card = good(head.replace('rates = "rates.csv"', 'rates = "rates.csv"\noverlay = true\ntimezone = "Europe/Paris"'))
    toml, csv = write_card(card, "rows.csv")
    again, faults = read_card(toml, {"rows.csv": csv}, PRODUCTS)
    assert [] == [str(fault) for fault in faults]
    assert again is not None
    assert identity(card) == identity(again)
    assert card.rows.to_pydict() == again.rows.to_pydict()
    assert (True, "Europe/Paris") == (again.overlay, again.timezone)
    assert (card.schedules, card.pools, card.rounding) == (again.schedules, again.pools, again.rounding)


names = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs"]), min_size=1, max_size=12)
price = st.decimals(0, 10**9, places=6).map(lambda value: format(value, "f"))
row = st.fixed_dictionaries(
    {
        "product": st.just("voice.outbound"),
        "unit": st.sampled_from(["second", "minute", "event"]),
        "destination": names,
        "price": price,
        "increments": st.sampled_from(["60/60", "1/1", "30/6"]),
        "setup_fee": st.one_of(st.just(""), price),
    }
)


@given(rows=st.dictionaries(st.integers(1, 10**15 - 1).map(str), row, min_size=1, max_size=20))
def test_any_card_written_and_read_again_is_the_same_card(rows: Mapping[str, dict[str, str]]) -> None:
    """Law: export -> parse = source (DESIGN 15.8)."""
    card = good(rows=sheet([{**cells, "prefixes": prefix} for prefix, cells in rows.items()]))
    toml, csv = write_card(card)
    again, faults = read_card(toml, {"rates.csv": csv}, PRODUCTS)
    assert [] == faults
    assert again is not None
    assert identity(card) == identity(again)
    assert card.rows.to_pydict() == again.rows.to_pydict()


ROW_FAULTS: list[tuple[dict[str, str], str]] = [
    ({"product": ""}, "rates.csv:10 product: is missing"),
    ({"product": "voice.outbond"}, 'rates.csv:10 product "voice.outbond": is not a product that is known here'),
    ({"unit": ""}, "rates.csv:10 unit: is missing"),
    ({"unit": "hour"}, 'rates.csv:10 unit "hour": is not a unit of voice.outbound; use one of second, minute, event'),
    ({"price": ""}, "rates.csv:10 price: is missing; give price, prices, steps or blocked"),
    ({"price": "-0.01"}, 'rates.csv:10 price "-0.01": is negative'),
    ({"price": "0,014"}, 'rates.csv:10 price "0,014": a comma in a number'),
    ({"price": "$0.014"}, 'rates.csv:10 price "$0.014": not a plain decimal'),
    ({"price": "1e-3"}, 'rates.csv:10 price "1e-3": an exponent'),
    ({"price": "NaN"}, 'rates.csv:10 price "NaN": not a finite number'),
    ({"price": "0.01 0.02"}, 'rates.csv:10 price "0.01 0.02": white space in a number'),
    ({"price": "\u0660.\u0665"}, 'rates.csv:10 price "\u0660.\u0665": a character outside ASCII'),
    ({"price": "0.0000000000001"}, 'rates.csv:10 price "0.0000000000001": 13 decimals, but at most 12'),
    ({"price": "1234567890123"}, 'rates.csv:10 price "1234567890123": 13 digits before the point'),
    ({"prices": "0.01"}, 'rates.csv:10 price "0.02": price and prices are both given'),
    ({"price": "", "prices": "0.01 0.02"}, 'rates.csv:10 prices "0.01 0.02": several prices without tiers'),
    (
        {"price": "", "prices": "0.01 0.02", "tiers": "voice-us"},
        'rates.csv:10 prices "0.01 0.02": 2 prices for the 3 tiers of voice-us',
    ),
    ({"price": "", "prices": "0.01", "tiers": "voice-us"}, 'prices "0.01": 1 price for the 3 tiers of voice-us'),
    (
        {**SMS, "price": "", "prices": "0.01 0.02", "tiers": "texts"},
        'prices "0.01 0.02": prices and the discounts of texts are both given',
    ),
    ({"tiers": "voice-uk"}, 'rates.csv:10 tiers "voice-uk": is not a schedule of this card'),
    ({"element": "surcharge", "price": "", "prices": "1 2 3", "tiers": "voice-us"}, "only usage has tiers"),
    ({"element": "bribe"}, 'rates.csv:10 element "bribe": is not an element of voice.outbound'),
    ({"prefixes": "4.95E+12"}, 'rates.csv:10 prefixes "4.95E+12": a spreadsheet destroyed this prefix'),
    ({"prefixes": "4,95E+12"}, 'rates.csv:10 prefixes "4,95E+12": a spreadsheet destroyed this prefix'),
    ({"prefixes": "1,204"}, 'rates.csv:10 prefixes "1,204": a spreadsheet put group signs into this prefix'),
    ({"prefixes": "1204.0"}, 'rates.csv:10 prefixes "1204.0": a spreadsheet made a decimal number'),
    ({"prefixes": "49;50"}, 'rates.csv:10 prefixes "49;50": several prefixes in one cell; separate them with spaces'),
    ({"prefixes": "+49"}, 'rates.csv:10 prefixes "+49": begins with +'),
    ({"prefixes": "0049"}, 'rates.csv:10 prefixes "0049": begins with 0'),
    ({"prefixes": "49 050"}, 'rates.csv:10 prefixes "050": begins with 0'),
    ({"prefixes": "9370-9372"}, 'rates.csv:10 prefixes "9370-9372": is a range'),
    ({"prefixes": "4930123456789012"}, "is longer than the 15 digits of E.164"),
    ({"prefixes": "٤٩"}, 'rates.csv:10 prefixes "٤٩": has a character outside ASCII'),
    ({"prefixes": "49x"}, 'rates.csv:10 prefixes "49x": is not a prefix'),
    ({"prefixes": "49 33 49"}, 'rates.csv:10 prefixes "49": is listed twice in this row'),
    ({"origin_prefixes": "049"}, 'rates.csv:10 origin_prefixes "049": begins with 0'),
    ({"origin": "anonymous"}, 'rates.csv:10 origin "anonymous": is not an origin'),
    ({"origin": "unknown", "origin_prefixes": "33"}, "an unknown caller has no prefix"),
    ({"exact": "yes"}, 'rates.csv:10 exact "yes": is neither true nor false'),
    ({"exact": "true", "prefixes": "+4930"}, 'prefixes "+4930": is a number with +, which exact never matches'),
    ({"exact": "true", "prefixes": ""}, "rates.csv:10 prefixes: is missing in an exact row"),
    ({"exact": "true", "prefixes": "sip:a sip:a"}, 'rates.csv:10 prefixes "sip:a": is listed twice in this row'),
    ({"country": "us"}, 'rates.csv:10 country "us": is not an ISO 3166-1 country; write US'),
    ({"country": "UK"}, 'rates.csv:10 country "UK": is not an ISO 3166-1 country'),
    ({"mcc": "310"}, 'rates.csv:10 mcc "310": voice.outbound is not matched on mcc'),
    ({**SMS, "mcc": "31O"}, 'rates.csv:10 mcc "31O": is not a mobile code'),
    ({**SMS, "mnc": "026"}, 'rates.csv:10 mnc "026": stands without mcc'),
    ({**SMS, "increments": "60/60"}, 'increments "60/60": sms.outbound is not counted in seconds'),
    ({"product": "turn.relay", "unit": "gb"}, 'rates.csv:10 prefixes "49": turn.relay is not matched on to'),
    ({"product": "trunk.termination"}, "rates.csv:10 increments: is missing, and trunk.termination has no default"),
    ({"increments": "0/0"}, 'rates.csv:10 increments "0/0": increments are whole seconds from 1'),
    ({"increments": "60"}, 'rates.csv:10 increments "60": not increments'),
    ({"setup_fee": "-1"}, 'rates.csv:10 setup_fee "-1": is negative'),
    ({"free_units": "0.001"}, 'rates.csv:10 free_units "0.001": is not a whole number of seconds'),
    ({"grace": "1.5"}, 'rates.csv:10 grace "1.5": is not a whole number of base units'),
    ({"max_quantity": "-1"}, 'rates.csv:10 max_quantity "-1": is not a whole number of base units'),
    ({"blocked": "true"}, "rates.csv:10 price: is given in a blocked row"),
    ({"blocked": "true", "price": "", "setup_fee": "1"}, "is given in a blocked row"),
    ({"destination": " Germany"}, 'rates.csv:10 destination " Germany": begins or ends with white space'),
    ({"destination": "Ger\tmany"}, 'destination "Ger\\tmany": has a control character'),
    ({"number_type": "toll free"}, 'rates.csv:10 number_type "toll free": has white space'),
    ({"effective_from": "2026-11-01T00:00:00"}, 'effective_from "2026-11-01T00:00:00": has no time zone'),
    ({"effective_from": "soon"}, 'rates.csv:10 effective_from "soon": is not an instant'),
    ({"effective_from": "2026-09-30"}, 'effective_from "2026-09-30T00:00:00Z": is before the card\'s'),
    ({"effective_from": "2027-01-01"}, "is not before the card's effective_to"),
    ({"effective_to": "2027-01-02"}, "is after the card's"),
    ({"effective_from": "2026-11-01", "effective_to": "2026-11-01"}, "is not after the row's effective_from"),
    ({"window": "peak"}, 'rates.csv:10 window "peak": is not a window of this card; define [windows.NAME]; none is'),
    ({"element": "surcharge", "setup_fee": "1"}, 'rates.csv:10 setup_fee "1": is only for usage; remove it'),
    ({"prefixes": "1", "country": "US"}, 'prefixes "1": matches the same usage at the same time as rates.csv:2'),
]


@pytest.mark.parametrize(("changed", "fault"), ROW_FAULTS)
def test_a_faulty_row_is_named_with_its_line_its_value_and_a_remedy(changed: dict[str, str], fault: str) -> None:
    faults = faults_with({**VOICE, **changed})
    assert 1 == len(faults), faults
    assert fault in faults[0]


HEAD_FAULTS: list[tuple[str, str, str]] = [
    ('id = "list-usd"', "", "card.toml: id: is missing"),
    ('id = "list-usd"', 'id = "list@usd"', 'card.toml: id "list@usd": has a space, a control character or @'),
    ('currency = "USD"', "", "card.toml: currency: is missing"),
    ('currency = "USD"', 'currency = "usd"', 'card.toml: currency "usd": not an active ISO 4217 currency'),
    ("effective_from = 2026-10-01T00:00:00Z", "", "card.toml: effective_from: is missing"),
    ("2026-10-01T00:00:00Z", "2026-10-01T00:00:00", "card.toml: effective_from"),
    ("2027-01-01T", "2026-09-01T", "card.toml: effective_to"),
    ('rates = "rates.csv"', "", "card.toml: rates: is missing"),
    ('"rates.csv"', '"other.csv"', 'card.toml: rates "other.csv": is not there'),
    ('rates = "rates.csv"', 'rates = "rates.csv"\nrate = [{}]', 'rates "rates.csv": stands beside [[rate]] tables'),
    ('currency = "USD"', 'currency = "USD"\nrules = 7', 'card.toml: rules "7": is a rule set that this version'),
    (
        'currency = "USD"',
        'curency = "USD"',
        'card.toml: curency "USD": is not a key of this table; did you mean currency',
    ),
    ('currency = "USD"', 'currency = "USD"\ntimezone = "Mars/Olympus"', "is not a time zone"),
    ('currency = "USD"', "currency = USD", "card.toml: is not TOML"),
    ('"500000", "1000000"', '"500000", "400000"', 'tiers.voice-us.up_to[1] "400000": 400000 is not above 500000'),
    ('"500000", "1000000"', '"0", "400000"', 'tiers.voice-us.up_to[0] "0": is not above 0'),
    ('"500000", "1000000"', '"0.001", "400000"', 'up_to[0] "0.001": is not a whole number of base units'),
    ('"500000", "1000000"', "500000, 1000000", "tiers.voice-us.up_to: is not a list of strings"),
    ('unit = "minute"', 'unit = "hour"', 'tiers.voice-us.unit "hour": is not a unit of voice.outbound, which fills it'),
    ('"voice.inbound"]', '"voice.inbund"]', 'tiers.voice-us.fill[0].product "voice.inbund": selects no product'),
    ('"voice.inbound"]', '"sms.inbound"]', "tiers.voice-us.fill: counts seconds and segments in one counter"),
    ('["US", "CA"]', '["US", "UK"]', 'tiers.voice-us.fill[0].country "UK": selects no country'),
    ('fill = [{product = "sms.*"}]', "", "card.toml: tiers.texts.fill: selects nothing"),
    ('fill = [{product = "sms.*"}]', 'fill = [{prefixes = ["1"]}]', "tiers.texts.fill[0].prefixes: is not a key"),
    ('"graduated"', '"slab"', 'card.toml: tiers.voice-us.mode "slab": is not known here'),
    ('mode = "volume"', 'mode = "volume"\nwindow = "year"', 'tiers.texts.window "year": is not known here'),
    ('mode = "volume"', 'mode = "volume"\nmeasure = "events"', 'tiers.texts.unit "segment": is not what events'),
    ('["0", "5"]', '["0", "5", "10"]', "card.toml: tiers.texts.discounts: has 3 values for 2 tiers"),
    ('["0", "5"]', '["0", "101"]', "card.toml: tiers.texts.discounts: has a percent outside 0 to 100"),
    ('["0", "5"]', '["0", "5"]\nflats = ["1"]', "card.toml: tiers.texts.flats: has 1 values for 2 tiers"),
    ('["0", "5"]', '["0", "5"]\nflats = ["1", "-1"]', "card.toml: tiers.texts.flats: has one below 0"),
    ("[tiers.texts]", '[rounding]\nper = "line"\ndecimals = 2\n[tiers.texts]', 'rounding.decimals "2": stands beside'),
    ("[tiers.texts]", '[rounding]\nper = "event"\n[tiers.texts]', "card.toml: rounding.decimals: is missing"),
    ("[tiers.texts]", '[rounding]\nmode = "up"\n[tiers.texts]', 'rounding.mode "up": stands beside rounding per line'),
    ("[tiers.texts]", '[rounding]\nper = "call"\n[tiers.texts]', 'card.toml: rounding.per "call": is not known here'),
    (
        "[tiers.texts]",
        '[pools.p]\nfree = "-1"\nunit = "minute"\nfill = [{product = "voice.inbound"}]\n[tiers.texts]',
        'card.toml: pools.p.free "-1": is negative',
    ),
    (
        "[tiers.texts]",
        '[pools.p]\nfree = "1"\nunit = "segment"\nfill = [{product = "voice.inbound"}]\n[tiers.texts]',
        'card.toml: pools.p.unit "segment": is not a unit of voice.inbound',
    ),
    (
        "[tiers.texts]",
        '[pools.p]\nfree = "0.5"\nunit = "segment"\nfill = [{product = "sms.inbound"}]\n[tiers.texts]',
        'card.toml: pools.p.free "0.5": is not a whole number of base units',
    ),
    (
        "[tiers.texts]",
        '[pools.p]\nunit = "segment"\nfill = [{product = "sms.inbound"}]\n[tiers.texts]',
        "card.toml: pools.p: gives neither free units nor a block",
    ),
]


@pytest.mark.parametrize(("old", "new", "fault"), HEAD_FAULTS)
def test_a_faulty_head_is_named_with_its_key(old: str, new: str, fault: str) -> None:
    head = HEAD.replace(old, new, 1)
    assert head != HEAD
    assert fault in "\n".join(read(head)[1])


FILE_FAULTS: list[tuple[bytes, str]] = [
    (b"", "rates.csv: has no rows"),
    (b"product,unit,price\n", "rates.csv: has no rows"),
    (b"product,unit,price\nvoice.outbound,minute\n", "rates.csv:2: has 2 cells where the header has 3"),
    (b"product;unit;price\nvoice.outbound;minute;1\n", "is not a column of a rate card; separate columns with commas"),
    (
        b"product,unit,pryce\nvoice.outbound,minute,1\n",
        'rates.csv:1 "pryce": is not a column of a rate card; did you mean',
    ),
    (b"product,unit,price,price\nvoice.outbound,minute,1,1\n", 'rates.csv:1 "price": stands twice in the header'),
    (b'product,unit,price\n"voice.outbound,minute,1\n', "rates.csv:2: a quoted cell is not closed on its line"),
    (b"product,unit,price\nvoice.outbound,minute,\xe9\n", "rates.csv:2: is not UTF-8: byte 0xe9"),
    ("product,unit,price\na,b,c\n".encode("utf-16"), "rates.csv: is not UTF-8 but UTF-16"),
    (b"product,unit,price\rvoice.outbound,minute,1\r", "rates.csv: has a carriage return without a line feed"),
]


@pytest.mark.parametrize(("data", "fault"), FILE_FAULTS)
def test_a_faulty_file_is_named(data: bytes, fault: str) -> None:
    faults = read(rows=data)[1]
    assert 1 == len(faults), faults
    assert fault in faults[0]


INLINE_FAULTS: list[tuple[str, str]] = [
    ("price = 0.014", 'card.toml: rate[0].price "0.014": is not a string; numbers of money or quantity are strings'),
    ("price = 1", 'card.toml: rate[0].price "1": is not a string'),
    ('price = "1"\nexact = "true"', 'card.toml: rate[0].exact "true": is not true or false'),
    ('price = "1"\nprefixes = [1]', "card.toml: rate[0].prefixes: is not a list of strings"),
    ('price = "1"\nprefixes = ["1 2", "3"]', "card.toml: rate[0].prefixes: has an empty item or one with a space"),
    ('price = "1"\nprefix = "1"', 'card.toml: rate[0].prefix "1": is not a key of a rate; did you mean prefixes?'),
    ('price = "1"\neffective_from = 2026-11-01T00:00:00', 'effective_from "2026-11-01T00:00:00": has no time zone'),
    ('price = "1"\ngrace = -1', 'card.toml: rate[0].grace "-1": is not a whole number of base units'),
    ('price = "1"\nwindow = "peak"', 'card.toml: rate[0].window "peak": is not a window of this card'),
]


@pytest.mark.parametrize(("keys", "fault"), INLINE_FAULTS)
def test_a_faulty_inline_row_is_named_with_its_key(keys: str, fault: str) -> None:
    rate = f'[[rate]]\nproduct = "voice.outbound"\nunit = "minute"\n{keys}\n'
    faults = read(HEAD.replace('rates = "rates.csv"', "") + rate)[1]
    assert 1 == len(faults), faults
    assert fault in faults[0]


def test_a_declared_dimension_is_a_column_and_another_products_rows_leave_it_empty() -> None:
    trunk = {**VOICE, "product": "trunk.termination", "trunk_group": "gold", "increments": "6/6"}
    assert [] == faults_with(trunk)
    faults = faults_with({**VOICE, "trunk_group": "gold"})
    assert ["voice.outbound is not matched on trunk_group"] == [f.split(": ")[1].split(";")[0] for f in faults]


def test_rows_of_one_key_may_follow_each_other_in_time_but_not_overlap() -> None:
    first = {**VOICE, "effective_to": "2026-11-01"}
    assert [] == faults_with(first, {**VOICE, "price": "0.03", "effective_from": "2026-11-01"})
    overlapping = faults_with(first, {**VOICE, "price": "0.03", "effective_from": "2026-10-31T23:59:59Z"})
    assert ['rates.csv:11 prefixes "49": matches the same usage at the same time as rates.csv:10'] == [
        fault.split(";")[0] for fault in overlapping
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"prefixes": "491"},
        {"origin_prefixes": "33"},
        {"origin": "unknown"},
        {"country": "DE"},
        {"number_type": "mobile"},
    ],
)
def test_rows_that_differ_in_anything_matched_do_not_tie(other: dict[str, str]) -> None:
    assert [] == faults_with(VOICE, {**VOICE, **other})


def test_rows_tie_in_any_of_their_prefixes_and_origins() -> None:
    one = {**VOICE, "prefixes": "49 43 41", "origin_prefixes": "33 34"}
    other = {**VOICE, "prefixes": "351 41", "origin_prefixes": "39 34", "price": "0.05"}
    assert ['rates.csv:11 prefixes "41": matches the same usage at the same time as rates.csv:10'] == [
        fault.split(";")[0] for fault in faults_with(one, other)
    ]


def test_rows_of_one_product_and_destination_share_their_free_units() -> None:
    free = {**VOICE, "destination": "Germany", "free_units": "100"}
    assert [] == faults_with(free, {**free, "prefixes": "4915"})
    faults = faults_with(free, {**free, "prefixes": "4915", "free_units": "50"})
    assert ['rates.csv:11 free_units "50": differs from another row of this product and destination'] == [
        fault.split(";")[0] for fault in faults
    ]


def test_rounding_per_event_goes_neither_with_several_tier_prices_nor_with_pools() -> None:
    head = HEAD + '\n[rounding]\nper = "event"\ndecimals = 4\n'
    problems = {fault.split(": ")[1].split(";")[0] for fault in read(head)[1]}
    assert {"several tier prices with rounding per event", "a pool with rounding per event"} == problems


def test_of_many_faults_of_one_kind_each_is_found() -> None:
    rows = [{**VOICE, "prefixes": f"49{i}", "price": "free"} for i in range(1000)]
    faults = faults_with(*rows)
    assert 1000 == len(faults)
    assert 'rates.csv:1009 price "free": not a plain decimal' in faults[-1]


def test_every_fault_of_a_card_is_found_in_one_reading() -> None:
    bad = [{**VOICE, "price": "x"}, {**VOICE, "prefixes": "+1"}, {**VOICE, "unit": "hour"}]
    faults = faults_with(*bad, head=HEAD.replace('"USD"', '"XXX"'))
    assert ["card.toml:", "rates.csv:10", "rates.csv:11", "rates.csv:12"] == sorted(f.split(" ")[0] for f in faults)


def test_a_table_inside_another_document_is_read_with_its_own_place() -> None:
    table = {"id": "a", "currency": "USD", "effective_from": "2026-10-01", "rate": [{**VOICE, "price": "x"}]}
    _, faults = card_from_table(
        {**table, "effective_from": datetime(2026, 10, 1, tzinfo=UTC)}, {}, PRODUCTS, place="s.toml: card[0]"
    )
    assert ['s.toml: card[0].rate[0].price "x": not a plain decimal'] == [str(f).split(";")[0] for f in faults]


def test_the_schedules_of_a_head_are_read_alone() -> None:
    card, faults = read(HEAD)
    assert card is not None, faults
    assert 2 == len(card.schedules)
    assert card.schedules == schedules_of(write_head(card))
    assert {} == schedules_of(write_head(replace(card, schedules={})))
