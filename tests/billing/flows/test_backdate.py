"""Changes of the books from the past on: what was rated stays charged as it is, and what waited can be priced."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from billing.chunks import Chunk
from billing.contracts import Contract
from billing.errors import PublicationBackdatedError, PublicationConflictError
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.fold import fold
from billing.flows.ingest import import_usage
from billing.flows.publish import Changed, Published, Status, add_accounts, add_contracts, publish
from billing.flows.release import Released, release
from billing.flows.verify import verify
from billing.receipts import Outcome
from billing.runs import GRACE, PeriodLockedError
from billing.store.drafts import lock_period
from billing.store.engine import open_engine, transaction
from cli.world import product_tables
from rates.cardfile import card_from_table
from rates.cards import Card
from rates.rating import Reason
from tests.shop import AT, OCTOBER, SOURCE, Shop, account, call, card, outcomes, payloads, products

GB = "voice.outbound,44,minute,60/60,0.02,0.05"
FR = "voice.outbound,33,minute,60/60,0.03,"
PARIS = "+33123456789"
CLOSED = OCTOBER.closes + GRACE

RATES = """
    SELECT id, rate_id, price_id, billed, reason, country FROM events
    UNION ALL SELECT id, rate_id, price_id, billed, 0, country FROM event_elements ORDER BY id, price_id
"""


def let_out(shop: Shop) -> Released:
    return release(shop.engine, products(), at=AT, actor="finance")


def published(shop: Shop, of: Card, *, dry_run: bool = False, events_at_once: int = 50_000) -> Published:
    return publish(shop.engine, of, products(), at=AT, actor="finance", dry_run=dry_run, events_at_once=events_at_once)


def agrees(shop: Shop) -> None:
    let_out(shop)
    found = verify(shop.engine, products(), product_tables(), OCTOBER)
    assert () == found.disagreements
    assert 0 == found.unbalanced_totals


def begin(shop: Shop, day: int, *cards: str, name: str = "acme", dry_run: bool = False) -> Changed:
    contract = Contract(account=name, effective_from=date(2026, 10, day), cards=cards)
    return add_contracts(shop.engine, [contract], products(), at=AT, actor="finance", dry_run=dry_run)


@pytest.fixture
def gap(shop: Shop) -> Shop:
    """Three calls that are priced, one that costs nothing, and one to France that waits, by a card with a setup fee."""
    shop.publish(card(GB))
    shop.admit("acme", "bolt")
    days = ["2026-10-02T10:00:00Z", "2026-10-04T10:00:00Z", "2026-10-06T10:00:00Z"]
    shop.post(*(call(number, occurred_at=at) for number, at in enumerate(days)))
    shop.post(call(3, occurred_at=days[1], status="busy"), call(4, occurred_at=days[1], to=PARIS))
    return shop


def test_a_missing_row_is_added_from_the_past_and_what_waited_for_it_is_let_out(gap: Shop) -> None:
    fold(gap.engine)
    published = gap.publish(card(f"{GB}\n{FR}", since="2026-10-03"))
    assert (Status.PUBLISHED, 2) == (published.status, published.moved)
    base, rates = published.version.price_base, published.version.rate_base
    assert [
        ("call-0", 1, 1, 120, 0, "GB"),
        ("call-0", 1, 2, 120 // 120, 0, "GB"),
        ("call-1", rates, base, 120, 0, "GB"),
        ("call-1", rates, base + 2, 1, 0, "GB"),
        ("call-2", rates, base, 120, 0, "GB"),
        ("call-2", rates, base + 2, 1, 0, "GB"),
        ("call-3", None, None, 0, 2, ""),
    ] == gap.rows(RATES)
    assert {Reason.NO_RATE: 1} == let_out(gap).released
    agrees(gap)
    assert [("call-4", rates + 1, base + 1, 120)] == gap.rows(
        "SELECT id, rate_id, price_id, billed FROM events WHERE id = 'call-4'"
    )


def test_what_moves_is_in_the_audit_log(gap: Shop) -> None:
    gap.publish(card(f"{GB}\n{FR}", since="2026-10-03"))
    assert [(0,), (2,)] == gap.rows(
        "SELECT (details ->> 'moved')::integer FROM audit_log WHERE action = 'publish' ORDER BY entry"
    )


OTHERWISE = {
    "another price": (GB.replace("0.02", "0.021"), "0.02 USD per minute and setup 0.05 USD per event before, 0.021"),
    "another setup fee": (GB.replace("0.05", "0.06"), "setup 0.06 USD per event with it"),
    "no setup fee": (GB.removesuffix(",0.05"), "0.02 USD per minute with it"),
    "other increments": (GB.replace("60/60", "90/1"), "120 billed before, .* 90 billed with it"),
    "another unit": (GB.replace("minute", "second"), "0.02 USD per second"),
    "no row": (FR, r"nothing \(no_rate\) with it"),
}


@pytest.mark.parametrize(("rates", "words"), OTHERWISE.values(), ids=OTHERWISE.keys())
@pytest.mark.parametrize("events_at_once", [1, 50_000])
def test_what_would_be_charged_otherwise_forbids_it_and_is_named(
    gap: Shop, rates: str, words: str, events_at_once: int
) -> None:
    before = gap.rows(RATES), gap.totals()
    refused = rf"card list .*: 2 rated events would be charged otherwise; the first is {SOURCE}/call-1 of 2026-10-04.*"
    with pytest.raises(PublicationBackdatedError, match=f"{refused}{words}.*such as 2026-10-07T00:00:00Z$"):
        published(gap, card(rates, since="2026-10-03"), events_at_once=events_at_once)
    assert before == (gap.rows(RATES), gap.totals())
    assert [(1,)] == gap.rows("SELECT count(*) FROM card_versions")
    assert Status.PUBLISHED == gap.publish(card(rates, since="2026-10-07")).status


def table(
    *, bounds: str = "3", fill: str = "voice.outbound", destination: str = "", **more: object
) -> dict[str, object]:
    """A card whose calls to Britain count, and those to France if it says so."""
    schedule = {"up_to": [bounds], "unit": "minute", "fill": [{"product": [fill], "country": ["GB"]}]}
    rate = {"product": "voice.outbound", "unit": "minute", "increments": "60/60", "destination": destination}
    rows = [{**rate, "prefixes": ["44"], "tiers": "t", "prices": ["0.02", "0.01"]}]
    return {"id": "list", "currency": "USD", "tiers": {"t": schedule}, "rate": rows, **more}


def from_table(day: int, of: dict[str, object]) -> Card:
    found, faults = card_from_table({"effective_from": datetime(2026, 10, day, tzinfo=UTC), **of}, {}, products())
    assert found is not None, faults
    return found


POOL = {"free": "1", "unit": "minute", "fill": [{"product": ["voice.outbound"]}]}
FLAT = {"up_to": ["3"], "unit": "minute", "fill": [{"product": ["voice.outbound"]}], "flats": ["1", "2"]}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (table(bounds="4"), "schedules and pools would count otherwise, and acme has rated usage of 2026-10-04"),
        (table(destination="Britain"), "with another destination"),
        (table(pools={"p": POOL}), "would count otherwise.* 2026-10-04.*such as 2026-10-05T00:00:00Z$"),
    ],
)
def test_the_whole_meaning_of_a_price_is_compared(shop: Shop, changed: dict[str, object], words: str) -> None:
    shop.publish(from_table(1, table()))
    shop.admit("acme")
    shop.post(call(1, occurred_at="2026-10-04T10:00:00Z"))
    with pytest.raises(PublicationBackdatedError, match=words):
        shop.publish(from_table(2, changed))
    assert 1 == shop.publish(from_table(2, table(effective_from=datetime(2026, 10, 3, tzinfo=UTC)))).moved
    agrees(shop)


def test_counters_go_on_where_a_tier_is_crossed_in_the_stretch_that_moves(shop: Shop) -> None:
    shop.publish(from_table(1, table()))
    shop.admit("acme")
    shop.post(*(call(n, occurred_at=f"2026-10-0{n + 2}T10:00:00Z") for n in range(4)), call(5, to=PARIS))
    france = {"product": "voice.outbound", "unit": "minute", "increments": "60/60", "prefixes": ["33"], "price": "0.5"}
    rows = [*table()["rate"], france]  # type: ignore[misc]
    before = verify(shop.engine, products(), product_tables(), OCTOBER)
    shop.publish(from_table(1, table(rate=rows, effective_from=datetime(2026, 10, 3, 10, tzinfo=UTC))))
    after = verify(shop.engine, products(), product_tables(), OCTOBER)
    assert (before.lines, before.disagreements, 0) == (after.lines, after.disagreements, after.unbalanced_totals)


def test_a_day_on_which_a_version_begins_is_billed_in_order_also_with_setup_fees(shop: Shop) -> None:
    """Whose flat is due hangs on the order of the day's usage; its setup fees have no part in that."""
    rows = [{**row, "setup_fee": "0.05"} for row in table()["rate"]]  # type: ignore[attr-defined]
    flats = table(tiers={"t": FLAT}, rate=rows)
    shop.publish(from_table(1, flats))
    shop.admit("acme")
    shop.post(*(call(hour, occurred_at=f"2026-10-02T{hour:02}:00:00Z") for hour in range(9, 15)))
    assert 3 == shop.publish(from_table(1, {**flats, "effective_from": datetime(2026, 10, 2, 12, tzinfo=UTC)})).moved
    agrees(shop)


def test_what_a_card_counts_of_other_cards_usage_may_not_change(shop: Shop) -> None:
    """No event is priced by the schedule that comes; its flat would be due for usage that was billed without it."""
    shop.publish(card(GB))
    other = {key: value for key, value in table(id="other").items() if key != "tiers"}
    rows = [{"product": "sms.outbound", "unit": "segment", "price": "0.01"}]
    shop.publish(from_table(1, {**other, "rate": rows}))
    shop.admit("acme", cards=("list", "other"))
    shop.post(call(1, occurred_at="2026-10-04T10:00:00Z"))
    counting = {**other, "rate": [*rows], "tiers": {"f": FLAT}}
    with pytest.raises(
        PublicationBackdatedError, match=r"card other .*count otherwise, and acme has rated usage of 2026-10-04;"
    ):
        shop.publish(from_table(3, counting))
    assert Status.PUBLISHED == shop.publish(from_table(5, counting)).status


def test_a_contract_may_begin_in_the_past_if_it_prices_as_the_one_before(gap: Shop) -> None:
    gap.publish(card(FR, id_="france"))
    gap.publish(card(GB.replace("0.02", "0.03"), id_="dear"))
    with pytest.raises(PublicationBackdatedError, match=r"contract acme .* 2 rated events .*call-1"):
        begin(gap, 3, "dear", "list")
    changed = begin(gap, 3, "list", "france")
    assert (Status.PUBLISHED, 0) == (changed.status, changed.moved)
    assert {Reason.NO_RATE: 1} == let_out(gap).released
    agrees(gap)


def test_a_contract_that_brings_a_counter_may_not_change_bills(gap: Shop) -> None:
    rows = [{"product": "sms.outbound", "unit": "segment", "price": "0.01"}]
    head = {key: value for key, value in table(id="other", rate=rows).items() if key != "tiers"}
    gap.publish(from_table(1, {**head, "tiers": {"f": FLAT}}))
    with pytest.raises(
        PublicationBackdatedError,
        match=r"contract acme .*and acme has rated usage of 2026-10-04; .* such as 2026-10-07$",
    ):
        begin(gap, 3, "list", "other")
    assert Status.PUBLISHED == begin(gap, 3, "list", "other", name="bolt").status
    assert Status.PUBLISHED == begin(gap, 7, "list", "other").status


def test_an_account_that_came_late_gets_its_contract_from_the_first_day(shop: Shop) -> None:
    """A run that found nothing of it stands in no way: it had no cards then."""
    shop.publish(from_table(1, table(tiers={"t": {**FLAT, "flat_at_zero": True}})))
    add_accounts(shop.engine, [account("acme")], at=AT, actor="finance")
    shop.post(*(call(n, occurred_at=f"2026-10-{n:02}T10:00:00Z") for n in (2, 9, 10, 12)))
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    assert Status.PUBLISHED == begin(shop, 1, "list").status
    assert {Reason.NO_CONTRACT: 4} == let_out(shop).released
    agrees(shop)


def test_a_second_version_from_an_instant_is_refused_and_told_what_works(gap: Shop) -> None:
    gap.post(call(5, occurred_at="2026-10-05T00:00:00Z", to=PARIS), call(6, to="+819012345678"))
    gap.post(call(7, occurred_at="2026-10-01T00:00:00Z", to=PARIS))  # no version that comes later reaches it
    mended = card(f"{GB}\n{FR}")
    refused = "later instant, no later than 2026-10-04T10:00:00Z, when the first event that waits for it occurred; --f"
    with pytest.raises(PublicationConflictError, match=refused):
        gap.publish(mended)
    assert 2 == gap.publish(replace(mended, effective_from=datetime(2026, 10, 4, 10, tzinfo=UTC))).moved
    assert {Reason.NO_RATE: 2} == let_out(gap).released


def test_only_what_a_version_reaches_is_rated_again(gap: Shop) -> None:
    gap.publish(card(GB.replace("0.02", "0.03"), since="2026-10-20"))
    gap.post(call(7, occurred_at="2026-10-21T10:00:00Z"), call(8, account="bolt", occurred_at="2026-10-05T10:00:00Z"))
    assert 3 == gap.publish(card(f"{GB}\n{FR}", since="2026-10-03")).moved
    agrees(gap)


def test_usage_of_one_instant_is_walked_event_by_event(gap: Shop) -> None:
    """Sources that state midnight for all of a day: pages end between events of one instant."""
    gap.post(*(call(n, occurred_at="2026-10-05T00:00:00Z") for n in range(10, 21)))
    assert 13 == published(gap, card(f"{GB}\n{FR}", since="2026-10-03"), events_at_once=3).moved
    assert [(0,)] == gap.rows("SELECT count(*) FROM event_elements WHERE price_id = 2 AND occurred_at > '2026-10-03'")
    agrees(gap)


def test_what_final_invoices_bill_keeps_its_version_or_the_publication_is_refused(gap: Shop) -> None:
    draw_up(gap.engine, products(), OCTOBER, CLOSED, write=True)
    finalize(gap.engine, OCTOBER, CLOSED)
    refused = r"2 rated events are on final invoices.*call-1.*such as 2026-10-07T00:00:00Z; or publish what is missing"
    with pytest.raises(PublicationBackdatedError, match=refused):
        gap.publish(card(f"{GB}\n{FR}", since="2026-10-03"))
    found = verify(gap.engine, products(), product_tables(), OCTOBER)
    assert (True, ()) == (found.agrees, found.outdated)
    gap.publish(card(FR, id_="france"))
    assert 0 == begin(gap, 3, "list", "france").moved
    assert {Reason.NO_RATE: 1} == let_out(gap).released
    found = verify(gap.engine, products(), product_tables(), OCTOBER)
    assert (True, ("acme",)) == (found.agrees, found.outdated)


def test_drafts_are_drawn_again_after_a_mend(gap: Shop) -> None:
    draw_up(gap.engine, products(), OCTOBER, CLOSED, write=True)
    gap.publish(card(f"{GB}\n{FR}", since="2026-10-03"))
    agrees(gap)
    draw_up(gap.engine, products(), OCTOBER, CLOSED, write=True)
    found = verify(gap.engine, products(), product_tables(), OCTOBER)
    assert (True, ()) == (found.agrees, found.outdated)


def test_nothing_moves_while_invoices_of_it_are_drawn_up_or_issued(gap: Shop) -> None:
    mended = card(f"{GB}\n{FR}", since="2026-10-03")
    for shared in (True, False):
        with transaction(gap.engine) as connection:
            assert lock_period(connection, OCTOBER, shared=shared)
            with pytest.raises(PeriodLockedError, match="2026-10"):
                gap.publish(mended)
    assert 2 == gap.publish(mended).moved


def test_a_rehearsal_says_what_would_come_and_leaves_nothing(gap: Shop) -> None:
    gap.post(call(7, account="nobody"))
    everything = "SELECT (SELECT count(*) FROM {}), (SELECT max(version) FROM book_version)"
    tables = ("card_versions", "rates", "prices", "contracts", "accounts", "audit_log", "unfolded")
    before = [gap.rows(everything.format(name)) for name in tables], gap.rows(RATES)
    mended = card(f"{GB}\n{FR}", since="2026-10-03")
    tried = published(gap, mended, dry_run=True)
    released = Released(released={Reason.NO_RATE: 1}, waiting={Reason.UNKNOWN_ACCOUNT: 1})
    assert (Status.PUBLISHED, 2, released) == (tried.status, tried.moved, tried.foreseen)
    with pytest.raises(PublicationBackdatedError):
        published(gap, card(FR, since="2026-10-03"), dry_run=True)
    added = add_accounts(gap.engine, [account("nobody")], at=AT, actor="finance", rehearse_with=products())
    waiting = {Reason.NO_CONTRACT: 1, Reason.NO_RATE: 1}
    assert Released(released={}, waiting=waiting) == added.foreseen
    assert 0 == begin(gap, 3, "list", dry_run=True).moved
    assert before == ([gap.rows(everything.format(name)) for name in tables], gap.rows(RATES))
    assert tried.foreseen == (gap.publish(mended), let_out(gap))[1]


def test_imports_go_on_while_cards_are_mended_and_none_is_rated_by_yesterdays_books(gap: Shop) -> None:
    """A version a turn, each from the past, while usage comes in: nothing waits for ever, nothing is lost."""
    chunks, size = 12, 20
    events = [
        call(100 + n, occurred_at=f"2026-10-0{4 + n % 3}T10:00:0{n % 10}Z", to=[PARIS, "+447700900123"][n % 2])
        for n in range(chunks * size)
    ]
    lines = payloads(events)
    stream = (
        Chunk(lines[start : start + size], list(range(start, start + size))) for start in range(0, len(lines), size)
    )
    counts: list[dict[Outcome, int]] = []
    other = open_engine(gap.engine.url.render_as_string(hide_password=False))
    importing = threading.Thread(
        target=lambda: counts.append(import_usage(other, SOURCE, stream, products=products(), at=AT))
    )
    importing.start()
    since = datetime(2026, 10, 3, tzinfo=UTC)
    for turn in range(6):
        gap.publish(replace(card(f"{GB}\n{FR}"), effective_from=since + timedelta(hours=turn)))
        let_out(gap)
    importing.join(timeout=60)
    other.dispose()
    assert not importing.is_alive()
    let_out(gap)
    assert len(events) == counts[0][Outcome.ACCEPTED] + counts[0][Outcome.QUARANTINED]
    assert [(0, len(events) + 5)] == gap.rows("SELECT (SELECT count(*) FROM quarantine), (SELECT count(*) FROM events)")
    ((newest,),) = gap.rows("SELECT max(price_base) FROM card_versions")
    assert [(newest,)] == gap.rows(
        "SELECT DISTINCT price_id FROM events WHERE occurred_at >= '2026-10-04' AND country = 'GB' AND billed > 0"
    )
    agrees(gap)


def test_what_was_posted_after_a_mend_is_rated_by_it(gap: Shop) -> None:
    gap.publish(card(f"{GB}\n{FR}", since="2026-10-03"))
    assert ["accepted"] == outcomes(gap.post(call(9, occurred_at="2026-10-03T00:00:00Z", to=PARIS)))
