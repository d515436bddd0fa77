"""Cards of products that are billed by the average of a month: nothing of one event is settled by itself."""

import pytest

from rates.cardfile import card_from_table
from tests.shop import products

Table = dict[str, object]
ROW: Table = {"product": "recording.storage", "unit": "minute", "price": "0.0005"}
POOL: Table = {"free": "10000", "block": "1", "unit": "minute", "fill": [{"product": "recording.storage"}]}
HEAD: Table = {"id": "list", "currency": "USD", "effective_from": "2026-10-01T00:00:00Z"}


def faults(row: Table, **head: object) -> list[str]:
    return [str(fault) for fault in card_from_table({**HEAD, **head, "rate": [ROW | row]}, {}, products())[1]]


def test_a_rate_a_pool_and_a_row_of_its_own_may_be_by_the_average() -> None:
    assert [] == faults({}, pools={"storage": POOL})
    assert [] == faults({"free_units": "10000", "block": "1"})


@pytest.mark.parametrize(
    ("row", "head", "said"),
    [
        (
            {"unit": "minute-day"},
            {},
            'rate[0].unit "minute-day": is not what recording.storage is billed by, the average of the month',
        ),
        ({"unit": "event"}, {}, "is not what recording.storage is billed by, the average of the month; write minute"),
        ({"min_charge": "1"}, {}, 'min_charge "1": is settled event by event, and recording.storage by the average of'),
        ({"max_charge": "1"}, {}, "is settled event by event"),
        ({"price": "", "steps": "0:1 60:2"}, {}, "is settled event by event"),
        ({}, {"rounding": {"per": "event", "decimals": 4}}, "by the average of the month, and the card rounds each"),
        ({}, {"pools": {"storage": {**POOL, "free": "0.5"}}}, 'pools.storage.free "0.5": is not a whole number of'),
    ],
)
def test_what_settles_one_event_is_refused(row: Table, head: Table, said: str) -> None:
    found = faults(row, **head)
    assert any(said in fault for fault in found), found
