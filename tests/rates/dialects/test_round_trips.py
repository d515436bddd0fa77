"""Every dialect there and back: rates written as its decks are written are read as the same rates (DESIGN 15, 8)."""

import csv
import io
from collections.abc import Callable, Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing.sources.spreadsheets import open_spreadsheet
from rates.money import normal
from tests.decks import card, mapped, read, rows
from tests.workbooks import workbook

Deck = list[tuple[str, ...]]

DIGITS = "0123456789"
CODES = st.from_regex(r"[1-9][0-9]{0,9}", fullmatch=True)
LISTS = st.lists(CODES, min_size=1, max_size=4, unique=True).map(lambda codes: " ".join(sorted(codes)))
PRICES = st.integers(0, 10**9).flatmap(
    lambda digits: st.integers(0, 12).map(lambda places: normal(Decimal(digits).scaleb(-places)))
)
FEES = PRICES.map(lambda price: "" if price == "0" else price)
INCREMENTS = st.tuples(st.integers(1, 120), st.sampled_from([1, 6, 30, 60])).map(lambda pair: f"{pair[0]}/{pair[1]}")
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12) | st.sampled_from(
    ["Austria, Mobile", 'The "Net"', "Österreich - A1", "Côte d’Ivoire", "a;b|c"]
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])
DELIMITERS = st.sampled_from([",", ";", "\t", "|"])


def written(header: Sequence[str], lines: Sequence[Sequence[str]], encoding: str, delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerows([header, *lines])
    return text.getvalue().encode(encoding)


def spelled(code: str, way: int) -> str:
    return [code, f"+{code}", f"00{code}", f"^{code}.*", f" {code}\u00a0"][way % 5]


def comma(price: str) -> str:
    return price.replace(".", ",")


def decks(
    *columns: st.SearchStrategy[str], key: Callable[[tuple[str, ...]], object] = lambda row: row[0]
) -> st.SearchStrategy[Deck]:
    """Rates of which no two are for the same code."""

    def apart(deck: Deck) -> bool:
        codes = [code for row in deck for code in row[0].split()]
        return len(set(codes)) == len(codes)

    return st.lists(st.tuples(*columns), min_size=1, max_size=8, unique_by=key).filter(apart)


@given(decks(LISTS, NAMES, PRICES, LISTS | st.just("")), ENCODINGS)
def test_twilio(deck: Deck, encoding: str) -> None:
    header = ("ISO", "Country", "Description", "Price / min", "Origination Prefixes", "Destination Prefixes")
    lines = [
        (
            "XX",
            "X",
            f"Programmable Outbound Minute - {name}",
            price,
            origins.replace(" ", ", "),
            codes.replace(" ", ", "),
        )
        for codes, name, price, origins in deck
    ]
    found = rows(
        read(written(header, lines, encoding, ","), mapped("twilio")),
        "prefixes",
        "destination",
        "prices",
        "origin_prefixes",
    )
    assert deck == found


@given(decks(LISTS, NAMES, PRICES, INCREMENTS, FEES, LISTS | st.just("")), ENCODINGS)
def test_telnyx(deck: Deck, encoding: str) -> None:
    header = (
        "ISO", "Country", "Origination Prefixes", "Destination Prefixes", "Description", "Interval 1", "Interval N",
        "Rate", "Price Per Call", "Exact Match",
    )  # fmt: skip
    lines = [
        ("LU", "X", origins.replace(" ", ","), codes.replace(" ", ","), name, *increments.split("/"), price, fee, "")
        for codes, name, price, increments, fee, origins in deck
    ]
    found = rows(
        read(written(header, lines, encoding, ","), mapped("telnyx")),
        "prefixes", "destination", "prices", "increments", "setup_fee", "origin_prefixes",
    )  # fmt: skip
    assert deck == found


@given(decks(CODES, NAMES, PRICES, INCREMENTS, FEES), ENCODINGS, DELIMITERS, st.integers(0, 4))
def test_astpp(deck: Deck, encoding: str, delimiter: str, way: int) -> None:
    header = (
        "Code",
        "Destination",
        "Connect Cost",
        "Included Seconds",
        "Per Minute Cost",
        "Initial Increment",
        "Increment",
    )
    lines = [
        (spelled(code, way + i), name, fee, "0", price, *increments.split("/"))
        for i, (code, name, price, increments, fee) in enumerate(deck)
    ]
    found = rows(
        read(written(header, lines, encoding, delimiter), mapped("astpp")),
        "prefixes", "destination", "prices", "increments", "setup_fee",
    )  # fmt: skip
    assert deck == found


@given(decks(CODES, PRICES, PRICES, PRICES, INCREMENTS), ENCODINGS, DELIMITERS)
def test_46labs(deck: Deck, encoding: str, delimiter: str) -> None:
    header = ("code", "duration", "increment", "interrate", "intrarate", "ijrate", "effective_date")
    lines = [
        (code, *increments.split("/"), inter, intra, other, "8/16/2022")
        for code, inter, intra, other, increments in deck
    ]
    found = rows(
        read(written(header, lines, encoding, delimiter), mapped("46labs")),
        "prefixes",
        "jurisdiction",
        "prices",
        "increments",
    )
    assert [
        (code, jurisdiction, price, increments)
        for code, inter, intra, other, increments in deck
        for jurisdiction, price in (("interstate", inter), ("intrastate", intra), ("indeterminate", other))
    ] == found


NPANXX = st.from_regex(r"[2-9][0-9]{2}[2-9][0-9]{2}", fullmatch=True)


@given(decks(NPANXX, PRICES, PRICES), st.booleans(), st.booleans(), st.sampled_from(["", "1"]))
def test_npanxx(deck: Deck, apart: bool, decimal_comma: bool, country: str) -> None:  # noqa: FBT001 (drawn)
    header = ("NPA", "NXX", "Inter", "Intra") if apart else ("NPANXX", "Inter", "Intra")
    priced = [(code, comma(a), comma(b)) if decimal_comma else (code, a, b) for code, a, b in deck]
    lines = [((country + c[:3], c[3:]) if apart else (country + c,)) + (a, b) for c, a, b in priced]
    dialect = mapped("npanxx", numbers__decimal="," if decimal_comma else ".")
    found = rows(
        read(written(header, lines, "utf-8", ";"), dialect, increments="6/6"), "prefixes", "jurisdiction", "prices"
    )
    assert [
        (f"1{code}", jurisdiction, price)
        for code, inter, intra in deck
        for jurisdiction, price in (("interstate", inter), ("intrastate", intra))
    ] == found


NETWORKS = st.tuples(st.integers(200, 799), st.sampled_from(["", "1", "01", "001", "410", "99"]))


@given(
    st.lists(st.tuples(NETWORKS, PRICES, FEES, NAMES), min_size=1, max_size=8, unique_by=lambda row: row[0]),
    st.booleans(),
)
def test_sms(deck: list[tuple[tuple[int, str], str, str, str]], together: bool) -> None:  # noqa: FBT001 (drawn)
    header = (
        ("MCCMNC", "Network", "Price", "Carrier Fee") if together else ("MCC", "MNC", "Network", "Price", "Carrier Fee")
    )
    lines = [
        ((f"{mcc}{mnc}",) if together else (str(mcc), mnc or "999")) + (name, price, fee)
        for (mcc, mnc), price, fee, name in deck
    ]
    found = rows(read(written(header, lines, "utf-8", ","), mapped("sms")), "mcc", "mnc", "element", "prices")
    assert [
        (str(mcc), mnc, element, value)
        for (mcc, mnc), price, fee, _ in deck
        for element, value in (("", price), ("carrier_fee", fee))
        if value
    ] == found


DOUBLES = st.integers(0, 10**6).map(lambda units: normal(Decimal(units).scaleb(-6)))


@given(decks(CODES, NAMES, DOUBLES), st.booleans())
def test_a_spreadsheet_that_holds_codes_and_prices_as_numbers(deck: Deck, titled: bool) -> None:  # noqa: FBT001 (drawn)
    lines = [(int(code), name, float(price)) for code, name, price in deck]
    held = workbook({"Rates": [*([("Our rates",)] if titled else []), ("Code", "Name", "Rate"), *lines]})
    grid, faults = open_spreadsheet(held, "deck.xlsx")
    assert [] == faults
    assert grid is not None
    dialect = mapped(
        {
            "product": "voice.outbound",
            "unit": "minute",
            "columns": {"prefixes": "Code", "destination": "Name"},
            "prices": [{"column": "Rate"}],
        }
    )
    reading = read(grid, dialect, increments="60/60")
    assert deck == rows(reading, "prefixes", "destination", "prices")
    assert [i + 2 + titled for i in range(len(deck))] == card(reading).rows["row"].to_pylist()
