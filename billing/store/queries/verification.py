"""What the independent re-rater reads: usage, cards, accounts and contracts as plain values, as they were reported."""

import json
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

from psycopg.rows import dict_row

from billing.periods import Period
from billing.reselling import PREFIX
from billing.store.engine import Connection
from rates.products import CHARGES, DELIVERED_AS, PACKAGES, PARTICULARS
from rates.rating import CODES, REASONS, Reason

Raw = dict[str, object]

_FETCHED = 20_000


def share_snapshot(connection: Connection) -> str:
    """A name by which other connections can see what this one sees, until it ends its snapshot."""
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    return str(row[0]) if row else ""


def join_snapshot(connection: Connection, name: str) -> None:
    """See what the snapshot of that name sees; before anything else in a transaction."""
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    connection.execute(f"SET TRANSACTION SNAPSHOT '{name}'")


def raw_cards(connection: Connection) -> list[Raw]:
    """All published cards that nobody replaced, in the form of `card.toml`, with their rows."""
    rows: dict[int, list[Raw]] = {}
    for row in connection.cursor(row_factory=dict_row).execute(_RATES):
        declared = row.pop("declared")
        stated = {name: value for name, value in row.items() if value is not None and name not in _NOT_CELLS}
        # Cards are kept with `price` folded into `prices`, and only `prices` must have an entry for each tier.
        if "prices" in stated and len(stated["prices"].split()) == 1:
            stated["price"] = stated.pop("prices")
        rows.setdefault(row["card_version_id"], []).append({**stated, **(json.loads(declared) if declared else {})})
    heads = connection.execute("SELECT card_version_id, head FROM standing_versions ORDER BY card_version_id")
    cards = []
    for number, head in heads:
        card = tomllib.loads(head)
        card.pop("rates", None)
        cards.append({**card, "rate": rows.get(number, [])})
    return cards


def raw_accounts(connection: Connection) -> list[Raw]:
    """All accounts in the form of `account.toml`, without what is not rated by."""
    rows = connection.execute(
        "SELECT account.id, coalesce(parent.id, ''), account.pays, account.currency"
        " FROM accounts AS account LEFT JOIN accounts AS parent ON parent.account_id = account.parent_id"
    )
    return [dict(zip(("id", "parent", "pays", "currency"), row, strict=True)) for row in rows]


def raw_contracts(connection: Connection) -> list[Raw]:
    """All contracts in the form of `contract.toml`."""
    rows = connection.execute("SELECT id, effective_from, cards, terms FROM contracts JOIN accounts USING (account_id)")
    return [{"account": name, "effective_from": since, "cards": cards, **terms} for name, since, cards, terms in rows]


def raw_events(connection: Connection, period: Period, payers: Sequence[int]) -> Iterator[Raw]:
    """The rated and zero-rated events of a period that some payers pay, as they were reported: no mirrors."""
    return _raw(connection, _EVENTS, [period.opens, period.closes, list(payers), PREFIX])


def raw_quarantine(connection: Connection, period: Period, accounts: Sequence[str], *, others: bool) -> Iterator[Raw]:
    """The quarantined events of some accounts; with `others` also those of accounts that nobody knows.

    What came too late to be billed is left out: how late is no property of the event.
    """
    late = CODES[Reason.TOO_OLD]
    return _raw(connection, _QUARANTINE, [period.opens, period.closes, PREFIX, late, list(accounts), others])


def unrated_events(connection: Connection, period: Period) -> Iterator[tuple[str, str, str, str]]:
    """(`zero_rated` or `quarantined`, source, id, reason) of the events of a period that are on no line."""
    with connection.cursor(name="unrated_events") as cursor:
        cursor.itersize = _FETCHED
        span = [period.opens, period.closes]
        for kind, source, identity, code in cursor.execute(_UNRATED, span * 2):
            yield kind, source, identity, str(REASONS[code])


def event_counts(connection: Connection, period: Period) -> tuple[int, int]:
    """How many events of a period were accepted (by their identities), and how many of them came too late."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM event_identity JOIN sources USING (source_id)"
        " WHERE occurred_at >= %s AND occurred_at < %s AND NOT starts_with(sources.id, %s)),"
        " (SELECT count(*) FROM quarantine JOIN sources USING (source_id)"
        " WHERE occurred_at >= %s AND occurred_at < %s AND NOT starts_with(sources.id, %s) AND reason = %s)",
        [*[period.opens, period.closes, PREFIX] * 2, CODES[Reason.TOO_OLD]],
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def unbalanced_totals(connection: Connection, period: Period) -> int:
    """How many totals, with what is not folded, differ from the sum of the current ratings."""
    days = [period.start, period.end]
    instants = [period.opens, period.closes]
    row = connection.execute(_UNBALANCED, [*days, *days, *instants, *instants]).fetchone()
    return int(row[0]) if row else 0


def events_by_payer(connection: Connection, period: Period) -> list[tuple[int, int]]:
    """Who has usage in a period, and how many events, the most first."""
    rows = connection.execute(
        "SELECT payer_id, count(*) FROM events WHERE occurred_at >= %s AND occurred_at < %s"
        " GROUP BY payer_id ORDER BY 2 DESC, 1",
        [period.opens, period.closes],
    )
    return rows.fetchall()


def _raw(connection: Connection, query: str, values: Sequence[object]) -> Iterator[Raw]:
    with connection.cursor(name="raw_events", row_factory=dict_row) as cursor:
        cursor.itersize = _FETCHED
        for row in cursor.execute(query, values):
            yield _event(row)


def _event(row: dict[str, Any]) -> Raw:
    """One event as FORMATS 4 writes it."""
    numbers = {name: row.pop(f"{name}_e164") for name in ("to", "from", "rated_to")}
    addresses = {name: row.pop(f"{name}_address") for name in ("to", "from")}
    attributes = json.loads(row.pop("attributes") or "{}")
    particulars = {name: attributes.pop(name) for name in PARTICULARS if name in attributes}
    event = {name: value for name, value in row.items() if value is not None}
    for name, digits in numbers.items():
        address = addresses.get(name)
        if digits or address:
            event[name] = f"+{digits}" if digits else address
    if PACKAGES in particulars:
        event[PACKAGES] = [{"name": name, "status": status} for name, status in json.loads(particulars[PACKAGES])]
    if CHARGES in particulars:
        event[CHARGES] = json.loads(particulars[CHARGES])
    if DELIVERED_AS in particulars:
        event[DELIVERED_AS] = particulars[DELIVERED_AS]
    return {**event, **({"attributes": attributes} if attributes else {})}


_NOT_CELLS = frozenset({"rate_id", "card_version_id", "row"})

# Without the rows of replaced versions: there may be more of those than of all others.
_RATES = "SELECT rates.* FROM rates JOIN standing_versions USING (card_version_id) ORDER BY rate_id"

_EVENTS = """
    SELECT sources.id AS source, event.id, accounts.id AS account, products.id AS product, occurred_at,
           measured AS quantity, to_e164, from_e164, rated_to_e164, to_address, from_address,
           stated_country AS country, mcc, mnc, number_type, region, jurisdiction, package, status, error_code,
           attributes
    FROM events AS event
    JOIN sources USING (source_id) JOIN accounts USING (account_id) JOIN products USING (product_id)
    WHERE occurred_at >= %s AND occurred_at < %s AND payer_id = ANY(%s) AND NOT starts_with(sources.id, %s)
"""

_QUARANTINE = """
    SELECT sources.id AS source, event.id, account, product, occurred_at, measured AS quantity, to_e164, from_e164,
           rated_to_e164, to_address, from_address, stated_country AS country, mcc, mnc, number_type, region,
           jurisdiction, package, status, error_code, attributes
    FROM quarantine AS event JOIN sources USING (source_id)
    WHERE occurred_at >= %s AND occurred_at < %s AND NOT starts_with(sources.id, %s) AND reason <> %s
      AND (account = ANY(%s) OR (%s AND NOT EXISTS (SELECT FROM accounts WHERE accounts.id = event.account)))
"""

_UNRATED = """
    SELECT 'zero_rated', sources.id, event.id, reason FROM events AS event JOIN sources USING (source_id)
    WHERE occurred_at >= %s AND occurred_at < %s AND price_id IS NULL
      AND NOT EXISTS (SELECT FROM event_elements AS element
                      WHERE element.payer_id = event.payer_id AND element.occurred_at = event.occurred_at
                        AND element.source_id = event.source_id AND element.id = event.id)
    UNION ALL
    SELECT 'quarantined', sources.id, event.id, reason FROM quarantine AS event JOIN sources USING (source_id)
    WHERE occurred_at >= %s AND occurred_at < %s
"""

_UNBALANCED = """
    SELECT count(*) FROM (
        SELECT FROM (
            SELECT payer_id, account_id, price_id, country, day, events, quantity
            FROM usage_totals WHERE day >= %s AND day < %s
            UNION ALL
            SELECT payer_id, account_id, price_id, country, day, events, quantity
            FROM unfolded WHERE day >= %s AND day < %s
            UNION ALL
            SELECT payer_id, account_id, price_id, country, (occurred_at AT TIME ZONE 'UTC')::date, -1, -billed
            FROM events WHERE occurred_at >= %s AND occurred_at < %s AND price_id IS NOT NULL
            UNION ALL
            SELECT payer_id, account_id, price_id, country, (occurred_at AT TIME ZONE 'UTC')::date, -events, -billed
            FROM event_elements WHERE occurred_at >= %s AND occurred_at < %s
        ) AS facts
        GROUP BY payer_id, account_id, price_id, country, day
        HAVING sum(events) <> 0 OR sum(quantity) <> 0
    ) AS unbalanced
"""
