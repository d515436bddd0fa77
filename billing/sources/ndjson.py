"""Streams of one JSON object a line, plain or gzipped, cut into chunks; and the file of what was not taken.

Memory is one chunk's, whatever the stream holds: of a line that is too long to be an event, only as much is kept as
shows that it is.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
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
    lines: list[int] = []
    held = 0
    try:
        for first, read in _lines(stream):
            waiting += read
            lines += range(first, first + len(read))
            held += sum(map(len, read))
            while len(waiting) >= events or held >= size:
                chunk, waiting, lines = _cut(waiting, lines, events)
                held = sum(map(len, waiting))
                if chunk.payloads:
                    yield chunk
    except StreamUnreadableError:
        yield from _last(waiting, lines)
        raise
    yield from _last(waiting, lines)


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


def _last(waiting: list[bytes], lines: list[int]) -> Iterator[Chunk]:
    chunk, _, _ = _cut(waiting, lines, len(waiting))
    if chunk.payloads:
        yield chunk


def _cut(waiting: list[bytes], lines: list[int], count: int) -> tuple[Chunk, list[bytes], list[int]]:
    payloads, numbers = waiting[:count], lines[:count]
    if any(blank in payloads for blank in _BLANK):
        kept = [i for i, payload in enumerate(payloads) if payload not in _BLANK]
        payloads, numbers = [payloads[i] for i in kept], [numbers[i] for i in kept]
    return Chunk(payloads, numbers), waiting[count:], lines[count:]


def _lines(stream: BinaryIO) -> Iterator[tuple[int, list[bytes]]]:
    """Whole lines as they come, with the number of the first (from 1)."""
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
        yield number, whole
        number += len(whole)
    if rest:
        yield number, [rest]


def _read(source: BinaryIO, number: int) -> bytes:
    try:
        return source.read(_BLOCK)
    except (OSError, EOFError, zlib.error) as error:
        raise StreamUnreadableError(
            f"the stream breaks off: {error}",
            place=f"line {number}",
            remedy="mend it and import it again: what was taken counts once",
        ) from error
