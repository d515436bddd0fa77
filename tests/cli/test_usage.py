"""Usage on the command line: what is taken, what is not and why, and what releases what waits."""

import gzip
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import CALL, CARD, Tollbook, with_changes

LONG = "x" * 10_000_000


def imported(tollbook: Tollbook, path: Path, *options: str | Path) -> tuple[int, dict[str, object], str]:
    ran = tollbook("usage", "import", path, "--source", "switch-1", "--format", "json", *options)
    return ran.code, json.loads(ran.out), ran.err


def events(tollbook: Tollbook) -> int:
    """How many events are stored and billed."""
    ran = tollbook("invoices", "preview", "2026-10", "--format", "json")
    return int(json.loads(ran.out)["lines"])


def test_usage_is_taken_once_however_often_it_is_imported(books: Path, tollbook: Tollbook) -> None:
    code, first, _ = imported(tollbook, books / "usage.ndjson")
    assert (0, 1, 1) == (code, first["events"], first["accepted"])
    code, again, _ = imported(tollbook, books / "usage.ndjson")
    assert (0, 0, 1) == (code, again["accepted"], again["duplicate"])
    printed = json.loads(tollbook("invoices", "preview", "2026-10", "--format", "json").out)
    assert {"USD": "0.04"} == printed["totals"]  # 61 s are 2 minutes at 0.02


def test_the_table_says_what_became_of_the_lines(books: Path, tollbook: Tollbook) -> None:
    ran = tollbook("usage", "import", books / "usage.ndjson", "--source", "switch-1")
    assert "Usage from switch-1" in ran.out
    assert ["accepted", "1"] in [line.split() for line in ran.out.splitlines()]


def test_a_gzipped_file_and_standard_input_are_read_too(
    books: Path, tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    (books / "usage.ndjson.gz").write_bytes(gzip.compress(CALL.encode()))
    assert 0 == imported(tollbook, books / "usage.ndjson.gz")[0]
    stream = io.TextIOWrapper(io.BytesIO(with_changes(id="c2").encode()))
    monkeypatch.setattr("sys.stdin", stream)
    code, counts, _ = imported(tollbook, Path("-"))
    assert (0, 1) == (code, counts["accepted"])


@pytest.mark.parametrize(
    ("line", "place", "reason"),
    [
        (with_changes(occurred_at="2026-10-02T10:11:12"), "/occurred_at", "has no time zone; end it with Z"),
        (with_changes(duration_seconds="-61"), "/duration_seconds", "is not a duration: a negative duration"),
        (with_changes(duration_seconds="315619201"), "/duration_seconds", "more than ten years"),
        (with_changes(duration_seconds="1e3"), "/duration_seconds", "an exponent"),
        (with_changes(duration_seconds=None), "/quantity", "is missing; give it, or duration_seconds"),
        (with_changes(occurred_at="9999-12-31T23:59:59Z"), "/occurred_at", "more than 24 hours ahead"),
        (with_changes(occurred_at="1969-12-31T23:59:59Z"), "/occurred_at", "before 1970"),
        (with_changes(surprise="x"), "/surprise", "is not a field of a usage event"),
        (with_changes(source="switch-2"), "/source", "is not switch-1"),
        (CALL[:40], "", "is not JSON"),
        ('{"id": "a", "id": "b"}', "/id", "is given twice"),
        ("[1, 2]", "", "is not a JSON object"),
        (with_changes(id=LONG), "", "is longer than 65536 bytes"),
        ('{"id": "\\ud800"}', "", ""),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_bad_line_is_said_with_its_place_and_nothing_of_it_is_stored(
    line: str, place: str, reason: str, books: Path, tollbook: Tollbook
) -> None:
    (books / "bad.ndjson").write_text(f"{CALL}\n{line}\n{with_changes(id='c2')}\n")
    code, counts, err = imported(tollbook, books / "bad.ndjson", "--rejects", books / "rejects.ndjson")
    assert (5, 2, 1) == (code, counts["accepted"], counts["rejected"])
    assert f"line 2{' ' if place else ''}{place}" in err
    assert reason in err
    (rejected,) = [json.loads(each) for each in (books / "rejects.ndjson").read_text().splitlines()]
    assert (2, "rejected") == (rejected["line"], rejected["outcome"])
    assert place == rejected["pointer"] or not place
    assert "Traceback" not in err


def test_a_stream_that_breaks_off_keeps_whole_lines_and_can_be_imported_again(books: Path, tollbook: Tollbook) -> None:
    lines = "".join(with_changes(id=f"c{n}") + "\n" for n in range(60_000))
    whole = gzip.compress(lines.encode())
    (books / "whole.gz").write_bytes(whole)
    (books / "broken.gz").write_bytes(whole[: len(whole) // 2])
    code, counts, err = imported(tollbook, books / "broken.gz")
    assert 5 == code
    assert "the stream breaks off" in err
    assert 0 < int(str(counts["accepted"])) < 60_000
    code, again, _ = imported(tollbook, books / "whole.gz")
    assert 0 == code
    assert 60_000 == int(str(again["accepted"])) + int(str(counts["accepted"]))


def test_what_says_something_else_again_is_a_conflict_and_changes_nothing(books: Path, tollbook: Tollbook) -> None:
    imported(tollbook, books / "usage.ndjson")
    (books / "other.ndjson").write_text(with_changes(duration_seconds="6000") + "\n")
    code, counts, err = imported(tollbook, books / "other.ndjson")
    assert (4, 1, 0) == (code, counts["conflict"], counts["accepted"])
    assert "line 1: was reported before with other content; the first report stays" in err
    printed = json.loads(tollbook("invoices", "preview", "2026-10", "--format", "json").out)
    assert {"USD": "0.04"} == printed["totals"]


def test_what_nobody_owns_or_nothing_prices_waits_until_the_cause_is_mended(books: Path, tollbook: Tollbook) -> None:
    lines = [
        with_changes(id="c1", account="stranger"),
        with_changes(id="c2", to="+33123456789", occurred_at="2026-10-20T00:00:00Z"),
        with_changes(id="c3", product="fax.outbound"),
    ]
    (books / "odd.ndjson").write_text("\n".join(lines) + "\n")
    code, counts, _ = imported(tollbook, books / "odd.ndjson")
    assert (4, 3, 0) == (code, counts["quarantined"], counts["accepted"])
    assert {"unknown_account", "no_rate", "unknown_product"} == {each["reason"] for each in _results(counts)}
    ran = tollbook("usage", "quarantine", "--format", "json")
    assert 4 == ran.code
    waiting = {each["reason"]: each for each in json.loads(ran.out)}
    assert {"unknown_account", "no_rate", "unknown_product"} == set(waiting)
    assert "add the account" == waiting["unknown_account"]["remedy"]
    assert 4 == tollbook("usage", "quarantine", "--release").code

    (books / "stranger.toml").write_text('id = "stranger"\nparent = "acme"\n')
    (books / "card2.toml").write_text(
        CARD.replace('"44"', '"44", "33"').replace("2026-10-01T", "2026-10-15T").replace("Kingdom", "Kingdom, France")
    )
    assert 0 == tollbook("accounts", "add", books / "stranger.toml").code
    assert 0 == tollbook("cards", "import", books / "card2.toml").code
    ran = tollbook("usage", "quarantine", "--release", "--format", "json")
    assert ["unknown_product"] == [each["reason"] for each in json.loads(ran.out)]
    assert "1 events released that waited for: no_rate" in ran.err
    printed = json.loads(tollbook("invoices", "preview", "2026-10", "--format", "json").out)
    assert {"USD": "0.08"} == printed["totals"]
    assert {"unknown_product": 1} == printed["quarantined"]


def _results(counts: dict[str, object]) -> list[dict[str, str]]:
    found = counts["results"]
    assert isinstance(found, list)
    return found


@pytest.mark.usefixtures("books")
def test_an_empty_quarantine_is_said(tollbook: Tollbook) -> None:
    ran = tollbook("usage", "quarantine")
    assert 0 == ran.code
    assert "Nothing waits." in ran.err
    assert 3 == tollbook("usage", "quarantine", "--release").code


def test_an_empty_file_is_nothing_to_do(books: Path, tollbook: Tollbook) -> None:
    (books / "empty.ndjson").write_text("\n\n")
    assert 3 == imported(tollbook, books / "empty.ndjson")[0]


def test_a_dry_run_checks_and_stores_nothing(books: Path, tollbook: Tollbook) -> None:
    (books / "mixed.ndjson").write_text(f"{CALL}\nnonsense\n")
    code, counts, _ = imported(tollbook, books / "mixed.ndjson", "--dry-run")
    assert (5, 1, 1) == (code, counts["accepted"], counts["rejected"])
    assert 0 == events(tollbook)


def test_a_file_that_is_not_there_is_bad_input(books: Path, tollbook: Tollbook) -> None:
    ran = tollbook("usage", "import", books / "nothing.ndjson", "--source", "switch-1")
    assert 5 == ran.code
    assert "nothing.ndjson: cannot be read: no such file or directory; check the path" in ran.err


def test_rejects_that_cannot_be_written_stop_the_import_before_it_begins(books: Path, tollbook: Tollbook) -> None:
    rejects = books / "no folder" / "rejects"
    ran = tollbook("usage", "import", books / "usage.ndjson", "--source", "switch-1", "--rejects", rejects)
    assert 1 == ran.code
    assert "no such file or directory" in ran.err
    assert 0 == events(tollbook)


def test_folding_twice_is_nothing_to_do(books: Path, tollbook: Tollbook) -> None:
    imported(tollbook, books / "usage.ndjson")
    assert 3 == tollbook("usage", "fold").code


def test_usage_may_be_a_json_array_and_a_bad_item_is_told_by_its_place(books: Path, tollbook: Tollbook) -> None:
    pretty = json.dumps([json.loads(CALL), json.loads(with_changes(id="c2"))], indent=2)
    (books / "usage.json").write_text(pretty)
    for outcome in ("accepted", "duplicate"):
        code, counts, _ = imported(tollbook, books / "usage.json")
        assert (0, 2) == (code, counts[outcome])
    (books / "bad.json").write_text(f"[{CALL}, {with_changes(id='c3', duration_seconds='-61')}]")
    code, counts, err = imported(tollbook, books / "bad.json")
    assert (5, 1, 1) == (code, counts["duplicate"], counts["rejected"])
    assert "item 2 /duration_seconds" in err
    (books / "bad.json").write_text(f"[{CALL}, ")
    ran = tollbook("usage", "import", books / "bad.json", "--source", "switch-1")
    assert (5, True) == (ran.code, "is not a JSON array" in ran.err)
