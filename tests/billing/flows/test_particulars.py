"""What few events say, through the store: several packages, brought charges, another way of delivery.

Everything that reads events back rates them alike: statement, explanation, verification, release.
"""

from dataclasses import replace

from billing.flows.compose import compose_statement
from billing.flows.correct import rerate_period
from billing.flows.explain import explain_event, explain_line
from billing.flows.ingest import Intake
from billing.flows.publish import publish
from billing.flows.release import release
from billing.flows.verify import verify
from cli.world import product_tables
from rates.money import Currency, format_minor
from tests.invoicing import CLOSED
from tests.shop import AT, OCTOBER, SOURCE, Shop, outcomes, payloads, products, read

HEAD = 'id = "list"\ncurrency = "USD"\neffective_from = 2026-10-01T00:00:00Z\n'
LOOKUP = '[[rate]]\nproduct = "lookup"\nunit = "request"\n'
CALLER = f'{LOOKUP}destination = "Caller name"\npackage = "caller_name"\nprice = "0.01"\n'
SWAP = f'{LOOKUP}destination = "SIM swap"\npackage = "sim_swap"\nprice = "0.02"\n'

Event = dict[str, object]


def lookup(number: int, *packages: object, **changes: object) -> Event:
    """A look-up of a British number."""
    event: Event = {"id": f"LU{number}", "account": "acme", "product": "lookup", "to": "+447700900123"}
    return event | {"occurred_at": f"2026-10-02T10:00:{number:02}Z", "packages": list(packages)} | changes


def open_shop(shop: Shop, text: str) -> None:
    shop.publish(read(text))
    shop.admit("acme")


def lines(shop: Shop) -> list[tuple[str, str, int, str]]:
    """The lines of the month; each adds up from its events, and the verifier makes the same of all that is stored."""
    found = compose_statement(shop.engine, products(), OCTOBER, CLOSED, "acme").lines
    assert all(explain_line(shop.engine, products(), OCTOBER, "acme", n).adds_up for n in range(1, len(found) + 1)), (
        "a line does not add up from its events"
    )
    verified = verify(shop.engine, products(), product_tables(), OCTOBER)
    assert () == verified.disagreements
    assert verified.agrees
    again = rerate_period(shop.engine, products(), OCTOBER, at=CLOSED, actor="ann", reason="why")
    assert 0 == again.rewritten, "what was said is read back as it was said"
    return [
        (each.destination, each.element, each.events, format_minor(each.amount_minor, Currency("USD")))
        for each in found
    ]


def test_each_package_of_a_look_up_is_on_its_line_once(shop: Shop) -> None:
    open_shop(shop, HEAD + CALLER + SWAP)
    receipt = shop.post(
        lookup(1, "caller_name", "sim_swap"),
        lookup(2, "sim_swap", {"name": "caller_name", "status": "failed"}),
        lookup(3, {"name": "caller_name", "status": "failed"}),
        at=CLOSED,
    )
    assert ["accepted"] * 3 == outcomes(receipt)
    assert [("Caller name", 1), ("SIM swap", 2)] == [(name, events) for name, _, events, _ in lines(shop)]
    event = explain_event(shop.engine, products(), SOURCE, "LU1")
    assert ["0.01", "0.02"] == [part.exact_amount for part in event.parts]
    event = explain_event(shop.engine, products(), SOURCE, "LU2")
    assert {"packages": "caller_name failed, sim_swap"} == event.said


def test_a_bound_is_crossed_on_a_day_of_look_ups_of_several_packages(shop: Shop) -> None:
    """Each package is usage of its own: the events of the day add up to its totals with all of them."""
    counter = '[tiers.all]\nup_to = ["3"]\nunit = "request"\nfill = [{product = "lookup"}]\n'
    tiers = 'tiers = "all"\nprices = ["0.01", "0.001"]\n'
    open_shop(shop, HEAD + counter + CALLER.replace('price = "0.01"\n', tiers) + SWAP)
    asked = [lookup(number, "caller_name", "sim_swap") for number in (1, 2, 3)]
    shop.post(*asked, lookup(4, "caller_name"), at=CLOSED)
    # In order of time, and in one request of its packages, by name: the counter has 3 when the second one is half done.
    assert [("Caller name", 2, "0.02"), ("Caller name", 2, "0.00"), ("SIM swap", 3, "0.06")] == [
        (name, events, amount) for name, _, events, amount in lines(shop)
    ]


def test_a_look_up_of_which_one_package_has_no_price_waits_as_a_whole_until_it_has(shop: Shop) -> None:
    open_shop(shop, HEAD + CALLER)
    assert ["quarantined"] == outcomes(shop.post(lookup(1, "caller_name", "sim_swap"), at=CLOSED))
    assert [] == lines(shop)
    shop.publish(read((HEAD + CALLER + SWAP).replace("2026-10-01", "2026-10-02")), at=AT)
    release(shop.engine, products(), at=AT, actor="finance")
    assert [("Caller name", 1), ("SIM swap", 1)] == [(name, events) for name, _, events, _ in lines(shop)]


LIMITED = f"""{LOOKUP}package = "a"
price = "0.016"
max_charge = "0.01"
{LOOKUP}package = "b"
price = "0.004"
setup_fee = "0.002"
{LOOKUP}package = "c"
price = "0.016"
"""


def test_a_look_up_is_explained_package_by_package_where_limits_stand_for_some(shop: Shop) -> None:
    open_shop(shop, HEAD + LIMITED)
    shop.post(lookup(1, "a", "b", "c"), lookup(2, "b", "c"), at=CLOSED)
    assert 4 == len(lines(shop))
    found = explain_event(shop.engine, products(), SOURCE, "LU1")
    assert [("usage", "0.004"), ("usage", "0.016"), ("maximum", "0.01"), ("setup", "0.002")] == [
        (part.element, part.exact_amount) for part in found.parts
    ]
    assert "0.016 is more than the maximum: 0.01" == found.parts[2].note


def test_each_package_that_is_rounded_by_itself_is_explained_by_itself(shop: Shop) -> None:
    """0.004 with 0.002 is 0.01, and 0.016 is 0.02: together 0.03, and not 0.022 rounded."""
    open_shop(shop, HEAD + '[rounding]\nper = "event"\ndecimals = 2\n' + LIMITED)
    shop.post(lookup(1, "a", "b", "c"), lookup(2, "b", "c"), at=CLOSED)
    assert 3 == len(lines(shop))
    for event in ("LU1", "LU2"):
        parts = explain_event(shop.engine, products(), SOURCE, event).parts[:2]
        assert ["0.01", "0.02"] == [part.exact_amount for part in parts]
        assert [
            "with setup 0.002; 0.006 rounded to 2 decimals, half-up: 0.01",
            "0.016 rounded to 2 decimals, half-up: 0.02",
        ] == [part.note for part in parts]


def test_packages_that_are_listed_the_other_way_round_are_the_same_look_up(shop: Shop) -> None:
    open_shop(shop, HEAD + CALLER + SWAP)
    shop.post(lookup(1, "caller_name", "sim_swap"), at=CLOSED)
    again = [lookup(1, {"name": "sim_swap"}, "caller_name"), lookup(1, "caller_name")]
    assert ["duplicate", "conflict"] == outcomes(shop.post(*again, at=CLOSED))


MESSAGES = """
[[rate]]
product = "mms.outbound"
unit = "message"
price = "0.02"

[[rate]]
product = "sms.outbound"
unit = "segment"
price = "0.01"
"""


def test_a_message_that_was_delivered_as_another_kind_is_billed_and_explained_as_that(shop: Shop) -> None:
    open_shop(shop, HEAD + MESSAGES)
    event: Event = {"account": "acme", "product": "mms.outbound", "to": "+447700900123"}
    event |= {"occurred_at": "2026-10-02T10:00:00Z"}
    receipt = shop.post(
        event | {"id": "MM1", "quantity": "1"},
        event | {"id": "MM2", "delivered_as": "sms", "segments": "3"},
        event | {"id": "MM3", "delivered_as": "sms", "text": "A picture for you: https://example.com/m/1"},
        event | {"id": "MM4", "delivered_as": "fax", "quantity": "1"},
        at=CLOSED,
    )
    assert ["accepted", "accepted", "accepted", "rejected"] == outcomes(receipt)
    assert [("", "usage", 1, "0.02"), ("", "usage", 2, "0.04")] == lines(shop)
    found = explain_event(shop.engine, products(), SOURCE, "MM2")
    assert ["0.03"] == [part.exact_amount for part in found.parts]
    assert "3 segment" in found.parts[0].arithmetic
    assert {"delivered_as": "sms"} == found.said


NOTE = """
[[rate]]
product = "sms.outbound"
unit = "event"
price = "0.05"

[[rate]]
product = "voice.outbound"
unit = "minute"
increments = "60/60"
price = "0.60"
max_charge = "1.00"
"""


def test_a_limit_on_what_was_delivered_as_another_product_is_explained_in_its_units(shop: Shop) -> None:
    """Two minutes at 0.60: 1.20, and not 72 for 120 units of something."""
    known = products()
    note = replace(
        known["mms.outbound"],
        id="note",
        rules=tuple(replace(rule, delivered_as={"call": "voice.outbound"}) for rule in known["mms.outbound"].rules),
    )
    known = {**known, "note": note}
    open_shop(shop, HEAD + NOTE)
    call = {"id": "N1", "account": "acme", "product": "note", "delivered_as": "call", "duration_seconds": "61"}
    event = {**call, "to": "+447700900123", "occurred_at": "2026-10-02T10:00:00Z", "status": ""}
    Intake(engine=shop.engine, products=known, source=SOURCE).ingest(payloads([event]), CLOSED)
    (part,) = explain_event(shop.engine, known, SOURCE, "N1").parts
    assert "1.2 is more than the maximum: 1" == part.note


CONTENT = """
[[rate]]
product = "sms.outbound"
unit = "segment"
price = "0.01"

[[rate]]
product = "sms.outbound"
element = "carrier_fee"
unit = "money"
price = "1"
"""


def test_a_charge_that_an_event_brings_is_on_its_line_and_explained(shop: Shop) -> None:
    open_shop(shop, HEAD + CONTENT)
    event: Event = {"account": "acme", "product": "sms.outbound", "to": "+447700900123", "segments": "1"}
    event |= {"occurred_at": "2026-10-02T10:00:00Z"}
    receipt = shop.post(
        event | {"id": "SM1", "charges": {"carrier_fee": "0.0250"}},
        event | {"id": "SM2", "charges": {"carrier_fee": {"price": "0.05", "max": "0.03"}}},
        event | {"id": "SM3"},
        event | {"id": "SM4", "charges": {"usage": "1"}},
        at=CLOSED,
    )
    assert ["accepted", "accepted", "accepted", "quarantined"] == outcomes(receipt)
    assert [("", "carrier_fee", 2, "0.06"), ("", "usage", 3, "0.03")] == lines(shop)
    again = shop.post(event | {"id": "SM1", "charges": {"carrier_fee": {"price": 0.025, "max": "1"}}}, at=CLOSED)
    assert ["duplicate"] == outcomes(again), "it is the same charge"
    found = explain_event(shop.engine, products(), SOURCE, "SM1")
    assert ["0.01", "0.025"] == [part.exact_amount for part in found.parts]
    assert "0.025 money × 1 = 0.025" == found.parts[1].arithmetic
    assert {"charges": "carrier_fee 0.025"} == found.said


def test_what_an_event_is_matched_on_is_explained_with_it(shop: Shop) -> None:
    """Without it nobody can check why a row was taken, or a fee waived."""
    open_shop(shop, HEAD + CONTENT)
    event: Event = {"account": "acme", "to": "+447700900123", "occurred_at": "2026-10-02T10:00:00Z"}
    shop.post(
        event
        | {"id": "SM1", "product": "sms.outbound", "segments": "1", "status": "failed", "error_code": "30008"}
        | {"mcc": "234", "mnc": "10", "number_type": "mobile"},
        event | {"id": "T1", "product": "taskrouter.task", "quantity": "1", "attributes": {"channel": "voice"}},
        at=CLOSED,
    )
    found = explain_event(shop.engine, products(), SOURCE, "SM1")
    assert {"mcc": "234", "mnc": "10", "number_type": "mobile", "error_code": "30008"} == found.said
    assert {"channel": "voice"} == explain_event(shop.engine, products(), SOURCE, "T1").said


def test_a_look_up_is_rated_again_by_a_dearer_card_package_by_package(shop: Shop) -> None:
    open_shop(shop, HEAD + CALLER + SWAP)
    shop.post(lookup(1, "caller_name", "sim_swap"), lookup(2, "sim_swap"), at=CLOSED)
    assert [("Caller name", "usage", 1, "0.01"), ("SIM swap", "usage", 2, "0.04")] == lines(shop)
    dearer = read((HEAD + CALLER + SWAP).replace("0.02", "0.10"))
    publish(shop.engine, dearer, products(), at=CLOSED, actor="ann", reason="wrong price")
    assert [("Caller name", "usage", 1, "0.01"), ("SIM swap", "usage", 2, "0.20")] == lines(shop)
