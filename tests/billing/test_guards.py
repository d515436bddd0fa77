"""Guards as files and JSON have them, and where prefixes and releases hold."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.guards import Release, begins, destination_of, read_guard, table_of
from tests.shop import products

AT = datetime(2026, 10, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "table",
    [
        {"id": "g", "kind": "blocked", "countries": ["CU"], "prefixes": ["881"], "account": "acme"},
        {"id": "g", "kind": "price", "limit": "0.5", "currency": "USD", "unit": "minute", "product": "voice.*"},
        {"id": "g", "kind": "dear", "limit": "0.05", "currency": "USD", "unit": "segment"},
        {"id": "g", "kind": "spend", "limit": "200", "currency": "JPY"},
        {"id": "g", "kind": "credit", "limit": "0.001", "currency": "USD", "paid_through": "2026-09"},
    ],
)
def test_a_guard_is_written_as_it_was_read(table: dict[str, object]) -> None:
    found, faults = read_guard(table, "g", products())
    assert [] == faults
    assert found is not None
    assert (found, []) == read_guard(table_of(found), "g", products())
    assert table.items() <= table_of(found).items()


def test_a_limit_below_a_minor_unit_is_reached_by_the_first_one() -> None:
    found, _ = read_guard({"id": "g", "kind": "credit", "limit": "0.001", "currency": "USD"}, "g", products())
    assert found is not None
    assert 1 == found.limit_minor


def test_a_number_begins_with_a_prefix_as_digits_and_not_as_a_value() -> None:
    prefixes = frozenset({"88", "1"})
    assert [True, True, False, False, True] == [begins(number, prefixes) for number in (881, 88, 8, 0, 14)]


def test_a_release_holds_until_its_instant_where_it_says() -> None:
    release = Release(guard="g", account="a", destination="GB", until=AT)
    before = AT - timedelta(microseconds=1)
    assert [True, False, False] == [
        release.holds("GB", 44, before),
        release.holds("GB", 44, AT),
        release.holds("FR", 33, before),
    ]
    assert Release(guard="g", account="a", destination="33").holds("", 336, AT)
    assert Release(guard="g", account="a").holds("", 0, AT)
    assert ["", "CU", "881", None, None] == [destination_of(text) for text in ("", "CU", "+881", "Cuba", "08")]
