"""Fold the changes of the totals into the totals. Any number of folders may run at once, and stop anywhere."""

from dataclasses import dataclass

from billing.store.engine import Engine, transaction
from billing.store.totals import fold as fold_some

CHANGES_AT_ONCE = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """How many changes went into how many totals (one that was changed in several transactions counts in each)."""

    changes: int
    totals: int


def fold(engine: Engine, *, changes_at_once: int = CHANGES_AT_ONCE) -> Folded:
    """Fold until nothing is left that nobody else is folding."""
    changes = totals = 0
    while (some := fold_once(engine, changes_at_once=changes_at_once)).changes:
        changes, totals = changes + some.changes, totals + some.totals
    return Folded(changes=changes, totals=totals)


def fold_once(engine: Engine, *, changes_at_once: int = CHANGES_AT_ONCE) -> Folded:
    """Fold some of what nobody else is folding, in one transaction."""
    with transaction(engine) as connection:
        changes, totals = fold_some(connection, changes_at_once)
    return Folded(changes=changes, totals=totals)
