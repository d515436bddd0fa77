"""What is used below a reseller is charged twice, by two cards, on two invoices, from one report."""

from datetime import date
from fractions import Fraction
from itertools import count

import pytest

from billing.charges import SourceReservedError
from billing.chunks import Chunk
from billing.contracts import Contract
from billing.errors import InputFaultyError, PublicationBackdatedError
from billing.flows.compose import compose_statement
from billing.flows.correct import rerate_period
from billing.flows.draw_up import draw_up
from billing.flows.explain import explain_event, explain_line
from billing.flows.finalize import finalize
from billing.flows.fold import fold
from billing.flows.ingest import Intake, import_usage
from billing.flows.margin import resold_margin
from billing.flows.publish import add_accounts, publish
from billing.flows.rehearse import rehearse_usage
from billing.flows.release import release
from billing.flows.verify import verify
from billing.payers import SubjectMissingError
from billing.periods import Period
from billing.runs import GRACE
from billing.store.engine import snapshot
from billing.store.queries.usage import sources
from billing.store.queries.waiting import waiting_usage
from cli.world import product_tables
from rates.rating import Reason
from tests.reselling import admit, agree, contract, open_reseller, sub
from tests.shop import AT, OCTOBER, SOURCE, Shop, account, call, card, outcomes, payloads, products

CLOSED = OCTOBER.closes + GRACE
RETAIL_FR = "voice.outbound,33,minute,60/60,0.07"
PARIS = {"to": "+33123456789"}
EVENTS = (
    "SELECT sources.id, event.id, accounts.id FROM events AS event JOIN sources USING (source_id)"
    " JOIN accounts ON accounts.account_id = payer_id ORDER BY 1, 2"
)
WAITING = "SELECT sources.id, q.id, q.reason FROM quarantine q JOIN sources USING (source_id) ORDER BY 1, 2"
TOTALS = (
    "SELECT accounts.id, sum(events)::int, sum(quantity)::int FROM"
    " (SELECT payer_id, events, quantity FROM unfolded UNION ALL SELECT payer_id, events, quantity FROM usage_totals)"
    " AS sums JOIN accounts ON accounts.account_id = payer_id GROUP BY 1 ORDER BY 1"
)


@pytest.fixture(autouse=True)
def _reseller(shop: Shop) -> None:
    open_reseller(shop)


def let_out(shop: Shop) -> dict[Reason, int]:
    return dict(release(shop.engine, products(), at=AT, actor="finance").released)


def agreed(shop: Shop) -> None:
    for processes in (1,):
        found = verify(shop.engine, products(), product_tables(), OCTOBER, processes=processes)
        assert ((), 0) == (found.disagreements, found.unbalanced_totals)


def totals_of(shop: Shop) -> dict[str, int]:
    """The totals of the invoices or drafts of October, in minor units."""
    rows = shop.rows(
        "SELECT account, total_minor FROM draft_invoices UNION ALL SELECT account, total_minor FROM invoices ORDER BY 1"
    )
    return {str(name): int(str(total)) for name, total in rows}


def test_an_event_is_stored_for_both_payers_in_one_transaction_and_reported_once(shop: Shop) -> None:
    events = [call(1, account="sub"), call(2, account="deep"), call(3, account="own"), call(4)]
    for told in (["accepted"] * 4, ["duplicate"] * 4):
        assert told == outcomes(shop.post(*events))
        found = [("resold:voice-eu-1", "call-1", "sub"), ("resold:voice-eu-1", "call-2", "sub")]
        own = [("voice-eu-1", f"call-{number}", "acme") for number in (1, 2, 3, 4)]
        assert [*found, *own] == shop.rows(EVENTS)
        assert [("acme", 4, 480), ("sub", 2, 240)] == shop.rows(TOTALS)
    agreed(shop)
    with snapshot(shop.engine) as connection:
        assert [SOURCE] == sources(connection)


def test_a_conflict_changes_neither_side_and_makes_no_other_side(shop: Shop) -> None:
    shop.post(call(1, account="own"), call(2, account="sub"))
    again = [call(1, account="sub"), call(2, account="own"), call(2, account="sub", duration_seconds="600")]
    assert ["conflict"] * 3 == outcomes(shop.post(*again))
    assert [("acme", 2, 240), ("sub", 1, 120)] == shop.rows(TOTALS)
    assert ["accepted", "conflict"] == outcomes(shop.post(call(3, account="own"), call(3, account="sub")))
    assert [("acme", 3, 360), ("sub", 1, 120)] == shop.rows(TOTALS)
    agreed(shop)


SIDES = (
    "SELECT sources.id, event.id, event.revision, measured::int FROM events AS event JOIN sources USING (source_id)"
    " ORDER BY 1, 2"
)


def test_what_is_amended_is_amended_on_both_sides(shop: Shop) -> None:
    shop.post(call(1, account="sub"), call(2, account="sub"))
    assert ["accepted", "duplicate"] == outcomes(
        shop.post(call(1, account="deep", revision=2, duration_seconds="600"), call(2, account="sub"))
    )
    assert [("acme", 2, 720), ("sub", 2, 720)] == shop.rows(TOTALS)
    assert [("resold:voice-eu-1", "call-1", 2, 600), ("resold:voice-eu-1", "call-2", 1, 61)] == shop.rows(SIDES)[:2]
    agreed(shop)


def test_what_is_taken_back_is_taken_back_on_both_sides_and_may_come_again(shop: Shop) -> None:
    shop.post(call(1, account="sub"), call(2, account="sub"), call(3))
    void = {"id": "call-1", "revision": 2, "void": True}
    shop.post(void, {"id": "call-3", "revision": 2, "void": True})
    assert [("acme", 1, 120), ("sub", 1, 120)] == [row for row in shop.rows(TOTALS) if row[1]]
    assert ["duplicate"] == outcomes(shop.post(void))
    agreed(shop)
    shop.post(call(1, account="sub", revision=3))
    assert [("acme", 2, 240), ("sub", 2, 240)] == shop.rows(TOTALS)
    agreed(shop)


def test_what_is_resold_no_more_is_taken_back_at_the_reseller(shop: Shop) -> None:
    shop.post(call(1, account="sub"), call(2, account="own"))
    shop.post(call(1, account="own", revision=2), call(2, account="sub", revision=2))
    assert [("acme", 2, 240), ("sub", 1, 120)] == shop.rows(TOTALS)
    assert [("resold:voice-eu-1", "call-2", 2, 61)] == shop.rows(SIDES)[:1]
    shop.post(call(1, account="sub", revision=3), call(2, account="own", revision=3), call(3, account="sub"))
    assert [("acme", 3, 360), ("sub", 2, 240)] == shop.rows(TOTALS)
    agreed(shop)


def test_a_report_under_a_higher_one_makes_no_other_side(shop: Shop) -> None:
    shop.post(call(1, account="own", revision=2), {"id": "call-2", "revision": 2, "void": True})
    assert ["superseded"] * 2 == outcomes(shop.post(call(1, account="sub"), call(2, account="sub")))
    assert [("acme", 1, 120)] == shop.rows(TOTALS)
    shop.post(call(3, account="sub"), call(3, account="sub", revision=2, duration_seconds="600"))
    assert [("acme", 2, 720), ("sub", 1, 600)] == shop.rows(TOTALS)
    agreed(shop)


def test_usage_of_nobody_that_is_amended_has_the_revision_that_stands(shop: Shop) -> None:
    shop.post(call(1, account="late"), call(1, account="late", revision=2, duration_seconds="600"))
    admit(shop, account("late", pays=False, parent="sub"))
    let_out(shop)
    assert [("resold:voice-eu-1", "call-1", 2, 600)] == shop.rows(SIDES)[:1]
    shop.post(call(1, account="late", revision=3))
    assert [("acme", 1, 120), ("sub", 1, 120)] == shop.rows(TOTALS)
    agreed(shop)


def test_many_reports_at_once_are_mirrored_as_one_by_one(shop: Shop) -> None:
    names = ["sub", "own", "deep"]
    shop.post(*(call(number, account=names[number % 3]) for number in range(1500)))
    shop.post(*(call(number, account=names[number % 2], revision=2) for number in range(1500)))
    assert [("acme", 1500, 180000), ("sub", 750, 90000)] == shop.rows(TOTALS)
    agreed(shop)


def test_usage_before_the_contract_of_whoever_is_resold_to_has_one_side(shop: Shop) -> None:
    shop.post(call(1, account="sub", occurred_at="2026-09-30T23:59:59Z"), call(2, account="sub"))
    assert [("resold:voice-eu-1", "call-2", "sub")] == shop.rows(EVENTS)[:1]


def test_what_lacks_a_price_waits_on_its_own_side_and_is_let_out_there(shop: Shop) -> None:
    shop.publish(card("voice.outbound,33,minute,60/60,0.01", id_="france"))
    agree(shop, contract("acme", "list", "france", since=date(2026, 10, 2), resells=True))
    receipt = shop.post(call(1, account="sub", **PARIS))
    assert ["accepted"] == outcomes(receipt)
    assert ["resold:voice-eu-1"] == [row[0] for row in shop.rows(WAITING)]
    assert [("acme", 1, 120)] == shop.rows(TOTALS)
    agreed(shop)
    shop.publish(card(RETAIL_FR, id_="retail-fr"))
    agree(shop, contract("sub", "retail", "retail-fr", since=date(2026, 10, 2)))
    assert {Reason.NO_RATE: 1} == let_out(shop)
    assert [("acme", 1, 120), ("sub", 1, 120)] == shop.rows(TOTALS)
    assert [] == shop.rows(WAITING)
    agreed(shop)


def test_what_lacks_a_price_at_the_supplier_is_billed_by_the_reseller(shop: Shop) -> None:
    shop.publish(card(RETAIL_FR, id_="retail-fr"))
    agree(shop, contract("sub", "retail", "retail-fr", since=date(2026, 10, 2)))
    assert ["quarantined"] == outcomes(shop.post(call(1, account="sub", **PARIS)))
    assert [("sub", 1, 120)] == shop.rows(TOTALS)
    agreed(shop)
    assert {} == let_out(shop)
    assert [("sub", 1, 120)] == shop.rows(TOTALS)


def test_usage_of_nobody_gets_its_other_side_when_the_account_comes(shop: Shop) -> None:
    shop.post(call(1, account="late"))
    assert ["voice-eu-1"] == [row[0] for row in shop.rows(WAITING)]
    admit(shop, account("late", pays=False, parent="deep"))
    assert {Reason.UNKNOWN_ACCOUNT: 1} == let_out(shop)
    assert [("acme", 1, 120), ("sub", 1, 120)] == shop.rows(TOTALS)
    assert {} == let_out(shop)
    agreed(shop)


def test_who_is_resold_to_gets_an_invoice_of_its_own(shop: Shop) -> None:
    shop.post(*(call(number, account=name) for number, name in enumerate(["sub", "deep", "own", "acme", "sub"])))
    fold(shop.engine)
    run = draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    assert 2 == run.report.billed
    assert {"acme": 20, "sub": 30} == totals_of(shop)
    agreed(shop)
    finalize(shop.engine, OCTOBER, CLOSED)
    numbers = shop.rows("SELECT account, legal_entity, number FROM invoices ORDER BY account")
    assert [("acme", ""), ("sub", "Acme")] == [row[:2] for row in numbers]
    agreed(shop)


def test_each_side_is_adjusted_by_itself_where_usage_comes_late(shop: Shop) -> None:
    shop.post(call(1, account="sub"), call(2))
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    finalize(shop.engine, OCTOBER, CLOSED)
    november = Period.parse("2026-11")
    shop.post(call(3, account="deep"), call(4), at=CLOSED)
    draw_up(shop.engine, products(), november, november.closes + GRACE, write=True)
    drafts = shop.rows("SELECT account, total_minor FROM draft_invoices ORDER BY account")
    assert [("acme", 8), ("sub", 10)] == drafts
    for period in (OCTOBER, november):
        found = verify(shop.engine, products(), product_tables(), period)
        assert ((), 0) == (found.disagreements, found.unbalanced_totals)


def test_one_side_is_rated_again_and_the_other_stays(shop: Shop) -> None:
    shop.post(call(1, account="sub"), call(2))
    dear = card("voice.outbound,44,minute,60/60,0.09", id_="retail")
    before = shop.rows("SELECT payer_id, price_id FROM events WHERE source_id = 1 ORDER BY id")
    found = publish(shop.engine, dear, products(), at=AT, actor="ann", reason="wrong price")
    assert 1 == found.moved
    assert before == shop.rows("SELECT payer_id, price_id FROM events WHERE source_id = 1 ORDER BY id")
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    assert {"acme": 8, "sub": 18} == totals_of(shop)
    for names in ([], ["sub"]):
        again = rerate_period(
            shop.engine, products(), OCTOBER, at=AT, actor="ann", reason="again", accounts=names, dry_run=False
        )
        assert 0 == again.rewritten
    agreed(shop)


def test_a_line_and_a_statement_of_whoever_is_resold_to_are_explained(shop: Shop) -> None:
    shop.post(call(1, account="deep"), call(2, account="sub", **PARIS))
    line = explain_line(shop.engine, products(), OCTOBER, "sub", 1)
    assert ["call-1"] == [each.id for each in line.page]
    statement = compose_statement(shop.engine, products(), OCTOBER, AT, "sub")
    assert ("0.10", {"no_rate": 1}) == (str(statement.total_minor / 100) + "0", dict(statement.waiting))
    sides = [explain_event(shop.engine, products(), name, "call-1") for name in (SOURCE, f"resold:{SOURCE}")]
    assert ["acme", "sub"] == [each.payer for each in sides]


def test_nobody_reports_under_the_name_of_a_mirror(shop: Shop) -> None:
    for take in (import_usage, rehearse_usage):
        with pytest.raises(SourceReservedError, match="resold:"):
            take(shop.engine, "resold:voice-eu-1", [], products=products(), at=AT)
    intake = Intake(engine=shop.engine, products=products(), source=None)
    named = [call(1, source="resold:x"), call(2, source="tollbook.charges"), call(3, source="x", account="sub")]
    receipt = intake.ingest(payloads(named), AT)
    assert ["rejected", "rejected", "accepted"] == outcomes(receipt)
    assert "resold:" in receipt.findings[0].reason
    assert "charges" in receipt.findings[1].reason


def test_a_rehearsal_stores_neither_side(shop: Shop) -> None:
    lines = payloads([call(1, account="sub")])
    rehearse_usage(shop.engine, SOURCE, [Chunk(lines, range(1, 2))], products=products(), at=AT)
    assert [] == shop.rows(EVENTS)


def test_a_contract_that_resells_is_not_begun_over_stored_usage(shop: Shop) -> None:
    admit(shop, sub("new"))
    shop.post(call(1, account="new", occurred_at="2026-10-05T10:00:00Z"))
    with pytest.raises(PublicationBackdatedError, match="voice-eu-1/call-1") as refused:
        agree(shop, contract("new", "retail"))
    assert "2026-10-06" in refused.value.remedy
    agree(shop, contract("new", "retail", since=date(2026, 10, 6)))
    shop.post(call(2, account="new", occurred_at="2026-10-06T00:00:00Z"))
    assert [("acme", 2, 240), ("new", 1, 120)] == shop.rows(TOTALS)
    with pytest.raises(PublicationBackdatedError):
        agree(shop, contract("new", "retail", since=date(2026, 10, 4)))
    agreed(shop)


@pytest.mark.parametrize(
    ("accounts", "contracts", "said"),
    [
        ([account("b"), sub("x", parent="b")], [contract("b", "list"), contract("x", "retail")], "does not resell"),
        ([sub("x", currency="")], [contract("x", "retail")], "account x: currency"),
        ([sub("x", legal_entity="")], [contract("x", "retail")], "account x: legal_entity"),
        ([], [contract("deep", "retail")], "is resold to and pays"),
        ([], [contract("sub", "retail", since=date(2026, 11, 1), resells=True)], "reseller of a reseller"),
        ([], [contract("acme", "list", since=date(2026, 11, 1))], "does not end"),
        ([sub("x", currency="EUR")], [contract("x", "retail")], "is in USD, and x is billed in EUR"),
    ],
)
def test_what_does_not_fit_is_refused(shop: Shop, accounts: list[object], contracts: list[Contract], said: str) -> None:
    admit(shop, *accounts)
    with pytest.raises(InputFaultyError) as refused:
        agree(shop, *contracts)
    assert any(said in str(fault) for fault in refused.value.faults)


def test_what_an_invoice_needs_is_not_taken_from_an_account_that_is_resold_to(shop: Shop) -> None:
    with pytest.raises(InputFaultyError, match="legal_entity"):
        add_accounts(shop.engine, [sub(legal_entity="")], at=AT, actor="finance")  # type: ignore[list-item]


def test_the_margin_adds_up_to_the_invoices_of_both_sides(shop: Shop) -> None:
    admit(shop, account("b"))
    with pytest.raises(SubjectMissingError, match="resells to nobody"):
        resold_margin(shop.engine, products(), OCTOBER, "b")
    agree(shop, contract("sub", "retail", since=date(2026, 10, 20), least="10"))
    calls = zip(count(1), ["sub", "deep", "own", "acme", "deep"], strict=False)
    shop.post(*(call(number, account=name) for number, name in calls))
    found = resold_margin(shop.engine, products(), OCTOBER, "acme")
    rows = {(item.subaccount, item.what, item.account): (row.cost, row.revenue) for item, row in found.rows.items()}
    true_up = rows.pop(("sub", "true_up", ""))
    assert true_up[0] is None
    assert {
        ("sub", "usage", "sub"): (Fraction("0.04"), Fraction("0.10")),
        ("sub", "usage", "deep"): (Fraction("0.08"), Fraction("0.20")),
        ("", "usage", "own"): (Fraction("0.04"), None),
        ("", "usage", "acme"): (Fraction("0.04"), None),
    } == rows
    fold(shop.engine)
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    assert totals_of(shop) == found.totals
    sides = (("acme", [row.cost for row in found.rows.values()]), ("sub", [row.revenue for row in found.rows.values()]))
    for name, amounts in sides:
        assert found.totals[name] == 100 * sum(amount for amount in amounts if amount is not None)


def test_what_both_sides_lack_is_told_apart(shop: Shop) -> None:
    shop.post(call(1, account="sub", **PARIS), call(2, account="own", **PARIS))
    with snapshot(shop.engine) as connection:
        found = [(each.source, each.events) for each in waiting_usage(connection, products())]
    assert [(SOURCE, 2), (f"resold:{SOURCE}", 1)] == found
