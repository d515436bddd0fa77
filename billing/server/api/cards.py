"""Rate cards: which are published, one of them whole, publishing another, and what it would change."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from billing.flows.let_out import changed_record, let_out
from billing.flows.publish import publish
from billing.server.api.parties import ChangeTold
from billing.server.callers import Bookkeeper, Operator, missing
from billing.server.paging import cursor_of, place_of
from billing.server.paths import PathName
from billing.server.problems import Item, item_of
from billing.server.shapes import NAMED, Asked, Figure, Instant, Name, Page, Paged, Sought
from billing.server.world import InWorld, World
from billing.store.queries.cards import ListedCard, card_before, named_card, published_cards
from rates.cardchanges import Rows, rows_written
from rates.cardfile import read_card, write_card
from rates.cards import Card, identity, instant
from rates.comparing.changes import Comparison, compare
from rates.comparing.typical import every_jump
from rates.comparing.warnings import warnings_of
from rates.errors import CardFaultyError
from rates.money import exact, parse_decimal

router = APIRouter(tags=["cards"])

TOML = "application/toml"
PLACE = "card.toml"


class CardGiven(Asked):
    """A card: the text of its `card.toml`, and the files that it names, by their names."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "card": 'id = "list-usd"\ncurrency = "USD"\neffective_from = 2026-10-01T00:00:00Z\n'
                    'rates = "rates.csv"\n',
                    "files": {
                        "rates.csv": "product,prefixes,unit,increments,price\nvoice.outbound,44,minute,60/60,0.0140\n"
                    },
                }
            ]
        }
    )  # fmt: skip

    card: Annotated[str, Field(min_length=1)]
    files: Annotated[dict[Name, str], Field(max_length=10, json_schema_extra=NAMED)] | None = None


class CardTold(BaseModel):
    """A published version of a card in short. `in_force_until`: when a later version, or its own end, supersedes it."""

    id: str
    version: Annotated[str, Field(examples=["list-usd@2026-10-01T00:00:00Z"])]
    currency: str
    effective_from: Instant
    effective_to: Instant | None
    in_force_until: Instant | None
    rates: int
    prices: int
    published_at: Instant
    published_by: str
    sha256: Annotated[str, Field(description="Its identity: the digest of its canonical form.")]


class CardWhole(BaseModel):
    """A card as files: what is published again under other dates, or kept under version control."""

    version: str
    sha256: str
    card: str
    files: dict[str, str]


class Checked(BaseModel):
    """A card without faults, and what a person should know of it."""

    version: str
    sha256: str
    currency: str
    rates: int
    warnings: list[Item]


class PublishedTold(ChangeTold, Checked):
    """A card that is published, and what came of it."""

    prices: int


class Publishing(Sought):
    """How to publish: `check` looks at the card alone, `dry_run` says what would come of it; neither stores a thing."""

    check: bool = False
    dry_run: bool = False
    accept: bool = Field(default=False, description="Publish prices that jump beyond the bound.")
    jump_bound: str = Field(
        default="2",
        pattern=r"^[1-9][0-9]{0,5}(\.[0-9]{1,6})?$",
        description="How many times dearer or cheaper prices, and usual usage, may become.",
    )


class CodeChanged(BaseModel):
    """What became of a code, or of the codes of a destination that changed alike; `codes` is how many."""

    change: str
    product: str
    element: str
    destination: str
    code: Annotated[str, Field(description="Several with spaces between.")]
    codes: int
    origin: str
    where: str
    unit: str
    old_price: str
    new_price: str
    percent: Figure
    old_increments: str
    new_increments: str
    old_setup_fee: str
    new_setup_fee: str
    changed: Annotated[str, Field(description="Which other terms changed.")]
    effective_from: str
    beside_code: str = ""
    beside_price: str = ""
    notice: Annotated[str, Field(description="What takes effect sooner than the notice period allows.")]


class Counted(BaseModel):
    """How many codes, and destinations, became one thing."""

    change: str
    codes: int
    destinations: int


class CardsCompared(Page[CodeChanged]):
    """What one version changes against another, counted, and a page of it."""

    old: str
    new: str
    currency: str
    summary: list[Counted]


class Comparing(Paged):
    """Which cards to compare: `id` for the version in force now, or `id@2026-10-01T00:00:00Z`."""

    old: Name
    new: Name
    by: Annotated[str, Field(pattern="^(code|destination)$")] = "destination"
    unchanged: bool = Field(default=False, description="List what is unchanged too.")
    notice_days: int = Field(default=7, ge=0, le=3660)


async def _body(request: Request) -> CardGiven:
    """The card of a body: TOML with its rows in it, or JSON with the files beside it."""
    body = await request.body()
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() == TOML:
        try:
            return CardGiven(card=body.decode("utf-8-sig"))
        except (UnicodeDecodeError, ValidationError):
            fault = {"type": "value", "loc": ("body",), "msg": "is not UTF-8, or empty", "input": None}
            raise RequestValidationError([fault]) from None
    try:
        return CardGiven.model_validate_json(body)
    except ValidationError as error:
        faults = [{**each, "loc": ("body", *each["loc"])} for each in error.errors(include_url=False)]
        raise RequestValidationError(faults) from None


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": CardGiven.model_json_schema()},
            TOML: {"schema": {"type": "string", "description": "A card with its rows in it, as `[[rate]]` tables."}},
        },
    }
}


@router.get("/v1/cards")
def cards(world: InWorld, _: Operator, asked: Annotated[Paged, Query()]) -> Page[CardTold]:
    """The published versions of all cards, by id and beginning."""
    card_id, begins = map(str, place_of(asked.cursor, ("", "")))
    with world.reading() as connection:
        found = published_cards(connection, after=(card_id, begins), limit=asked.limit + 1)
    page = found[: asked.limit]
    more = None
    if len(found) > asked.limit:
        last = page[-1]
        more = cursor_of((last.id, last.effective_from.strftime("%Y-%m-%dT%H:%M:%S.%f")))
    return Page(items=[_listed(each) for each in page], next=more)


@router.get("/v1/cards/diff")
def diff(world: InWorld, _: Operator, asked: Annotated[Comparing, Query()]) -> CardsCompared:
    """What a card changes against another: new, increase, decrease, ended, other terms, by destination or code."""
    (first,) = place_of(asked.cursor, (0,))
    old, new = _named(world, asked.old), _named(world, asked.new)
    if old.currency != new.currency:
        fault = {"type": "value", "loc": ("query", "new"), "msg": f"is in {new.currency}, and old in {old.currency}"}
        raise RequestValidationError([fault])
    soon = world.clock() + timedelta(days=asked.notice_days)
    found = compare(old, new, world.products, notice_from=soon)
    return _compared(found, asked, max(0, int(first)))


@router.get("/v1/cards/{card}")
def card(world: InWorld, _: Operator, card: PathName) -> CardWhole:
    """A card whole, as files: by its id the version in force now, by `id@2026-10-01T00:00:00Z` that one."""
    found = _named(world, card)
    head, rows = write_card(found)
    return CardWhole(version=found.version, sha256=identity(found).hex(), card=head, files={"rates.csv": rows.decode()})


@router.post("/v1/cards", openapi_extra=_BODY)
def publish_card(
    world: InWorld,
    key: Bookkeeper,
    given: Annotated[CardGiven, Depends(_body)],
    asked: Annotated[Publishing, Query()],
) -> PublishedTold | Checked:
    """Check a card and publish it, and let out of the quarantine what waited for it. The same again changes nothing.

    A faulty card is refused with every fault and its place: 422. So are prices that jump, against the version before
    it. A card from the past that charges otherwise what was rated is refused: 409.
    """
    files = {name: text.encode() for name, text in (given.files or {}).items()}
    found, faults = read_card(given.card, files, world.products, place=PLACE)
    if found is None:
        raise CardFaultyError(faults, place=PLACE)
    written = rows_written(given.card, PLACE)
    warnings = warnings_of(found, world.products, written=written, place=PLACE)
    checked = Checked(
        version=found.version,
        sha256=identity(found).hex(),
        currency=found.currency,
        rates=found.rows.num_rows,
        warnings=[item_of(each) for each in warnings],
    )
    if asked.check:
        return checked
    if not asked.accept:
        _refuse_jumps(world, found, exact(parse_decimal(asked.jump_bound)), written)
    at = world.clock()
    published = publish(
        world.unhurried, found, world.products, at=at, actor=key.name, kept=world.kept, dry_run=asked.dry_run
    )
    released = let_out(world.unhurried, world.products, published, at=at, actor=key.name, kept=world.kept)
    return PublishedTold.model_validate(
        {
            **checked.model_dump(),
            "prices": published.version.prices,
            "dry_run": asked.dry_run,
            **changed_record(published, released),
        }
    )


def _refuse_jumps(world: World, card: Card, bound: Fraction, written: Rows) -> None:
    with world.reading() as connection:
        before = card_before(connection, card, world.products)
    faults = [] if before is None else every_jump(before, card, bound, world.products, written=written)
    if faults:
        raise CardFaultyError(faults, place=card.version)


def _named(world: World, name: str) -> Card:
    with world.reading() as connection:
        found = named_card(connection, name, world.clock(), world.products)
    if found is None:
        raise missing("card in force")
    return found


def _listed(found: ListedCard) -> CardTold:
    return CardTold.model_validate({**found._asdict(), "version": f"{found.id}@{instant(found.effective_from)}"})


def _compared(found: Comparison, asked: Comparing, first: int) -> CardsCompared:
    table = found.rows if asked.unchanged else found.changed()
    if asked.by == "destination":
        table = replace(found, rows=table).by_destination()
    rows = table.slice(first, asked.limit).to_pylist()
    more = first + asked.limit < table.num_rows
    return CardsCompared(
        old=found.old,
        new=found.new,
        currency=found.currencies[1],
        summary=[Counted.model_validate(each) for each in found.summary()],
        items=[CodeChanged.model_validate({"codes": 1, **row}) for row in rows],
        next=cursor_of((first + asked.limit,)) if more else None,
    )
