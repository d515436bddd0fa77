"""Charges are due when a calendar says so: the closed form against a walk, day by day, written otherwise.

DESIGN 15, law 2, needs it ("Duplicates, permutations, batching … byte-identical totals"): what is due up to an instant
is the same in whatever steps one got there, and `<charge>/<n>` is the same thing for ever.
"""

import calendar
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from billing.accounts import Suspension
from billing.charges import Charge, ChargeId, Due, Every, Timing, begins_at, due_at, dues, posted_at
from billing.periods import ALWAYS

MONTHS = {"month": 1, "quarter": 3, "year": 12}
instants = st.datetimes(datetime(1996, 1, 1), datetime(2030, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
ends = st.datetimes(datetime(1999, 1, 1), datetime(2034, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def recurring(draw: st.DrawFn) -> Charge:
    """A charge that goes on; ends of months are drawn more often than they come."""
    begins = draw(instants)
    if draw(st.booleans()):
        begins = begins.replace(day=calendar.monthrange(begins.year, begins.month)[1])
    every, timing = draw(st.sampled_from(sorted(MONTHS))), draw(st.sampled_from(Timing))
    lead = draw(st.sampled_from([0, 1, 14, {"month": 27, "quarter": 88, "year": 364}[every]]))
    return Charge(
        id=ChargeId("c"),
        account="a",
        product="number.monthly",
        effective_from=begins,
        effective_to=draw(st.just(ALWAYS) | ends),
        every=Every(every),
        timing=timing,
        drift=draw(st.booleans()),
        lead_days=lead if timing is Timing.ADVANCE else 0,
    )


def walked(charge: Charge, until: datetime) -> list[datetime]:
    """The beginnings of terms up to two years after an instant, by going through the calendar day by day."""
    wanted, found = charge.effective_from.day, [charge.effective_from]
    day, months = charge.effective_from, 0
    while day < until + timedelta(days=800):
        day += timedelta(days=1)
        months += day.day == 1
        is_last = (day + timedelta(days=1)).day == 1
        if months and months % MONTHS[charge.every] == 0 and (day.day == wanted or (is_last and day.day < wanted)):
            found.append(day)
            wanted = day.day if charge.drift else wanted
    return found


def expected(charge: Charge, until: datetime) -> list[datetime]:
    """When it is due up to an instant, by the walk."""
    terms = list(pairwise(walked(charge, until)))
    charged = [(begins, closes) for begins, closes in terms if begins < charge.effective_to]
    if charge.timing is Timing.ARREARS:
        at = [closes for _, closes in charged]
    else:
        lead = timedelta(days=charge.lead_days)
        at = [begins - lead if number else begins for number, (begins, _) in enumerate(charged)]
    return [each for each in at if each <= until]


@given(recurring(), st.integers(0, 366 * 9), st.sampled_from([None, 0, -1]))
def test_what_is_due_is_what_a_walk_through_the_calendar_finds(charge: Charge, days: int, edge: int | None) -> None:
    until = charge.effective_from + timedelta(days=days)
    if edge is not None:  # exactly when something is due, or just before
        until = due_at(charge, 1 + days // 300) + edge * timedelta.resolution
    assert expected(charge, until) == [due.at for due in dues(charge, until)]


@given(recurring(), st.integers(1, 400))
def test_each_due_is_later_than_the_one_before_and_terms_tile_time(charge: Charge, number: int) -> None:
    assert due_at(charge, number) < due_at(charge, number + 1)
    assert begins_at(charge, number) < begins_at(charge, number + 1)
    assert due_at(charge, number) <= begins_at(charge, number + 1)


@given(recurring(), st.lists(instants, min_size=1, max_size=5, unique=True))
def test_what_is_due_does_not_depend_on_the_steps_in_which_one_got_there(charge: Charge, stops: list[datetime]) -> None:
    told: list[Due] = []
    for at in sorted(stops):
        told += dues(charge, at, first=len(told) + 1)
    assert list(dues(charge, max(stops))) == told


@given(recurring(), st.lists(instants, min_size=2, max_size=8, unique=True), instants)
def test_no_due_is_lost_or_early_by_suspensions(charge: Charge, edges: list[datetime], until: datetime) -> None:
    edges.sort()
    told = [Suspension(begins, closes) for begins, closes in zip(edges[::2], edges[1::2], strict=False)]
    suspended = [*told, Suspension(edges[-1])] if len(edges) % 2 else told
    found = list(dues(charge, until, suspended))
    assert list(range(1, len(found) + 1)) == [due.number for due in found]
    for due in found:
        plain = due_at(charge, due.number)
        inside = [each for each in suspended if each.begins <= plain < each.ends]
        assert due.at == (inside[0].ends if inside else plain)
        assert not any(each.begins <= due.at < each.ends for each in suspended)
    waiting = dues(charge, until, first=len(found) + 1)
    assert all(posted_at(each.at, suspended) > until for each in waiting)
