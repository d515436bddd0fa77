"""Cards beside each other on the command line."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import CALL, CARD, Tollbook

NEW = CARD.replace("2026-10-01", "2026-12-01").replace('"0.02"', '"0.03"')
NEWER = NEW.replace('"0.03"', '"0.09"')
DECK = 'Destination Prefixes,Origination Prefixes,Description,Price / min\n"44,447",,UK,{}\n'


@pytest.fixture
def old_and_new(tmp_path: Path) -> tuple[Path, Path]:
    for name, text in (("old.toml", CARD), ("new.toml", NEW), ("newer.toml", NEWER)):
        (tmp_path / name).write_text(text)
    return tmp_path / "old.toml", tmp_path / "new.toml"


def test_a_comparison_counts_first_and_lists_what_changed(old_and_new: tuple[Path, Path], tollbook: Tollbook) -> None:
    ran = tollbook("cards", "diff", *old_and_new)
    assert 0 == ran.code
    assert ran.out.index("unchanged") < ran.out.index("United Kingdom")
    found = json.loads(tollbook("cards", "diff", *old_and_new, "--format", "json").out)
    assert {"codes": 1, "destinations": 1} == found["summary"]["increase"]
    (row,) = found["changes"]
    assert ("0.02", "0.03", "50", "2026-12-01T00:00:00Z") == tuple(
        row[key] for key in ("old_price", "new_price", "percent", "effective_from")
    )
    (line,) = csv.DictReader(io.StringIO(tollbook("cards", "diff", *old_and_new, "--format", "csv").out))
    assert ("increase", "44") == (line["change"], line["code"])


def test_an_increase_within_the_notice_period_needs_a_person(
    old_and_new: tuple[Path, Path], tollbook: Tollbook
) -> None:
    ran = tollbook("cards", "diff", *old_and_new, "--at", "2026-11-30")
    assert 4 == ran.code
    assert "warning: United Kingdom 44: increase too soon, from 2026-12-01T00:00:00Z (less than 7 days)" in ran.err
    assert 0 == tollbook("cards", "diff", *old_and_new, "--at", "2026-11-30", "--notice-days", "1").code


def test_prices_that_jump_are_refused_unless_they_are_accepted(
    old_and_new: tuple[Path, Path], tollbook: Tollbook
) -> None:
    old, newer = old_and_new[0], old_and_new[1].with_name("newer.toml")
    ran = tollbook("cards", "diff", old, newer)
    assert 5 == ran.code
    assert "increase" in ran.out
    assert "the price is 0.09, was 0.02" in ran.err
    assert 0 == tollbook("cards", "diff", old, newer, "--accept").code
    assert 0 == tollbook("cards", "diff", old, newer, "--jump-bound", "5").code


def test_decks_are_compared_as_they_came(tmp_path: Path, tollbook: Tollbook) -> None:
    for name, price in (("old.csv", "0.02"), ("new.csv", "0.01")):
        (tmp_path / name).write_text(DECK.format(price))
    told = ("--dialect", "twilio", "--id", "tw", "--currency", "USD", "--from", "2026-12-01", "--by", "code")
    ran = tollbook("cards", "diff", tmp_path / "old.csv", tmp_path / "new.csv", *told, "--format", "json")
    assert 0 == ran.code
    assert [("decrease", "44"), ("decrease", "447")] == [
        (row["change"], row["code"]) for row in json.loads(ran.out)["changes"]
    ]


@pytest.mark.usefixtures("books")
def test_a_published_card_is_compared_by_its_id_or_one_version_of_it(
    old_and_new: tuple[Path, Path], tollbook: Tollbook
) -> None:
    _, new = old_and_new
    assert 0 == tollbook("cards", "diff", "list", new).code
    assert 0 == tollbook("cards", "diff", "list@2026-10-01", new).code
    ran = tollbook("cards", "diff", "list@2026-10-02", new)
    assert 1 == ran.code
    assert "is neither a file nor a published card" in ran.err


def test_a_card_is_checked_against_the_ones_below_it(old_and_new: tuple[Path, Path], tollbook: Tollbook) -> None:
    special = old_and_new[0].with_name("special.toml")
    rows = CARD.replace('["44"]', '["447"]').replace('id = "list"', 'id = "special"').replace('"0.02"', '"0.01"')
    special.write_text(rows + rows[rows.index("[[rate]]") :].replace('"447"', '"44791"').replace('"0.01"', '"0.05"'))
    ran = tollbook("cards", "check", special, "--against", old_and_new[0], "--format", "json")
    assert 0 == ran.code
    assert [
        ("44791", "447", "special@2026-10-01T00:00:00Z", "increase", "400"),
        ("447", "44", "list@2026-10-01T00:00:00Z", "decrease", "-50"),
        ("44791", "44", "list@2026-10-01T00:00:00Z", "increase", "150"),
    ] == [tuple(row[key] for key in ("code", "over_code", "over", "change", "percent")) for row in json.loads(ran.out)]
    assert "3 shadows: 2 increase, 1 decrease." in ran.err
    assert "code below" in tollbook("cards", "check", special, "--against", old_and_new[0]).out


BUY = (
    CARD.replace('id = "list"', 'id = "carrier"').replace('"0.02"', '"0.015"')
    + """
[[rate]]
product = "voice.outbound"
destination = "UK Mobile"
prefixes = ["447"]
unit = "minute"
increments = "60/60"
price = "0.05"
"""
)


def test_rows_with_a_loss_are_found_by_the_lists(old_and_new: tuple[Path, Path], tollbook: Tollbook) -> None:
    sell, buy = old_and_new[0], old_and_new[0].with_name("buy.toml")
    buy.write_text(BUY)
    ran = tollbook("cards", "margin", buy, sell, "--format", "json", "--at", "2026-10-05")
    assert 4 == ran.code
    (row,) = json.loads(ran.out)
    assert ("United Kingdom", "UK Mobile", "+447", "180", "-0.09") == tuple(
        str(row[key]) for key in ("destination", "buy_destination", "number", "seconds", "margin")
    )
    assert "1 row sold: 1 with a loss, 0 that nothing is bought for." in ran.err
    buy.write_text(BUY.replace('"0.05"', '"0.01"'))
    assert 0 == tollbook("cards", "margin", buy, sell).code
    assert 2 == tollbook("cards", "margin", buy, sell, "--seconds", "x").code
    assert 2 == tollbook("cards", "margin", buy, sell, "--account", "acme").code


def test_calls_with_a_loss_are_found_in_what_is_stored(books: Path, tollbook: Tollbook) -> None:
    buy, calls = books / "buy.toml", books / "calls.ndjson"
    buy.write_text(BUY)
    calls.write_text(
        "\n".join(
            json.dumps(json.loads(CALL) | {"id": name, "to": number})
            for name, number in (("c1", "+442079460000"), ("c2", "+447700900123"), ("c3", "+447700900124"))
        )
    )
    assert 0 == tollbook("usage", "import", calls, "--source", "switch").code
    asked = ("cards", "margin", buy, "list", "--period", "2026-10", "--format", "json")
    ran = tollbook(*asked)
    assert 4 == ran.code
    (row,) = json.loads(ran.out)
    assert ("UK Mobile", 2, 2, "0.08", "0.2", "-0.12") == tuple(
        row[key] for key in ("buy_destination", "events", "negative_events", "revenue", "cost", "margin")
    )
    assert "3 events: 2 with a loss, 0 that nothing is bought for; margin -0.11." in ran.err
    by_call = json.loads(tollbook(*asked, "--by", "call", "--account", "acme").out)
    assert [("acme-sales", "switch", "c2", "-0.06"), ("acme-sales", "switch", "c3", "-0.06")] == sorted(
        (row["account"], row["source"], row["id"], row["margin"]) for row in by_call
    )
    by_destination = json.loads(tollbook(*asked, "--by", "destination").out)
    assert [("United Kingdom", 3, 2, 183, "0.12", "0.23", "-0.11", 0)] == [
        tuple(row.values()) for row in by_destination
    ]
    assert [] == json.loads(tollbook(*asked, "--account", "nobody").out)
    assert 2 == json.loads(tollbook(*asked, "--all").out)[0]["events"]


def test_other_increments_are_counted_and_refused_as_a_price_that_jumps(
    old_and_new: tuple[Path, Path], tollbook: Tollbook
) -> None:
    old, new = old_and_new
    new.write_text(CARD.replace("2026-10-01", "2026-12-01").replace('"60/60"', '"600/600"'))
    ran = tollbook("cards", "diff", old, new, "--format", "json")
    assert 5 == ran.code
    assert {"codes": 1, "destinations": 1} == json.loads(ran.out)["summary"]["other terms"]
    assert "usage of 6 seconds costs 0.2, cost 0.02 before: increments 600/600, was 60/60" in ran.err
    assert 0 == tollbook("cards", "diff", old, new, "--accept").code
