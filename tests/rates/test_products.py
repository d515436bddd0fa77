import tomllib
from datetime import UTC, datetime

import pytest

from rates.products import Product, read_product
from tests.shop import CATALOGUE, products

VOICE = """
id = "voice.outbound"
name = "Outbound voice"
base = "second"
units = {second = 1, minute = 60}
country_of = "to"
match = ["to", "from", "number_type"]
required = ["usage"]
measure = "duration_seconds"
[[rules]]
effective_from = 2020-01-01T00:00:00Z
billable = {status = ["", "completed"]}
increments = "60/60"
"""


def read(text: str) -> tuple[Product | None, list[str]]:
    product, faults = read_product(tomllib.loads(text), "p.toml")
    return product, [str(fault) for fault in faults]


def test_the_built_in_products_read_without_fault_and_are_named_by_their_files() -> None:
    found = {path.name: read(path.read_text()) for path in CATALOGUE.glob("*.toml")}
    assert [] == [faults for _, faults in found.values() if faults]
    assert {name: name for name in found} == {
        name: product and f"{product.id}.toml" for name, (product, _) in found.items()
    }
    assert {"sms.inbound", "sms.outbound", "voice.inbound", "voice.outbound"} <= set(products())


def test_voice_counts_seconds_and_rounds_up_to_the_minute_unless_a_row_says_otherwise() -> None:
    voice = products()["voice.outbound"]
    rule = voice.rule_at(datetime(2026, 10, 1, tzinfo=UTC))
    assert voice.timed
    assert 60 == voice.unit_size("minute")
    assert rule is not None
    assert "60/60" == str(rule.increments)


def test_a_leg_of_a_call_has_a_most_and_what_states_none_has_none() -> None:
    assert [172_800, 172_800] == [products()[name].most for name in ("voice.outbound", "voice.inbound")]
    assert {None} == {products()[name].most for name in ("sms.outbound", "sms.inbound")}


@pytest.mark.parametrize("name", ["voice.outbound", "voice.inbound", "sms.outbound", "sms.inbound"])
def test_a_source_that_reports_no_status_reports_what_it_completed(name: str) -> None:
    for rule in products()[name].rules:
        assert "" in rule.billable["status"]
        assert not rule.billable["status"] & rule.pending["status"]


def test_the_fee_for_failed_messages_begins_on_its_published_day() -> None:
    sms = products()["sms.outbound"]
    before, after = (
        sms.rule_at(datetime(2024, 9, 29, 23, 59, 59, tzinfo=UTC)),
        sms.rule_at(datetime(2024, 9, 30, tzinfo=UTC)),
    )
    assert before is not None
    assert after is not None
    assert () == before.fees
    assert ["failed_fee"] == [fee.element for fee in after.fees]
    exempt = after.fees[0].exempt["error_code"]
    assert {"30450", "21408", "30008", "30036", "63010"} <= exempt
    assert "30003" not in exempt


@pytest.mark.parametrize("name", ["sms.outbound", "mms.outbound"])
def test_what_bills_of_a_message_is_the_same_before_and_after_the_fee_began(name: str) -> None:
    before, after = products()[name].rules
    assert (before.billable, before.pending) == (after.billable, after.pending)


def test_a_fee_is_per_event_unless_it_says_so_too() -> None:
    fee = 'fees = [{element = "failed_fee", when = {status = ["failed"]}}]\n'
    plain, faults = read(VOICE + fee)
    assert [] == faults
    assert plain == read(VOICE + fee.replace("when", 'per = "event", when'))[0]


def test_conferences_are_rounded_to_the_minute_from_the_published_day_on() -> None:
    conference = products()["voice.conference"]
    instants = datetime(2022, 9, 30, 23, 59, 59, tzinfo=UTC), datetime(2022, 10, 1, tzinfo=UTC)
    rules = [conference.rule_at(instant) for instant in instants]
    assert [(1, 1), (60, 60)] == [(r.increments.first, r.increments.next) for r in rules if r and r.increments]


def test_a_gigabyte_of_relayed_traffic_is_what_the_unit_of_the_rate_says() -> None:
    relay = products()["turn.relay"]
    assert [10**9, 2**30] == [relay.unit_size(unit) for unit in ("gb", "gib")]


def test_an_event_counts_itself_and_an_undeclared_unit_has_no_size() -> None:
    voice, _ = read(VOICE)
    assert voice is not None
    assert 1 == voice.unit_size("event")
    assert None is voice.unit_size("hour")


def test_dimensions_are_what_is_matched_beside_the_two_numbers() -> None:
    voice, _ = read(VOICE)
    assert voice is not None
    assert ("number_type",) == voice.dimensions


def test_rules_are_in_force_from_their_instant_whatever_their_order_in_the_file() -> None:
    older = '[[rules]]\neffective_from = 2019-01-01T00:00:00Z\nincrements = "6/6"\n'
    voice, faults = read(VOICE + older)
    assert [] == faults
    assert voice is not None
    assert None is voice.rule_at(datetime(2018, 12, 31, tzinfo=UTC))
    found = [voice.rule_at(datetime(year, 1, 1, tzinfo=UTC)) for year in (2019, 2020, 2026)]
    assert ["6/6", "60/60", "60/60"] == [str(rule.increments) for rule in found if rule]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('id = "voice.outbound"', "", "p.toml: id: is missing"),
        ("second = 1", "second = 2", "p.toml: units: does not say second = 1"),
        ("minute = 60", "minute = 0", "p.toml: units.minute"),
        ('measure = "duration_seconds"', 'measure = "duration_seconds"\nmost = 0', 'most "0": is below 1'),
        ('measure = "duration_seconds"', 'measure = "duration_seconds"\nmost = "2"', 'most "2": is not a whole number'),
        ('measure = "duration_seconds"', 'measure = "duration_seconds"\nmots = 2', "did you mean most?"),
        ('country_of = "to"', 'country_of = "callee"', 'p.toml: country_of "callee": is not known here'),
        ('measure = "duration_seconds"', 'measure = "seconds"', 'p.toml: measure "seconds": is not known here'),
        ("required", "requires", "p.toml: requires: is not a key of this table; did you mean required?"),
        ('increments = "60/60"', 'increments = "60"', 'p.toml: rules[0].increments "60": not increments'),
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00", "p.toml: rules[0].effective_from"),
        ('"number_type"]', '"mnc"]', "p.toml: match: has mnc without mcc"),
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z\n[[rules]]", "p.toml: rules[1].effective_from: is missing"),
        (
            "2020-01-01T00:00:00Z",
            "2020-01-01T00:00:00Z\n[[rules]]\neffective_from = 2020-01-01",
            "p.toml: rules: has two rules from one instant",
        ),
        ('"voice.outbound"', '"voice.*"', 'p.toml: id "voice.*": has a space or a sign in it that selectors read'),
        ('"number_type"]', '"to"]', "p.toml: match: names a dimension twice"),
        ('base = "second"', 'base = "minute"', 'measure "duration_seconds": is in seconds, and the base is minute'),
        ('measure = "duration_seconds"', 'measure = "bytes"', 'measure "bytes": is in bytes, and the base is second'),
        ("billable = {status", "billable = {statuss", "p.toml: rules[0].billable.statuss: is no field of its events"),
        (
            "2020-01-01T00:00:00Z",
            '2020-01-01T00:00:00Z\npending = {status = ["ringing", "completed"]}',
            "p.toml: rules[0].pending.status: has 'completed', which is billable too; keep it in one of them",
        ),
    ],
)
def test_a_fault_is_named_with_its_place(old: str, new: str, fault: str) -> None:
    product, faults = read(VOICE.replace(old, new, 1))
    assert None is product
    assert fault in "\n".join(faults)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"units": {"byte-day": 1, "byte": 7}}, 'average "byte": is a unit whose size is stated; give the month\'s'),
        ({"base": "second", "units": {"second": 1}}, 'average "byte": stands beside seconds, which have increments'),
    ],
)
def test_a_faulty_average_is_refused(change: dict[str, object], fault: str) -> None:
    rules = [{"effective_from": "1970-01-01T00:00:00Z"}]
    table = {
        "id": "kept",
        "name": "Kept",
        "base": "byte-day",
        "units": {"byte-day": 1},
        "average": "byte",
        "rules": rules,
    }
    assert read_product(table, "kept.toml")[0] is not None
    found, faults = read_product({**table, **change}, "kept.toml")
    assert (None, True) == (found, any(fault in str(each) for each in faults)), faults
