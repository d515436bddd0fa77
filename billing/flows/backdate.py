"""Change the books from an instant in the past on: allowed as long as nothing that was rated is charged otherwise."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache

from billing.contracts import Contract, in_force
from billing.corrections import Correction
from billing.errors import PublicationBackdatedError
from billing.flows.correct import Force, by_name, correction_of
from billing.flows.rerate import InTheWay, Rerated, rerate
from billing.periods import ALWAYS, Period
from billing.rerating import Counting, Stretch, card_stretches, contract_stretches, recounted
from billing.runs import PeriodLockedError, Withdrawal
from billing.store.accounts import Accounts, read_accounts
from billing.store.drafts import lock_months, withdraw_drafts
from billing.store.engine import Connection
from billing.store.queries.invoices import account_names
from billing.store.queries.pricing import head_of, payers_with_usage
from billing.store.ratebooks import CardVersion, Ratebooks
from billing.store.standing import Standing, invoiced, standing
from rates.cards import Card, instant
from rates.deals import NO_DEAL
from rates.products import Product
from rates.terms import CardTerms, card_terms

Books = Callable[[], Ratebooks]

_AHEAD = timedelta(days=400)
"""How far ahead of the present, and of the change, invoices are drawn up, be it early."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The usage that a change of the books reaches, and how the change is called for a payer: a place and a value.

    Of the stretches, `renamed` are those in which other card versions count by schedules or pools, and `recounted`
    those of them in which these say something else, or in another order; in `retermed` contracts say something else of
    money. `met` are the payers whom runs have looked
    at with cards of theirs. `by_day`: the change begins with a day.
    """

    place: Callable[[int], tuple[str, str]]
    stretches: Sequence[Stretch]
    renamed: Sequence[Stretch]
    recounted: Sequence[Stretch]
    met: frozenset[int]
    retermed: Sequence[Stretch] = ()
    by_day: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How many rated events moved along, and how many drafts were withdrawn; and of what was forced, what it did."""

    events: int
    drafts: int
    correction: Correction | None = None


def reach_of_card(
    connection: Connection, card: Card, versions: Sequence[CardVersion], products: Mapping[str, Product]
) -> Reach:
    """What a version reaches beside its other versions: until the next one, all that contracts with the card rate.

    It stands in place of one of them that is from the same instant.
    """
    stored = read_accounts(connection)
    until = min((v.effective_from for v in versions if v.effective_from > card.effective_from), default=ALWAYS)
    stretches = card_stretches(card.id, card.effective_from, until, stored.accounts, stored.contracts, stored.numbers)
    said = [card_terms(head_of(version, products)) for version in versions]
    others = [each for each in said if each.effective_from != card.effective_from]
    before, after = (Counting([card.id], {card.id: each}) for each in (said, [*others, card_terms(card)]))
    renamed, otherwise = recounted(before, after, card.effective_from, until)
    return Reach(
        place=lambda _: (f"card {card.id}", instant(card.effective_from)),
        stretches=stretches,
        renamed=stretches if renamed else (),
        recounted=stretches if otherwise else (),
        met=frozenset(each.payer for each in stretches),
    )


def reach_of_contracts(
    connection: Connection,
    contracts: Sequence[Contract],
    stored: Accounts,
    cards: Sequence[CardVersion],
    products: Mapping[str, Product],
) -> Reach:
    """What contracts reach, among those that `stored` has and the database by now has beside them.

    `cards` are the published versions of all cards.
    """
    after = read_accounts(connection)
    stretches = contract_stretches(contracts, after.accounts, after.contracts, after.numbers)
    added = {(stored.numbers[each.account], each.effective_from): each for each in contracts}
    days = {payer: contract for (payer, _), contract in sorted(added.items(), reverse=True)}
    versions: dict[str, list[CardTerms]] = {}
    for version in cards:
        versions.setdefault(version.card_id, []).append(card_terms(head_of(version, products)))

    @cache
    def compared(
        before: tuple[str, ...], after: tuple[str, ...], since: datetime, until: datetime
    ) -> tuple[bool, bool]:
        return recounted(Counting(before, versions), Counting(after, versions), since, until)

    found = {}
    met = set()
    retermed = list[Stretch]()
    for each in stretches:
        contract = added[each.payer, each.since.date()]
        before = in_force(stored.contracts.get(contract.account, ()), contract.effective_from)
        found[each] = compared(() if before is None else before.cards, contract.cards, each.since, each.until)
        retermed += [each] if contract.deal != (NO_DEAL if before is None else before.deal) else []
        met |= {each.payer} if before is not None else set()
    return Reach(
        place=lambda payer: (f"contract {days[payer].account}", str(days[payer].effective_from)),
        stretches=stretches,
        renamed=[each for each, (others, _) in found.items() if others],
        recounted=[each for each, (_, otherwise) in found.items() if otherwise],
        retermed=retermed,
        met=frozenset(met),
        by_day=True,
    )


def move(
    connection: Connection,
    reach: Reach,
    books: Books,
    *,
    at: datetime,
    events_at_once: int,
    force: Force | None = None,
) -> Moved:
    """Move what was rated within reach to the books as `connection` has changed them; `at` is the present.

    Drafts of months in reach are withdrawn. Raises PublicationBackdatedError where something would be charged or
    counted otherwise (unless by `force`), or is on an invoice that is final and would be billed from another card
    version or counted otherwise (unless by a card that is forced: then the next run bills the difference; months are
    billed anew by the contracts that they were billed by), and PeriodLockedError where a run or a finalization of a
    month in reach is at work; then nothing may be committed.
    """
    if not reach.stretches:
        return Moved(events=0, drafts=0)
    _lock_invoices(connection, reach.stretches, at)
    forced, invoices = force is not None, force is not None and not reach.by_day
    if not invoices:
        _require_counted_as_before(connection, reach, forced=forced)
    found = rerate(connection, reach.stretches, books, events_at_once=events_at_once, forced=forced, invoiced=invoices)
    refused = [(found.otherwise, _OTHERWISE), (found.final, _FINAL)] if force is None else [(found.final, _INVOICED)]
    for events, what in refused:
        if events is not None:
            raise _refusal(reach, events, *what)
    drafts = withdraw_drafts(connection, reach.stretches, Withdrawal.BOOKS_CHANGED)
    correction = None if force is None else _corrected(connection, reach, found, drafts, at, force)
    return Moved(events=found.rewritten, drafts=drafts, correction=correction)


def _corrected(
    connection: Connection, reach: Reach, found: Rerated, drafts: int, at: datetime, force: Force
) -> Correction:
    """What a forced change did: of the months in reach, the accounts whose charges, counters or terms changed.

    Without usage only terms come to something, as a minimum does.
    """
    retermed = {each.payer for each in reach.retermed}
    concerned = found.payers | {each.payer for each in reach.recounted}
    period = Period.at(min(each.since for each in reach.stretches))
    months = []
    while period.opens <= at:
        with_usage = {payer for payer in payers_with_usage(connection, period) if payer in concerned}
        months.append((period, sorted(with_usage | retermed)))
        period = period.next()
    return correction_of(
        force,
        connection,
        months,
        events=found.events,
        rewritten=found.rewritten,
        quarantined=found.quarantined,
        withdrawn=drafts,
        invoiced=by_name(found.invoiced, read_accounts(connection)),
    )


def _lock_invoices(connection: Connection, stretches: Sequence[Stretch], at: datetime) -> None:
    """Hold the invoices of all months in reach: nothing is drawn up or issued of what is about to move."""
    since, until = (edge(getattr(each, name) for each in stretches) for edge, name in ((min, "since"), (max, "until")))
    last = max(at, *(each.since for each in stretches))
    taken = lock_months(connection, since, min(until, last + _AHEAD))
    if taken is not None:
        problem = "a run or a finalization is at work on its invoices"
        period = Period.of_month(taken.year, taken.month)
        raise PeriodLockedError(problem, value=str(period), remedy="wait until it has ended, and try again")


def _require_counted_as_before(connection: Connection, reach: Reach, *, forced: bool) -> None:
    """Nothing has been rated or billed since that was counted otherwise, or by another version if it is final.

    Forced, only invoices that are final stand in the way.
    """
    recounted = [each._replace(until=ALWAYS) for each in reach.recounted]
    retermed = [each._replace(until=ALWAYS) for each in reach.retermed]
    if found := invoiced(connection, recounted) if forced else standing(connection, recounted, reach.met):
        raise _recount(connection, reach, found, "schedules and pools would count otherwise", _AS_THEY_ARE)
    if found := invoiced(connection, retermed) if forced else standing(connection, retermed, reach.met):
        raise _recount(connection, reach, found, "discounts, commitment and credits would be others", _AGREED)
    if found := invoiced(connection, reach.renamed):
        raise _recount(connection, reach, found, "schedules and pools would be those of another card version", _BESIDE)


_AS_THEY_ARE = "leave schedules and pools as they are"
_AGREED = "agree on what held before"
_BESIDE = "publish what is missing as a card of its own, and begin a contract that names it behind the others"
_OTHERWISE = ("would be charged otherwise", "")
_FINAL = ("are on final invoices, and would be billed from another card version", f"; or {_BESIDE}")

_INVOICED = (
    "are on the side of final invoices, and would be charged otherwise or from another card version",
    "; or force a version of the card itself: what it comes to on invoices is billed by the next run",
)


def _recount(
    connection: Connection, reach: Reach, found: Sequence[Standing], what: str, remedy: str
) -> PublicationBackdatedError:
    first, later = found[0], max(each.last for each in found) + timedelta(days=1)
    when = (
        str(first.first) if first.what == "rated usage" else str(Period.of_month(first.first.year, first.first.month))
    )
    place, value = reach.place(first.payer)
    begin = later if reach.by_day else instant(datetime.combine(later, time(), UTC))
    return PublicationBackdatedError(
        f"{what}, and {account_names(connection)[first.payer]} has {first.what} of {when}",
        place=place,
        value=value,
        remedy=f"{remedy}, or let it begin later, such as {begin}",
    )


def _refusal(reach: Reach, events: InTheWay, what: str, more: str) -> PublicationBackdatedError:
    counted = f"{events.count:,} rated event{'s' if events.count != 1 else ''}"
    first = f"{events.source}/{events.id} of {instant(events.at)}"
    change = f"{events.before} before, {events.after} with it"
    place, value = reach.place(events.payer)
    return PublicationBackdatedError(
        f"{counted} {what}; the first is {first}: {change}",
        place=place,
        value=value,
        remedy=f"{_later(events, reach)}{more}",
    )


def _later(events: InTheWay, reach: Reach) -> str:
    """When it may begin: behind the last event that is in the way, at midnight if it still reaches something then."""
    midnight = datetime.combine(events.last.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
    until = max(each.until for each in reach.stretches if each.payer == events.last_payer)
    if midnight < until:
        return f"let it begin later, such as {midnight.date() if reach.by_day else instant(midnight)}"
    if reach.by_day:
        return "let it price as before what was rated; it could not begin later, for another one follows"
    return f"let it begin later, such as {instant(events.last + timedelta(microseconds=1))}"
