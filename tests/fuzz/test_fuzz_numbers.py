"""Numbers, quantities, times and zones from any text: a value within its bounds, or a named error."""

from contextlib import suppress
from decimal import Decimal

import pyarrow as pa
from hypothesis import strategies as st

from billing.sources.clocks import LATEST, Clock, parse_zone, read_times
from billing.sources.dialing import DialingPlan
from rates.checking.cells import WAYS, Way, check_price
from rates.dialects.dates import check_dates, date_pattern
from rates.dialects.values import Amounts, check_interval
from rates.money import format_fraction, normal, parse_decimal, parse_fraction, parse_price, plain
from rates.quantities import MAX_SECONDS, Increments, segments, whole_seconds
from rates.reading import parse_instant
from rates.steps import canonical_steps
from tests.fuzz.fuzzing import bounded, fuzz, tried
from tests.fuzz.mutations import TEXTS

NEAR = st.text("0123456789.-+,eE_ '/:TZ²٣\u00a0", max_size=30)
ANY = st.one_of(
    NEAR, st.text(max_size=40), st.sampled_from(TEXTS), st.tuples(NEAR, st.sampled_from(TEXTS)).map("".join)
)
PLAN = DialingPlan(country_code="33", trunk=("0",), international=("00",))


@fuzz(ANY, examples=150)
def test_a_number_is_exact_and_written_back_or_refused(text: str) -> None:
    for parse in (parse_decimal, parse_price):
        value, _ = tried(parse, text)
        if value is not None:
            assert value == parse(plain(value)) == parse(normal(value))
            assert text.isascii()
            assert Decimal(text) == value
    fraction, _ = tried(parse_fraction, text)
    assert fraction is None or fraction == parse_fraction(format_fraction(fraction))


@fuzz(ANY, examples=150)
def test_a_quantity_is_within_its_bounds_or_refused(text: str) -> None:
    seconds, _ = tried(whole_seconds, text)
    assert seconds is None or 0 <= seconds <= MAX_SECONDS
    increments, _ = tried(Increments.parse, text)
    assert increments is None or increments == Increments.parse(str(increments))
    assert bounded(segments, text).count >= 1


@fuzz(ANY, examples=150)
def test_a_cell_of_a_card_has_one_canonical_form_or_is_refused(text: str) -> None:
    for way in WAYS.values():
        found, _ = tried(canonical, way, text)
        assert found is None or found == canonical(way, found)


def canonical(way: Way, text: str) -> str:
    prepare, check = way
    values, doubtful = prepare(pa.array([text]))
    return check(text) if doubtful[0] else str(values[0])


@fuzz(ANY, examples=150)
def test_a_cell_of_a_deck_is_read_or_refused(text: str) -> None:
    amounts = [
        Amounts(decimal=decimal, group=group, currency="USD", scale=scale).check
        for decimal, group in ((".", ""), (",", "."), (".", ","), (",", " "))
        for scale in ("1", "0.01")
    ]
    others = [check_interval(""), check_interval("1"), canonical_steps]
    others += [check_dates(form, zone) for form in ("", "D/M/YYYY", "MM-DD-YY") for zone in ("UTC", "Europe/Paris")]
    others += [check_dates("D/M/YYYY", "Pacific/Kiritimati", inclusive=True)]
    for check in (*amounts, *others):
        found, _ = tried(check, text)
        assert found is None or found.isascii()
        assert found is None or check not in amounts or found == check_price(found)


@fuzz(st.dates().flatmap(lambda day: st.tuples(st.just(day), st.sampled_from(["", " 00:00", "T00:00:00Z"]))))
def test_a_date_in_a_deck_is_that_day(drawn: tuple[object, str]) -> None:
    day, time = drawn
    assert f"{day}T00:00:00Z" == check_dates("D/M/YYYY", "UTC")(f"{day}{time}")


@fuzz(ANY | st.text("YMDON/.- ", max_size=12))
def test_a_form_of_dates_is_understood_or_refused(text: str) -> None:
    tried(date_pattern, text)


@fuzz(ANY, examples=150)
def test_times_and_numbers_in_call_records_are_read_or_told_apart(text: str) -> None:
    for zone in (None, parse_zone("Europe/Paris"), parse_zone("+14:00")):
        found = bounded(read_times, pa.array([text]), zone)
        assert found.clock[0] != Clock.RIGHT or 0 <= found.micros[0] <= LATEST
    number = bounded(PLAN.numbers, pa.array([text]))[0].as_py()
    assert number == PLAN.numbers(pa.array([number]))[0].as_py() or not number.startswith("+")


@fuzz(ANY, examples=150)
def test_a_zone_or_an_instant_is_read_or_refused(text: str) -> None:
    for parse in (parse_zone, parse_instant):
        with suppress(ValueError):
            assert bounded(parse, text)
