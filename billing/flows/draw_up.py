"""Draw up the invoices of a period: one snapshot in, a draft for each account with usage, a report that adds up.

All of a run's reads see one moment; its drafts are written in one transaction, all or none. Drawn again, a draft that
has not changed stays as it is, down to its signature. Accounts are taken in chunks, so that memory follows the chunk
and not the month.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np

from billing.approvals import person
from billing.bounds import Bounds
from billing.drafts import NO_TOTALS_SHA256, Drafts, billed_totals, draw, summed_sha256, together, totals_sha256
from billing.flows.absent import absences_of
from billing.flows.hold import Holds
from billing.flows.post import require_posted
from billing.flows.price import Pricer, halved, payers_and_prices, totals_of
from billing.invoices import Party
from billing.payers import Payer, payers_of
from billing.periods import Period
from billing.runs import GRACE, AccountOutcome, Outcome, Run, report, require_closed
from billing.store.accounts import Accounts, read_accounts
from billing.store.audit import record
from billing.store.drafts import (
    delete_drafts,
    hold_period,
    insert_drafts,
    payers_with_drafts,
    record_run,
    record_snapshot,
    sound_drafts,
    written_batches,
)
from billing.store.engine import Connection, Engine, snapshot, transaction
from billing.store.queries.invoices import FinalInvoice, final_invoices
from billing.store.queries.pricing import payers_with_usage, pending_events, quarantined_events
from rates.money import Currency
from rates.products import Product
from rates.usage import Totals

CHUNK = 2500
"""Accounts that are read and priced at a time."""


def draw_up(  # noqa: PLR0913 (each is asked of a run by its own name)
    engine: Engine,
    products: Mapping[str, Product],
    period: Period,
    at: datetime,
    *,
    write: bool,
    actor: str = "",
    drawn_by: str = "",
    early: bool = False,
    bounds: Bounds | None = None,
    grace: timedelta = GRACE,
) -> Run:
    """Draw up a period's invoices as of now; without `write` nothing is stored, and that is the preview.

    `drawn_by` says who runs it, where that is not `actor`, who is logged in. Bills beyond `bounds` are parked until a
    person releases them, and so are those whose control totals do not match, whatever the bounds.

    Raises PeriodOpenError where drafts are to be written of a period that has not ended (unless `early`),
    PeriodLockedError where another run or a finalization of the period is at work, and ChargesUnpostedError where
    drafts would lack charges that are due.
    """
    if write:
        require_closed(period, at, grace=timedelta(0), early=early, what="draw up invoices")
    with ExitStack() as stack:
        writing = stack.enter_context(transaction(engine)) if write else None
        if writing is not None:
            hold_period(writing, period)
        # Taken under the lock: whatever was issued before is seen, and nothing is issued meanwhile.
        reading = stack.enter_context(snapshot(engine))
        if write:
            require_posted(reading, period, at)
        drawing = _Drawing.begin(reading, writing, products, period, bounds, at.date())
        drawing.draw_all()
        return drawing.end(at, grace, actor, person(drawn_by or actor))


class _Chunk(NamedTuple):
    """Some accounts priced: their drafts, and the sums of the totals that these are of, with the totals' digests."""

    drawn: Drafts
    billed: Totals
    digests: Mapping[int, str]


@dataclass(slots=True, kw_only=True)
class _Drawing:
    """A run at work."""

    reading: Connection
    writing: Connection | None
    period: Period
    accounts: Accounts
    payers: Mapping[int, Payer]
    names: Mapping[int, str]
    final: Mapping[int, FinalInvoice]
    active: list[int]
    pricer: Pricer
    snapshot_id: int
    today: date
    holds: Holds
    outcomes: dict[int, AccountOutcome] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    changed: bool = False

    @classmethod
    def begin(
        cls,
        reading: Connection,
        writing: Connection | None,
        products: Mapping[str, Product],
        period: Period,
        bounds: Bounds | None,
        today: date,
    ) -> "_Drawing":
        """Read who is billed, and by which terms."""
        accounts = read_accounts(reading)
        payers = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, period)
        final = final_invoices(reading, period)
        under_contract = (number for number, payer in payers.items() if payer.cards)
        return cls(
            reading=reading,
            writing=writing,
            period=period,
            accounts=accounts,
            payers=payers,
            names={number: name for name, number in accounts.numbers.items()},
            final=final,
            active=sorted({*under_contract, *payers_with_usage(reading, period), *final}),
            pricer=Pricer.begin(reading, period, products, payers),
            today=today,
            holds=Holds.begin(reading, period, bounds, accounts.accounts),
            snapshot_id=0 if writing is None else record_snapshot(writing, written_batches(reading)),
        )

    def draw_all(self) -> None:
        """Price all accounts chunk by chunk; while the database takes one in, the next is priced."""
        with ThreadPoolExecutor(max_workers=1) as thread:
            written: Future[None] | None = None
            for start in range(0, len(self.active), CHUNK):
                for chunk in self._draw(self.active[start : start + CHUNK]):
                    if written is not None:
                        written.result()
                    written = thread.submit(self._write, chunk)
            if written is not None:
                written.result()

    def _draw(self, numbers: Sequence[int]) -> Iterator["_Chunk"]:
        """Price some accounts; or their halves where that goes wrong, until whoever breaks it is alone and fails."""
        failed: dict[int, str] = {}
        yield from (chunk for _, chunk in halved(numbers, self._draw_together, failed) if chunk is not None)
        for number, reason in failed.items():
            self._stop(number, Outcome.FAILED, reason)

    def _draw_together(self, numbers: Sequence[int]) -> "_Chunk | None":
        """Price some accounts and note what became of them; None if that is no draft."""
        totals = self.pricer.read(numbers)
        digests = totals_sha256(totals)
        unpriced = self._neither_final_nor_stopped(numbers, totals, digests)
        parties = self._parties(unpriced)
        lines = [lines for lines in self.pricer.price(unpriced, totals_of(totals, unpriced)) if len(lines.payer)]
        payers = {payer for each in lines for payer in each.payer.tolist()}
        billed = billed_totals(totals_of(totals, [*payers]))
        summed = summed_sha256(billed)
        drafts = [draw(each, parties, digests, summed, period=str(self.period)) for each in lines]
        absent = absences_of(self.pricer, totals, self.today)
        drawn = self._within_bounds(unpriced, together(drafts) if drafts else None, absent)
        if drawn is None:
            self._note(unpriced, None)
            return None
        self._note(unpriced, drawn)
        return _Chunk(drawn, billed, digests)

    def _within_bounds(
        self, numbers: Sequence[int], drawn: Drafts | None, absent: Mapping[int, Sequence[str]]
    ) -> Drafts | None:
        """The drafts but those that a safety bound holds back; their outcome is noted. None if that leaves nothing."""
        bills = {} if drawn is None else dict(zip(drawn.payer.tolist(), drawn.total_minor.tolist(), strict=True))
        for number in numbers:
            party = self.payers[number].party
            held = self.holds.of(number, party, bills.get(number), absent.get(number, ()))
            if held is not None:
                self.outcomes[number] = held
        if drawn is None:
            return None
        kept = np.array([number not in self.outcomes for number in drawn.payer.tolist()], dtype=bool)
        return drawn.take(kept) if kept.any() else None

    def end(self, at: datetime, grace: timedelta, actor: str, drawn_by: str) -> Run:
        """The report; and, where drafts are written, the last of it."""
        outcomes = tuple(self.outcomes[number] for number in self.active)
        found = report(
            outcomes,
            active=len(self.active),
            period=self.period,
            drawn_at=at,
            written=self.writing is not None,
            grace=grace,
            late=self.late,
            quarantined=quarantined_events(self.reading, self.period),
            pending=pending_events(self.reading, self.period),
            mismatches=self.holds.mismatches.nobodys,
        )
        if self.writing is not None:
            self._delete_stale(self.writing)
            numbers, snapshot_id = self.accounts.numbers, self.snapshot_id
            record_run(self.writing, found, numbers, snapshot_id, drawn_by, changed=self.changed)
            counts = {"billed": found.billed, "zero": found.zero, "parked": found.parked, "failed": found.failed}
            details = {"as": drawn_by, **counts}
            action, subject = "invoices.run", str(self.period)
            record(self.writing, at=at, actor=actor, action=action, subject=subject, details=details)
        return Run(report=found, outcomes=outcomes)

    def _neither_final_nor_stopped(self, chunk: Sequence[int], totals: Totals, digests: Mapping[int, str]) -> list[int]:
        """The accounts still to be priced; the outcome of the others is noted."""
        foreign = self._foreign(totals)
        left = []
        for number in chunk:
            issued = self.final.get(number)
            if issued is not None:
                self._note_final(number, issued, digests.get(number, NO_TOTALS_SHA256))
            elif number not in self.payers:
                self._stop(number, Outcome.PARKED, "has usage to pay for, but does not pay: write pays = true")
            elif number in foreign:
                billed = f"is billed in {self.payers[number].party.currency}"
                self._stop(number, Outcome.PARKED, f"{billed}, but was rated in {foreign[number]}: mend its currency")
            else:
                left.append(number)
        return left

    def _foreign(self, totals: Totals) -> dict[int, str]:
        """The accounts that were rated in another currency than they are billed in."""
        rated = ((number, self.pricer.prices[price_id].currency) for number, price_id in payers_and_prices(totals))
        return {
            number: code
            for number, code in rated
            if number in self.payers and code != self.payers[number].party.currency
        }

    def _parties(self, numbers: Sequence[int]) -> dict[int, Party]:
        return {number: self.payers[number].party for number in numbers}

    def _note_final(self, number: int, issued: FinalInvoice, billed_sha256: str) -> None:
        if issued.billed_sha256 != billed_sha256:
            self.late.add(issued.account)
        self.outcomes[number] = AccountOutcome(
            account=issued.account,
            outcome=Outcome.BILLED,
            currency=issued.currency,
            total_minor=issued.total_minor,
            lines=issued.lines,
            sha256=issued.sha256,
            final=True,
        )

    def _stop(self, number: int, outcome: Outcome, reason: str) -> None:
        currency = self.payers[number].party.currency if number in self.payers else Currency("")
        self.outcomes[number] = AccountOutcome(
            account=self.names[number], outcome=outcome, currency=currency, reason=reason
        )

    def _note(self, numbers: Sequence[int], drawn: Drafts | None) -> None:
        """The outcome of the accounts that were priced."""
        if drawn is not None:
            columns = (drawn.payer.tolist(), drawn.total_minor.tolist(), drawn.line_count.tolist(), drawn.sha256)
            for number, total, lines, digest in zip(*columns, strict=True):
                party = self.payers[number].party
                self.outcomes[number] = AccountOutcome(
                    account=party.account,
                    outcome=Outcome.BILLED,
                    currency=party.currency,
                    total_minor=total,
                    lines=lines,
                    sha256=digest,
                )
        for number in numbers:
            if number in self.pricer.failed:
                self._stop(number, Outcome.FAILED, self.pricer.failed[number])
            elif number not in self.outcomes:
                self._stop(number, Outcome.ZERO, "")

    def _write(self, chunk: "_Chunk") -> None:
        """Replace the drafts that changed, and leave those that did not."""
        writing, drawn = self.writing, chunk.drawn
        if writing is None:
            return
        numbers = drawn.payer.tolist()
        before = sound_drafts(writing, self.period, numbers)
        if before:
            changed = [before.get(number) != digest for number, digest in zip(numbers, drawn.sha256, strict=True)]
            drawn = drawn.take(np.array(changed, dtype=bool))
            numbers = drawn.payer.tolist()
        self.changed |= bool(numbers)
        delete_drafts(writing, self.period, numbers)
        billed = totals_of(chunk.billed, numbers)
        insert_drafts(writing, self.period, drawn, self._parties(numbers), billed, chunk.digests, self.snapshot_id)

    def _delete_stale(self, writing: Connection) -> None:
        """Drafts of accounts that are not billed any more."""
        billed = {number for number, each in self.outcomes.items() if each.outcome is Outcome.BILLED}
        stale = [number for number in payers_with_drafts(writing, self.period) if number not in billed]
        self.changed |= bool(stale)
        delete_drafts(writing, self.period, stale)
