"""How usage stands to limits, as rounds of watching leave it: the memory that whoever decides reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from billing.store.engine import Connection

_LOCK = int.from_bytes(b"watch")


class Round(NamedTuple):
    """The last round of watching that found something, by its number, and as of when all is known that was committed
    (None: never).
    """

    number: int
    at: datetime | None


class Concern(NamedTuple):
    """From which month on somebody wants to know how a payer stands; and from which on where that was known before."""

    since: date
    again: date


@dataclass(frozen=True, kw_only=True)
class Concerns:
    """What somebody wants to know of every payer (None: nothing), and what more of some, by their numbers."""

    everyone: Concern | None
    own: Mapping[int, Concern]

    @cached_property
    def _columns(self) -> Mapping[str, object]:
        """As the statement takes them, which is asked for much more often than they change."""
        every = self.everyone or Concern(date.max, date.max)
        return {
            "payers": _array(self.own),
            "since": _array(each.since for each in self.own.values()),
            "again": _array(each.again for each in self.own.values()),
            "every_since": every.since,
            "every_again": every.again,
            "first": min([every.again, *(each.again for each in self.own.values())]),
            "never": date.max,
        }


class Touched(NamedTuple):
    """A payer whose month has to be looked at, and how many changes of its totals there are."""

    payer: int
    changes: int


class Versions(NamedTuple):
    """By which books and limits usage was looked at."""

    books: int
    limits: int
    guards: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PayerState:
    """How a payer stands in a month, after so many changes of its totals, folded or not.

    `total_minor` None: nobody asked what the month comes to. `counters` are (schedule, owner, position, unit size),
    integers as texts; `days` digests of daily totals, which only rounds read; `spent` minor units by day and country;
    `known` the (country, destination) that are dear. `failed`: why nobody can tell what the month comes to now, all
    else being as of before that; "" where somebody can.
    """

    payer: int
    changes: int
    total_minor: int | None = None
    counters: Sequence[tuple[str, int, str, str]] = ()
    days: Mapping[str, int] = field(default_factory=dict)
    spent: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    known: Sequence[tuple[str, str]] = ()
    failed: str = ""


class BudgetState(NamedTuple):
    """What the window of a trigger that begins on a day has come to."""

    trigger: int
    start: date
    used: int


class Firing(NamedTuple):
    """A trigger that fires, by its number, the window in which, and what this had come to."""

    trigger: int
    start: date
    end: date
    used: int


def lock_watching(connection: Connection) -> int:
    """Wait until nobody else watches, and hold that; the number of the next round."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    return last_round(connection).number + 1


def last_round(connection: Connection) -> Round:
    """The last round that was finished."""
    row = connection.execute("SELECT round, at FROM watch_rounds").fetchone()
    return Round(*row) if row else Round(0, None)


def read_progress(connection: Connection) -> tuple[Round, Versions]:
    """The last round, and the versions of the books and limits, in one statement."""
    row = connection.execute(_PROGRESS).fetchone()
    return (Round(*row[:2]), Versions(*row[2:])) if row else (Round(0, None), Versions(0, 0, 0))


def end_round(connection: Connection, number: int, at: datetime) -> None:
    """Note a round as finished, in the transaction that wrote what it found; its number is the last one's where that
    was nothing.
    """
    connection.execute("UPDATE watch_rounds SET round = %s, at = greatest(at, %s)", [number, at])


def touched_months(
    connection: Connection, concerns: Concerns, versions: Versions, month: date, guarded: date
) -> dict[date, list[Touched]]:
    """The payers to look at, by month: of those of whom somebody wants to know, with changes of the totals since, from
    `month` on also those that were looked at by other books or limits, and from `guarded` on by other guards; and all
    of whom nobody could tell.

    A change is there for good, folded or not: where there are as many as before, there are the same.
    """
    found: dict[date, list[Touched]] = {}
    about = {**versions._asdict(), **concerns._columns, "month": month, "guarded": guarded}  # noqa: SLF001 (its own module)
    rows = connection.execute(_TOUCHED, about)
    for first, payer, changes in rows:
        found.setdefault(first, []).append(Touched(payer, changes))
    return found


def read_states(
    connection: Connection, month: date, payers: Sequence[int], versions: Versions
) -> dict[int, PayerState]:
    """How payers stood in a month when they were looked at last, those who were by the same books and limits.

    Of whom nobody could tell, all is to be looked at.
    """
    rows = connection.execute(
        f"SELECT {_STATE}, days FROM payer_states"  # noqa: S608
        f" WHERE month = %s AND payer_id = ANY(%s) AND failed IS NULL AND {_SAME}",
        [month, list(payers), *versions],
    )
    return {state.payer: state for state in (_state(*row) for row in rows)}


def states_since(connection: Connection, number: int, months: Sequence[date]) -> dict[tuple[date, int], PayerState]:
    """How payers stand in some months, or with something known of any, as rounds after this one found it.

    After the first read (of all rounds, since -1) also with nothing known any more.
    """
    rows = connection.execute(
        f"SELECT month, {_STATE} FROM payer_states"  # noqa: S608
        " WHERE round > %(round)s AND (%(round)s >= 0 OR month = ANY(%(months)s)"
        " OR total_minor IS NOT NULL OR known <> '[]' OR failed IS NOT NULL)",
        {"round": number, "months": list(months)},
    )
    return {(month, payer): _state(payer, *rest) for month, payer, *rest in rows}


def note_changes(connection: Connection, month: date, changes: Mapping[int, int]) -> None:
    """Note how many changes of their totals left payers as they stood in a month: nobody reads that anew."""
    if changes:
        connection.execute(_NOTE, [[*changes], [*changes.values()], month])


def write_states(
    connection: Connection, month: date, states: Sequence[PayerState], versions: Versions, number: int
) -> None:
    """Write how payers stand in a month, as of a round."""
    columns = [
        [each.payer for each in states],
        [each.changes for each in states],
        [each.total_minor for each in states],
        *([Jsonb(getattr(each, name)) for each in states] for name in ("counters", "days", "spent", "known")),
    ]
    connection.execute(_WRITE, [month, *versions, number, *columns])


def write_failures(
    connection: Connection, month: date, failed: Mapping[int, str], versions: Versions, number: int
) -> int:
    """Write of which payers nobody can tell what a month comes to, and why, as of the round that found it first.

    Gives how many of them are news.
    """
    if not failed:
        return 0
    return connection.execute(_FAIL, [month, *versions, number, list(failed), list(failed.values())]).rowcount


def read_budgets(connection: Connection, since: Mapping[int, date], end: date) -> list[BudgetState]:
    """What windows of some triggers have come to that begin from a day of each on, and before the end."""
    rows = connection.execute(
        "SELECT trigger_id, window_start, used FROM unnest(%s::integer[], %s::date[]) AS asked (trigger_id, since)"
        " JOIN budget_states USING (trigger_id) WHERE window_start >= since AND window_start < %s",
        [_array(since), _array(since.values()), end],
    )
    return [BudgetState(trigger, start, int(used)) for trigger, start, used in rows]


def budgets_since(connection: Connection, number: int, first: date) -> list[BudgetState]:
    """What windows that begin on a day or later have come to, as rounds after this one found it."""
    rows = connection.execute(
        "SELECT trigger_id, window_start, used FROM budget_states WHERE round > %s AND window_start >= %s",
        [number, first],
    )
    return [BudgetState(trigger, start, int(used)) for trigger, start, used in rows]


def write_budgets(connection: Connection, states: Sequence[BudgetState], number: int) -> None:
    """Write what windows of budgets have come to, as of a round."""
    columns = [list(column) for column in zip(*states, strict=True)] or [[], [], []]
    connection.execute(
        "INSERT INTO budget_states (round, trigger_id, window_start, used)"
        " SELECT %s, * FROM unnest(%s::integer[], %s::date[], %s::numeric[])"
        " ON CONFLICT (trigger_id, window_start) DO UPDATE SET round = excluded.round, used = excluded.used",
        [number, *columns],
    )


def write_firings(connection: Connection, firings: Sequence[Firing], at: datetime) -> list[Firing]:
    """Note that triggers fire; those that had not fired in their windows."""
    columns = [list(column) for column in zip(*firings, strict=True)] or [[], [], [], []]
    rows = connection.execute(
        "INSERT INTO trigger_firings (fired_at, trigger_id, window_start, window_end, used)"
        " SELECT %s, * FROM unnest(%s::integer[], %s::date[], %s::date[], %s::numeric[])"
        " ON CONFLICT (trigger_id, window_start) DO NOTHING RETURNING trigger_id, window_start",
        [at, *columns],
    ).fetchall()
    new = set(rows)
    return [each for each in firings if (each.trigger, each.start) in new]


def _state(payer: int, changes: int, total: int | None, *rest: Any) -> PayerState:  # noqa: ANN401 (as JSON has it)
    counters, spent, known, failed, *digests = rest
    return PayerState(
        payer=payer,
        changes=changes,
        total_minor=total,
        counters=[tuple(each) for each in counters],
        days=digests[0] if digests else {},
        spent=spent,
        known=[tuple(each) for each in known],
        failed=failed,
    )


def _array(values: Iterable[object]) -> str:
    """An array as PostgreSQL reads it, of numbers or days."""
    return "{" + ",".join(map(str, values)) + "}"


_PROGRESS = """
SELECT round, at, (SELECT version FROM book_version), version, guards FROM watch_rounds, limits_version
"""

_SAME = "(books, limits, guards) = (%s, %s, %s)"
_STATE = "payer_id, changes, total_minor, counters, spent, known, coalesce(failed, '')"

# Where nobody wants to know anything, what is not folded is not even read.
_TOUCHED = """
WITH days AS (
    SELECT payer_id, day, count(*) AS changes FROM unfolded
    WHERE %(first)s < %(never)s AND day >= %(first)s GROUP BY payer_id, day
), totals AS (
    SELECT month, payer_id, sum(changes)::bigint AS changes
    FROM (SELECT month, payer_id, folds AS changes FROM touched_months WHERE month >= %(first)s
          UNION ALL SELECT date_trunc('month', day::timestamp)::date, payer_id, changes FROM days
          UNION ALL SELECT month, payer_id, 0 FROM payer_states WHERE failed IS NOT NULL) AS parts
    GROUP BY month, payer_id
)
SELECT month, payer_id, totals.changes FROM totals
LEFT JOIN unnest(%(payers)s::integer[], %(since)s::date[], %(again)s::date[]) AS own (payer_id, since, again)
    USING (payer_id)
LEFT JOIN payer_states AS s USING (month, payer_id)
WHERE s.failed IS NOT NULL OR month >= least(again, %(every_again)s)
  AND (month >= least(since, %(every_since)s) OR s.payer_id IS NOT NULL)
  AND (s.changes IS DISTINCT FROM totals.changes
       OR month >= %(month)s AND (s.books, s.limits) <> (%(books)s, %(limits)s)
       OR month >= %(guarded)s AND s.guards <> %(guards)s)
ORDER BY month, payer_id
"""

# Texts of JSON go in binary: as text, each quotation mark in an array is written apart from the others.
_WRITE = """
INSERT INTO payer_states
    (month, books, limits, guards, round, payer_id, changes, total_minor, counters, days, spent, known)
SELECT %s, %s, %s, %s, %s, *
FROM unnest(%s::integer[], %s::bigint[], %s::bigint[], %b::jsonb[], %b::jsonb[], %b::jsonb[], %b::jsonb[])
ON CONFLICT (month, payer_id) DO UPDATE SET
    books = excluded.books, limits = excluded.limits, guards = excluded.guards, round = excluded.round,
    changes = excluded.changes, total_minor = excluded.total_minor, counters = excluded.counters, days = excluded.days,
    spent = excluded.spent, known = excluded.known, failed = NULL
"""

# What was known stays, and who was never looked at is as if there had been no change.
_FAIL = """
INSERT INTO payer_states AS held
    (month, books, limits, guards, round, payer_id, failed, changes, counters, days, spent, known)
SELECT %s, %s, %s, %s, %s, *, -1, '[]', '{}', '{}', '[]' FROM unnest(%s::integer[], %s::text[])
ON CONFLICT (month, payer_id) DO UPDATE SET failed = excluded.failed, round = excluded.round
WHERE held.failed IS DISTINCT FROM excluded.failed
"""

_NOTE = """
UPDATE payer_states AS s SET changes = seen.changes
FROM unnest(%s::integer[], %s::bigint[]) AS seen (payer_id, changes) WHERE s.payer_id = seen.payer_id AND month = %s
"""
