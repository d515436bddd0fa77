"""Correct a period: rate its stored events again with the books as they are, and say what that does to amounts.

What is on the side of final invoices follows the books too: the next run bills the difference (decision 17).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial

import numpy as np

from billing.corrections import Correction, Subject, Worth
from billing.flows.price import Pricer, totals_of
from billing.flows.rerate import EVENTS_AT_ONCE, rerate
from billing.payers import payers_of, paying
from billing.periods import Period
from billing.rerating import Stretch
from billing.runs import Withdrawal
from billing.store.accounts import Accounts, read_accounts
from billing.store.audit import record
from billing.store.compiled import CompiledCards
from billing.store.drafts import hold_period, withdraw_drafts
from billing.store.engine import Connection, Engine, rehearsal, snapshot, transaction
from billing.store.ratebooks import load_books, lock_books
from rates.lines import PricedLines
from rates.prices import USAGE
from rates.products import Product
from rates.usage import Totals

CHUNK = 2500
"""Accounts that are priced at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Force:
    """Who answers for a change that charges otherwise what was rated, why, and what it is priced with."""

    engine: Engine
    products: Mapping[str, Product]
    reason: str


@dataclass(frozen=True, slots=True)
class _Appraisal:
    """What the usage of some accounts comes to, and why it does not for others."""

    worth: dict[Subject, Worth]
    unpriced: dict[str, str]


def rerate_period(  # noqa: PLR0913 (each says what is rated again, or who answers for it)
    engine: Engine,
    products: Mapping[str, Product],
    period: Period,
    *,
    at: datetime,
    actor: str,
    reason: str,
    accounts: Sequence[str] = (),
    kept: CompiledCards | None = None,
    dry_run: bool = False,
    events_at_once: int = EVENTS_AT_ONCE,
) -> Correction:
    """Rate a period's events again, of some billing accounts or all, and write what differs; one transaction.

    With `dry_run` all is done, and nothing stays. Drafts of accounts with changes are withdrawn. Raises
    SubjectMissingError for an account that does not pay, and PeriodLockedError where a run or a finalization of the
    period is at work.
    """
    with (rehearsal if dry_run else transaction)(engine) as connection:
        lock_books(connection, exclusive=True)
        hold_period(connection, period)
        stored = read_accounts(connection)
        known = (stored.accounts, stored.contracts)
        payers = [stored.numbers[paying(name, *known).id] for name in dict.fromkeys(accounts)]
        every = sorted(payers or payers_of(stored.accounts, stored.contracts, stored.numbers, period))
        stretches = [Stretch(payer, period.opens, period.closes) for payer in every]
        books = cache(partial(load_books, connection, products, None, kept))
        found = rerate(connection, stretches, books, events_at_once=events_at_once, forced=True, invoiced=True)
        changed = [each for each in stretches if each.payer in found.payers]
        correction = correction_of(
            Force(engine=engine, products=products, reason=reason),
            connection,
            [(period, sorted(found.payers))],
            events=found.events,
            rewritten=found.rewritten,
            quarantined=found.quarantined,
            withdrawn=withdraw_drafts(connection, changed, Withdrawal.RERATED) if changed else 0,
            invoiced=by_name(found.invoiced, stored),
        )
        details = {**details_of(correction, reason), "accounts": list(accounts)}
        record(connection, at=at, actor=actor, action="rerate", subject=str(period), details=details)
    return correction


def correction_of(
    force: Force,
    connection: Connection,
    months: Iterable[tuple[Period, Sequence[int]]],
    *,
    events: int,
    rewritten: int,
    quarantined: int,
    withdrawn: int,
    invoiced: Mapping[str, int],
) -> Correction:
    """What changes that `connection` has not committed yet come to: the months and payers are priced with and without.

    The caller holds the books alone, so that what another connection sees is what was before.
    """
    wanted = [(period, payers) for period, payers in months if payers]
    with snapshot(force.engine) as untouched, ThreadPoolExecutor(max_workers=1) as beside:
        coming = beside.submit(_appraise, untouched, force.products, wanted)
        after = _appraise(connection, force.products, wanted)
        before = coming.result()
    return Correction(
        events=events,
        rewritten=rewritten,
        quarantined=quarantined,
        withdrawn=withdrawn,
        invoiced=invoiced,
        before=before.worth,
        after=after.worth,
        unpriced=before.unpriced | after.unpriced,
    )


def details_of(correction: Correction, reason: str) -> dict[str, object]:
    """What the audit log keeps of a correction."""
    amounts: dict[str, dict[str, list[int]]] = {}
    for each in correction.in_all:
        both = [each.before.amount_minor, each.after.amount_minor]
        amounts.setdefault(each.subject.period, {})[each.subject.currency] = both
    return {
        "reason": reason,
        "events": correction.events,
        "rewritten": correction.rewritten,
        "quarantined": correction.quarantined,
        "withdrawn": correction.withdrawn,
        "invoiced": dict(correction.invoiced),
        "amounts": amounts,
    }


def by_name(counts: Mapping[int, int], stored: Accounts) -> dict[str, int]:
    """Counts by the names of payers."""
    names = {number: name for name, number in stored.numbers.items()}
    return dict(sorted((names[number], count) for number, count in counts.items()))


def _appraise(
    connection: Connection, products: Mapping[str, Product], months: Iterable[tuple[Period, Sequence[int]]]
) -> _Appraisal:
    found = _Appraisal({}, {})
    stored = read_accounts(connection)
    for period, payers in months:
        known = payers_of(stored.accounts, stored.contracts, stored.numbers, period)
        pricer = Pricer.begin(connection, period, products, known)
        numbers = [number for number in payers if number in known]
        for start in range(0, len(numbers), CHUNK):
            _add(found, pricer, numbers[start : start + CHUNK])
    return found


def _add(found: _Appraisal, pricer: Pricer, numbers: Sequence[int]) -> None:
    """What the usage of some accounts comes to in a month."""
    for some, totals in pricer.read_each(numbers):
        amounts: Counter[Subject] = Counter()
        for lines in pricer.price(some, totals):
            amounts.update(_amounts(lines, pricer))
        events = _events(totals_of(totals, [number for number in some if number not in pricer.failed]), pricer)
        for subject in {*amounts, *events}:
            found.worth[subject] = Worth(events[subject], amounts[subject])
    for number in numbers:
        if number in pricer.failed:
            found.unpriced[pricer.payers[number].party.account] = pricer.failed[number]


def _amounts(lines: PricedLines, pricer: Pricer) -> Counter[Subject]:
    found: Counter[Subject] = Counter()
    columns = (lines.payer.tolist(), lines.key.tolist(), lines.amount_minor.tolist())
    for payer, key, amount in zip(*columns, strict=True):
        account = pricer.payers[payer].party.account
        found[Subject(str(pricer.period), account, lines.keys[key].product, lines.currency)] += amount
    return found


def _events(totals: Totals, pricer: Pricer) -> Counter[Subject]:
    """How many events have a price for their usage."""
    found: Counter[Subject] = Counter()
    packed, place = np.unique(totals.payer << 32 | totals.price, return_inverse=True)
    counts = np.zeros(len(packed), dtype=np.int64)
    np.add.at(counts, place, totals.events)
    for pair, count in zip(packed.tolist(), counts.tolist(), strict=True):
        party, price = pricer.payers[pair >> 32].party, pricer.prices[pair & 0xFFFFFFFF]
        if price.element == USAGE:
            found[Subject(str(pricer.period), party.account, price.product, price.currency)] += count
    return found
