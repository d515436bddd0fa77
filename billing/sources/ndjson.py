"""Streams of one JSON object a line, plain or gzipped, cut into chunks; and the file of what was not taken.

Memory is one chunk's, whatever the stream holds: of a line that is too long to be an event, only as much is kept as
shows that it is.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

from billing.errors import StreamUnreadableError
from billing.payloads import LONGEST_LINE, Chunk
from billing.receipts import Taken

EVENTS_A_CHUNK = 20_000
BYTES_A_CHUNK = 8 << 20

_BLOCK = 1 << 18
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_BLANK = (b"", b"\r")


def read_chunks(stream: BinaryIO, *, events: int = EVENTS_A_CHUNK, size: int = BYTES_A_CHUNK) -> Iterator[Chunk]:
    """The payloads of a stream, at most `events` of them or about `size` bytes at a time. Blank lines are skipped.

    Raises StreamUnreadableError where the stream breaks off, after the payloads that were whole.
    """
    waiting: list[bytes] = []
    first, held = 1, 0
    try:
        for lines in _lines(stream):
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
    """What was not taken of a chunk, one JSON object a line: line, outcome, pointer, reason, the original text."""
    chunk, receipt = taken
    written = []
    for row in receipt.refused():
        finding = receipt.findings[row]
        said = {
            "line": chunk.lines[row],
            "outcome": receipt.outcome(row),
            "pointer": finding.pointer,
            "reason": finding.reason,
            "original": chunk.payloads[row].decode("utf-8", "backslashreplace"),
        }
        written.append(json.dumps(said, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
    return b"".join(written)


def _chunk(lines: list[bytes], first: int) -> Iterator[Chunk]:
    """The payloads on some lines; none where there are none."""
    numbers: Sequence[int] = range(first, first + len(lines))
    if any(blank in lines for blank in _BLANK):
        numbers = [number for number, line in zip(numbers, lines, strict=True) if line not in _BLANK]
        lines = [line for line in lines if line not in _BLANK]
    if lines:
        yield Chunk(lines, numbers)


def _lines(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Whole lines as they come."""
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[type-var]
    source: BinaryIO = buffered
    if buffered.peek(len(_GZIP)).startswith(_GZIP):
        source = cast("BinaryIO", gzip.GzipFile(fileobj=buffered))
    rest, number = b"", 1
    while block := _read(source, number):
        if number == 1 and not rest:
            block = block.removeprefix(_BOM)
        *whole, rest = (rest + block).split(b"\n")
        rest = rest[: LONGEST_LINE + 1]
        yield whole
        number += len(whole)
    if rest:
        yield [rest]


def _read(source: BinaryIO, number: int) -> bytes:
    try:
        return source.read(_BLOCK)
    except (OSError, EOFError, zlib.error) as error:
        raise StreamUnreadableError(
            f"the stream breaks off: {error}",
            place=f"line {number}",
            remedy="mend it and import it again: what was taken counts once",
        ) from error
