"""Drafting a mapping for a deck: what its columns may be, why, and what nobody can know from the file."""

import tomllib

import pytest

from rates.dialects.files import open_csv
from rates.dialects.sniffing import Sniffed, date_order, sniff
from tests.decks import BUILT_IN, card, faults, mapped, read, rows

DIALECTS = {name: mapped(name) for name in BUILT_IN}
TELNYX = (
    "ISO,Country,Origination Prefixes,Destination Prefixes,Description,Interval 1,Interval N,Rate,Price Per Call,"
    "Exact Match"
)
CODES = ("43", "44", "49", "33")


def sniffed(text: str) -> Sniffed:
    file, problems = open_csv(text.encode(), "deck.csv")
    assert [] == problems
    assert file is not None
    found, problems = sniff(file, DIALECTS)
    assert [] == problems
    assert found is not None
    return found


def keys(found: Sniffed) -> dict[str, str]:
    return {guess.column: guess.key for guess in found.guesses if guess.key}


def test_a_deck_is_read_by_its_own_draft() -> None:
    deck = "Our rates\n\nVorwahl;Ziel;Preis;Takt;Ab\n" + "".join(
        f"+{code};Land {code};0,0{i}5 €;60/{i};{i + 12}.11.2026\n" for i, code in enumerate(CODES, 1)
    )
    found = sniffed(deck)
    assert 3 == found.header_line
    assert () == found.tell
    assert {
        "Vorwahl": "prefixes",
        "Ziel": "destination",
        "Preis": "price",
        "Takt": "increments",
        "Ab": "effective_from",
    } == keys(found)
    reading = read(deck, mapped(found.mapping), currency="")
    assert "EUR" == card(reading).currency
    assert ("44", "Land 44", "0.025", "60/2", "2026-11-14T00:00:00Z") == rows(
        reading, "prefixes", "destination", "prices", "increments", "effective_from"
    )[1]


def test_what_the_file_does_not_say_is_left_open_and_listed() -> None:
    found = sniffed("Code,Rate,Effective\n" + "".join(f"{code},0.0{i},8/{i}/2026\n" for i, code in enumerate(CODES, 1)))
    assert ["currency", "increments", "order of day and month"] == [
        next(word for word in ("currency", "increments", "order of day and month") if word in fact)
        for fact in found.tell
    ]
    assert {"currency", "increments", "dates"}.isdisjoint(tomllib.loads(found.mapping))


@pytest.mark.parametrize(
    ("dates", "order"),
    [
        (["8/16/2022", "8/1/2022"], "M/D/YYYY"),
        (["16/8/2022", "1/8/2022"], "D/M/YYYY"),
        (["16.8.22"], "D.M.YY"),
        (["8/1/2022", "1/8/2022"], ""),
        (["16/8/2022", "8/16/2022"], ""),
        (["2022-08-16"], ""),
        (["soon"], ""),
        ([], ""),
    ],
)
def test_the_order_of_day_and_month_is_drafted_only_where_no_other_is_possible(dates: list[str], order: str) -> None:
    assert order == date_order(dates)


def test_a_hyphen_is_drafted_as_a_range_only_where_it_can_be_nothing_else() -> None:
    sure = sniffed("Code,Rate\n9370-9372,0.1\n44,0.1\n45,0.2\n46,0.1\n")
    assert 'hyphen = "range"' in sure.mapping
    unsure = sniffed("Code,Rate\n93-70,0.1\n44,0.1\n45,0.2\n46,0.1\n")
    assert "hyphen" not in unsure.mapping
    assert any("what a hyphen in a code is (93-70)" in fact for fact in unsure.tell)


def test_codes_that_a_spreadsheet_destroyed_are_said_wherever_they_stand() -> None:
    """A draft that shows 4.95E+12 as an example of a code would have a person believe that it can be read."""
    plain = "".join(f"{code},0.1\n" for code in range(4_400_000, 4_409_000))
    assert ("a spreadsheet destroyed 2 cells such as 4.95E+12 in column Code; export the column as text",) == sniffed(
        f"Code,Rate\n{plain}4.95E+12,0.1\n{plain}4.96E+12,0.1\n"
    ).damage
    alone = sniffed("Code,Rate\n4.95E+12,0.1\n")
    assert ("a spreadsheet destroyed the cell 4.95E+12 in column Code; export the column as text",) == alone.damage
    assert () == sniffed("Code,Rate,Site\n44,0.1,12E5\n").damage


def test_decimal_commas_and_groups_are_drafted_as_they_are_seen() -> None:
    found = tomllib.loads(sniffed('Code,Rate\n43,"1.234,5"\n44,"0,5"\n45,"0,25"\n46,"0,1"\n').mapping)
    assert {"decimal": ",", "group": "."} == found["numbers"]
    found = tomllib.loads(sniffed('Code,Rate\n43,"1,234.5"\n44,0.5\n45,0.25\n46,0.1\n').mapping)
    assert {"group": ","} == found["numbers"]
    assert "numbers" not in tomllib.loads(sniffed("Code,Rate\n43,0.5\n44,0.5\n").mapping)


def test_a_deck_without_a_header_is_drafted_by_position() -> None:
    deck = "".join(f"{code},Land {code},0.0{i}\n" for i, code in enumerate(CODES, 1))
    found = sniffed(deck)
    assert 0 == found.header_line
    reading = read(deck, mapped(found.mapping), increments="60/60")
    assert ("44", "Land 44", "0.02") == rows(reading, "prefixes", "destination", "prices")[1]


def test_jurisdictions_and_networks_decide_the_product() -> None:
    american = tomllib.loads(sniffed("NPA,NXX,Inter,Intra\n201,555,0.01,0.02\n").mapping)
    assert "trunk.termination" == american["product"]
    assert ["interstate", "intrastate"] == [price["set"]["jurisdiction"] for price in american["prices"]]
    messages = tomllib.loads(sniffed("MCC,MNC,Price,Carrier Fee\n310,410,0.01,0.003\n").mapping)
    assert ("sms.outbound", "segment") == (messages["product"], messages["unit"])
    assert [None, {"element": "carrier_fee"}] == [price.get("set") for price in messages["prices"]]


@pytest.mark.parametrize(
    ("header", "best"),
    [
        ("ISO,Country,Description,Price / min,Origination Prefixes,Destination Prefixes", "twilio"),
        (TELNYX, "telnyx"),
        ("Code,Destination,Connect Cost,Included Seconds,Per Minute Cost,Increment,Precedence", "astpp"),
        ("code,duration,increment,interrate,intrarate,ijrate,effective_date", "46labs"),
        ("npanxx,interstate,intrastate,indeterminate,effective_date", "npanxx"),
        ("npa,nxx,inter,intra", "npanxx"),
        ("MCC,MNC,Operator,Price,Carrier Fee", "sms"),
    ],
)
def test_the_built_in_dialect_that_fits_best_is_named_first(header: str, best: str) -> None:
    assert best == sniffed(f"{header}\n{',' * header.count(',')}x\n").dialects[0]


def test_a_deck_of_nobody_has_no_dialect() -> None:
    assert () == sniffed("Vorwahl,Preis\n43,0.1\n").dialects


def test_headers_of_strangers_become_strings_of_toml() -> None:
    found = sniffed('"Co""de",Rate,"Na\\me"\n43,0.1,A\n44,0.2,B\n45,0.3,C\n46,0.4,D\n')
    assert {'Co"de': "prefixes", "Rate": "price"}.items() <= keys(found).items()
    assert tomllib.loads(found.mapping)


def test_a_name_that_the_cells_deny_is_not_believed() -> None:
    found = sniffed("Rate,Destination,Cost\ngold,43,0.1\ngold,44,0.2\ngold,49,0.3\ngold,33,0.4\n")
    assert {"Destination": "prefixes", "Cost": "price", "Rate": "destination"} == keys(found)


@pytest.mark.parametrize(
    ("first", "following"), [("Min", "Step"), ("Minimum", "Increment"), ("Min Duration", "Increment")]
)
def test_a_first_increment_beside_a_step_is_drafted_with_it(first: str, following: str) -> None:
    header = f"Destination;Code;Rate;{first};{following}\n"
    deck = header + "".join(f"Land {code};{code};0.01;30;6\n" for code in CODES)
    found = sniffed(deck)
    assert {first: "first", following: "next"}.items() <= keys(found).items()
    assert {"first": first, "next": following} == tomllib.loads(found.mapping)["columns"]["increments"]
    assert [] == [fact for fact in found.tell if "increments" in fact]
    assert ("44", "30/6") == rows(read(deck, mapped(found.mapping)), "prefixes", "increments")[1]


@pytest.mark.parametrize("name", ["Min", "Subsequent"])
def test_one_increment_without_the_other_is_told(name: str) -> None:
    found = sniffed(f"Destination;Code;Rate;{name}\n" + "".join(f"Land {code};{code};0.01;30\n" for code in CODES))
    assert "increments" not in tomllib.loads(found.mapping)["columns"]
    assert 1 == sum(fact.startswith(f"the increments: {name} may be the ") for fact in found.tell), found.tell


def test_increments_in_two_ways_are_told() -> None:
    lines = "".join(f"Land {code},{code},0.01,60/6,30,6\n" for code in CODES)
    found = sniffed(f"Destination,Code,Rate,Billing,Min,Subsequent\n{lines}")
    assert "Billing" == tomllib.loads(found.mapping)["columns"]["increments"]
    assert any("or in Min and Subsequent as first and next" in fact for fact in found.tell), found.tell


@pytest.mark.parametrize(
    "names", [("Peak", "Off-Peak"), ("Peak Rate", "OffPeak Rate"), ("Day Rate", "Night Rate"), ("Rate", "Weekend Rate")]
)
def test_prices_by_the_time_of_the_week_are_told_and_not_drafted(names: tuple[str, str]) -> None:
    header = f"Destination,Code,{','.join(names)},Increment\n"
    found = sniffed(header + "".join(f"Land {code},{code},0.02,0.01,60/60\n" for code in CODES))
    told = [fact for fact in found.tell if names[1] in fact]
    assert 1 == len(told), found.tell
    assert (names[0] == "Rate") is ("prices" in tomllib.loads(found.mapping))
    assert names[0] == "Rate" or names[0] in told[0]


@pytest.mark.parametrize("other", ["Old Rate", "Nebenzeit", "Cost"])
def test_a_column_that_may_be_a_price_too_is_told(other: str) -> None:
    found = sniffed(f"Destination,Code,Rate,{other},Step\n" + "".join(f"L {c},{c},0.02,0.01,6\n" for c in CODES))
    assert ["Rate"] == [price["column"] for price in tomllib.loads(found.mapping)["prices"]]
    assert [f"what {other} is, which looks like a price (0.01) and is not in the draft"] == [
        fact for fact in found.tell if other in fact
    ]


def test_a_network_code_that_means_any_is_drafted_as_that_and_else_offered() -> None:
    deck = "MCC,MNC,Price\n310,410,0.01\n310,*,0.02\n"
    found = sniffed(deck)
    assert ["999", "*"] == tomllib.loads(found.mapping)["columns"]["mnc"]["default"]
    assert [("310", "410"), ("310", "")] == rows(read(deck, mapped(found.mapping)), "mcc", "mnc")
    (fault,) = faults(read(deck.replace("*", "Other"), mapped(found.mapping)))
    assert fault.endswith('or tell columns.mnc.default = ["999", "*", "other"] if it means any')


def test_the_order_of_day_and_month_is_asked_for_with_the_signs_of_the_file() -> None:
    found = sniffed(
        "Code,Rate,Effective\n" + "".join(f"{code},0.0{i},0{i}.10.2026\n" for i, code in enumerate(CODES, 1))
    )
    assert any(fact.endswith("dates = M.D.YYYY or D.M.YYYY") for fact in found.tell), found.tell
