"""Usage from files: NDJSON or a JSON array, plain or gzipped, or standard input."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cli.world import unreadable

DEFAULT_SOURCE = "usage"
"""The source of events that name none, where they are only rated and not stored."""


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file as a stream; `-` is standard input. Raises FileUnreadableError."""
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error
    with stream:
        yield stream


def payloads_in(path: Path) -> list[bytes]:
    """The usage events of a file, each as its JSON text, with a source. Raises StreamUnreadableError."""
    from billing.sources.ndjson import read_chunks

    with opened(path) as stream:
        found = [payload for chunk in read_chunks(stream) for payload in chunk.payloads]
    return [_with_source(payload) for payload in found]


def _with_source(payload: bytes) -> bytes:
    """The payload; one that names no source gets the default one."""
    if b'"source"' in payload or payload.lstrip()[:1] != b"{":
        return payload
    head, _, rest = payload.partition(b"{")
    comma = b"" if rest.lstrip()[:1] == b"}" else b", "
    return b'%b{"source": "%b"%b%b' % (head, DEFAULT_SOURCE.encode(), comma, rest)
