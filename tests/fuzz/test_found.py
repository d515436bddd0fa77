"""What fuzzing found, each with a short input that shows it: a traceback, a wrong reading, or no end."""

import io
import json
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from billing.accounts import read_account
from billing.controls import read_controls
from billing.errors import InputFaultyError
from billing.scenarios import read_scenario
from billing.sources.calls import Stated
from billing.sources.clocks import parse_zone
from billing.sources.ndjson import read_chunks
from billing.sources.spreadsheets import open_spreadsheet
from cli.parties import accounts_in, contracts_in
from rates.cardfile import card_from_table, read_card
from rates.cards import Card
from rates.checking.cells import CellInvalidError, check_whole
from rates.checking.sheet import header_of
from rates.dialects.cdrtool import File, read_cdrtool
from rates.dialects.codes import Codes
from rates.dialects.dates import check_dates
from rates.dialects.decks import Told
from rates.dialects.mappings import Column, read_mapping, told
from rates.dialects.texts import decoded
from rates.dialects.twilio_pricing import read_twilio_pricing
from rates.dialects.values import Amounts, check_interval
from rates.errors import Fault, TollbookError
from rates.reading import Reader, parse_toml
from tests.callrecords import FREESWITCH_CALL, PLAN, TWILIO_CALL
from tests.callrecords import read as read_calls
from tests.callrecords import rows as written
from tests.decks import BEGINS, DIMENSIONS, PRODUCTS, mapped, read, rows
from tests.fuzz.fuzzing import bounded
from tests.fuzz.seeds import CDRTOOL
from tests.workbooks import workbook

CARD = """
id = "card"
currency = "USD"
effective_from = 2026-10-01
[[rate]]
product = "voice.outbound"
prefixes = ["44"]
unit = "minute"
increments = "60/60"
price = "0.01"
"""
DECK = """
product = "voice.outbound"
unit = "minute"
increments = "60/60"
[columns]
prefixes = "Code"
effective_from = {column = "From", optional = true}
[[prices]]
column = "Rate"
"""
SCENARIO = f"""
name = "one call"
period = "2026-10"
expect = {{total = "0"}}
[[card]]
{CARD.replace("[[rate]]", "[[card.rate]]")}
[[usage]]
product = "voice.outbound"
to = "+442079460000"
quantity = "60"
"""
MANY = "9" * 5000


def card_faults(found: tuple[Card | None, list[Fault]]) -> list[str]:
    card, faults = found
    assert None is card
    return [str(fault) for fault in faults]


# --- numbers that Python's own limits refuse --------------------------------------------------------------------------


@pytest.mark.parametrize("number", [MANY, "0x" + "f" * 5000, "9223372036854775808"])
def test_whole_numbers_in_toml_have_64_bits(number: str) -> None:
    said = "card.toml: has a whole number beyond 64 bits; mend it; numbers of money or quantity are strings"
    assert [said] == card_faults(read_card(f"{CARD}grace = {number}\n", {}, PRODUCTS))


def test_toml_that_is_nested_too_deeply_is_a_fault() -> None:
    said = "card.toml: is nested too deeply; see https://toml.io"
    assert [said] == card_faults(read_card("a = " + "[" * 4000, {}, PRODUCTS))


def test_a_number_of_thousands_of_digits_in_a_cell_is_a_fault_or_a_number() -> None:
    assert "1" == check_whole("0" * 5000 + "1")
    for check in (check_interval(""), check_interval("1"), Codes(column=Column(key="prefixes", hyphen="range")).check):
        for text in (MANY, f"{MANY}/1", f"1/{MANY}", f"{MANY}-{MANY}"):
            with pytest.raises(TollbookError):
                check(text)
    rates, destinations = (data.replace(b",6,6,", b",6," + MANY.encode() + b",") for data in CDRTOOL)
    deck = read_cdrtool(
        File("rates.csv", rates),
        File("destinations.csv", destinations),
        products=PRODUCTS,
        card_id="deck",
        currency="USD",
        effective_from=BEGINS,
    )
    assert "is not a number of seconds" in str(deck.faults[0])


def test_a_position_or_a_padding_in_a_mapping_is_of_a_sensible_size() -> None:
    table = {"unit": "minute", "columns": {"mnc": {"column": "a", "pad": 10**18}}, "prices": [{"column": MANY}]}
    _, faults = read_mapping(table, "m.toml", DIMENSIONS)
    assert ['m.toml: columns.mnc.pad "1000000000000000000": is above 15; no code is that long'] == list(
        map(str, faults)
    )
    assert {"columns": {"mnc": {"pad": MANY}}} == told({}, {"columns.mnc.pad": MANY})


# --- days beyond the calendar -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_instant_that_is_beyond_the_calendar_in_utc_is_a_fault(at: str) -> None:
    head = CARD.replace("2026-10-01", at)
    said = f'card.toml: effective_from "{at.replace("T", " ")}": is beyond the calendar in UTC'
    assert any(line.startswith(said) for line in card_faults(read_card(head, {}, PRODUCTS)))
    for row in (f"effective_from = {at}", f'effective_from = "{at}"'):
        said = f'card.toml: rate[0].effective_from "{at}": is not an instant; write it as 2026-10-01T00:00:00Z'
        assert [said] == card_faults(read_card(f"{CARD}{row}\n", {}, PRODUCTS))
    with pytest.raises(CellInvalidError, match="is beyond the calendar in UTC"):
        check_dates("", "UTC")(at)


def test_a_last_day_that_is_the_calendars_own_ends_nothing() -> None:
    assert "" == check_dates("D/M/YYYY", "UTC", inclusive=True)("31/12/9999")
    with pytest.raises(CellInvalidError, match="is beyond the calendar in UTC"):
        check_dates("D/M/YYYY", "America/New_York")("31/12/9999 23:00")


@pytest.mark.parametrize(
    ("text", "day"), [("1999-12-31", "1999-12-31"), ("2000-01-01", "2000-01-01"), ("31/12/1970", "1970-12-31")]
)
def test_a_year_of_four_digits_is_that_year(text: str, day: str) -> None:
    assert f"{day}T00:00:00Z" == check_dates("D/M/YYYY", "UTC")(text)
    assert "2070-12-31T00:00:00Z" == check_dates("D/M/YY", "UTC")("31/12/70")


def test_a_rate_that_has_held_since_the_last_century_holds() -> None:
    reading = read("Code,Rate,From\n44,0.01,1999-12-31\n", mapped(DECK))
    assert [("44", "")] == rows(reading, "prefixes", "effective_from")


def test_a_call_after_the_last_day_is_refused_with_its_column() -> None:
    stated = Stated(account="acme")
    data = written([{**TWILIO_CALL, "StartTime": "9999-12-31T23:59:59-14:00"}], header=True)
    events, refused = read_calls("twilio-calls", data, stated)
    assert ([], ["StartTime"]) == (events, [each.column for each in refused])
    fields = (*list(FREESWITCH_CALL)[:4], "start_epoch", *list(FREESWITCH_CALL)[5:])
    data = written([{**FREESWITCH_CALL, "start_stamp": "9999999999999999"}])
    stated = Stated(plan=PLAN, fields=fields, columns={"start": "start_epoch"})
    events, refused = read_calls("freeswitch", data, stated)
    assert ([], ["start_epoch"]) == (events, [each.column for each in refused])
    data = written([{**FREESWITCH_CALL, "start_stamp": "9999-12-31 23:59:59"}])
    events, refused = read_calls("freeswitch", data, Stated(plan=PLAN, zone=parse_zone("-12:00")))
    assert ([], ["start_stamp"]) == (events, [each.column for each in refused])


@pytest.mark.parametrize("year", ["2026 10:11:12 +99999999999999999999", "99999999999999999999 10:11:12 +0000"])
def test_a_date_of_rfc_2822_that_is_no_date_is_refused(year: str) -> None:
    data = written([{**TWILIO_CALL, "StartTime": f"Fri, 02 Oct {year}"}], header=True)
    events, refused = read_calls("twilio-calls", data, Stated(account="acme"))
    assert ([], ["is not a date and time"]) == (events, [each.problem for each in refused])


# --- characters that are taken for others -----------------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["\u2028", "\x0c", "\x0b", "\x85", "\x1c"])
def test_only_an_end_of_line_ends_a_line(sign: str) -> None:
    reading = read(f"Our{sign}rates{sign}\nCode,Rate\n44,0.01\n33,0.02\n49,0.03\n", mapped(DECK))
    assert [("44",), ("33",), ("49",)] == rows(reading, "prefixes")


def test_a_header_without_an_end_of_line_is_no_row() -> None:
    reading = read("Code,Rate", mapped(DECK))
    assert ["deck.csv: has no rows; a deck has a header and at least one row"] == list(map(str, reading.faults))


def test_a_single_nul_does_not_make_a_file_utf_16() -> None:
    assert ("Code,Ra\x00te\n44,0.01\n", "utf-8") == decoded(b"Code,Ra\x00te\n44,0.01\n")


def test_a_single_nul_in_rates_is_a_control_character_in_its_cell() -> None:
    head = CARD.partition("[[rate]]")[0] + 'rates = "r.csv"\n'
    rates = b"product,prefixes,unit,increments,price,destination\nvoice.outbound,44,minute,1/1,0.1,a\x00b\n"
    said = ['r.csv:2 destination "a\\x00b": has a control character; remove it']
    assert said == card_faults(read_card(head, {"r.csv": rates}, PRODUCTS))


def test_a_line_of_control_totals_that_is_no_row_is_a_fault() -> None:
    text = f"source,product,day,events,quantity\n{'x' * 200_000},voice.outbound,2026-10-01,1,1\n"
    controls, faults = read_controls(text, "c.csv")
    assert [] == controls
    assert ["c.csv:2"] == [fault.place for fault in faults]


def test_a_header_that_is_no_row_is_no_column() -> None:
    assert ["a\rb,c"] == header_of(b"a\rb,c\n1,2\n")
    long = "x" * 200_000
    _, faults = read_card(
        CARD.partition("[[rate]]")[0] + 'rates = "r.csv"\n', {"r.csv": f"{long}\n1\n".encode()}, PRODUCTS
    )
    assert "is not a column of a rate card" in str(faults[0])


@pytest.mark.parametrize("name", ["a\u2028b", "a\x1b[31mb", "\u202eb"])
def test_whatever_a_fault_names_stays_on_one_line(name: str) -> None:
    faults: list[Fault] = []
    Reader(place="f.toml: ", table={name: 1}, faults=faults).finish()
    assert str(faults[0]).isprintable()
    assert str(read(f"{name},b\n1,2\n", mapped(DECK)).faults[0]).isprintable()


def test_half_a_character_in_a_body_is_a_fault_with_its_place() -> None:
    entry = {"friendly_name": "\ud800", "destination_prefixes": ["372"], "current_price": "0.1"}
    body = json.dumps({"iso_country": "EE", "price_unit": "USD", "outbound_prefix_prices": [entry]}).encode()
    reading, _ = read_twilio_pricing(
        [("EE.json", body)], Told(card_id="x", effective_from=BEGINS, increments="60/60"), PRODUCTS
    )
    said = 'EE.json: outbound_prefix_prices[0].friendly_name "\\ud800": has half a character in it; remove it'
    assert [said] == [str(fault) for fault in reading.faults]


def test_half_a_character_in_one_event_of_an_array_hides_no_other() -> None:
    items = [b'{"id": "\\ud800"}', b'{"id": "b, ]"}']
    for array in (b"[%b , %b]\n", b" [ %b\r\n,%b ] "):
        (chunk,) = read_chunks(io.BytesIO(array % tuple(items)))
        assert items == list(chunk.payloads)


def test_no_text_that_a_database_refuses_is_read() -> None:
    for key in ("id", "name", "parent", "tax_id", "language", "legal_entity", "address"):
        account, faults = read_account({"id": "a", "currency": "USD", key: "a\x00"}, "file.toml")
        assert None is account
        assert f"file.toml: {key}" in str(faults[0])
    account, faults = read_account({"id": "a", "currency": "USD", "address": ["1 Main\nStreet"]}, "file.toml")
    assert "file.toml: address: has a control character in it" in str(faults[0])
    tiers = '[tiers."a\\u0000"]\nup_to = ["1"]\nunit = "minute"\nfill = [{product = "voice.*"}]\n'
    assert any(
        "has a control character in its name" in line for line in card_faults(read_card(tiers + CARD, {}, PRODUCTS))
    )


# --- what was passed over, or told in a strange place -----------------------------------------------------------------


@pytest.mark.parametrize("text", ['account = "acme"', "account = []", "account = [1, {id = 'a', currency = 'USD'}]"])
@pytest.mark.parametrize(("key", "read_all"), [("account", accounts_in), ("contract", contracts_in)])
def test_what_is_no_table_is_not_passed_over(
    text: str, key: str, read_all: Callable[[list[Path]], object], tmp_path: Path
) -> None:
    path = tmp_path / "f.toml"
    path.write_text(text.replace("account", key))
    with pytest.raises(InputFaultyError) as error:
        read_all([path])
    assert f"write [[{key}]]" in str(error.value)


def test_faults_stand_in_the_order_of_the_file_in_every_process() -> None:
    keys = [f"key{i}" for i in range(9)]
    price = {"column": "Rate", "set": dict.fromkeys(keys, "x")}
    _, faults = read_mapping({"unit": "minute", "prices": [price]}, "m.toml", DIMENSIONS)
    assert [f"m.toml: prices[0].set.{key}" for key in keys] == [fault.place for fault in faults]


def test_a_fault_of_what_was_told_beside_a_deck_is_named_without_a_point() -> None:
    _, faults = card_from_table({"id": "a", "currency": "XXX", "rate": []}, {}, PRODUCTS, place="")
    assert "currency" in [fault.place for fault in faults]


def test_a_time_or_a_float_anywhere_in_the_usage_of_a_scenario_is_json_or_a_fault() -> None:
    scenario = SCENARIO + "attributes = {at = 2026-10-01T00:00:00Z, on = [2026-10-01, 07:32:00], is = true}\n"
    read, faults = read_scenario(tomllib.loads(scenario), PRODUCTS, lambda _: (None, []), place="s.toml")
    assert [] == faults
    assert read is not None
    attributes = {"at": "2026-10-01T00:00:00+00:00", "on": ["2026-10-01", "07:32:00"], "is": True}
    assert attributes == json.loads(read.payloads[0])["attributes"]
    table, _ = parse_toml(SCENARIO + "attributes = {a = [1.5]}\n", "s.toml")
    _, faults = read_scenario(table, PRODUCTS, lambda _: (None, []), place="s.toml")
    assert ["s.toml: usage[0].attributes: is a float; write the number as a string"] == list(map(str, faults))


@pytest.mark.parametrize("rates", ["\nproduct,prefixes\nvoice.outbound,44\n", "product,price\n,\n\n,\n", '""\n1\n'])
def test_rates_of_which_nothing_is_read_are_no_card(rates: str) -> None:
    head = CARD.partition("[[rate]]")[0] + 'rates = "rates.csv"\n'
    faults = card_faults(read_card(head, {"rates.csv": rates.encode()}, PRODUCTS))
    assert faults[0].startswith("rates.csv")


def test_a_fault_says_what_to_do() -> None:
    faults: list[Fault] = []
    read = Reader(place="f.toml: ", table={"a": "x", "b": "x", "c": -1}, faults=faults)
    read.flag("a")
    read.integer("b")
    read.integer("c", least=1)
    assert ["write true or false", "write a whole number", "write at least 1"] == [fault.remedy for fault in faults]


# --- inputs that took long, or all memory -----------------------------------------------------------------------------


def test_long_cells_are_read_in_a_time_that_grows_with_their_length() -> None:
    amounts = Amounts(decimal=".", group="", currency="USD", scale="1")
    codes = Codes(column=Column(key="prefixes"))
    for text in ("x" + " " * 60_000 + "x", "x" + "'" * 60_000 + "x"):
        for check in (amounts.check, codes.check):
            with pytest.raises(TollbookError):
                bounded(check, text)


def test_an_object_of_many_keys_is_read_in_a_time_that_grows_with_their_number() -> None:
    body = json.dumps({str(i): 0 for i in range(60_000)}).encode()
    bounded(read_twilio_pricing, [("EE.json", body)], Told(card_id="x", effective_from=BEGINS), PRODUCTS)


def with_cell_at(place: str) -> bytes:
    """A workbook of a header and a row, and of one cell elsewhere."""
    good = zipfile.ZipFile(io.BytesIO(workbook({"Rates": [("Code", "Rate"), ("44", 0.01)]})))
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in good.namelist():
            archive.writestr(name, good.read(name).replace(b'r="B2"', f'r="{place}"'.encode()))
    return held.getvalue()


@pytest.mark.parametrize("place", ["XFD1048576", "ZZ1048576", "XFD3000"])
def test_a_cell_far_off_the_others_does_not_take_all_memory(place: str) -> None:
    grid, faults = open_spreadsheet(with_cell_at(place), "deck.xlsx")
    assert None is grid
    assert "deck.xlsx: is larger than any deck when unpacked" in str(faults[0])


@pytest.mark.parametrize(("place", "columns", "lines"), [("XFD4", 16_384, 4), ("AB2", 28, 2), ("B100001", 2, 100_001)])
def test_a_wide_or_a_long_sheet_is_read(place: str, columns: int, lines: int) -> None:
    grid, faults = open_spreadsheet(with_cell_at(place), "deck.xlsx")
    assert [] == faults
    assert grid is not None
    assert (columns, lines) == (len(grid.columns), len(grid.columns[0]))


def test_a_sheet_that_is_told_and_empty_has_no_rows() -> None:
    grid, faults = open_spreadsheet(workbook({"Rates": [["a"]], "Empty": []}), "deck.xlsx", sheet="Empty")
    assert None is grid
    assert ["deck.xlsx Empty: has no rows; a deck has a header and rows"] == list(map(str, faults))
