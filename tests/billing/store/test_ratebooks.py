"""Published cards in the database: what it refuses by itself."""

import psycopg
import pytest

from billing.store.engine import transaction
from tests.shop import Shop, read


@pytest.mark.parametrize("rate", ["(0, 1, 2)", "(2, 1, 2)", "(2, 2, 2)"])
def test_a_rate_lies_within_its_card_version(shop: Shop, rate: str) -> None:
    shop.publish()
    with pytest.raises(psycopg.errors.ForeignKeyViolation), transaction(shop.engine) as connection:
        connection.execute(f'INSERT INTO rates (rate_id, card_version_id, "row") VALUES {rate}'.encode())


def test_a_card_that_only_blocks_stands_in_nobodys_way(shop: Shop) -> None:
    head = 'id = "{}"\ncurrency = "USD"\neffective_from = 2026-10-01\nrates = "rates.csv"\n'
    for name in ("one", "two"):
        shop.publish(read(head.format(name), "product,prefixes,unit,blocked\nvoice.outbound,4470,minute,true\n"))
    shop.publish()
    blocks = [("one", 1, 0), ("two", 2, 0), ("list", 3, 1)]
    assert blocks == shop.rows("SELECT card_id, price_base, prices FROM card_versions ORDER BY card_version_id")
