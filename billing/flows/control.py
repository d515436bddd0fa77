"""Take in what sources say they counted; runs hold usage against it."""

from collections.abc import Sequence
from datetime import datetime

from billing.controls import Control
from billing.store.audit import record
from billing.store.controls import insert_controls
from billing.store.engine import Engine, rehearsal, transaction


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
