"""Invoices: their lines as FORMATS 6 writes them, what is signed, and the life cycle as a table.

THEORY OF OPERATION
===================
A run draws a **draft** for each billing account of a period. Drawn again it is replaced, unless nothing about it
changed: then it stays as it is, signature and all. Where a person must approve, a signature names the SHA-256 of the
draft's canonical form (`content`), and so holds for that content only: a draft that is redrawn with other content is a
draft again. Finalizing issues exactly the draft that was signed, gives it a number, and freezes it. A final invoice
never changes: what happens to it later (sent, paid, void by a credit note) is told by events beside it.

    draft ──approve──▶ approved ──finalize──▶ final
      ▲ │                 │
      │ └─finalize (where nobody must approve)──▶ final
      └──────redraw───────┘
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction

from rates.errors import TollbookError
from rates.lines import PricedLines
from rates.money import Currency, format_fraction, format_minor, round_ratio

LINE_FIELDS = (
    "product", "element", "country", "destination", "tier", "events", "quantity", "unit", "unit_price", "amount",
    "residual", "base_quantity", "base_unit", "origin_period", "cards",
)  # fmt: skip
"""What a line says, in the order in which it says it everywhere (FORMATS 6)."""

CORRECTION = "correction"
"""Why there is a credit note: a month comes to less than was billed for it."""

Slot = tuple[int, str]
"""Which document of a run one is: its payer, and of a credit note the month that it corrects, else nothing."""

_PEOPLES_DECIMALS = 6


class InvoiceStateError(TollbookError):
    """A step that an invoice's state does not allow."""


class Kind(StrEnum):
    """What a document is: what a month comes to, or a credit note for a month that was billed too high.

    A billing account has one non-void invoice for each month, and each month's run gives it one credit note at most for
    each earlier month.
    """

    USAGE = "usage"
    CREDIT_NOTE = "credit_note"


class State(StrEnum):
    """Where an invoice stands before it is final; afterwards events project its status."""

    DRAFT = "draft"
    APPROVED = "approved"
    FINAL = "final"


class Step(StrEnum):
    """What moves an invoice on."""

    REDRAW = "redraw"
    APPROVE = "approve"
    FINALIZE = "finalize"


LIFE_CYCLE = {
    (State.DRAFT, Step.REDRAW): State.DRAFT,
    (State.DRAFT, Step.APPROVE): State.APPROVED,
    (State.DRAFT, Step.FINALIZE): State.FINAL,
    (State.APPROVED, Step.REDRAW): State.DRAFT,
    (State.APPROVED, Step.APPROVE): State.APPROVED,
    (State.APPROVED, Step.FINALIZE): State.FINAL,
}
"""(state, step) -> the next state. What is not here cannot happen."""

UNAPPROVED = frozenset({(State.DRAFT, Step.FINALIZE)})
"""Steps that are closed where a person must approve."""


def after(state: State, step: Step, *, approval_demanded: bool = False) -> State:
    """The state that a step leads to. Raises InvoiceStateError where there is no such step."""
    reached = LIFE_CYCLE.get((state, step))
    if reached is None:
        raise InvoiceStateError(f"no {step} from here", value=state, remedy="a final invoice is corrected by another")
    if approval_demanded and (state, step) in UNAPPROVED:
        raise InvoiceStateError(f"no {step} without an approval", value=state, remedy="approve it first")
    return reached


def states_before(step: Step, *, approval_demanded: bool = False) -> tuple[State, ...]:
    """The states from which a step is open."""
    closed = UNAPPROVED if approval_demanded else frozenset()
    return tuple(state for state, taken in LIFE_CYCLE if taken is step and (state, taken) not in closed)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """One row of an invoice. `base_quantity` is in base units, of which `unit_size` are one `unit`.

    `residual` is exact minus rounded, in major units; `cards` are the versions that rated what is on it.
    """

    product: str
    element: str
    country: str
    destination: str
    tier: str
    events: int
    unit: str
    unit_size: int
    unit_price: Fraction
    amount_minor: int
    residual: Fraction
    base_quantity: int
    base_unit: str
    origin_period: str
    cards: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Who is billed, by whom and in which currency, as the invoice says it for ever."""

    account: str
    currency: Currency
    name: str = ""
    address: tuple[str, ...] = ()
    tax_id: str = ""
    language: str = ""
    legal_entity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """Which totals of another month a document bills; `step` counts what had billed it before.

    `billed_sha256` is the digest of all of the month's daily totals, `summed_sha256` that of their sums.
    """

    period: str
    step: int
    billed_sha256: str
    summed_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An invoice or a credit note, or a draft of one; of a draft `number` is "" and the dates are missing.

    `billed_sha256` is the digest of the daily totals that were priced, `summed_sha256` that of their sums over the
    period, which are stored beside it, and `sha256` that of `content`. `adjusts` are the earlier months that it bills
    anew, and `corrects` is of a credit note the number of the invoice that it is about.
    """

    party: Party
    kind: Kind
    period: str
    state: State
    lines: tuple[InvoiceLine, ...]
    total_minor: int
    billed_sha256: str
    summed_sha256: str
    sha256: str
    number: str = ""
    issued_on: date | None = None
    due_on: date | None = None
    adjusts: tuple[Adjusted, ...] = ()
    corrects: str = ""


def peoples_quantity(base_quantity: int, unit_size: int) -> str:
    """The quantity in units, 6 decimals at most, half away from zero: 90 seconds are "1.5" minutes."""
    return format_fraction(
        Fraction(round_ratio(base_quantity * 10**_PEOPLES_DECIMALS, unit_size), 10**_PEOPLES_DECIMALS)
    )


def record(line: InvoiceLine, currency: Currency) -> dict[str, object]:
    """A line as all outputs write it: money and quantities are plain decimal strings, `events` is a count."""
    return {
        "product": line.product,
        "element": line.element,
        "country": line.country,
        "destination": line.destination,
        "tier": line.tier,
        "events": line.events,
        "quantity": peoples_quantity(line.base_quantity, line.unit_size),
        "unit": line.unit,
        "unit_price": format_fraction(line.unit_price),
        "amount": format_minor(line.amount_minor, currency),
        "residual": str(line.residual),
        "base_quantity": str(line.base_quantity),
        "base_unit": line.base_unit,
        "origin_period": line.origin_period,
        "cards": list(line.cards),
    }


def lines_by_payer(priced: PricedLines, origin_period: str) -> dict[int, list[InvoiceLine]]:
    """The lines of each payer, in the order of their keys. For pages and scenarios; runs work on columns."""
    columns = (priced.payer, priced.key, priced.events, priced.base_quantity, priced.amount_minor)
    lines: dict[int, list[InvoiceLine]] = {}
    for i, (payer, key, events, quantity, amount) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
        about = priced.keys[key]
        line = InvoiceLine(
            product=about.product,
            element=about.element,
            country=about.country,
            destination=about.destination,
            tier=about.tier,
            events=events,
            unit=about.unit,
            unit_size=about.unit_size,
            unit_price=about.unit_price,
            amount_minor=amount,
            residual=priced.residuals[i],
            base_quantity=quantity,
            base_unit=about.base,
            origin_period=origin_period,
            cards=priced.cards[i],
        )
        lines.setdefault(payer, []).append(line)
    return lines


def total_minor(lines: Sequence[InvoiceLine]) -> int:
    """The sum of the rounded lines, which is the total, always."""
    return sum(line.amount_minor for line in lines)


def content(invoice: Invoice) -> str:
    """The canonical form of what is signed: JSON without white space, integers of minor and base units as strings.

    The number and the dates are not in it: they are given to exactly this content later.
    """
    of = (invoice.total_minor, invoice.billed_sha256, invoice.summed_sha256)
    head = content_head(invoice.party, invoice.period, *of, invoice.kind, invoice.adjusts, invoice.corrects)
    return f"{head}{','.join(map(_line_content, invoice.lines))}]}}"


def content_head(
    party: Party,
    period: str,
    total_minor: int,
    billed_sha256: str,
    summed_sha256: str,
    kind: Kind = Kind.USAGE,
    adjusts: Sequence[Adjusted] = (),
    corrects: str = "",
) -> str:
    """What comes before the lines in the canonical form."""
    head = json_text(
        {
            "account": party.account,
            "name": party.name,
            "address": list(party.address),
            "tax_id": party.tax_id,
            "language": party.language,
            "legal_entity": party.legal_entity,
            "kind": kind,
            "period": period,
            "currency": party.currency,
            "total_minor": str(total_minor),
            "billed_sha256": billed_sha256,
            "summed_sha256": summed_sha256,
            "corrects": corrects,
            "adjusts": [
                {
                    "period": each.period,
                    "step": each.step,
                    "billed_sha256": each.billed_sha256,
                    "summed_sha256": each.summed_sha256,
                }
                for each in adjusts
            ],
        }
    )
    return f'{head[:-1]},"lines":['


def _line_content(line: InvoiceLine) -> str:
    return json_text(
        {
            "product": line.product,
            "element": line.element,
            "country": line.country,
            "destination": line.destination,
            "tier": line.tier,
            "unit": line.unit,
            "unit_size": str(line.unit_size),
            "unit_price": format_fraction(line.unit_price),
            "base_unit": line.base_unit,
            "origin_period": line.origin_period,
            "cards": list(line.cards),
            "events": str(line.events),
            "base_quantity": str(line.base_quantity),
            "amount_minor": str(line.amount_minor),
            "residual": str(line.residual),
        }
    )


def json_text(value: object) -> str:
    """Canonical JSON: no white space, keys as given, no character escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def sha256(text: str) -> str:
    """The SHA-256 of a text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def number_text(series: str, number: int) -> str:
    """An invoice number as it is printed: `INV-000417`."""
    return f"{series}-{number:06d}"
