"""Usage events of any form: events or rejects, the same alone and among others, however their JSON is written."""

import io
import json
import re
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from billing.errors import StreamUnreadableError
from billing.payloads import MAX_QUANTITY, Flat, read_payload
from billing.revisions import Void
from billing.sources.ndjson import read_chunks
from billing.usage import Parsed, parse
from tests.decks import PRODUCTS
from tests.fuzz.fuzzing import bounded, fuzz
from tests.fuzz.mutations import JSON_VALUES, altered, damaged

AT = datetime(2026, 10, 15, 12, tzinfo=UTC)
CALL = {
    "id": "CA0017", "account": "acme", "product": "voice.outbound", "occurred_at": "2026-10-02T10:11:12Z",
    "from": "+14155550123", "to": "+442079460000", "duration_seconds": "61", "status": "completed", "country": "GB",
}  # fmt: skip
MESSAGE = {
    "id": "SM1", "account": "acme", "product": "sms.outbound", "occurred_at": "2026-10-02T10:11:12.5+02:00",
    "source": "switch", "to": "+442079460000", "text": "Your code is 1234", "mcc": "234", "mnc": "01",
    "error_code": "30003",
}  # fmt: skip
OTHER = {
    "id": "x", "account": "acme", "product": "turn.relay", "occurred_at": "2026-10-02T10:11:12Z", "quantity": 12,
    "attributes": {"trunk_group": "a", "b": "c"}, "region": "eu", "revision": 1, "void": False,
    "rated_to": "+33123456789",
}  # fmt: skip
CLOUD = {
    "specversion": "1.0", "source": "switch", "id": "e1", "time": "2026-10-02T10:11:12Z", "subject": "acme",
    "type": "usage.voice.outbound", "datacontenttype": "application/json",
    "data": {"to": "+442079460000", "duration_seconds": 61.5},
}  # fmt: skip
VOID = {"id": "CA0017", "revision": 3, "void": True, "account": "acme"}
EVENTS = [CALL, MESSAGE, OTHER, CLOUD, VOID]
LINES = [json.dumps(event).encode() for event in EVENTS]
PLAIN = [json.dumps({**CALL, "id": f"plain{i}"}).encode() for i in range(70)]


def read(payloads: list[bytes]) -> Parsed:
    parsed = parse(payloads, source="switch", products=PRODUCTS, at=AT)
    assert len(payloads) == len(parsed.usage) + len(parsed.rejects) + len(parsed.voids)
    assert ((parsed.usage.measured >= 0) & (parsed.usage.measured <= MAX_QUANTITY)).all()
    assert (parsed.usage.occurred_at >= 0).all()
    for reject in parsed.rejects:
        assert reject.reason
        assert not re.search("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", reject.pointer + reject.reason)
    return parsed


def what(payload: bytes) -> object:
    """What a payload comes to by itself."""
    parsed = read([payload])
    if parsed.rejects:
        return parsed.rejects[0].pointer, parsed.rejects[0].reason
    if parsed.voids:
        return None, parsed.voids.id[0], int(parsed.voids.revision[0])
    return parsed.usage.fingerprint[0].as_py(), parsed.usage.id[0].as_py()


@fuzz(altered(EVENTS, JSON_VALUES), examples=80)
def test_an_event_of_strange_values_is_the_same_however_it_is_written(event: dict[str, Any]) -> None:
    payload = json.dumps(event).encode()
    alone = bounded(what, payload)
    for other in (
        json.dumps(event, separators=(",", ":")).encode(),
        json.dumps(event, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass"),
    ):
        again = what(other)
        # Half characters are JSON's only where they are escaped.
        assert again in (alone, ("", "is not UTF-8"))
    among = read([*PLAIN, payload])
    if isinstance(alone, tuple) and isinstance(alone[0], bytes):
        assert () == among.rejects
        assert alone == (among.usage.fingerprint[70].as_py(), among.usage.id[70].as_py())
    elif isinstance(alone, tuple) and alone[0] is None:
        assert ((), alone[1:]) == (among.rejects, (among.voids.id[0], among.voids.revision[0]))
    else:
        assert [(70, *alone)] == [(reject.row, reject.pointer, reject.reason) for reject in among.rejects]  # type: ignore[misc]


@fuzz(damaged(LINES), examples=80)
def test_a_damaged_event_is_taken_at_a_glance_as_it_is_with_care(payload: bytes) -> None:
    flat = bounded(read_payload, payload, "switch", PRODUCTS)
    glanced = what(payload)
    if isinstance(flat, Flat):
        # What is taken with care is written out, and is the same event again.
        assert flat.id == glanced[1] or glanced == ("/occurred_at", "is more than 24 hours ahead of the clock")  # type: ignore[index]
    elif isinstance(flat, Void):
        assert (None, flat.id, flat.revision) == glanced
    else:
        assert (flat.pointer, flat.reason) == glanced


@fuzz(damaged([b"\n".join(LINES * 2) + b"\n", b"[" + b",\n".join(LINES) + b"]", b"[]", b""]))
def test_a_damaged_stream_is_cut_into_payloads_or_refused(data: bytes) -> None:
    def chunks(**options: int) -> tuple[list[bytes], list[int], str]:
        payloads: list[bytes] = []
        lines: list[int] = []
        why = ""
        try:
            for chunk in read_chunks(io.BytesIO(data), **options):
                payloads += chunk.payloads
                lines += chunk.lines
        except StreamUnreadableError as error:
            why = str(error)
        return payloads, lines, why

    found = bounded(chunks)
    assert found == chunks(events=1, size=10)
    assert len(found[0]) == len(found[1])
    read(found[0])


@fuzz(st.lists(altered(EVENTS, JSON_VALUES), max_size=4))
def test_an_array_and_lines_of_events_are_the_same_payloads(events: list[dict[str, Any]]) -> None:
    lines = [json.dumps(event).encode() for event in events]

    def results(data: bytes) -> list[object]:
        return [what(payload) for chunk in read_chunks(io.BytesIO(data)) for payload in chunk.payloads]

    assert results(b"\n".join(lines)) == results(b"[" + b",".join(lines) + b"]")
