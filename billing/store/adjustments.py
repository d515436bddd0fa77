"""Adjustments in the store: what billed a month so far, what is held back, and who released what."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from psycopg.rows import dict_row

from billing.adjustments import NOT_AGAIN, Part, plus
from billing.contracts import Contract
from billing.drafts import NO_TOTALS_SHA256
from billing.invoices import Kind, number_text
from billing.periods import Period
from billing.store.engine import Connection
from rates.deals import NO_DEAL, read_deal
from rates.lines import LineKey
from rates.money import Currency, exact, parse_fraction
from rates.reading import Reader


class Billed(NamedTuple):
    """How often a month of a payer was billed, the digest of the totals that this was last of, and its contracts."""

    steps: int
    billed_sha256: str
    contracts: Sequence[Contract]


class Issued(NamedTuple):
    """All lines that were issued for a month of a payer, by their keys, and the number of what billed it first."""

    currency: Currency
    first: str
    lines: dict[LineKey, Part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An adjustment that a run leaves out, of which usage (by its digest), and why; `releasable` by a person."""

    payer: int
    account: str
    origin: Period
    net_minor: int
    currency: Currency
    billed_sha256: str
    releasable: bool
    why: str


def billed_of(connection: Connection, origin: Period, payers: Collection[int]) -> dict[int, Billed]:
    """Those of some payers of whom a month is billed already, by whatever invoice."""
    rows = connection.execute(
        """
        SELECT payer_id, account.id, step, encode(billed_sha256, 'hex'), contracts
        FROM billed_months JOIN accounts AS account ON account_id = payer_id
        WHERE origin_start = %s AND payer_id = ANY(%s) ORDER BY payer_id, step
        """,
        [origin.start, list(payers)],
    )
    found: dict[int, Billed] = {}
    for payer, name, step, digest, contracts in rows:
        first = found[payer].contracts if payer in found else [_contract(name, each) for each in contracts]
        found[payer] = Billed(step + 1, digest, first)
    return found


class Turn(NamedTuple):
    """How often a month of a payer was billed, and the digest, in hexadecimal, of the totals that this was last of."""

    steps: int
    billed_sha256: str


NEVER_BILLED = Turn(0, NO_TOTALS_SHA256)


def newest_turns(connection: Connection, origin: Period, payers: Collection[int]) -> dict[int, Turn]:
    """What billed a month of some payers last; of those of whom anything did."""
    rows = connection.execute(
        "SELECT DISTINCT ON (payer_id) payer_id, step + 1, encode(billed_sha256, 'hex') FROM billed_months"
        " WHERE origin_start = %s AND payer_id = ANY(%s) ORDER BY payer_id, step DESC",
        [origin.start, list(payers)],
    )
    return {payer: Turn(steps, digest) for payer, steps, digest in rows}


def newest_digests(connection: Connection, origin: Period) -> dict[int, str]:
    """The digests, in hexadecimal, of the totals of which a month was billed last, by payer."""
    rows = connection.execute(
        "SELECT DISTINCT ON (payer_id) payer_id, encode(billed_sha256, 'hex') FROM billed_months"
        " WHERE origin_start = %s ORDER BY payer_id, step DESC",
        [origin.start],
    )
    return dict(rows.fetchall())


def _contract(account: str, stored: Mapping[str, Any]) -> Contract:
    terms = stored["terms"]
    return Contract(
        account=account,
        effective_from=date.fromisoformat(stored["effective_from"]),
        cards=tuple(stored["cards"]),
        deal=read_deal(Reader(place=f"contract {account}", table=terms, faults=[])) if terms else NO_DEAL,
    )


def still_to_be_billed(connection: Connection, origin: Period) -> set[int]:
    """The payers with a draft of a month, or at whom its newest run stopped: its own run bills them."""
    rows = connection.execute(
        "SELECT payer_id FROM draft_invoices WHERE period_start = %(start)s AND kind = %(kind)s"
        " UNION SELECT payer_id FROM draft_stops WHERE period_start = %(start)s",
        {"start": origin.start, "kind": Kind.USAGE},
    )
    return {payer for (payer,) in rows}


def adjusted_before(connection: Connection, origin: Period, period: Period) -> set[int]:
    """The payers of whom drafts of months before `period` adjust a month."""
    rows = connection.execute(
        "SELECT payer_id FROM draft_adjustments JOIN draft_invoices USING (payer_id, invoice_id)"
        " WHERE draft_adjustments.origin_start = %s AND period_start < %s",
        [origin.start, period.start],
    )
    return {payer for (payer,) in rows}


def payers_with_documents(connection: Connection, period: Period) -> set[int]:
    """The payers to whom something of a period's run is issued."""
    rows = connection.execute("SELECT DISTINCT payer_id FROM invoices WHERE period_start = %s", [period.start])
    return {payer for (payer,) in rows}


def issued_lines(
    connection: Connection, origin: Period, payers: Collection[int], *, before: Mapping[int, int] | None = None
) -> dict[int, Issued]:
    """What was issued for a month of some payers, without `NOT_AGAIN`; up to the turn `before` of each."""
    found: dict[int, Issued] = {}
    values = {"start": origin.start, "period": str(origin), "payers": list(payers), "without": sorted(NOT_AGAIN)}
    cursor = connection.cursor(row_factory=dict_row)
    for row in cursor.execute(_ISSUED, values):
        payer = row["payer_id"]
        if before is not None and row["step"] >= before[payer]:
            continue
        if payer not in found:
            number = number_text(row["series"], row["number"])
            found[payer] = Issued(Currency(row["currency"]), number, {})
        if row["product"] is None:
            continue
        key, part = _line(row)
        lines = found[payer].lines
        lines[key] = plus(lines[key], part) if key in lines else part
    return found


def issued_by_turn(connection: Connection, origin: Period, payer: int) -> list[tuple[str, dict[LineKey, Part]]]:
    """What was issued for a month of a payer, document by document: the numbers, and the lines by their keys."""
    found: list[tuple[str, dict[LineKey, Part]]] = []
    values = {"start": origin.start, "period": str(origin), "payers": [payer], "without": sorted(NOT_AGAIN)}
    for row in connection.cursor(row_factory=dict_row).execute(_ISSUED, values):
        if row["step"] == len(found):
            found.append((number_text(row["series"], row["number"]), {}))
        if row["product"] is not None:
            key, part = _line(row)
            found[-1][1][key] = part
    return found


def _line(row: Mapping[str, Any]) -> tuple[LineKey, Part]:
    text = row["unit_price_exact"]
    price = exact(row["unit_price"]) if text is None else parse_fraction(text)
    named = {name: row[name] for name in ("product", "element", "country", "destination", "tier", "unit", "unit_size")}
    key = LineKey(**named, unit_price=price, base=row["base_unit"])
    residual = parse_fraction(row["residual"])
    return key, Part(row["events"], row["base_quantity"], row["amount_minor"], residual, tuple(row["cards"]))


_ISSUED = """
    SELECT billed.payer_id, step, series, number, currency, line.*
    FROM billed_months AS billed JOIN invoices USING (payer_id, invoice_id)
    LEFT JOIN LATERAL (
        SELECT unit_size, events, base_quantity, amount_minor, unit_price, unit_price_exact, product, element, country,
               destination, tier, unit, base_unit, residual, cards
        FROM invoice_lines AS line
        WHERE (line.payer_id, line.invoice_id) = (billed.payer_id, billed.invoice_id)
          AND origin_period = %(period)s AND element <> ALL(%(without)s)
    ) AS line ON true
    WHERE billed.origin_start = %(start)s AND billed.payer_id = ANY(%(payers)s)
    ORDER BY billed.payer_id, step
"""


def released_digests(connection: Connection, origin: Period) -> set[tuple[int, str]]:
    """What was released of a month: the payers, and the digests of the totals that somebody looked at."""
    rows = connection.execute(
        "SELECT payer_id, encode(billed_sha256, 'hex') FROM adjustment_releases WHERE origin_start = %s",
        [origin.start],
    )
    return {(payer, digest) for payer, digest in rows}


def replace_held(connection: Connection, period: Period, held: Sequence[Held]) -> None:
    """Keep what the newest run of a period leaves out."""
    connection.execute("DELETE FROM held_adjustments WHERE period_start = %s", [period.start])
    connection.cursor().executemany(
        "INSERT INTO held_adjustments (payer_id, period_start, origin_start, net_minor, currency, billed_sha256,"
        " releasable, why) VALUES (%s, %s, %s, %s, %s, decode(%s, 'hex'), %s, %s)",
        [
            (
                *(each.payer, period.start, each.origin.start, each.net_minor, each.currency),
                *(each.billed_sha256, each.releasable, each.why),
            )
            for each in held
        ],
    )


def held_of(connection: Connection, period: Period, account: str = "") -> list[Held]:
    """What the newest run of a period left out, of one account or all, in order."""
    rows = connection.execute(
        "SELECT payer_id, id, origin_start, net_minor, held.currency, encode(billed_sha256, 'hex'), releasable, why"
        " FROM held_adjustments AS held JOIN accounts ON account_id = payer_id"
        " WHERE period_start = %s AND (%s = '' OR id = %s) ORDER BY id, origin_start",
        [period.start, account, account],
    )
    return [
        Held(
            payer=payer,
            account=name,
            origin=Period.of_month(start.year, start.month),
            net_minor=net,
            currency=Currency(code),
            billed_sha256=digest,
            releasable=releasable,
            why=why,
        )
        for payer, name, start, net, code, digest, releasable, why in rows
    ]


def insert_adjustment_release(connection: Connection, held: Held, facts: Mapping[str, str], at: datetime) -> None:
    """Keep for good who released an adjustment. `facts` are the `person` and the `reason`."""
    connection.execute(
        "INSERT INTO adjustment_releases (payer_id, origin_start, at, person, reason, net_minor, billed_sha256)"
        " VALUES (%s, %s, %s, %s, %s, %s, decode(%s, 'hex'))",
        [held.payer, held.origin.start, at, facts["person"], facts["reason"], held.net_minor, held.billed_sha256],
    )
