"""Draw up the invoices of a period: one snapshot in, a draft for each account with usage, a report that adds up.

All of a run's reads see one moment; its drafts are written in one transaction, all or none. Drawn again, a draft that
has not changed stays as it is, down to its signature. Accounts are taken in chunks, so that memory follows the chunk
and not the month.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np

from billing.adjustments import LATE_LIMIT
from billing.approvals import person
from billing.bounds import Bounds
from billing.drafts import NO_TOTALS_SHA256, Drafts, billed_totals, summed_sha256, together, totals_sha256
from billing.flows.absent import absences_of
from billing.flows.adjust import NONE_FOUND, Adjusting, Found
from billing.flows.carry import carried
from billing.flows.hold import Holds
from billing.flows.post import require_posted
from billing.flows.price import Pricer, halved, payers_and_prices, totals_of
from billing.invoices import Kind, Party
from billing.papers import papers
from billing.payers import Payer, payers_of
from billing.periods import Period
from billing.runs import GRACE, AccountOutcome, HeldAdjustment, Outcome, Run, report, require_closed
from billing.store.accounts import Accounts, read_accounts
from billing.store.adjustments import Held, newest_digests, replace_held
from billing.store.audit import record
from billing.store.carried import write_carried
from billing.store.drafts import (
    Seen,
    delete_drafts,
    hold_period,
    insert_drafts,
    payers_with_drafts,
    record_run,
    record_snapshot,
    written_batches,
)
from billing.store.engine import Connection, Engine, snapshot, transaction
from billing.store.queries.invoices import FinalInvoice, final_invoices
from billing.store.queries.pricing import payers_with_usage, pending_events, quarantined_events
from billing.store.sound import sound_drafts
from billing.store.touched import folds_in, settle
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
    late_limit: int = LATE_LIMIT,
) -> Run:
    """Draw up a period's invoices as of now; without `write` nothing is stored, and that is the preview.

    `drawn_by` says who runs it, where that is not `actor`, who is logged in. Bills beyond `bounds` are parked until a
    person releases them, and so are those whose control totals do not match, whatever the bounds. Earlier months that
    are issued and of which usage has changed since are billed anew: what they come to more is on the invoice, what they
    come to less is a credit note; but for months of more than `late_limit` before, until a person releases them.

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
        drawing = _Drawing.begin(reading, writing, products, period, bounds, at.date(), late_limit)
        drawing.draw_all()
        return drawing.end(at, grace, actor, person(drawn_by or actor))


class _Chunk(NamedTuple):
    """Some accounts priced: their drafts, and the sums of the totals that these are of, with the totals' digests."""

    drawn: Drafts
    billed: Totals
    digests: Mapping[int, str]
    adjusted: Mapping[str, Totals]


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
    adjusting: Adjusting
    newest: Mapping[int, str]
    folds: Mapping[int, int]
    held: list[Held] = field(default_factory=list)
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
        late_limit: int,
    ) -> "_Drawing":
        """Read who is billed, and by which terms."""
        accounts = read_accounts(reading)
        payers = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, period)
        final = final_invoices(reading, period)
        under_contract = (number for number, payer in payers.items() if payer.cards)
        adjusting = Adjusting.begin(reading, period, products, accounts, limit=late_limit)
        return cls(
            reading=reading,
            writing=writing,
            period=period,
            accounts=accounts,
            payers=payers,
            names={number: name for name, number in accounts.numbers.items()},
            final=final,
            active=sorted({*under_contract, *payers_with_usage(reading, period), *final, *adjusting.payers}),
            adjusting=adjusting,
            newest=newest_digests(reading, period),
            folds=folds_in(reading, period),
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
        found = self._adjusted(unpriced)
        payers = {payer for each in lines for payer in each.payer.tolist()} | {each.payer for each in found.adjustments}
        billed = billed_totals(totals_of(totals, [*payers]))
        of = (parties, digests, summed_sha256(billed))
        drafts = papers(lines, found.adjustments, *of, period=str(self.period))
        absent = absences_of(self.pricer, totals, self.today)
        drawn = self._within_bounds(unpriced, together(drafts) if drafts else None, absent)
        self._note(unpriced, drawn, found)
        return None if drawn is None else _Chunk(drawn, billed, digests, found.totals)

    def _adjusted(self, numbers: Sequence[int]) -> Found:
        """What earlier months of some accounts come to more or less; whose own month cannot be priced gets nothing."""
        found = self.adjusting.of([number for number in numbers if number not in self.pricer.failed])
        self.held += found.held
        return found

    def _within_bounds(
        self, numbers: Sequence[int], drawn: Drafts | None, absent: Mapping[int, Sequence[str]]
    ) -> Drafts | None:
        """The drafts but those that a safety bound holds back; their outcome is noted. None if that leaves nothing."""
        bills: Counter[int] = Counter()
        for number, total in (
            () if drawn is None else zip(drawn.payer.tolist(), drawn.total_minor.tolist(), strict=True)
        ):
            bills[number] += total
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
            held=self._held_words(),
        )
        if self.writing is not None:
            self._delete_stale(self.writing)
            replace_held(self.writing, self.period, self.held)
            drawn = [each for each in payers_with_drafts(self.writing, self.period) if each in self.payers]
            taken = carried(self.reading, self.period, {number: self.payers[number] for number in drawn})
            write_carried(self.writing, self.period, taken)
            numbers, snapshot_id = self.accounts.numbers, self.snapshot_id
            record_run(self.writing, found, numbers, snapshot_id, drawn_by, changed=self.changed)
            counts = {"billed": found.billed, "zero": found.zero, "parked": found.parked, "failed": found.failed}
            details = {"as": drawn_by, **counts}
            action, subject = "invoices.run", str(self.period)
            record(self.writing, at=at, actor=actor, action=action, subject=subject, details=details)
            settle(self.writing, self.adjusting.same)  # last: folds wait for it
        return Run(report=found, outcomes=outcomes)

    def _neither_final_nor_stopped(self, chunk: Sequence[int], totals: Totals, digests: Mapping[int, str]) -> list[int]:
        """The accounts still to be priced; the outcome of the others is noted."""
        foreign = self._foreign(totals)
        left = []
        for number in chunk:
            issued = self.final.get(number)
            if issued is not None:
                self._note_final(number, issued, digests.get(number, NO_TOTALS_SHA256))
            elif number in self.newest:
                self._note_elsewhere(number, digests.get(number, NO_TOTALS_SHA256))
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
        if self.newest.get(number, issued.billed_sha256) != billed_sha256:
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

    def _note_elsewhere(self, number: int, billed_sha256: str) -> None:
        """Who had no invoice of the month, and was billed for it by the run of a later one."""
        if self.newest[number] != billed_sha256:
            self.late.add(self.names[number])
        self._stop(number, Outcome.ZERO, "")

    def _stop(self, number: int, outcome: Outcome, reason: str) -> None:
        currency = self.payers[number].party.currency if number in self.payers else Currency("")
        self.outcomes[number] = AccountOutcome(
            account=self.names[number], outcome=outcome, currency=currency, reason=reason
        )

    def _note(self, numbers: Sequence[int], drawn: Drafts | None, found: Found = NONE_FOUND) -> None:
        """The outcome of the accounts that were priced."""
        if drawn is not None:
            columns = (drawn.payer.tolist(), drawn.total_minor.tolist(), drawn.line_count.tolist(), drawn.sha256)
            for number, total, lines, digest, paper in zip(*columns, drawn.papers, strict=True):
                party, before = self.payers[number].party, self.outcomes.get(number)
                self.outcomes[number] = AccountOutcome(
                    account=party.account,
                    outcome=Outcome.BILLED,
                    currency=party.currency,
                    total_minor=total + (before.total_minor if before else 0),
                    lines=lines + (before.lines if before else 0),
                    sha256=f"{before.sha256} {digest}" if before else digest,
                    credit_notes=(paper.kind is Kind.CREDIT_NOTE) + (before.credit_notes if before else 0),
                )
        adjusted: dict[int, dict[str, int]] = {}
        for each in found.adjustments:
            adjusted.setdefault(each.payer, {})[each.about.period] = each.net_minor
        for number, nets in adjusted.items():
            if self.outcomes[number].outcome is Outcome.BILLED:
                self.outcomes[number] = replace(self.outcomes[number], adjusts=tuple(sorted(nets.items())))
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
        numbers = sorted({*drawn.payer.tolist()})
        before = sound_drafts(writing, self.period, numbers)
        same = [before.get(slot, (0, ""))[1] == digest for slot, digest in zip(drawn.slots, drawn.sha256, strict=True)]
        kept = [before[slot][0] for slot, stays in zip(drawn.slots, same, strict=True) if stays]
        drawn = drawn.take(~np.array(same, dtype=bool))
        gone = delete_drafts(writing, self.period, numbers, but=kept)
        self.changed |= bool(gone or len(drawn.payer))
        numbers = drawn.payer.tolist()
        billed, parties = totals_of(chunk.billed, numbers), self._parties(numbers)
        seen = Seen(self.snapshot_id, {str(self.period): self.folds, **self.adjusting.folds})
        insert_drafts(writing, self.period, drawn, parties, billed, chunk.digests, seen, adjusted=chunk.adjusted)

    def _held_words(self) -> list[HeldAdjustment]:
        return [
            HeldAdjustment(
                account=each.account,
                origin=str(each.origin),
                net_minor=each.net_minor,
                currency=each.currency,
                why=each.why,
                releasable=each.releasable,
            )
            for each in sorted(self.held, key=lambda one: (one.account, one.origin.start))
        ]

    def _delete_stale(self, writing: Connection) -> None:
        """Drafts of accounts that are not billed any more."""
        billed = {number for number, each in self.outcomes.items() if each.outcome is Outcome.BILLED}
        stale = [number for number in payers_with_drafts(writing, self.period) if number not in billed]
        self.changed |= bool(stale)
        delete_drafts(writing, self.period, stale)
