"""Bodies of Twilio's pricing API: every price against a second reading of the JSON, and the faults with their paths."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rates.cards import Card
from rates.dialects.decks import Reading, Told
from rates.dialects.twilio_pricing import Settings, read_twilio_pricing
from rates.quotes import quote
from tests.decks import BEGINS, PRODUCTS, ROOT

DATA = ROOT.parent / "shared" / "data"
REAL = DATA / "twilio_pricing_voice_country_EE.json"
REAL_MESSAGES = DATA / "twilio_pricing_messaging_country_EE.json"
beside = pytest.mark.skipif(not DATA.is_dir(), reason="the real bodies are not beside the project")

EEA = ["33", "372", "49"]
MOBILE = ["37250", "372530", "37251"]


def voice() -> dict[str, Any]:
    """The same prefixes twice, for any origin and for some; one longer, cheaper than its parent."""
    return {
        "url": "https://example.org/v2/Voice/Countries/EE",
        "country": "Estonia",
        "iso_country": "EE",
        "price_unit": "USD",
        "outbound_prefix_prices": [
            outbound("0.465", ["37253101220", "37240"], ["ALL"], "Estonia - Other"),
            outbound("0.4783", MOBILE, ["ALL"], "Estonia - Mobile"),
            outbound("0.033", ["372"], ["ALL"], "Estonia"),
            outbound("0.0575", MOBILE, EEA, "Estonia - Mobile - from EEA"),
        ],
        "inbound_call_prices": [{"base_price": "0.010", "current_price": "0.008", "number_type": "toll free"}],
    }


def messaging() -> dict[str, Any]:
    return {
        "country": "Estonia",
        "iso_country": "EE",
        "price_unit": "USD",
        "outbound_sms_prices": [
            {"mcc": "248", "mnc": "1", "carrier": "EMT", "prices": [typed("mobile", "0.104"), typed("local", "0.105")]},
            {"mcc": "248", "mnc": "999", "carrier": "Other", "prices": [typed("mobile", "0.02383")]},
        ],
        "inbound_sms_prices": [typed("mobile", "0.0075")],
    }


def outbound(price: str, to: list[str], origins: list[str], name: str) -> dict[str, Any]:
    return {
        "base_price": price,
        "current_price": price,
        "destination_prefixes": list(to),
        "origination_prefixes": list(origins),
        "friendly_name": f"Programmable Outbound Minute - {name}",
    }


def typed(kind: str, price: str) -> dict[str, Any]:
    return {"number_type": kind, "base_price": price, "current_price": price}


def read(*bodies: object, increments: str = "", currency: str = "", **settings: str) -> Reading:
    told = Told(card_id="tw", effective_from=BEGINS, currency=currency, increments=increments)
    found, faults = Settings.told({key.replace("__", "."): value for key, value in settings.items()})
    assert found is not None, faults
    files = [
        (f"{i}.json", body if isinstance(body, bytes) else json.dumps(body).encode()) for i, body in enumerate(bodies)
    ]
    return read_twilio_pricing(files, told, PRODUCTS, found)[0]


def card(*bodies: object, **told: str) -> Card:
    reading = read(*bodies, **told)
    assert [] == [str(fault) for fault in reading.faults]
    assert reading.card is not None
    return reading.card


def by_hand(body: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Product, destination prefix, origin prefix, mcc, mnc, number type, country, price: one after the other."""
    for entry in body.get("outbound_prefix_prices", []):
        for prefix in entry["destination_prefixes"]:
            for origin in entry["origination_prefixes"]:
                yield "voice.outbound", prefix, origin.replace("ALL", ""), "", "", "", "", entry["current_price"]
    for entry in body.get("outbound_sms_prices", []):
        for price in entry["prices"]:
            mnc = entry["mnc"] if entry["mnc"] != "999" else ""
            yield "sms.outbound", "", "", entry["mcc"], mnc, price["number_type"], "", price["current_price"]
    for key, product in (("inbound_call_prices", "voice.inbound"), ("inbound_sms_prices", "sms.inbound")):
        for price in body.get(key, []):
            kind = price["number_type"].replace(" ", "_")
            yield product, "", "", "", "", kind, body["iso_country"], price["current_price"]


def by_us(read_card: Card) -> Iterator[tuple[str, ...]]:
    for row in read_card.rows.to_pylist():
        cells = {key: value or "" for key, value in row.items()}
        for prefix in cells.get("prefixes", "").split() or [""]:
            for origin in cells.get("origin_prefixes", "").split() or [""]:
                rest = (cells.get(key, "") for key in ("mcc", "mnc", "number_type", "country", "prices"))
                yield cells["product"], prefix, origin, *rest


def exact(rows: Iterator[tuple[str, ...]]) -> list[tuple[object, ...]]:
    return sorted((*row[:-1], Decimal(row[-1])) for row in rows)


def price(read_card: Card, number: str, caller: str) -> list[str]:
    (found,) = quote(
        read_card, PRODUCTS, [number], product="voice.outbound", at=BEGINS, measured=61, caller=caller, dimensions={}
    )
    assert "60/60" == found.increments
    return list(found.prices)


def test_the_same_prefixes_cost_another_price_from_some_origins() -> None:
    made = card(voice())
    assert ["0.4783"] == price(made, "+37250123456", "+14155550123")
    assert ["0.0575"] == price(made, "+37250123456", "+4930123456")
    assert ["0.465"] == price(made, "+37253101220", "+4930123456")
    assert ["0.4783"] == price(made, "+37250123456", "")


@beside
def test_the_real_body_gives_the_prices_that_twilio_publishes() -> None:
    made = card(json.loads(REAL.read_bytes()))
    assert ["0.4783"] == price(made, "+37250123456", "+14155550123")
    assert ["0.0575"] == price(made, "+37250123456", "+4930123456")
    assert ["0.465"] == price(made, "+37253101220", "+4930123456")


@pytest.mark.parametrize("body", [voice(), messaging()], ids=["voice", "messaging"])
def test_every_price_is_read_as_a_second_reading_reads_it(body: dict[str, Any]) -> None:
    assert exact(by_hand(body)) == exact(by_us(card(body)))


@beside
@pytest.mark.parametrize(("path", "prices"), [(REAL, 418 + 155 + 1 + 155 * 31 + 2), (REAL_MESSAGES, 9)])
def test_every_price_of_the_real_bodies_is_read_as_a_second_reading_reads_it(path: Path, prices: int) -> None:
    body = json.loads(path.read_bytes())
    expected = exact(by_hand(body))
    assert prices == len(expected)
    assert expected == exact(by_us(card(body)))


def test_a_message_to_another_network_costs_what_999_says_and_without_a_network_nothing_is_guessed() -> None:
    made = card(messaging())
    asked = {"mnc": "1"}, {"mnc": "77"}, {"mnc": "1", "number_type": "local"}, {"mcc": ""}
    found = [
        quote(
            made, PRODUCTS, ["+3725123456"], product="sms.outbound", at=BEGINS, measured=1,
            dimensions={"mcc": "248", "number_type": "mobile"} | one,
        )[0]
        for one in asked
    ]  # fmt: skip
    assert [("0.104",), ("0.02383",), ("0.105",), ()] == [one.prices for one in found]
    assert "no_rate" == found[-1].reason


def test_network_codes_without_zeros_are_said_and_are_filled_where_that_is_told() -> None:
    assert any("mnc without leading zeros: 1." in note for note in read(messaging()).notes)
    filled = read(messaging(), mnc__pad="2")
    assert filled.card is not None
    assert ["01", "01", "", ""] == [row.get("mnc", "") for row in filled.card.rows.to_pylist()]
    assert not filled.notes


def test_what_is_received_is_priced_by_the_country_and_the_type_of_the_number() -> None:
    made = card(voice())
    (found,) = quote(
        made, PRODUCTS, ["+37280012345"], product="voice.inbound", at=BEGINS, measured=61,
        dimensions={"number_type": "toll_free"},
    )  # fmt: skip
    assert (("0.008",), "Estonia") == (found.prices, found.destination)


def test_the_price_that_is_charged_is_read_and_the_list_price_where_that_is_told() -> None:
    reading = read(voice())
    assert any("1 prices are not the base_price: current_price is read" in note for note in reading.notes)
    assert "0.01" == card(voice(), price="base_price").rows["prices"].to_pylist()[-1]


def test_bodies_of_several_countries_and_services_make_one_card() -> None:
    latvia = {**voice(), "iso_country": "LV", "outbound_prefix_prices": [outbound("0.1", ["371"], ["ALL"], "Latvia")]}
    made = card(voice(), latvia, messaging())
    assert 5 + 2 + 4 == made.rows.num_rows
    assert "USD" == made.currency


def test_increments_are_whole_minutes_unless_they_are_told() -> None:
    assert {"60/60"} == set(card(voice()).rows["increments"].to_pylist())
    assert {"1/1"} == set(card(voice(), increments="1/1").rows["increments"].to_pylist())


def test_prices_of_calls_that_come_in_over_trunks_are_those_of_their_product() -> None:
    body = {**voice(), "originating_call_prices": [typed("local", "0.003")]}
    rows = card(body, increments="60/60").rows.to_pylist()
    assert ["0.003"] == [row["prices"] for row in rows if row["product"] == "trunk.origination"]


def test_a_product_that_is_not_known_here_is_left_out_and_said() -> None:
    body = {**voice(), "originating_call_prices": [typed("local", "0.003")]}
    told = Told(card_id="tw", effective_from=BEGINS, currency="", increments="")
    fewer = {name: product for name, product in PRODUCTS.items() if name != "trunk.origination"}
    plain, _ = Settings.told({})
    assert plain is not None
    reading, _ = read_twilio_pricing([("0.json", json.dumps(body).encode())], told, fewer, plain)
    assert reading.card is not None
    assert (
        "0.json: originating_call_prices: 1 prices left out: trunk.origination is not a product here" in reading.notes
    )


def changed(body: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A body with another value somewhere; "-" takes the key away."""
    *above, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    place: Any = body
    for part in above:
        place = place[part]
    if value == "-":
        del place[last]
    else:
        place[last] = value
    return body


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (
            "outbound_prefix_prices.0.current_price",
            "0,465",
            '0.json: outbound_prefix_prices[0].current_price "0,465": ',
        ),
        ("outbound_prefix_prices.1.current_price", "-", "0.json: outbound_prefix_prices[1].current_price: is missing"),
        ("outbound_prefix_prices.1.current_price", None, "0.json: outbound_prefix_prices[1].current_price: is missing"),
        ("outbound_prefix_prices.1.destination_prefixes.2", "+37251", 'destination_prefixes[2] "+37251": '),
        ("outbound_prefix_prices.1.destination_prefixes.2", "37250", "stands in 0.json: outbound_prefix_prices[1]"),
        ("outbound_prefix_prices.1.destination_prefixes", [], "destination_prefixes: has no prefixes"),
        ("outbound_prefix_prices.1.destination_prefixes", "37251", 'destination_prefixes "37251": is not a list'),
        ("outbound_prefix_prices.3.origination_prefixes", ["ALL", "49"], 'origination_prefixes "ALL": stands beside'),
        (
            "outbound_prefix_prices.3.origination_prefixes",
            ["ALL"],
            "matches the same usage at the same time as 0.json: ",
        ),
        ("outbound_prefix_prices.2", "372", '0.json: outbound_prefix_prices[2] "372": is not an object'),
        ("iso_country", "EST", '0.json: iso_country "EST": is not an ISO 3166-1 country'),
        ("price_unit", "EUR", '0.json: price_unit "EUR": is another currency than USD'),
        ("inbound_call_prices.0.number_type", "-", "0.json: inbound_call_prices[0].number_type: is missing"),
    ],
)
def test_a_fault_is_named_with_its_path_in_the_body(path: str, value: object, said: str) -> None:
    reading = read(changed(voice(), path, value), currency="USD")
    assert reading.card is None
    assert any(said in str(fault) for fault in reading.faults), reading.faults


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0.json:1: is not JSON"),
        (b'{"iso_country": "EE",\n', "0.json:2: is not JSON"),
        (b"[]", "0.json: is not an object"),
        (b"{}", "0.json: is not a body of prices"),
        (b'{"price_unit": "USD", "price_unit": "EUR"}', '0.json "price_unit": stands twice'),
        (b'{"country": "\xff"}', "0.json:1: is not UTF-8: byte 0xff"),
        (b'{"outbound_sms_prices": []}', "0.json: has no prices"),
        (b"[" * 100_000, "0.json: is nested too deep"),
    ],
)
def test_a_file_that_is_no_body_is_refused(data: bytes, said: str) -> None:
    reading = read(data, currency="USD")
    assert reading.card is None
    assert any(said in str(fault) for fault in reading.faults), reading.faults


def test_prices_written_as_numbers_lose_nothing() -> None:
    body = json.dumps(messaging()).replace('"0.02383"', "0.02383").encode()
    assert exact(by_hand(messaging())) == exact(by_us(card(body)))
