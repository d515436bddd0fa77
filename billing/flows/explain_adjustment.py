"""Explain a line that adjusts an earlier month: what was billed of it before, what it comes to, and what came since."""

from billing.adjustments import NOTHING, AdjustmentExplanation, Part, key_of_line, plus
from billing.invoices import Invoice, Kind
from billing.payers import SubjectMissingError, paying
from billing.periods import Period
from billing.store.accounts import read_accounts
from billing.store.adjustments import issued_by_turn
from billing.store.engine import Engine, snapshot
from billing.store.queries.adjustments import documents_of_month, draft_snapshot, events_between
from billing.store.queries.invoices import read_invoices
from rates.money import format_minor

PAGE = 20


def adjusting_invoice(engine: Engine, period: Period, account: str, number: str = "") -> Invoice | None:
    """The invoice or credit note of that number, else the account's invoice, or draft, of a month; None without one."""
    with snapshot(engine) as connection:
        found = [
            each
            for final in (True, False)
            for kind in Kind
            for each in read_invoices(connection, period, final=final, account=account, kind=kind)
            if (each.number == number if number else each.kind is Kind.USAGE)
        ]
    return found[0] if found else None


def explain_adjustment(
    engine: Engine, invoice: Invoice, number: int, *, first: int = 0, size: int = PAGE
) -> AdjustmentExplanation:
    """What a line is of that adjusts an earlier month; `size` of the events that came since, from `first` on.

    Raises SubjectMissingError where the invoice has no such line.
    """
    if not 1 <= number <= len(invoice.lines):
        place = f"{invoice.party.account} {invoice.period}"
        raise SubjectMissingError("no such line", place=place, value=str(number), remedy="see `tollbook invoices show`")
    line = invoice.lines[number - 1]
    origin, key = Period.parse(line.origin_period), key_of_line(line)
    step = next(each.step for each in invoice.adjusts if each.period == line.origin_period)
    with snapshot(engine) as connection:
        accounts = read_accounts(connection)
        payer = accounts.numbers[paying(invoice.party.account, accounts.accounts, accounts.contracts).id]
        turns = issued_by_turn(connection, origin, payer)[:step]
        parts = [(name, lines[key]) for name, lines in turns if key in lines]
        before = NOTHING
        for _, part in parts:
            before = plus(before, part)
        seen = documents_of_month(connection, origin, payer)
        until = seen[step][1] if invoice.number else draft_snapshot(connection, payer, Period.parse(invoice.period))
        since = seen[step - 1][1] if step else None
        asked = (payer, origin, line.product, since, until)
        count, page = events_between(connection, *asked, first=first, size=size)
    own = Part(line.events, line.base_quantity, line.amount_minor, line.residual, line.cards)
    return AdjustmentExplanation(
        account=invoice.party.account,
        invoice=invoice.number,
        period=invoice.period,
        line=line,
        currency=invoice.party.currency,
        issued=tuple((name, format_minor(part.amount_minor, invoice.party.currency)) for name, part in parts),
        before=before,
        now=plus(before, own),
        came=count,
        page=page,
    )
