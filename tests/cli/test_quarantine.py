"""What waits, as finance sees it: which row, account or month is missing, and what releases it."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cli.countries import COUNTRY_NAMES
from rates.numbering import ASSIGNED
from tests.cli.conftest import CARD, Tollbook, with_changes

LINES = [
    *(with_changes(id=f"j{n}", to=f"+8131234567{n}", account=account) for n, account in enumerate(["acme"] * 3)),
    with_changes(id="j3", to="+81312345679", account="acme-sales", occurred_at="2026-11-02T00:00:00Z"),
    with_changes(id="t1", to="+18005550123"),
    with_changes(id="t2", to="+883510012345"),
    with_changes(id="t3", to="112", account="acme"),
    with_changes(id="t4", to="0044207946"),
    with_changes(id="u1", account="closed-account"),
    with_changes(id="u2", product="fax.outbound"),
    with_changes(id="u3", occurred_at="2025-01-02T00:00:00Z"),
    with_changes(id="m1", product="sms.outbound", segments="1", duration_seconds=None, mcc="440", mnc="10", to="+81"),
]


@pytest.fixture
def waiting(books: Path, tollbook: Tollbook) -> Path:
    """Usage that waits for one thing each, of all kinds."""
    (books / "odd.ndjson").write_text("\n".join(LINES) + "\n")
    assert 4 == tollbook("usage", "import", books / "odd.ndjson", "--source", "switch-1").code
    return books


def rows(tollbook: Tollbook, *options: str) -> list[dict[str, Any]]:
    ran = tollbook("usage", "quarantine", "--format", "json", *options)
    found = json.loads(ran.out)
    assert ran.code == (4 if found else 0)
    assert isinstance(found, list)
    return found


def cells(line: str) -> Sequence[str]:
    """The cells of a line of a table, which are two spaces apart at least."""
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


@pytest.mark.usefixtures("waiting")
def test_each_row_says_what_is_missing_and_how_much_waits_for_it(tollbook: Tollbook) -> None:
    found = {(each["reason"], each["missing"]): each["events"] for each in rows(tollbook)}
    assert {
        ("unknown_account", "closed-account"): 1,
        ("unknown_product", "fax.outbound"): 1,
        ("too_old", "2025-01"): 1,
        ("no_rate", "Japan, +81"): 4,
        ("no_rate", "+1 800"): 1,
        ("no_rate", "+883"): 1,
        ("no_rate", "short code 112"): 1,
        ("no_rate", "no number with +"): 1,
        ("no_rate", "mcc 440, mnc 10"): 1,
    } == found


@pytest.mark.usefixtures("waiting")
def test_programs_get_every_fact_as_a_field(tollbook: Tollbook) -> None:
    (japan,) = [each for each in rows(tollbook) if each["country"] == "JP"]
    assert {
        "reason": "no_rate",
        "product": "voice.outbound",
        "missing": "Japan, +81",
        "events": 4,
        "accounts": 2,
        "named": ["acme", "acme-sales"],
        "first_at": "2026-10-02T10:11:12Z",
        "last_at": "2026-11-02T00:00:00Z",
        "example": "switch-1/j0",
        "remedy": "publish a card with a rate for it",
        "command": "tollbook cards import CARD",
        "account": "",
        "month": "",
        "country": "JP",
        "calling_code": "81",
        "address": "",
        "mcc": "",
        "mnc": "",
        "dimensions": [],
    } == japan
    table = list(csv.DictReader(io.StringIO(tollbook("usage", "quarantine", "--format", "csv").out)))
    assert list(japan) == list(table[0])
    facts = {each["missing"].lstrip("'"): each for each in table}
    assert ("440", "10", "1") == tuple(facts["mcc 440, mnc 10"][key] for key in ("mcc", "mnc", "events"))
    assert ("1800", "acme-sales") == (facts["+1 800"]["calling_code"], facts["+1 800"]["named"])


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize("columns", [80, 100, 120])
def test_a_table_for_each_reason_fits_a_terminal(
    columns: int, tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = tollbook("usage", "quarantine").out.splitlines()
    assert max(map(len, lines)) <= columns
    headings = [cells(line) for line in lines if "events" in line]
    assert ["product", "account", "events", "first", "last"] == headings[0][:5]
    assert ["product", "events", "accounts", "first"] == headings[1][:4]  # an unknown product is named once
    assert {"what is missing", "month", "account"} <= {heading for line in headings for heading in line}
    (japan,) = [cells(line) for line in lines if "Japan" in line]
    assert ["voice.outbound", "Japan, +81", "4"] == japan[:3]
    assert ("acme, acme-sales" in japan, "switch-1/j0" in japan) == (columns >= 100, columns >= 100)


@pytest.mark.usefixtures("waiting")
def test_above_a_table_stands_what_releases_all_of_it(tollbook: Tollbook) -> None:
    out = tollbook("usage", "quarantine").out
    assert "no_rate: publish a card with a rate for it (tollbook cards import CARD)" in out.splitlines()
    assert "unknown_account: add the account (tollbook accounts add FILE)" in out.splitlines()


def test_of_more_than_two_accounts_a_person_is_told_how_many(books: Path, tollbook: Tollbook) -> None:
    names = ["one", "two", "three"]
    (books / "n.toml").write_text("".join(f'[[account]]\nid = "{each}"\nparent = "acme"\n' for each in names))
    assert 0 == tollbook("accounts", "add", books / "n.toml").code
    (books / "n.ndjson").write_text("\n".join(with_changes(id=each, account=each, to="+81312345678") for each in names))
    assert 4 == tollbook("usage", "import", books / "n.ndjson", "--source", "s").code
    (found,) = rows(tollbook)
    assert (3, []) == (found["accounts"], found["named"])
    (line,) = [line for line in tollbook("usage", "quarantine").out.splitlines() if "Japan" in line]
    assert ["voice.outbound", "Japan, +81", "3", "3"] == cells(line)[:4]


@pytest.mark.usefixtures("waiting")
def test_a_month_and_an_account_with_those_it_pays_for_can_be_asked_for(tollbook: Tollbook) -> None:
    def japan(*options: str) -> list[int]:
        return [each["events"] for each in rows(tollbook, *options) if each["country"] == "JP"]

    assert ([3], [1], [4], [1]) == (
        japan("--period", "2026-10"),
        japan("--period", "2026-11"),
        japan("--account", "acme"),
        japan("--account", "acme-sales"),
    )
    assert ["closed-account"] == [each["missing"] for each in rows(tollbook, "--account", "closed-account")]
    ran = tollbook("usage", "quarantine", "--account", "acme", "--period", "2026-12")
    assert (0, "", "Nothing of acme in 2026-12 waits.\n") == (ran.code, ran.out, ran.err)


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize("option", [("--account", "acme"), ("--period", "2026-10")])
def test_what_is_shown_does_not_choose_what_is_released(option: tuple[str, str], tollbook: Tollbook) -> None:
    ran = tollbook("usage", "quarantine", "--release", *option)
    assert 2 == ran.code
    assert "--release rates all that waits" in " ".join(ran.err.replace("│", " ").split())


def test_the_row_that_is_named_is_the_one_that_releases(waiting: Path, tollbook: Tollbook) -> None:
    """A card with what is said to be missing lets out just what waited for it."""
    (waiting / "more.toml").write_text(CARD.replace('["44"]', '["44", "81"]').replace("10-01T", "10-02T"))
    ran = tollbook("cards", "import", waiting / "more.toml")
    assert "4 events released that waited for: no_rate" in ran.err, ran
    assert [] == [each for each in rows(tollbook) if each["country"] == "JP"]


def test_every_country_has_a_name_of_its_own() -> None:
    assert ASSIGNED == set(COUNTRY_NAMES)
    assert len(COUNTRY_NAMES) == len(set(COUNTRY_NAMES.values()))
    assert all(COUNTRY_NAMES.values())
