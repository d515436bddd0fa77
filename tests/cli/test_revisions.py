"""Amended reports on the command line: what became of each, what counts, and how an event came to what it is."""

import json
from pathlib import Path
from typing import Any

from tests.cli.conftest import CALL, Tollbook, with_changes

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
    conflict = "was reported before with other content; the first report stays"
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
    foreseen_results = results(books)
    assert (4, {**foreseen, "dry_run": False}["accepted"]) == (code, imported(tollbook, books, *lines)[1]["accepted"])
    assert foreseen_results == results(books)


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
