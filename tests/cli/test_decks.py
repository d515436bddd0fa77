"""Decks on the command line: sniffed, checked, published."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tollbook
from tests.workbooks import Cell, workbook

TELNYX = (
    "ISO,Country,Origination Prefixes,Destination Prefixes,Description,Interval 1,Interval N,Rate,Price Per Call,"
    'Exact Match\nGB,United Kingdom,,"44, 441",Fixed,60,60,0.02,0.01,\nGB,United Kingdom,local,44,Fixed,60,60,0.01,,\n'
)
OWN = """\
Vorwahl;Ziel;Preis;Takt
+43;Österreich;0,0123 €;60/1
43664;Österreich mobil;0,0223 €;60/1
49;Deutschland;0,01;1/1
44;UK;0,01;1/1
"""
FACTS = ("--id", "az", "--currency", "USD", "--from", "2026-10-01")
LOCAL = "columns.origin_prefixes.words.local"


@pytest.fixture
def deck(tmp_path: Path) -> Path:
    path = tmp_path / "telnyx.csv"
    path.write_text(TELNYX)
    return path


def test_a_deck_is_checked_and_what_must_be_told_is_said(deck: Path, tollbook: Tollbook) -> None:
    ran = tollbook("cards", "check", deck, "--dialect", "telnyx", *FACTS)
    assert 5 == ran.code
    assert 'telnyx.csv:3 Origination Prefixes "local": is a word instead of prefixes; tell what' in ran.err
    assert f"{LOCAL} stands for" in ran.err
    ran = tollbook("cards", "check", deck, "--dialect", "telnyx", *FACTS, "--set", f"{LOCAL}=country")
    assert 0 == ran.code
    assert "telnyx.csv: columns not read: Country\n" in ran.err
    assert "az@2026-10-01T00:00:00Z: 2 rates, USD, no faults." in ran.err
    ran = tollbook("cards", "check", deck, "--dialect", "telnyx", *FACTS, "--set", f"{LOCAL}=skip")
    assert "telnyx.csv: 1 row skipped (Origination Prefixes local), the first on line 3\n" in ran.err
    assert ": 1 rate, USD, no faults." in ran.err


@pytest.mark.usefixtures("empty_books")
def test_a_deck_is_published_as_a_card_that_prices_calls(deck: Path, tollbook: Tollbook) -> None:
    told = ("--dialect", "telnyx", *FACTS, "--set", f"{LOCAL}=country")
    assert 0 == tollbook("cards", "import", deck, *told).code
    assert 3 == tollbook("cards", "import", deck, *told).code
    asked = ("cards", "explain", "az", "+442079460000", "--format", "json", "--at", "2026-10-02")
    (abroad,) = json.loads(tollbook(*asked, "--from", "+4930123456").out)
    (local,) = json.loads(tollbook(*asked, "--from", "+442079460001").out)
    assert (["0.02"], "0.01", ["0.01"]) == (abroad["prices"], abroad["setup_fee"], local["prices"])


@pytest.mark.usefixtures("empty_books")
def test_a_spreadsheet_is_a_deck_too(tmp_path: Path, tollbook: Tollbook) -> None:
    lines: list[tuple[Cell, ...]] = [
        ("NPA", "NXX", "Inter", "Intra"),
        (201, 555, 0.0012, 0.0034),
        ("202", "", 0.001, 0.003),
    ]
    (tmp_path / "deck.xlsx").write_bytes(workbook({"US": lines, "Notes": [("x",)]}))
    told = ("--dialect", "npanxx", *FACTS, "--increments", "6/6", "--set", "file.sheet=US")
    assert 0 == tollbook("cards", "import", tmp_path / "deck.xlsx", *told).code
    ran = tollbook(
        "cards", "explain", "az", "+12015550100", "--where", "jurisdiction=intrastate", "--format", "json",
        "--at", "2026-10-02",
    )  # fmt: skip
    (found,) = json.loads(ran.out)
    assert ("1201555", ["0.0034"], "6/6") == (found["prefix"], found["prices"], found["increments"])


def test_a_deck_that_nobody_described_is_sniffed_and_its_draft_reads_it(tmp_path: Path, tollbook: Tollbook) -> None:
    (tmp_path / "preise.csv").write_bytes(OWN.encode("cp1252"))
    ran = tollbook("cards", "sniff", tmp_path / "preise.csv", "--out", tmp_path / "m.toml")
    assert 0 == ran.code
    assert "preise.csv: 4 rows, the header on line 1, encoding cp1252, delimiter ;." in ran.err
    told = ("--id", "az", "--from", "2026-10-01", "--mapping", tmp_path / "m.toml")
    ran = tollbook("cards", "check", tmp_path / "preise.csv", *told)
    assert 0 == ran.code
    assert "4 rates, EUR, no faults" in ran.err
    assert 2 == tollbook("cards", "sniff", tmp_path / "preise.csv", "--out", tmp_path / "m.toml").code


def test_sniffing_names_the_dialect_that_fits_and_what_must_be_told(deck: Path, tollbook: Tollbook) -> None:
    ran = tollbook("cards", "sniff", deck)
    assert "It has the columns of the dialect telnyx: --dialect telnyx." in ran.err
    assert "To be told: the currency" in ran.err
    assert 'prefixes = {column = "Destination Prefixes", separator = ","}' in ran.out
    columns = json.loads(tollbook("cards", "sniff", deck, "--format", "json").out)
    assert ("Rate", "price", "is a usual name for it") == tuple(columns[7][key] for key in ("column", "key", "reason"))


def test_sniffing_says_what_a_spreadsheet_destroyed(tmp_path: Path, tollbook: Tollbook) -> None:
    (tmp_path / "deck.csv").write_text("Code,Rate\n44,0.1\n4.95E+12,0.2\n")
    said = "deck.csv: a spreadsheet destroyed the cell 4.95E+12 in column Code; export the column as text.\n"
    assert said in tollbook("cards", "sniff", tmp_path / "deck.csv").err


def test_the_dialects_are_listed(tollbook: Tollbook) -> None:
    found = json.loads(tollbook("cards", "dialects", "--format", "json").out)
    assert {"tollbook", "cdrtool", "twilio", "telnyx", "astpp", "46labs", "npanxx", "sms"} <= {
        row["dialect"] for row in found
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dialect", "telnyx"], "give --id, --currency and --from"),
        (["--dialect", "telnyx", "--id", "a", "--from", "2026-10-01"], "give --id, --currency and --from"),
        (["--dialect", "telnix", *FACTS], "telnix is not a dialect; known: 46labs"),
        (["--dialect", "telnyx", *FACTS, "--product", "voice"], "voice is not a product"),
        (["--dialect", "telnyx", *FACTS, "--increments", "often"], "--increments"),
        (["--dialect", "telnyx", *FACTS, "--profile", "gold"], "--profile is of CDRTool decks"),
        (["--dialect", "telnyx", *FACTS, "--set", "dates"], "dates is not KEY=VALUE"),
        (["--increments", "60/60"], "add --dialect"),
        (["--set", "dates=M/D/YYYY"], "add --dialect"),
        (["--dialect", "telnyx", *FACTS, "{again}"], "a deck is one file"),
        (["--dialect", "cdrtool", *FACTS], "two files"),
    ],
)
@pytest.mark.parametrize("command", ["check", "import"])
def test_what_does_not_go_together_is_a_wrong_call(
    command: str, arguments: list[str], said: str, deck: Path, tollbook: Tollbook
) -> None:
    ran = tollbook("cards", command, deck, *(str(deck) if one == "{again}" else one for one in arguments))
    assert 2 == ran.code
    assert said in " ".join(ran.err.replace("│", " ").split())


def test_a_faulty_mapping_is_named_with_its_place(deck: Path, tmp_path: Path, tollbook: Tollbook) -> None:
    (tmp_path / "m.toml").write_text('unit = "minute"\n[columns]\ncode = "Destination Prefixes"\n')
    ran = tollbook("cards", "check", deck, "--mapping", tmp_path / "m.toml", *FACTS, "--product", "voice.outbound")
    assert 5 == ran.code
    assert "m.toml: columns.code: is not a key of a rate" in ran.err.replace(' "Destination Prefixes"', "")
    both = tollbook("cards", "check", deck, "--mapping", tmp_path / "m.toml", "--dialect", "telnyx", *FACTS)
    assert 2 == both.code


BODY = {
    "country": "Estonia",
    "iso_country": "EE",
    "price_unit": "USD",
    "outbound_prefix_prices": [
        {
            "base_price": price,
            "current_price": price,
            "destination_prefixes": prefixes,
            "origination_prefixes": origins,
            "friendly_name": name,
        }
        for price, prefixes, origins, name in [
            ("0.465", ["37253101220"], ["ALL"], "Estonia - Other"),
            ("0.4783", ["37250", "372530"], ["ALL"], "Estonia - Mobile"),
            ("0.0575", ["37250", "372530"], ["372", "49"], "Estonia - Mobile - from EEA"),
        ]
    ],
}
REAL_BODY = Path(__file__).parents[3] / "shared" / "data" / "twilio_pricing_voice_country_EE.json"


@pytest.mark.usefixtures("empty_books")
@pytest.mark.parametrize("body", ["small", "real"])
def test_the_body_of_a_pricing_api_is_published_and_prices_calls_by_where_they_come_from(
    tmp_path: Path, tollbook: Tollbook, body: str
) -> None:
    if body == "real" and not REAL_BODY.is_file():
        pytest.skip("the real body is not beside the project")
    (tmp_path / "EE.json").write_bytes(REAL_BODY.read_bytes() if body == "real" else json.dumps(BODY).encode())
    told = ("--dialect", "twilio-pricing", "--id", "tw", "--from", "2026-10-01")
    assert 0 == tollbook("cards", "check", tmp_path / "EE.json", *told).code
    assert 0 == tollbook("cards", "import", tmp_path / "EE.json", *told).code
    prices = []
    for number, caller in (
        ("+37250123456", "+14155550123"), ("+37250123456", "+4930123456"), ("+37253101220", "+4930123456")
    ):  # fmt: skip
        asked = ("cards", "explain", "tw", number, "--from", caller, "--product", "voice.outbound", "--format", "json")
        (found,) = json.loads(tollbook(*asked, "--at", "2026-10-02").out)
        prices += found["prices"]
    assert ["0.4783", "0.0575", "0.465"] == prices


def test_a_faulty_body_is_named_with_its_path(tmp_path: Path, tollbook: Tollbook) -> None:
    (tmp_path / "EE.json").write_text(json.dumps(BODY).replace("0.465", "0,465"))
    told = ("--dialect", "twilio-pricing", "--id", "tw", "--from", "2026-10-01")
    ran = tollbook("cards", "check", tmp_path / "EE.json", *told)
    assert 5 == ran.code
    assert 'EE.json: outbound_prefix_prices[0].current_price "0,465"' in ran.err
    assert 2 == tollbook("cards", "check", tmp_path / "EE.json", *told, "--product", "voice.outbound").code
    assert 5 == tollbook("cards", "check", tmp_path / "EE.json", *told, "--set", "cost=base").code


@pytest.mark.parametrize("command", [("check",), ("import",), ("diff", "deck.csv")])
@pytest.mark.parametrize("data", [OWN.encode(), OWN.encode("cp1252"), workbook({"Rates": [("Code", "Rate"), (44, 1)]})])
def test_a_deck_without_a_dialect_is_told_how_it_is_read(
    command: tuple[str, ...], data: bytes, tmp_path: Path, tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deck.csv").write_bytes(data)
    ran = tollbook("cards", *command, "deck.csv")
    assert 5 == ran.code
    assert "deck.csv: is not TOML, as a card is; a carrier's price list is read with" in ran.err
    for way in ("--dialect NAME", "--mapping FILE", "tollbook cards sniff deck.csv"):
        assert way in ran.err
    (tmp_path / "card.toml").write_text("id;price\n")
    assert "see https://toml.io" in tollbook("cards", "check", "card.toml").err
