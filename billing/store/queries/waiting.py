"""What waits in quarantine, for people: one row for each thing that is missing."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from psycopg import sql

from billing.explanations import remedy_of
from billing.payloads import attributes_of
from billing.periods import Period
from billing.store.engine import Connection
from billing.store.queries.usage import mirror_ids
from rates.cards import instant
from rates.numbering import ranges
from rates.products import DIMENSIONS, PACKAGES, Product
from rates.rating import CODES, REASONS, Reason

_ACCOUNT = (
    Reason.UNKNOWN_ACCOUNT,
    Reason.NO_PAYER,
    Reason.NO_CONTRACT,
    Reason.NO_CARD,
    Reason.CURRENCY_MISMATCH,
)
_RATE = (
    *(Reason.NO_RATE, Reason.BLOCKED, Reason.NO_INCREMENTS, Reason.MAX_QUANTITY),
    *(Reason.CHARGE_MISSING, Reason.CHARGE_UNPRICED),
)

_DIMENSIONS = tuple(name for name in DIMENSIONS if name != "country")
_SAID = 3  # before the dimensions: the address, the country if it is not the place's own, and the declared dimensions

# What is missing is found for each event, then counted by account too, and so by what is missing. The fewer columns,
# the sooner they are compared: what few events state is one, an array. An example is the first event: the least of
# arrays of texts, as that of an instant is in the order of time. Only where a rate is missing is there a place to
# look for: the two branches are joined, and so PostgreSQL, which then believes in few groups, hashes and does not sort.
_WAITING = """
WITH waits AS NOT MATERIALIZED (
    SELECT q.* FROM quarantine q
    WHERE (%(accounts)s::text[] IS NULL OR q.account = ANY(%(accounts)s)) {from_reason}
        AND (%(opens)s::timestamptz IS NULL OR q.occurred_at >= %(opens)s AND q.occurred_at < %(closes)s)
), called AS (
    SELECT w.*, CASE
        WHEN w.product = ANY(%(to)s) THEN coalesce(w.rated_to_e164, w.to_e164)
        WHEN w.product = ANY(%(from)s) THEN w.from_e164
    END AS number
    FROM waits w WHERE w.reason = ANY(%(rate)s)
), placed AS (
    SELECT c.*,
        -- What an event brings says nothing of what is missing, and is another with each event.
        CASE WHEN c.attributes LIKE '%%"charges"%%' THEN nullif((c.attributes::jsonb - 'charges')::text, '{{}}')
            ELSE c.attributes END AS declared,
        CASE WHEN c.mcc IS NULL OR c.product <> ALL(%(mcc)s) THEN
            (%(places)s::smallint[])[width_bucket(rpad(c.number::text, 15, '0')::bigint, %(firsts)s::bigint[])]
        END AS place,
        CASE WHEN c.number IS NULL AND c.product = ANY(%(to)s) THEN
            CASE WHEN c.to_address ~ '^[0-9*#]{{1,6}}$' THEN c.to_address ELSE '' END
        END AS address
    FROM called c
), missing AS (
    SELECT p.reason, p.product, p.account, p.occurred_at, p.source_id, p.id, p.place,
        CASE WHEN coalesce(p.address, p.stated_country, {stated}, p.declared) IS NOT NULL THEN nullif(ARRAY[
            p.address,
            CASE WHEN p.stated_country IS NOT NULL THEN
                nullif(p.stated_country, (%(countries)s::text[])[p.place])
            END,
            p.declared,
            {dimensions}
        ], array_fill(NULL::text, ARRAY[%(said)s::integer])) END AS said
    FROM placed p
    UNION ALL
    SELECT w.reason, w.product, w.account, w.occurred_at, w.source_id, w.id, NULL,
        CASE WHEN w.reason = %(too_old)s THEN ARRAY[to_char(w.occurred_at, 'YYYY-MM')] END
    FROM waits w WHERE w.reason <> ALL(%(rate)s)
), by_account AS (
    SELECT m.reason, m.product, m.account, m.place, m.said, m.source_id = ANY(%(mirrors)s) AS resold,
        count(*) AS events,
        min(m.occurred_at) AS first_at, max(m.occurred_at) AS last_at,
        min(ARRAY[m.occurred_at::text, m.source_id::text, m.id] COLLATE "C") AS example
    FROM missing m
    GROUP BY m.reason, m.product, m.account, m.place, m.said, resold
), waiting AS (
    SELECT b.reason, b.product, CASE WHEN b.reason = ANY(%(account)s) THEN b.account END AS account, b.place, b.said,
        b.resold, sum(b.events)::bigint AS events, count(*) AS accounts,
        min(b.account) AS least, max(b.account) AS most,
        min(b.first_at) AS first_at, max(b.last_at) AS last_at, min(b.example) AS example
    FROM by_account b
    GROUP BY 1, 2, 3, 4, 5, b.resold
)
SELECT w.reason, w.product, w.account, w.place, w.said, w.events, w.accounts, w.least, w.most, w.first_at, w.last_at,
    s.id, w.example[3]{key}
FROM waiting w JOIN sources s ON s.source_id = w.example[2]::integer
{ordered}
"""

_MOST_FIRST = "ORDER BY w.reason, w.events DESC, w.product, w.example"

# What is missing says of itself where it stands, whatever comes and goes; what is long is told by its digest.
_KEY = """
    w.reason, w.product, coalesce(w.account, ''), coalesce(w.place, 0),
    coalesce(md5(w.said::text), '') COLLATE "C", w.resold::int
"""
_FROM_REASON = "AND (q.reason, q.product) >= (%(after0)s, %(after1)s)"
_IN_ORDER = """
WHERE ({key}) > (%(after0)s, %(after1)s, %(after2)s, %(after3)s, %(after4)s, %(after5)s)
ORDER BY {key} LIMIT %(limit)s
"""


class Lacking(NamedTuple):
    """What some events wait for: of an account, a month, or a rate what is known of it; the others are empty.

    A rate is for numbers under a calling `code`, of a `country` as it was stated or as the numbering plan has it, for
    an `address` that is no such number ("" where it is not a short code either; None where there is a number or none
    is called), and for the `dimensions` that were stated. Where a mobile network was stated, the code is left out.
    """

    account: str = ""
    month: str = ""
    code: str = ""
    country: str = ""
    address: str | None = None
    dimensions: Mapping[str, str] = {}


class Waiting(NamedTuple):
    """Quarantined events that one thing is missing for: how many, of how many accounts, and the first of them.

    `named` are the accounts, if they are no more than two.
    """

    reason: Reason
    product: str
    lacking: Lacking
    events: int
    accounts: int
    named: tuple[str, ...]
    first_at: datetime
    last_at: datetime
    source: str
    id: str


Key = tuple[int, str, str, int, str, int]
"""Where in their order by reason, product and what is missing some waiting events stand, as `waiting_page` has it."""

FIRST: Key = (0, "", "", 0, "", 0)
"""Before all of them."""


def waiting_usage(
    connection: Connection,
    products: Mapping[str, Product],
    *,
    accounts: Sequence[str] | None = None,
    period: Period | None = None,
) -> list[Waiting]:
    """What waits in quarantine, by reason, what is missing and product; most events first. Of some accounts or all.

    What a reseller lacks is apart from what its supplier lacks: the sources of its events say so.
    """
    facts = _facts(connection, products, accounts, period)
    words: dict[str, sql.Composable] = {"from_reason": sql.SQL(""), "key": sql.SQL(""), "ordered": sql.SQL(_MOST_FIRST)}
    return [_waiting(row) for row in connection.execute(_asked(words), facts)]


def waiting_page(
    connection: Connection,
    products: Mapping[str, Product],
    *,
    after: Key,
    limit: int,
    accounts: Sequence[str] | None = None,
    period: Period | None = None,
) -> list[tuple[Key, Waiting]]:
    """The same by reason, product and what is missing, where nothing moves when usage comes or is released.

    At most `limit` of those that follow `after`, each with where it stands.
    """
    facts = _facts(connection, products, accounts, period) | {"limit": limit}
    facts |= {f"after{number}": part for number, part in enumerate(after)}
    key = sql.SQL(_KEY)
    words: dict[str, sql.Composable] = {
        "from_reason": sql.SQL(_FROM_REASON),
        "key": sql.SQL(", {}").format(key),
        "ordered": sql.SQL(_IN_ORDER).format(key=key),
    }
    rows = connection.execute(_asked(words), facts).fetchall()
    return [(row[-len(after) :], _waiting(row[: -len(after)])) for row in rows]


@cache
def _places() -> Sequence[tuple[str, str]]:
    """The calling codes of the numbering plan with their countries; a place is known by its number, from 1."""
    return sorted({(each.code, each.country) for each in ranges()})


def _facts(
    connection: Connection, products: Mapping[str, Product], accounts: Sequence[str] | None, period: Period | None
) -> dict[str, Any]:
    """What the query asks with."""
    plan, places = ranges(), _places()
    place_of = {place: number for number, place in enumerate(places, start=1)}
    return {
        "rate": _codes(_RATE),
        "account": _codes(_ACCOUNT),
        "too_old": CODES[Reason.TOO_OLD],
        "to": [name for name, product in products.items() if "to" in product.match],
        "from": [name for name, product in products.items() if "from" in product.match],
        "firsts": [each.first for each in plan],
        "places": [place_of[each.code, each.country] for each in plan],
        "countries": [country for _, country in places],
        "said": _SAID + len(_DIMENSIONS),
        "mirrors": mirror_ids(connection),
        "accounts": None if accounts is None else [*accounts],
        "opens": None if period is None else period.opens,
        "closes": None if period is None else period.closes,
        **{name: [each.id for each in products.values() if name in each.match] for name in _DIMENSIONS},
    }


def _asked(words: Mapping[str, sql.Composable]) -> sql.Composed:
    """The query with some words of it."""
    stated = sql.SQL(", ").join(sql.Identifier("p", name) for name in _DIMENSIONS)
    dimensions = sql.SQL(", ").join(
        sql.SQL("CASE WHEN p.product = ANY({}) THEN {} END").format(sql.Placeholder(name), sql.Identifier("p", name))
        for name in _DIMENSIONS
    )
    return sql.SQL(_WAITING).format(stated=stated, dimensions=dimensions, **words)


def _codes(reasons: Sequence[Reason]) -> list[int]:
    return [CODES[reason] for reason in reasons]


def _waiting(row: Sequence[Any]) -> Waiting:
    code, product, account, place, said, events, accounts, least, most, first_at, last_at, source, id_ = row
    reason = REASONS[code]
    if reason is None:
        raise AssertionError("what waits has a reason")
    return Waiting(
        reason=reason,
        product=product,
        lacking=_lacking(reason, account, _places()[place - 1] if place else ("", ""), said),
        events=events,
        accounts=accounts,
        named=tuple(sorted({least, most})) if accounts <= len((least, most)) else (),
        first_at=first_at,
        last_at=last_at,
        source=source,
        id=id_,
    )


def _lacking(reason: Reason, account: str | None, place: tuple[str, str], said: Sequence[str | None] | None) -> Lacking:
    """What is lacking, from the columns of the query: `said` is the array in it."""
    if reason not in _RATE:
        (month,) = said or [""]
        return Lacking(account=account or "", month=month or "")
    address, country, attributes, *stated = said or [None] * (_SAID + len(_DIMENSIONS))
    (declared,) = attributes_of([attributes or ""])
    if PACKAGES in declared:
        declared[PACKAGES] = " ".join(name for name, _ in json.loads(declared[PACKAGES]))
    return Lacking(
        code=place[0],
        country=country or place[1],
        address=address,
        dimensions={name: value for name, value in zip(_DIMENSIONS, stated, strict=True) if value} | declared,
    )


def waiting_record(waiting: Waiting) -> dict[str, object]:
    """What waits for one thing, as plain values, with what would release it."""
    reason, lacking = str(waiting.reason), waiting.lacking
    others = {name: value for name, value in lacking.dimensions.items() if name not in {"mcc", "mnc"}}
    return {
        "reason": reason,
        "product": waiting.product,
        "events": waiting.events,
        "accounts": waiting.accounts,
        "named": list(waiting.named),
        "first_at": instant(waiting.first_at),
        "last_at": instant(waiting.last_at),
        "example": f"{waiting.source}/{waiting.id}",
        "remedy": remedy_of(reason, has_number=lacking.address is None),
        "account": lacking.account,
        "month": lacking.month,
        "country": lacking.country,
        "calling_code": lacking.code,
        "address": lacking.address or "",
        "mcc": lacking.dimensions.get("mcc", ""),
        "mnc": lacking.dimensions.get("mnc", ""),
        "dimensions": [f"{name}={value}" for name, value in others.items()],
    }
