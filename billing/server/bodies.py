"""Bodies of posted usage, cut into payloads: one JSON object, an array, lines, CloudEvents; plain or gzipped.

What is wrong with one payload is its own fault, and told with it. What is wrong with the body is a problem.
"""

import zlib
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from billing.errors import StreamUnreadableError
from billing.payloads import LONGEST_LINE
from billing.server.problems import ProblemError
from billing.sources.ndjson import items_of

LARGEST_BODY = 10 << 20
"""Bytes of a request's body, as it comes and unpacked."""

MOST_EVENTS = 50_000
"""Events of one request."""

_ARRAYS = frozenset({"application/cloudevents-batch+json"})
_OBJECTS = frozenset({"application/cloudevents+json"})
_EITHER = frozenset({"", "application/json"})
_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
MEDIA_TYPES = (*sorted(_EITHER - {""}), *sorted(_LINES), *sorted(_OBJECTS), *sorted(_ARRAYS))

_GZIP = 16 + zlib.MAX_WBITS
_MOST_MEMBERS = 1_000  # of a gzip: each costs a copy of all that follow it
_MOST_PIECES = 1_000_000  # what has more commas or lines than this is not taken apart to be counted
_WHITE = b" \t\r\n"


def payloads_of(body: bytes, headers: Mapping[str, str]) -> Sequence[bytes]:
    """The payloads of a body. Raises ProblemError for one that is none, or too large."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    text = _unpacked(body, headers.get("content-encoding", "").strip().lower())
    if kind in _LINES:
        found = _lines(text)
    elif kind in _ARRAYS or (kind in _EITHER and text.lstrip(_WHITE).startswith(b"[")):
        found = _items(text)
    elif kind in _OBJECTS | _EITHER:
        found = [text.strip(_WHITE)[: LONGEST_LINE + 1]] if text.strip(_WHITE) else []
    else:
        detail = f"usage is posted as {', '.join(MEDIA_TYPES)}"
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media-type-unknown", detail)
    if not found:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "body-empty", "the body has no event in it")
    return found


def _lines(text: bytes) -> list[bytes]:
    if text.count(b"\n") > _MOST_PIECES:
        raise _too_many()
    found = [line[: LONGEST_LINE + 1] for line in text.split(b"\n") if line not in {b"", b"\r"}]
    if len(found) > MOST_EVENTS:
        raise _too_many()
    return found


def _items(text: bytes) -> list[bytes]:
    if text.count(b",") > _MOST_PIECES:
        raise _too_many()
    try:
        found = items_of(text)
    except StreamUnreadableError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "body-unreadable", str(error)) from error
    if len(found) > MOST_EVENTS:
        raise _too_many()
    return found


def _unpacked(body: bytes, coding: str) -> bytes:
    """A body as it was before it was packed, of which no more is unpacked than may be."""
    if coding in {"", "identity"}:
        return body
    if coding != "gzip":
        detail = f"the content encoding {coding!r} is not known: send gzip, or none"
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "encoding-unknown", detail)
    text, members = bytearray(), 0
    while body:
        members += 1
        if members > _MOST_MEMBERS:
            detail = f"the gzip has more than {_MOST_MEMBERS:,} members"
            raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", detail)
        unpacking = zlib.decompressobj(_GZIP)
        try:
            text += unpacking.decompress(body, LARGEST_BODY + 1 - len(text))
        except zlib.error as error:
            raise ProblemError(HTTPStatus.BAD_REQUEST, "body-unreadable", f"the body is no gzip: {error}") from error
        if len(text) > LARGEST_BODY:
            detail = f"the body is more than {LARGEST_BODY:,} bytes unpacked"
            raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", detail)
        if not unpacking.eof:
            raise ProblemError(HTTPStatus.BAD_REQUEST, "body-unreadable", "the gzip breaks off")
        body = unpacking.unused_data
    return bytes(text)


def _too_many() -> ProblemError:
    detail = f"a request has at most {MOST_EVENTS:,} events"
    return ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "events-too-many", detail)
