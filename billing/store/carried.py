"""What drafts took from bills of other months, and which of these months are not settled."""

from collections.abc import Collection, Mapping
from datetime import date
from typing import NamedTuple

import pyarrow as pa

from billing.invoices import Kind
from billing.periods import Period
from billing.store.bulk import copy_in
from billing.store.engine import Connection

CREDIT = "credit"
SUPPORT = "support"

_CARRYING = 2
"""The class of the advisory lock under which drafts that took from other months are held against these and issued."""


class Fact(NamedTuple):
    """What a draft took: `CREDIT`, a credit's id, what it had paid; or `SUPPORT`, a month, the digest of its bill."""

    what: str
    name: str
    said: str


def lock_carrying(connection: Connection) -> None:
    """Wait until nobody else issues drafts that took from other months, and keep others waiting until the end."""
    connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_CARRYING])


def write_carried(connection: Connection, period: Period, taken: Mapping[int, Collection[Fact]]) -> None:
    """Keep what the drafts of a period took, in place of what was kept of it."""
    connection.execute("DELETE FROM draft_carried WHERE period_start = %s", [period.start])
    rows = [(payer, *fact) for payer, facts in taken.items() for fact in facts]
    if rows:
        payers, whats, names, said = zip(*rows, strict=True)
        columns = {"payer_id": pa.array(payers), "period_start": pa.array([period.start] * len(rows), pa.date32())}
        texts = {"what": whats, "name": names, "said": said}
        copy_in(connection, "draft_carried", columns | {key: pa.array(each) for key, each in texts.items()})


def read_carried(connection: Connection, period: Period, payers: Collection[int]) -> dict[int, set[Fact]]:
    """What the drafts of some payers took; a payer of which nothing is kept is not in it."""
    found: dict[int, set[Fact]] = {}
    rows = connection.execute(
        "SELECT payer_id, what, name, said FROM draft_carried WHERE period_start = %s AND payer_id = ANY(%s)",
        [period.start, list(payers)],
    )
    for payer, *fact in rows:
        found.setdefault(payer, set()).add(Fact(*fact))
    return found


def earlier_drafts(connection: Connection, period: Period, payers: Collection[int]) -> dict[int, list[date]]:
    """The first days of earlier months of which payers have a draft, the earliest first."""
    found: dict[int, list[date]] = {}
    rows = connection.execute(
        "SELECT payer_id, period_start FROM draft_invoices"
        " WHERE period_start < %s AND kind = %s AND payer_id = ANY(%s) ORDER BY payer_id, period_start",
        [period.start, Kind.USAGE, list(payers)],
    )
    for payer, start in rows:
        found.setdefault(payer, []).append(start)
    return found


def bill_digests(connection: Connection, period: Period, payers: Collection[int]) -> dict[int, str]:
    """The digest, in hexadecimal, of the invoice or the draft of each payer who has one of a period."""
    rows = connection.execute(
        "SELECT payer_id, encode(sha256, 'hex') FROM draft_invoices"
        " WHERE period_start = %(start)s AND kind = %(kind)s AND payer_id = ANY(%(payers)s)"
        " UNION ALL SELECT payer_id, encode(sha256, 'hex') FROM invoices"
        " WHERE period_start = %(start)s AND kind = %(kind)s AND payer_id = ANY(%(payers)s)",
        {"start": period.start, "kind": Kind.USAGE, "payers": list(payers)},
    )
    return dict(rows.fetchall())


def stopped_at(connection: Connection, period: Period, payers: Collection[int]) -> set[int]:
    """The payers that the newest run of a period stopped at."""
    rows = connection.execute(
        "SELECT payer_id FROM draft_stops WHERE period_start = %s AND payer_id = ANY(%s)", [period.start, list(payers)]
    )
    return {payer for (payer,) in rows}
