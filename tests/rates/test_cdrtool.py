"""The CDRTool dialect against a second reading by the standard library."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from rates.cardfile import read_card, write_card
from rates.cards import Card, identity
from rates.dialects.cdrtool import Deck, File, are_swapped, read_cdrtool
from rates.errors import Fault
from tests.shop import products

ROOT = Path(__file__).parents[2]
DECK = ROOT.parent / "shared" / "data"

RATES = """\
Ops,Reseller,Rate,Destination,App,Connect,Duration,Conn In,Duration In
2,0,gold,3706,audio,0,999,,
2,0,gold,370,audio,500,12345,,
2,0,gold,1,audio,0,5,,
2,0,gold,99999,audio,0,0,,
2,0,gold,,sms,500,,,
"""
DESTINATIONS = """\
Ops,Reseller,Trusted peer,Domain,Subscriber,Destination,Region,Description,Incr,Min Dur,Max Dur,Max Price
2,0,,,,1,,USA,6,6,0,
2,0,,,,370,,LITHUANIA,60,60,0,
2,0,,,,3706,,LITHUANIA CELL,0,0,0,
2,0,,,,99999,,Block Route,1,30,0,
"""


def read(
    rates: str = RATES, destinations: str = DESTINATIONS, profile: str | None = None
) -> tuple[Card | None, list[Fault]]:
    card, faults, _ = deck(rates, destinations, profile)
    return card, faults


def deck(
    rates: str = RATES, destinations: str = DESTINATIONS, profile: str | None = None, product: str = "voice.outbound"
) -> Deck:
    return read_cdrtool(
        File("rates.csv", rates.encode()),
        File("destinations.csv", destinations.encode()),
        products=products(),
        card_id="deck",
        currency="EUR",
        effective_from=datetime(2026, 10, 1, tzinfo=UTC),
        product=product,
        profile=profile,
    )


def good(rates: str = RATES, destinations: str = DESTINATIONS, profile: str | None = None) -> Card:
    card, faults = read(rates, destinations, profile)
    assert [] == faults
    assert card is not None
    return card


def by_hand(rates: str, destinations: str) -> dict[str, tuple[str, Decimal, Decimal, str]]:
    """Prefix -> name, price a minute, fee, increments; CDRTool's 0 seconds are 1."""
    plan = {row["Destination"]: row for row in csv.DictReader(io.StringIO(destinations))}
    found = {}
    for row in csv.DictReader(io.StringIO(rates)):
        if row["App"] == "audio":
            destination = plan[row["Destination"]]
            increment = int(destination["Incr"]) or 1
            first = max(int(destination["Min Dur"]), increment)
            price, fee = Decimal(row["Duration"]) / 10_000, Decimal(row["Connect"]) / 10_000
            found[row["Destination"]] = (destination["Description"], price, fee, f"{first}/{increment}")
    return found


def by_us(card: Card) -> dict[str, tuple[str, Decimal, Decimal, str]]:
    found = {}
    for row in card.rows.to_pylist():
        assert ("voice.outbound", "minute") == (row["product"], row["unit"])
        fee = Decimal(row.get("setup_fee") or 0)
        found[row["prefixes"]] = (row["destination"], Decimal(row["prices"]), fee, row["increments"])
    return found


def test_a_deck_gives_every_prefix_its_price_its_fee_and_its_increments() -> None:
    assert {
        "3706": ("LITHUANIA CELL", Decimal("0.0999"), Decimal(0), "1/1"),
        "370": ("LITHUANIA", Decimal("1.2345"), Decimal("0.05"), "60/60"),
        "1": ("USA", Decimal("0.0005"), Decimal(0), "6/6"),
        "99999": ("Block Route", Decimal(0), Decimal(0), "30/1"),
    } == by_us(good())


def test_a_deck_is_read_as_the_standard_library_reads_it() -> None:
    assert by_hand(RATES, DESTINATIONS) == by_us(good())


@pytest.mark.skipif(not DECK.is_dir(), reason="the real deck is not beside the project")
def test_the_real_deck_is_read_as_the_standard_library_reads_it() -> None:
    rates, destinations = ((DECK / f"cdrtool_{name}.csv").read_text() for name in ("rates", "destinations"))
    card = good(rates, destinations)
    expected = by_hand(rates, destinations)
    assert 13_126 == len(expected) == card.rows.num_rows
    assert expected == by_us(card)
    toml, rows = write_card(card)
    again, faults = read_card(toml, {"rates.csv": rows}, products())
    assert [] == faults
    assert again is not None
    assert identity(card) == identity(again)


SMS = "other prices belong on a card of their own"


@pytest.mark.parametrize(
    ("rates", "profile", "told"),
    [
        (RATES, None, [f'rates.csv:6 App "sms": 1 row of this application is left out; only audio is read: {SMS}']),
        (
            RATES + "2,0,gold,3,sms,500,,,\n2,0,gold,,fax,500,,,\n",
            None,
            [
                f'rates.csv:8 App "fax": 1 row of this application is left out; only audio is read: {SMS}',
                f'rates.csv:6 App "sms": 2 rows of this application are left out; only audio is read: {SMS}',
            ],
        ),
        (
            RATES.replace("2,0,gold,,sms,500,,,\n", "2,0,silver,1,audio,0,50,,\n"),
            "gold",
            ['rates.csv:6 Rate "silver": 1 row of this rate profile is left out; import each profile as its own card'],
        ),
        (RATES.replace("2,0,gold,,sms,500,,,\n", ""), None, []),
    ],
)
def test_what_a_deck_has_and_the_card_has_not_is_told(rates: str, profile: str | None, told: list[str]) -> None:
    read = deck(rates, profile=profile)
    assert told == [str(each) for each in read.left_out]
    assert read.card is not None
    assert 4 == read.card.rows.num_rows


@pytest.mark.parametrize("product", ["nope", "sms.outbound", "recording.minutes"])
def test_a_product_that_no_deck_of_calls_prices_is_one_fault_that_names_those_it_does(product: str) -> None:
    (fault,) = deck(product=product).faults
    trunks, voices = (("origination", "secure", "termination"), ("client", "inbound", "outbound", "sip"))
    known = ", ".join([*(f"trunk.{name}" for name in trunks), *(f"voice.{name}" for name in voices)])
    assert f'"{product}": is not a product of calls that are counted in seconds; use one of {known}' == str(fault)


def test_files_in_the_wrong_order_are_known_by_their_headers() -> None:
    rates, destinations = RATES.encode(), DESTINATIONS.encode()
    assert are_swapped(destinations, rates)
    assert are_swapped(b"\xef\xbb\xbf" + destinations, rates)
    assert not are_swapped(rates, destinations)
    assert not are_swapped(rates, rates)
    assert not are_swapped(destinations, destinations)
    assert not are_swapped(b"\xff\xfe\x00", b"")


def test_the_lines_of_a_card_are_those_of_the_file_of_rates() -> None:
    assert [2, 3, 4, 5] == good().rows["row"].to_pylist()


def test_of_several_profiles_one_has_to_be_named() -> None:
    other = RATES + "2,0,silver,1,audio,0,50,,\n"
    _, faults = read(other)
    assert ["rates.csv Rate: holds several rate profiles; name one of gold, silver"] == [str(f) for f in faults]
    assert by_us(good()) == by_us(good(other, profile="gold"))
    _, faults = read(profile="lead")
    assert ['rates.csv Rate "lead": is not a rate profile of this file; name one of gold'] == [str(f) for f in faults]


@pytest.mark.parametrize(
    ("rates", "destinations", "fault"),
    [
        ("2,0,gold,44,audio,0,9,,\n", "", 'rates.csv:7 Destination "44": has no row among the destinations'),
        ("", "2,0,,,,44,,UK,0,0,0,\n", 'destinations.csv:6 Destination "44": has no rate'),
        ("", "2,0,,,,1,,USA,0,0,0,\n", 'destinations.csv:6 Destination "1": is listed twice'),
        ("2,0,gold,1,audio,0,9,,\n", "", 'rates.csv:7 prefixes "1": matches the same usage'),
        ("3,0,gold,1,audio,0,9,,\n", "", 'rates.csv:7 Ops "3": deletes a row'),
        ("2,0,gold,1,audio,0,9,7,\n", "", 'rates.csv:7 Conn In "7": is not rated by this version'),
        ("2,0,gold,7,audio,0,9x,,\n", "2,0,,,,7,,R,0,0,0,\n", 'rates.csv:7 Duration "9x": is not a plain number'),
        ("2,0,gold,7,audio,0,,,\n", "2,0,,,,7,,R,0,0,0,\n", "rates.csv:7 price: is missing"),
        ("2,0,gold,7,audio,0,9,,\n", "2,0,,,,7,,R,6,20,0,\n", 'Incr "6/20": is no whole part of the minimum'),
        ("2,0,gold,7,audio,0,9,,\n", "2,0,,a.example,,7,,R,0,0,0,\n", 'destinations.csv:6 Domain "a.example": is not'),
        ("2,0,gold,7,audio,0,9,,\n", "2,0,,,,7,,R,0,0,0,99\n", 'destinations.csv:6 Max Price "99": is not rated'),
    ],
)
def test_what_no_card_can_say_is_a_fault(rates: str, destinations: str, fault: str) -> None:
    card, faults = read(RATES + rates, DESTINATIONS + destinations)
    assert None is card
    assert fault in "\n".join(map(str, faults))


def test_a_minimum_longer_than_the_increment_is_the_first_interval() -> None:
    longer = DESTINATIONS.replace(",USA,6,6,", ",USA,6,30,").replace("LITHUANIA,60,60", "LITHUANIA,60,30")
    found = by_us(good(destinations=longer))
    assert ("30/6", "60/60") == (found["1"][3], found["370"][3])
