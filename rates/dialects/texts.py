"""The text of a deck's file as it came: its encoding and its delimiter, found in it or told.

Neither is guessed where the file itself decides otherwise: a byte that an encoding does not have is a fault.
"""

import csv
import io
from collections import Counter
from itertools import islice

from rates.errors import TollbookError

DELIMITERS = (",", ";", "\t", "|")

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_LOOKED_AT = 50
_SAMPLE, _TENTH = 2000, 10
_SEPARATOR_LINE = "sep="


class FileUnclearError(TollbookError):
    """A deck's file cannot be read as text; `place` says where in it, as far as that is known."""


def decoded(data: bytes, encoding: str = "") -> tuple[str, str]:
    """The text of a file and the encoding that it is in: as told; else by its mark; else UTF-8, else Windows-1252.

    Line ends become LF. Raises `FileUnclearError`.
    """
    found = encoding or _encoding(data)
    try:
        text = data.decode(found)
    except LookupError:
        remedy = "write utf-8, utf-16 or cp1252"
        raise FileUnclearError("is not an encoding that is known here", value=encoding, remedy=remedy) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"is not {found}: byte 0x{data[error.start]:02x}"
        remedy = "save the file as CSV UTF-8, or tell its encoding"
        raise FileUnclearError(problem, place=str(line), remedy=remedy) from None
    text = text.removeprefix("\ufeff")
    return (text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text), found.removesuffix("-sig")


def delimiter_of(text: str) -> tuple[str, int]:
    """The delimiter of a text and the number of lines that only say so (`sep=;`, as spreadsheets write it).

    It is the one by which most of the first lines have the same number of cells, at least two; a comma where none has.
    """
    first = text[: text.find("\n") + 1].rstrip("\n").lower()
    if first.startswith(_SEPARATOR_LINE) and first[len(_SEPARATOR_LINE) :] in DELIMITERS:
        return first[-1], 1
    best, delimiter = (0, 0), ","
    for sign in DELIMITERS:
        widths = Counter(len(row) for row in top_rows(text, sign))
        widths.pop(1, None)
        widths.pop(0, None)
        if widths:
            width, rows = max(widths.items(), key=lambda item: (item[1], item[0]))
            best, delimiter = max((best, delimiter), ((rows, width), sign), key=lambda found: found[0])
    return delimiter, 0


def top_rows(text: str, delimiter: str) -> list[list[str]]:
    """The cells of the first rows of a text."""
    return list(islice(csv.reader(_lines(text), delimiter=delimiter), _LOOKED_AT))


def _lines(text: str) -> list[str]:
    """The first lines; of a quoted cell over several lines, each with its end."""
    end = 0
    for _ in range(_LOOKED_AT * 2):
        found = text.find("\n", end)
        if found < 0:
            end = len(text)
            break
        end = found + 1
    return list(io.StringIO(text[:end], newline="\n"))  # no other character ends a line, as Arrow reads it


def _encoding(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    sample = data[:_SAMPLE]
    if sample.count(0) * _TENTH > len(sample):
        # Of Latin letters and digits in UTF-16 every other byte is zero: which one says the order.
        return "utf-16-le" if sample[1::2].count(0) >= sample[::2].count(0) else "utf-16-be"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"
