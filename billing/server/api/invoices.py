"""Invoices and credit notes, issued and drafts: listed, one by one, their lines, their documents, their events."""

from datetime import date
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from billing.documents import csv_document, json_document
from billing.flows.explain import explain_line
from billing.flows.explain_adjustment import explain_adjustment
from billing.invoices import Invoice, Kind, State, record
from billing.keys import Key
from billing.periods import Period
from billing.records import adjustment_record, line_record
from billing.server.callers import Reader, missing
from billing.server.paging import cursor_of, place_of
from billing.server.paths import PathName
from billing.server.problems import ProblemError
from billing.server.shapes import Decimal, Exact, Instant, Line, MonthOrNone, Page, Paged, Text, Whole
from billing.server.sight import see_account
from billing.server.world import Held, InWorld, World
from billing.store.queries.documents import Document, Sought, document_lines, documents, whole
from rates.money import format_minor

router = APIRouter(tags=["invoices"])

_LONGEST_NUMBER = 18  # digits: what the database counts with
_MOST_EVENTS = 1000


class Form(StrEnum):
    """How a document is written."""

    JSON = "json"
    CSV = "csv"


class InvoiceTold(BaseModel):
    """An invoice or credit note, or a draft of one, which has neither number nor dates yet; its `id` stays."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "17", "number": "INV-000001", "state": "final", "kind": "usage", "account": "acme",
                    "period": "2026-10", "issued_on": "2026-11-04", "due_on": "2026-12-04", "corrects": "",
                    "lines": 12, "total": "104.20", "currency": "USD", "sha256": "5f70…",
                }
            ]
        }
    )  # fmt: skip

    id: str
    number: str | None
    state: State
    kind: Kind
    account: str
    period: str
    issued_on: date | None
    due_on: date | None
    corrects: str = Field(description="Of a credit note: the number of the invoice that it is about.")
    lines: int
    total: Decimal
    currency: str
    sha256: str = Field(description="The digest of its canonical form.")


class InvoiceWhole(InvoiceTold):
    """The same with who is billed, and which earlier months it adjusts."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "17", "number": "INV-000001", "state": "final", "kind": "usage", "account": "acme",
                    "period": "2026-10", "issued_on": "2026-11-04", "due_on": "2026-12-04", "corrects": "",
                    "lines": 12, "total": "104.20", "currency": "USD", "sha256": "5f70…", "name": "Acme Ltd",
                    "address": ["1 High Street", "London"], "tax_id": "GB123456789", "legal_entity": "", "adjusts": [],
                }
            ]
        }
    )  # fmt: skip

    name: str
    address: list[str]
    tax_id: str
    legal_entity: str
    adjusts: list[str]


class EventShare(BaseModel):
    """What an event adds to a line. `events` is 0 where only the rest of it lies there, after a tier's bound."""

    source: str
    id: str
    occurred_at: Instant
    to: str
    from_: str = Field(alias="from")
    events: int
    base_quantity: Whole
    exact_amount: Exact


class LineExplained(BaseModel):
    """A line by its events, a page of them. `adds_up`: the units of all of them are the line's.

    Of a line of the second pass (a minimum, a credit) `of_lines` are the lines that it is of.
    """

    account: str
    invoice: str
    period: str
    line: int
    product: str
    element: str
    destination: str
    tier: str
    cards: list[str]
    unit_price: str = Field(description="What percents made the price of the listed one; empty without.")
    arithmetic: str
    events: int
    events_listed: int
    base_quantity: Whole
    adds_up: bool
    of_lines: list[int]
    later_events: int
    items: list[EventShare]
    next: str | None


class Side(BaseModel):
    """What lies on a line."""

    events: int
    base_quantity: Whole
    amount: Decimal


class IssuedPart(BaseModel):
    """What an invoice or credit note billed of the line before."""

    number: str
    amount: Decimal


class Came(BaseModel):
    """A report that came, or went (below zero), after the month was billed."""

    occurred_at: Instant
    received_at: Instant
    source: str
    id: str
    base_quantity: Whole


class AdjustmentExplained(BaseModel):
    """A line that adjusts an earlier month: what was billed of it before, what it is now, what came since."""

    account: str
    invoice: str
    period: str
    line: int
    origin_period: str
    product: str
    element: str
    destination: str
    tier: str
    before: Side
    now: Side
    difference: Side
    issued: list[IssuedPart]
    came: int
    items: list[Came]
    next: str | None


class Listing(Paged):
    """Which documents."""

    period: MonthOrNone = ""
    account: Text = ""
    state: Annotated[str, Field(pattern="^(draft|approved|final)?$")] = ""
    kind: Annotated[str, Field(pattern="^(usage|credit_note)?$")] = ""


@router.get("/v1/invoices")
def invoices(world: InWorld, key: Reader, asked: Annotated[Listing, Query()]) -> Page[InvoiceTold]:
    """Invoices and credit notes, the newest month first. A customer sees those that are issued, of what it pays for."""
    day, before = place_of(asked.cursor, ("", 0))
    if asked.account:
        see_account(world, key, asked.account)
    sought = Sought(
        payer=key.account,
        account=asked.account,
        period=Period.parse(asked.period) if asked.period else None,
        state=asked.state,
        kind=asked.kind,
        final=bool(key.account),
    )
    place = (str(day), int(before)) if asked.cursor else None
    with world.reading() as connection:
        found = documents(connection, sought, before=place, limit=asked.limit + 1)
    page = found[: asked.limit]
    more = cursor_of((str(page[-1].period.start), page[-1].id)) if len(found) > asked.limit else None
    return Page(items=[InvoiceTold.model_validate(_facts(each)) for each in page], next=more)


@router.get("/v1/invoices/{invoice}")
def invoice(world: InWorld, key: Reader, invoice: PathName) -> InvoiceWhole:
    """An invoice or credit note, by its number or its `id`, without its lines."""
    document, found = _whole(world, key, invoice)
    return InvoiceWhole.model_validate(
        {
            **_facts(document),
            "name": found.party.name,
            "address": list(found.party.address),
            "tax_id": found.party.tax_id,
            "legal_entity": found.party.legal_entity,
            "adjusts": [each.period for each in found.adjusts],
        }
    )


@router.get("/v1/invoices/{invoice}/lines")
def lines(world: InWorld, key: Reader, invoice: PathName, asked: Annotated[Paged, Query()]) -> Page[Line]:
    """The lines of an invoice, in their order."""
    (after,) = place_of(asked.cursor, (0,))
    document = _one(world, key, invoice)
    with world.reading() as connection:
        found = document_lines(connection, document, after=int(after), limit=asked.limit + 1)
    page = found[: asked.limit]
    items = [Line.model_validate({"line": number, **record(line, document.currency)}) for number, line in page]
    return Page(items=items, next=cursor_of((page[-1][0],)) if len(found) > asked.limit else None)


@router.get(
    "/v1/invoices/{invoice}/document",
    response_class=Response,
    responses={
        200: {
            "description": "The document.",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/csv": {"schema": {"type": "string"}},
            },
        }
    },
)
def document(
    world: InWorld, key: Reader, invoice: PathName, form: Annotated[Form, Query(alias="format")] = Form.JSON
) -> Response:
    """An invoice whole, to be handed on: JSON, or CSV with one row for each line."""
    _, found = _whole(world, key, invoice)
    if form is Form.CSV:
        return Response("".join(csv_document.render([found])), media_type="text/csv; charset=utf-8")
    return Response("".join(json_document.render([found])), media_type="application/json")


@router.get("/v1/invoices/{invoice}/lines/{line}/events")
def line_events(
    world: InWorld,
    key: Reader,
    held: Held,
    invoice: PathName,
    line: Annotated[int, Path(ge=1, le=1_000_000, description="Its number, from 1.")],
    asked: Annotated[Paged, Query()],
) -> LineExplained | AdjustmentExplained:
    """The events that add up to a line, in order; of a line that adjusts an earlier month, what came after its bill."""
    (first,) = place_of(asked.cursor, (0,))
    skip, size = max(0, int(first)), min(asked.limit, _MOST_EVENTS)
    document, found = _whole(world, key, invoice)
    if line > len(found.lines):
        raise missing("line")
    if found.lines[line - 1].origin_period != found.period:
        adjusted = explain_adjustment(world.engine, found, line, first=skip, size=size)
        told = adjustment_record(adjusted, line)
        return AdjustmentExplained.model_validate(told | _paged(told, skip, adjusted.came))
    period = document.period
    known, account = None if held is None else held.limits, found.party.account
    explained = explain_line(world.engine, world.products, period, account, line, first=skip, size=size, known=known)
    told = line_record(explained, line)
    return LineExplained.model_validate(told | _paged(told, skip, explained.listed))


def _paged(told: dict[str, object], skip: int, count: int) -> dict[str, object]:
    items = told.pop("page")
    last = skip + len(items) if isinstance(items, list) else skip
    return {"items": items, "next": cursor_of((last,)) if skip < last < count else None}


def _one(world: World, key: Key, name: str) -> Document:
    """The document of a number or id that a key may see. Raises ProblemError 404."""
    series, _, digits = name.rpartition("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _LONGEST_NUMBER):
        raise missing("invoice")
    named = Sought(number=(series, int(digits))) if series else Sought(id=int(digits))
    sought = named._replace(payer=key.account, final=bool(key.account))
    with world.reading() as connection:
        found = documents(connection, sought, limit=2)
    found = [each for each in found if name in {each.number, str(each.id)}]
    if len(found) > 1:
        detail = "several legal entities have an invoice of this number: list them, and ask for one by its id"
        raise ProblemError(HTTPStatus.CONFLICT, "number-ambiguous", detail)
    if not found:
        raise missing("invoice")
    return found[0]


def _whole(world: World, key: Key, name: str) -> tuple[Document, Invoice]:
    document = _one(world, key, name)
    with world.reading() as connection:
        found = whole(connection, document)
    if found is None:  # a draft that was drawn up anew since
        raise missing("invoice")
    return document, found


def _facts(document: Document) -> dict[str, object]:
    return {
        "id": str(document.id),
        "number": document.number or None,
        "state": document.state,
        "kind": document.kind,
        "account": document.account,
        "period": str(document.period),
        "issued_on": document.issued_on,
        "due_on": document.due_on,
        "corrects": document.corrects,
        "lines": document.lines,
        "total": format_minor(document.total_minor, document.currency),
        "currency": document.currency,
        "sha256": document.sha256,
    }
