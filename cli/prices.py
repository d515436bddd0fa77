"""`tollbook prices`: what a unit costs an account now, and what it takes to get to the next price."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Exit
from cli.options import AtOption, instant_of, pairs_of, product_of
from cli.output import Format, FormatOption, emit_record, say

if TYPE_CHECKING:
    from billing.flows.ask import Answer

app = typer.Typer(no_args_is_help=True, help="Prices of an account: what the next unit costs.")


@app.callback()
def _group() -> None:
    """Prices of an account: what the next unit costs."""


@app.command("show")
def show(
    account: Annotated[str, typer.Option(metavar="ACCOUNT", help="Whose usage it would be.")],
    product: Annotated[str, typer.Option(metavar="PRODUCT", help="The product.")],
    to: Annotated[str, typer.Option(metavar="NUMBER", help="The called number, as in +442079460000.")] = "",
    caller: Annotated[str, typer.Option("--from", metavar="NUMBER", help="The calling number.")] = "",
    country: Annotated[str, typer.Option(metavar="CODE", help="The country, where the number does not say it.")] = "",
    where: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A further field, as in number_type=mobile.")
    ] = None,
    at: AtOption = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """What the next unit costs an account now: by its cards, its contract, and where its volume discounts stand.

    Ends with exit code 4 where nothing prices it.
    """
    from billing.flows.ask import ask
    from cli.db import compiled_cards, writing
    from cli.world import products, states

    fields = {"to": to, "from": caller, "country": country, **pairs_of(where or [])}
    said = {key: value for key, value in fields.items() if value}
    usage = {"account": account, "product": product_of(product), **_placed(said)}
    with writing() as engine:
        found = ask(engine, products(), instant_of(at), usage, kept=compiled_cards(), states=states())
    emit_record(document(found), form)
    if found.reason:
        say(f"Nothing prices it: {_why(found.reason)}.")
        raise typer.Exit(Exit.NEEDS_A_PERSON)


def document(found: "Answer") -> dict[str, Any]:
    """An answer as plain values; of a counter that there is not, all is empty."""
    from rates.cards import instant

    price, stands = found.price, None if found.price is None else found.price.progress
    return {
        "account": found.account,
        "payer": found.payer,
        "product": found.product,
        "at": instant(found.at),
        "reason": found.reason,
        "country": found.country,
        "destination": "" if price is None else price.destination,
        "currency": found.currency,
        "unit": "" if price is None else price.unit,
        "base_price": "" if price is None else price.base_price,
        "current_price": "" if price is None else price.current_price,
        "next_price": "" if price is None else price.next_price,
        "next_threshold": "" if stands is None else stands.next_threshold,
        "units_to_go": "" if stands is None else stands.to_go,
        "counted_in": "" if stands is None else stands.unit,
        "position": "" if stands is None else stands.position,
        "schedule": "" if stands is None else stands.schedule,
        "mode": "" if stands is None else stands.mode,
        "tier": "" if stands is None else stands.tier,
        "tiers": "" if stands is None else stands.tiers,
        "free_left": "" if price is None else price.free_left,
        "increments": found.increments,
        "card": found.card,
        "row": found.row,
    }


def _placed(said: dict[str, str]) -> dict[str, object]:
    """Fields where an event has them: a package in a list, what only products declare among the attributes."""
    from billing.payloads import TEXTS

    own = {*TEXTS, "to", "from", "rated_to", "delivered_as", "package"}
    placed: dict[str, object] = {key: value for key, value in said.items() if key in own}
    if "package" in placed:
        placed["packages"] = [placed.pop("package")]
    declared = {key: value for key, value in said.items() if key not in own}
    return placed | ({"attributes": declared} if declared else {})


def _why(reason: str) -> str:
    from billing.explanations import remedy_of

    return ": ".join(filter(None, (reason, remedy_of(reason, has_number=True))))
