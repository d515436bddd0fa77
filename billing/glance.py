"""Plain payloads decoded: the fast way in front of reading them with care.

It says nothing about what is wrong with a payload that is not plain.
"""

from collections.abc import Sequence

import msgspec

from billing.payloads import LONGEST_LINE, Flat

_decode = msgspec.json.Decoder(Flat).decode


def is_plain(text: bytes) -> bool:
    """Whether text is ASCII without an escape: then what is decoded of it are the bytes that were sent."""
    return text.isascii() and b"\\" not in text and b"\x7f" not in text


def read_plain(payloads: Sequence[bytes]) -> list[Flat] | None:
    """What payloads state; None if any of them is not one flat JSON object of known fields, plain and short."""
    if not is_plain(b"".join(payloads)) or max(map(len, payloads), default=0) > LONGEST_LINE:
        return None
    try:
        return list(map(_decode, payloads))
    except (msgspec.MsgspecError, RecursionError):
        return None


def read_each(payloads: Sequence[bytes]) -> list[Flat | None]:
    """What each payload states; None for one that is not such."""
    return [_read(payload) for payload in payloads]


def _read(payload: bytes) -> Flat | None:
    try:
        return _decode(payload) if len(payload) <= LONGEST_LINE and is_plain(payload) else None
    except (msgspec.MsgspecError, RecursionError):
        return None
