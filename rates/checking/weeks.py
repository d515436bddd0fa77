"""Whether the windows of rows tile the week: rows that match the same usage and differ in their windows only.

Such rows are a family. At each moment exactly one of those in force must hold an instant: by its window, or because it
has none and no window holds it.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.cards import Card, codes_and_values
from rates.checking.charges import has_tier_prices
from rates.checking.sheet import Sheet
from rates.checking.ties import lifetimes, match_keys
from rates.errors import Fault
from rates.prices import EVENT
from rates.products import Product
from rates.windows import Window, week_minute

Int64s = NDArray[np.int64]


class Member(NamedTuple):
    """A row of a family: its window, when it lives (microseconds), and why its events cannot be cut ("": they can)."""

    window: str
    start: int
    end: int
    uncut: str


class _Wrong(NamedTuple):
    """What is wrong with a family: at which of its members (by position), what, and what to do."""

    member: int
    problem: str
    remedy: str


def window_faults(card: Card, sheet: Sheet, products: Mapping[str, Product]) -> list[Fault]:
    """A fault for each family of rows whose windows overlap, leave gaps, or cannot split what they should."""
    if "window" not in card.rows.column_names:
        return []
    keys = match_keys(card.rows.drop_columns(["window"]))
    members, of_row = _members(card, products)
    has_window = np.array([bool(member.window) for member in members], dtype=np.bool_)[of_row]
    some = np.isin(keys.key, np.unique(keys.key[has_window[keys.row]]))
    row, key = keys.row[some], keys.key[some]
    order = np.lexsort((of_row[row], key))
    row, key = row[order], key[order]
    found: dict[bytes, _Wrong | None] = {}
    faults = []
    for rows in np.split(row, np.flatnonzero(np.diff(key)) + 1):
        kinds = of_row[rows]
        signature = kinds.tobytes()
        if signature not in found:
            found[signature] = _wrong([members[kind] for kind in kinds.tolist()], card.windows)
        wrong = found[signature]
        if wrong is None:
            continue
        at, name = int(rows[wrong.member]), members[int(kinds[wrong.member])].window
        place = sheet.at(at, "window")
        faults.append(Fault(place=place, value=name, problem=wrong.problem, remedy=wrong.remedy))
    return faults


def _members(card: Card, products: Mapping[str, Product]) -> tuple[list[Member], Int64s]:
    """The distinct members of families, and which of them each row is, int64[n]."""
    names = ("window", "product", "element", "unit", "prices", "steps", "tiers", "blocked")
    columns = [codes_and_values(card.rows, name) for name in names]
    starts, ends = lifetimes(card)
    packed = np.stack([*(codes.astype(np.int64) for codes, _ in columns), starts, ends])
    distinct, of_row = np.unique(packed, axis=1, return_inverse=True)
    members: dict[Member, int] = {}
    place = []
    for *codes, start, end in distinct.T.tolist():
        window, *cells = (values[code] for code, (_, values) in zip(codes, columns, strict=True))
        member = Member(window, start, end, _uncut(card, products, *cells))
        place.append(members.setdefault(member, len(members)))
    return list(members), np.array(place, dtype=np.int64)[of_row.reshape(-1)]


def _uncut(  # noqa: PLR0913, PLR0917 (the cells of a row)
    card: Card,
    products: Mapping[str, Product],
    product: str,
    element: str,
    unit: str,
    prices: str,
    steps: str,
    tiers: str,
    blocked: str,
) -> str:
    """Why an event on such a row cannot be cut at the edges of windows."""
    found = products.get(product)
    if found is not None and not found.timed:
        return f"{product} is not counted in seconds"
    if element:
        return "only usage is cut"
    if blocked:
        return ""
    if unit == EVENT:
        return "a price per event cannot be cut"
    if steps:
        return "steps run over the whole event"
    return "several tier prices cannot be cut" if has_tier_prices(prices, card.schedules.get(tiers)) else ""


def _wrong(family: list[Member], windows: Mapping[str, Window]) -> _Wrong | None:
    """What is wrong with a family at any time; of several things the first."""
    inside = {name: window.minutes() for name, window in windows.items()}
    for living in _times(family):
        named = [i for i in living if family[i].window]
        count = np.zeros_like(next(iter(inside.values())), dtype=np.int64)
        for i in named:
            minutes = inside[family[i].window]
            if (count[minutes] > 0).any():
                before = next(family[j].window for j in named if (inside[family[j].window] & minutes).any())
                remedy = "at each instant one window may hold: mend their days or hours"
                return _Wrong(i, f"overlaps window {before} for the same usage", remedy)
            count += minutes
        if named and len(named) == len(living) and not count.all():
            remedy = "add a row without a window, or with one for the rest of the week"
            return _Wrong(named[0], f"the windows for this usage leave gaps: {_gap(count)}", remedy)
        splitting = [i for i in named if windows[family[i].window].split]
        if splitting and len(splitting) < len(named):
            other = next(i for i in named if i not in splitting)
            problem = f"does not split, and {family[splitting[0]].window} for the same usage does"
            return _Wrong(other, problem, "let all windows of one usage split, or none")
        if splitting and (bad := next((i for i in living if family[i].uncut), None)) is not None:
            problem = f"splits an event, and {family[bad].uncut}"
            return _Wrong(bad, problem, "write split = false, or a window of its own")
    return None


def _times(family: list[Member]) -> Iterator[list[int]]:
    """The members that live together, at each time at which one begins or ends."""
    bounds = sorted({member.start for member in family} | {member.end for member in family})
    for at in bounds[:-1]:
        living = [i for i, member in enumerate(family) if member.start <= at < member.end]
        if living:
            yield living


def _gap(count: Int64s) -> str:
    """The first stretch of the week that nothing covers, and whether there are more."""
    bare = count == 0
    begins = np.flatnonzero(bare & ~np.roll(bare, 1)).tolist()
    ends = np.flatnonzero(~bare & np.roll(bare, 1)).tolist()
    first = begins[0]
    end = next((minute for minute in ends if minute > first), ends[0])
    more = f", and {len(begins) - 1} more" if len(begins) > 1 else ""
    return f"{week_minute(first)} to {week_minute(end)}{more}"
