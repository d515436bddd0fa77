"""A month of made-up usage, the same for the same seed: calls and messages as a platform's switches report them.

With what real streams have: events out of order, reported twice, reported again with other content, to prefixes that no
card prices, of an account that nobody knows. No number is anyone's on purpose: American ones are in exchange 555,
others end in zeros.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from billing.periods import Period
from rates.cards import Card, column
from rates.numbering import NANP

Texts = Any
"""Arrow strings, n rows."""

Dice = np.random.Generator
Int64s = NDArray[np.int64]

OFTEN_CALLED = (
    "44", "49", "33", "52", "91", "34", "39", "31", "353", "61", "81", "55", "63", "86", "46", "41", "32", "48", "972",
    "65", "27", "57", "971", "351", "90", "62", "",
)  # fmt: skip
"""Country codes in the order in which they are called; then all others."""

UNKNOWN_PREFIXES = ("8835100", "979", "8829999")
UNKNOWN_ACCOUNT = "closed-account"

ANSWERED = 0.86
UNKNOWN_PREFIX = 0.01
OF_UNKNOWN_ACCOUNT = 0.0005
HOURS_LATE = 0.01
REPEATED = 0.02
CONTRADICTED = 5

_THOUSAND = 1000
_WEEKDAYS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Clientele:
    """Accounts whose usage is alike: the first has the most, the card prices them, `mix` is what of a thousand."""

    accounts: Sequence[str]
    card: Card
    mix: Mapping[str, int]


DOLLARS = {"out": 410, "in": 190, "toll_free": 30, "abroad": 80, "sms": 200, "sms_in": 60, "sms_abroad": 30}
EUROS = {"abroad": 700, "sms_abroad": 300}


def write_month(path: Path, clienteles: Mapping[int, Clientele], month: Period, *, seed: int | None = None) -> int:
    """Write a month of so many events for each clientele as NDJSON, and give the number of lines: a little more."""
    dice = np.random.default_rng(int(f"{month.start:%Y%m%d}") if seed is None else seed)
    found = [_of_clientele(dice, who, events, month) for events, who in clienteles.items()]
    seconds = np.concatenate([at for at, _ in found])
    lines = pa.concat_arrays([texts for _, texts in found])
    again = dice.choice(len(lines), int(len(lines) * REPEATED), replace=False)
    other = again[:CONTRADICTED]
    rows = [lines, lines.take(pa.array(again[CONTRADICTED:])), _with_other_content(lines.take(pa.array(other)))]
    when = np.concatenate([seconds, seconds[again[CONTRADICTED:]] + 3600, seconds[other] + 7200])
    arrival = when + dice.exponential(60, len(when)) + np.where(dice.random(len(when)) < HOURS_LATE, 6 * 3600, 0)
    ordered = pa.concat_arrays(rows).take(pa.array(np.argsort(arrival, kind="stable")))
    path.write_text("".join(ordered.to_pylist()), encoding="utf-8")
    return len(ordered)


def _of_clientele(dice: Dice, who: Clientele, events: int, month: Period) -> tuple[Int64s, Texts]:
    """The seconds of the month and the lines of some events."""
    weights = 1 / np.arange(1, len(who.accounts) + 1)
    account = _pick(dice, who.accounts, events, weights / weights.sum())
    account = pc.if_else(pa.array(dice.random(events) < OF_UNKNOWN_ACCOUNT), UNKNOWN_ACCOUNT, account)
    kinds = dice.choice(list(who.mix), events, p=np.array(list(who.mix.values())) / _THOUSAND)
    seconds = _by_day_and_hour(dice, events, month)
    lines, places = [], []
    for kind in who.mix:
        some = np.flatnonzero(kinds == kind)
        own = _KINDS[kind](dice, len(some), who.card)
        fields = {"id": _ids(dice, len(some)), "account": account.take(pa.array(some)), **own}
        fields["occurred_at"] = _instants(dice, seconds[some], month)
        lines.append(_objects(fields))
        places.append(some)
    return seconds[np.concatenate(places)], pa.concat_arrays(lines)


def _call(dice: Dice, n: int, product: str, to: Texts, from_: Texts) -> dict[str, Texts]:
    """A leg: most are answered, for a minute and a half in the middle."""
    answered = dice.random(n) < ANSWERED
    seconds = np.minimum(dice.lognormal(4.5, 1.0, n) + 1, 10_800).astype(np.int64)
    status = _pick(dice, ["busy", "no-answer", "failed", "canceled"], n)
    return {
        "product": _all(product, n),
        "from": from_,
        "to": to,
        "duration_seconds": _text(np.where(answered, seconds, 0)),
        "status": pc.if_else(pa.array(answered), "completed", status),
    }


def _message(dice: Dice, n: int, product: str, to: Texts, from_: Texts) -> dict[str, Texts]:
    status = _pick(dice, ["delivered", "undelivered", "failed"], n, np.array([0.95, 0.02, 0.03]))
    failed = pc.equal(status, "failed")
    error = pc.if_else(failed, _pick(dice, ["30003", "30005", "30450"], n), pa.scalar(None, pa.string()))
    inbound = product == "sms.inbound"
    return {
        "product": _all(product, n),
        "from": from_,
        "to": to,
        "segments": _text(np.minimum(dice.geometric(0.7, n), 6)),
        "status": _all("received", n) if inbound else status,
        "error_code": pa.nulls(n, pa.string()) if inbound else error,
    }


def _toll_free(dice: Dice, n: int, _: Card) -> dict[str, Texts]:
    to = pc.binary_join_element_wise("+1", _pick(dice, ["800", "888", "877"], n), "555", _digits(dice, n, 4), "")
    call = _call(dice, n, "voice.inbound", to, _american(dice, n))
    return {**call, "number_type": _all("toll_free", n), "country": _all("US", n)}


def _abroad(dice: Dice, n: int, card: Card) -> dict[str, Texts]:
    return _call(dice, n, "voice.outbound", _foreign(dice, n, card), _american(dice, n))


def _message_abroad(dice: Dice, n: int, card: Card) -> dict[str, Texts]:
    return _message(dice, n, "sms.outbound", _foreign(dice, n, card), _american(dice, n))


_KINDS: Mapping[str, Callable[[Dice, int, Card], dict[str, Texts]]] = {
    "out": lambda dice, n, _: _call(dice, n, "voice.outbound", _american(dice, n), _american(dice, n)),
    "in": lambda dice, n, _: _call(dice, n, "voice.inbound", _american(dice, n), _american(dice, n)),
    "toll_free": _toll_free,
    "abroad": _abroad,
    "sms": lambda dice, n, _: _message(dice, n, "sms.outbound", _american(dice, n), _american(dice, n)),
    "sms_in": lambda dice, n, _: _message(dice, n, "sms.inbound", _american(dice, n), _american(dice, n)),
    "sms_abroad": _message_abroad,
}
"""What usage there is: the fields of n events of a kind."""


def _american(dice: Dice, n: int) -> Texts:
    areas = [*NANP["US"].split(), *NANP["CA"].split()]
    return pc.binary_join_element_wise("+1", _pick(dice, areas, n), "555", _digits(dice, n, 4), "")


def _foreign(dice: Dice, n: int, card: Card) -> Texts:
    """Numbers below prefixes that the card prices, of some countries most often; and a few below none."""
    cells = column(card.rows, "prefixes").cast(pa.string()).to_pylist()
    known = sorted({prefix for cell in cells for prefix in cell.split()} - {"1"})
    often = sorted(known, key=lambda prefix: next(i for i, code in enumerate(OFTEN_CALLED) if prefix.startswith(code)))
    weights = np.arange(1, len(known) + 1) ** -1.2
    prefix = _pick(dice, often, n, weights / weights.sum())
    strange = pa.array(dice.random(n) < UNKNOWN_PREFIX)
    prefix = pc.if_else(strange, _pick(dice, UNKNOWN_PREFIXES, n), prefix)
    return pc.binary_join_element_wise("+", prefix, _digits(dice, n, 4), "000", "")


def _by_day_and_hour(dice: Dice, n: int, month: Period) -> Int64s:
    """Seconds of the month: more by day than by night, more on weekdays than on Sundays."""
    hours = np.exp(-((np.arange(24) - 17) ** 2) / 40) + 0.1
    length = (month.end - month.start).days
    days = np.where((np.arange(length) + month.start.weekday()) % 7 >= _WEEKDAYS, 0.4, 1.0)
    day = dice.choice(length, n, p=days / days.sum())
    hour = dice.choice(24, n, p=hours / hours.sum())
    return (day * 24 + hour) * 3600 + dice.integers(0, 3600, n)


def _instants(dice: Dice, seconds: Int64s, month: Period) -> Texts:
    micros = (int(month.opens.timestamp()) + seconds) * 1_000_000 + dice.integers(0, 1000, len(seconds)) * 1000
    return pc.strftime(pa.array(micros).cast(pa.timestamp("us")), format="%Y-%m-%dT%H:%M:%SZ")


def _with_other_content(lines: Texts) -> Texts:
    """The same events, reported with another status: which of the two is true, no machine can say."""
    return pc.replace_substring_regex(lines, '"status": "[a-z-]+"', '"status": "unknown"')


def _objects(fields: Mapping[str, Texts]) -> Texts:
    """One JSON object a line; a field without a value is left out. Nothing here needs an escape."""
    members = [pc.binary_join_element_wise(f'"{key}": "', values, '"', "") for key, values in fields.items()]
    return pc.binary_join_element_wise("{", _joined(members), "}\n", "")


def _joined(members: Sequence[Texts]) -> Texts:
    return pc.binary_join_element_wise(*members, ", ", null_handling="skip")


def _ids(dice: Dice, n: int) -> Texts:
    return pa.array([f"CA{number:016x}" for number in dice.integers(0, 1 << 63, n).tolist()])


def _digits(dice: Dice, n: int, count: int) -> Texts:
    return pc.utf8_lpad(_text(dice.integers(0, 10**count, n)), count, "0")


def _pick(dice: Dice, of: Sequence[str], n: int, weights: NDArray[np.float64] | None = None) -> Texts:
    return pa.array(list(of)).take(pa.array(dice.choice(len(of), n, p=weights)))


def _all(word: str, n: int) -> Texts:
    return pa.array([word]).take(pa.array(np.zeros(n, dtype=np.int64)))


def _text(numbers: Int64s) -> Texts:
    return pa.array(numbers).cast(pa.string())
