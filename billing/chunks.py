"""Chunks: payloads that are taken in together, as a file or a switch gave them."""

from collections.abc import Sequence
from typing import NamedTuple

EVENTS_A_CHUNK = 20_000
"""Payloads that are one transaction, at most."""


class Refused(NamedTuple):
    """A record that is no payload to begin with: where it stands, what is wrong in which column, and what to do."""

    file: str
    line: int
    column: str
    value: str
    problem: str
    remedy: str
    original: bytes


class Chunk(NamedTuple):
    """Payloads that are taken in together, and the lines on which they stood in their stream (from 1).

    `noun` says what is counted: a line, or the item of an array. `refused` are records beside them, which stay out.
    Of records of another form, `originals` are what the payloads were made of, and `head` stands above them all.
    """

    payloads: Sequence[bytes]
    lines: Sequence[int]
    noun: str = "line"
    refused: Sequence[Refused] = ()
    originals: Sequence[bytes] = ()
    head: bytes = b""
