"""Rows of a deck in time: a card begins at an instant, and decks tell what held before and what comes after."""

from datetime import UTC, datetime

from tests.decks import card, faults, mapped, read, rows

MAPPING = """
product = "voice.outbound"
unit = "minute"
increments = "60/60"
dates = "M/D/YYYY"
[columns]
prefixes = "Code"
effective_from = "From"
[[prices]]
column = "Rate"
"""
DATED = ("prefixes", "prices", "effective_from", "effective_to")


def test_a_rate_that_holds_already_begins_with_the_card() -> None:
    deck = "Code,Rate,From\n44,0.1,8/16/2022\n45,0.1,10/1/2026\n46,0.1,\n"
    assert [("44", "0.1", "", ""), ("45", "0.1", "", ""), ("46", "0.1", "", "")] == rows(
        read(deck, mapped(MAPPING)), *DATED
    )


def test_a_rate_that_begins_later_waits_and_ends_the_one_before_it() -> None:
    deck = "Code,Rate,From\n44,0.2,11/1/2026\n44,0.1,8/16/2022\n44,0.3,12/1/2026\n45,0.1,11/1/2026\n"
    assert [
        ("44", "0.2", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("44", "0.1", "", "2026-11-01T00:00:00Z"),
        ("44", "0.3", "2026-12-01T00:00:00Z", ""),
        ("45", "0.1", "2026-11-01T00:00:00Z", ""),
    ] == rows(read(deck, mapped(MAPPING)), *DATED)


def test_a_rate_that_was_replaced_before_the_card_begins_is_left_out_and_counted() -> None:
    reading = read("Code,Rate,From\n44,0.2,9/1/2026\n44,0.1,8/16/2022\n", mapped(MAPPING))
    assert [("44", "0.2", "", "")] == rows(reading, *DATED)
    assert "1 row replaced before the card begins: left out" in reading.notes


def test_a_rate_that_ended_before_the_card_begins_is_left_out_and_counted() -> None:
    mapping = MAPPING.replace("[columns]\n", '[columns]\neffective_to = {column = "To", inclusive = true}\n')
    deck = "Code,Rate,From,To\n44,0.1,,9/30/2026\n45,0.1,,10/1/2026\n46,0.1,,\n"
    reading = read(deck, mapped(mapping))
    assert [("45", "0.1", "", "2026-10-02T00:00:00Z"), ("46", "0.1", "", "")] == rows(reading, *DATED)
    assert "1 row ended before the card begins: left out" in reading.notes


def test_two_rates_of_one_code_from_one_day_are_a_fault() -> None:
    for day in ("8/16/2022", "11/1/2026"):
        found = faults(read(f"Code,Rate,From\n44,0.1,{day}\n44,0.2,{day}\n", mapped(MAPPING)))
        assert "matches the same usage at the same time as deck.csv:2" in found[0]


def test_rates_by_jurisdiction_follow_each_other_each_in_its_own() -> None:
    dated = "1201555,6,6,0.01,0.02,8/16/2022\n1201555,6,6,0.03,0.04,11/1/2026\n"
    deck = f"code,duration,increment,interrate,intrarate,effective_date\n{dated}"
    assert [
        ("interstate", "0.01", "", "2026-11-01T00:00:00Z"),
        ("intrastate", "0.02", "", "2026-11-01T00:00:00Z"),
        ("interstate", "0.03", "2026-11-01T00:00:00Z", ""),
        ("intrastate", "0.04", "2026-11-01T00:00:00Z", ""),
    ] == rows(read(deck, mapped("46labs")), "jurisdiction", "prices", "effective_from", "effective_to")


def test_days_begin_where_the_deck_says() -> None:
    mapping = mapped('timezone = "America/New_York"\n' + MAPPING)
    begins = datetime(2026, 10, 1, 4, tzinfo=UTC)
    found = card(read("Code,Rate,From\n44,0.1,10/1/2026\n45,0.1,10/2/2026\n", mapping, begins=begins)).rows
    assert ["", "2026-10-02T04:00:00Z"] == found["effective_from"].to_pylist()
