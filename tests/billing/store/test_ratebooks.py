"""Published cards in the database: what it refuses by itself."""

import psycopg
import pytest

from billing.store.engine import transaction
from tests.shop import Shop


@pytest.mark.parametrize("rate", ["(0, 1, 2)", "(2, 1, 2)", "(2, 2, 2)"])
def test_a_rate_lies_within_its_card_version(shop: Shop, rate: str) -> None:
    shop.publish()
    with pytest.raises(psycopg.errors.ForeignKeyViolation), transaction(shop.engine) as connection:
        connection.execute(f'INSERT INTO rates (rate_id, card_version_id, "row") VALUES {rate}'.encode())
