"""Totals whose events are gone, or come from no source: their account fails at once, and nothing loops for ever."""

from typing import LiteralString

import pytest

from billing.flows.compose import compose_statement
from billing.flows.price import Pricer
from billing.payers import payers_of
from billing.store.accounts import read_accounts
from billing.store.engine import Connection, snapshot, transaction
from billing.store.queries.pricing import read_crossings
from rates.pricing import Wanted
from rates.tally.items import CrossingsIncompleteError
from rates.usage import Totals
from tests.invoicing import CLOSED, card, traffic
from tests.shop import OCTOBER, Shop, products

READINGS = 20


@pytest.mark.parametrize(
    "lost",
    [
        # As in a database of before sources had to have a name: events under a number that is no source's.
        "UPDATE events SET source_id = 0 WHERE payer_id = %s",
        "DELETE FROM events WHERE payer_id = %s",
        "DELETE FROM events WHERE payer_id = %s AND occurred_at < '2026-10-16'",
    ],
)
def test_an_account_whose_crossing_days_have_no_events_fails_and_no_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, lost: LiteralString
) -> None:
    shop.publish(card())
    shop.admit("acct-0", "acct-1")
    shop.post(*traffic(2, 400), at=CLOSED)
    readings: list[Wanted] = []

    def noted(connection: Connection, wanted: Wanted) -> Totals:
        readings.append(wanted)
        assert len(readings) < READINGS, "the same days are read again and again"
        return read_crossings(connection, wanted)

    monkeypatch.setattr("billing.flows.price.read_crossings", noted)
    with snapshot(shop.engine) as connection:
        numbers = read_accounts(connection).numbers
    victim = numbers["acct-1"]
    with transaction(shop.engine) as connection:
        assert connection.execute(lost, [victim]).rowcount > 0
    with snapshot(shop.engine) as connection:
        accounts = read_accounts(connection)
        payers = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, OCTOBER)
        work = Pricer.begin(connection, OCTOBER, products(), payers)
        priced = [set(lines.payer.tolist()) for lines in work.price(list(payers), work.read(list(payers)))]
    assert [{numbers["acct-0"]}] == priced
    assert [victim] == list(work.failed)
    assert work.failed[victim].startswith("CrossingsIncompleteError")
    readings.clear()
    with pytest.raises(CrossingsIncompleteError, match="source"):
        compose_statement(shop.engine, products(), OCTOBER, CLOSED, "acct-1")
