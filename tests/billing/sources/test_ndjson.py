"""Streams of lines: cut into chunks, numbered as an editor numbers them, safe against what breaks off or never ends."""

import gzip
import io
import json

import numpy as np
import pyarrow as pa
import pytest

from billing.chunks import Chunk
from billing.errors import StreamUnreadableError
from billing.payloads import LONGEST_LINE
from billing.receipts import OUTCOME_CODES, Finding, Outcome, Receipt, Taken
from billing.sources.ndjson import LARGEST_ARRAY, read_chunks, refused_lines, result_lines


def chunks_of(data: bytes, events: int = 1000) -> list[Chunk]:
    return list(read_chunks(io.BytesIO(data), events=events))


def lines_of(chunks: list[Chunk]) -> list[tuple[int, bytes]]:
    return [pair for chunk in chunks for pair in zip(chunk.lines, chunk.payloads, strict=True)]


def test_lines_are_numbered_from_one_and_blank_ones_skipped() -> None:
    assert [(1, b"a"), (4, b"b"), (5, b"c\r"), (7, b"d")] == lines_of(chunks_of(b"a\n\n\r\nb\nc\r\n\nd"))


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert [(1, b"a"), (2, b"\xef\xbb\xbfb")] == lines_of(chunks_of(b"\xef\xbb\xbfa\n\xef\xbb\xbfb"))


@pytest.mark.parametrize("data", [b"", b"\n", b"\n\r\n"])
def test_of_nothing_there_are_no_chunks(data: bytes) -> None:
    assert [] == chunks_of(data)


def test_chunks_have_at_most_so_many_events_and_bytes() -> None:
    data = b"".join(b"%d\n" % i for i in range(10))
    assert [4, 4, 2] == [len(chunk.payloads) for chunk in chunks_of(data, events=4)]
    long = b"".join(b"x" * 1000 + b"\n" for _ in range(5000))
    sizes = [len(chunk.payloads) for chunk in read_chunks(io.BytesIO(long), events=10**6, size=1 << 20)]
    assert 5000 == sum(sizes)
    assert max(sizes) < 1500


def test_gzip_is_recognised_by_its_first_bytes() -> None:
    data = b"".join(b"%d\n" % i for i in range(100_000))
    packed = gzip.compress(data[:1000]) + gzip.compress(data[1000:])
    assert lines_of(chunks_of(data)) == lines_of(chunks_of(packed))


@pytest.mark.parametrize("spoil", [lambda packed: packed[:-20], lambda packed: packed[:-8] + b"x" * 8])
def test_a_gzip_that_breaks_off_gives_its_whole_lines_and_then_says_where(spoil: object) -> None:
    data = "".join(f"{i * 7919 % 100_003}\n" for i in range(200_000)).encode()
    packed = spoil(gzip.compress(data))  # type: ignore[operator]
    found: list[Chunk] = []
    with pytest.raises(StreamUnreadableError, match=r"line [0-9]+: the stream breaks off") as raised:
        found.extend(read_chunks(io.BytesIO(packed)))
    whole = lines_of(found)
    assert whole == list(enumerate(data.split(b"\n")[: len(whole)], start=1))
    assert f"line {len(whole) + 1}" == raised.value.place


class Endless(io.RawIOBase):
    """A line without an end, of so many bytes."""

    def __init__(self, size: int, first: bytes = b"") -> None:
        self.left = size
        self.first = first

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        count = min(len(view), self.left)
        view[:count] = self.first + b"x" * (count - len(self.first))
        self.first = b""
        self.left -= count
        return count


def test_of_a_line_that_never_ends_only_so_much_is_kept_as_shows_it() -> None:
    (chunk,) = read_chunks(io.BufferedReader(Endless(50 << 20)))
    assert [LONGEST_LINE + 1] == [len(payload) for payload in chunk.payloads]


def test_what_follows_a_line_that_is_too_long_is_read() -> None:
    assert [(1, LONGEST_LINE + 1), (2, 1)] == [
        (line, len(payload)) for line, payload in lines_of(chunks_of(b"x" * (3 << 20) + b"\na"))
    ]


ARRAY = b' \n[{"a": [1, 2]},\n  {"b": "],"}, 3\n]\n'


@pytest.mark.parametrize(
    "data", [ARRAY, b"\xef\xbb\xbf" + ARRAY, gzip.compress(ARRAY)], ids=["plain", "with a mark", "gzip"]
)
def test_the_items_of_an_array_are_payloads_numbered_from_one(data: bytes) -> None:
    chunks = chunks_of(data, events=2)
    assert [(1, b'{"a": [1, 2]}'), (2, b'{"b": "],"}'), (3, b"3")] == lines_of(chunks)
    assert [(2, "item"), (1, "item")] == [(len(chunk.payloads), chunk.noun) for chunk in chunks]
    assert [] == chunks_of(b"[]")


def test_a_long_array_is_cut_into_chunks_and_an_item_that_is_too_long_as_a_line_is() -> None:
    items = [b'{"n": %d}' % n for n in range(50_000)]
    found = chunks_of(b"[" + b",".join(items) + b"]", events=20_000)
    assert [20_000, 20_000, 10_000] == [len(chunk.payloads) for chunk in found]
    assert list(enumerate(items, start=1)) == lines_of(found)
    ((_, long), (_, short)) = lines_of(chunks_of(b'["%b", 1]' % (b"x" * (1 << 20))))
    assert (LONGEST_LINE + 1, b"1") == (len(long), short)


@pytest.mark.parametrize(
    "data", [b'[{"a": 1}, {"b"', b"[1] [2]", b"[1\n2]", b"[" * 100_000], ids=["cut", "two", "lines", "deep"]
)
def test_what_begins_as_an_array_and_is_none_is_refused_whole(data: bytes) -> None:
    with pytest.raises(StreamUnreadableError, match="is not a JSON array"):
        chunks_of(data)


def test_an_array_is_held_in_memory_only_up_to_a_limit() -> None:
    endless = Endless(LARGEST_ARRAY * 2, first=b"[")
    with pytest.raises(StreamUnreadableError, match="more than 64 MiB; write one object a line"):
        list(read_chunks(io.BufferedReader(endless)))
    assert endless.left > LARGEST_ARRAY - (1 << 20)


def taken_of(payloads: list[bytes]) -> Taken:
    """Four payloads: accepted, rejected, a duplicate, a conflict."""
    codes = [OUTCOME_CODES[o] for o in (Outcome.ACCEPTED, Outcome.REJECTED, Outcome.DUPLICATE, Outcome.CONFLICT)]
    findings = {1: Finding(pointer="/to", reason="wrong"), 3: Finding(pointer="", reason="other content")}
    receipt = Receipt(
        outcomes=np.array(codes, dtype=np.int8),
        findings=findings,
        zero_rated=np.zeros(len(codes), dtype=np.int8),
        row=np.array([3, 0, 2]),
        id=pa.array(["d", "a", "c"]),
        revision=np.array([4, 1, 3], dtype=np.int32),
    )
    return Taken(Chunk(payloads, [1, 5, 6, 9]), receipt)


def test_the_file_of_what_was_refused_has_the_lines_as_they_were() -> None:
    lines = [b"a", b'{"to": "\xff\xc3\xa9"}\r', b"c", b'[\n  "d"\r\n]']
    assert b'{"to": "\xff\xc3\xa9"} \n[   "d"  ]\n' == refused_lines(taken_of(lines))


@pytest.mark.parametrize(
    ("payload", "id_"),
    [(b'{"to": 1, "id": "b"}', "b"), (b'{"id": 7}', ""), (b"{}", ""), (b"nonsense", ""), (b'{"id": "\xff"}', ""),
     (b"[" * 60_000, ""), (b'{"id": "\\ud800"}', "")],
    ids=range(7),
)  # fmt: skip
def test_each_result_names_the_event_also_of_what_was_refused_if_it_has_an_id(payload: bytes, id_: str) -> None:
    written = [json.loads(line) for line in result_lines(taken_of([b"", payload, b"", b""])).splitlines()]
    assert ["a", id_, "c", "d"] == [each["id"] for each in written]
    assert [1, None, 3, 4] == [each["revision"] for each in written]
    said = {"line": 5, "id": id_, "revision": None, "outcome": "rejected", "pointer": "/to", "reason": "wrong"}
    assert said == written[1]
