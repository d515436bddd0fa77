"""Adjust months that are billed: find whose usage is not what was billed, and price it anew as the month was priced.

A month is priced with the contracts that it was billed by first, which are kept with that invoice, and the card
versions that rate its usage now. Part of a run: whatever it reads is of the run's snapshot.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from billing.adjustments import LATE_LIMIT, Adjustment, beyond, difference, parts_by_payer, without_credits
from billing.contracts import Contract
from billing.drafts import NO_TOTALS_SHA256, billed_totals, summed_sha256, totals_sha256
from billing.flows.price import Pricer, payers_and_prices, totals_of
from billing.invoices import Adjusted
from billing.payers import payers_of
from billing.periods import Period
from billing.store.accounts import Accounts
from billing.store.adjustments import (
    NEVER_BILLED,
    Billed,
    Held,
    Issued,
    adjusted_before,
    billed_of,
    issued_lines,
    newest_turns,
    payers_with_documents,
    released_digests,
    still_to_be_billed,
)
from billing.store.engine import Connection
from billing.store.totals import read_totals
from billing.store.touched import Same, touched_since_billed
from rates.deals import agreements_of
from rates.money import Currency
from rates.products import Product
from rates.usage import Totals, no_totals

CHUNK = 2500
"""Accounts whose totals are looked at together."""


class Found(NamedTuple):
    """The adjustments of some payers, the sums of the totals that they are of by month, and what is held back."""

    adjustments: Sequence[Adjustment]
    totals: Mapping[str, Totals]
    held: Sequence[Held]


NONE_FOUND = Found((), {}, ())


@dataclass(slots=True, kw_only=True)
class _Month:
    """A month that is billed: the payers whose usage has changed since, and what prices it."""

    origin: Period
    changed: set[int]
    billed: Mapping[int, Billed]
    pricer: Pricer
    too_late: bool
    released: set[tuple[int, str]]


@dataclass(slots=True, kw_only=True)
class Adjusting:
    """The months before a period that are billed and of which somebody's usage has changed since, in order.

    `same` are those of whom a month was looked at and is what was billed, and `folds` what the totals of the months
    are of, by month and payer.
    """

    reading: Connection
    period: Period
    months: list[_Month] = field(default_factory=list)
    same: list[Same] = field(default_factory=list)
    folds: dict[str, Mapping[int, int]] = field(default_factory=dict)

    @classmethod
    def begin(
        cls,
        reading: Connection,
        period: Period,
        products: Mapping[str, Product],
        accounts: Accounts,
        *,
        limit: int = LATE_LIMIT,
    ) -> "Adjusting":
        """Compare what may have changed of earlier months with what was billed. Nothing else of them is read."""
        found = cls(reading=reading, period=period)
        settled = payers_with_documents(reading, period)
        paying = {accounts.numbers[name] for name, account in accounts.accounts.items() if account.pays} - settled
        for origin, touched in touched_since_billed(reading, period).items():
            changed = found.changed_in(origin, touched, paying)
            if changed:
                billed = billed_of(reading, origin, changed)
                too_late = beyond(origin, period, limit)
                found.months.append(
                    _Month(
                        origin=origin,
                        changed=changed,
                        billed=billed,
                        pricer=frozen_pricer(reading, origin, products, accounts, billed),
                        too_late=too_late,
                        released=released_digests(reading, origin) if too_late else set(),
                    )
                )
        return found

    def changed_in(self, origin: Period, touched: Mapping[int, int], paying: set[int]) -> set[int]:
        """Those of some payers whose usage of a month is not what was billed. Whoever its own run still bills is not.

        `touched` are the folds that their totals are of.
        """
        self.folds[str(origin)] = touched
        billed = newest_turns(self.reading, origin, touched.keys())
        waiting = still_to_be_billed(self.reading, origin) - billed.keys()
        asked = sorted((touched.keys() & paying) - waiting - adjusted_before(self.reading, origin, self.period))
        changed = set()
        for start in range(0, len(asked), CHUNK):
            chunk = asked[start : start + CHUNK]
            now = totals_sha256(read_totals(self.reading, origin, chunk))
            for number in chunk:
                turn = billed.get(number, NEVER_BILLED)
                if now.get(number, NO_TOTALS_SHA256) != turn.billed_sha256:
                    changed.add(number)
                else:
                    self.same.append(Same(origin.start, number, touched[number], turn.steps))
        return changed

    @property
    def payers(self) -> set[int]:
        """All payers whose usage of some month has changed."""
        return {number for month in self.months for number in month.changed}

    def of(self, numbers: Sequence[int]) -> Found:
        """The adjustments of some payers, month by month."""
        parts = [_priced(self.reading, month, sorted(month.changed.intersection(numbers))) for month in self.months]
        totals = {part_of: some for found in parts for part_of, some in found.totals.items()}
        return Found(
            [each for found in parts for each in found.adjustments],
            totals,
            [each for found in parts for each in found.held],
        )


def frozen_pricer(
    reading: Connection,
    origin: Period,
    products: Mapping[str, Product],
    accounts: Accounts,
    billed: Mapping[int, Billed],
) -> Pricer:
    """What prices a month anew: the contracts that it was billed by, and no promotional credits."""
    names = {number: name for name, number in accounts.numbers.items()}
    contracts: dict[str, Sequence[Contract]] = dict(accounts.contracts)
    contracts |= {names[number]: each.contracts for number, each in billed.items()}
    payers = payers_of(accounts.accounts, contracts, accounts.numbers, origin)
    pricer = Pricer.begin(reading, origin, products, payers)
    pricer.agreements = agreements_of(
        {
            number: without_credits(payer.agreed, payer.party.currency)
            for number, payer in payers.items()
            if payer.agreed is not None
        }
    )
    return pricer


def _priced(reading: Connection, month: _Month, numbers: Sequence[int]) -> Found:
    """What a month comes to for some payers now, minus what was issued for it."""
    if not numbers:
        return NONE_FOUND
    found, held, origin, pricer = list[Adjustment](), list[Held](), month.origin, month.pricer
    sums: list[Totals] = []
    for some, totals in pricer.read_each(numbers):
        digests, summed = totals_sha256(totals), billed_totals(totals)
        behind = summed_sha256(summed)
        sums.append(summed)
        now = {payer: parts for lines in pricer.price(some, totals) for payer, parts in parts_by_payer(lines).items()}
        issued, foreign = issued_lines(reading, origin, some), _foreign(pricer, totals)
        for number in some:
            before, party = issued.get(number), pricer.payers[number].party
            about = Adjusted(
                period=str(origin),
                step=month.billed[number].steps if number in month.billed else 0,
                billed_sha256=digests.get(number, NO_TOTALS_SHA256),
                summed_sha256=behind.get(number, NO_TOTALS_SHA256),
            )
            each = Adjustment(
                payer=number,
                currency=party.currency,
                about=about,
                lines=difference(now.get(number, {}), before.lines if before else {}),
                corrects=before.first if before else "",
            )
            why = pricer.failed.get(number) or _otherwise(party.currency, foreign.get(number), before)
            if why or (each.lines and month.too_late and (number, about.billed_sha256) not in month.released):
                held.append(_held(each, origin, party.account, why))
            elif each.lines:
                found.append(each)
    for number in numbers:
        if number in pricer.failed and all(each.payer != number for each in held):
            held.append(_failed(number, pricer, origin))
    return Found(found, {str(origin): _together(sums)}, held)


def _otherwise(code: Currency, rated: str | None, before: Issued | None) -> str:
    """What is wrong with the currencies of a month; "" if nothing is."""
    other = rated or (before.currency if before is not None and before.currency != code else "")
    return f"was billed or rated in {other}, and the account is billed in {code}: mend its currency" if other else ""


def _held(each: Adjustment, origin: Period, account: str, why: str) -> Held:
    late = f"{origin} is older than the late limit: a person has to release its adjustment"
    return Held(
        payer=each.payer,
        account=account,
        origin=origin,
        net_minor=0 if why else each.net_minor,
        currency=each.currency,
        billed_sha256=each.about.billed_sha256,
        releasable=not why,
        why=why or late,
    )


def _failed(number: int, pricer: Pricer, origin: Period) -> Held:
    party = pricer.payers[number].party
    return Held(
        payer=number,
        account=party.account,
        origin=origin,
        net_minor=0,
        currency=party.currency,
        billed_sha256=NO_TOTALS_SHA256,
        releasable=False,
        why=pricer.failed[number],
    )


def _foreign(pricer: Pricer, totals: Totals) -> dict[int, str]:
    """The payers whose usage of the month is rated in another currency than they are billed in."""
    rated = ((number, pricer.prices[price].currency) for number, price in payers_and_prices(totals))
    return {number: code for number, code in rated if code != pricer.payers[number].party.currency}


def _together(totals: Sequence[Totals]) -> Totals:
    found = no_totals()
    for each in totals:
        found = found.plus(each)
    return found


def totals_by_month(found: Found, numbers: Sequence[int]) -> Iterator[tuple[str, Totals]]:
    """The sums of the totals of each month, of some payers."""
    for origin, totals in found.totals.items():
        yield origin, totals_of(totals, numbers)
