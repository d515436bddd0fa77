"""What requests and responses are made of: names, decimals, instants, months; and how a list is told a page at a time.

Requests are strict: a key that nobody knows, or a value of another type, is refused with its place.
"""

import re
from datetime import date, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints, field_validator
from pydantic.config import JsonDict

from billing.accounts import LONGEST_ID
from billing.periods import Period
from billing.server.paging import MOST
from rates.cards import instant
from rates.reading import parse_instant

T = TypeVar("T")

_RFC_3339 = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID, pattern=_PRINTABLE)]
"""What something is called by: an account, a product, a source, an event."""

Text = Annotated[str, StringConstraints(max_length=LONGEST_ID, pattern=_PRINTABLE)]
"""The same, or nothing."""

NAMED: JsonDict = {"additionalProperties": False}
"""For OpenAPI, of a table by names: what is no name is no key of it."""

Decimal = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", examples=["0.0140"])]
"""A plain decimal, never a float."""

Exact = Annotated[str, Field(pattern=r"^-?[0-9]+([./][0-9]+)?$", examples=["0.0140", "-1/300"])]
"""A plain decimal, or a fraction in lowest terms where no decimal is exact."""

Whole = Annotated[str, BeforeValidator(str), Field(pattern=r"^-?[0-9]+$", examples=["120"])]
"""A whole number of base units, as text: it may have more digits than a float."""

Figure = Annotated[str, Field(pattern=r"^(-?[0-9]+([./][0-9]+)?)?$", examples=["500000", ""])]
"""The same; empty where there is none."""

Month = Annotated[
    str,
    StringConstraints(pattern=r"^(19[7-9][0-9]|20[0-9]{2})-(0[1-9]|1[0-2])$"),
    Field(description="A calendar month in UTC.", examples=["2026-10"]),
]

MonthOrNone = Annotated[
    str,
    StringConstraints(pattern=r"^((19[7-9][0-9]|20[0-9]{2})-(0[1-9]|1[0-2]))?$"),
    Field(description="A calendar month in UTC.", examples=["2026-10"]),
]

Instant = Annotated[datetime, PlainSerializer(instant, return_type=str, when_used="json")]
"""An instant, told as RFC 3339 in UTC with a Z."""


def _instant(said: object) -> datetime:
    """The instant of a text, in UTC. Raises ValueError, for what is no text too: a number is no instant."""
    if not isinstance(said, str) or not re.fullmatch(_RFC_3339, said):
        raise ValueError("is not an instant: write it as 2026-10-01T00:00:00Z, its zone too")
    return parse_instant(said.upper())


def _day(said: object) -> date:
    """The day of a text. Raises ValueError, for what is no text too."""
    if not isinstance(said, str) or not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", said):
        raise ValueError("is not a day: write it as 2026-10-31")
    return date.fromisoformat(said)


GivenInstant = Annotated[datetime, BeforeValidator(_instant)]
"""An instant that a request says, in UTC from here on."""

GivenDay = Annotated[date, BeforeValidator(_day)]
"""A UTC day that a request says."""


class Asked(BaseModel):
    """What a request says: strict, and of known keys only."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _integral(cls, value: object) -> object:
        """A number without a fraction, which to JSON is the same however it is written: 24 and 24.0."""
        return int(value) if isinstance(value, float) and value.is_integer() else value


class Sought(BaseModel):
    """What a request says behind its `?`: of known names only."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paged(Sought):
    """The same of a list."""

    limit: int = Field(default=100, ge=1, le=MOST, description="How many at most.")
    cursor: str = Field(default="", max_length=2000, description="`next` of the page before; empty for the first.")


class Page(BaseModel, Generic[T]):
    """A page of a list; `next` is the cursor of the page after it, null on the last one."""

    items: list[T]
    next: str | None = None


class Line(BaseModel):
    """A line of an invoice or a statement. `quantity` is for people, `base_quantity` the exact integer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "line": 1, "product": "voice.outbound", "element": "usage", "country": "GB",
                    "destination": "United Kingdom", "tier": "1", "events": 2, "quantity": "4", "unit": "minute",
                    "unit_price": "0.014", "amount": "0.06", "residual": "-1/250", "base_quantity": "240",
                    "base_unit": "second", "origin_period": "2026-10", "cards": ["list-usd@2026-10-01T00:00:00Z"],
                }
            ]
        }
    )  # fmt: skip

    line: int | None = Field(default=None, description="Its number on its invoice or statement, from 1.")
    product: str
    element: str
    country: str
    destination: str
    tier: str
    events: int
    quantity: Decimal
    unit: str
    unit_price: Exact
    amount: Decimal
    residual: Exact
    base_quantity: Decimal
    base_unit: str
    origin_period: str
    cards: list[str]


def month_of(text: str, at: datetime) -> Period:
    """The month that a request names, or the one in which it came."""
    return Period.parse(text) if text else Period.at(at)
