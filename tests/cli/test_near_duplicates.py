"""`tollbook usage near-duplicates`: what may have been reported twice is shown, a page at a time, and kept."""

import csv
import io
import json
import re
import shlex
from pathlib import Path

import pytest

from billing.store.embedded import Address
from billing.store.engine import open_engine, transaction
from tests.cli.conftest import Tollbook, with_changes


@pytest.fixture
def doubled(books: Path, tollbook: Tollbook, empty_books: Address) -> Path:
    """Three calls that two switches report each, under other ids, the second one an hour later."""
    for source in ("switch-1", "switch-2"):
        lines = [with_changes(id=f"{source}-{n}", occurred_at=f"2026-10-0{n}T00:00:00Z") for n in (1, 2, 3)]
        (books / f"{source}.ndjson").write_text("\n".join(lines))
        assert 0 == tollbook("usage", "import", books / f"{source}.ndjson", "--source", source).code
    engine = open_engine(empty_books.sqlalchemy_url)
    with transaction(engine) as connection:
        connection.execute("UPDATE events SET received_at = received_at + interval '1 hour' WHERE id ~ '^switch-2'")
    engine.dispose()
    return books


@pytest.mark.usefixtures("doubled")
def test_each_is_shown_beside_the_one_that_came_first(tollbook: Tollbook) -> None:
    ran = tollbook("usage", "near-duplicates", "--period", "2026-10", "--format", "csv")
    assert 4 == ran.code
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [("switch-2-1", "switch-1-1"), ("switch-2-2", "switch-1-2"), ("switch-2-3", "switch-1-3")] == [
        (row["id"], row["first_id"]) for row in rows
    ]
    assert ("acme-sales", "442079460000", "61") == (rows[0]["account"], rows[0]["to_e164"], rows[0]["measured"])
    assert "3 events may have been reported twice; nothing is dropped" in ran.err
    assert "0.24" in tollbook("invoices", "preview", "2026-10").out, "six calls of two minutes at 0.02"


@pytest.mark.usefixtures("doubled")
def test_the_next_page_is_had_by_the_command_that_is_told(tollbook: Tollbook) -> None:
    words = ["usage", "near-duplicates", "--period", "2026-10", "--account", "acme", "--limit", "2", "--format", "json"]
    first = tollbook(*words)
    said = re.search(r"There are more: (.*)", first.err)
    assert said is not None
    second = tollbook(*shlex.split(said[1])[1:], "--format", "json")
    pages = [json.loads(ran.out) for ran in (first, second)]
    assert [["switch-2-1", "switch-2-2"], ["switch-2-3"]] == [
        [each["id"] for each in page["near_duplicates"]] for page in pages
    ]
    assert None is pages[1]["next"]


@pytest.mark.usefixtures("doubled")
def test_a_day_and_an_account_are_chosen_and_nothing_is_said_to_be_nothing(tollbook: Tollbook) -> None:
    assert "switch-2-2" in tollbook("usage", "near-duplicates", "--day", "2026-10-02", "-f", "csv").out
    ran = tollbook("usage", "near-duplicates", "--day", "2026-10-04")
    assert (0, "Nothing of 2026-10-04 says what something else says.\n") == (ran.code, ran.err)
    assert 0 == tollbook("usage", "near-duplicates", "--period", "2026-10", "--account", "nobody").code


@pytest.mark.parametrize(
    "wrong",
    [["--day", "2026-02-30"], ["--day", "x", "--period", "2026-10"], ["--after", "1.2"], ["--after", "1.9e9.1.x"]],
)
@pytest.mark.usefixtures("empty_books")
def test_a_wrong_call_is_told(tollbook: Tollbook, wrong: list[str]) -> None:
    assert 2 == tollbook("usage", "near-duplicates", *wrong).code
