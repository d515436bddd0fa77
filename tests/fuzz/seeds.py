"""Good files to begin from: those in the documents, of the demo, of the scenarios, and of the tests' own decks."""

import re
import tomllib
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
_A_DECK = 6_000


def _blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@cache
def tomls() -> tuple[str, ...]:
    """Every TOML file that the documents show."""
    return tuple(
        _blocks("docs/files.md", "toml") + _blocks("README.md", "toml") + _blocks("docs/call-records.md", "toml")
    )


def _parsed(text: str) -> dict[str, Any]:
    return tomllib.loads(text, parse_float=Decimal)


@cache
def cards() -> tuple[str, ...]:
    """Cards in one file."""
    return tuple(text for text in tomls() if re.search(r"^\[\[rate\]\]", text, re.MULTILINE))


@cache
def card_tables() -> tuple[dict[str, Any], ...]:
    """Cards as tables, those of the scenarios among them: every key of a card is in one of them."""
    defaults = {"id": "card", "effective_from": "2026-10-01"}
    found = [_parsed(text) for text in cards()]
    for scenario in scenario_tables():
        found += [{**defaults, **card} for card in scenario["card"] if isinstance(card, dict)]
    return tuple(found)


@cache
def scenario_tables() -> tuple[dict[str, Any], ...]:
    """All scenarios."""
    return tuple(_parsed(path.read_text()) for path in sorted((ROOT / "tests" / "scenarios").glob("*.toml")))


@cache
def product_tables() -> tuple[dict[str, Any], ...]:
    """The products that come along, and those of the documents and scenarios."""
    found = [_parsed(path.read_text()) for path in sorted((ROOT / "rates" / "catalogue").glob("*.toml"))]
    found += [product for scenario in scenario_tables() for product in scenario.get("product", [])]
    return tuple(found)


@cache
def card_sheets() -> tuple[bytes, ...]:
    """Rates of cards as CSV files."""
    folder = ROOT / "cli" / "demo" / "cards"
    return tuple(b"".join(path.read_bytes().splitlines(keepends=True)[:25]) for path in sorted(folder.glob("*.csv")))


@cache
def accounts() -> tuple[str, ...]:
    """Files of accounts."""
    return tuple(text for text in tomls() if "[[account]]" in text and "[[card]]" not in text)


@cache
def contracts() -> tuple[str, ...]:
    """Files of contracts."""
    return tuple(text for text in tomls() if "[[contract]]" in text)


@cache
def charges() -> tuple[str, ...]:
    """Files of charges."""
    return tuple(text for text in tomls() if "[[charge]]" in text and "[[card]]" not in text)


@cache
def bodies() -> tuple[bytes, ...]:
    """Bodies of Twilio's pricing API."""
    found = [_BODY, _MESSAGES]
    if SHARED.is_dir():
        found += [path.read_bytes()[:200_000] for path in sorted(SHARED.glob("twilio_pricing_*.json"))]
    return tuple(body for body in found if len(body) <= _A_DECK * 4)


def body_tables() -> list[Any]:
    import json  # noqa: PLC0415 (of the seeds only these need it)

    return [json.loads(body) for body in bodies()]


_BODY = b"""{"country": "Estonia", "iso_country": "EE", "price_unit": "USD", "url": "https://example.com",
"outbound_prefix_prices": [
 {"friendly_name": "Programmable Outbound Minute - Estonia", "destination_prefixes": ["372"],
  "origination_prefixes": ["ALL"], "base_price": "0.05", "current_price": "0.045"},
 {"friendly_name": "Estonia - Mobile", "prefixes": ["3725", "37281"], "base_price": 0.2, "current_price": 0.2}],
"inbound_call_prices": [{"number_type": "local", "base_price": "0.01", "current_price": "0.01"}]}"""
_MESSAGES = b"""{"country": "Estonia", "iso_country": "EE", "price_unit": "usd", "outbound_sms_prices": [
 {"mcc": "248", "mnc": "1", "carrier": "EMT",
  "prices": [{"number_type": "mobile", "base_price": "0.1040", "current_price": "0.1040"}]},
 {"mcc": "248", "mnc": "999", "carrier": "Other", "prices": [{"base_price": "0.2", "current_price": "0.2"}]}],
"inbound_sms_prices": [{"number_type": "mobile", "base_price": "0.01", "current_price": "0.01"}]}"""

CDRTOOL = (
    b"""Ops,Reseller,Rate,Destination,App,Connect,Duration,Conn In,Duration In
2,0,gold,3706,audio,0,999,,
2,0,gold,370,audio,500,12345,,
2,0,gold,1,audio,0,5,,
""",
    b"""Ops,Reseller,Trusted peer,Domain,Subscriber,Destination,Region,Description,Incr,Min Dur,Max Dur,Max Price
2,0,,,,1,,USA,6,6,0,
2,0,,,,370,,LITHUANIA,60,60,0,
2,0,,,,3706,,LITHUANIA CELL,0,0,0,
""",
)

MAPPING = """
product = "voice.outbound"
unit = "minute"
timezone = "Europe/Paris"
dates = "D/M/YYYY"
refuse = ["Included Seconds"]
[numbers]
decimal = ","
group = "."
[columns]
prefixes = {column = ["Code", "Prefix"], hyphen = "range"}
destination = {parts = [["Country"], ["Network"]]}
increments = {column = "Steps", zero = "1"}
setup_fee = {column = "Fee", optional = true, scale = "0.01"}
blocked = {column = "Barred", true = ["yes"], false = ["no", ""], optional = true}
effective_from = {column = "From", optional = true}
effective_to = {column = "To", inclusive = true, optional = true}
country = {column = "ISO", unless = "prefixes", optional = true}
mnc = {column = "MNC", pad = 2, default = ["999"], optional = true}
mcc = {column = "MCC", optional = true}
[[prices]]
column = ["Price"]
empty = "blocked"
blocked = ["n/a"]
[[prices]]
column = ["Surcharge"]
optional = true
set = {element = "carrier_fee"}
[[skip]]
column = "Code"
matches = "Total.*"
why = "the footer"
"""

DECKS: dict[str, tuple[str, ...]] = {
    "twilio": (
        "Destination Prefixes,Origination Prefixes,Description,Price / min",
        '"44, 441",,UK,0.02',
        '49,"33, 39",Programmable Outbound Minute - Germany,0.01',
        '"1204,1250",,Canada,0.0140',
    ),
    "telnyx": (
        "ISO,OriginationPrefixes,DestinationPrefixes,Description,Interval 1,Interval N,Rate,Price Per Call,Exact Match",
        "GB,,44,UK,60,60,0.02,0.01,",
        "DE,33,49,Germany,30,6,0.01,,false",
        'US,,"1201,1202",USA,6,6,0.0070,0,',
    ),
    "astpp": (
        "Code,Destination,Connect Cost,Included Seconds,Per Minute Cost,Initial Increment,Increment",
        "^44.*,UK,0.01,0,0.02,60,60",
        "^49.*,Germany,0,0,0.01,30,6",
        "^9370.*,Afghanistan,0,0,0.20,1,1",
    ),
    "46labs": (
        "code,destination,rate,duration,increment,effective_date",
        "44,UK,0.02,1,1,10/1/2026",
        "49,Germany,0.01,6,6,10/1/2026",
        "49,Germany,0.02,6,6,11/13/2026",
    ),
    "npanxx": (
        "npa,nxx,inter,intra,increments",
        "201,555,0.001,0.002,6/6",
        "202,555,0.001,0.002,6/6",
        "203,555,0.0011,0.0022,1/1",
    ),
    "sms": (
        "Country Code,Network,MCC,MNC,Price,Carrier Fee",
        "EE,One,248,01,0.10,",
        "EE,Other,248,999,0.02,0.003",
        "GB,Two,234,15,0.03,",
    ),
    "own": (
        "Code;Country;Network;Steps;Fee;Barred;From;To;Price;Surcharge;Included Seconds",
        "44;UK;All;60/60;2;no;1/10/2026;;0,02;;0",
        "9370-9379;Afghanistan;AWCC;1/0;;yes;13/10/2026;31/12/2026;;;",
        "49;Germany;Mobile;30-6;0;;;;1.234,5;0,01;",
        "Total;;;;;;;;;;",
    ),
}
"""Dialect -> the lines of a deck that it reads; `own` is read by `MAPPING`."""

CALLS = {
    "asterisk": _blocks("docs/call-records.md", "csv")[0],
    "freeswitch": _blocks("docs/call-records.md", "csv")[1],
    "kamailio": _blocks("docs/call-records.md", "csv")[3],
    "twilio-calls": _blocks("docs/call-records.md", "csv")[4],
    "twilio-messages": _blocks("docs/call-records.md", "csv")[5],
}
"""Dialect -> the file of call records that the documents show."""
