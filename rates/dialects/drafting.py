"""The text of a drafted mapping: what was guessed, with the reason and examples beside it, and what is left open."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from rates.dialects.dates import forms_of
from rates.dialects.headers import Header
from rates.dialects.looks import Look

Guesses = Mapping[str, tuple[Look, str]]
"""Key -> the column that it may be, and why."""

_JURISDICTIONS = ("interstate", "intrastate", "indeterminate")
_SIGNS = {"€": "EUR", "£": "GBP", "₹": "INR"}
_PLAIN_KEYS = ("destination", "origin_prefixes", "exact", "setup_fee", "effective_from", "currency")
_ANY = {"*", "any", "all"}
_LONGEST = 40
_LONG = 4


def draft(header: Header, guesses: Guesses, dates: str, at_times: Sequence[Look] = ()) -> tuple[str, list[str]]:
    """The TOML of a mapping, and what its reader must tell beside it, in words.

    `at_times` are columns of prices by the time of the week, of which none is the price.
    """
    tell: list[str] = []
    head = [*_head(header, guesses, dates, tell), *_numbers(guesses, at_times)]
    columns = ["", "[columns]", *_columns(header, guesses, tell)]
    prices = [line for block in _prices(header, guesses, at_times, tell) for line in block]
    return "\n".join([*head, *columns, *prices]) + "\n", tell


def _head(header: Header, guesses: Guesses, dates: str, tell: list[str]) -> Iterator[str]:
    messages = bool(guesses.keys() & {"mcc", "mccmnc"})
    jurisdictions = bool(guesses.keys() & set(_JURISDICTIONS))
    product = "sms.outbound" if messages else "trunk.termination" if jurisdictions else "voice.outbound"
    yield "# Drafted from the file: read it, mend it, and delete what is not so."
    yield f'product = "{product}"'
    yield f'unit = "{"segment" if messages else "minute"}"' + "  # what the prices are per: check it"
    currency = _currency(guesses)
    if "currency" not in guesses:
        yield f"currency = {_string(currency)}" if currency else '# currency = "USD"'
        if not currency:
            tell.append("the currency: --currency, or currency = in the mapping")
    if not messages and not guesses.keys() & {"increments", "first", "next"}:
        yield '# increments = "60/60"'
        tell.append("the increments, which no column has: --increments 60/60, 1/1, 6/6, ...")
    if "effective_from" in guesses:
        if dates:
            yield f"dates = {_string(dates)}"
        elif not all(re.match(r"\d{4}-\d{2}-\d{2}", text) for text in guesses["effective_from"][0].texts):
            texts = guesses["effective_from"][0].texts
            forms = [form for form in forms_of(texts[0]) if all(form in forms_of(text) for text in texts)]
            forms = forms or ["M/D/YYYY", "D/M/YYYY"]
            yield f"# dates = {_string(forms[0])}"
            shown = ", ".join(guesses["effective_from"][0].examples)
            tell.append(f"the order of day and month ({shown}): dates = {' or '.join(forms)}")
    if header.row < 0:
        yield from ("", "[file]", "header = false")


def _numbers(guesses: Guesses, at_times: Sequence[Look]) -> Iterator[str]:
    priced = [*at_times, *(guesses[key][0] for key in ("price", *_JURISDICTIONS) if key in guesses)]
    texts = [text for look in priced for text in look.texts]
    comma = [text for text in texts if re.search(r",\d+\D*$", text)]
    if comma and not any(re.search(r"\.\d+\D*$", text) for text in texts):
        yield from ("", "[numbers]", f'decimal = ","  # as in {comma[0]}')
        if any(re.search(r"\d\.\d{3},", text) for text in texts):
            yield 'group = "."'
    elif any(re.search(r"\d,\d{3}\.", text) for text in texts):
        yield from ("", "[numbers]", 'group = ","')


def _columns(header: Header, guesses: Guesses, tell: list[str]) -> Iterator[str]:
    yield from _codes(header, guesses, tell)
    yield from _increments(header, guesses, tell)
    yield from (_line(header, key, *guesses[key]) for key in _PLAIN_KEYS if key in guesses)
    if "effective_to" in guesses:
        name = _name(header, guesses["effective_to"][0])
        yield f"effective_to = {{column = {name}, inclusive = true}}  # check whether the last day counts"
    for key in ("mcc", "mnc", "mccmnc"):
        if key in guesses:
            name = _name(header, guesses[key][0])
            found = [text for text in guesses[key][0].texts if text.casefold() in _ANY]
            default = f"default = [{', '.join(map(_string, ['999', *found]))}]"
            yield f"{key} = {{column = {name}, {default}}}" if key != "mcc" else f"mcc = {name}"
    if "country" in guesses:
        unless = "mcc" if guesses.keys() & {"mcc", "mccmnc"} else "prefixes"
        yield f'country = {{column = {_name(header, guesses["country"][0])}, unless = "{unless}"}}'


def _increments(header: Header, guesses: Guesses, tell: list[str]) -> Iterator[str]:
    """A column of pairs or of single steps, or one of the first and one of the next; one without the other is told."""
    single, first, following = (guesses.get(key) for key in ("increments", "first", "next"))
    if single:
        yield _line(header, "increments", *single)
        left = [found[0].name for found in (first, following) if found]
        if left:
            names = " and ".join(left)
            tell.append(
                f"whether the increments are in {single[0].name}, as in the draft, or in {names} as first and next"
            )
    elif first and following:
        remark = _remark(following[0], f"{first[0].name} is the first, {following[0].name} the next")
        yield f"increments = {{first = {_name(header, first[0])}, next = {_name(header, following[0])}}}{remark}"
    elif known := first or following:
        name, which = _name(header, known[0]), ("first", "next") if first else ("next", "first")
        yield f'# increments = {{{which[0]} = {name}, {which[1]} = "?"}}'
        said = f"{known[0].name} may be the {which[0]}, and no column is the {which[1]}"
        tell.append(f"the increments: {said}; increments = {name} in the mapping if it is both")


def _codes(header: Header, guesses: Guesses, tell: list[str]) -> Iterator[str]:
    if {"npa", "nxx"} <= guesses.keys():
        parts = ", ".join(f"[{_name(header, guesses[key][0])}]" for key in ("npa", "nxx"))
        yield f'prefixes = {{parts = [{parts}], plan = "nanp"}}'
    elif "npanxx" in guesses:
        yield f'prefixes = {{column = {_name(header, guesses["npanxx"][0])}, hyphen = "join", plan = "nanp"}}'
    elif "prefixes" in guesses:
        yield _prefixes(header, *guesses["prefixes"], tell)
    elif not guesses.keys() & {"mcc", "mccmnc"}:
        yield '# prefixes = "?"'
        tell.append("the column of the prefixes: none looks like it")


def _prefixes(header: Header, look: Look, reason: str, tell: list[str]) -> str:
    options = ""
    signs = {sign for text in look.texts for sign in (",", ";", "|", "/") if sign in text}
    if len(signs) == 1:
        options += f", separator = {_string(signs.pop())}"
    hyphens = [text for text in look.texts if re.search(r"\d\s*-\s*\d", text)]
    if hyphens and all(_ranged(text) for text in hyphens):
        options += ', hyphen = "range"'
    elif hyphens:
        tell.append(f"what a hyphen in a code is ({hyphens[0]}): hyphen = range or join")
    return f"prefixes = {{column = {_name(header, look)}{options}}}{_remark(look, reason)}"


def _ranged(text: str) -> bool:
    """Whether every hyphen in a cell stands between ends of one length that begin alike: no area code does."""
    pairs = re.findall(r"(\d+)\s*-\s*(\d+)", text)
    return all(len(a) == len(b) >= _LONG and a[:2] == b[:2] and a <= b for a, b in pairs)


def _prices(header: Header, guesses: Guesses, at_times: Sequence[Look], tell: list[str]) -> Iterator[list[str]]:
    found = False
    if at_times:
        names = ", ".join(look.name for look in at_times)
        tell.append(f"the column of the price: {names} are prices by the time of the week, and a row of a deck has one")
        yield [
            "",
            "# [[prices]]",
            *(f"# column = {_name(header, look)}{_remark(look, 'by time')}" for look in at_times),
        ]
    for key, sets in (
        ("price", ""),
        *((name, f'jurisdiction = "{name}"') for name in _JURISDICTIONS),
        ("carrier_fee", 'element = "carrier_fee"'),
    ):
        if key in guesses:
            look, reason = guesses[key]
            found = True
            block = ["", "[[prices]]", f"column = {_name(header, look)}{_remark(look, reason)}"]
            block += [f"set = {{{sets}}}"] if sets else []
            yield block + (["optional = true"] if key == "carrier_fee" else [])
    if not found and not at_times:
        tell.append("the column of the price: none looks like it")
        yield ["", "# [[prices]]", '# column = "?"']


def _currency(guesses: Guesses) -> str:
    texts = [text for key in ("price", *_JURISDICTIONS) if key in guesses for text in guesses[key][0].texts]
    signs = {currency for sign, currency in _SIGNS.items() for text in texts if sign in text}
    codes = {match[0] for text in texts if (match := re.search("[A-Z]{3}", text))}
    return (signs | codes).pop() if len(signs | codes) == 1 else ""


def _line(header: Header, key: str, look: Look, reason: str) -> str:
    return f"{key} = {_name(header, look)}{_remark(look, reason)}"


def _name(header: Header, look: Look) -> str:
    named = header.row >= 0 and look.position < len(header.names) and header.names[look.position]
    return _string(header.names[look.position]) if named else str(look.position + 1)


def _remark(look: Look, reason: str) -> str:
    shown = ", ".join(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in look.examples)
    shown = "".join(c for c in shown if c.isprintable())
    return f"  # {reason}: {shown}" if shown else f"  # {reason}"


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
