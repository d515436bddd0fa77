"""Numbers as they are dialled in several countries, and what is no number there."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.sources.dialing import DialingPlan

FRANCE = DialingPlan(country_code="33", trunk=("0",), international=("00",))
AMERICA = DialingPlan(country_code="1", trunk=("1", ""), international=("011",))
SPAIN = DialingPlan(country_code="34", trunk=("",), international=("00",))
CARRIER = DialingPlan(country_code="44", trunk=("0",), international=("",))


def read(plan: DialingPlan, text: str) -> str:
    found = plan.numbers(pa.array([text, "s"]))
    assert "s" == found[1].as_py()
    number: str = found[0].as_py()
    return number


@pytest.mark.parametrize(
    ("plan", "written", "expected"),
    [
        (FRANCE, "0612345678", "+33612345678"),
        (FRANCE, "06 12 34 56 78", "+33612345678"),
        (FRANCE, "00442079460000", "+442079460000"),
        (FRANCE, "+442079460000", "+442079460000"),
        (FRANCE, "+33 (6) 12-34-56-78", "+33612345678"),
        (AMERICA, "4155550123", "+14155550123"),
        (AMERICA, "14155550123", "+14155550123"),
        (AMERICA, "(415) 555-0123", "+14155550123"),
        (AMERICA, "011442079460000", "+442079460000"),
        (SPAIN, "912345678", "+34912345678"),
        (CARRIER, "33612345678", "+33612345678"),
        (CARRIER, "02079460000", "+442079460000"),
    ],
)
def test_numbers_that_fit_the_plan_become_e164(plan: DialingPlan, written: str, expected: str) -> None:
    assert expected == read(plan, written)


@pytest.mark.parametrize(
    ("plan", "written"),
    [
        (FRANCE, "112"),
        (FRANCE, "3631"),
        (FRANCE, "1001"),
        (FRANCE, "612345678"),  # neither trunk nor international prefix
        (FRANCE, "00"),
        (FRANCE, "0"),
        (FRANCE, "00033612345678"),
        (FRANCE, "0033612345678901234"),
        (FRANCE, "sip:bob@example.com"),
        (FRANCE, "client:alice"),
        (FRANCE, "*98"),
        (FRANCE, "anonymous"),
        (FRANCE, ""),
        (FRANCE, "٠٦١٢٣٤٥٦٧٨"),
        (AMERICA, "5550123"),
        (AMERICA, "911"),
        (AMERICA, "1800"),
        (SPAIN, "112"),
        (SPAIN, "11818"),
        (CARRIER, "116123"),
    ],
)
def test_what_does_not_fit_stays_as_it_was_written(plan: DialingPlan, written: str) -> None:
    assert written == read(plan, written)


@given(st.sampled_from([("33", "0", "00"), ("49", "0", "00"), ("81", "0", "010"), ("7", "8", "810")]), st.data())
def test_a_number_is_the_same_however_it_is_dialled(facts: tuple[str, str, str], data: st.DataObject) -> None:
    code, trunk, international = facts
    plan = DialingPlan(country_code=code, trunk=(trunk,), international=(international,))
    national = data.draw(st.from_regex("[2-79][0-9]{7,9}", fullmatch=True))
    expected = f"+{code}{national}"
    for written in (expected, f"{trunk}{national}", f"{international}{code}{national}"):
        assert expected == read(plan, written)


@pytest.mark.parametrize(
    ("country", "trunk", "international"),
    [
        ("", ("0",), ("00",)),
        ("+33", ("0",), ("00",)),
        ("033", ("0",), ("00",)),
        ("33333", ("0",), ("00",)),
        ("33", ("x",), ("00",)),
        ("33", ("",), ("",)),
        ("33", ("0",), ("0",)),
        ("33", (), ("00",)),
    ],
)
def test_a_plan_that_is_none_is_refused(country: str, trunk: tuple[str, ...], international: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"prefix|country code"):
        DialingPlan(country_code=country, trunk=trunk, international=international)
