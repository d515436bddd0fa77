"""Damaged inputs: real files with bytes flipped, cut, repeated, mixed, and cells and values that are strange.

Two kinds: `damaged` is a file in which some bytes are wrong; `altered` is a table (of TOML or JSON) of which some
values are, so that what is written of it is well-formed.
"""

import copy
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

TEXTS = (
    "", " ", "\t", "0", "-0", "00", "1", "-1", "+1", "1.", ".5", "1,5", "1.234,5", "1,234.5", "0.0140", "1e3", "1E+12",
    "1e999999", "NaN", "nan", "sNaN", "Infinity", "-inf", "9" * 24, "9" * 25, "0." + "0" * 13 + "1", "9" * 5000,
    "0" * 5000 + "1", "1/" + "9" * 5000, "9" * 5000 + "-" + "9" * 5000, "0/0", "60/60", "1/0", "0/1", "60/6", "60",
    "6-6", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1000000000000", "315619200",
    "315619201", "٣", "\uff11\uff12", "1\u00a0000", "1\u202f000", "²", "½", "1_000", "0x1f", "true", "TRUE", "yes",
    "null", "None", "-", "0000-00-00", "0001-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31",
    "9999-12-31T23:59:59-14:00", "1999-12-31", "2000-01-01", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z",
    "2026-02-29", "2026-02-30", "2024-02-29", "2026-03-29 02:30:00", "2026-10-25 02:30:00", "2026-03-08T02:30:00",
    "2026-12-31T23:59:60Z", "2026-10-01T24:00:00Z", "2026-10-01", "2026-10-01T00:00:00Z", "2026-10-01 00:00",
    "20261001", "2026-W40-1", "2026-10-01T00:00:00.123456789Z", "2026-10-01T00:00:00+99:99",
    "2026-10-01T00:00:00+00:00:30", "1/2/2026", "31/12/9999", "12/31/26", "1-Jan-26", "Fri, 02 Oct 2026 10:11:12 +0000",
    "Fri, 02 Oct 99999999999999999999 10:11:12 +0000", "Fri, 02 Oct 2026 10:11:12 +99999999999999999999",
    "1791101472250000", "9999999999999999", "99999999999999999999", "44", "+44", "0044", "^44.*", "44 441", "44,441",
    "44;441", "4400-4499", "44-20", "1,204,250", "9.37E+11", "442", "1204", "999", "+442079460000", "00442079460000",
    "0612345678", "sip:help@example.com", "+", "+0", "tel:+44;x=1", "GB", "gb", "ZZ", "XK", "USD", "usd", "EUR",
    "$0.01", "0.01 €", "local", "ALL", "unknown", "event", "minute", "\ufeff", "\x00", "a\x00b", "\x0b", "\x0c", "\x1c",
    "\x1f", "\x7f", "\x85", "\u2028", "a\u2029b", "\u202e012", "\u200f", "\U0001f600", "e\u0301", "ǅ", "ß", "\u0131",
    "\u0130", '"', '""', '"a', 'a"b', "'", "\\", "\\u0000", "\r", "a\rb", "\n", "a\nb", ";", ",", "|", ",,,,", "sep=;",
    "=1+1", "#", "[", "]]", "[[rate]]", "{", "}", "*", "*a" * 300, "[" * 300, "(a+)+$", "../../etc/passwd", "/dev/zero",
    "x" * 300, "x" * 9000, " " * 9000, "'" * 9000, "1 " * 4500, ",1" * 4000, "Europe/Paris", "Europe",
    "Pacific/Kiritimati", "../UTC", "voice.outbound", "sms.outbound", "no.such",
)  # fmt: skip
"""Cells and texts at which readers stumble."""

BYTES = (
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x80", b"\x85", b"\r",
    b"\r\n", b"\n\n\n", b"\x1a", b'"', b'""', b"PK\x03\x04", b"\x1f\x8b", b"[" * 3000, b"{" * 3000, b'{"a":' * 1500,
    b"a." * 2000, b"-" * 2000, b"\n" * 200, b"# \n", b"\\ud800", b"\\u0000", b"0x" + b"f" * 5000,
)  # fmt: skip
_MARKS = rb'[,;\t\n"|=\[\]{}: ]'


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of some files, with a few things wrong with its bytes."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 5))):
        data = _hurt(draw, data, seeds)
    return data


def _hurt(draw: st.DrawFn, data: bytes, seeds: Sequence[bytes]) -> bytes:
    begin = draw(st.integers(0, len(data)))
    end = min(len(data), begin + draw(st.integers(0, 40)))
    match draw(st.integers(0, 7)):
        case 0:
            return data[:begin] + bytes([draw(st.integers(0, 255))]) + data[begin + 1 :]
        case 1:
            return data[:begin] + data[end:]
        case 2:
            return data[:end] + data[begin:end] * draw(st.integers(1, 20)) + data[end:]
        case 3:
            other = draw(st.sampled_from(seeds))
            cut = draw(st.integers(0, len(other)))
            return data[:begin] + other[cut : cut + draw(st.integers(0, 300))] + data[end:]
        case 4:
            return data[:begin] + draw(st.sampled_from(BYTES)) + data[begin:]
        case 5:
            return data[:begin]
        case _:
            return _with_cell(data, begin, draw(st.sampled_from(TEXTS)).encode("utf-8", "surrogatepass"))


def _with_cell(data: bytes, at: int, cell: bytes) -> bytes:
    """The data with what stands between two marks replaced."""
    before = max((found.end() for found in re.finditer(_MARKS, data[:at])), default=0)
    after = re.search(_MARKS, data[at:])
    return data[:before] + cell + (data[at + after.start() :] if after else b"")


# --- tables ---------------------------------------------------------------------------------------------------------

TOML_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from([0, 1, -1, 2**31, 2**63, 2**64, -(2**63), 10**30, True, False]),
    st.sampled_from([Decimal("1.5"), Decimal("nan"), Decimal("inf"), Decimal("1e400")]),
    st.sampled_from([
        date(1, 1, 1), date(9999, 12, 31), time(7, 32),
        datetime.fromisoformat("2026-10-01 00:00"), datetime(2026, 10, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-14))),
    ]),
    st.sampled_from([[], {}, [[]], [{}], [""], ["a", "a"], [1], {"a": 1}, {"": ""}, [[[[["x"]]]]], ["44"] * 50]),
)  # fmt: skip
JSON_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from(["\ud800", "a\udfff", "\ud83d\ude00"]),
    st.sampled_from(
        [None, True, False, 0, -1, 1, 61, 1.5, 1e22, 1e300, float("inf"), float("nan"), -0.0, 2**63, 10**400]
    ),
    st.sampled_from([[], {}, [[]], [{}], [None], ["a"], ["a", "b"], {"a": 1}, {"": ""}, ["ALL"], ["44", "ALL"]]),
)


@st.composite
def altered(draw: st.DrawFn, seeds: Sequence[Any], values: st.SearchStrategy[Any]) -> Any:  # noqa: ANN401 (any table)
    """One of some tables, with a few of its values replaced, removed, repeated or moved."""
    table = copy.deepcopy(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        places = list(_places(table))
        if not places:
            break
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        _alter(draw, holder, key, places, values)
    return table


def _places(value: Any) -> Any:  # noqa: ANN401
    """Where anything stands below a value: what it is in, and its key or index."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in below:
        yield value, key
        yield from _places(inner)


def _alter(draw: st.DrawFn, holder: Any, key: Any, places: Any, values: st.SearchStrategy[Any]) -> None:  # noqa: ANN401
    match draw(st.integers(0, 7)):
        case 0:
            del holder[key]
        case 1:
            other, where = places[draw(st.integers(0, len(places) - 1))]
            holder[key] = copy.deepcopy(other[where])
        case 2:
            known = places[draw(st.integers(0, len(places) - 1))][1]
            renamed = draw(st.sampled_from(TEXTS)) if draw(st.booleans()) else str(known)
            if isinstance(holder, dict):
                holder[renamed] = holder.pop(key)
            else:
                holder.insert(key, copy.deepcopy(holder[key]))
        case 3:
            holder[key] = [copy.deepcopy(holder[key]) for _ in range(draw(st.integers(0, 3)))]
        case _:
            holder[key] = copy.deepcopy(draw(values))
