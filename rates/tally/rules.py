"""Rules: what cards say of each counter, whoever's it is, and the counters of some items by them."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rates.prices import Price
from rates.tally.counters import Bools, Int64s, Run, run
from rates.tally.daily import DailyRun, Moves, run_by_day
from rates.tally.flats import Counter
from rates.tally.items import Items
from rates.tally.kinds import Kinds
from rates.tally.pools import Rest
from rates.tally.spend import Spend, spend_of
from rates.tally.versions import Words
from rates.terms import CardTerms
from rates.tiers import Measure, Schedule, Scope


class Strand(NamedTuple):
    """Items, and what pools leave of them."""

    items: Items
    rest: Rest


class Version(NamedTuple):
    """A card version, its schedule, and the kinds (bool[k]) that it prices by it."""

    version: str
    schedule: Schedule
    priced: Bools


class Rule(NamedTuple):
    """What is said of the counters of one name.

    `schedule` is as the last book of the period states it, and `stated` by whom else. `taken` (bool[k]) are the kinds
    that fill them. `unit_size` of what they count are one of their unit, unless they count money.
    """

    schedule: Schedule
    stated: Sequence[Schedule]
    taken: Bools
    words: Words
    unit_size: int
    at_zero: CardTerms | None
    versions: Sequence[Version]


def rules_of(kinds: Kinds) -> Iterator[Rule]:
    """The rules of all counters, in the order of their names."""
    terms = kinds.terms
    for name, schedule in sorted(terms.schedules().items()):
        cards = sorted({kinds.prices[kind].card for kind in kinds.heads if kinds.prices[kind].schedule == name})
        yield Rule(
            schedule=schedule,
            stated=[card.schedules[name] for card in terms.cards.values() if name in card.schedules],
            taken=kinds.taken_by(schedule.fill),
            words=Words.of(kinds, partial(_has_schedule, name)),
            unit_size=terms.unit_size(schedule.unit, schedule.fill) if schedule.measure is Measure.QUANTITY else 1,
            at_zero=terms.due_at_zero(name),
            versions=[
                Version(
                    card,
                    terms.cards[card].schedules[name],
                    kinds.which(partial(_is_priced, card, name)),
                )
                for card in cards
            ],
        )


def counters_of(rule: Rule, strands: Sequence[Strand]) -> list[Counter]:
    """The counters of a rule, as each strand sees them."""
    schedule = rule.schedule
    said = [rule.words.of_items(items) for items, _ in strands]
    filling = [items.where(rule.taken) & (each.place >= 0) for (items, _), each in zip(strands, said, strict=True)]
    moves = [_moved(rule, strand, fills) for strand, fills in zip(strands, filling, strict=True)]
    size = moves[0].spend.scale if moves[0].spend is not None else rule.unit_size
    courses = _courses(strands, schedule.scope, [each.moved for each in moves], [s.bounds(size) for s in rule.stated])
    return [
        Counter(
            schedule=schedule,
            unit_size=size,
            owner=strand.items.scope(schedule.scope),
            filling=filling[at],
            moved=moves[at].moved,
            course=courses[at],
            said=said[at],
            at_zero=rule.at_zero,
            spend=moves[at].spend,
        )
        for at, strand in enumerate(strands)
    ]


class _Moved(NamedTuple):
    """By how much each of n items moves a counter; of a counter of money, what it counts."""

    moved: NDArray[Any]
    spend: Spend | None


def _moved(rule: Rule, strand: Strand, filling: Bools) -> _Moved:
    items, rest = strand
    if rule.schedule.measure is Measure.AMOUNT:
        spend = spend_of(items, filling, rest.charged, rule.stated)
        return _Moved(spend.each * rest.charged, spend)
    moves = _paid_events(items, rest) if rule.schedule.measure is Measure.EVENTS else rest.quantity
    return _Moved(moves if filling.all() else np.where(filling, moves, 0), None)


def _courses(
    strands: Sequence[Strand], scope: Scope, moved: Sequence[NDArray[Any]], bounds: Sequence[NDArray[Any]]
) -> Sequence[Run | DailyRun]:
    items = [each for each, _ in strands]
    if items[0].days is None:
        return [run(fill, each.scope(scope), each.rows.day) for fill, each in zip(moved, items, strict=True)]
    columns = zip(moved, items, strict=True)
    moves = [Moves(fill, each.cell, each.replaced) for fill, each in columns if each.cell is not None]
    return run_by_day(moves, items[0].days, bounds)


def _paid_events(items: Items, rest: Rest) -> Int64s:
    """The events of items that fill counters of events: free units fill none, and so no event of nothing else does."""
    paid = rest.quantity > 0
    if items.is_further.any():
        np.logical_or.at(paid, items.head, rest.quantity > 0)
    return np.where(paid, items.rows.events, 0)


def _has_schedule(name: str, card: CardTerms) -> bool:
    return name in card.schedules


def _is_priced(card: str, schedule: str, price: Price) -> bool:
    return (price.card, price.schedule) == (card, schedule)
