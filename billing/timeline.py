"""What is billed over time: months closed one after the other, each adjusting the earlier ones by what came late.

The same pure functions as with a store: a month's bill is `bills.bill` of all that is reported by then, and what it
differs by from what was issued is `adjustments.difference`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from billing.adjustments import LATE_LIMIT, Part, Parts, beyond, difference, line_of, parts_of, plus
from billing.bills import Arrangement, Bill, Bills, bill
from billing.invoices import InvoiceLine, Kind, total_minor
from billing.periods import Period
from billing.steps import Step
from rates.cards import Card
from rates.lines import LineKey
from rates.money import Currency


def bill_over_time(reported: Sequence[bytes], steps: Sequence[Step], deal: Arrangement, period: Period) -> Bills:
    """What the months that are closed come to, document by document; the counts are of `period`, at the end."""
    months = _Months(deal=deal, reported=list(reported))
    for step in steps:
        months.reported += step.payloads
        if step.publish is not None:
            months.publish(step.publish)
        if step.close is not None:
            months.close(step.close)
    counted = bill(months.reported, months.deal, period)
    return replace(counted, bills=tuple(months.documents), held=tuple(months.held)) if months.closed else counted


@dataclass(slots=True, kw_only=True)
class _Months:
    """The months so far: what is reported and issued; `lines` are those of each account and month by their keys."""

    deal: Arrangement
    reported: list[bytes]
    closed: list[Period] = field(default_factory=list)
    documents: list[Bill] = field(default_factory=list)
    lines: dict[tuple[str, Period], dict[LineKey, Part]] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)

    def publish(self, card: Card) -> None:
        """A version takes its place, and that of the one from the same instant."""
        others = [each for each in self.deal.cards if each.version != card.version]
        self.deal = replace(self.deal, cards=(*others, card))

    def close(self, period: Period) -> None:
        """Issue a month: what it comes to, and what earlier ones come to more or less by now."""
        added: dict[str, list[InvoiceLine]] = {}
        moneys: dict[str, Currency] = {}
        notes: list[Bill] = []
        for origin in sorted(self.closed, key=lambda each: each.start):
            for account, money, parts in self._differences(origin):
                lines = [line_of(key, part, str(origin)) for key, part in parts.items()]
                if beyond(origin, period, LATE_LIMIT):
                    self.held.append(f"{account} {origin}")
                    continue
                self._issue(account, origin, parts)
                if total_minor(lines) < 0:
                    notes.append(_document(account, money, lines, period, Kind.CREDIT_NOTE))
                else:
                    added.setdefault(account, []).extend(lines)
                    moneys[account] = money
        own = {each.account: each for each in bill(self.reported, self.deal, period).bills}
        for account in sorted({*own, *added}):
            lines = [*(own[account].lines if account in own else ()), *added.get(account, ())]
            self._issue(account, period, parts_of(own[account].lines) if account in own else {})
            if lines:
                money = own[account].currency if account in own else moneys[account]
                self.documents.append(_document(account, money, lines, period, Kind.USAGE))
        self.documents += notes
        self.closed.append(period)

    def _differences(self, origin: Period) -> list[tuple[str, Currency, Parts]]:
        """By what a month differs now from what was issued for it, account by account."""
        found: list[tuple[str, Currency, Parts]] = []
        for each in bill(self.reported, self.deal, origin).bills:
            parts = difference(parts_of(each.lines), self.lines.get((each.account, origin), {}))
            if parts:
                found.append((each.account, each.currency, parts))
        return found

    def _issue(self, account: str, origin: Period, parts: Mapping[LineKey, Part]) -> None:
        lines = self.lines.setdefault((account, origin), {})
        for key, part in parts.items():
            lines[key] = plus(lines[key], part) if key in lines else part


def _document(account: str, money: Currency, lines: Sequence[InvoiceLine], period: Period, kind: Kind) -> Bill:
    return Bill(
        account=account,
        currency=money,
        lines=tuple(lines),
        total_minor=total_minor(lines),
        period=str(period),
        kind=kind,
    )
