"""What the windows of triggers have come to now: with all that was acknowledged, and no round looked at yet."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import NamedTuple

import numpy as np

from billing.accounts import payer_of, upwards
from billing.flows.applying import Applied, Applying
from billing.flows.counts import Counts, Rows
from billing.flows.limits import Limits
from billing.flows.price import Pricer
from billing.payers import billed_by
from billing.periods import Period
from billing.store.engine import Connection, Engine, snapshot
from billing.triggers import EPOCH, Measure, Trigger, counted
from rates.products import Product
from rates.usage import Totals, no_totals


class Sought(NamedTuple):
    """Which triggers: of accounts that a `payer` pays for, and of these of one and those below it; "" for any.

    Only that of a `name`, or those whose names follow `after`, at most `limit`.
    """

    payer: str = ""
    account: str = ""
    name: str = ""
    after: str = ""
    limit: int | None = None


class Used(NamedTuple):
    """A trigger, its window as of now, and what this has come to; None where its usage cannot be priced."""

    trigger: Trigger
    window: Period
    used: int | None


def triggers_now(
    engine: Engine, products: Mapping[str, Product], at: datetime, sought: Sought, known: Limits | None = None
) -> list[Used]:
    """Triggers by their names, each with what its window has come to. `known` holds as long as nothing has changed."""
    with snapshot(engine) as connection:
        limits = Limits.read(connection, products, known)
        found = [each for each in limits.triggers if _is_sought(limits, sought, each.trigger)][: sought.limit]
        subjects = [limits.subject(each.trigger.account) for each in found]
        payers = {limits.accounts.numbers[each.payer] for each in subjects if each is not None}
        wanted = {each.number for each in found}
        everything = Applying.of(limits, payers).triggers
        applying = Applying(triggers=tuple(each for each in everything if each.stored.number in wanted), guards={})
        counts = _Now.read(connection, limits, products, applying, at).counts()
    return [Used(each.trigger, each.trigger.window_at(at.date()), counts.get(each.number, 0)) for each in found]


def _is_sought(limits: Limits, sought: Sought, trigger: Trigger) -> bool:
    accounts = limits.accounts.accounts
    if trigger.id <= sought.after or sought.name not in {"", trigger.id}:
        return False
    if sought.payer:
        payer = payer_of(trigger.account, accounts)
        if payer is None or payer.id != sought.payer:
            return False
    return not sought.account or any(each.id == sought.account for each in upwards(trigger.account, accounts))


class _Now(NamedTuple):
    """The usage of the payers of some triggers in a month, on whose day `today` they are looked at."""

    applying: Applying
    usage: Counts
    today: int

    @classmethod
    def read(
        cls,
        connection: Connection,
        limits: Limits,
        products: Mapping[str, Product],
        applying: Applying,
        at: datetime,
    ) -> "_Now":
        """As a transaction sees it."""
        known, period = limits.accounts, Period.at(at)
        names = {number: limits.names[number] for number in sorted({each.payer for each in applying.triggers})}
        payers = {
            number: billed_by(known.accounts[name], known.contracts.get(name, ()), period)
            for number, name in names.items()
        }
        pricer = Pricer.with_heads(connection, period, products, payers, limits.heads)
        totals = reduce(Totals.plus, (found for _, found in pricer.read_each([*payers])), no_totals())
        usage = Counts(pricer=pricer, totals=totals, products=(*products, ""))
        return cls(applying, usage, (at.date() - EPOCH).days)

    def counts(self) -> dict[int, int | None]:
        """What the windows of now come to, by the numbers of triggers, of all that come to anything; None: unknown."""
        found: dict[int, int | None] = {}
        for measure in Measure:
            for daily in (False, True):
                some = self.applying.some(measure, daily=daily)
                found |= dict(self._counted(some, self._rows(measure, daily=daily))) if some else {}
        lost = self.usage.pricer.failed
        return found | {each.stored.number: None for each in self.applying.triggers if each.payer in lost}

    def _rows(self, measure: Measure, *, daily: bool) -> Rows:
        trees = self.applying.trees(measure, daily=daily)
        if measure is not Measure.AMOUNT:
            return self.usage.usage(measure, self.applying.whole, trees)
        payers = sorted({each.payer for each in self.applying.some(measure, daily=daily)})
        if daily:
            rows, of_trees = self.usage.days(dict.fromkeys(payers, self.today), trees)
        else:
            rows, _, of_trees = self.usage.months(payers, trees)
        return Rows.joined([rows.of(self.applying.whole), of_trees])

    def _counted(self, some: Sequence[Applied], rows: Rows) -> Iterator[tuple[int, int]]:
        triggers = [each.stored.trigger for each in some]
        subjects = np.array([each.subject for each in some], dtype=np.int64)
        found = counted(triggers, subjects, self.usage.sums(rows))
        month = (self.usage.pricer.period.start - EPOCH).days
        for place, start, count in zip(found.trigger.tolist(), found.start.tolist(), found.count.tolist(), strict=True):
            if start == (self.today if triggers[place].is_daily else month):
                yield some[place].stored.number, count
