"""Statements: what a customer sees of a period at any moment. Of an open period every amount is an estimate."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from billing.invoices import Invoice, InvoiceLine, Party, lines_by_payer, peoples_quantity, total_minor
from billing.periods import Period
from rates.lines import PricedLines
from rates.money import format_fraction
from rates.pricing import Standing
from rates.tiers import Measure, Mode, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class TierProgress:
    """Where a counter stands. `account` is whose it is; quantities are in `unit`, plain decimals.

    `tier` counts from 1; in the last one `next_threshold` and `to_go` are "".
    """

    schedule: str
    mode: str
    account: str
    unit: str
    position: str
    tier: int
    tiers: int
    next_threshold: str
    to_go: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A billing account's period as of an instant. `total_minor` is the spend to date; sums are by the lines' words.

    `estimate`: the period is open, or its usage of a crossing day was priced without the order of its events.
    `waiting` counts the events in quarantine, by reason: they have no price, and are in no amount. `pending` counts
    those that were reported while their outcome was open: they cost nothing. `invoices` are issued for the period
    already, and all of `adjusted_by` have billed it; `later` events came after them, and `unbilled` is what a run of a
    later month bills for it now. `adjustments` are what this month's invoice and credit notes bill of earlier ones.
    """

    party: Party
    period: Period
    at: datetime
    estimate: bool
    lines: tuple[InvoiceLine, ...]
    total_minor: int
    progress: tuple[TierProgress, ...]
    by_product: Mapping[str, int]
    by_country: Mapping[str, int]
    waiting: Mapping[str, int]
    pending: int
    invoices: tuple[Invoice, ...]
    later: int
    unbilled: tuple[InvoiceLine, ...]
    adjusted_by: tuple[str, ...] = ()
    adjustments: tuple[InvoiceLine, ...] = ()

    @property
    def unbilled_minor(self) -> int:
        """What came after the invoices changes the total by."""
        return total_minor(self.unbilled)


def compose(  # noqa: PLR0913 (each is another part of the statement)
    priced: PricedLines,
    standings: Sequence[Standing],
    party: Party,
    names: Mapping[int, str],
    *,
    period: Period,
    at: datetime,
    estimate: bool,
    waiting: Mapping[str, int] | None = None,
    pending: int = 0,
    invoices: Sequence[Invoice] = (),
    later: int = 0,
    unbilled: Sequence[InvoiceLine] = (),
    adjusted_by: Sequence[str] = (),
    adjustments: Sequence[InvoiceLine] = (),
) -> Statement:
    """The statement of the one payer in `priced`. `names` are the accounts by the ids that `standings` use."""
    lines = tuple(line for found in lines_by_payer(priced, str(period)).values() for line in found)
    return Statement(
        party=party,
        period=period,
        at=at,
        estimate=estimate,
        lines=lines,
        total_minor=total_minor(lines),
        progress=tuple(progress(standing, names[standing.owner], party.currency) for standing in standings),
        by_product=_sums(lines, lambda line: line.product or line.element),
        by_country=_sums(lines, lambda line: line.country),
        waiting=waiting or {},
        pending=pending,
        invoices=tuple(invoices),
        later=later,
        unbilled=tuple(unbilled),
        adjusted_by=tuple(adjusted_by),
        adjustments=tuple(adjustments),
    )


def progress(standing: Standing, account: str, currency: str) -> TierProgress:
    """Where a counter stands, in its unit; one of money in the currency."""
    schedule, size = standing.schedule, standing.unit_size
    # Graduated: the tier of the next unit. Volume: the tier of all units so far; a bound is still in the tier it ends.
    graduated = schedule.mode is Mode.GRADUATED
    reached = sum(bound < standing.position + graduated for bound in standing.bounds)
    following = standing.bounds[reached] if reached < len(standing.bounds) else None
    return TierProgress(
        schedule=schedule.name,
        mode=schedule.mode,
        account=account if schedule.scope is Scope.ACCOUNT else "",
        unit=_unit(schedule.measure, schedule.unit) or currency,
        position=peoples_quantity(standing.position, size),
        tier=reached + 1,
        tiers=schedule.tiers,
        next_threshold="" if following is None else format_fraction(Fraction(following, size)),
        to_go="" if following is None else peoples_quantity(following - standing.position, size),
    )


def _unit(measure: Measure, unit: str) -> str:
    return "event" if measure is Measure.EVENTS else unit


def _sums(lines: Sequence[InvoiceLine], word: Callable[[InvoiceLine], str]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for line in lines:
        sums[word(line)] += line.amount_minor
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))
