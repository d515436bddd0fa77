"""`tollbook guards` and `tollbook authorize`: what may not begin, who is let pass, and whether something may begin."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Exit
from cli.options import AsOption, AtOption, DryRunOption, instant_of, pairs_of, runner, said
from cli.output import Format, FormatOption, emit, emit_record, say, text
from cli.triggers import report

if TYPE_CHECKING:
    from billing.deciding import Decision

app = typer.Typer(
    no_args_is_help=True, help="Guards: what may not begin, whatever budgets say; and releases from them."
)

_GUARDS = (
    text("id"),
    text("kind"),
    text("account"),
    text("product"),
    text("countries"),
    text("prefixes"),
    text("limit"),
    text("currency"),
    text("unit"),
    text("paid_through", "paid through", spare=1),
    text("fault", spare=1),
)
_RELEASES = (
    text("guard"),
    text("account"),
    text("destination"),
    text("until"),
    text("at"),
    text("person"),
    text("reason"),
)


@app.callback()
def _group() -> None:
    """Guards: what may not begin, whatever budgets say; and releases from them."""


@app.command("set")
def set_(
    files: Annotated[list[Path], typer.Argument(help="TOML: one guard, or many as [[guard]]; - is standard input.")],
    name: AsOption = None,
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Set guards. One of the same name that says something else takes its place; the same again changes nothing."""
    from billing.flows.limit import set_guards
    from billing.guards import read_guard
    from cli.db import writing
    from cli.parties import read_all, told_where
    from cli.world import actor, now, products

    found = read_all(files, "guard", partial(read_guard, products=products()), lambda each: f"guard {each.id}")
    with told_where(found.places), writing() as engine:
        changed = set_guards(engine, found, products(), at=now(), actor=runner(name) or actor(), dry_run=dry_run)
    report("guard", len(found), changed.added, changed.replaced, form, dry_run=dry_run)


@app.command("list")
def list_(
    releases: Annotated[bool, typer.Option("--releases", help="Who was let pass, instead.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """All guards; or who was let pass which.

    Exit code 4: one cannot be evaluated any more, as of a product that is gone, and refuses what it may be about.
    """
    from billing.guards import table_of
    from billing.store.queries.limits import listed_guards, listed_releases
    from cli.db import reading
    from cli.world import products
    from rates.cards import instant

    with reading() as connection:
        if releases:
            given = [each._asdict() for each in listed_releases(connection)]
            rows = [
                {**each, "at": instant(each["at"]), "until": each["until"] and instant(each["until"])} for each in given
            ]
            emit(rows, _RELEASES, form, title="Releases")
            return
        found = listed_guards(connection, products())
    emit([{**table_of(each), "fault": each.fault} for each in found], _GUARDS, form, title="Guards")
    if not found:
        say("There is no guard; `tollbook guards set FILE` sets some.")
    faulty = [each for each in found if each.faults]
    for each in faulty:
        say(f"{each.id} cannot be evaluated: {each.fault}. Set it again, or `tollbook guards remove {each.id}`.")
    if faulty:
        raise typer.Exit(Exit.NEEDS_A_PERSON)


@app.command("remove")
def remove(guard: Annotated[str, typer.Argument(help="The guard.")], name: AsOption = None) -> None:
    """End a guard."""
    from billing.flows.limit import remove_guard
    from cli.db import writing
    from cli.world import actor, now

    with writing() as engine:
        remove_guard(engine, guard, at=now(), actor=runner(name) or actor())
    say(f"The guard {guard} has ended.")


@app.command("release")
def release(
    guard: Annotated[str, typer.Argument(help="The guard.")],
    account: Annotated[str, typer.Option(metavar="ACCOUNT", help="Who is let pass, with all accounts below.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays in the audit log.")],
    to: Annotated[
        str, typer.Option(metavar="WHERE", help="A country or a prefix, as in CU or 881; all without it.")
    ] = "",
    until: Annotated[str, typer.Option(metavar="INSTANT", help="Until when; for good without it.")] = "",
    name: AsOption = None,
) -> None:
    """Let an account pass a guard."""
    from billing.flows.limit import release_guard
    from billing.guards import Release, destination_of
    from billing.periods import ALWAYS
    from cli.db import writing
    from cli.world import actor, now, products

    where = destination_of(to)
    if where is None:
        raise typer.BadParameter(f"{to} is no country and no prefix; write it as in CU or 881", param_hint="--to")
    given = Release(guard=guard, account=account, destination=where, until=instant_of(until) if until else ALWAYS)
    person, why = runner(name) or actor(), said(reason, "--reason")
    with writing() as engine:
        release_guard(engine, given, products(), at=now(), person=person, reason=why)
    say(f"{account} is let pass {guard}{f' to {to}' if to else ''}.")


def authorize(
    account: Annotated[str, typer.Option(metavar="ACCOUNT", help="Whose usage it would be.")],
    product: Annotated[str, typer.Option(metavar="PRODUCT", help="The product.")],
    to: Annotated[str, typer.Option(metavar="NUMBER", help="The called number, as in +442079460000.")] = "",
    caller: Annotated[str, typer.Option("--from", metavar="NUMBER", help="The calling number.")] = "",
    quantity: Annotated[int, typer.Option(metavar="N", min=0, help="What is expected of it, in base units.")] = 0,
    where: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A further field, as in number_type=mobile.")
    ] = None,
    at: AtOption = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """Whether usage may begin: held against budgets, guards and prices. Looks at all usage first.

    Exit code 0: it may; 4: it may not, and why.
    """
    from billing.flows.authorize import Asked, Gatekeeper
    from billing.flows.watch import watch
    from cli.db import compiled_cards, writing
    from cli.world import products, states

    asked = Asked(account=account, product=product, to=to, from_=caller, quantity=quantity, texts=pairs_of(where or []))
    instant = instant_of(at)
    with writing() as engine:
        watch(engine, products(), instant)
        keeper = Gatekeeper(engine, products(), lambda: instant, kept=compiled_cards(), states=states())
        keeper.refresh(instant)
        found = keeper.decide(asked, instant)
    emit_record(document(found), form)
    for refusal in found.refusals:
        say(f"{refusal.rule}: {refusal.detail}.")
    if not found.allow:
        raise typer.Exit(Exit.NEEDS_A_PERSON)


def document(found: "Decision") -> dict[str, Any]:
    """A decision as plain values."""
    from rates.cards import instant

    return {
        "allow": found.allow,
        "account": found.account,
        "payer": found.payer,
        "product": found.product,
        "at": instant(found.at),
        "country": found.country,
        "destination": found.destination,
        "currency": found.currency,
        "unit": found.unit,
        "base_price": found.base_price,
        "current_price": found.current_price,
        "expected_cost": found.expected_cost,
        "rules": [each.rule for each in found.refusals],
        "reasons": [each.detail for each in found.refusals],
        "warnings": [each.detail for each in found.warnings],
    }
