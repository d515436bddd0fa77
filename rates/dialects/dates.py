"""Dates in decks, in the order that is told. `8/6/2026` is a day in August or in June: it is never guessed which.

What ISO 8601 writes (`2026-08-06`, with a time or without) means one day only and is always understood.
"""

import re
from datetime import date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from rates.cards import instant
from rates.checking.cells import CellInvalidError, Check
from rates.errors import TollbookError
from rates.reading import in_utc

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TOKENS = {
    "YYYY": "(?P<year>[0-9]{4})",
    "YY": "(?P<year>[0-9]{2})",
    "MON": "(?P<name>[A-Za-z]{3})[a-z]*",
    "MM": "(?P<month>[0-9]{2})",
    "M": "(?P<month>[0-9]{1,2})",
    "DD": "(?P<day>[0-9]{2})",
    "D": "(?P<day>[0-9]{1,2})",
}
_TIME = r"(?:[ T](?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.0+)?)?)?"
_ISO = re.compile("(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})" + _TIME)
_CENTURY, _SHORT_YEAR = 2000, len("26")


class DatesInvalidError(TollbookError):
    """A text does not say how dates are written; `value` is the text."""


@cache
def date_pattern(form: str) -> re.Pattern[str]:
    """What a form of dates matches: `M/D/YYYY`, `D.M.YYYY`, `DD-MON-YY`, `YYYYMMDD`. Raises `DatesInvalidError`."""
    pieces = re.split(r"(YYYY|YY|MON|MM|M|DD|D)", form)
    groups = "".join(_TOKENS.get(piece, re.escape(piece)) for piece in pieces)
    named = [piece for piece in pieces if piece in _TOKENS]
    kinds = sorted("M" if piece == "MON" else piece[0] for piece in named)
    if kinds != ["D", "M", "Y"] or re.search("[A-Za-z0-9]", "".join(set(pieces) - set(named))):
        remedy = "name day, month and year once each, as in M/D/YYYY, D.M.YYYY or DD-MON-YY"
        raise DatesInvalidError("is not a form of dates", value=form, remedy=remedy)
    return re.compile(groups + _TIME)


def check_dates(form: str, timezone: str, *, inclusive: bool = False) -> Check:
    """Dates as told -> instants; a date is its 00:00 in the time zone, of the next day where it is the last of all."""

    def check(text: str) -> str:
        at = _read(text, form)
        try:
            if at.tzinfo is None:
                whole = at.time() == time()
                at = at.replace(tzinfo=ZoneInfo(timezone))
                if inclusive and whole:
                    if at.date() == date.max:  # as decks say that nothing ends: there is no day after it
                        return ""
                    at = datetime.combine(at.date() + timedelta(days=1), time(), at.tzinfo)
            return instant(in_utc(at))
        except ValueError:
            raise CellInvalidError("is beyond the calendar in UTC", value=text, remedy="mend the cell") from None

    return check


def forms_of(text: str) -> list[str]:
    """The forms in which a text is a date, by its signs and its digits: `01.10.26` -> `M.D.YY`, `D.M.YY`."""
    written = re.match(r"[0-9]+([^0-9A-Za-z ]?)[0-9A-Za-z]+\1([0-9]+)", text)
    if written is None:
        return []
    sign, year = written[1], "YY" if len(written[2]) == _SHORT_YEAR else "YYYY"
    orders = (("M", "D", year), ("D", "M", year), ("DD", "MON", year), ("YYYY", "M", "D"))
    forms = [sign.join(order) for order in orders] if sign else ["YYYYMMDD"]
    return [form for form in forms if _is_day(text, form)]


def _is_day(text: str, form: str) -> bool:
    found = date_pattern(form).fullmatch(text)
    try:
        return found is not None and bool(_built(found.groupdict()))
    except ValueError:
        return False


def _read(text: str, form: str) -> datetime:
    found = _ISO.fullmatch(text) or (date_pattern(form).fullmatch(text) if form else None)
    if found is None:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            at = None
        if at is not None and at.tzinfo is not None:
            return at
        forms = [f"dates={one}" for one in forms_of(text)]
        if form:
            remedy = f"mend it, or tell another form{', as in ' if forms else ''}{' or '.join(forms)}"
            raise CellInvalidError(f"is not a date as {form}", value=text, remedy=remedy)
        forms = forms or ["dates=M/D/YYYY", "dates=D/M/YYYY"]
        remedy = f"tell which, as in {' or '.join(forms)}; it is not guessed"
        raise CellInvalidError("is a date whose order of day and month is not told", value=text, remedy=remedy)
    try:
        return _built(found.groupdict())
    except ValueError:
        remedy = "check the order of day and month, and the cell"
        raise CellInvalidError("is no day of the calendar", value=text, remedy=remedy) from None


def _built(parts: dict[str, str | None]) -> datetime:
    year = parts["year"] or ""
    name = (parts.get("name") or "").lower()
    month = _MONTHS.index(name) + 1 if name else int(parts["month"] or 0)
    day = date(int(year) + (_CENTURY if len(year) == _SHORT_YEAR else 0), month, int(parts["day"] or 0))
    at = time(int(parts["hour"] or 0), int(parts["minute"] or 0), int(parts["second"] or 0))
    return datetime.combine(day, at)
