"""Options of `tollbook usage import` for call records of switches and services, and what they state beside a file."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import pairs_of, product_of
from cli.output import printable, say

if TYPE_CHECKING:
    from billing.sources.callrecords import CallRecords
    from billing.sources.dialing import DialingPlan
    from cli.db import Engine

NDJSON = "ndjson"
SHOWN = 5
"""Near-duplicates that are shown one by one; the rest is counted."""

DIALECTS = "asterisk, freeswitch, kamailio, twilio-calls, twilio-messages"

DialectOption = Annotated[
    str,
    typer.Option(
        "--dialect", metavar="NAME", help=f"How the file is written: ndjson, or as call records of {DIALECTS}."
    ),
]
ZoneOption = Annotated[
    str,
    typer.Option(
        "--zone", metavar="ZONE", help="Of call records: the zone of their times, as in Europe/Paris or +02:00."
    ),
]
CountryOption = Annotated[
    str,
    typer.Option(
        "--country-code", metavar="DIGITS", help="Of call records: the country in which was dialled, as in 33."
    ),
]
TrunkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trunk-prefix",
        metavar="DIGITS",
        help='Of call records: what is dialled before national numbers, as in 0; "" for nothing. May be given again.',
    ),
]
InternationalOption = Annotated[
    list[str] | None,
    typer.Option(
        "--international-prefix",
        metavar="DIGITS",
        help='Of call records: what is dialled before a country code, as in 00; "" for nothing. May be given again.',
    ),
]
AccountOption = Annotated[
    str, typer.Option("--account", metavar="ID", help="Of call records: whose usage all of them are.")
]
ColumnsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="ROLE=NAME",
        help="Of call records: which column says it, as in account=userfield. May repeat.",
    ),
]
FieldsOption = Annotated[
    str, typer.Option("--fields", metavar="A,B,...", help="Of call records without a header: their columns, in order.")
]
ProductOption = Annotated[
    str, typer.Option("--product", metavar="ID", help="Of call records: the product of all, if not by their direction.")
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Of call records: exit 4 where there are near-duplicates.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What options state of a file of call records, as they were given."""

    dialect: str
    zone: str
    country_code: str
    trunk_prefix: list[str] | None
    international_prefix: list[str] | None
    account: str
    column: list[str] | None
    fields: str
    product: str
    strict: bool

    def words(self) -> list[str]:
        """The same options for another call."""
        single = {"dialect": "" if self.dialect == NDJSON else self.dialect, "zone": self.zone}
        single |= {"country-code": self.country_code, "account": self.account}
        single |= {"fields": self.fields, "product": self.product}
        several = {"trunk-prefix": self.trunk_prefix, "international-prefix": self.international_prefix}
        several |= {"column": self.column}
        found = [word for name, value in single.items() if value for word in (f"--{name}", value)]
        found += [word for name, values in several.items() for value in values or () for word in (f"--{name}", value)]
        return [*found, *(["--strict"] if self.strict else [])]


def call_records(file: Path, told: Told) -> "CallRecords | None":
    """What options state of a file of call records; None where it is none. What is missing is a wrong call."""
    if told.dialect == NDJSON:
        if told.words():
            raise typer.BadParameter(
                "--zone, --country-code, --account and the like are of call records: add --dialect"
            )
        return None
    from billing.sources.callrecords import DIALECTS, CallRecords
    from billing.sources.calls import Stated, problem_of
    from billing.sources.clocks import parse_zone

    if told.dialect not in DIALECTS:
        raise typer.BadParameter(f"{told.dialect} is not a dialect; known: {', '.join((NDJSON, *DIALECTS))}")
    if told.product:
        product_of(told.product)
    try:
        stated = Stated(
            zone=parse_zone(told.zone) if told.zone else None,
            plan=_plan(told.country_code, told.trunk_prefix, told.international_prefix),
            account=told.account,
            product=told.product,
            columns=pairs_of(told.column or []),
            fields=tuple(name.strip() for name in told.fields.split(",")) if told.fields else (),
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    problem = problem_of(DIALECTS[told.dialect], stated)
    if problem:
        raise typer.BadParameter(f"{told.dialect}: {problem}")
    name = "standard input" if str(file) == "-" else file.name
    return CallRecords(dialect=DIALECTS[told.dialect], stated=stated, file=name)


def note_near_duplicates(engine: "Engine", records: "CallRecords", source: str, at: datetime) -> int:
    """Say what of an import may have been reported before under another id; how many events that is."""
    from billing.store.queries.near import near_duplicates
    from cli.db import reading_from
    from rates.cards import instant

    if not records.latest:
        return 0
    span = datetime.fromisoformat(records.earliest), datetime.fromisoformat(records.latest)
    with reading_from(engine) as connection:
        count, first = near_duplicates(connection, source, at, span, first=SHOWN)
    if count:
        what = "event has" if count == 1 else "events have"
        say(f"{count:,} {what} the numbers, the start and the quantity of another, under another id. All count:")
    for near in first:
        say(printable(f"  {instant(near.occurred_at)} {near.id} as {near.other_source}/{near.other_id}"))
    if count > len(first):
        say(f"  … and {count - len(first):,} more")
    return count


def _plan(country: str, trunk: list[str] | None, international: list[str] | None) -> "DialingPlan | None":
    from billing.sources.dialing import DialingPlan

    if not country and trunk is None and international is None:
        return None
    if not country or trunk is None or international is None:
        raise ValueError(
            "a dialling plan is --country-code, --trunk-prefix and --international-prefix: state all three"
        )
    return DialingPlan(country_code=country, trunk=tuple(trunk), international=tuple(international))
