"""Words for numbers of things."""

import pytest

from cli.words import counted, numbers_in_words, of_number


@pytest.mark.parametrize(("count", "words"), [(0, "0 events"), (1, "1 event"), (2, "2 events"), (1234, "1,234 events")])
def test_one_thing_is_not_said_as_many(count: int, words: str) -> None:
    assert words == counted(count, "event")


def test_a_plural_of_its_own_is_given() -> None:
    assert "2 are left" == f"2 {of_number(2, 'is', 'are')} left"
    assert ["1 loss", "2 losses"] == [counted(n, "loss", "losses") for n in (1, 2)]


def test_numbers_are_said_as_runs_and_a_run_of_one_is_one_number() -> None:
    assert ["INV-000001"] == numbers_in_words(["INV-000001"])
    assert ["INV-000999 to INV-001001", "INV-001003"] == numbers_in_words(
        ["INV-000999", "INV-001000", "INV-001001", "INV-001003"]
    )
    assert ["INV-000001", "T-000002"] == numbers_in_words(["INV-000001", "T-000002"])
    assert [] == numbers_in_words([])
