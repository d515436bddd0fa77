"""A change from the past may add rows, and never changes what counts; no draft survives it."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from billing.contracts import Contract
from billing.errors import InputFaultyError, PublicationBackdatedError
from billing.flows.backdate import Books, Moved, Reach, move
from billing.flows.correct import Force
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.publish import Changed, Status, add_contracts
from billing.flows.verify import verify
from billing.runs import GRACE, PeriodLockedError
from billing.store.engine import Connection
from cli.world import product_tables
from rates.cardfile import card_from_table
from rates.cards import Card, identity
from tests.shop import AT, OCTOBER, Shop, call, products

CLOSED = OCTOBER.closes + GRACE
VOICE = [{"product": ["voice.outbound"]}]
FLATS = {"up_to": ["3"], "unit": "minute", "fill": VOICE, "flats": ["7", "9"], "flat_at_zero": True}
GB = {"product": "voice.outbound", "unit": "minute", "increments": "60/60", "prefixes": ["44"], "price": "0.01"}
FR = {**GB, "prefixes": ["33"], "price": "0.5"}
SMS = {"product": "sms.outbound", "unit": "segment", "price": "0.03"}

Table = dict[str, Any]


def pool(free: str) -> Table:
    return {"free": free, "unit": "minute", "fill": VOICE}


def listed(since: str, *rows: Mapping[str, object], name: str = "list", **counting: object) -> Card:
    at = datetime.fromisoformat(since).replace(tzinfo=UTC)
    head = {"id": name, "currency": "USD", "effective_from": at, "rate": list(rows), **counting}
    found, faults = card_from_table(head, {}, products())
    assert found is not None, faults
    return found


def begin(shop: Shop, day: date, *cards: str) -> Changed:
    contract = Contract(account="acme", effective_from=day, cards=cards)
    return add_contracts(shop.engine, [contract], products(), at=AT, actor="finance")


def run(shop: Shop) -> list[tuple[object, ...]]:
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    return shop.rows("SELECT account, total_minor FROM draft_invoices ORDER BY account")


def owed(shop: Shop) -> dict[str, int]:
    found = draw_up(shop.engine, products(), OCTOBER, CLOSED, write=False)
    return {each.account: each.total_minor for each in found.outcomes}


def test_a_contract_that_counts_otherwise_does_not_begin_under_a_draft(shop: Shop) -> None:
    """The flat at zero of the card before it is on the draft, with no usage at all that could be compared."""
    for name, dear in (("list", "10"), ("dear", "99")):
        shop.publish(listed("2026-09-01", GB, name=name, tiers={"t": {**FLATS, "flats": [dear, dear]}}))
    shop.admit("acme", since=date(2026, 10, 10))
    assert [("acme", 1000)] == run(shop)
    refused = "contract acme .*, and acme has a draft of 2026-10; .* such as 2026-11-01$"
    with pytest.raises(PublicationBackdatedError, match=refused):
        begin(shop, date(2026, 10, 1), "dear")
    assert Status.PUBLISHED == begin(shop, date(2026, 11, 1), "dear").status


def test_a_schedule_does_not_come_from_just_before_a_month_with_rated_usage(shop: Shop) -> None:
    shop.publish(listed("2026-09-01", SMS))
    shop.publish(listed("2026-10-01", SMS))
    shop.admit("acme", since=date(2026, 9, 1))
    shop.post(
        call(
            1,
            product="sms.outbound",
            duration_seconds=None,
            segments=1,
            status="delivered",
            occurred_at="2026-10-01T06:00:00Z",
        )
    )
    before = owed(shop)
    with pytest.raises(PublicationBackdatedError, match=r"rated usage of 2026-10-01; .* such as 2026-10-02T00:00:00Z"):
        shop.publish(listed("2026-09-30", SMS, tiers={"t": FLATS}))
    with pytest.raises(InputFaultyError, match=r"effective_from .*2026-09-30T00:00:00Z or 2026-10-01T00:00:00Z"):
        shop.publish(listed("2026-09-30T23:00:00", SMS, tiers={"t": FLATS}))
    assert before == owed(shop)
    assert Status.PUBLISHED == shop.publish(listed("2026-10-02", SMS, tiers={"t": FLATS})).status


def test_a_pool_does_not_come_within_a_day(shop: Shop) -> None:
    shop.publish(listed("2026-10-01", GB))
    shop.publish(listed("2026-10-01", SMS, name="other"))
    shop.admit("acme", cards=("list", "other"))
    shop.post(call(1, duration_seconds="540", occurred_at="2026-10-02T08:00:00Z"))
    with pytest.raises(InputFaultyError, match=r"other@2026-10-02T12:00:00Z: effective_from .*within a day"):
        shop.publish(listed("2026-10-02T12:00:00", SMS, name="other", pools={"p": pool("100")}))
    with pytest.raises(PublicationBackdatedError, match="rated usage of 2026-10-02"):
        shop.publish(listed("2026-10-02", SMS, name="other", pools={"p": pool("100")}))
    assert Status.PUBLISHED == shop.publish(listed("2026-10-03", SMS, name="other", pools={"p": pool("100")})).status
    assert {"acme": 9} == owed(shop)
    assert () == verify(shop.engine, products(), product_tables(), OCTOBER).disagreements


def test_a_schedule_does_not_come_for_a_stretch_before_rated_usage_of_its_month(shop: Shop) -> None:
    """No usage is within the stretch; but the month's counter would begin in it."""
    shop.publish(listed("2026-10-01", GB))
    shop.publish(listed("2026-10-05", GB))
    shop.admit("acme")
    shop.post(call(1, occurred_at="2026-10-14T10:00:00Z"))
    with pytest.raises(PublicationBackdatedError, match="rated usage of 2026-10-14"):
        shop.publish(listed("2026-10-03", GB, tiers={"t": FLATS}))


def test_pools_in_another_order_are_another_card_and_count_otherwise(shop: Shop) -> None:
    a, b = pool("1"), pool("100")
    shop.publish(listed("2026-10-01", GB, pools={"a": a, "b": b}))
    shop.admit("acme")
    shop.post(call(1, duration_seconds="5940", occurred_at="2026-10-04T10:00:00Z"))
    before = owed(shop)
    assert identity(listed("2026-10-02", GB, pools={"b": b, "a": a})) != identity(
        listed("2026-10-02", GB, pools={"a": a, "b": b})
    )
    with pytest.raises(PublicationBackdatedError, match="rated usage of 2026-10-04"):
        shop.publish(listed("2026-10-02", GB, pools={"b": b, "a": a}))
    assert before == owed(shop)
    assert 1 == shop.publish(listed("2026-10-02", GB, FR, pools={"a": a, "b": b})).moved


def test_what_ends_a_counter_counts_otherwise(shop: Shop) -> None:
    shop.publish(listed("2026-10-01", SMS, name="other", tiers={"t": {**FLATS, "flat_at_zero": False}}))
    shop.publish(listed("2026-10-01", GB))
    shop.admit("acme", cards=("list", "other"))
    shop.post(call(1, occurred_at="2026-10-14T10:00:00Z"))
    ending: Table = {"name": "other", "tiers": {"t": {**FLATS, "flat_at_zero": False}}}
    with pytest.raises(InputFaultyError, match=r"effective_to .*within a day"):
        shop.publish(listed("2026-10-03", SMS, effective_to=datetime(2026, 10, 10, 12, tzinfo=UTC), **ending))
    with pytest.raises(PublicationBackdatedError, match="rated usage of 2026-10-14"):
        shop.publish(listed("2026-10-03", SMS, effective_to=datetime(2026, 10, 10, tzinfo=UTC), **ending))


def test_a_run_that_found_nothing_to_bill_forbids_a_schedule_in_its_month(shop: Shop) -> None:
    shop.publish(listed("2026-10-01", GB))
    shop.admit("acme")
    assert [] == run(shop)
    with pytest.raises(PublicationBackdatedError, match=r"and acme has a run of 2026-10; .* 2026-11-01T00:00:00Z$"):
        shop.publish(listed("2026-10-10", GB, tiers={"t": FLATS}))
    assert Status.PUBLISHED == shop.publish(listed("2026-10-10", GB, FR)).status


def test_a_final_invoice_keeps_the_versions_that_count_for_it(shop: Shop) -> None:
    """Its flat names the version. A card of its own, behind the others, is no other version of it."""
    shop.publish(listed("2026-10-01", GB, tiers={"t": FLATS}))
    shop.admit("acme")
    run(shop)
    finalize(shop.engine, OCTOBER, CLOSED)
    with pytest.raises(PublicationBackdatedError, match="another card version, and acme has an invoice of 2026-10"):
        shop.publish(listed("2026-10-01T06:00:00", GB, FR, tiers={"t": FLATS}))
    shop.publish(listed("2026-10-01", FR, name="france"))
    assert Status.PUBLISHED == begin(shop, date(2026, 10, 2), "list", "france").status
    assert verify(shop.engine, products(), product_tables(), OCTOBER).agrees


def test_no_draft_survives_a_move_and_the_next_run_bills_it(shop: Shop) -> None:
    shop.publish(listed("2026-10-01", GB))
    shop.admit("acme")
    shop.post(call(1, occurred_at="2026-10-04T10:00:00Z"))
    drafts = run(shop)
    changed = shop.publish(listed("2026-10-03", GB, FR))
    assert (1, 1) == (changed.moved, changed.withdrawn)
    found = finalize(shop.engine, OCTOBER, CLOSED)
    assert (0, (), ["acme"]) == (found.issued, found.stopped, [*found.withdrawn])
    assert drafts == run(shop)
    found = finalize(shop.engine, OCTOBER, CLOSED)
    assert (1, (), ()) == (found.issued, found.stopped, found.late)
    checked = verify(shop.engine, products(), product_tables(), OCTOBER)
    assert (True, (), 1) == (checked.agrees, checked.outdated, checked.lines)


def test_drafts_of_other_months_and_accounts_stay(shop: Shop) -> None:
    shop.publish(listed("2026-10-01", GB))
    shop.publish(listed("2026-10-01", GB, name="own"))
    shop.admit("acme")
    shop.admit("bolt", cards=("own",))
    shop.post(*(call(n, account=name, occurred_at="2026-10-04T10:00:00Z") for n, name in enumerate(["acme", "bolt"])))
    run(shop)
    assert 0 == shop.publish(listed("2026-11-01", GB, FR)).withdrawn
    assert 1 == shop.publish(listed("2026-10-20", GB, FR)).withdrawn
    assert [("bolt",)] == shop.rows("SELECT account FROM draft_invoices")


@pytest.mark.parametrize("act", [finalize, lambda *given: draw_up(given[0], products(), *given[1:], write=True)])
def test_nothing_is_issued_or_drawn_up_between_the_look_and_the_commit(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, act: Callable[..., object]
) -> None:
    shop.publish(listed("2026-10-01", GB))
    shop.admit("acme")
    shop.post(call(1, occurred_at="2026-10-04T10:00:00Z"))
    run(shop)
    outcomes: list[BaseException | None] = []

    def tried() -> None:
        try:
            act(shop.engine, OCTOBER, CLOSED)
        except PeriodLockedError as error:
            outcomes.append(error)

    def looked(
        connection: Connection, reach: Reach, books: Books, *, at: datetime, events_at_once: int, force: Force | None
    ) -> Moved:
        found = move(connection, reach, books, at=at, events_at_once=events_at_once, force=force)
        thread = threading.Thread(target=tried)
        thread.start()
        thread.join(timeout=30)
        return found

    monkeypatch.setattr("billing.flows.publish.move", looked)
    assert 1 == shop.publish(listed("2026-10-03", GB, FR)).moved
    assert ["2026-10"] == [getattr(each, "value", "") for each in outcomes]
    assert [] == shop.rows("SELECT account FROM draft_invoices UNION ALL SELECT account FROM invoices")
