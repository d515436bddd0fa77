"""`tollbook prices`: what a unit costs an account now, and what it takes to get to the next price."""

from typing import Annotated

import typer

from cli.exits import Exit
from cli.options import AtOption, instant_of, pairs_of, product_of
from cli.output import Format, FormatOption, emit_record, say

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
    from billing.flows.ask import answer_record, ask, usage_of
    from cli.db import compiled_cards, writing
    from cli.world import products, states

    fields = {"to": to, "from": caller, "country": country, **pairs_of(where or [])}
    usage = usage_of(account, product_of(product), fields)
    with writing() as engine:
        found = ask(engine, products(), instant_of(at), usage, kept=compiled_cards(), states=states())
    emit_record(answer_record(found), form)
    if found.reason:
        say(f"Nothing prices it: {_why(found.reason)}.")
        raise typer.Exit(Exit.NEEDS_A_PERSON)


def _why(reason: str) -> str:
    from billing.explanations import remedy_of

    return ": ".join(filter(None, (reason, remedy_of(reason, has_number=True))))
