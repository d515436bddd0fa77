"""Call records of any kind: events or refusals with line, column and remedy, however the file is cut or written."""

import csv
import gzip
import io
import json
from datetime import UTC, datetime
from typing import Any, Literal

from hypothesis import strategies as st

from billing.chunks import Refused
from billing.errors import StreamUnreadableError
from billing.sources.callrecords import DIALECTS, CallRecords
from billing.sources.calls import Stated
from billing.usage import parse
from rates.quantities import MAX_SECONDS
from tests.callrecords import PARIS
from tests.decks import PRODUCTS
from tests.fuzz.fuzzing import bounded, fuzz
from tests.fuzz.mutations import TEXTS, damaged
from tests.fuzz.seeds import CALLS

AT = datetime(2026, 10, 15, 12, tzinfo=UTC)
NAMES = sorted(DIALECTS)
HEADED = {"kamailio", "twilio-calls", "twilio-messages"}
STATED = {
    name: Stated(zone=PARIS.zone, plan=PARIS.plan, account="acme" if name == "kamailio" else "") for name in NAMES
}
ROWS = {name: list(csv.reader(io.StringIO(CALLS[name]))) for name in NAMES}
Found = tuple[list[dict[str, Any]], list[Refused], str]


def taken(name: str, data: bytes, *, records: int = 1000) -> Found:
    """The events, the refusals, and why the file broke off; with the promises that any reading keeps."""
    events: list[dict[str, Any]] = []
    refused: list[Refused] = []
    file = CallRecords(dialect=DIALECTS[name], stated=STATED[name], file="calls.csv")
    broke = ""
    try:
        for chunk in file.chunks(io.BytesIO(data), records=records):
            assert len(chunk.payloads) == len(chunk.lines)
            events += map(json.loads, chunk.payloads)
            refused += chunk.refused
            parsed = parse(chunk.payloads, source="switch", products=PRODUCTS, at=AT)
            assert len(chunk.payloads) == len(parsed.usage) + len(parsed.rejects)
            assert ((parsed.usage.measured >= 0) & (parsed.usage.measured <= MAX_SECONDS)).all()
    except StreamUnreadableError as error:
        broke = str(error)
    for each in refused:
        assert each.line >= 1
        assert each.problem
        assert each.remedy
    if file.latest:  # what is asked for near-duplicates
        assert datetime.fromisoformat(file.earliest) <= datetime.fromisoformat(file.latest)
    return events, refused, broke


def apart(found: Found) -> object:
    """What a file comes to, without how its lines end."""
    events, refused, broke = found
    return events, [each._replace(original=b"") for each in refused], broke


@fuzz(st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), damaged([CALLS[name].encode()]))))
def test_damaged_call_records_are_taken_or_refused(file: tuple[str, bytes]) -> None:
    name, data = file
    found = bounded(taken, name, data)
    assert found == taken(name, data)
    assert found == taken(name, gzip.compress(data)) or data.startswith(b"\x1f\x8b")
    if b"\r" not in data and not data.startswith((b"\xef\xbb\xbf", b"\xff", b"\xfe", b"PK", b"%", b"SQL", b"\x1f\x8b")):
        assert apart(found) == apart(taken(name, b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")))


@st.composite
def strange_calls(draw: st.DrawFn) -> tuple[str, list[list[str]]]:
    """A dialect, and calls of it of which some cells are strange; the lines have no ends inside."""
    name = draw(st.sampled_from(NAMES))
    rows = [list(row) for row in ROWS[name]]
    first = 1 if name in HEADED else 0
    rows += [list(row) for row in rows[first:]]
    for _ in range(draw(st.integers(1, 4))):
        row = draw(st.integers(first if draw(st.integers(0, 9)) else 0, len(rows) - 1))
        text = draw(st.sampled_from([text for text in TEXTS if not set(text) & set("\r\n")]))
        rows[row][draw(st.integers(0, len(rows[row]) - 1))] = text
    return name, rows


def written(rows: list[list[str]], *, quoted: bool = False) -> bytes:
    text = io.StringIO()
    way: Literal[0, 1] = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    csv.writer(text, quoting=way, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


@fuzz(strange_calls(), examples=30)
def test_strange_calls_are_the_same_however_they_are_written_and_cut(file: tuple[str, list[list[str]]]) -> None:
    name, rows = file

    plain = bounded(taken, name, written(rows))
    events, refused, _ = plain
    assert apart(plain) == apart(taken(name, written(rows, quoted=True)))
    cut = taken(name, written(rows), records=1)
    assert sorted(map(json.dumps, events)) == sorted(map(json.dumps, cut[0]))
    assert sorted(refused) == sorted(cut[1])
    if name != "kamailio":  # of which an INVITE stands before what repeats it
        first = 1 if name in HEADED else 0
        turned = taken(name, written([*rows[:first], *reversed(rows[first:])]))
        assert sorted(map(json.dumps, events)) == sorted(map(json.dumps, turned[0]))
        assert len(refused) == len(turned[1])
