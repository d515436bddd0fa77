"""Totals of one batch after the other are those of all of them, whatever the batches and however large the keys."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rates.gathering import Gathered
from rates.quantities import QuantityOverflowError
from rates.totals import summed
from rates.usage import MICROSECONDS_A_DAY, TOTALS, Totals

PAYERS = {5: 5, 7: 5, 6: 2, 2: 2, 9: 9}  # the payer of each account
DAYS = (20_000, 20_030)

rows = st.lists(
    st.tuples(
        st.sampled_from(sorted(PAYERS)),
        st.integers(3, 9),
        st.integers(0, 40),
        st.integers(*DAYS),
        st.integers(-1, 2),
        st.integers(-(2**40), 2**40),
    ),
    max_size=12,
)


def totals(drawn: list[tuple[int, ...]]) -> Totals:
    account, price, country, day, events, quantity = (
        np.array(column, dtype=np.int64) for column in (zip(*drawn, strict=True) if drawn else [()] * 6)
    )
    return Totals(
        payer=np.array([PAYERS[number] for number in account.tolist()], dtype=np.int64),
        account=account,
        price=price.astype(np.int32),
        country=country.astype(np.int16),
        day=day.astype(np.int32),
        events=events,
        quantity=quantity,
    )


def gathered(most_price: int = 9) -> Gathered:
    payer, account = np.array(list(PAYERS.values())), np.array(list(PAYERS))
    return Gathered.of(DAYS[0] * MICROSECONDS_A_DAY, DAYS[1] * MICROSECONDS_A_DAY, payer, account, 3, most_price)


def plain(found: Totals) -> list[tuple[int, ...]]:
    return list(zip(*(getattr(found, name).tolist() for name in TOTALS), strict=True))


@given(batches=st.lists(rows, max_size=6), most_price=st.sampled_from([9, 2**55]))
def test_batches_come_to_what_they_come_to_together(batches: list[list[tuple[int, ...]]], most_price: int) -> None:
    found = gathered(most_price)
    for batch in batches:
        found.add(totals(batch))
    expected = summed(totals([row for batch in batches for row in batch]))
    assert sorted(plain(expected)) == sorted(plain(found.totals()))
    if most_price == 9:
        payers = found.totals().payer
        assert bool((payers[1:] >= payers[:-1]).all()), "by payer, so that a payer's rows are a stretch"


def test_kinds_are_those_of_totals() -> None:
    found = gathered()
    found.add(totals([(5, 3, 1, DAYS[0], 1, 60)]))
    one, other = found.totals(), totals([(5, 3, 1, DAYS[0], 1, 60)])
    assert {name: getattr(other, name).dtype for name in TOTALS} == {name: getattr(one, name).dtype for name in TOTALS}


def test_a_sum_beyond_64_bits_is_refused() -> None:
    found = gathered()
    for _ in range(3):
        found.add(totals([(5, 3, 1, DAYS[0], 1, 2**62)]))
    with pytest.raises(QuantityOverflowError):
        found.totals()
