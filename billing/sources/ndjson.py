"""Streams of one JSON object a line, plain or gzipped, cut into chunks; and the file of what was not taken.

Memory is one chunk's, whatever the stream holds: of a line that is too long to be an event, only as much is kept as
shows that it is. A stream that begins with `[` is one JSON array, which is read whole, up to a limit.
"""

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import BinaryIO, cast

import msgspec

from billing.chunks import EVENTS_A_CHUNK, Chunk
from billing.errors import StreamUnreadableError
from billing.payloads import LONGEST_LINE
from billing.receipts import Taken

BYTES_A_CHUNK = 8 << 20
LARGEST_ARRAY = 64 << 20
"""Bytes of a JSON array, which is held in memory; a stream of lines may be of any length."""

_BLOCK = 1 << 18
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_BLANK = (b"", b"\r")
_ITEMS = 1000
_DEEPEST_BYTES = 1 << 20
# A text without an end is one token too, up to the end: else each quote in it would be tried as the beginning of one.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{},]', re.DOTALL)
_SIGN = re.compile(r"[ \t\r\n]*([\[,\]])[ \t\r\n]*")
_ON_ONE_LINE = bytes.maketrans(b"\n\r", b"  ")


class _Named(msgspec.Struct):
    id: str = ""


def read_chunks(stream: BinaryIO, *, events: int = EVENTS_A_CHUNK, size: int = BYTES_A_CHUNK) -> Iterator[Chunk]:
    """The payloads of a stream, at most `events` of them or about `size` bytes at a time. Blank lines are skipped.

    Of a JSON array, each element is a payload, and its place in the array, from 1, stands for its line.
    Raises StreamUnreadableError where the stream breaks off, after the payloads that were whole, and for an array that
    is none or too large.
    """
    blocks = unpacked(stream)
    begins = next(blocks, b"")
    is_array = begins.lstrip().startswith(b"[")
    groups = (_items if is_array else lines_of)(chain([begins], blocks))
    for chunk in _cut(groups, events, size):
        yield chunk._replace(noun="item") if is_array else chunk


def _cut(groups: Iterator[list[bytes]], events: int, size: int) -> Iterator[Chunk]:
    """What comes, in chunks."""
    waiting: list[bytes] = []
    first, held = 1, 0
    try:
        for lines in groups:
            waiting += lines
            held += sum(map(len, lines))
            while len(waiting) >= events or held >= size:
                whole, waiting = waiting[:events], waiting[events:]
                held = sum(map(len, waiting))
                yield from _chunk(whole, first)
                first += len(whole)
    except StreamUnreadableError:
        yield from _chunk(waiting, first)
        raise
    yield from _chunk(waiting, first)


def refused_lines(taken: Taken) -> bytes:
    """What was not taken of a chunk, as it was: to be mended and imported again.

    An item of an array that stands on several lines is put on one: in JSON, the end of a line is white space. Records
    of another form are what they were before they were payloads, without what stands above them in their file.
    """
    chunk, receipt = taken
    made_of = chunk.originals or [payload.translate(_ON_ONE_LINE) for payload in chunk.payloads]
    return b"".join(made_of[row] + b"\n" for row in receipt.refused())


def result_lines(taken: Taken) -> bytes:
    """What became of each payload of a chunk, one JSON object a line: line, id, revision, outcome, pointer, reason."""
    chunk, receipt = taken
    written, ids, revisions = [], receipt.ids(), receipt.revisions()
    for row, line in enumerate(chunk.lines):
        finding = receipt.findings.get(row)
        said = {
            "line": line,
            "id": ids[row] if row in ids else id_of(chunk.payloads[row]),
            "revision": revisions.get(row),
            "outcome": receipt.outcome(row),
            "pointer": finding.pointer if finding is not None else "",
            "reason": receipt.reason(row),
        }
        written.append(json.dumps(said, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
    return b"".join(written)


def id_of(payload: bytes) -> str:
    """The id that a payload names that is no event, "" if there is none to be read."""
    try:
        return msgspec.json.decode(payload, type=_Named).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def _chunk(lines: list[bytes], first: int) -> Iterator[Chunk]:
    """The payloads on some lines; none where there are none."""
    numbers: Sequence[int] = range(first, first + len(lines))
    if any(blank in lines for blank in _BLANK):
        numbers = [number for number, line in zip(numbers, lines, strict=True) if line not in _BLANK]
        lines = [line for line in lines if line not in _BLANK]
    if lines:
        yield Chunk(lines, numbers)


def lines_of(blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Whole lines as they come."""
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        rest = rest[: LONGEST_LINE + 1]
        yield whole
    if rest:
        yield [rest]


def _items(blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
    """The elements of an array as they were written, some at a time."""
    text = bytearray()
    for block in blocks:
        text += block
        if len(text) > LARGEST_ARRAY:
            raise StreamUnreadableError(
                f"a JSON array of more than {LARGEST_ARRAY >> 20} MiB",
                place="the stream",
                remedy="write one object a line, without the brackets and commas",
            )
    items = _elements(bytes(text))
    for start in range(0, len(items), _ITEMS):
        yield _cut_off(items[start : start + _ITEMS])


def items_of(text: bytes) -> list[bytes]:
    """The elements of a JSON array, each as it was written. Raises StreamUnreadableError if it is none."""
    return _cut_off(_elements(text))


def _cut_off(items: Sequence[msgspec.Raw | bytes]) -> list[bytes]:
    """As much of each item as shows what it is, or that it is too long to be an event."""
    return [bytes(item)[: LONGEST_LINE + 1] for item in items]


def _elements(text: bytes) -> Sequence[msgspec.Raw | bytes]:
    """The elements of an array. Half a character in one of them is its own fault, and none of the array's."""
    try:
        found: list[msgspec.Raw] = msgspec.json.decode(text, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        try:
            return _with_care(text)
        except RecursionError:
            return _by_brackets(text)
        except ValueError:
            raise StreamUnreadableError(
                f"begins with [ and is not a JSON array: {error}",
                place="the stream",
                remedy="write one object a line, or an array of them",
            ) from error
    return found


def _with_care(text: bytes) -> list[bytes]:
    """The same by the grammar of JSON alone, which has escapes of half characters. Raises ValueError."""
    array = text.decode()
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    items: list[bytes] = []
    at, sign = _sign(array, 0)
    while sign != "]":
        _, end = decoder.raw_decode(array, at)
        items.append(array[at:end].encode())
        at, sign = _sign(array, end)
    if at != len(array):
        raise ValueError("something stands after its end")
    return items


def _by_brackets(text: bytes) -> list[bytes]:
    """The same where one element is nested too deeply for anybody to read: that is its own fault too."""
    items, depth, begins = [], 0, 0
    for token in _TOKEN.finditer(text) if len(text) <= _DEEPEST_BYTES else ():
        sign = token[0]
        if depth == 1 and sign in b",]":
            items.append(text[begins : token.start()].strip())
        depth += (sign in b"[{") - (sign in b"]}")
        if depth == 1 and sign in b"[,":
            begins = token.end()
        if not depth:
            break
    if depth or not items or text[token.end() :].strip():
        problem = "begins with [ and is not a JSON array: it is nested too deeply"
        raise StreamUnreadableError(problem, place="the stream", remedy="write one object a line, or an array of them")
    return items


def _sign(array: str, at: int) -> tuple[int, str]:
    """Where the next element begins, and the bracket or comma before it."""
    found = _SIGN.match(array, at)
    if found is None:
        raise ValueError("neither a comma nor an end")
    return found.end(), found[1]


def unpacked(stream: BinaryIO) -> Iterator[bytes]:
    """A stream as it comes, unpacked, without a byte order mark."""
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[type-var]
    source: BinaryIO = buffered
    if buffered.peek(len(_GZIP)).startswith(_GZIP):
        source = cast("BinaryIO", gzip.GzipFile(fileobj=buffered))
    mark, line = _BOM, 1
    while block := _read(source, line):
        yield block.removeprefix(mark)
        mark, line = b"", line + block.count(b"\n")


def _read(source: BinaryIO, line: int) -> bytes:
    try:
        return source.read(_BLOCK)
    except (OSError, EOFError, zlib.error) as error:
        raise StreamUnreadableError(
            f"the stream breaks off: {error}",
            place=f"line {line}",
            remedy="mend it and import it again: what was taken counts once",
        ) from error
