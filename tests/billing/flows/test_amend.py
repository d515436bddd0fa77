"""Amended reports: the highest revision counts, the totals move by minus the old and plus the new, nothing is lost."""

from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest

from billing.contracts import Contract
from billing.errors import EventMissingError
from billing.flows.draw_up import draw_up
from billing.flows.explain import explain_line
from billing.flows.finalize import finalize
from billing.flows.fold import fold
from billing.flows.ingest import Intake
from billing.flows.publish import add_accounts, add_contracts, publish
from billing.flows.release import release
from billing.flows.verify import verify
from billing.periods import Period
from billing.store.engine import transaction
from cli.world import product_tables
from rates.cards import instant
from tests.invoicing import CLOSED
from tests.shop import AT, OCTOBER, Shop, account, call, card, outcomes, payloads, products, read

NOVEMBER = Period.parse("2026-11")
LATER = datetime(2026, 11, 3, 12, tzinfo=UTC)
MESSAGES = """
    id = "sms"
    currency = "USD"
    effective_from = 2026-10-01T00:00:00Z
    [[rate]]
    product = "sms.outbound"
    prefixes = ["44"]
    unit = "segment"
    price = "0.04"
    [[rate]]
    product = "sms.outbound"
    element = "failed_fee"
    prefixes = ["44"]
    unit = "event"
    price = "0.001"
"""


@pytest.fixture
def opened(shop: Shop) -> Shop:
    shop.publish(card("voice.outbound,44,minute,60/60,0.02,0.05\nvoice.outbound,33,minute,60/60,0.03,"))
    publish(shop.engine, read(MESSAGES), products(), at=AT, actor="finance")
    shop.admit("acme", "beta", cards=("list", "sms"))
    return shop


def message(**changes: object) -> dict[str, object]:
    said: dict[str, object] = {"product": "sms.outbound", "duration_seconds": None, "segments": "2"}
    return call(1, **said | changes)


def void(number: int, revision: int) -> dict[str, object]:
    return {"id": f"call-{number}", "revision": revision, "void": True}


def billed(shop: Shop, period: Period = OCTOBER) -> list[tuple[int, ...]]:
    """Totals without who and where: price, events, quantity."""
    return [(row[2], *row[5:]) for row in shop.totals(period)]


def assert_sound(shop: Shop) -> None:
    """The totals are those of what is in force, the verifier says the same, and each event is in one place."""
    for period in (OCTOBER, NOVEMBER):
        found = verify(shop.engine, products(), product_tables(), period)
        assert (0, ()) == (found.unbalanced_totals, found.disagreements)
    places = "SELECT source_id, id, revision, occurred_at FROM events UNION ALL SELECT source_id, id, revision,"
    places = f"{places} occurred_at FROM quarantine"
    known = "SELECT source_id, id, revision, occurred_at FROM event_identity WHERE occurred_at IS NOT NULL"
    assert [] == shop.rows(f"({places}) EXCEPT ALL ({known})")
    assert [] == shop.rows(f"({known}) EXCEPT ALL ({places})")
    above = "SELECT FROM event_revisions r JOIN event_identity e USING (source_id, id) WHERE r.revision > e.revision"
    assert [] == shop.rows(above)


def test_a_higher_revision_takes_the_place_of_the_lower_one(opened: Shop) -> None:
    opened.post(call(1))
    before = billed(opened)
    receipt = opened.post(call(1, revision=2, duration_seconds="121"))
    assert (["accepted"], [0]) == (outcomes(receipt), receipt.amended.tolist())
    assert ([(1, 1, 120), (3, 1, 1)], [(1, 1, 180), (3, 1, 1)]) == (before, billed(opened))
    assert [(2, 121)] == opened.rows("SELECT revision, measured FROM events")
    kept = "SELECT revision, measured, billed, account, product, reason, superseded_in > batch FROM event_revisions"
    assert [(1, 61, 120, "acme", "voice.outbound", 0, True)] == opened.rows(kept)
    assert [(1, 1, 3)] == opened.rows("SELECT revision, events, price_id FROM event_revision_elements")
    assert_sound(opened)


def test_the_totals_change_by_a_batch_of_minus_the_old_and_plus_the_new(opened: Shop) -> None:
    opened.post(call(1))
    fold(opened.engine)
    opened.post(call(1, revision=2, duration_seconds="121"))
    changes = opened.rows("SELECT price_id, events, quantity FROM unfolded ORDER BY 1, 2")
    assert [(1, -1, -120), (1, 1, 180), (3, -1, -1), (3, 1, 1)] == changes
    fold(opened.engine)
    assert [(1, 1, 180), (3, 1, 1)] == billed(opened)


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 1, 3), (2, 3, 1), (1, 3, 2), (3, 1, 2)])
def test_in_any_order_the_highest_counts_and_the_others_are_kept(opened: Shop, order: tuple[int, ...]) -> None:
    highest = 0
    for revision in order:
        expected = "accepted" if revision > highest else "superseded"
        assert [expected] == outcomes(opened.post(call(1, revision=revision, duration_seconds=str(60 * revision))))
        highest = max(highest, revision)
    assert [(1, 1, 180), (3, 1, 1)] == billed(opened)
    assert [(1, 60), (2, 120)] == opened.rows("SELECT revision, measured FROM event_revisions ORDER BY revision")
    assert_sound(opened)


def test_of_revisions_in_one_batch_each_has_its_own_result(opened: Shop) -> None:
    reports = [
        call(1, revision=2),
        call(1, revision=3, duration_seconds="5"),
        call(1),
        call(1, revision=3, duration_seconds="6"),
        call(1, revision=2),
        call(1, revision=2, duration_seconds="7"),
        call(2),
    ]
    expected = ["superseded", "accepted", "superseded", "conflict", "duplicate", "conflict", "accepted"]
    assert expected == outcomes(opened.post(*reports))
    again = ["duplicate", "duplicate", "duplicate", "conflict", "duplicate", "conflict", "duplicate"]
    assert again == outcomes(opened.post(*reports))
    assert [(1, 2, 180), (3, 2, 2)] == billed(opened)
    assert_sound(opened)


def test_another_content_of_a_known_revision_is_a_conflict_and_changes_nothing(opened: Shop) -> None:
    opened.post(call(1), call(1, revision=3))
    before = billed(opened)
    for revision in (1, 3):
        report = call(1, revision=revision, duration_seconds="1000")
        receipt = opened.post(report)
        assert (
            ["conflict"],
            "was reported before with other content; the first report stays; to amend it, send a higher revision",
        ) == (
            outcomes(receipt),
            receipt.reason(0),
        )
    assert ["conflict", "conflict"] == outcomes(opened.post(void(1, 3), void(1, 1)))
    assert before == billed(opened)
    assert_sound(opened)


def test_a_void_takes_its_event_back_and_a_higher_revision_brings_it_back(opened: Shop) -> None:
    opened.post(call(1))
    receipt = opened.post(void(1, 2))
    assert (["accepted"], "void", [0], [0]) == (
        outcomes(receipt),
        receipt.reason(0),
        receipt.voids.tolist(),
        receipt.amended.tolist(),
    )
    assert [] == billed(opened)
    assert ["duplicate"] == outcomes(opened.post(call(1, revision=2, void=True, duration_seconds="7")))
    assert_sound(opened)
    assert ["accepted"] == outcomes(opened.post(call(1, revision=3)))
    assert [(1, 1, 120), (3, 1, 1)] == billed(opened)
    assert ["conflict", "duplicate"] == outcomes(opened.post(call(1, revision=2), void(1, 2)))
    assert_sound(opened)


def test_a_void_that_comes_first_wins_and_what_it_voids_is_superseded_when_it_comes(opened: Shop) -> None:
    assert ["accepted"] == outcomes(opened.post(void(1, 2)))
    assert ["superseded"] == outcomes(opened.post(call(1)))
    assert ["duplicate", "conflict"] == outcomes(opened.post(call(1), call(1, duration_seconds="1")))
    assert ([], []) == (billed(opened), opened.rows("SELECT FROM events"))
    assert_sound(opened)


def test_a_void_and_what_it_voids_may_come_together(opened: Shop) -> None:
    assert ["superseded", "accepted"] == outcomes(opened.post(call(1), void(1, 2)))
    assert ["superseded", "accepted"] == outcomes(opened.post(void(2, 2), call(2, revision=3)))
    assert [(1, 1, 120), (3, 1, 1)] == billed(opened)
    assert_sound(opened)


def test_a_receipt_a_day_later_changes_the_outcome(opened: Shop) -> None:
    opened.post(message(status="queued"))
    assert [] == billed(opened)
    opened.post(message(status="delivered", revision=2))
    assert [(4, 1, 2)] == billed(opened)
    opened.post(message(status="failed", error_code="30003", revision=3))
    assert [(5, 1, 1)] == billed(opened)
    opened.post(message(status="failed", error_code="30450", revision=4))
    assert [] == billed(opened)
    assert_sound(opened)


@pytest.mark.parametrize(
    ("change", "october", "november"),
    [
        ({"account": "beta"}, [(1, 1, 120), (3, 1, 1)], []),
        ({"to": "+33123456789"}, [(2, 1, 120)], []),
        ({"occurred_at": "2026-11-01T00:00:00Z"}, [], [(1, 1, 120), (3, 1, 1)]),
        ({"status": "busy"}, [], []),
        ({"duration_seconds": "0"}, [], []),
        ({"account": "nobody"}, [], []),
        ({"product": "voice.mars", "duration_seconds": None, "quantity": "1"}, [], []),
        ({"occurred_at": "2025-01-01T00:00:00Z"}, [], []),
    ],
)
def test_the_old_leaves_its_period_and_the_new_comes_to_its_own(
    opened: Shop, change: dict[str, object], october: list[Any], november: list[Any]
) -> None:
    opened.post(call(1), at=LATER)
    opened.post(call(1, **change, revision=2), at=LATER)
    assert (october, november) == (billed(opened), billed(opened, NOVEMBER))
    assert_sound(opened)
    opened.post(call(1, revision=3), at=LATER)
    assert ([(1, 1, 120), (3, 1, 1)], []) == (billed(opened), billed(opened, NOVEMBER))
    assert_sound(opened)


def test_an_amended_event_moves_to_the_partition_of_its_month(opened: Shop) -> None:
    opened.post(call(1), at=LATER)
    opened.post(call(1, revision=2, occurred_at="2026-11-01T00:00:00Z"), at=LATER)
    assert [("events_2026_11",)] == opened.rows("SELECT tableoid::regclass::text FROM events")
    assert [("event_elements_2026_11",)] == opened.rows("SELECT tableoid::regclass::text FROM event_elements")


def test_what_waits_is_amended_too(opened: Shop) -> None:
    opened.post(call(1, account="nobody"))
    assert ["quarantined"] == outcomes(opened.post(call(1, account="nobody", to="+8612345678", revision=2)))
    assert [(2, "nobody")] == opened.rows("SELECT revision, account FROM quarantine")
    assert ["accepted"] == outcomes(opened.post(call(1, revision=3)))
    assert [] == opened.rows("SELECT FROM quarantine")
    assert [(1, None), (2, None)] == opened.rows("SELECT revision, payer_id FROM event_revisions ORDER BY 1")
    assert_sound(opened)


def test_what_is_let_out_keeps_its_revision_and_is_amended_where_it_lies_then(opened: Shop) -> None:
    opened.post(call(1, account="gamma", revision=2))
    add_accounts(opened.engine, [account("gamma")], at=AT, actor="finance")
    contract = Contract(account="gamma", effective_from=date(2026, 10, 1), cards=("list",))
    add_contracts(opened.engine, [contract], products(), at=AT, actor="finance")
    release(opened.engine, products(), at=AT, actor="finance")
    assert [(2,)] == opened.rows("SELECT revision FROM events")
    assert ["accepted"] == outcomes(opened.post(call(1, revision=3, duration_seconds="1")))
    assert [(1, 1, 60), (3, 1, 1)] == billed(opened)
    assert_sound(opened)


def test_an_event_that_is_known_and_gone_is_not_amended(opened: Shop) -> None:
    opened.post(call(1))
    with transaction(opened.engine) as connection:
        connection.execute("DELETE FROM events")
    before = billed(opened)
    with pytest.raises(EventMissingError):
        opened.post(call(1, revision=2))
    assert (before, [(1,)]) == (billed(opened), opened.rows("SELECT revision FROM event_identity"))


@pytest.mark.parametrize("statement", ["UPDATE event_revisions SET measured = 1", "DELETE FROM event_revisions"])
def test_what_was_superseded_stays_as_it_was(opened: Shop, statement: str) -> None:
    opened.post(call(1), call(1, revision=2))
    with pytest.raises(psycopg.errors.RestrictViolation), transaction(opened.engine) as connection:
        connection.execute(statement.encode())


MOVED = [call(1, duration_seconds="6000"), call(2, account="beta"), call(5, to="+33123456789")]
LATE = [call(3, occurred_at="2026-11-01T00:00:00Z"), {"id": "call-4", "void": True}]


@pytest.mark.parametrize(
    "reports", [[*MOVED, *LATE], [{"id": f"call-{number}", "void": True} for number in range(1, 6)]]
)
def test_an_invoice_lists_the_events_as_they_were_billed_also_where_they_were_amended_since(
    opened: Shop, reports: list[dict[str, object]]
) -> None:
    opened.post(*(call(number) for number in range(1, 6)), at=CLOSED)
    draw_up(opened.engine, products(), OCTOBER, CLOSED, write=True)
    finalize(opened.engine, OCTOBER, CLOSED)
    opened.post(*({**each, "revision": 2} for each in reports), at=CLOSED)
    for number, quantity in ((1, 5), (2, 600)):
        line = explain_line(opened.engine, products(), OCTOBER, "acme", number)
        assert (True, 5, quantity) == (line.adds_up, line.events, line.base_quantity)
        assert [f"call-{number}" for number in range(1, 6)] == [each.id for each in line.page]
        assert {"2026-10-02T10:11:12Z +447700900123"} == {
            f"{instant(each.occurred_at)} {each.to}" for each in line.page
        }
    assert_sound(opened)


def test_a_whole_chunk_is_amended_by_way_of_the_indexes(opened: Shop) -> None:
    """Of a database that was never analyzed: read in another order than that of the chunk, it takes an hour."""

    def reports(seconds: int, revision: int) -> list[dict[str, object]]:
        at = [f"2026-10-02T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z" for n in range(6000)]
        return [call(n, occurred_at=when, duration_seconds=seconds, revision=revision) for n, when in enumerate(at)]

    opened.post(*reports(60, 1))
    assert 6000 == len(opened.post(*reports(120, 2)).amended)
    assert [(1, 6000, 720_000), (3, 6000, 6000)] == billed(opened)


def test_a_source_that_is_nobodys_takes_nothing_back(opened: Shop) -> None:
    intake = Intake(engine=opened.engine, products=products(), source=None)
    told = [{**void(1, 2), "source": "tollbook.charges"}, {**void(1, 2), "source": "mine"}]
    receipt = intake.ingest(payloads(told), AT)
    assert (["rejected", "accepted"], "is the source of charges, and nobody else's") == (
        outcomes(receipt),
        receipt.reason(0),
    )
