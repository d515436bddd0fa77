"""Charges in the store: added and ended, never edited. What was posted of them is asked of the identities of events."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple

from psycopg.types.json import Jsonb

from billing.charges import SOURCE, Charge, ChargeId, Every, Timing
from billing.periods import ALWAYS
from billing.store.engine import Connection

_LOCK = int.from_bytes(b"charges")


class Posted(NamedTuple):
    """How many dues of a charge were posted, and the highest number among them: where both are one, 1 to that."""

    dues: int
    last: int


NOTHING = Posted(0, 0)


def lock_charges(connection: Connection, *, exclusive: bool) -> None:
    """Hold charges until the transaction ends: exclusively to end one or to suspend an account, shared to post.

    It is taken before the books. Who posts are many, and none of them posts what has ended meanwhile.
    """
    function = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
    connection.execute(f"SELECT {function}(%s)", [_LOCK])


def read_charges(connection: Connection, ids: Collection[str] | None = None) -> list[Charge]:
    """All charges, or those of some ids, in the order of their ids, each with the end that holds."""
    dimensions = cache(json.loads)  # many charges have the same
    rows = connection.execute(_READ, {"ids": None if ids is None else list(ids)}).fetchall()
    return [
        Charge(
            id=ChargeId(name),
            account=account,
            product=product,
            effective_from=begins,
            effective_to=ends or ALWAYS,
            every=Every(every),
            timing=Timing(timing),
            drift=drift,
            lead_days=lead_days,
            quantity=quantity,
            dimensions=dimensions(said),
        )
        for name, account, product, begins, ends, every, timing, drift, lead_days, quantity, said in rows
    ]


def insert_charges(connection: Connection, charges: Sequence[Charge], at: datetime) -> None:
    """Add charges of accounts that are there."""
    columns = zip(*map(_row, charges), strict=True)
    connection.execute(_INSERT, [at, *(list(column) for column in columns)])


def insert_end(connection: Connection, charge: str, ends: datetime, at: datetime) -> None:
    """Note that a charge ends."""
    connection.execute(
        "INSERT INTO charge_ends (charge_id, effective_to, ended_at)"
        " SELECT charge_id, %s, %s FROM charges WHERE id = %s",
        [ends, at, charge],
    )


def posted(connection: Connection) -> dict[str, Posted]:
    """What was posted, by the ids of the charges; those without are not in it."""
    return {name: Posted(number, last) for name, number, last in connection.execute(_POSTED, [SOURCE])}


def posted_dues(connection: Connection, charge: str) -> dict[int, datetime]:
    """The numbers of what was posted of a charge, and the instants at which it is posted as having occurred."""
    # In the order of bytes "0" follows "/". Between them are also those of charges whose ids go on after a slash.
    rows = connection.execute(_POSTED_DUES, [SOURCE, f"{charge}/", f"{charge}0"])
    numbers = ((name.removeprefix(f"{charge}/"), at) for name, at in rows)
    return {int(number): at for number, at in numbers if "/" not in number}


def _row(charge: Charge) -> tuple[object, ...]:
    return (
        charge.id,
        charge.account,
        charge.product,
        charge.effective_from,
        None if charge.effective_to == ALWAYS else charge.effective_to,
        str(charge.every),
        str(charge.timing),
        charge.drift,
        charge.lead_days,
        charge.quantity,
        Jsonb(dict(charge.dimensions)),
    )


_READ = """
SELECT charges.id, accounts.id, product, effective_from, least(effective_to, ends), every, timing, drift, lead_days,
    quantity, dimensions::text
FROM charges JOIN accounts USING (account_id)
LEFT JOIN (SELECT charge_id, min(effective_to) AS ends FROM charge_ends GROUP BY charge_id) AS ended USING (charge_id)
WHERE %(ids)s::text[] IS NULL OR charges.id = ANY(%(ids)s) ORDER BY charges.id
"""

_INSERT = """
INSERT INTO charges (added_at, account_id, id, product, effective_from, effective_to, every, timing, drift, lead_days,
    quantity, dimensions)
SELECT %s, account_id, new.id, product, effective_from, effective_to, every, timing, drift, lead_days, quantity,
    dimensions
FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[],
        %s::boolean[], %s::integer[], %s::bigint[], %s::jsonb[])
    AS new (id, account, product, effective_from, effective_to, every, timing, drift, lead_days, quantity, dimensions)
JOIN accounts ON accounts.id = account ORDER BY new.id
"""

# The id of an event is the charge's, a slash and a number; a charge's own id may have slashes in it.
_POSTED = """
SELECT left(id, -length(number) - 1), count(*), max(number::bigint)
FROM (
    SELECT identity.id, split_part(identity.id, '/', -1) AS number
    FROM event_identity AS identity JOIN sources USING (source_id) WHERE sources.id = %s
) AS event GROUP BY 1
"""

_POSTED_DUES = """
SELECT identity.id, occurred_at FROM event_identity AS identity JOIN sources USING (source_id)
WHERE sources.id = %s AND identity.id > %s AND identity.id < %s ORDER BY identity.id
"""
