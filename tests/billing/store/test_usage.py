"""Usage made ready to be written: what an event adds to the totals is summed exactly."""

from datetime import date

import pyarrow as pa

from billing.store.usage import CHANGES, summed
from rates.quantities import INT64_MAX

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


def test_changes_whose_sum_could_leave_64_bits_stay_apart_and_the_others_are_added_up() -> None:
    """One huge charge refused the whole batch: nobody's usage in it was taken in."""
    found = summed(pa.concat_tables([changes(INT64_MAX, 1, -INT64_MAX, 2), changes(5, 6, account=2)]))
    assert [(1, -INT64_MAX), (1, 3), (1, INT64_MAX), (2, 11)] == sorted(
        (row["account_id"], row["quantity"]) for row in found.to_pylist()
    )
    assert 6 == sum(row["events"] for row in found.to_pylist())


def test_nothing_adds_nothing() -> None:
    assert 0 == summed(changes(1).slice(1)).num_rows
