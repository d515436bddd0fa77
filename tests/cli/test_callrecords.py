"""`tollbook usage import --dialect`: call records into a real database, what is refused, what was reported twice."""

import json
from pathlib import Path

import pytest

from tests.callrecords import BYE, INVITE, asterisk, rows
from tests.cli.conftest import Ran, Tollbook

PLAN = ("--country-code", "33", "--trunk-prefix", "0", "--international-prefix", "00")
ASTERISK = ("--dialect", "asterisk", "--zone", "Europe/Paris", *PLAN)
KAMAILIO = ("--dialect", "kamailio", "--zone", "Europe/Paris", *PLAN)
SALES: dict[str, object] = {"accountcode": "acme-sales"}


def imported(tollbook: Tollbook, file: Path, *options: str | Path, source: str = "pbx-1") -> Ran:
    return tollbook("usage", "import", file, "--source", source, *options)


def counts(ran: Ran) -> dict[str, int]:
    told = json.loads(ran.out)
    return {
        key: told[key] for key in ("accepted", "quarantined", "duplicate", "conflict", "rejected", "near_duplicates")
    }


def total(tollbook: Tollbook) -> str:
    """What the account owes for October."""
    told = json.loads(tollbook("statement", "acme", "--period", "2026-10", "--format", "json").out)
    return str(told["total"])


def test_asterisks_calls_are_billed_once_however_often_their_file_comes(books: Path, tollbook: Tollbook) -> None:
    file = books / "Master.csv"
    calls = [
        SALES | {"uniqueid": "1.1"},  # 61 seconds: two minutes
        SALES | {"uniqueid": "1.2", "billsec": 0.4, "start": "2026-10-02 11:00:00"},  # one
        SALES | {"uniqueid": "1.3", "billsec": 0, "disposition": "NO ANSWER"},  # none
        SALES | {"uniqueid": "1.4", "dst": "1001"},  # an extension, which nothing prices
    ]
    file.write_bytes(asterisk(*calls))
    ran = imported(tollbook, file, *ASTERISK, "--format", "json")
    assert 4 == ran.code, ran.err
    expected = {"accepted": 3, "quarantined": 1, "duplicate": 0, "conflict": 0, "rejected": 0, "near_duplicates": 0}
    assert expected == counts(ran)
    assert "0.06" == total(tollbook)
    again = imported(tollbook, file, *ASTERISK, "--format", "json")
    assert {"duplicate": 4, "accepted": 0} == {key: counts(again)[key] for key in ("duplicate", "accepted")}
    assert "0.06" == total(tollbook)


def test_kamailios_pairs_are_calls_and_its_halves_are_refused(books: Path, tollbook: Tollbook) -> None:
    file, rejects, results = books / "acc.csv", books / "rejects.csv", books / "results.ndjson"
    file.write_bytes(rows([INVITE, BYE, {**INVITE, "callid": "open"}], header=True))
    told = (*KAMAILIO, "--account", "acme-sales", "--rejects", rejects, "--results", results, "--format", "json")
    ran = imported(tollbook, file, *told)
    assert 5 == ran.code, ran.err
    assert (1, 1) == (counts(ran)["accepted"], counts(ran)["rejected"])
    taken, refused = map(json.loads, results.read_text().splitlines())
    assert (2, "accepted") == (taken["line"], taken["outcome"])
    assert {"line": 4, "id": "", "outcome": "rejected", "pointer": "/method"} == {
        key: refused[key] for key in ("line", "id", "outcome", "pointer")
    }
    assert refused["reason"].startswith('has no BYE in this file: "INVITE"; import it together with the file that')
    head, _, _, lonely = file.read_text().splitlines()
    assert [head, lonely] == rejects.read_text().splitlines()
    assert "line 4 /method" in ran.err
    assert "0.04" == total(tollbook)
    # The next file has the end of the call; what was taken already counts once.
    file.write_bytes(rows([INVITE, BYE, {**INVITE, "callid": "open"}, {**BYE, "callid": "open"}], header=True))
    ran = imported(tollbook, file, *KAMAILIO, "--account", "acme-sales", "--format", "json")
    assert (1, 1, 0) == tuple(counts(ran)[key] for key in ("accepted", "duplicate", "rejected"))
    assert "0.08" == total(tollbook)


def test_what_was_not_taken_is_mended_and_imported_with_the_same_options(books: Path, tollbook: Tollbook) -> None:
    """Records that are no usage, and records of usage that is refused or was reported otherwise: all as they were."""
    file, rejects = books / "Master.csv", books / "rejects.csv"
    header = '"uniqueid","accountcode","src","dst","start","billsec","disposition"\n'
    record = '"{}","acme-sales","0123456789","00442079460000","2026-10-02 11:00:00","{}","{}"\n'.format
    lines = [record("1.1", 61, "ANSWERED"), record("1.2", 61, "?"), record("1.3", 999_999, "ANSWERED")]
    file.write_text("".join([header, *lines, record("1.1", 62, "ANSWERED")]))
    told = ("--dialect", "asterisk", "--zone", "Europe/Paris", *PLAN)
    ran = imported(tollbook, file, *told, "--rejects", rejects, "--format", "json")
    assert (5, {"accepted": 1, "conflict": 1, "rejected": 2}) == (
        ran.code,
        {key: counts(ran)[key] for key in ("accepted", "conflict", "rejected")},
    )
    text = rejects.read_text()
    assert header == text.splitlines(keepends=True)[0]
    assert sorted([lines[1], lines[2], record("1.1", 62, "ANSWERED")]) == sorted(text.splitlines(keepends=True)[1:])
    again = " ".join(("tollbook", "usage", "import", str(rejects), "--source", "pbx-1", "--dialect", "asterisk"))
    assert f"When they are mended: {again} --zone Europe/Paris" in ran.err
    rejects.write_text(text.replace('"?"', '"ANSWERED"').replace("999999", "61").replace('"1.1"', '"1.4"'))
    ran = imported(tollbook, rejects, *told, "--format", "json")
    assert (0, 3) == (ran.code, counts(ran)["accepted"]), ran.err
    assert "0.16" == total(tollbook)


def test_a_file_of_which_all_is_refused_stores_nothing_and_says_why(books: Path, tollbook: Tollbook) -> None:
    file = books / "Master.csv"
    file.write_bytes(asterisk(SALES | {"start": "2026-10-25 02:30:00"}))
    ran = imported(tollbook, file, *ASTERISK)
    assert 5 == ran.code
    assert "exists twice in Europe/Paris" in ran.err
    # With the offset that held, it is one instant.
    ran = imported(tollbook, file, "--dialect", "asterisk", "--zone", "+01:00", *PLAN, "--format", "json")
    assert (0, 1) == (ran.code, counts(ran)["accepted"])


def test_a_dry_run_says_what_is_refused_and_stores_nothing(books: Path, tollbook: Tollbook) -> None:
    file = books / "Master.csv"
    file.write_bytes(asterisk(SALES, SALES | {"disposition": "?"}))
    ran = imported(tollbook, file, *ASTERISK, "--dry-run")
    assert 5 == ran.code
    assert "line 2 /disposition is not a disposition that is known" in ran.err.replace("disposition:", "disposition")
    assert "0.00" == total(tollbook)


@pytest.mark.parametrize("columns", [16, 18])
def test_what_may_have_been_reported_twice_is_told_and_counts(books: Path, tollbook: Tollbook, columns: int) -> None:
    """A notice, exit 0; with --strict exit 4. Two calls may be equal; only a person knows."""
    file = books / "Master.csv"
    other = SALES | {"start": "2026-10-02 12:00:00", "uniqueid": "2.1"}
    calls = [SALES | {"uniqueid": "1.1"}, SALES | {"uniqueid": "1.2"}, other]
    file.write_bytes(asterisk(*calls, columns=columns))
    ran = imported(tollbook, file, *ASTERISK)
    assert 0 == ran.code, ran.err
    assert "1 event has the numbers, the start and the quantity of another, under another id" in ran.err
    assert "0.12" == total(tollbook)
    # Another switch reports the same calls: all three are near those of the first.
    ran = imported(tollbook, file, *ASTERISK, "--strict", "--format", "json", source="pbx-2")
    assert (4, 3) == (ran.code, counts(ran)["near_duplicates"])
    assert "as pbx-1/" in ran.err
    # The same file again is known by its ids, and near nothing.
    ran = imported(tollbook, file, *ASTERISK, "--strict", "--format", "json", source="pbx-2")
    assert (3, 0) == (counts(ran)["duplicate"], counts(ran)["near_duplicates"])


def test_calls_that_were_not_answered_are_near_nothing(books: Path, tollbook: Tollbook) -> None:
    file = books / "Master.csv"
    missed = SALES | {"billsec": 0, "disposition": "BUSY"}
    file.write_bytes(asterisk(missed | {"uniqueid": "1.1"}, missed | {"uniqueid": "1.2"}))
    assert 0 == counts(imported(tollbook, file, *ASTERISK, "--format", "json"))["near_duplicates"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--dialect", "avaya"), "is not a dialect"),
        (("--zone", "Europe/Paris"), "add --dialect"),
        (("--dialect", "asterisk", *PLAN), "its times have no zone"),
        (("--dialect", "asterisk", "--zone", "Europe/Atlantis", *PLAN), "is not a time zone"),
        (("--dialect", "asterisk", "--zone", "UTC"), "its numbers are as they were dialled"),
        (("--dialect", "asterisk", "--zone", "UTC", "--country-code", "33"), "state all three"),
        ((*ASTERISK, "--product", "voice.outer"), "is not a product"),
        ((*ASTERISK, "--column", "colour=src"), "is nothing that is read of it"),
        ((*ASTERISK, "--column", "account"), "is not KEY=VALUE"),
        (KAMAILIO, "names no account"),
    ],
)
def test_what_is_missing_is_a_wrong_call_before_anything_is_read(
    tmp_path: Path, tollbook: Tollbook, options: tuple[str, ...], problem: str
) -> None:
    file = tmp_path / "Master.csv"
    file.write_bytes(asterisk())
    ran = imported(tollbook, file, *options)
    assert 2 == ran.code
    words = " ".join(ran.err.replace("│", " ").split())
    assert problem in words or problem.replace("names", "name") in words
