"""Amended reports on the command line: what became of each, what counts, and how an event came to what it is."""

import json
import re
from pathlib import Path
from typing import Any

from tests.cli.conftest import CALL, Tollbook, with_changes

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "amending.md").read_text(encoding="utf-8")
VOID = '{"id": "c1", "revision": 3, "void": true}'


def amended(number: int, **changes: str | None) -> str:
    return with_changes(**changes)[:-1] + f', "revision": {number}}}'


def imported(tollbook: Tollbook, books: Path, *lines: str, options: tuple[str, ...] = ()) -> tuple[int, dict[str, Any]]:
    (books / "some.ndjson").write_text("".join(f"{line}\n" for line in lines))
    told = ("--results", books / "results.ndjson", "--overwrite", "--format", "json")
    ran = tollbook("usage", "import", books / "some.ndjson", "--source", "switch-1", *told, *options)
    return ran.code, json.loads(ran.out)


def results(books: Path) -> list[tuple[str, int, str]]:
    told = [json.loads(line) for line in (books / "results.ndjson").read_text().splitlines()]
    return [(each["outcome"], each["revision"], each["reason"]) for each in told]


def test_each_report_is_told_what_became_of_it(books: Path, tollbook: Tollbook) -> None:
    code, counts = imported(tollbook, books, CALL, amended(2, duration_seconds="600"), amended(2))
    assert (4, 1, 1, 1, 0, 0) == (
        code,
        *(counts[key] for key in ("accepted", "superseded", "conflict", "amended", "void")),
    )
    conflict = "was reported before with other content; the first report stays; to amend it, send a higher revision"
    assert [("superseded", 1, ""), ("accepted", 2, ""), ("conflict", 2, conflict)] == results(books)
    code, counts = imported(tollbook, books, VOID, amended(4, duration_seconds="601"))
    assert (0, 1, 1, 1) == (code, *(counts[key] for key in ("accepted", "superseded", "amended")))
    code, counts = imported(tollbook, books, VOID.replace("3", "5"), VOID)
    assert (0, 1, 1, 1) == (code, *(counts[key] for key in ("accepted", "duplicate", "void")))
    assert [("accepted", 5, "void"), ("duplicate", 3, "")] == results(books)


def test_a_lower_revision_alone_is_kept_and_the_same_again_is_nothing_to_do(books: Path, tollbook: Tollbook) -> None:
    imported(tollbook, books, amended(2))
    assert [0, 3] == [imported(tollbook, books, CALL)[0] for _ in range(2)]


def test_a_dry_run_foresees_it(books: Path, tollbook: Tollbook) -> None:
    imported(tollbook, books, CALL)
    lines = (amended(2, duration_seconds="600"), VOID, amended(2, duration_seconds="601"))
    code, foreseen = imported(tollbook, books, *lines, options=("--dry-run",))
    assert (4, 1, 1, 1, 1) == (
        code,
        *(foreseen[key] for key in ("accepted", "superseded", "conflict", "amended")),
    )
    told = results(books)
    _, stored = imported(tollbook, books, *lines)
    assert {**foreseen, "dry_run": False, "results": []} == {**stored, "results": []}
    assert told == results(books)


def test_people_are_told_what_took_the_place_of_what(books: Path, tollbook: Tollbook) -> None:
    imported(tollbook, books, CALL)
    (books / "more.ndjson").write_text(f"{VOID}\n{amended(2)}\n")
    ran = tollbook("usage", "import", books / "more.ndjson", "--source", "switch-1")
    assert 0 == ran.code
    assert "its event counts for nothing" in " ".join(ran.out.split())
    assert "superseded" in ran.out
    assert "1 of them took the place of a lower revision." in ran.err


def test_files_are_rated_by_the_highest_revisions(books: Path, tollbook: Tollbook) -> None:
    (books / "some.ndjson").write_text(f"{amended(2, duration_seconds='600')}\n{CALL}\n")
    ran = tollbook(
        "rate", "--card", books / "card.toml", "--usage", books / "some.ndjson", "--period", "2026-10",
        "--format", "json",
    )  # fmt: skip
    assert ["10"] == [line["quantity"] for line in json.loads(ran.out)["accounts"][0]["lines"]]
    assert "1 event has a higher revision, which counts instead" in ran.err


def explained(tollbook: Tollbook) -> dict[str, Any]:
    ran = tollbook("explain", "event", "switch-1", "c1", "--format", "json")
    assert 0 == ran.code
    found: dict[str, Any] = json.loads(ran.out)
    return found


def test_an_event_says_what_each_revision_changed_and_came_to(books: Path, tollbook: Tollbook) -> None:
    imported(tollbook, books, CALL, amended(4, duration_seconds="600", status="completed", to="+447700900123"))
    imported(tollbook, books, amended(2, account="nobody"))
    found = explained(tollbook)
    assert (600, "+447700900123") == (found["measured"], found["to"])
    told = [(each["revision"], each["standing"], each["charge"], each["changes"]) for each in found["revisions"]]
    changed = [
        {"field": "account", "old": "nobody", "new": "acme-sales"},
        {"field": "quantity", "old": "61", "new": "600"},
        {"field": "to", "old": "+442079460000", "new": "+447700900123"},
        {"field": "status", "old": "", "new": "completed"},
    ]
    assert (4, "in force", "0.2", changed) == told[0]
    named = [{"field": "account", "old": "acme-sales", "new": "nobody"}]
    assert [(2, "superseded when it came", "", named), (1, "superseded when it came", "", [])] == told[1:]


def test_the_charge_before_and_after_is_told(books: Path, tollbook: Tollbook) -> None:
    imported(tollbook, books, CALL)
    imported(tollbook, books, amended(2, duration_seconds="600"))
    imported(tollbook, books, amended(3, account="nobody"))
    imported(tollbook, books, amended(4, status="busy"))
    told = [(each["charge"], each["reason"]) for each in explained(tollbook)["revisions"]]
    assert [("0", "status_not_billable"), ("", "unknown_account"), ("0.2", ""), ("0.04", "")] == told
    ran = tollbook("explain", "event", "switch-1", "c1")
    assert "Its revisions, the highest first" in ran.out
    assert "quantity 61 → 600" in " ".join(ran.out.split())


def test_what_is_left_of_an_event_that_was_taken_back_is_told(books: Path, tollbook: Tollbook) -> None:
    imported(tollbook, books, CALL)
    imported(tollbook, books, VOID)
    found = explained(tollbook)
    assert (True, 3) == (found["void"], found["revision"])
    assert [(3, True, "in force"), (1, False, "superseded")] == [
        (each["revision"], each["void"], each["standing"]) for each in found["revisions"]
    ]
    ran = tollbook("explain", "event", "switch-1", "c1")
    assert 0 == ran.code
    assert "a higher revision brings it back" in " ".join(ran.out.split())
    assert "it takes the event back" in ran.out
    assert "revision," in tollbook("explain", "event", "switch-1", "c1", "--format", "csv").out


def test_an_event_that_was_reported_once_has_no_table_of_revisions(books: Path, tollbook: Tollbook) -> None:
    imported(tollbook, books, CALL)
    assert "revisions" not in tollbook("explain", "event", "switch-1", "c1").out
    assert 1 == len(explained(tollbook)["revisions"])


def test_the_page_on_amending_takes_its_event_back_in_any_order(books: Path, tollbook: Tollbook) -> None:
    (block,) = re.findall(r"^```json\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    first, receipt, void = block.splitlines()
    imported(tollbook, books, void, receipt)
    assert ["accepted", "superseded"] == [outcome for outcome, *_ in results(books)]
    imported(tollbook, books, first)
    assert [("superseded", 1, "")] == results(books)
    assert "explain event SOURCE ID" in PAGE
