"""Lists a page at a time: `limit` things after a `cursor`, which means nothing to whoever gets it."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from http import HTTPStatus
from typing import Annotated

import msgspec
from fastapi import Query

from billing.server.problems import ProblemError

MOST = 1000

Limit = Annotated[int, Query(ge=1, le=MOST, description="How many at most.")]
Cursor = Annotated[str, Query(max_length=2000, description="`next` of the page before; empty for the first page.")]


def cursor_of(place: tuple[str | int, ...]) -> str:
    """Where a page ended, as the cursor of the next one."""
    return urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def place_of(cursor: str, first: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Where the page before ended; `first` before the first page, whose parts say what a place is made of."""
    if not cursor:
        return first
    try:
        place = msgspec.json.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[str | int])
    except (msgspec.MsgspecError, Base64Error, ValueError):
        place = []
    if [type(part) for part in place] != [type(part) for part in first] or not _fits(place):
        detail = "the cursor is not one of this list: take `next` of the page before, or leave it out"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "cursor-invalid", detail)
    return tuple(place)


def _fits(place: list[str | int]) -> bool:
    """Whether the database can compare with it."""
    numbers = all(abs(part) < 1 << 63 for part in place if isinstance(part, int))
    return numbers and not any(re.search("[\x00\ud800-\udfff]", part) for part in place if isinstance(part, str))
