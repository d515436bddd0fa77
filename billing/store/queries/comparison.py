"""What a month was billed, or would be, summed for a comparison."""

from datetime import date
from fractions import Fraction

from psycopg import sql

from billing.comparison import Held, Side
from billing.periods import Period
from billing.store.engine import Connection
from rates.money import Currency, exact, parse_fraction


def side_of(connection: Connection, period: Period) -> Side:
    """A month's invoices and its drafts, and beside them what the accounts that the run stopped at would be billed.

    With what they adjust, and with credit notes; prices and cards are those of the month itself.
    """
    values = {"start": period.start, "period": str(period)}
    accounts, products, prices = (connection.execute(each, values).fetchall() for each in (_HEADS, _SUMS, _PRICES))
    stops = connection.execute(
        "SELECT currency, id, total_minor, outcome || ': ' || reason FROM draft_stops"
        " JOIN accounts ON account_id = payer_id WHERE period_start = %(start)s",
        values,
    ).fetchall()
    cards = connection.execute(_CARDS, values).fetchall()
    found: dict[tuple[Currency, str], set[Fraction]] = {}
    for code, name, rounded, text in prices:
        found.setdefault((Currency(code), name), set()).add(exact(rounded) if text is None else parse_fraction(text))
    return Side(
        accounts={(Currency(code), name): int(total) for code, name, total in accounts},
        products={(Currency(code), name): int(total) for code, name, total in products},
        cards=frozenset(name for (name,) in cards),
        prices={key: frozenset(each) for key, each in found.items()},
        held={(Currency(code), name): Held(int(total), why) for code, name, total, why in stops},
    )


def last_final(connection: Connection, period: Period) -> date | None:
    """The first day of the last month before a period that has final invoices."""
    row = connection.execute(
        "SELECT max(period_start) FROM invoices WHERE period_start < %s", [period.start]
    ).fetchone()
    return row[0] if row else None


_LINES = sql.SQL("""
    WITH heads AS (
        SELECT payer_id, invoice_id, currency, account, total_minor FROM invoices
        WHERE period_start = %(start)s
        UNION ALL
        SELECT payer_id, invoice_id, currency, account, total_minor FROM draft_invoices
        WHERE period_start = %(start)s
    ), lines AS (
        SELECT heads.*, product, element, country, destination, tier, unit, unit_price, unit_price_exact, amount_minor,
               cards, origin_period
        FROM heads JOIN invoice_lines USING (payer_id, invoice_id)
        UNION ALL
        SELECT heads.*, product, element, country, destination, tier, unit, unit_price, unit_price_exact, amount_minor,
               cards, origin_period
        FROM heads JOIN draft_lines USING (payer_id, invoice_id)
    )
""")
_HEADS = sql.SQL("{} SELECT currency, account, sum(total_minor) FROM heads GROUP BY currency, account").format(_LINES)
_SUMS = sql.SQL("{} SELECT currency, product, sum(amount_minor) FROM lines GROUP BY currency, product").format(_LINES)
_CARDS = sql.SQL("{} SELECT DISTINCT unnest(cards) FROM lines WHERE origin_period = %(period)s").format(_LINES)
_PRICES = sql.SQL(
    "{} SELECT DISTINCT currency, concat_ws(' ', product, element, nullif(country, ''), nullif(destination, ''),"
    " nullif(tier, ''), 'per ' || unit), unit_price, unit_price_exact FROM lines WHERE origin_period = %(period)s"
).format(_LINES)
