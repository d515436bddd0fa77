"""Law 11: "Memory of a run is O(batch), not O(events)." Here: of drawing up and finalizing."""

import multiprocessing
import resource
from multiprocessing.connection import Connection

from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.store.engine import open_engine, transaction
from billing.store.partitions import make_partitions
from tests.invoicing import CLOSED, card
from tests.shop import OCTOBER, Shop, products

ACCOUNTS = 20
FEW, MANY = 20_000, 400_000
MEGABYTES_MORE = 25

# Calls to Britain all month long, as if they had been taken in: their counters cross on the first day.
EVENTS = """
    INSERT INTO events (occurred_at, received_at, batch, to_e164, measured, rate_id, billed, price_id, payer_id,
                        account_id, source_id, revision, product_id, reason, id, country, status)
    SELECT TIMESTAMPTZ '2026-10-01T00:00:00Z' + n * INTERVAL '31 days' / %(n)s, now(), 1, 447700900123, 61, rate_id, 61,
           price_id, account_id, account_id, source_id, 1, product_id, 0, 'e' || n, 'GB', 'completed'
    FROM generate_series(0, %(n)s - 1) AS n
    JOIN (SELECT account_id, row_number() OVER (ORDER BY account_id) - 1 AS place FROM accounts) AS accounts
        ON place = mod(n, %(accounts)s)
    CROSS JOIN (SELECT price_id, price_id AS rate_id FROM prices WHERE destination = 'United Kingdom'
                AND element = 'usage') AS prices
    CROSS JOIN (SELECT source_id FROM sources LIMIT 1) AS sources
    CROSS JOIN (SELECT product_id FROM products WHERE id = 'voice.outbound') AS products
"""

TOTALS = """
    INSERT INTO usage_totals (payer_id, day, price_id, account_id, country, events, quantity)
    SELECT payer_id, (occurred_at AT TIME ZONE 'UTC')::date, price_id, account_id, country, count(*), sum(billed)
    FROM events GROUP BY 1, 2, 3, 4, 5
"""

TOUCHED = """
    INSERT INTO touched_months (month, payer_id, folds)
    SELECT DISTINCT date_trunc('month', day::timestamp)::date, payer_id, 1 FROM usage_totals
"""


def bill(url: str, peaks: Connection, events: int) -> None:
    """Send the peak memory of this process, in kilobytes, after the invoices of a month with so many events."""
    engine = open_engine(url)
    with transaction(engine) as connection:
        connection.execute(
            "TRUNCATE events, usage_totals, touched_months, draft_invoices, draft_lines, draft_billed_totals"
        )
        connection.execute(EVENTS, {"n": events, "accounts": ACCOUNTS})
        connection.execute(TOTALS)
        connection.execute(TOUCHED)
    report = draw_up(engine, products(), OCTOBER, CLOSED, write=True).report
    if events == MANY:
        finalize(engine, OCTOBER, CLOSED)
    peaks.send((report.billed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
    engine.dispose()


def peak(url: str, events: int) -> int:
    processes = multiprocessing.get_context("spawn")
    mine, its = processes.Pipe(duplex=False)
    work = processes.Process(target=bill, args=(url, its, events))
    work.start()
    its.close()
    billed, kilobytes = mine.recv()
    work.join()
    assert ACCOUNTS == billed
    return int(kilobytes)


def test_a_month_of_twenty_times_the_events_takes_no_more_memory(shop: Shop) -> None:
    shop.publish(card())
    shop.admit(*(f"acct-{number}" for number in range(ACCOUNTS)))
    with transaction(shop.engine) as connection:
        make_partitions(connection, [OCTOBER.start])
    with transaction(shop.engine) as connection:
        connection.execute("INSERT INTO sources (id) VALUES ('seed')")
        connection.execute("INSERT INTO products (id) VALUES ('voice.outbound') ON CONFLICT DO NOTHING")
    url = shop.engine.url.render_as_string(hide_password=False)
    few, many = peak(url, FEW), peak(url, MANY)
    assert [(MANY,)] == shop.rows("SELECT sum(events)::bigint FROM invoice_billed_totals")
    assert many - few < MEGABYTES_MORE * 1024
