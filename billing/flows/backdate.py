"""Change the books from an instant in the past on: allowed as long as nothing that was rated is charged otherwise."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import chain

from billing.contracts import Contract, in_force
from billing.errors import PublicationBackdatedError
from billing.flows.rebill import OtherBill, other_bill
from billing.flows.rerate import InTheWay, Rerated, rerate
from billing.rerating import ALWAYS, Stretch, card_stretches, contract_stretches, counters
from billing.store.accounts import Accounts, read_accounts
from billing.store.engine import Connection, Engine
from billing.store.queries.pricing import head_of
from billing.store.ratebooks import CardVersion, Ratebooks
from rates.cards import Card, instant
from rates.products import Product

Books = Callable[[], Ratebooks]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The usage that a change of the books reaches, and how the change is called for a payer: a place and a value.

    Of the stretches, `counting` are those with cards that have schedules or pools, and `recounted` those of them where
    the cards do not say about these what they said before. `by_day`: the change begins with a day.
    """

    place: Callable[[int], tuple[str, str]]
    stretches: Sequence[Stretch]
    counting: Sequence[Stretch]
    recounted: Sequence[Stretch]
    by_day: bool = False


def reach_of_card(
    connection: Connection, card: Card, versions: Sequence[CardVersion], products: Mapping[str, Product]
) -> Reach:
    """What a version reaches beside its other versions: until the next one, all that contracts with the card rate."""
    stored = read_accounts(connection)
    until = min((v.effective_from for v in versions if v.effective_from > card.effective_from), default=ALWAYS)
    stretches = card_stretches(card.id, card.effective_from, until, stored.accounts, stored.contracts, stored.numbers)
    begun = [version for version in versions if version.effective_from < card.effective_from]
    before = max(begun, key=lambda version: version.effective_from, default=None)
    said = counters(None if before is None else head_of(before, products))
    counting = bool(said or counters(card))
    as_before = before is not None and (said, before.effective_to) == (counters(card), card.effective_to)
    return Reach(
        place=lambda _: (f"card {card.id}", instant(card.effective_from)),
        stretches=stretches,
        counting=stretches if counting else (),
        recounted=stretches if counting and not as_before else (),
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
    counted = _counting_cards(contracts, stored, cards, products)
    days = {
        stored.numbers[each.account]: each
        for each in sorted(contracts, key=lambda each: each.effective_from, reverse=True)
    }

    def reached(some: Sequence[Contract]) -> list[Stretch]:
        return contract_stretches(some, after.accounts, after.contracts, after.numbers)

    def counts(contract: Contract | None) -> list[str]:
        return [] if contract is None else [card for card in contract.cards if card in counted]

    def before(contract: Contract) -> Contract | None:
        return in_force(stored.contracts.get(contract.account, ()), contract.effective_from)

    return Reach(
        place=lambda payer: (f"contract {days[payer].account}", str(days[payer].effective_from)),
        stretches=reached(contracts),
        counting=reached([each for each in contracts if counts(each) or counts(before(each))]),
        recounted=reached([each for each in contracts if counts(each) != counts(before(each))]),
        by_day=True,
    )


def move(
    engine: Engine,
    connection: Connection,
    reach: Reach,
    books: Books,
    products: Mapping[str, Product],
    *,
    events_at_once: int,
) -> Rerated:
    """Move what was rated within reach to the books as `connection` has changed them.

    Raises PublicationBackdatedError where something would be charged otherwise, or is on an invoice that is final and
    would be billed from another card version; then nothing may be committed.
    """
    found = rerate(connection, reach.stretches, books, events_at_once=events_at_once)
    for events, what in ((found.otherwise, _OTHERWISE), (found.final, _FINAL)):
        if events is not None:
            raise _refusal(reach, events, *what)
    recounted = [each for each in reach.recounted if each.payer in found.payers]
    other = other_bill(engine, connection, products, recounted, only_final=False) or other_bill(
        engine, connection, products, reach.counting, only_final=True
    )
    if other is not None:
        raise _other_bill(reach, other)
    return found


def _counting_cards(
    contracts: Sequence[Contract], stored: Accounts, cards: Sequence[CardVersion], products: Mapping[str, Product]
) -> set[str]:
    """The cards with schedules or pools, of those that contracts, or the others of their accounts, name."""
    every = chain(contracts, *(stored.contracts.get(each.account, ()) for each in contracts))
    named = {card for contract in every for card in contract.cards}
    return {card.card_id for card in cards if card.card_id in named and counters(head_of(card, products))}


_OTHERWISE = ("would be charged otherwise", "")
_FINAL = (
    "are on final invoices, and would be billed from another card version",
    "; or publish what is missing as a card of its own, and begin a contract that names it behind the others",
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


def _other_bill(reach: Reach, other: OtherBill) -> PublicationBackdatedError:
    place, value = reach.place(other.payer)
    return PublicationBackdatedError(
        f"what {other.account} has used in {other.period} would be billed otherwise, by what is counted: {other.line}",
        place=place,
        value=value,
        remedy="let schedules and pools say of usage that was rated what they said before,"
        f" or let it begin at a later instant, such as {instant(other.period.closes)}",
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
