"""Charges: read with every fault at its place, and due on the days that a published rule says."""

import json
from datetime import UTC, datetime

import pytest

from billing.accounts import Account, AccountId, Suspension
from billing.charges import (
    SOURCE,
    Charge,
    Every,
    Timing,
    dues,
    ended,
    events_of,
    next_due,
    payload_of,
    posted_at,
    read_charge,
    suspensions_of,
)
from billing.periods import Period
from billing.usage import parse
from rates.errors import Fault
from tests.shop import products

TABLE: dict[str, object] = {
    "id": "num-1",
    "account": "acme",
    "product": "number.monthly",
    "effective_from": "2026-01-31T09:00:00Z",
    "every": "month",
    "dimensions": {"country": "US", "number_type": "local"},
}


def day(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}T09:00:00+00:00")


def charge(**changes: object) -> Charge:
    found, faults = read_charge({**TABLE, **changes}, "charge.toml", products())
    assert found is not None, faults
    return found


def refused(**changes: object) -> Fault:
    """The one fault of the charge with some keys changed, or left out where they are None."""
    table = {key: value for key, value in {**TABLE, **changes}.items() if value is not None}
    found, (fault,) = read_charge(table, "charge.toml", products())
    assert found is None
    return fault


def days(of: Charge, until: str) -> list[str]:
    return [f"{due.at:%Y-%m-%d}" for due in dues(of, day(until))]


def test_what_is_left_out_has_its_default() -> None:
    found = charge()
    assert (Every.MONTH, Timing.ADVANCE, False, 0, 1) == (
        found.every,
        found.timing,
        found.drift,
        found.lead_days,
        found.quantity,
    )


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * 181}, "id"),
        ({"id": " num-1"}, "id"),
        ({"account": None}, "account"),
        ({"product": "number.weekly"}, "product"),
        ({"effective_from": "2026-01-31T09:00:00"}, "effective_from"),
        ({"effective_from": "1969-12-31T00:00:00Z"}, "effective_from"),
        ({"effective_to": "2026-01-31T09:00:00Z"}, "effective_to"),
        ({"every": "week"}, "every"),
        ({"every": None}, "every"),
        ({"timing": "later"}, "timing"),
        ({"drift": "yes"}, "drift"),
        ({"lead_days": -1}, "lead_days"),
        ({"lead_days": 28}, "lead_days"),
        ({"every": "quarter", "lead_days": 89}, "lead_days"),
        ({"every": "year", "lead_days": 365}, "lead_days"),
        ({"timing": "arrears", "lead_days": 1}, "lead_days"),
        ({"every": "once", "lead_days": 1}, "lead_days"),
        ({"every": "once", "drift": True}, "drift"),
        ({"every": "once", "timing": "arrears"}, "timing"),
        ({"every": "once", "effective_to": "2027-01-31T09:00:00Z"}, "effective_to"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": "1"}, "quantity"),
        ({"quantity": 10**13}, "quantity"),
        ({"product": "trunk.cps", "quantity": 10_001, "dimensions": {}}, "quantity"),
        ({"product": "lookup", "dimensions": {"package": "caller_name"}}, "package"),
        ({"dimensions": {"country": "Utopia"}}, "dimensions.country"),
        ({"dimensions": {"region": "us1"}}, "dimensions.region"),
        ({"dimensions": {"country": 1}}, "dimensions.country"),
        ({"dimensions": "US"}, "dimensions"),
        ({"price": "1.15"}, "price"),
    ],
)
def test_a_faulty_charge_is_refused_at_its_key(changes: dict[str, object], place: str) -> None:
    assert refused(**changes).place.endswith(place)
    assert refused(**changes).place.startswith("charge.toml: ")


def test_a_missing_day_moves_the_anchor_for_good_with_drift_and_comes_back_without() -> None:
    assert ["2026-01-31", "2026-02-28", "2026-03-28", "2026-04-28"] == days(charge(drift=True), "2026-04-30")
    assert ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"] == days(charge(), "2026-04-30")


def test_29_february_is_28_until_the_next_leap_year_and_with_drift_for_good() -> None:
    leap = charge(effective_from="2024-02-29T09:00:00Z", every="year")
    assert ["02-29", "02-28", "02-28", "02-28", "02-29"] == [each[5:] for each in days(leap, "2028-02-29")]
    drifting = charge(effective_from="2024-02-29T09:00:00Z", every="year", drift=True)
    assert ["02-29", "02-28", "02-28", "02-28", "02-28"] == [each[5:] for each in days(drifting, "2028-02-29")]


def test_renewals_are_due_sooner_and_the_first_payment_at_once() -> None:
    lease = charge(effective_from="2026-01-20T09:00:00Z", every="quarter", lead_days=14)
    assert ["2026-01-20", "2026-04-06", "2026-07-06", "2026-10-06"] == days(lease, "2026-12-31")


def test_in_arrears_a_term_is_due_at_its_end() -> None:
    assert ["2026-02-28", "2026-03-31"] == days(charge(timing="arrears"), "2026-04-15")


def test_a_term_that_begins_before_the_end_is_charged_in_full_and_the_next_one_is_not() -> None:
    assert ["2026-01-31", "2026-02-28"] == days(charge(effective_to="2026-03-31T09:00:00Z"), "2026-12-31")
    assert ["2026-02-28", "2026-03-31"] == days(
        charge(effective_to="2026-03-01T00:00:00Z", timing="arrears"), "2026-12-31"
    )


def test_a_renewal_that_would_begin_at_the_end_is_not_paid_ahead() -> None:
    lease = charge(effective_from="2026-01-20T09:00:00Z", every="quarter", lead_days=14)
    assert ["2026-01-20"] == days(ended(lease, day("2026-04-20")), "2026-12-31")


def test_once_is_once() -> None:
    assert ["2026-01-31"] == days(charge(every="once"), "2040-01-01")
    assert [] == days(ended(charge(every="once"), day("2026-01-31")), "2040-01-01"), "it was called off before"


def test_nothing_is_due_before_the_beginning() -> None:
    assert [] == days(charge(), "2026-01-30")
    assert [] == days(charge(every="once"), "2026-01-30")


def test_what_falls_into_a_suspension_is_due_at_its_end_with_the_same_number() -> None:
    suspended = [Suspension(day("2026-02-01"), day("2026-04-02")), Suspension(day("2026-05-01"))]
    found = [(due.number, f"{due.at:%m-%d}") for due in dues(charge(), day("2026-12-31"), suspended)]
    assert [(1, "01-31"), (2, "04-02"), (3, "04-02"), (4, "04-30")] == found


def test_what_is_due_at_the_instant_of_a_suspension_waits_and_at_that_of_the_end_does_not() -> None:
    assert day("2026-03-01") == posted_at(day("2026-02-01"), [Suspension(day("2026-02-01"), day("2026-03-01"))])
    assert day("2026-03-01") == posted_at(day("2026-03-01"), [Suspension(day("2026-02-01"), day("2026-03-01"))])


def test_a_charge_waits_while_whoever_pays_for_it_is_suspended() -> None:
    told = (Suspension(day("2026-02-01")),)
    accounts = {
        "acme": Account(id=AccountId("acme"), currency="USD", suspended=told),
        "acme-sales": Account(id=AccountId("acme-sales"), parent="acme", pays=False),
        "acme-labs": Account(id=AccountId("acme-labs"), parent="acme", currency="USD"),
    }
    assert told == suspensions_of(charge(), accounts)
    assert told == suspensions_of(charge(account="acme-sales"), accounts)
    assert () == suspensions_of(charge(account="acme-labs"), accounts)
    assert () == suspensions_of(charge(account="nobody"), accounts)


def test_what_is_next_is_after_what_is_due() -> None:
    found = next_due(charge(), day("2026-02-28"))
    assert found is not None
    assert (3, day("2026-03-31")) == (found.number, found.at)
    assert next_due(charge(effective_to="2026-02-01T00:00:00Z"), day("2026-02-01")) is None
    assert next_due(charge(every="once"), day("2026-02-28")) is None
    assert next_due(charge(every="once"), day("2026-01-01")) is not None


def test_an_event_of_a_charge_is_an_ordinary_one() -> None:
    lease = charge(
        product="shortcode.lease", every="quarter", quantity=2, dimensions={"country": "US", "code_type": "vanity"}
    )
    (due,) = dues(lease, day("2026-01-31"))
    parsed = parse([payload_of(due)], source=None, products=products(), at=datetime(2026, 2, 1, tzinfo=UTC))
    assert () == parsed.rejects
    usage = parsed.usage
    assert ["num-1/1"] == usage.id.to_pylist()
    assert SOURCE in usage.source.values
    assert [2] == usage.measured.tolist()
    assert "US" in usage.texts["country"].values
    assert "vanity" in usage.texts["code_type"].values


def test_the_events_of_a_period_are_those_that_are_due_in_it() -> None:
    found = events_of([charge(), charge(id="num-2", every="once")], {}, Period.parse("2026-02"))
    assert ["num-1/2"] == [json.loads(each)["id"] for each in found]
    midnight = charge(effective_from="2026-02-01T00:00:00Z")
    assert [] == events_of([midnight], {}, Period.parse("2026-01"))
    assert 1 == len(events_of([midnight], {}, Period.parse("2026-02")))


def test_beyond_the_calendar_nothing_is_due() -> None:
    last = charge(effective_from="9998-11-30T00:00:00Z", every="quarter", lead_days=3)
    until = datetime(9999, 12, 30, tzinfo=UTC)
    assert ["9998-11-30"] == [f"{due.at:%Y-%m-%d}" for due in dues(last, until)][:1]
