"""Usage on the command line: what is taken, what is not and why, and what releases what waits."""

import csv
import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from billing.store.embedded import Address
from billing.store.engine import open_engine, snapshot
from cli.imports import STATUSES
from tests.cli.conftest import CALL, CARD, CONTRACT, Tollbook, with_changes

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
    code, again, err = imported(tollbook, books / "usage.ndjson")
    assert (3, 0, 1) == (code, again["accepted"], again["duplicate"])
    assert "All of it was taken before: nothing to do." in err
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
        (with_changes(surprise="x"), "/surprise", "is not a field of a usage event; a dimension that the product"),
        (
            with_changes(kind="x"),
            "/kind",
            "did you mean id? a dimension that the product declares stands in attributes",
        ),
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
    code, counts, err = imported(
        tollbook, books / "bad.ndjson", "--rejects", books / "rejects.ndjson", "--results", books / "results.ndjson"
    )
    assert (5, 2, 1) == (code, counts["accepted"], counts["rejected"])
    assert f"line 2{' ' if place else ''}{place}" in err
    assert reason in err
    rejected_line = (books / "rejects.ndjson").read_text()
    assert f"{line}\n" == rejected_line or (rejected_line.startswith(line[:65_537]) and LONG in line)
    told = [json.loads(each) for each in (books / "results.ndjson").read_text().splitlines()]
    assert ["c1", "c2"] == [each["id"] for each in told if each["outcome"] == "accepted"]
    rejected = told[1]
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
    assert (
        "line 1: was reported before with other content; the first report stays; to amend it, send a higher revision"
        in err
    )
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
    released = tollbook("cards", "import", books / "card2.toml")
    assert (0, True) == (released.code, "1 event released that waited for: no_rate" in released.err)
    ran = tollbook("usage", "quarantine", "--release", "--format", "json")
    assert ["unknown_product"] == [each["reason"] for each in json.loads(ran.out)]
    assert "Nothing could be released." in ran.err
    printed = json.loads(tollbook("invoices", "preview", "2026-10", "--format", "json").out)
    assert {"USD": "0.08"} == printed["totals"]
    assert {"unknown_product": 1} == printed["quarantined"]


def _results(counts: dict[str, object]) -> list[dict[str, Any]]:
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
    for options in ((), ("--dry-run",)):
        code, counts, err = imported(tollbook, books / "empty.ndjson", *options)
        assert (3, 0) == (code, counts["events"])
        assert f"There is no usage in {books / 'empty.ndjson'}: nothing to do." in err
    ran = tollbook("usage", "import", books / "empty.ndjson", "--source", "switch-1")
    assert ["all lines", "0"] in _cells(ran.out)


def test_bad_input_wins_over_what_waits_and_what_waits_over_duplicates(books: Path, tollbook: Tollbook) -> None:
    imported(tollbook, books / "usage.ndjson")
    waits = with_changes(id="c2", account="stranger")
    (books / "some.ndjson").write_text(f"{CALL}\n{waits}\n")
    assert 4 == imported(tollbook, books / "some.ndjson", "--dry-run")[0]
    (books / "all.ndjson").write_text(f"{CALL}\n{waits}\nnonsense\n")
    assert 5 == imported(tollbook, books / "all.ndjson", "--dry-run")[0]
    assert 5 == imported(tollbook, books / "all.ndjson")[0]


MIXED = (
    CALL,
    with_changes(id="c2"),
    "nonsense",
    with_changes(id="c2"),
    with_changes(id="c3", account="stranger"),
    with_changes(id="c4", to="+33123456789"),
    with_changes(id="c5", occurred_at="2025-01-01T00:00:00Z"),
    with_changes(id="c6", product="fax.outbound"),
    with_changes(id="c3", account="other"),
    with_changes(id="c7", status="busy"),
    with_changes(id="c8", status="ringing"),
    with_changes(id="c9", duration_seconds="0"),
    with_changes(duration_seconds="62"),
    with_changes(id="c10", duration_seconds="315360000"),
    with_changes(id="c11", occurred_at="2026-02-28T10:11:12Z"),
)


@pytest.mark.parametrize("before", [[], [CALL], [CALL, with_changes(id="c4")]])
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_dry_run_foresees_what_the_real_one_does(
    before: list[str], form: str, books: Path, tollbook: Tollbook, empty_books: Address
) -> None:
    """To the letter: results, reasons, rejects and exit code, by what is stored and by what the file says twice."""
    if before:
        (books / "before.ndjson").write_text("\n".join(before))
        imported(tollbook, books / "before.ndjson")
    (books / "mixed.ndjson").write_text("\n".join(MIXED) + "\n")
    files = [books / name for name in ("dry", "dry-results", "real", "real-results")]
    call = ("usage", "import", books / "mixed.ndjson", "--source", "switch-1", "--format", form, "--rejects")
    stored = everything(empty_books)
    dry = tollbook(*call, files[0], "--results", files[1], "--dry-run")
    assert stored == everything(empty_books)
    real = tollbook(*call, files[2], "--results", files[3])
    assert stored != everything(empty_books)
    assert (5, real.code) == (dry.code, dry.code)
    if form == "table":
        assert ("would be stored" in dry.out, "would be stored" in real.out) == (True, False)
    else:
        said = dry.out.replace('"dry_run": true', '"dry_run": false').replace("would be stored", "stored")
        said = said.replace("would not be stored", "not stored")
        assert real.out == said
    waits = "What waits, and what releases it: tollbook usage quarantine\n"
    assert (waits in real.err, waits in dry.err) == (True, False)
    said = dry.err.replace(str(files[0]), str(files[2])).replace("would not be taken", "were not taken")
    assert real.err.replace(waits, "") == said
    assert files[2].read_text() == files[0].read_text()
    assert files[3].read_text() == files[1].read_text()
    assert len(MIXED) == len(files[1].read_text().splitlines())


def everything(database: Address) -> dict[str, object]:
    """How many rows each table has, whatever tables there are, and how far the numbers of transactions have come."""
    engine = open_engine(database.sqlalchemy_url)
    with snapshot(engine) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        counts: dict[str, object] = {
            name: connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()
            for (name,) in tables
        }
        counts |= {"number": connection.execute("SELECT last_value, is_called FROM batches").fetchone()}
    engine.dispose()
    return counts


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
    for outcome, expected in (("accepted", 0), ("duplicate", 3)):
        code, counts, _ = imported(tollbook, books / "usage.json")
        assert (expected, 2) == (code, counts[outcome])
    (books / "bad.json").write_text(f"[{CALL}, {with_changes(id='c3', duration_seconds='-61')}]")
    code, counts, err = imported(tollbook, books / "bad.json")
    assert (5, 1, 1) == (code, counts["duplicate"], counts["rejected"])
    assert "item 2 /duration_seconds" in err
    (books / "bad.json").write_text(f"[{CALL}, ")
    ran = tollbook("usage", "import", books / "bad.json", "--source", "switch-1")
    assert (5, True) == (ran.code, "is not a JSON array" in ran.err)


def test_the_first_line_of_what_waits_is_the_first_in_the_file(books: Path, tollbook: Tollbook) -> None:
    """Whatever the ids of its events are: a person looks there."""
    lines = [with_changes(id=each, account="stranger") for each in ("z", "m", "a")]
    (books / "strange.ndjson").write_text("\n".join([CALL, *lines]))
    ran = tollbook("usage", "import", books / "strange.ndjson", "--source", "s", "--dry-run", "--format", "csv")
    told = {row["reason"]: row["first_line"] for row in csv.DictReader(io.StringIO(ran.out))}
    assert {"": "", "unknown_account": "2"} == told


def test_what_costs_nothing_is_counted_by_its_reason(books: Path, tollbook: Tollbook) -> None:
    """In the table, in JSON, in CSV, and line by line; a fee for what did not come about is no nothing."""
    lines = [CALL, *(with_changes(id=f"b{n}", status="busy") for n in range(3)), with_changes(id="p", status="queued")]
    (books / "zero.ndjson").write_text("\n".join([*lines, with_changes(id="z", duration_seconds="0")]))
    ran = tollbook("usage", "import", books / "zero.ndjson", "--source", "switch-1", "--dry-run")
    assert ["accepted", "status_not_billable", "3", "2"] in [cells[:4] for cells in _cells(ran.out)]
    assert "costs nothing" in ran.out
    assert "statuses: busy 3" in " ".join(ran.out.split())
    ran = tollbook("usage", "import", books / "zero.ndjson", "--source", "s", "--dry-run", "--format", "csv")
    told = {row["reason"]: (row["events"], row["first_line"]) for row in csv.DictReader(io.StringIO(ran.out))}
    expected = {"": ("1", ""), "pending": ("1", "5"), "status_not_billable": ("3", "2"), "zero_quantity": ("1", "6")}
    assert expected == told
    results = books / "results"
    code, counts, _ = imported(tollbook, books / "zero.ndjson", "--results", results)
    assert (0, 6, 5) == (code, counts["accepted"], counts["zero_rated"])
    told_by_line = [json.loads(line) for line in results.read_text().splitlines()]
    assert ["", *["status_not_billable"] * 3, "pending", "zero_quantity"] == [each["reason"] for each in told_by_line]
    assert [(n, "accepted") for n in range(1, 7)] == [(each["line"], each["outcome"]) for each in told_by_line]


def _cells(printed: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in printed.splitlines()]


def test_a_source_that_is_new_is_told_with_those_that_are_like_it(books: Path, tollbook: Tollbook) -> None:
    def told(source: str, *options: str) -> str:
        return tollbook("usage", "import", books / "usage.ndjson", "--source", source, *options).err

    first = told("voice-eu-1")
    assert 'source "voice-eu-1" is new; it is the first one. An event is known by its source and id' in first
    assert "is new" not in told("voice-eu-1")
    for _ in range(2):  # a dry run makes none known
        misspelt = told("voice-eu1", "--dry-run")
        assert 'source "voice-eu1" is new; known and similar: voice-eu-1. ' in misspelt
        assert "a misspelt source counts the same usage twice" in misspelt
    assert "known and similar: voice-eu-1. " in told("Voice_EU_1", "--dry-run")
    assert 'source "sms" is new; known: voice-eu-1. ' in told("sms")


def test_a_source_of_which_nothing_was_taken_stays_unknown(books: Path, tollbook: Tollbook) -> None:
    (books / "bad.ndjson").write_text("nonsense\n")
    for _ in range(2):
        assert '"switch-1" is new' in imported(tollbook, books / "bad.ndjson")[2]


@pytest.mark.parametrize("option", ["--rejects", "--results"])
def test_a_file_that_holds_something_is_overwritten_only_on_request(
    option: str, books: Path, tollbook: Tollbook
) -> None:
    (books / "bad.ndjson").write_text("nonsense\n")
    target = books / "told.ndjson"
    target.write_text("what somebody still needs")
    call = ("usage", "import", books / "bad.ndjson", "--source", "switch-1", option, target)
    ran = tollbook(*call)
    assert (2, "what somebody still needs") == (ran.code, target.read_text())
    assert "name another file, or say --overwrite" in " ".join(ran.err.replace("│", " ").split())
    assert 0 == events(tollbook)
    assert 5 == tollbook(*call, "--overwrite").code
    assert {"--rejects": "nonsense\n"}.get(option, target.read_text()) == target.read_text()
    assert "nonsense" in target.read_text() or "is not JSON" in target.read_text()
    target.write_text("")
    assert 5 == tollbook(*call).code
    assert {"--rejects": "nonsense\n"}.get(option, target.read_text()) == target.read_text()
    assert "nonsense" in target.read_text() or "is not JSON" in target.read_text()
    assert 2 == tollbook(*call[:-1], books).code


def test_a_file_of_rejects_is_there_whole_even_if_the_stream_breaks_off(books: Path, tollbook: Tollbook) -> None:
    lines = "nonsense\n" + "".join(with_changes(id=f"c{n}") + "\n" for n in range(60_000))
    whole = gzip.compress(lines.encode())
    (books / "broken.gz").write_bytes(whole[: len(whole) // 2])
    code, counts, _ = imported(tollbook, books / "broken.gz", "--rejects", books / "rejects")
    assert (5, 1) == (code, counts["rejected"])
    assert 1 == len((books / "rejects").read_text().splitlines())
    assert [] == list(books.glob(".rejects*"))


def test_faults_that_differ_in_their_values_are_one_kind(books: Path, tollbook: Tollbook) -> None:
    """A file of milliseconds taken for seconds is told in a few lines, however long it is."""
    lines = [with_changes(id=f"c{n}", duration_seconds=str(10**6 + n)) for n in range(300)]
    lines += [with_changes(id=f"d{n}", **{f"key{n}": "x"}) for n in range(300)]
    (books / "bad.ndjson").write_text("\n".join(lines))
    code, counts, _ = imported(tollbook, books / "bad.ndjson", "--dry-run")
    reasons = {each["reason"]: each["events"] for each in _results(counts)}
    assert (5, 600) == (code, counts["rejected"])
    assert 300 == reasons["/duration_seconds is absurd"]
    assert len(reasons) <= 51
    assert 251 == reasons["other faults"]


def test_what_waits_is_told_with_the_command_that_releases_it(books: Path, tollbook: Tollbook) -> None:
    lines = [
        with_changes(id="c1", account="stranger"),
        with_changes(id="c2", to="+33123456789", occurred_at="2026-10-20T00:00:00Z"),
        with_changes(id="c3", occurred_at="2025-01-01T00:00:00Z"),
        with_changes(id="c4", occurred_at="2025-01-02T00:00:00Z"),
        with_changes(id="c5", occurred_at="2026-09-30T00:00:00Z"),
    ]
    (books / "odd.ndjson").write_text("\n".join(lines))
    ran = tollbook("usage", "import", books / "odd.ndjson", "--source", "switch-1")
    assert "stored, waits: add the account" in ran.out
    assert "What waits, and what releases it: tollbook usage quarantine" in ran.err
    waiting = {each["reason"]: each for each in json.loads(tollbook("usage", "quarantine", "--format", "json").out)}
    assert (2, "2025-01-01T00:00:00Z") == (waiting["too_old"]["events"], waiting["too_old"]["first_at"])
    by_name = "tollbook usage quarantine --release --too-old --as NAME"
    assert {
        "unknown_account": "tollbook accounts add FILE",
        "no_rate": "tollbook cards import CARD",
        "no_contract": "tollbook contracts add FILE",
        "too_old": by_name,
    } == {reason: each["command"] for reason, each in waiting.items()}
    assert by_name in tollbook("usage", "quarantine").out
    assert by_name in tollbook("explain", "event", "switch-1", "c3").out


def test_who_answers_for_a_release_is_in_the_audit_log(books: Path, tollbook: Tollbook, empty_books: Address) -> None:
    """What came too late is released by somebody with a name."""
    for name, text in (("old.toml", CARD.replace('"list"', '"old"')), ("then.toml", CONTRACT.replace("list", "old"))):
        (books / name).write_text(text.replace("2026-10-01", "2025-01-01"))
    (books / "then.toml").write_text((books / "then.toml").read_text().replace('"acme"', '"beta"'))
    (books / "beta.toml").write_text('id = "beta"\ncurrency = "USD"\n')
    for command, name in (("cards import", "old.toml"), ("accounts add", "beta.toml"), ("contracts add", "then.toml")):
        assert 0 == tollbook(*command.split(), books / name).code
    (books / "late.ndjson").write_text(with_changes(account="beta", occurred_at="2025-01-31T00:00:00Z"))
    assert 4 == imported(tollbook, books / "late.ndjson")[0]
    assert 4 == tollbook("usage", "quarantine", "--release", "--as", "somebody").code
    assert 2 == tollbook("usage", "quarantine", "--too-old", "--as", "finance lead").code
    assert 0 == tollbook("usage", "quarantine", "--release", "--too-old", "--as", "finance lead").code
    engine = open_engine(empty_books.sqlalchemy_url)
    with snapshot(engine) as connection:
        who = connection.execute("SELECT actor FROM audit_log WHERE action = 'release'").fetchall()
    engine.dispose()
    assert [("finance lead",)] == who


def test_a_misspelt_status_is_seen_among_those_that_are_not_billed(books: Path, tollbook: Tollbook) -> None:
    """All of a few are named, with how many have each; of ever new ones the rest is one."""
    lines = [with_changes(id=f"b{n}", status="busy") for n in range(3)]
    lines += [with_changes(id="typo", status="Completed"), with_changes(id="fine", status="completed")]
    (books / "status.ndjson").write_text("\n".join(lines))
    table = tollbook("usage", "import", books / "status.ndjson", "--source", "s", "--dry-run").out
    assert "statuses: busy 3, Completed 1" in " ".join(table.split())
    _, counts, _ = imported(tollbook, books / "status.ndjson")
    assert {"busy": 3, "Completed": 1} == counts["statuses_not_billable"]
    (books / "many.ndjson").write_text("\n".join(with_changes(id=f"m{n}", status=f"s{n}") for n in range(50)))
    _, counts, _ = imported(tollbook, books / "many.ndjson")
    statuses = counts["statuses_not_billable"]
    assert isinstance(statuses, dict)
    assert (STATUSES + 1, 50 - STATUSES) == (len(statuses), statuses["others"])


def test_a_fault_is_told_whole_and_without_values_where_they_differ(books: Path, tollbook: Tollbook) -> None:
    lines = [with_changes(id=f"t{n}", occurred_at="yesterday") for n in range(2)]
    lines += [with_changes(id=f"l{n}", duration_seconds=str(200_000 + n)) for n in range(2)]
    (books / "bad.ndjson").write_text("\n".join(lines))
    _, counts, _ = imported(tollbook, books / "bad.ndjson")
    told = {each["reason"]: each["events"] for each in _results(counts)}
    assert {"/occurred_at is not like 2026-10-02T10:11:12Z": 2, "/duration_seconds is absurd": 2} == told


WITH_A_CARD = "publish a card with a rate for it"
WITHOUT_PLUS = f"{WITH_A_CARD}; or: its number is not written with +: report it again under a higher revision"


def test_what_waits_for_a_rate_because_its_number_has_no_plus_is_told_so(books: Path, tollbook: Tollbook) -> None:
    """By the import, by the quarantine and by the event, in the same words; not where the number is as it should be."""
    lines = [
        with_changes(id="p1", to="00442079460000"),
        with_changes(id="p2", to=None),
        with_changes(id="p3", to="+33123456789"),
        with_changes(id="p4", to="0044", rated_to="+33123456789"),
    ]
    (books / "plus.ndjson").write_text("\n".join(lines))
    _, counts, _ = imported(tollbook, books / "plus.ndjson")
    assert [f"stored, waits: {WITHOUT_PLUS}"] == [each["meaning"] for each in _results(counts)]
    found = json.loads(tollbook("usage", "quarantine", "--format", "json").out)
    expected = [("switch-1/p1", 2, WITHOUT_PLUS), ("switch-1/p3", 2, WITH_A_CARD)]
    assert expected == [(each["example"], each["events"], each["remedy"]) for each in found]
    for number, remedy in enumerate((WITHOUT_PLUS, WITHOUT_PLUS, *[WITH_A_CARD] * 2), start=1):
        ran = tollbook("explain", "event", "switch-1", f"p{number}", "--format", "json")
        assert remedy == json.loads(ran.out)["remedy"]


def test_the_lines_that_were_not_taken_are_imported_when_they_are_mended(books: Path, tollbook: Tollbook) -> None:
    (books / "bad.ndjson").write_text(f"{CALL}\n{with_changes(id='c2', duration_seconds='-61')}\nnonsense\n")
    rejects = books / "the rejects.ndjson"
    _, _, err = imported(tollbook, books / "bad.ndjson", "--rejects", rejects)
    assert f"When they are mended: tollbook usage import '{rejects}' --source switch-1" in err
    assert 5 == imported(tollbook, rejects, "--dry-run")[0]
    rejects.write_text(rejects.read_text().replace('"-61"', '"61"').replace("nonsense\n", ""))
    code, counts, _ = imported(tollbook, rejects)
    assert (0, 1) == (code, counts["accepted"])


def test_a_file_of_call_records_without_a_dialect_is_told_how_it_is_read(books: Path, tollbook: Tollbook) -> None:
    (books / "Master.csv").write_text('"","1000","442079460000","from-internal"\n' * 2)
    code, _, err = imported(tollbook, books / "Master.csv")
    assert 5 == code
    assert "The file is not JSON. Call records are read with --dialect, one of asterisk, freeswitch," in err
    (books / "Master.csv").write_text("nonsense\n" + with_changes(id="c9"))
    assert "--dialect" not in imported(tollbook, books / "Master.csv")[2]
