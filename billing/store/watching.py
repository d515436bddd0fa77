"""How usage stands to limits, as rounds of watching leave it: the memory that whoever decides reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from billing.store.engine import Connection

_LOCK = int.from_bytes(b"watch")


class Round(NamedTuple):
    """A round of watching by its number, and as of when it knew all that was committed; None where there was none."""

    number: int
    at: datetime | None


class Touched(NamedTuple):
    """A payer whose month has to be looked at, and how often it was folded by then."""

    payer: int
    folds: int


class Versions(NamedTuple):
    """By which books and limits usage was looked at."""

    books: int
    limits: int
    guards: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PayerState:
    """How a payer stands in a month. `total_minor` None: nobody asked what the month comes to.

    `counters` are (schedule, owner, position, unit size), integers as texts; `days` digests of daily totals; `spent`
    minor units by day and country; `known` the (country, destination) that are dear. `failed`: why nobody can tell what
    the month comes to now, all else being as of before that; "" where somebody can.
    """

    payer: int
    folds: int
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


def end_round(connection: Connection, number: int, at: datetime) -> None:
    """Note a round as finished, in the transaction that wrote what it found."""
    connection.execute("UPDATE watch_rounds SET round = %s, at = greatest(at, %s)", [number, at])


def touched_months(connection: Connection, versions: Versions, month: date, guarded: date) -> dict[date, list[Touched]]:
    """The payers to look at, by month: with usage that changed since, or that is not folded, or of whom nobody could
    tell; from `month` on also those that were looked at by other books or limits, from `guarded` on by other guards.
    """
    rows = connection.execute(_TOUCHED, {**versions._asdict(), "month": month, "guarded": guarded})
    found: dict[date, list[Touched]] = {}
    for first, payer, folds in rows:
        found.setdefault(first, []).append(Touched(payer, folds))
    return found


def read_states(
    connection: Connection, month: date, payers: Sequence[int], versions: Versions
) -> dict[int, PayerState]:
    """How payers stood in a month when they were looked at last, those who were by the same books and limits.

    Of whom nobody could tell, all is to be looked at.
    """
    rows = connection.execute(
        f"SELECT {_STATE} FROM payer_states"  # noqa: S608
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


def write_states(
    connection: Connection, month: date, states: Sequence[PayerState], versions: Versions, number: int
) -> None:
    """Write how payers stand in a month, as of a round."""
    columns = [
        [each.payer for each in states],
        [each.folds for each in states],
        [each.total_minor for each in states],
        *([Jsonb(getattr(each, name)) for each in states] for name in ("counters", "days", "spent", "known")),
    ]
    connection.execute(_WRITE, [month, *versions, number, *columns])


def write_failures(
    connection: Connection, month: date, failed: Mapping[int, str], versions: Versions, number: int
) -> None:
    """Write of which payers nobody can tell what a month comes to, and why, as of the round that found it first."""
    if failed:
        connection.execute(_FAIL, [month, *versions, number, list(failed), list(failed.values())])


def read_budgets(connection: Connection, triggers: Sequence[int], first: date, end: date) -> list[BudgetState]:
    """What windows of some triggers that begin in a stretch of days have come to."""
    rows = connection.execute(
        "SELECT trigger_id, window_start, used FROM budget_states"
        " WHERE trigger_id = ANY(%s) AND window_start >= %s AND window_start < %s",
        [list(triggers), first, end],
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


def _state(payer: int, folds: int, total: int | None, *rest: Any) -> PayerState:  # noqa: ANN401 (as JSON has it)
    counters, days, spent, known, failed = rest
    return PayerState(
        payer=payer,
        folds=folds,
        total_minor=total,
        counters=[tuple(each) for each in counters],
        days=days,
        spent=spent,
        known=[tuple(each) for each in known],
        failed=failed,
    )


_SAME = "(books, limits, guards) = (%s, %s, %s)"
_STATE = "payer_id, folds, total_minor, counters, days, spent, known, coalesce(failed, '')"

_TOUCHED = """
WITH pending AS (
    SELECT date_trunc('month', day::timestamp)::date AS month, payer_id FROM unfolded
    UNION SELECT month, payer_id FROM payer_states WHERE failed IS NOT NULL
)
SELECT month, payer_id, coalesce(t.folds, 0) FROM touched_months AS t
FULL JOIN pending AS p USING (month, payer_id)
LEFT JOIN payer_states AS s USING (month, payer_id)
WHERE p.payer_id IS NOT NULL OR s.folds IS DISTINCT FROM t.folds
   OR (month >= %(month)s AND (s.books, s.limits) <> (%(books)s, %(limits)s))
   OR (month >= %(guarded)s AND s.guards <> %(guards)s)
ORDER BY month, payer_id
"""

_WRITE = """
INSERT INTO payer_states
    (month, books, limits, guards, round, payer_id, folds, total_minor, counters, days, spent, known)
SELECT %s, %s, %s, %s, %s, *
FROM unnest(%s::integer[], %s::bigint[], %s::bigint[], %s::jsonb[], %s::jsonb[], %s::jsonb[], %s::jsonb[])
ON CONFLICT (month, payer_id) DO UPDATE SET
    books = excluded.books, limits = excluded.limits, guards = excluded.guards, round = excluded.round,
    folds = excluded.folds, total_minor = excluded.total_minor, counters = excluded.counters, days = excluded.days,
    spent = excluded.spent, known = excluded.known, failed = NULL
"""

# What was known stays, and who was never looked at is as if nothing of it were folded.
_FAIL = """
INSERT INTO payer_states AS held
    (month, books, limits, guards, round, payer_id, failed, folds, counters, days, spent, known)
SELECT %s, %s, %s, %s, %s, *, -1, '[]', '{}', '{}', '[]' FROM unnest(%s::integer[], %s::text[])
ON CONFLICT (month, payer_id) DO UPDATE SET failed = excluded.failed, round = excluded.round
WHERE held.failed IS DISTINCT FROM excluded.failed
"""
