"""Steps of a scenario: what happens over time, one after the other (FORMATS 5)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from billing.errors import PeriodInvalidError
from billing.periods import Period
from rates.cards import Card
from rates.errors import Fault
from rates.reading import Reader

ReadCard = Callable[[Mapping[str, object], str], tuple[Card | None, list[Fault]]]

_NOT_RUN = {"contract": "contracts that are added later", "credit": "credits that are given later"}
_RUN = ("usage", "publish", "close")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens then: `payloads` are reported, a card is published by force, a month is closed."""

    at: datetime | None
    payloads: tuple[bytes, ...] = ()
    publish: Card | None = None
    close: Period | None = None


class StepTable(NamedTuple):
    """A step as it is read, and the tables of what is reported in it."""

    step: Step
    usage: Sequence[Reader]


def read_steps(read: Reader, read_card: ReadCard) -> list[StepTable]:
    """The steps of a scenario, in their order. Faults go to the reader."""
    found: list[StepTable] = []
    last: datetime | None = None
    for below in read.each("step"):
        at = below.instant("at")
        if at is not None and last is not None and at < last:
            below.fault("at", "is before the step above it", "write the steps in the order in which they happen")
        last = at or last
        for key, what in _NOT_RUN.items():
            below.seen.add(key)
            if key in below.table:
                below.fault(key, f"{what} are not run by this version", "remove it, or use a version that runs it")
        publish = _published(below, read, read_card)
        close = _closed(below, at)
        usage = list(below.each("usage"))
        if not below.table.keys() & {*_RUN, *_NOT_RUN}:
            below.fault("usage", "is missing", f"write one of {', '.join(_RUN)}")
        below.finish()
        found.append(StepTable(Step(at=at, publish=publish, close=close), usage))
    return found


def _published(below: Reader, read: Reader, read_card: ReadCard) -> Card | None:
    below.seen.add("publish")
    table = below.table.get("publish")
    if table is None:
        return None
    if not isinstance(table, Mapping):
        below.fault("publish", "is no card", "write [step.publish] with the keys of a card")
        return None
    card, faults = read_card(table, below.at("publish"))
    read.faults.extend(faults)
    return card


def _closed(below: Reader, at: datetime | None) -> Period | None:
    below.seen.add("close")
    if "close" not in below.table:
        return None
    text = below.text("close")
    try:
        period = Period.parse(text)
    except PeriodInvalidError as error:
        if text:
            below.fault("close", error.problem, error.remedy)
        return None
    if at is not None and at < period.closes:
        below.fault("close", "has not ended by then", "close a month after its last day")
    return period
