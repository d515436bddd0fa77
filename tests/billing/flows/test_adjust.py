"""What came late for a month that is issued is billed by the next run, as lines or as a credit note."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from billing.bounds import ReleaseNeedlessError
from billing.contracts import Contract
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.publish import add_accounts, add_contracts, publish
from billing.flows.unpark import release_adjustment
from billing.flows.verify import verify
from billing.invoices import Invoice, Kind, content, sha256
from billing.periods import Period
from billing.runs import GRACE, Run
from billing.store.engine import snapshot, transaction
from billing.store.queries.invoices import all_invoices
from cli.world import product_tables
from rates.deals import Credit, Deal, Discount
from rates.money import format_minor
from tests.shop import AT, OCTOBER, Shop, account, call, card, products

NOVEMBER = Period.parse("2026-11")
DECEMBER = Period.parse("2026-12")
MONTHS = [NOVEMBER, DECEMBER]


def closed(period: Period) -> datetime:
    return period.closes + GRACE


def run(shop: Shop, period: Period, late_limit: int = 3) -> Run:
    return draw_up(shop.engine, products(), period, closed(period), write=True, late_limit=late_limit)


def issue(shop: Shop, period: Period) -> list[Invoice]:
    run(shop, period)
    finalize(shop.engine, period, closed(period))
    return documents(shop, period)


def documents(shop: Shop, period: Period, *, final: bool = True) -> list[Invoice]:
    with snapshot(shop.engine) as connection:
        return [each for kind in Kind for each in all_invoices(connection, period, final=final, kind=kind)]


def said(invoices: list[Invoice]) -> list[tuple[str, ...]]:
    """Number, total, and month and amount of each line."""
    found = []
    for each in invoices:
        lines = (f"{line.origin_period} {line.events} {line.base_quantity} {line.amount_minor}" for line in each.lines)
        found.append((each.number, format_minor(each.total_minor, each.party.currency), *lines))
    return found


@pytest.fixture
def october(shop: Shop) -> Shop:
    """One call of two minutes to Britain, at 0.02, is issued for October."""
    shop.publish()
    shop.admit("acme")
    shop.post(call(1))
    assert [("INV-000001", "0.04", "2026-10 1 120 4")] == said(issue(shop, OCTOBER))
    return shop


LATE = datetime(2026, 12, 3, tzinfo=UTC)


def agrees(shop: Shop, *periods: Period) -> None:
    """The verifier agrees with everything that is drawn up, and nothing is of usage that has changed since."""
    for period in periods:
        found = verify(shop.engine, products(), product_tables(), period)
        assert ((), (), 0) == (found.disagreements, found.outdated, found.unbalanced_totals)


def dearer(shop: Shop, price: str) -> None:
    """Put October's price right."""
    mended = card(f"voice.outbound,44,minute,60/60,{price}")
    publish(shop.engine, mended, products(), at=closed(OCTOBER), actor="ann", reason="wrong price")


def test_a_late_call_is_a_line_of_its_month_on_the_next_invoice(october: Shop) -> None:
    october.post(call(2), call(3, occurred_at="2026-11-02T00:00:00Z"), at=LATE)
    (drawn,) = run(october, NOVEMBER).outcomes
    assert (2, 8, (("2026-10", 4),), 0) == (drawn.lines, drawn.total_minor, drawn.adjusts, drawn.credit_notes)
    agrees(october, NOVEMBER)
    assert [("INV-000002", "0.08", "2026-11 1 120 4", "2026-10 1 120 4")] == said(issue(october, NOVEMBER))
    agrees(october, OCTOBER, NOVEMBER)


def test_a_month_without_usage_has_an_invoice_of_what_came_late(october: Shop) -> None:
    october.post(call(2), at=LATE)
    assert [("INV-000002", "0.04", "2026-10 1 120 4")] == said(issue(october, NOVEMBER))
    assert [] == said(issue(october, DECEMBER))
    agrees(october, OCTOBER, NOVEMBER, DECEMBER)


def test_one_month_is_adjusted_in_two_later_ones(october: Shop) -> None:
    october.post(call(2), at=LATE)
    issue(october, NOVEMBER)
    october.post(call(3), call(4), at=LATE)
    assert [("INV-000003", "0.08", "2026-10 2 240 8")] == said(issue(october, DECEMBER))
    agrees(october, OCTOBER, NOVEMBER, DECEMBER)


def test_a_month_that_comes_to_less_is_a_credit_note_that_names_its_invoice(october: Shop) -> None:
    dearer(october, "0.005")
    october.post(call(3, occurred_at="2026-11-02T00:00:00Z"), at=LATE)
    drawn = run(october, NOVEMBER)
    assert (1, {("2026-10", "USD"): -3}) == (drawn.report.credit_notes, drawn.report.adjusted)
    agrees(october, NOVEMBER)
    invoice, note = issue(october, NOVEMBER)
    assert [("INV-000002", "0.01", "2026-11 1 120 1")] == said([invoice])
    assert [("CN-000001", "-0.03", "2026-10 1 120 1", "2026-10 -1 -120 -4")] == said([note])
    assert (Kind.CREDIT_NOTE, "INV-000001") == (note.kind, note.corrects)
    agrees(october, OCTOBER, NOVEMBER)
    assert [] == said(issue(october, DECEMBER))


def test_a_credit_note_alone_is_all_that_a_month_has(october: Shop) -> None:
    dearer(october, "0.005")
    (note,) = issue(october, NOVEMBER)
    assert "CN-000001" == note.number
    dearer(october, "0")
    assert [("CN-000002", "-0.01")] == [each[:2] for each in said(issue(october, DECEMBER))]
    assert "INV-000001" == documents(october, DECEMBER)[0].corrects
    agrees(october, OCTOBER, NOVEMBER, DECEMBER)


def test_what_is_drawn_again_is_the_same_and_the_preview_is_the_run(october: Shop) -> None:
    october.post(call(2), at=LATE)
    october.admit("bolt")
    dearer(october, "0.001")
    preview = draw_up(october.engine, products(), NOVEMBER, closed(NOVEMBER), write=False)
    drawn = run(october, NOVEMBER)
    assert preview.outcomes == drawn.outcomes
    before = october.rows("SELECT * FROM draft_invoices, draft_adjustments, draft_adjusted_totals ORDER BY 1")
    assert drawn.outcomes == run(october, NOVEMBER).outcomes
    assert before == october.rows("SELECT * FROM draft_invoices, draft_adjustments, draft_adjusted_totals ORDER BY 1")
    assert (False,) == october.rows("SELECT changed FROM draft_runs ORDER BY run_id DESC LIMIT 1")[0]


def test_a_draft_that_adjusts_is_read_as_its_digest_says(october: Shop) -> None:
    october.post(call(2), call(3, occurred_at="2026-11-02T00:00:00Z"), at=LATE)
    run(october, NOVEMBER)
    for draft in documents(october, NOVEMBER, final=False):
        assert draft.sha256 == sha256(content(draft))
        assert [("2026-10", 1)] == [(each.period, each.step) for each in draft.adjusts]


@pytest.mark.parametrize(
    "bug",
    [
        "UPDATE draft_adjusted_totals SET quantity = quantity + 1",
        "UPDATE draft_adjustments SET step = step + 1",
        "UPDATE draft_adjustments SET billed_sha256 = sha256('')",
        "UPDATE draft_invoices SET corrects = 'INV-000007'",
        "UPDATE draft_lines SET origin_period = '2026-09'",
    ],
)
def test_a_draft_that_was_altered_is_not_issued(october: Shop, bug: str) -> None:
    dearer(october, "0.005")
    run(october, NOVEMBER)
    with transaction(october.engine) as connection:
        connection.execute(bug.encode())
    found = finalize(october.engine, NOVEMBER, closed(NOVEMBER))
    assert (0, ("acme",)) == (found.issued, found.refused)
    assert [("CN-000001", "-0.03")] == [each[:2] for each in said(issue(october, NOVEMBER))]


def test_of_two_drafts_of_one_difference_only_one_is_issued(october: Shop) -> None:
    october.post(call(2), at=LATE)
    run(october, DECEMBER)
    run(october, NOVEMBER)
    assert 1 == finalize(october.engine, NOVEMBER, closed(NOVEMBER)).issued
    refused = finalize(october.engine, DECEMBER, closed(DECEMBER))
    assert (0, ("acme",)) == (refused.issued, refused.refused)
    assert [] == said(issue(october, DECEMBER))


def test_a_draft_of_an_adjustment_is_withdrawn_where_the_month_is_rated_again(october: Shop) -> None:
    october.post(call(2), at=LATE)
    run(october, NOVEMBER)
    dearer(october, "0.01")
    assert [] == documents(october, NOVEMBER, final=False)
    assert ("acme",) == tuple(finalize(october.engine, NOVEMBER, closed(NOVEMBER)).withdrawn)
    assert [("INV-000002", "0.00", "2026-10 2 240 4", "2026-10 -1 -120 -4")] == said(issue(october, NOVEMBER))


def test_what_has_been_adjusted_is_not_late_any_more(october: Shop) -> None:
    october.post(call(2), at=LATE)
    assert ("acme",) == run(october, OCTOBER).report.late
    issue(october, NOVEMBER)
    assert () == run(october, OCTOBER).report.late
    assert () == finalize(october.engine, OCTOBER, closed(OCTOBER)).late


def test_of_two_months_that_are_issued_at_once_one_bills_the_difference(october: Shop) -> None:
    names = [f"acct-{number}" for number in range(20)]
    october.admit(*names)
    october.post(*(call(number, account=name) for number, name in enumerate(names, start=10)), at=LATE)
    for period in (DECEMBER, NOVEMBER):
        run(october, period)
    with ThreadPoolExecutor() as threads:
        found = [*threads.map(lambda period: finalize(october.engine, period, closed(period), batch=1), MONTHS * 2)]
    assert len(names) == sum(each.issued for each in found)
    billed = (
        "SELECT count(*), count(DISTINCT payer_id), sum(total_minor) FROM invoices WHERE period_start > '2026-10-01'"
    )
    assert [(len(names), len(names), 4 * len(names))] == october.rows(billed)


def test_what_an_earlier_draft_adjusts_is_left_to_it(october: Shop) -> None:
    october.post(call(2), at=LATE)
    run(october, NOVEMBER)
    assert [] == said(issue(october, DECEMBER))
    finalize(october.engine, NOVEMBER, closed(NOVEMBER))
    assert [("INV-000002", "0.04", "2026-10 1 120 4")] == said(documents(october, NOVEMBER))


def test_a_month_that_others_were_billed_for_is_billed_later_to_whoever_had_used_nothing(october: Shop) -> None:
    october.admit("bolt")
    october.post(call(2, account="bolt"), at=LATE)
    assert [("INV-000002", "0.04", "2026-10 1 120 4")] == said(issue(october, NOVEMBER))
    assert ["zero"] == [each.outcome for each in run(october, OCTOBER).outcomes if not each.final]
    assert [("acme",)] == october.rows("SELECT account FROM invoices WHERE period_start = '2026-10-01'")
    agrees(october, OCTOBER, NOVEMBER)
    october.post(call(3, account="bolt"), at=LATE)
    assert [("INV-000003", "0.04", "2026-10 1 120 4")] == said(issue(october, DECEMBER))


def test_a_month_of_which_a_draft_waits_is_left_to_its_own_run(october: Shop) -> None:
    october.admit("bolt")
    october.post(call(2, account="bolt"), at=LATE)
    run(october, OCTOBER)
    assert [] == said(issue(october, NOVEMBER))
    assert 1 == finalize(october.engine, OCTOBER, closed(OCTOBER)).issued


def test_what_is_older_than_the_late_limit_waits_for_a_person_and_the_month_goes_on(october: Shop) -> None:
    march = Period.parse("2027-02")
    october.post(call(2), call(3, occurred_at="2027-02-02T00:00:00Z"), at=closed(march))
    drawn = run(october, march)
    (held,) = drawn.report.held
    assert ("acme", "2026-10", 4, True) == (held.account, held.origin, held.net_minor, held.releasable)
    assert drawn.report.needs_a_person
    assert [("", "0.04", "2027-02 1 120 4")] == said(documents(october, march, final=False))
    assert () == run(october, march, late_limit=4).report.held
    run(october, march)
    release_adjustment(october.engine, march, "acme", OCTOBER, LATE, name="Ann", reason="looked at")
    assert () == run(october, march).report.held
    october.post(call(4), at=closed(march))
    assert 8 == run(october, march).report.held[0].net_minor, "released was what somebody had looked at"
    with pytest.raises(ReleaseNeedlessError, match="no run of 2027-02 holds its adjustment of 2026-11 back"):
        release_adjustment(october.engine, march, "acme", NOVEMBER, LATE, name="Ann", reason="looked at")


def test_contracts_are_those_that_the_month_was_billed_by(shop: Shop) -> None:
    shop.publish()
    add_accounts(shop.engine, [account("acme")], at=AT, actor="finance")
    ten = Deal(discounts=(Discount(percent=Decimal(50)),))
    first = Contract(account="acme", effective_from=date(2026, 10, 1), cards=("list",), deal=ten)
    add_contracts(shop.engine, [first], products(), at=AT, actor="finance")
    shop.post(call(1))
    assert "0.02" == said(issue(shop, OCTOBER))[0][1]
    with transaction(shop.engine) as connection:  # no command does so: it is refused
        connection.execute("UPDATE contracts SET terms = '{}'")
    shop.post(call(2), at=LATE)
    assert [("INV-000002", "0.02", "2026-10 1 120 2")] == said(issue(shop, NOVEMBER))
    agrees(shop, NOVEMBER)


def test_promotional_credits_are_not_used_for_what_came_late(shop: Shop) -> None:
    shop.publish()
    add_accounts(shop.engine, [account("acme")], at=AT, actor="finance")
    deal = Deal(credits=(Credit(id="welcome", amount=Decimal(5)),))
    contract = Contract(account="acme", effective_from=date(2026, 10, 1), cards=("list",), deal=deal)
    add_contracts(shop.engine, [contract], products(), at=AT, actor="finance")
    shop.post(call(1))
    assert "0.00" == said(issue(shop, OCTOBER))[0][1]
    shop.post(call(2), at=LATE)
    agrees(shop, NOVEMBER)
    assert [("INV-000002", "0.04", "2026-10 1 120 4")] == said(issue(shop, NOVEMBER))
    agrees(shop, OCTOBER, NOVEMBER)


@pytest.mark.parametrize(
    "bug",
    [
        "UPDATE draft_lines SET amount_minor = amount_minor + 1 WHERE origin_period = '2026-10'",
        "UPDATE draft_lines SET origin_period = '2026-11'",
        "UPDATE draft_lines SET residual = '1/300'",
    ],
)
def test_the_verifier_finds_an_adjustment_that_is_wrong(october: Shop, bug: str) -> None:
    october.post(call(2), at=LATE)
    run(october, NOVEMBER)
    with transaction(october.engine) as connection:
        connection.execute(bug.encode())
    assert verify(october.engine, products(), product_tables(), NOVEMBER).disagreements


def test_usage_that_came_after_the_draft_of_an_adjustment_outdates_it(october: Shop) -> None:
    october.post(call(2), at=LATE)
    run(october, NOVEMBER)
    october.post(call(3), at=LATE)
    found = verify(october.engine, products(), product_tables(), NOVEMBER)
    assert ((), ("acme",)) == (found.disagreements, found.outdated)
    assert ("acme",) == verify(october.engine, products(), product_tables(), OCTOBER).outdated


def test_an_amended_call_of_an_issued_month_is_billed_by_what_it_differs(october: Shop) -> None:
    october.post(call(1, revision=2, duration_seconds="600"), call(3, occurred_at="2026-11-02T00:00:00Z"), at=LATE)
    (drawn,) = run(october, NOVEMBER).outcomes
    assert (20, (("2026-10", 16),), 0) == (drawn.total_minor, drawn.adjusts, drawn.credit_notes)
    assert [("INV-000002", "0.20", "2026-11 1 120 4", "2026-10 0 480 16")] == said(issue(october, NOVEMBER))
    agrees(october, OCTOBER, NOVEMBER)


def test_a_call_of_an_issued_month_that_is_taken_back_is_credited(october: Shop) -> None:
    october.post({"id": "call-1", "revision": 2, "void": True}, call(3, occurred_at="2026-11-02T00:00:00Z"), at=LATE)
    documents_ = said(issue(october, NOVEMBER))
    assert {"0.04", "-0.04"} == {total for _, total, *_ in documents_}
    agrees(october, OCTOBER, NOVEMBER)


def test_a_call_that_is_amended_to_the_next_month_is_credited_there_and_billed_here(october: Shop) -> None:
    october.post(call(1, revision=2, occurred_at="2026-11-02T00:00:00Z"), at=LATE)
    assert {"0.04", "-0.04"} == {total for _, total, *_ in said(issue(october, NOVEMBER))}
    agrees(october, OCTOBER, NOVEMBER)
