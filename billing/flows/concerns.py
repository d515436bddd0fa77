"""Of whom somebody wants to know how usage stands, and since when: nobody else's months are looked at."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from billing.flows.applying import Applying
from billing.flows.limits import Limits
from billing.guards import Kind
from billing.periods import Period, months_before
from billing.store.watching import Concern, Concerns

MONTHS_KNOWN = 12
"""How many months back a new guard looks, for what is owed and where usage went."""

LASTING = frozenset({Kind.CREDIT, Kind.DEAR})
"""Guards that ask about months that are over, too."""


def concerns(limits: Limits, today: date) -> Concerns:
    """The payers whose usage limits, or prices that depend on usage, are held against.

    A trigger looks at windows that end after it was added. What prices depend on, and what is spent on a day, is of the
    month that goes on: also of the last one while it may be yesterday for another clock.
    """
    month = (today - timedelta(days=1)).replace(day=1)
    present = Concern(month, month)
    lasting = Concern(months_before(today.replace(day=1), MONTHS_KNOWN), date.min)
    of_guards = {Kind.SPEND: present, **dict.fromkeys(LASTING, lasting)}
    everyone = [present] if any(card.schedules for card in limits.heads.values()) else []
    everyone += [of_guards[each.kind] for each in limits.guards if not each.account and each.kind in of_guards]
    own: dict[int, Concern] = {}
    for payer, each in _own(limits, of_guards):
        own[payer] = _joined([own.get(payer, each), each])
    return Concerns(everyone=_joined(everyone) if everyone else None, own=own)


def _own(limits: Limits, of_guards: Mapping[Kind, Concern]) -> Iterator[tuple[int, Concern]]:
    payers = frozenset(limits.accounts.numbers.values())
    applying = Applying.of(limits, payers)
    for payer, guards in applying.guards.items():
        yield from ((payer, of_guards[each.kind]) for each in guards if each.account and each.kind in of_guards)
    for trigger in applying.triggers:
        first = Period.at(trigger.stored.added_at).start
        yield trigger.payer, Concern(first, first)


def _joined(some: Sequence[Concern]) -> Concern:
    return Concern(*map(min, zip(*some, strict=True)))
