import numpy as np
import pytest

from rates.quantities import (
    MAX_SECONDS,
    Encoding,
    Increments,
    IncrementsInvalidError,
    QuantityInvalidError,
    QuantityOverflowError,
    Segments,
    billable_column,
    require_headroom,
    segments,
    whole_seconds,
)


@pytest.mark.parametrize(
    ("increments", "seconds", "billable"),
    [
        ("60/60", 0, 0),
        ("60/60", 1, 60),
        ("60/60", 60, 60),
        ("60/60", 61, 120),
        ("1/1", 61, 61),
        ("6/6", 1, 6),
        ("6/6", 7, 12),
        ("30/6", 30, 30),
        ("30/6", 31, 36),
        ("120/60", 119, 120),
        ("120/60", 181, 240),
        ("1/60", 1, 1),
        ("1/60", 2, 61),
    ],
)
def test_a_leg_is_billed_at_least_first_then_in_whole_steps(increments: str, seconds: int, billable: int) -> None:
    assert billable == Increments.parse(increments).billable(seconds)


@pytest.mark.parametrize(("seconds", "billable"), [(0, 0), (5, 0), (6, 60), (61, 120)])
def test_a_leg_shorter_than_the_grace_is_free_and_a_longer_one_is_billed_whole(seconds: int, billable: int) -> None:
    assert billable == Increments(first=60, next=60).billable(seconds, grace=6)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "60",
        "60/",
        "/60",
        "0/0",
        "0/1",
        "60/0",
        "-1/1",
        "60/60/60",
        "60 / 60",
        "1.5/1",
        "٦/٦",
        "9999999999/1",
    ],
)
def test_increments_that_are_not_two_positive_whole_numbers_are_refused(text: str) -> None:
    with pytest.raises(IncrementsInvalidError) as caught:
        Increments.parse(text)
    assert text == caught.value.value


def test_increments_are_written_as_they_are_read() -> None:
    assert "30/6" == str(Increments.parse("30/6"))


@pytest.mark.parametrize(("seconds", "grace"), [(-1, 0), (1, -1)])
def test_a_negative_duration_is_refused(seconds: int, grace: int) -> None:
    with pytest.raises(QuantityInvalidError):
        Increments(first=60, next=60).billable(seconds, grace)


def column(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


def test_a_column_of_legs_is_billed_like_each_of_them() -> None:
    billed = billable_column(column(0, 1, 61, 31), column(60, 60, 60, 30), column(60, 60, 60, 6))
    assert [0, 60, 120, 36] == billed.tolist()
    assert np.int64 == billed.dtype


def test_a_column_takes_one_pair_of_increments_for_all_and_a_grace() -> None:
    billed = billable_column(column(0, 5, 6, 61), column(60), column(60), column(6))
    assert [0, 0, 60, 120] == billed.tolist()


def test_a_column_without_legs_stays_empty() -> None:
    assert [] == billable_column(column(), column(), column()).tolist()


@pytest.mark.parametrize(
    ("measured", "first", "next_"),
    [
        (column(-1), column(1), column(1)),
        (column(1), column(0), column(1)),
        (column(1), column(1), column(0)),
    ],
)
def test_a_column_with_an_impossible_value_is_refused(
    measured: np.ndarray[tuple[int], np.dtype[np.int64]],
    first: np.ndarray[tuple[int], np.dtype[np.int64]],
    next_: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> None:
    with pytest.raises(QuantityInvalidError):
        billable_column(measured, first, next_)


def test_a_column_that_could_leave_64_bits_is_refused_before_it_wraps_around() -> None:
    most = 2**63 - 1
    assert [most - 60] == billable_column(column(most - 60), column(1), column(1)).tolist()
    with pytest.raises(QuantityOverflowError, match="beyond 64 bits"):
        billable_column(column(most - 59), column(60), column(60))


def test_the_largest_int64_still_has_headroom() -> None:
    require_headroom(2**63 - 1, "bytes")
    with pytest.raises(QuantityOverflowError, match="bytes could reach 9223372036854775808"):
        require_headroom(2**63, "bytes")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("61", 61),
        ("61.0", 61),
        ("61.2", 62),
        ("0.000001", 1),
        ("61.199999999999996", 62),
        ("-0", 0),
        (str(MAX_SECONDS), MAX_SECONDS),
    ],
)
def test_a_fraction_of_a_second_rounds_up_first(text: str, seconds: int) -> None:
    assert seconds == whole_seconds(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("-1", "a negative duration"),
        ("-0.5", "a negative duration"),
        ("1e3", "an exponent"),
        ("NaN", "not a finite number"),
        ("", "nothing stands here"),
        ("1:01", "not a plain decimal"),
        (f"{MAX_SECONDS}.1", "a duration of more than ten years"),
        ("1790000000000", "a duration of more than ten years"),
    ],
)
def test_a_duration_that_cannot_be_is_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(QuantityInvalidError) as caught:
        whole_seconds(text)
    assert (problem, text) == (caught.value.problem, caught.value.value)


GSM_7, UCS_2 = Encoding.GSM_7, Encoding.UCS_2


@pytest.mark.parametrize(
    ("text", "count", "encoding"),
    [
        ("", 1, GSM_7),
        ("a" * 160, 1, GSM_7),
        ("a" * 161, 2, GSM_7),
        ("a" * 306, 2, GSM_7),
        ("a" * 307, 3, GSM_7),
        ("€" * 80, 1, GSM_7),
        ("€" * 81, 2, GSM_7),
        ("a" * 152 + "€" * 77, 3, GSM_7),
        ("a" * 153 + "€" * 76, 2, GSM_7),
        ("a" * 152 + "€" * 76, 2, GSM_7),
        ("Ç" * 160, 1, GSM_7),
        ("ç" * 70, 1, UCS_2),
        ("ç" * 71, 2, UCS_2),
        ("ç" * 134, 2, UCS_2),
        ("ç" * 135, 3, UCS_2),
        ("a" * 149 + "ç", 3, UCS_2),
        ("😀" * 35, 1, UCS_2),
        ("😀" * 36, 2, UCS_2),
        ("😀" * 66, 2, UCS_2),
        ("😀" * 67, 3, UCS_2),
        ("“" + "a" * 65 + "😀" * 3, 2, UCS_2),
        ("ç" * 66 + "😀" * 33 + "ç", 2, UCS_2),
        ("ç" * 66 + "😀" * 34, 3, UCS_2),
    ],
)
def test_a_text_takes_as_many_segments_as_published(text: str, count: int, encoding: Encoding) -> None:
    """160/153 and 70/67: the limits Twilio and Telnyx publish; 150 characters, one outside GSM-7: 3."""
    assert Segments(count=count, encoding=encoding) == segments(text)


@pytest.mark.parametrize("character", list("\f^{}\\[~]|€"))
def test_an_extension_character_costs_two_septets(character: str) -> None:
    assert Segments(count=1, encoding=GSM_7) == segments(character + "a" * 158)
    assert Segments(count=2, encoding=GSM_7) == segments(character + "a" * 159)


@pytest.mark.parametrize("character", list("`\tç\u03b1’\x1b\u00a0"))
def test_a_character_outside_the_default_alphabet_needs_ucs_2(character: str) -> None:
    assert UCS_2 is segments("a" + character).encoding


def test_the_default_alphabet_has_127_characters_and_the_escape() -> None:
    basic = [chr(n) for n in range(0x10000) if segments(chr(n) + "a" * 159) == Segments(count=1, encoding=GSM_7)]
    assert 127 == len(basic)


def test_two_surrogate_halves_are_one_character_and_a_lone_one_is_a_code_unit() -> None:
    assert segments("ç" * 66 + "😀" * 34) == segments("ç" * 66 + "\ud83d\ude00" * 34)
    assert Segments(count=1, encoding=UCS_2) == segments("\ud83d" * 70)
    assert Segments(count=2, encoding=UCS_2) == segments("\ud83d" * 71)
