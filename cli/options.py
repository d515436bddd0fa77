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
PeriodArgument = Annotated[str, typer.Argument(metavar="MONTH", help="A month, as in 2026-10.")]
PeriodOption = Annotated[
    str, typer.Option("--period", metavar="MONTH", help="A month, as in 2026-10; without it the current one.")
]


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
