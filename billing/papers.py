"""Papers: what an account gets of a run. An invoice, with what is still due for earlier months, and credit notes.

What an earlier month comes to more is lines on the invoice, behind those of the month; what it comes to less is a
credit note, one for each such month. Who used nothing in the month may have an invoice of adjustments only.
An adjustment without lines makes no document. It goes with one that there is anyway, and is settled by it.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from billing.adjustments import Adjustment, by_currency, no_lines
from billing.drafts import Drafts, Paper, draw
from billing.invoices import Kind, Party
from rates.lines import PricedLines


def papers(
    lines: Sequence[PricedLines],
    adjustments: Sequence[Adjustment],
    parties: Mapping[int, Party],
    billed_sha256: Mapping[int, str],
    summed: Mapping[int, str],
    *,
    period: str,
) -> list[Drafts]:
    """The drafts of some payers: `lines` are those of the period, group by group. The digests are as of `draw`."""
    billed = {payer for group in lines for payer in np.unique(group.payer).tolist()}
    billed |= {each.payer for each in adjustments if each.lines and not each.is_credit}
    due = [each for each in adjustments if not each.is_credit and each.payer in billed]
    about: dict[int, Paper] = {}
    for each in sorted(due, key=lambda one: one.about.period):
        before = about.get(each.payer, Paper())
        about[each.payer] = before._replace(adjusts=(*before.adjusts, each.about))
    found, met = [], set[int]()
    for group in lines:
        among = {*np.unique(group.payer).tolist()}
        added = [line for each in due if each.payer in among for line in each.added()]
        found.append(draw(group, parties, billed_sha256, summed, period=period, added=added, papers=about))
        met |= among
    for code, some in by_currency(each for each in due if each.payer not in met):
        added = [line for each in some for line in each.added()]
        found.append(draw(no_lines(code), parties, billed_sha256, summed, period=period, added=added, papers=about))
    return [*found, *_credit_notes(adjustments, parties, period)]


def _credit_notes(adjustments: Sequence[Adjustment], parties: Mapping[int, Party], period: str) -> Iterator[Drafts]:
    """One for each payer and month; of one month and currency all are drawn together."""
    credit = [each for each in adjustments if each.is_credit]
    for code, some in by_currency(credit):
        for origin in sorted({each.about.period for each in some}):
            own = [each for each in some if each.about.period == origin]
            said = {each.payer: Paper(Kind.CREDIT_NOTE, (each.about,), each.corrects) for each in own}
            added = [line for each in own for line in each.added()]
            yield draw(no_lines(code), parties, {}, {}, period=period, added=added, papers=said)
