"""Whether usage may begin: answered from memory, before a call or a message begins."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from billing.deciding import Decision
from billing.flows.authorize import Asked as Wanted
from billing.flows.authorize import Gatekeeper
from billing.payloads import MAX_QUANTITY
from billing.server.callers import Operator
from billing.server.shapes import NAMED, Asked, Figure, Instant, Name, Text
from billing.server.world import InWorld

router = APIRouter(tags=["limits"])

_TEXTS = ("rated_to", "country", "mcc", "mnc", "number_type", "region", "jurisdiction", "package")


class Beginning(Asked):
    """Usage that is to begin: as much of its event as its price depends on, and what is expected of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"account": "acme", "product": "voice.outbound", "to": "+442079460000", "expected_quantity": 60}
            ]
        }
    )

    account: Name
    product: Name
    to: Text = ""
    from_: Text = Field(default="", alias="from")
    rated_to: Text = ""
    country: str = Field(default="", pattern="^([A-Z]{2})?$")
    mcc: str = Field(default="", pattern="^([0-9]{3})?$")
    mnc: str = Field(default="", pattern="^([0-9]{1,3})?$")
    number_type: Text = ""
    region: Text = ""
    jurisdiction: Text = ""
    package: Text = ""
    attributes: dict[Name, Text] = Field(default={}, max_length=20, json_schema_extra=NAMED)
    expected_quantity: Annotated[int, Field(ge=0, le=MAX_QUANTITY)] = Field(
        default=0, description="In base units of the product, as in seconds; 0: nobody knows."
    )


class RefusalTold(BaseModel):
    """What speaks against it: a rule by its name, its kind (`budget`, a guard's, or of the service), and why."""

    rule: str
    kind: str
    detail: str


class DecisionTold(BaseModel):
    """`allow`, and all that speaks against it. `expected_cost` is what it would cost, also where it is refused.

    `state_age_seconds` is how old what is known of usage is, null where nothing is; `stale`: older than a second.
    `warnings`: what nobody can tell, as where a guard cannot be evaluated, if the service is set to allow it then.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "allow": False,
                    "reasons": [
                        {"rule": "acme-budget", "kind": "budget", "detail": "0.06 of 0.05 USD of the month are used"}
                    ],
                    "warnings": [],
                    "account": "acme", "payer": "acme", "product": "voice.outbound", "at": "2026-10-20T00:00:00Z",
                    "country": "GB", "destination": "United Kingdom", "currency": "USD", "unit": "minute",
                    "base_price": "0.014", "current_price": "0.014", "expected_cost": "0.028",
                    "state_age_seconds": "0.212", "stale": False,
                }
            ]
        }
    )  # fmt: skip

    allow: bool
    reasons: list[RefusalTold]
    warnings: list[RefusalTold]
    account: str
    payer: str
    product: str
    at: Instant
    country: str
    destination: str
    currency: str
    unit: str
    base_price: Figure
    current_price: Figure
    expected_cost: Figure
    state_age_seconds: Figure | None
    stale: bool


@router.post("/v1/authorize")
async def authorize(request: Request, world: InWorld, _: Operator, asked: Beginning) -> DecisionTold:
    """Whether usage may begin, by budgets, guards and prices as they stood a second ago at most."""
    gate: Gatekeeper = request.app.state.gate
    texts = {name: said for name in _TEXTS if (said := getattr(asked, name))}
    wanted = Wanted(
        account=asked.account,
        product=asked.product,
        to=asked.to,
        from_=asked.from_,
        quantity=asked.expected_quantity,
        texts={**asked.attributes, **texts},
    )
    return _told(gate.decide(wanted, world.clock()))


def _told(found: Decision) -> DecisionTold:
    return DecisionTold.model_construct(
        allow=found.allow,
        reasons=[RefusalTold.model_construct(**each._asdict()) for each in found.refusals],
        warnings=[RefusalTold.model_construct(**each._asdict()) for each in found.warnings],
        account=found.account,
        payer=found.payer,
        product=found.product,
        at=found.at,
        country=found.country,
        destination=found.destination,
        currency=found.currency,
        unit=found.unit,
        base_price=found.base_price,
        current_price=found.current_price,
        expected_cost=found.expected_cost,
        state_age_seconds=None if found.age is None else f"{found.age.total_seconds():.3f}",
        stale=found.is_stale,
    )
