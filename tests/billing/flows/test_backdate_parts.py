"""Changes from the past on, of cards that cut, clamp and round events: each part stays as it is charged."""

from datetime import UTC, datetime

import pytest

from billing.errors import PublicationBackdatedError
from billing.flows.correct import rerate_period
from billing.flows.fold import fold
from billing.flows.publish import Status, publish
from billing.flows.verify import verify
from billing.store.engine import transaction
from cli.world import product_tables
from rates.cardfile import card_from_table
from rates.cards import Card
from tests.shop import AT, OCTOBER, SOURCE, Shop, call, products

Table = dict[str, object]

RATE: Table = {"product": "voice.outbound", "unit": "minute", "increments": "1/1"}
STEPS: Table = {**RATE, "prefixes": ["44"], "steps": ["0:0.60", "60:0.30", "120:0.10"], "setup_fee": "0.05"}
LIMITED: Table = {**RATE, "prefixes": ["33"], "price": "0.60", "min_charge": "0.10", "max_charge": "1"}
PEAK: Table = {**RATE, "prefixes": ["49"], "price": "0.60", "window": "peak"}
REST: Table = {**RATE, "prefixes": ["49"], "price": "0.30"}
MISSING: Table = {**RATE, "prefixes": ["34"], "price": "0.90"}
WINDOWS: Table = {"peak": {"days": ["sun"], "from": "08:00", "to": "20:00", "split": True}}
CENTS: Table = {"per": "event", "decimals": 2, "mode": "half-up"}
NIGHTFALL = "2026-10-04T19:59:30Z"  # a Sunday

PARTS = """
    SELECT id, 0 AS part, element, prices.prices, billed, 1 AS events FROM events JOIN prices USING (price_id)
    UNION ALL
    SELECT id, part, element, prices.prices, billed, further.events
    FROM event_elements AS further JOIN prices USING (price_id)
    ORDER BY id, part
"""
VERSIONS = """
    SELECT DISTINCT card_version_id FROM rates JOIN (
        SELECT rate_id FROM events WHERE rate_id IS NOT NULL UNION SELECT rate_id FROM event_elements
    ) AS rated USING (rate_id)
"""


def listed(*rows: Table, day: int = 1, rounding: Table | None = None) -> Card:
    head: Table = {"id": "list", "currency": "USD", "effective_from": datetime(2026, 10, day, tzinfo=UTC)}
    head |= {"windows": WINDOWS} | ({"rounding": rounding} if rounding else {})
    found, faults = card_from_table({**head, "rate": list(rows)}, {}, products())
    assert found is not None, faults
    return found


def used(shop: Shop, to: str) -> None:
    shop.post(call(0, occurred_at=NIGHTFALL, to=to, duration_seconds="150"))


@pytest.mark.parametrize("rounding", [None, CENTS], ids=["per line", "per event"])
@pytest.mark.parametrize("events_at_once", [2, 50_000])
def test_parts_move_in_their_order_and_count_as_they_did(
    shop: Shop, rounding: Table | None, events_at_once: int
) -> None:
    shop.publish(listed(STEPS, LIMITED, PEAK, REST, rounding=rounding))
    shop.admit("acme")
    calls = [("+442079460000", "30"), ("+442079460000", "150"), ("+33123456789", "1"), ("+33123456789", "600")]
    calls += [("+33123456789", "60"), ("+4930123456", "90")]
    shop.post(
        *(
            call(number, occurred_at=NIGHTFALL, to=to, duration_seconds=seconds)
            for number, (to, seconds) in enumerate(calls)
        )
    )
    fold(shop.engine)
    before = shop.rows(PARTS)
    assert (5, 0) == (
        len(shop.rows("SELECT FROM events WHERE reason = 0")) - 1,
        len(shop.rows("SELECT FROM quarantine")),
    )
    # The missing row stands first, so that every row and every price has another number.
    again = listed(MISSING, REST, LIMITED, PEAK, STEPS, day=2, rounding=rounding)
    published = publish(shop.engine, again, products(), at=AT, actor="finance", events_at_once=events_at_once)
    assert (Status.PUBLISHED, 6) == (published.status, published.moved)
    assert before == shop.rows(PARTS)
    assert [(published.version.card_version_id,)] == shop.rows(VERSIONS)
    found = verify(shop.engine, products(), product_tables(), OCTOBER)
    assert (True, 0) == (found.agrees, found.unbalanced_totals)


OTHERWISE = {
    "a later bound": (
        STEPS,
        {"steps": ["0:0.60", "90:0.30", "120:0.10"]},
        "60 [+] 60 [+] 30 billed before, .*, 90 [+] 30 [+] 30",
    ),
    "a step less": (
        STEPS,
        {"steps": ["0:0.60", "60:0.30"]},
        "0.6 USD per minute and 0.3 USD per minute and setup .* with it",
    ),
    "no steps": (STEPS, {"steps": [], "price": "0.60"}, "0.6 USD per minute and setup 0.05 USD per event with it"),
    "a greater minimum": (LIMITED, {"min_charge": "2", "max_charge": "3"}, "minimum 2 USD per event with it"),
    "a smaller maximum": (LIMITED, {"max_charge": "0.9"}, "maximum 1 USD .* before, maximum 0.9 USD per event with it"),
    "no maximum": (LIMITED, {"max_charge": None}, "maximum 1 USD per event before, 0.6 USD per minute with it"),
    "no window": (PEAK, None, "0.6 USD per minute and 0.3 USD per minute before, 0.3 USD per minute with it"),
}


@pytest.mark.parametrize(("row", "change", "words"), OTHERWISE.values(), ids=OTHERWISE.keys())
def test_other_parts_or_limits_forbid_it_and_are_named(
    shop: Shop, row: Table, change: Table | None, words: str
) -> None:
    shop.publish(listed(row, *([REST] if row is PEAK else [])))
    shop.admit("acme")
    used(shop, f"+{row['prefixes'][0]}2079460000")  # type: ignore[index]
    before = shop.rows(PARTS), shop.totals()
    changed = {name: value for name, value in {**row, **(change or {})}.items() if value}
    mended = listed(REST if change is None else changed, MISSING, day=2)
    with pytest.raises(PublicationBackdatedError, match=f"the first is {SOURCE}/call-0 .*{words}"):
        publish(shop.engine, mended, products(), at=AT, actor="finance")
    assert before == (shop.rows(PARTS), shop.totals())


@pytest.mark.parametrize(
    ("change", "rounding", "words"),
    [
        ({"setup_fee": "0.07"}, CENTS, "1 USD after rounding before, .* 1.02 USD after rounding with it"),
        ({}, {**CENTS, "decimals": 3}, "another rounding"),
        ({}, {**CENTS, "mode": "up"}, "another rounding"),
        ({}, None, "1 USD after rounding before, .* setup 0.05 USD per event with it"),
    ],
)
def test_another_rounding_or_another_fee_in_it_forbids_it(
    shop: Shop, change: Table, rounding: Table | None, words: str
) -> None:
    shop.publish(listed(STEPS, rounding=CENTS))
    shop.admit("acme")
    used(shop, "+442079460000")
    with pytest.raises(PublicationBackdatedError, match=words):
        publish(shop.engine, listed({**STEPS, **change}, day=2, rounding=rounding), products(), at=AT, actor="finance")


def test_what_a_rounded_charge_hides_may_change(shop: Shop) -> None:
    """Each event stays charged as it is, to the cent to which its card rounds it."""
    shop.publish(listed(STEPS, rounding=CENTS))
    shop.admit("acme")
    used(shop, "+442079460000")
    mended = listed({**STEPS, "setup_fee": "0.051"}, day=2, rounding=CENTS)
    assert 1 == publish(shop.engine, mended, products(), at=AT, actor="finance").moved
    assert verify(shop.engine, products(), product_tables(), OCTOBER).agrees


def test_parts_are_told_apart_by_their_numbers_and_not_by_how_they_lie(shop: Shop) -> None:
    shop.publish(listed(STEPS))
    shop.admit("acme")
    shop.post(*(call(number, occurred_at=NIGHTFALL, duration_seconds="150") for number in range(2)))
    lie = "SELECT id, part FROM event_elements ORDER BY ctid"
    with transaction(shop.engine) as connection:
        connection.execute("CREATE TEMPORARY TABLE turned ON COMMIT DROP AS TABLE event_elements")
        connection.execute("DELETE FROM event_elements")
        connection.execute("INSERT INTO event_elements SELECT * FROM turned ORDER BY id, part DESC")
    assert [(f"call-{number}", part) for number in range(2) for part in (3, 2, 1)] == shop.rows(lie)
    found = rerate_period(shop.engine, products(), OCTOBER, at=AT, actor="ann", reason="looked through")
    assert (2, 0) == (found.events, found.rewritten)
