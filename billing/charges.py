"""Charges: what an account owes without using anything, once or again and again, and when each is due (FORMATS 3).

There is no second path to money: what is due becomes an ordinary usage event, with the identity `<charge>/<n>` of the
source `tollbook.charges`, at the instant at which it is due. So which of them were posted is asked of the events.

A charge goes on in terms, half-open, each from the same day of the month at the same time in UTC; a month without that
day has its last day instead, and with `drift` that day stays for good. In advance a term is due when it begins, whole
(the first at once, the others `lead_days` sooner); in arrears when it ends. A term that begins is charged, in full.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NewType

import msgspec

from billing.accounts import Account, Suspension, payer_of
from billing.payloads import LONGEST_TEXT, TEXTS, read_payload
from billing.payloads import Fault as PayloadFault
from billing.periods import ALWAYS, MONTHS_A_YEAR, Period, months_before
from rates.cards import instant
from rates.errors import Fault, TollbookError
from rates.products import Product
from rates.reading import Reader

ChargeId = NewType("ChargeId", str)
"""A charge's name: 1 to LONGEST_ID printable characters."""

SOURCE = "tollbook.charges"
"""The source of the events that charges become. It is nobody else's: usage of this name is refused."""

LONGEST_ID = LONGEST_TEXT - 20
"""The id of an event is the charge's, a slash and a number."""

_SETTLED = 24
"""After so many terms of drift every month has been met as short as it gets: February within two of its years."""

_OWN = frozenset({*TEXTS, "to", "from"})
"""Dimensions that events state by keys of their own; others are `attributes`."""


class SourceReservedError(TollbookError):
    """Usage is to be taken in under the name that charges are posted by; `value` is the name."""


class ChargesUnpostedError(TollbookError):
    """Invoices are to be drawn up while charges are due that were not posted; `value` is the period."""


class ChargeMissingError(TollbookError):
    """There is no charge of that id; `value` is the id."""


class ChargePostedError(TollbookError):
    """A charge is to end before a term that was posted; `value` is the charge's id."""


class Every(StrEnum):
    """How long a term is; `once` has none."""

    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    ONCE = "once"


class Timing(StrEnum):
    """At which end of its term a charge is due."""

    ADVANCE = "advance"
    ARREARS = "arrears"


_MONTHS = {Every.MONTH: 1, Every.QUARTER: 3, Every.YEAR: MONTHS_A_YEAR, Every.ONCE: 0}
_SHORTEST_DAYS = {Every.MONTH: 28, Every.QUARTER: 89, Every.YEAR: 365, Every.ONCE: 1}
"""The days of the shortest term: 31 January to 28 February, and to 30 April."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A recurring or one-off charge: `quantity` base units of a product, rated by its `dimensions`."""

    id: ChargeId
    account: str
    product: str
    effective_from: datetime
    every: Every
    effective_to: datetime = ALWAYS
    timing: Timing = Timing.ADVANCE
    drift: bool = False
    lead_days: int = 0
    quantity: int = 1
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """The `number`th time (from 1) that a charge is due, and the instant at which it is posted as having occurred."""

    charge: Charge
    number: int
    at: datetime

    @property
    def id(self) -> str:
        """The id of its event."""
        return f"{self.charge.id}/{self.number}"


def begins_at(charge: Charge, term: int) -> datetime:
    """When a term (from 1) begins; the one after it has then ended. ALWAYS beyond the calendar."""
    step, first = _MONTHS[charge.every], charge.effective_from
    if first.year + (step * (term - 1)) // MONTHS_A_YEAR >= ALWAYS.year:
        return ALWAYS
    return datetime.combine(_day(first.date(), step, term - 1, drift=charge.drift), first.timetz())


def due_at(charge: Charge, number: int) -> datetime:
    """When a charge is due for the `number`th time (from 1), whoever is suspended; later with each number."""
    if charge.timing is Timing.ARREARS:
        return begins_at(charge, number + 1)
    begins = begins_at(charge, number)
    return begins if number == 1 or begins == ALWAYS else begins - timedelta(days=charge.lead_days)


def due_until(charge: Charge, until: datetime, suspended: Iterable[Suspension] = ()) -> int:
    """How many times a charge is due up to and including an instant: its numbers are 1 to that.

    What falls into a suspension is due when the account is reactivated, and not before.
    """
    told = sorted(suspended)
    if charge.every is Every.ONCE:
        begun = charge.effective_from < charge.effective_to
        return int(begun and posted_at(charge.effective_from, told) <= until)
    if charge.effective_from > until:
        return 0
    months = (until.year - charge.effective_from.year) * MONTHS_A_YEAR + until.month - charge.effective_from.month
    # No more than these: in advance the first one at once, and maybe a renewal sooner.
    number = months // _MONTHS[charge.every] + (charge.timing is Timing.ADVANCE) + (charge.lead_days > 0)
    while number and not _is_due(charge, number, until, told):
        number -= 1
    return number


def posted_at(at: datetime, suspended: Iterable[Suspension]) -> datetime:
    """When something that is due is posted: at once, or when the account is reactivated; ALWAYS if it never is.

    Twilio, "Do I still get charged for phone numbers when my account is suspended?" (undated): two numbers of an
    account that was suspended for two months are six charges of the month in which it is reactivated.
    """
    for begins, ends in suspended:
        if begins <= at < ends:
            at = ends
    return at


def dues(charge: Charge, until: datetime, suspended: Iterable[Suspension] = (), *, first: int = 1) -> Iterator[Due]:
    """What of a charge is due up to and including an instant, from its `first` number on, in their order."""
    told = sorted(suspended)
    for number in range(first, due_until(charge, until, told) + 1):
        yield Due(charge=charge, number=number, at=posted_at(due_at(charge, number), told))


def next_due(charge: Charge, after: datetime, suspended: Iterable[Suspension] = ()) -> Due | None:
    """What of a charge is due next after an instant, as things stand; None where nothing is to come."""
    told = sorted(suspended)
    number = due_until(charge, after, told) + 1
    if (charge.every is Every.ONCE and number > 1) or begins_at(charge, number) >= charge.effective_to:
        return None
    return Due(charge=charge, number=number, at=posted_at(due_at(charge, number), told))


def suspensions_of(charge: Charge, accounts: Mapping[str, Account]) -> tuple[Suspension, ...]:
    """When whoever pays for a charge was suspended."""
    payer = payer_of(charge.account, accounts)
    return () if payer is None else payer.suspended


def payload_of(due: Due) -> bytes:
    """The usage event that something due becomes, as JSON."""
    charge = due.charge
    own = {name: text for name, text in charge.dimensions.items() if name in _OWN}
    declared = {name: text for name, text in charge.dimensions.items() if name not in _OWN}
    event = {
        "source": SOURCE,
        "id": due.id,
        "account": charge.account,
        "product": charge.product,
        "occurred_at": instant(due.at),
        "quantity": str(charge.quantity),
        **own,
        **({"attributes": declared} if declared else {}),
    }
    return msgspec.json.encode(event)


def events_of(charges: Iterable[Charge], accounts: Mapping[str, Account], period: Period) -> list[bytes]:
    """The usage events of a period that charges become."""
    return [
        payload_of(due)
        for charge in charges
        for due in dues(charge, period.closes - timedelta.resolution, suspensions_of(charge, accounts))
        if due.at >= period.opens
    ]


def ended(charge: Charge, at: datetime) -> Charge:
    """The charge, ending at an instant at the latest."""
    return replace(charge, effective_to=min(at, charge.effective_to))


def twice(charges: Iterable[Charge]) -> list[Fault]:
    """The charges that are given twice and differ."""
    seen: dict[str, Charge] = {}
    return [
        Fault(place=f"charge {each.id}", value="", problem="is given twice, and differs", remedy="keep one of them")
        for each in charges
        if seen.setdefault(each.id, each) != each
    ]


def read_charge(
    table: Mapping[str, object], place: str, products: Mapping[str, Product]
) -> tuple[Charge | None, list[Fault]]:
    """A charge from its table, or every fault of it."""
    faults: list[Fault] = []
    read = Reader(place=f"{place}: ", table=table, faults=faults)
    below = read.below("dimensions")
    charge = Charge(
        id=ChargeId(read.text("id")),
        account=read.text("account"),
        product=read.text("product"),
        effective_from=read.instant("effective_from") or datetime(1970, 1, 1, tzinfo=UTC),
        effective_to=read.instant("effective_to", ALWAYS) or ALWAYS,
        every=Every(read.choice("every", tuple(Every))),
        timing=Timing(read.choice("timing", tuple(Timing), Timing.ADVANCE)),
        drift=read.flag("drift"),
        lead_days=read.integer("lead_days", 0),
        quantity=read.integer("quantity", 1, least=1),
        dimensions={name: below.text(name) for name in sorted(below.table)},
    )
    read.finish()
    if not faults:
        _check(charge, read, below, products)
    return (None if faults else charge), faults


@lru_cache(maxsize=10_000)
def _day(first: date, step: int, terms: int, *, drift: bool) -> date:
    """The day on which a term begins, so many terms of `step` months after the first day."""
    day = months_before(first, -step * terms)
    if not drift or not terms:
        return day
    met = range(1, min(terms, _SETTLED) + 1)
    return day.replace(day=min(months_before(first, -step * each).day for each in met))


def _is_due(charge: Charge, number: int, until: datetime, told: Iterable[Suspension]) -> bool:
    """Whether a term began before the charge ended, and is due by an instant."""
    return begins_at(charge, number) < charge.effective_to and posted_at(due_at(charge, number), told) <= until


def _check(charge: Charge, read: Reader, dimensions: Reader, products: Mapping[str, Product]) -> None:
    if len(charge.id) > LONGEST_ID or not charge.id.isprintable() or charge.id != charge.id.strip():
        read.fault("id", f"is not 1 to {LONGEST_ID} printable characters", "write a short name, as in num-+14155550100")
    if charge.effective_to <= charge.effective_from:
        read.fault("effective_to", "is not after its beginning", "write an instant after effective_from")
    _check_terms(charge, read)
    product = products.get(charge.product)
    if product is None:
        read.fault("product", "is not a product", "`tollbook products list` lists them; your own are files")
        return
    for name in charge.dimensions:
        if name not in {*product.match, "country"}:
            known = ", ".join(sorted({*product.match, "country"}))
            dimensions.fault(name, f"is not what {product.id} is matched on", f"it has {known}")
    if read.faults:
        return
    # As any event is read: so whatever is due can be posted.
    first = payload_of(Due(charge=charge, number=1, at=charge.effective_from))
    wrong = read_payload(first, SOURCE, products)
    if isinstance(wrong, PayloadFault):
        key = wrong.pointer.rpartition("/")[2]
        where = dimensions if key in charge.dimensions else read
        problem, _, rest = wrong.reason.partition(": write ")
        remedy = f"write {rest}" if rest else "say what a usage event of the product may say"
        where.fault({"occurred_at": "effective_from"}.get(key, key), problem, remedy)


def _check_terms(charge: Charge, read: Reader) -> None:
    if charge.every is Every.ONCE:
        for key in ("timing", "drift", "lead_days", "effective_to"):
            if key in read.table and read.table[key] not in (Timing.ADVANCE, False, 0):
                read.fault(key, "is of charges that go on, and this one is due once", "leave it out")
    elif charge.lead_days and charge.timing is Timing.ARREARS:
        read.fault("lead_days", "is of charges in advance, and this one is due when a term ends", "leave it out")
    elif charge.lead_days >= _SHORTEST_DAYS[charge.every]:
        most = _SHORTEST_DAYS[charge.every] - 1
        read.fault(
            "lead_days", f"is as long as a {charge.every}", f"write at most {most}: a renewal is due within its term"
        )
