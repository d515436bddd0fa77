"""Change the books from an instant in the past on: allowed as long as nothing that was rated is charged otherwise."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from billing.errors import PublicationBackdatedError
from billing.flows.rebill import OtherBill, other_bill
from billing.flows.rerate import InTheWay, Rerated, rerate
from billing.rerating import Stretch
from billing.store.engine import Connection, Engine
from billing.store.ratebooks import Ratebooks
from rates.cards import instant
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
