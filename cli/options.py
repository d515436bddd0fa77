"""Options that several commands have, and what they mean."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from billing.periods import Period

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check everything, store nothing.")]
AtOption = Annotated[
    str, typer.Option("--at", metavar="INSTANT", help="The instant, as in 2026-10-01T00:00:00Z; now without it.")
]
AsOption = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="Who does it, for the record; without it, who is logged in.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Also if rated usage is charged otherwise by it: that is rated again.")
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays in the audit log.")]
NameOption = Annotated[str, typer.Option("--as", metavar="NAME", help="Who answers for it; it stays in the audit log.")]
PeriodArgument = Annotated[str, typer.Argument(metavar="MONTH", help="A month, as in 2026-10.")]
PeriodOption = Annotated[
    str, typer.Option("--period", metavar="MONTH", help="A month, as in 2026-10; without it the current one.")
]


def said(text: str, option: str) -> str:
    """What an option says in words, without surplus white space; it has to say something."""
    from billing.approvals import person

    if not person(text):
        raise typer.BadParameter(f"{option} says nothing", param_hint=option)
    return person(text)


def runner(name: str | None) -> str:
    """Who does it, as `--as` says; "" without it."""
    return "" if name is None else said(name, "--as")


def answered(reason: str, name: str, what: str) -> tuple[str, str]:
    """Why something is done and who answers for it; both have to be said."""
    reason, name = reason.strip(), name.strip()
    if not (reason and name):
        raise typer.BadParameter(f"{what} is answered for: give --reason TEXT and --as NAME")
    return reason, name


def forced_by(reason: str, name: str, *, force: bool) -> tuple[str, str]:
    """Why a change is forced, if it is, and who makes it; without force, whoever runs the command."""
    from cli.world import actor

    if force:
        return answered(reason, name, "what --force changes")
    if reason or name:
        raise typer.BadParameter("--reason and --as say why a change is forced: add --force")
    return "", actor()


def instant_of(text: str) -> datetime:
    """The instant that a text names; a date is its 00:00 UTC, nothing is now."""
    from cli.world import now
    from rates.reading import parse_instant

    if not text:
        return now()
    try:
        instant = parse_instant(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is not an instant; write it as 2026-10-01T00:00:00Z") from None
    if instant.tzinfo is None:
        raise typer.BadParameter(f"{text} has no time zone; end it with Z or an offset")
    return instant.astimezone(UTC)


def period_of(text: str) -> "Period":
    """The month that a text names; nothing is the current one. Raises PeriodInvalidError."""
    from billing.periods import Period
    from cli.world import now

    return Period.parse(text) if text else Period.at(now())


def product_of(name: str) -> str:
    """The product of that name, which has to be one that is known."""
    from cli.world import products

    if name not in products():
        raise typer.BadParameter(f"{name} is not a product; use one of {', '.join(sorted(products()))}")
    return name


def dimensions_of(texts: Sequence[str], product: str) -> dict[str, str]:
    """What `KEY=VALUE` options say of the dimensions that a product is matched on."""
    from cli.world import products
    from rates.compiled.patterns import dimensions_of as declared_by

    pairs, declared = pairs_of(texts), declared_by(products()[product])
    for name in pairs:
        if name not in declared:
            raise typer.BadParameter(f"{name} is not a dimension of {product}; it has {', '.join(declared)}")
    return pairs


def pairs_of(texts: Sequence[str]) -> dict[str, str]:
    """What `KEY=VALUE` options say."""
    pairs = [text.partition("=") for text in texts]
    for key, equals, value in pairs:
        if not (key and equals and value):
            raise typer.BadParameter(f"{key}{equals}{value} is not KEY=VALUE")
    return {key: value for key, _, value in pairs}
