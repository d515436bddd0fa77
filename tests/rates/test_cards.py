from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from rates.cards import Card, codes_and_values, column, combined, decimals, identity, instant

AT = datetime(2026, 10, 1, tzinfo=UTC)


def card(**columns: list[str] | pa.Array) -> Card:
    return Card(id="c", currency="USD", effective_from=AT, rows=pa.table(columns))


def test_a_version_is_named_by_its_card_and_its_start() -> None:
    assert "c@2026-10-01T00:00:00Z" == card(prices=["1"]).version
    assert "2026-10-01T00:00:00.250000Z" == instant(AT + timedelta(milliseconds=250))


def test_a_column_that_is_absent_is_empty_throughout() -> None:
    rows = pa.table({"prices": ["1", "2", "1"]})
    assert ["", "", ""] == column(rows, "tiers").to_pylist()
    codes, values = codes_and_values(rows, "prices")
    assert ["1", "2", "1"] == [values[code] for code in codes]
    assert np.int32 == codes.dtype


def test_a_column_reads_the_same_plain_encoded_or_in_chunks() -> None:
    plain = pa.array(["a", "", "b", "a"])
    chunked = pa.chunked_array([pa.array(["a", ""]).dictionary_encode(), pa.array(["b", "a"]).dictionary_encode()])
    for cells in (plain, plain.dictionary_encode(), chunked):
        assert plain.to_pylist() == column(pa.table({"x": cells}), "x").to_pylist()


def test_identity_is_of_the_content_not_of_its_order_encoding_or_source() -> None:
    one = card(row=[2, 3], prefixes=["1", "44"], prices=["0.1", "0.2"], destination=["", "GB"])
    other = card(
        row=[9, 7],
        destination=pa.array(["GB", ""]).dictionary_encode(),
        tiers=["", ""],
        prices=["0.2", "0.1"],
        prefixes=["44", "1"],
    )
    assert identity(one) == identity(other)
    assert 32 == len(identity(one))


def test_identity_tells_apart_cells_that_moved_between_columns_and_rows() -> None:
    cards = [
        card(prefixes=["1", "2"], prices=["3", "4"]),
        card(prefixes=["1", "2"], prices=["4", "3"]),
        card(origin_prefixes=["1", "2"], prices=["3", "4"]),
        card(prefixes=["1", "2"], prices=["3", "4"], destination=["", "x"]),
        card(prefixes=["1", "2"], prices=["3", "4"], destination=["x", ""]),
        card(prefixes=["1"], prices=["3"]),
        card(prefixes=["1", "1"], prices=["3", "3"]),
    ]
    assert len(cards) == len({identity(each) for each in cards})


def test_identity_is_of_the_instant_whatever_zone_it_is_written_in() -> None:
    paris = datetime(2026, 10, 1, 2, tzinfo=timezone(timedelta(hours=2))).astimezone(UTC)
    rows = pa.table({"prices": ["1"]})
    one, other = (Card(id="c", currency="USD", effective_from=at, rows=rows) for at in (AT, paris))
    assert identity(one) == identity(other)


def test_combinations_are_numbered_as_rows_first_show_them() -> None:
    rows = pa.table({"a": ["x", "x", "y", "x", "y"], "b": ["1", "2", "1", "1", "1"]})
    numbers, first = combined(rows, ["a", "b", "absent"])
    assert [0, 1, 2, 0, 2] == numbers.tolist()
    assert [0, 1, 2] == first.tolist()


cell = st.sampled_from(["", "a", "b", "c"])


@given(st.lists(st.tuples(*[cell] * 40), min_size=1, max_size=30))
@example([*((letter, *[""] * 39) for letter in "abc"), *(("", *[letter] * 39) for letter in "abc")])
def test_combinations_of_many_columns_are_those_of_their_tuples(cells: list[tuple[str, ...]]) -> None:
    """Forty columns of four values would leave 64 bits if their codes were only multiplied."""
    names = [f"c{i}" for i in range(40)]
    rows = pa.table(dict(zip(names, map(list, zip(*cells, strict=True)), strict=True)))
    expected: dict[tuple[str, ...], int] = {}
    for row in cells:
        expected.setdefault(row, len(expected))
    numbers, first = combined(rows, names)
    assert [expected[row] for row in cells] == numbers.tolist()
    assert list(expected) == [cells[row] for row in first]


def test_a_cell_of_prices_is_its_decimals() -> None:
    assert ["0.014", "0"] == [str(price) for price in decimals("0.014 0")]
