import pickle
from dataclasses import FrozenInstanceError

import pytest

from rates.errors import CardFaultyError, Fault, TollbookError, lines_of

DESTROYED = Fault(
    place="rates.csv:417 prefixes",
    value="4.95E+12",
    problem="a spreadsheet destroyed this prefix",
    remedy="format the column as text and export again",
)


def test_a_fault_says_where_what_stood_there_what_is_wrong_and_what_to_do() -> None:
    expected = (
        'rates.csv:417 prefixes "4.95E+12": a spreadsheet destroyed this prefix; '
        "format the column as text and export again"
    )
    assert expected == str(DESTROYED)


def test_a_fault_without_a_value_or_remedy_leaves_them_out() -> None:
    fault = Fault(place="card.toml: tiers.voice-us.up_to[1]", value="", problem="400000 is below 500000")
    assert "card.toml: tiers.voice-us.up_to[1]: 400000 is below 500000" == str(fault)


def test_a_hostile_value_stays_short_and_on_one_line() -> None:
    text = str(Fault(place="x.csv:1", value="\x1b[2J\n" + "9" * 500, problem="not a prefix"))
    assert text.isprintable()
    assert r"\x1b[2J\n" in text
    assert len(text) < 120


def test_a_fault_cannot_be_edited() -> None:
    with pytest.raises(FrozenInstanceError):
        DESTROYED.place = "elsewhere"  # type: ignore[misc]


def test_an_error_reads_like_a_fault_and_becomes_one_at_a_place() -> None:
    error = TollbookError("not a plain decimal", value="1,5", remedy="write 1.5")
    assert '"1,5": not a plain decimal; write 1.5' == str(error)
    expected = Fault(place="rates.csv:2 price", value="1,5", problem="not a plain decimal", remedy="write 1.5")
    assert expected == error.fault("rates.csv:2 price")


def test_an_error_keeps_its_own_place_when_none_is_given() -> None:
    assert "card.toml: id" == TollbookError("missing", place="card.toml: id").fault().place


def test_a_faulty_card_lists_every_fault() -> None:
    other = Fault(place="rates.csv:9 unit", value="mintue", problem="no such unit")
    error = CardFaultyError([DESTROYED, other], place="card.toml")
    assert (DESTROYED, other) == error.faults
    expected = f"card.toml: 2 faults; mend them and check the card again\n{DESTROYED}\n{other}"
    assert expected == str(error)


def test_faults_of_one_kind_are_said_together_and_counted_from_the_twenty_first_on() -> None:
    prices = [Fault(place=f"rates.csv:{n} price", value=f"{n}x", problem=f"is {n} times too dear") for n in range(1021)]
    said = lines_of([prices[0], DESTROYED, *prices[1:], Fault(place="", value="", problem="is faulty")])
    assert [*map(str, prices[:20]), "and 1,001 more of the same", str(DESTROYED), "is faulty"] == said
    assert lines_of(prices[:20]) == list(map(str, prices[:20]))
    error = CardFaultyError(prices, place="card.toml")
    assert 22 == len(str(error).splitlines())
    assert str(error).startswith("card.toml: 1,021 faults; ")
    assert 1021 == len(error.faults)


@pytest.mark.parametrize(
    "error",
    [
        TollbookError("missing", place="card.toml: id", value="v", remedy="name it"),
        CardFaultyError([DESTROYED], place="card.toml"),
    ],
)
def test_errors_survive_the_way_between_processes(error: TollbookError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(error) is type(again)
    assert (str(error), error.args) == (str(again), again.args)
