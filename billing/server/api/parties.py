"""What accounts and contracts are in JSON (FORMATS 3), as requests say them and as answers tell them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from billing.errors import InputFaultyError
from billing.server.shapes import Asked, Name, Text
from rates.errors import Fault

T = TypeVar("T")

MOST_AT_ONCE = 1000

_Plain = Annotated[str, Field(pattern=r"^[0-9]{1,13}(\.[0-9]{1,12})?$", examples=["12.5"])]


def _real(day: str) -> str:
    try:
        is_day = date.fromisoformat(day).isoformat() == day
    except ValueError:
        is_day = False
    if not is_day:
        raise ValueError("is not a day of the calendar: write it as 2026-10-31")
    return day


_Day = Annotated[str, Field(examples=["2026-10-01"], json_schema_extra={"format": "date"}), AfterValidator(_real)]
_Moment = Annotated[str, Field(max_length=40, examples=["2026-10-01T00:00:00Z"])]
_Words = Annotated[str, Field(max_length=200)]
_Some = _Words | Annotated[list[_Words], Field(max_length=300)]


class Suspension(Asked):
    """When an account is suspended: its charges wait. Without `to` until it is reactivated."""

    from_: _Moment = Field(alias="from")
    to: _Moment | None = None


class AccountGiven(Asked):
    """An account, whole: what is not said is as if it had never been said."""

    id: Name
    parent: Text = ""
    pays: bool | None = Field(default=None, description="Without it, an account pays if it has no parent.")
    prepaid: bool = False
    currency: Annotated[str, Field(pattern="^([A-Z]{3})?$")] = ""
    zone: Text = "UTC"
    name: Text = ""
    address: Annotated[list[Text], Field(max_length=20)] | None = None
    tax_id: Text = ""
    language: Text = ""
    legal_entity: Text = ""
    suspended: Annotated[list[Suspension], Field(max_length=100)] | None = None


class AccountsGiven(Asked):
    """Accounts to add, or of which something else is said now."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"accounts": [{"id": "acme", "currency": "USD", "name": "Acme Ltd"}]}]}
    )

    accounts: Annotated[list[AccountGiven], Field(min_length=1, max_length=MOST_AT_ONCE)]


class Selector(Asked):
    """Usage by product, country and number type; `*` stands for any run of characters."""

    product: _Some | None = None
    country: _Some | None = None
    number_type: _Some | None = None


class Discount(Asked):
    """A percent off unit prices."""

    percent: _Plain
    on: Annotated[list[Selector], Field(max_length=100)] | None = None


class Commitment(Asked):
    """The least and the most that a month comes to."""

    min: _Plain | None = None
    max: _Plain | None = None
    on: Annotated[list[Selector], Field(max_length=100)] | None = None


class Credit(Asked):
    """Money that pays for usage, until a day."""

    id: Name
    amount: _Plain
    until: _Day | None = None
    on: Annotated[list[Selector], Field(max_length=100)] | None = None


class Support(Asked):
    """A support plan: a percent of the month on the next month's invoice, and a minimum."""

    plan: Name
    percent: _Plain | None = None
    min: _Plain | None = None
    partner_discount: _Plain | None = None


class ContractGiven(Asked):
    """A contract, whole."""

    account: Name
    effective_from: _Day = Field(description="Its first UTC day.")
    cards: Annotated[list[Name], Field(min_length=1, max_length=100, description="In order of priority.")]
    discounts: Annotated[list[Discount], Field(max_length=100)] | None = None
    commitment: Commitment | None = None
    credits: Annotated[list[Credit], Field(max_length=100)] | None = None
    support: Support | None = None
    resells: bool = False


class ContractsGiven(Asked):
    """Contracts to add, or to compare with those in force."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "contracts": [
                        {
                            "account": "acme", "effective_from": "2026-10-01", "cards": ["acme-special", "list-usd"],
                            "discounts": [{"percent": "5", "on": [{"product": "voice.*"}]}],
                        }
                    ]
                }
            ]
        }
    )  # fmt: skip

    contracts: Annotated[list[ContractGiven], Field(min_length=1, max_length=MOST_AT_ONCE)]


class ContractTold(BaseModel):
    """A contract with its days. `terms` are as in a contract's file, `in_words` each of its terms as people say it."""

    account: str
    effective_from: date
    effective_to: date | None = Field(description="The day after its last one; null: until the next one is added.")
    state: Annotated[str, Field(examples=["in force", "to come", "ended"])]
    cards: list[str]
    terms: dict[str, Any]
    resells: bool
    in_words: list[str]


class ChangeTold(BaseModel):
    """What came of a change: rated events that moved with it, drafts withdrawn, and what of the quarantine it let out.

    With `dry_run` it is what would come of it; nothing stays.
    """

    status: Annotated[str, Field(examples=["published", "unchanged"])]
    dry_run: bool
    moved: int
    withdrawn: int
    released: dict[str, int] = Field(description="Events by the reason for which they waited.")
    waiting: dict[str, int] = Field(description="Events that still wait, by reason.")


class PartiesTold(ChangeTold):
    """The same of accounts and contracts, with how many were given, and were new, changed or known already."""

    given: int
    added: int
    changed: int
    unchanged: int


def read_all(
    given: Sequence[Asked], key: str, read: Callable[[Mapping[str, object], str], tuple[T | None, list[Fault]]]
) -> list[T]:
    """What requests give, read as files are. Raises InputFaultyError with every fault, at its JSON pointer."""
    found, faults = [], []
    for place, each in enumerate(given):
        table = each.model_dump(by_alias=True, exclude_none=True)
        one, wrong = read(table, f"/{key}/{place}")
        faults += wrong
        found += [] if one is None else [one]
    if faults:
        raise InputFaultyError([*pointed(faults)], place=key)
    return found


def pointed(faults: Iterable[Fault]) -> Iterable[Fault]:
    """Faults whose places (`/accounts/0: suspended[0].from`) are JSON pointers (`/accounts/0/suspended/0/from`)."""
    for fault in faults:
        head, _, path = fault.place.partition(": ")
        steps = path.replace("[", ".").replace("]", "").split(".") if path else []
        yield replace(fault, place="/".join([head, *filter(None, steps)]))
