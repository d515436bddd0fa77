"""What the next unit of some usage costs an account now, and what it takes to get to the next price."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, field_validator

from billing.flows.ask import answer_record, ask, usage_of
from billing.server.callers import Reader
from billing.server.shapes import Figure, GivenInstant, Instant, Name, Sought, Text
from billing.server.sight import see_account
from billing.server.world import Held, InWorld

router = APIRouter(tags=["prices"])


class Asking(Sought):
    """Usage that is asked about: an account, a product, and as much of the rest as its price depends on."""

    account: Name
    product: Annotated[Name, Field(examples=["voice.outbound"])]
    to: Text = Field(default="", description="The called number, as in +442079460000 (`%2B44…` in a URL).")
    from_: Text = Field(default="", alias="from", description="The calling number.")
    rated_to: Text = ""
    country: str = Field(default="", pattern="^([A-Z]{2})?$")
    mcc: str = Field(default="", pattern="^([0-9]{3})?$")
    mnc: str = Field(default="", pattern="^([0-9]{2,3})?$")
    number_type: Text = ""
    region: Text = ""
    jurisdiction: Text = ""
    package: Text = ""
    at: GivenInstant | None = Field(default=None, description="Without it, now.")

    @field_validator("to", "from_", "rated_to")
    @classmethod
    def _not_unescaped(cls, number: str) -> str:
        if number.startswith(" "):
            raise ValueError("begins with a space: in a URL, write + as %2B")
        return number


class PriceTold(BaseModel):
    """The price of the next unit. `reason` says why it has none; then all else is empty.

    `base_price` is the first price of the card's row, `current_price` that of the tier in which the next unit is, after
    all percents; `units_to_go` until `next_price`, at `next_threshold`, counted in `counted_in`. `free_left` units are
    free before any of it counts.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "account": "acme", "payer": "acme", "product": "voice.outbound", "at": "2026-10-20T00:00:00Z",
                    "reason": "", "country": "GB", "destination": "United Kingdom", "currency": "USD",
                    "unit": "minute", "base_price": "0.014", "current_price": "0.014", "next_price": "0.013",
                    "next_threshold": "1000", "units_to_go": "998", "counted_in": "minute", "position": "2",
                    "schedule": "voice", "mode": "graduated", "tier": 1, "tiers": 2, "free_left": "",
                    "increments": "60/60", "card": "list-usd@2026-10-01T00:00:00Z", "row": "row 1",
                }
            ]
        }
    )  # fmt: skip

    account: str
    payer: str
    product: str
    at: Instant
    reason: str
    country: str
    destination: str
    currency: str
    unit: str
    base_price: Figure
    current_price: Figure
    next_price: Figure
    next_threshold: Figure
    units_to_go: Figure
    counted_in: str
    position: Figure
    schedule: str
    mode: str
    tier: int | None
    tiers: int | None
    free_left: Figure
    increments: str
    card: str
    row: str


@router.get("/v1/prices")
def prices(world: InWorld, key: Reader, held: Held, asked: Annotated[Asking, Query()]) -> PriceTold:
    """The price of an account's next unit: by its cards, its contract, and where its volume discounts stand now."""
    see_account(world, key, asked.account)
    fields = asked.model_dump(by_alias=True, exclude={"account", "product", "at"})
    usage = usage_of(asked.account, asked.product, fields)
    at = asked.at or world.clock()
    answer = ask(world.engine, world.products, at, usage, kept=world.kept, states=world.states, known=held)
    found = answer_record(answer)
    return PriceTold.model_validate({**found, "tier": found["tier"] or None, "tiers": found["tiers"] or None})
