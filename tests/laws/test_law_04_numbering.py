"""Law 4: "Longest prefix = brute force". Here: of the numbering plan."""

from hypothesis import given
from hypothesis import strategies as st

from rates.numbering import PLAN, country_of

BEGINNINGS = st.sampled_from(sorted(PLAN))
DIGITS = st.text(st.sampled_from("0123456789"), max_size=12)


def country_by_scanning(digits: str) -> str:
    """Looks at every prefix of the plan and keeps the longest that the number begins with."""
    matches = [prefix for prefix in PLAN if digits.startswith(prefix)]
    return PLAN[max(matches, key=len)] if matches else ""


@given(st.one_of(DIGITS, st.builds(str.__add__, BEGINNINGS, DIGITS)))
def test_the_longest_prefix_decides_as_scanning_them_all_does(digits: str) -> None:
    assert country_by_scanning(digits) == country_of(digits)


@given(BEGINNINGS, DIGITS, st.data())
def test_cutting_a_plan_prefix_short_changes_nothing_beyond_it(prefix: str, rest: str, data: st.DataObject) -> None:
    longer = [other for other in PLAN if other != prefix and other.startswith(prefix)]
    number = prefix + rest
    if not any(number.startswith(other) for other in longer):
        assert PLAN[prefix] == country_of(number)
        cut = data.draw(st.integers(len(prefix), len(number)))
        assert PLAN[prefix] == country_of(number[:cut])
