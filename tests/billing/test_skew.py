"""Two clocks: how far apart they are, and from when that is told."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.skew import skew, skew_warning, tenths

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=8)


def test_how_long_the_question_took_is_no_skew() -> None:
    assert timedelta(0) == skew(NOON + timedelta(seconds=7), NOON, LATER)


@pytest.mark.parametrize(("seconds", "apart"), [(-6, -6), (15, 7)])
def test_what_lies_beyond_the_question_is_skew(seconds: int, apart: int) -> None:
    assert timedelta(seconds=apart) == skew(NOON + timedelta(seconds=seconds), NOON, LATER)


def test_five_seconds_are_told_to_nobody_and_more_is() -> None:
    assert "" == skew_warning(timedelta(seconds=5))
    assert "is 5.1 s ahead of this machine's" in skew_warning(timedelta(seconds=5.1))
    assert "is 60.0 s behind this machine's" in skew_warning(timedelta(seconds=-60))


@pytest.mark.parametrize(("seconds", "text"), [(0, "0.0"), (-0.01, "0.0"), (-7.25, "-7.2"), (61.99, "61.9")])
def test_a_time_is_told_in_tenths(seconds: float, text: str) -> None:
    assert text == tenths(timedelta(seconds=seconds))
