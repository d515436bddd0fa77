"""Jurisdictions by the states of both numbers, and the table that says which number is of which state."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.verifier_states import placed
from billing.verifier_usage import read_product, read_usage
from rates.jurisdiction import JURISDICTIONS, States, derive, read_states

TABLE = "npanxx,state\n415555,CA\n213555,CA\n212555,NY\n800555,TX\n"
OFFICES = {"415555": "CA", "213555": "CA", "212555": "NY", "800555": "TX"}
PRODUCT = read_product({"id": "trunk", "base": "second", "match": ["to", "from", "jurisdiction"]})

numbers = st.one_of(
    st.just(""),
    st.builds(
        "{}{}{:04}".format,
        st.sampled_from(["+1", "+1", "+1", "+7", "+44", "1"]),
        st.sampled_from([*OFFICES, "666555"]),
        st.integers(0, 9999),
    ),
    st.integers(1, 10**15 - 1).map("+{}".format),
)


def table(text: str = TABLE) -> States:
    states, faults = read_states(text, "states.csv")
    assert states is not None, faults
    return states


def digits(number: str) -> int:
    return int(number[1:]) if number.startswith("+") else 0


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20))
def test_columns_and_single_events_have_the_same_jurisdiction(calls: list[tuple[str, str]]) -> None:
    origin, destination = (np.array([digits(each[end]) for each in calls], dtype=np.int64) for end in (0, 1))
    found = [str(JURISDICTIONS[code]) for code in derive(origin, destination, table()).jurisdiction.tolist()]
    event = {"id": "1", "account": "a", "product": "trunk", "occurred_at": "2026-10-01T00:00:00Z"}
    said = [
        placed(read_usage({**event, "from": from_, "to": to}), PRODUCT, OFFICES).value("jurisdiction")
        for from_, to in calls
    ]
    assert said == found


def test_a_table_is_the_same_however_it_is_written() -> None:
    other = (
        "City;,NPA,NXX,State,LATA\nx,800,555,TX,1\nx,212,555,NY,2\n\nx,213,555,CA,3\nx,415,555,CA,4\nx,415,555,CA,5\n"
    )
    assert table().digest == table(other).digest == table(TABLE.replace("415555", "415-555")).digest
    assert table().digest != table(TABLE.replace("NY", "NJ")).digest


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "states.csv: has no columns npanxx and state; name them in the first line, or npa, nxx and state"),
        ("npa,state\n415,CA\n", "states.csv: has no columns npanxx and state; name them in the first line, or npa"),
        ("npanxx,state\n41555,CA\n", 'states.csv:2 "41555": is no area code and exchange; write the six digits after'),
        ("npanxx,state\n115555,CA\n", 'states.csv:2 "115555": is no area code and exchange'),
        (
            "npa,nxx,state\n415,555,Calif\n",
            'states.csv:2 "Calif": is no state; write its two capital letters, as in CA',
        ),
        ("npanxx,state\n415555\n", "states.csv:2: is no state"),
        (TABLE + "415555,NY\n", 'states.csv:6 "415555": is of CA and of NY; keep one of them'),
        ('npanxx,state\n"415555,CA\n', "states.csv:2: is not CSV: unexpected end of data; save it as CSV with commas"),
    ],
)
def test_a_faulty_table_is_refused_with_its_line(text: str, fault: str) -> None:
    states, faults = read_states(text, "states.csv")
    assert (None, True) == (states, str(faults[0]).startswith(fault)), faults
