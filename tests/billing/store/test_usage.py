"""Usage made ready to be written: what an event adds to the totals is summed exactly."""

from datetime import date

import pyarrow as pa
import pytest

from billing.store.usage import CHANGES, summed
from rates.quantities import INT64_MAX, QuantityOverflowError

BEYOND_A_FLOAT = 2**53 + 1


def changes(*quantities: int, account: int = 1) -> pa.Table:
    """One event of each quantity, all of one key."""
    one = {"payer_id": 1, "account_id": account, "price_id": 3, "day": date(2026, 10, 2), "country": "GB", "events": 1}
    return pa.Table.from_pylist([one | {"quantity": quantity} for quantity in quantities])


def test_changes_of_one_key_are_one_exact_sum() -> None:
    found = summed(pa.concat_tables([changes(BEYOND_A_FLOAT, 2), changes(5, account=2), changes(2)]))
    assert list(CHANGES) == found.column_names
    assert {(1, 3, BEYOND_A_FLOAT + 4), (2, 1, 5)} == {
        (row["account_id"], row["events"], row["quantity"]) for row in found.to_pylist()
    }


def test_a_sum_that_could_leave_64_bits_is_refused() -> None:
    with pytest.raises(QuantityOverflowError, match="the quantities of a batch"):
        summed(changes(INT64_MAX, 1))


def test_nothing_adds_nothing() -> None:
    assert 0 == summed(changes(1).slice(1)).num_rows
