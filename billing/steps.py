"""Steps of a scenario: what happens over time, one after the other (FORMATS 5)."""

from collections.abc import Iterator
from datetime import datetime

from rates.reading import Reader

_NOT_RUN = {
    "publish": "publications",
    "contract": "contracts that are added later",
    "close": "closed months",
    "credit": "credits that are given later",
}


def reported_in_steps(read: Reader) -> Iterator[Reader]:
    """The tables of usage that the steps report, in their order. Faults go to the reader."""
    last: datetime | None = None
    for step in read.each("step"):
        at = step.instant("at")
        if at is not None and last is not None and at < last:
            step.fault("at", "is before the step above it", "write the steps in the order in which they happen")
        last = at or last
        for key, what in _NOT_RUN.items():
            step.seen.add(key)
            if key in step.table:
                step.fault(key, f"{what} are not run by this version", "remove it, or use a version that runs it")
        reported = list(step.each("usage"))
        if not reported and not step.table.keys() & _NOT_RUN.keys():
            step.fault("usage", "is missing", "write what was reported then")
        step.finish()
        yield from reported
