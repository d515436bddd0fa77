"""Decks to cards: each rule of a mapping, on the least deck that shows it."""

import pytest

from tests.decks import card, faults, mapped, read, rows

LEAST = """
product = "voice.outbound"
unit = "minute"
increments = "60/60"
[columns]
prefixes = "Code"
[[prices]]
column = "Rate"
"""


def test_a_header_is_found_below_titles_in_any_case_and_with_any_spaces() -> None:
    deck = "Rates of October\n;;\n r A t e ;Name; CODE\n0.01;UK;44\n"
    reading = read(deck, mapped(LEAST))
    assert [("44", "0.01", "60/60")] == rows(reading, "prefixes", "prices", "increments")
    assert [4] == card(reading).rows["row"].to_pylist()
    assert ("read with encoding utf-8, delimiter ;", "1 row above the header skipped", "columns not read: Name") == (
        reading.notes
    )


def test_a_deck_without_a_header_has_its_columns_by_position() -> None:
    mapping = LEAST.replace('"Code"', "1").replace('"Rate"', "2") + "[file]\nheader = false\n"
    assert [("44", "0.01"), ("45", "0.02")] == rows(read("44,0.01\n45,0.02\n", mapped(mapping)), "prefixes", "prices")


def test_a_column_that_is_not_there_is_a_fault_with_what_is() -> None:
    found = faults(read("Kode,Rate\n44,0.01\n", mapped(LEAST)))
    assert ["deck.csv:1: has no column Code; is it Kode? name it in the mapping"] == found
    found = faults(read("a,b\n44,0.01\n", mapped(LEAST)))
    assert ["has no column Code; the header has a, b", "has no column Rate; the header has a, b"] == [
        fault.removeprefix("deck.csv:1: ") for fault in found
    ]


def test_a_header_that_stands_twice_is_a_fault() -> None:
    found = faults(read("Code,Rate,rate\n44,0.01,0.02\n", mapped(LEAST)))
    assert ['deck.csv:1 "Rate": stands twice in the header; keep one, or name the column by its position'] == found


def test_faults_name_the_column_as_the_file_calls_it() -> None:
    found = faults(read("Code,Rate\n4.95E+12,0.01\n44,x\n45,\n46,0.1,7\n", mapped(LEAST)))
    assert [
        'deck.csv:5 "46": has not the 2 cells of the others',
        'deck.csv:2 Code "4.95E+12": a spreadsheet destroyed this prefix',
        "deck.csv:4 Rate: is missing",
        'deck.csv:3 Rate "x": not a plain decimal',
    ] == [fault.split(";")[0] for fault in found]


def test_two_rows_of_one_code_tie_on_their_lines_in_the_file() -> None:
    found = faults(read("Code,Rate\n44,0.01\n45,0.01\n+44,0.02\n", mapped(LEAST)))
    assert 'deck.csv:4 Code "44": matches the same usage at the same time as deck.csv:2' in found[0]


def test_rows_that_are_none_are_skipped_and_counted() -> None:
    mapping = LEAST + '[[skip]]\ncolumn = "Code"\nmatches = "total.*"\nwhy = "the footer"\n[[skip]]\nmatches = "n/a"\n'
    reading = read("Code,Rate\n44,0.01\n45,N/A\n46,n/a\nTotal rates: 3\nTotal,\n", mapped(mapping))
    assert [("44",)] == rows(reading, "prefixes")
    assert "2 rows skipped (the footer), the first on line 5" in reading.notes
    assert "2 rows skipped (skipped), the first on line 3" in reading.notes


def test_a_deck_without_increments_must_be_told_them() -> None:
    mapping = mapped(LEAST.replace('increments = "60/60"\n', ""))
    found = faults(read("Code,Rate\n44,0.01\n", mapping))
    problem = "has no column of increments, and none are told"
    assert [f"deck.csv: {problem}; tell them, as in --increments 60/60: there is no default"] == found
    assert [("1/1",)] == rows(read("Code,Rate\n44,0.01\n", mapping, increments="1/1"), "increments")


def test_rows_without_increments_take_those_that_are_told_and_else_are_faults() -> None:
    mapping = mapped(LEAST.replace('increments = "60/60"\n', ""), columns__increments="Step")
    deck = "Code,Rate,Step\n44,0.01,6/6\n45,0.01,\n"
    assert [("6/6",), ("60/60",)] == rows(read(deck, mapping, increments="60/60"), "increments")
    assert ["deck.csv:3 Step: has no increments"] == [fault.split(";")[0] for fault in faults(read(deck, mapping))]


def test_increments_stand_in_one_column_or_in_two() -> None:
    mapping = LEAST.replace("[columns]\n", '[columns]\nincrements = {first = "Min", next = ["Step", "Inc"]}\n')
    assert [("30/6",)] == rows(read("Code,Rate,Inc,Min\n44,0.01,6,30\n", mapped(mapping)), "increments")


def test_country_and_area_codes_in_two_columns_are_put_together() -> None:
    mapping = LEAST.replace('"Code"', '{parts = [["Country"], ["Areas"]]}')
    deck = 'Country,Areas,Rate\n93,"70,71",0.01\n93,,0.02\n44,020,0.03\n'
    found = faults(read(deck, mapped(mapping)))
    assert ['deck.csv:4 Areas "020": begins with the trunk prefix 0 inside a country'] == [
        fault.split(";")[0] for fault in found
    ]
    told = mapped(mapping, columns__prefixes__trunk="0")
    assert [("9370 9371",), ("93",), ("4420",)] == rows(read(deck, told), "prefixes")


def test_prices_are_per_second_where_that_is_told() -> None:
    assert [("second", "0.0002")] == rows(
        read("Code,Rate\n44,0.0002\n", mapped(LEAST.replace('"minute"', '"second"'))), "unit", "prices"
    )


def test_each_price_column_gives_its_own_rows() -> None:
    mapping = """
product = "sms.outbound"
unit = "segment"
[columns]
mcc = "MCC"
setup_fee = {column = "Once", optional = true}
[[prices]]
column = "Price"
[[prices]]
column = "Fee"
optional = true
set = {element = "carrier_fee"}
"""
    deck = "MCC,Price,Fee,Once\n310,0.0079,0.003,0.01\n248,0.05,,\n"
    assert [
        ("310", "", "0.0079", "0.01"),
        ("310", "carrier_fee", "0.003", ""),
        ("248", "", "0.05", ""),
    ] == rows(read(deck, mapped(mapping)), "mcc", "element", "prices", "setup_fee")


def test_an_empty_price_is_what_it_is_told_to_be() -> None:
    deck = "Code,Rate\n44,\n"
    assert ["deck.csv:2 Rate: is missing"] == [f.split(";")[0] for f in faults(read(deck, mapped(LEAST)))]
    assert [("", "true")] == rows(read(deck, mapped(LEAST + 'empty = "blocked"\n')), "prices", "blocked")
    assert [("0", "")] == rows(read(deck, mapped(LEAST + 'empty = "0"\n')), "prices", "blocked")


def test_blocked_rows_are_marked_by_a_word_or_by_a_column_and_have_no_price() -> None:
    mapping = LEAST.replace("[columns]\n", '[columns]\nblocked = "Closed"\nsetup_fee = "Fee"\n')
    deck = "Code,Rate,Closed,Fee\n44,N/A,,0.1\n45,0.01,yes,0.1\n46,0.02,no,0.1\n"
    reading = read(deck, mapped(mapping + 'blocked = ["n/a"]\n'))
    assert [("44", "true", "", ""), ("45", "true", "", ""), ("46", "", "0.02", "0.1")] == rows(
        reading, "prefixes", "blocked", "prices", "setup_fee"
    )


def test_a_column_that_would_change_a_price_is_refused_unless_it_is_empty_or_zero() -> None:
    mapping = mapped('refuse = ["Included"]\n' + LEAST)
    assert [("44",), ("45",)] == rows(read("Code,Rate,Included\n44,0.1,0\n45,0.1,\n", mapping), "prefixes")
    found = faults(read("Code,Rate,Included\n44,0.1,30\n", mapping))
    assert ['deck.csv:2 Included "30": would change the price; no rate can say it here: leave it empty'] == found


def test_whole_numbers_are_matched_as_they_stand() -> None:
    mapping = mapped(LEAST, columns__exact="Exact")
    reading = read("Code,Rate,Exact\n411,1.5,yes\n44,0.1,\n", mapping)
    assert [("411", "true"), ("44", "")] == rows(reading, "prefixes", "exact")


def test_a_code_that_is_missing_is_a_fault_since_it_would_match_every_number() -> None:
    found = faults(read("Code,Rate\n,0.1\n44,0.1\n", mapped(LEAST)))
    assert ["deck.csv:2 Code: is missing"] == [fault.split(";")[0] for fault in found]


def test_the_currency_is_told_or_stands_in_a_column_and_both_agree() -> None:
    mapping = mapped(LEAST, columns__currency="Cur")
    assert "EUR" == card(read("Code,Rate,Cur\n44,0.1,EUR\n45,0.1 €,eur\n", mapping, currency="")).currency
    found = faults(read("Code,Rate,Cur\n44,0.1,EUR\n45,0.1,GBP\n", mapping, currency=""))
    assert ['deck.csv:3 Cur "GBP": is another currency than EUR'] == [fault.split(";")[0] for fault in found]
    found = faults(read("Code,Rate,Cur\n44,0.1,EUR\n", mapping, currency="USD"))
    assert ['deck.csv:2 Cur "EUR": is another currency than USD'] == [fault.split(";")[0] for fault in found]
    found = faults(read("Code,Rate\n44,0.1\n", mapped('currency = "EUR"\n' + LEAST), currency="USD"))
    assert 'deck.csv "USD": decks of this dialect are in EUR' == found[0].split(";")[0]


def test_names_are_put_together_and_lose_what_they_are_told_to() -> None:
    mapping = LEAST.replace(
        "[columns]\n", '[columns]\ndestination = {parts = [["Land"], ["Net"]], remove = ["Calls to "]}\n'
    )
    deck = "Code,Rate,Land,Net\n44,0.1,Calls to  UK,Mobile\u00a0 Three\n"
    assert [("UK Mobile Three",)] == rows(read(deck, mapped(mapping)), "destination")


def test_constants_stand_in_every_row() -> None:
    mapping = mapped(LEAST + '[constants]\nnumber_type = "mobile"\n')
    assert [("mobile",), ("mobile",)] == rows(read("Code,Rate\n44,0.1\n45,0.2\n", mapping), "number_type")


def test_words_for_callers_are_the_countrys_numbers_or_a_row_that_is_skipped() -> None:
    mapping = mapped(
        LEAST, columns__origin_prefixes="From", columns__country__column="ISO", columns__country__unless="prefixes"
    )
    deck = "Code,Rate,From,ISO\n352,0.1,local,LU\n352,0.5,,LU\n353,0.5,EEA,IE\n"
    found = faults(read(deck, mapping))
    assert ["local", "EEA"] == [fault.split('"')[1] for fault in found]
    told = {"columns__origin_prefixes__words__eea": "30 31 32"}
    mapping = mapped(
        LEAST,
        columns__origin_prefixes="From",
        columns__country__column="ISO",
        columns__country__unless="prefixes",
        columns__origin_prefixes__words__local="country",
        **told,
    )
    assert [("352", "352", ""), ("352", "", ""), ("353", "30 31 32", "")] == rows(
        read(deck, mapping), "prefixes", "origin_prefixes", "country"
    )
    mapping = mapped(LEAST, columns__origin_prefixes="From", columns__origin_prefixes__words__local="skip", **told)
    reading = read(deck, mapping)
    assert [("352", ""), ("353", "30 31 32")] == rows(reading, "prefixes", "origin_prefixes")
    assert "1 row skipped (From local), the first on line 2" in reading.notes


def test_a_price_that_is_missing_in_a_row_that_a_word_skips_is_no_fault() -> None:
    mapping = mapped(LEAST, columns__origin_prefixes="From", columns__origin_prefixes__words__local="skip")
    assert [("352",)] == rows(read("Code,Rate,From\nx,,local\n352,0.5,\n", mapping), "prefixes")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_deck_is_the_same_in_any_encoding_and_with_any_delimiter(encoding: str, delimiter: str) -> None:
    text = delimiter.join(("Code", "Rate", "Name")) + "\n" + delimiter.join(("43", "0.1", "Österreich")) + "\n"
    mapping = mapped(LEAST, columns__destination="Name")
    assert [("43", "0.1", "Österreich")] == rows(
        read(text.encode(encoding), mapping), "prefixes", "prices", "destination"
    )


def test_of_many_faults_each_is_found() -> None:
    found = faults(read("Code,Rate\n" + "".join(f"{code},x{code}\n" for code in range(1000, 1500)), mapped(LEAST)))
    assert 500 == len(found)
    assert found[-1].startswith('deck.csv:501 Rate "x1499": is not a price')


@pytest.mark.parametrize("lines", [",\n", "Total,\n"])
def test_a_deck_without_a_rate_is_a_fault(lines: str) -> None:
    found = faults(read(f"Code,Rate\n{lines}", mapped(LEAST, skip="total")))
    assert ["deck.csv: has no row that is a rate; see what was skipped, and why"] == found


@pytest.mark.parametrize(
    "settings",
    [{}, {"numbers__decimal": ","}, {"numbers__decimal": ",", "numbers__group": "."}, {"numbers__group": ","}],
)
def test_a_column_that_mixes_two_decimal_signs_is_a_fault_whatever_is_told(settings: dict[str, str]) -> None:
    mapping = (
        'product = "voice.outbound"\nunit = "minute"\nincrements = "60/60"\n[file]\ndelimiter = ";"\n[columns]\n'
        'prefixes = "Code"\n[[prices]]\ncolumn = "Rate"\n'
    )
    found = faults(read("Code;Rate\n44;1.234\n33;0.012\n49;0,0150\n", mapped(mapping, **settings)))
    assert found
    said = "is in a column that mixes two decimal signs: 0,0150 has a comma, 0.012 a point"
    assert all(said in fault and "numbers." not in fault for fault in found), found
