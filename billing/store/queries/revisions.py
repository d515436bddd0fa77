"""All that was reported of an event: what is in force, and the revisions that are kept beside it."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from billing.store.engine import Connection
from rates.cards import instant
from rates.products import PARTICULARS
from rates.rating import REASONS


class Reported(NamedTuple):
    """One revision: its fields as text, by their names in a payload, and what it was rated at (price, base units).

    `rated` is None where it was never in force, or waits or waited; `superseded`: another took its place.
    """

    revision: int
    received_at: datetime
    is_void: bool
    content: Mapping[str, str]
    reason: str
    in_force: bool
    superseded: bool
    rated: tuple[tuple[int, int], ...] | None


def read_reports(connection: Connection, source: str, identity: str) -> list[Reported]:
    """The revisions of an event, the highest first; none of one that nobody knows."""
    cursor = connection.cursor(row_factory=dict_row)
    known = cursor.execute(_IDENTITY, [source, identity]).fetchone()
    if known is None:
        return []
    place = {**known, "id": identity}
    elements: dict[int, list[tuple[int, int]]] = {}
    for each in cursor.execute(_ELEMENTS, place).fetchall():
        elements.setdefault(each["revision"], []).append((each["price_id"], each["billed"]))
    rows = cursor.execute(_REPORTS, place).fetchall()
    return [_reported(row, known["revision"], elements.get(row["revision"], [])) for row in rows]


def _reported(row: dict[str, Any], highest: int, elements: list[tuple[int, int]]) -> Reported:
    usage = [(row["price_id"], row["billed"])] if row["price_id"] is not None else []
    is_rated = row["billed"] is not None
    return Reported(
        revision=row["revision"],
        received_at=row["received_at"],
        is_void=row["occurred_at"] is None,
        content={} if row["occurred_at"] is None else _content(row),
        reason=str(REASONS[row["reason"] or 0] or ""),
        in_force=row["revision"] == highest,
        superseded=row["superseded_in"] is not None,
        rated=(*usage, *elements) if is_rated else None,
    )


def _content(row: dict[str, Any]) -> dict[str, str]:
    """What it said, as FORMATS 4 names it."""
    numbers = {name: row[f"{name}_e164"] for name in ("to", "from", "rated_to")}
    called = {name: f"+{digits}" if digits else row.get(f"{name}_address") for name, digits in numbers.items()}
    attributes = json.loads(row["attributes"] or "{}")
    said = {
        "account": row["account"],
        "product": row["product"],
        "occurred_at": instant(row["occurred_at"]),
        "quantity": str(row["measured"]),
        **called,
        "country": row["stated_country"],
        **{name: row[name] for name in _TEXTS},
        **{name if name in PARTICULARS else f"attributes.{name}": value for name, value in attributes.items()},
    }
    return {name: value for name, value in said.items() if value}


_TEXTS = ("mcc", "mnc", "number_type", "region", "jurisdiction", "package", "status", "error_code")

_IDENTITY = """
    SELECT occurred_at, source_id, payer_id AS payer, revision FROM event_identity JOIN sources USING (source_id)
    WHERE sources.id = %s AND event_identity.id = %s
"""

_SAID = """
    occurred_at, received_at, revision, to_e164, from_e164, rated_to_e164, measured, stated_country, to_address,
    from_address, mcc, mnc, number_type, region, jurisdiction, package, status, error_code, attributes, reason
"""

_REPORTS = f"""
    SELECT {_SAID}, accounts.id AS account, products.id AS product, price_id, billed, NULL::bigint AS superseded_in
    FROM events AS event JOIN accounts USING (account_id) JOIN products USING (product_id)
    WHERE payer_id = %(payer)s AND occurred_at = %(occurred_at)s AND source_id = %(source_id)s AND event.id = %(id)s
    UNION ALL
    SELECT {_SAID}, account, product, NULL, NULL, NULL
    FROM quarantine WHERE source_id = %(source_id)s AND id = %(id)s
    UNION ALL
    SELECT {_SAID}, account, product, price_id, billed, superseded_in
    FROM event_revisions WHERE source_id = %(source_id)s AND id = %(id)s
    ORDER BY revision DESC
"""  # noqa: S608

_ELEMENTS = """
    SELECT %(revision)s::integer AS revision, part, price_id, billed FROM event_elements
    WHERE payer_id = %(payer)s AND occurred_at = %(occurred_at)s AND source_id = %(source_id)s AND id = %(id)s
    UNION ALL
    SELECT revision, part, price_id, billed FROM event_revision_elements
    WHERE source_id = %(source_id)s AND id = %(id)s
    ORDER BY revision, part
"""
