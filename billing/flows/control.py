"""Take in what sources say they counted; runs hold usage against it."""

from collections.abc import Sequence
from datetime import datetime

from billing.controls import Compared, Control
from billing.periods import Period
from billing.store.audit import record
from billing.store.controls import compared_controls, insert_controls
from billing.store.engine import Connection, Engine, rehearsal, transaction


def add_controls(
    engine: Engine, controls: Sequence[Control], *, at: datetime, actor: str, dry_run: bool = False
) -> int:
    """Add control totals; another count than before is a new revision, the same changes nothing. Gives how many."""
    with (rehearsal if dry_run else transaction)(engine) as connection:
        added = insert_controls(connection, controls, at=at, actor=actor)
        if added:
            sources = sorted({each.key.source for each in controls})
            details = {"added": added, "sources": sources}
            record(connection, at=at, actor=actor, action="add", subject="usage controls", details=details)
    return added


def controls_of(connection: Connection, period: Period) -> list[Compared]:
    """A period's control totals in their newest revisions, with what was accepted."""
    return compared_controls(connection, period)
