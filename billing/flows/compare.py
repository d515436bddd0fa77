"""Compare a month's drafts, or its invoices, with another month's: what finance looks at before it approves."""

from fractions import Fraction

from billing.comparison import Change, compare
from billing.flows.finalize import drawn_run
from billing.periods import Period
from billing.store.engine import Engine, snapshot
from billing.store.queries.comparison import last_final, side_of


def compare_periods(
    engine: Engine, period: Period, against: Period | None, *, factor: Fraction
) -> tuple[Period | None, tuple[Change, ...]]:
    """The changes of a period against another: by default the last one before it with final invoices, if any.

    Raises PeriodNotDrawnError where one of them was never drawn up.
    """
    with snapshot(engine) as connection:
        drawn_run(connection, period)
        if against is None:
            found = last_final(connection, period)
            against = None if found is None else Period.of_month(found.year, found.month)
        if against is None:
            return None, ()
        drawn_run(connection, against)
        return against, compare(side_of(connection, against), side_of(connection, period), factor=factor)
