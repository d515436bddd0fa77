"""Let out of the quarantine what waited for a card, an account or a contract, after it was added."""

from collections.abc import Mapping
from datetime import datetime

from billing.flows.fold import fold
from billing.flows.publish import Changed, Status
from billing.flows.release import Released, release
from billing.store.compiled import CompiledCards
from billing.store.engine import Engine
from rates.products import Product
from rates.rating import Reason


def let_out(
    engine: Engine,
    products: Mapping[str, Product],
    changed: Changed,
    *,
    at: datetime,
    actor: str,
    kept: CompiledCards | None = None,
) -> Released:
    """Let out what waited for a change; of a rehearsal, what it would let out. It can be repeated, and never hurts."""
    if changed.foreseen is not None:
        return changed.foreseen
    if changed.status is Status.UNCHANGED:
        return Released(released={}, waiting={})
    released = release(engine, products, at=at, actor=actor, kept=kept)
    if released.released or changed.moved:
        fold(engine)
    return released


def changed_record(changed: Changed, released: Released) -> dict[str, object]:
    """What came of a change, as plain values: what moved with it, what it let out, and what still waits."""
    return {
        "status": str(changed.status),
        "moved": changed.moved,
        "withdrawn": changed.withdrawn,
        "released": by_reason(released.released),
        "waiting": by_reason(released.waiting),
    }


def by_reason(counts: Mapping[Reason, int]) -> dict[str, int]:
    """Counts by the words of their reasons."""
    return {str(reason): count for reason, count in sorted(counts.items())}
