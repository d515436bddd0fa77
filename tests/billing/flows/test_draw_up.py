"""Drawing up: a draft for each account with usage, the same in a preview as in a run, and the others said why not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.fold import fold
from billing.flows.publish import add_accounts
from billing.invoices import State, content, sha256
from billing.periods import Period
from billing.runs import GRACE, Outcome, PeriodLockedError, PeriodOpenError, Run
from billing.store.drafts import lock_period
from billing.store.engine import snapshot, transaction
from billing.store.queries.invoices import all_invoices
from rates.money import Currency
from tests.shop import OCTOBER, Shop, account, call, card, products, tiered

CLOSED = OCTOBER.closes + GRACE
NOVEMBER = Period.parse("2026-11")


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme", "idle")


def run(shop: Shop, *, write: bool = True, at: datetime = CLOSED, early: bool = False) -> Run:
    return draw_up(shop.engine, products(), OCTOBER, at, write=write, actor="finance", early=early)


def drafts(shop: Shop) -> dict[str, str]:
    """The canonical form of each account's draft."""
    with snapshot(shop.engine) as connection:
        found = list(all_invoices(connection, OCTOBER, final=False))
    assert [State.DRAFT] * len(found) == [invoice.state for invoice in found]
    assert [sha256(content(invoice)) for invoice in found] == [invoice.sha256 for invoice in found]
    return {invoice.party.account: content(invoice) for invoice in found}


def test_every_active_account_has_one_outcome(shop: Shop) -> None:
    shop.post(call(1), call(2))
    report = run(shop).report
    assert (2, 1, 1, 0, 0) == (report.active, report.billed, report.zero, report.parked, report.failed)
    assert {"USD": 8} == report.totals_minor  # 2 × 61 s -> 2 × 2 minutes at 0.02
    assert [(2, 1, 1)] == shop.rows("SELECT active, billed, zero FROM draft_runs")


def test_the_preview_is_the_run_and_writes_nothing(shop: Shop) -> None:
    shop.post(call(1), call(2, account="nobody"))
    preview = run(shop, write=False)
    assert {} == drafts(shop)
    assert [] == shop.rows("SELECT 1 FROM draft_runs")
    written = run(shop)
    assert preview.outcomes == written.outcomes
    assert replace(preview.report, written=True) == written.report
    assert {"acme"} == set(drafts(shop))


def test_what_is_not_folded_yet_is_billed_as_well(shop: Shop) -> None:
    shop.post(call(1))
    fold(shop.engine)
    shop.post(call(2))
    unfolded = run(shop)
    fold(shop.engine)
    assert unfolded.outcomes == run(shop).outcomes
    assert 8 == unfolded.outcomes[0].total_minor


def test_drawing_again_leaves_what_did_not_change_untouched(shop: Shop) -> None:
    shop.admit("other")
    shop.post(call(1), call(2, account="other"))
    run(shop)
    before = shop.rows("SELECT account, invoice_id, xmin::text FROM draft_invoices ORDER BY account")
    run(shop)
    assert before == shop.rows("SELECT account, invoice_id, xmin::text FROM draft_invoices ORDER BY account")
    shop.post(call(3))
    run(shop)
    after = shop.rows("SELECT account, invoice_id, xmin::text FROM draft_invoices ORDER BY account")
    assert [False, True] == [a == b for a, b in zip(after, before, strict=True)]
    assert shop.rows("SELECT invoice_id FROM draft_invoices ORDER BY 1") == shop.rows(
        "SELECT DISTINCT invoice_id FROM draft_lines ORDER BY 1"
    )


def test_an_approved_draft_that_changes_is_a_draft_again(shop: Shop) -> None:
    shop.post(call(1))
    run(shop)
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE draft_invoices SET state = 'approved'")
    run(shop)
    assert [("approved",)] == shop.rows("SELECT state FROM draft_invoices")
    shop.post(call(2))
    run(shop)
    assert [("draft",)] == shop.rows("SELECT state FROM draft_invoices")


def test_the_draft_of_an_account_that_is_not_billed_any_more_goes_away(shop: Shop) -> None:
    shop.post(call(1))
    run(shop)
    with transaction(shop.engine) as connection:
        connection.execute("DELETE FROM unfolded")
    assert 0 == run(shop).report.billed
    assert {} == drafts(shop)
    assert [(0, 0)] == shop.rows(
        "SELECT (SELECT count(*) FROM draft_lines), (SELECT count(*) FROM draft_billed_totals)"
    )


def test_the_order_of_events_decides_on_the_day_of_a_crossing(shop: Shop) -> None:
    shop.publish(tiered(("44", "0.02 0.01"), id_="tiered"))
    shop.admit("big", cards=("tiered",))
    day = "2026-10-07T{}Z"
    # 40 s and 40 s on one day: the counter crosses at 60 s, so that 20 s of the later call are in tier 2.
    shop.post(
        call(2, account="big", duration_seconds="40", occurred_at=day.format("11:00:00")),
        call(1, account="big", duration_seconds="40", occurred_at=day.format("10:00:00")),
    )
    run(shop)
    found = shop.rows("SELECT tier, events, base_quantity, amount_minor FROM draft_lines ORDER BY tier")
    assert [("1", 2, 60, 2), ("2", 0, 20, 0)] == found


def test_the_integers_that_were_priced_are_kept_with_the_draft(shop: Shop) -> None:
    shop.post(call(1), call(2, occurred_at="2026-10-03T00:00:00Z"))
    run(shop)
    assert [(2, 240, "GB")] == shop.rows("SELECT events, quantity, country FROM draft_billed_totals")


def test_an_account_in_another_currency_than_its_card_is_parked_and_the_others_are_billed(shop: Shop) -> None:
    shop.admit("abroad")
    shop.post(call(1), call(2, account="abroad"))
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE accounts SET currency = 'EUR' WHERE id = 'abroad'")
    found = run(shop)
    assert (1, 1, 1) == (found.report.billed, found.report.zero, found.report.parked)
    (stopped,) = found.report.stopped
    assert ("abroad", Outcome.PARKED) == (stopped.account, stopped.outcome)
    assert "is billed in EUR, but was rated in USD" in stopped.reason
    assert [("parked",)] == shop.rows("SELECT outcome FROM draft_stops")
    assert found.report.needs_a_person


def test_an_account_that_breaks_fails_alone_and_is_said_why(shop: Shop) -> None:
    shop.admit("absurd", "other")
    shop.post(call(1), *(call(i, account="absurd", occurred_at=f"2026-10-0{i}T00:00:00Z") for i in (2, 3)))
    shop.post(call(4, account="other"))
    with transaction(shop.engine) as connection:
        connection.execute(
            "UPDATE unfolded SET quantity = 9223372036854775807"
            " FROM accounts WHERE unfolded.account_id = accounts.account_id AND id = 'absurd'"
        )
    found = run(shop)
    assert (2, 1, 1) == (found.report.billed, found.report.zero, found.report.failed)
    (stopped,) = found.report.stopped
    assert ("absurd", Outcome.FAILED) == (stopped.account, stopped.outcome)
    assert "QuantityOverflowError: the quantity of a line could reach 18446744073709551614" in stopped.reason
    assert {"acme", "other"} == set(drafts(shop))


@pytest.mark.parametrize("changes", [2, 1])
def test_an_account_whose_totals_do_not_add_up_fails_alone(shop: Shop, changes: int) -> None:
    """Sums beyond 64 bits, of one day when they are read, or of the days when they are kept with the draft."""
    shop.publish(card("voice.outbound,44,event,60/60,0.02", id_="calls"))
    shop.admit("other")
    shop.admit("absurd", cards=("calls",))
    shop.post(call(1), call(2, account="other"))
    for number, day in ((3, 2), (4, 2 if changes == 2 else 3)):
        shop.post(call(number, account="absurd", occurred_at=f"2026-10-0{day}T00:00:00Z"))
    expected = {name: text for name, text in drafts_of(shop).items() if name != "absurd"}
    with transaction(shop.engine) as connection:
        connection.execute(
            "UPDATE unfolded SET quantity = 9223372036854775807"
            " FROM accounts WHERE unfolded.account_id = accounts.account_id AND id = 'absurd'"
        )
    found = run(shop)
    assert (2, 1, 0, 1) == tuple(getattr(found.report, name) for name in ("billed", "zero", "parked", "failed"))
    (stopped,) = found.report.stopped
    assert ("absurd", Outcome.FAILED) == (stopped.account, stopped.outcome)
    assert "the sum of the quantity of one account leaves 64 bits" in stopped.reason
    assert expected == drafts(shop)
    assert found.outcomes == run(shop, write=False).outcomes


def drafts_of(shop: Shop) -> dict[str, str]:
    """The canonical form of each draft as a run makes it now."""
    run(shop)
    return drafts(shop)


def test_quarantined_usage_is_counted_and_stops_nobody(shop: Shop) -> None:
    shop.post(call(1), call(2, to="+33123456789"), call(3, account="nobody"), call(4, account="nobody"))
    report = run(shop).report
    assert {"no_rate": 1, "unknown_account": 2} == report.quarantined
    assert 1 == report.billed


def test_a_period_that_has_not_ended_can_be_previewed_but_not_drawn(shop: Shop) -> None:
    shop.post(call(1))
    almost = OCTOBER.closes - timedelta(microseconds=1)
    assert run(shop, write=False, at=almost).report.provisional
    with pytest.raises(PeriodOpenError, match="has not ended"):
        run(shop, at=almost)
    assert 1 == run(shop, at=almost, early=True).report.billed
    assert run(shop, at=OCTOBER.closes).report.provisional


def test_a_run_does_not_wait_for_another(shop: Shop) -> None:
    with transaction(shop.engine) as connection:
        assert lock_period(connection, OCTOBER, shared=False)
        with pytest.raises(PeriodLockedError, match="2026-10"):
            run(shop)
        assert 0 == run(shop, write=False).report.billed


def test_usage_belongs_to_the_period_in_which_it_occurred(shop: Shop) -> None:
    shop.post(
        call(1, occurred_at="2026-10-31T23:59:59.999999Z"),
        call(2, occurred_at="2026-11-01T00:00:00Z"),
        at=datetime(2026, 11, 1, 12, tzinfo=UTC),
    )
    assert [("2026-10", 1)] == [("2026-10", run(shop).outcomes[0].lines)]
    november = draw_up(shop.engine, products(), NOVEMBER, NOVEMBER.closes, write=False)
    assert (4, 4) == (run(shop).outcomes[0].total_minor, november.outcomes[0].total_minor)


def test_the_usage_of_subaccounts_is_on_their_payers_invoice(shop: Shop) -> None:
    add_accounts(shop.engine, [account("acme-fr", parent="acme", pays=False, currency="")], at=CLOSED, actor="finance")
    shop.post(call(1), call(2, account="acme-fr"))
    found = run(shop)
    assert ["acme", "idle"] == [each.account for each in found.outcomes]
    assert 8 == found.outcomes[0].total_minor
    assert [(2,)] == shop.rows("SELECT count(*) FROM draft_billed_totals")


def test_usage_that_changed_after_the_invoice_is_final_is_reported(shop: Shop) -> None:
    shop.post(call(1))
    run(shop)
    finalize(shop.engine, OCTOBER, CLOSED)
    assert () == run(shop).report.late
    shop.post(call(2))
    found = run(shop).report
    assert ("acme",) == found.late
    assert (1, 1, 4) == (found.billed, found.final, found.totals_minor[Currency("USD")])
    assert {} == drafts(shop)


def test_many_accounts_are_taken_in_chunks(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.admit("b", "c", "d")
    shop.post(*(call(i, account=name) for i, name in enumerate(["acme", "b", "c", "d"])))
    whole = run(shop, write=False)
    monkeypatch.setattr("billing.flows.draw_up.CHUNK", 2)
    assert whole == run(shop, write=False)


def test_what_begins_with_the_next_period_makes_nobody_active_and_waits_in_none_before(shop: Shop) -> None:
    shop.admit("next", since=NOVEMBER.start)
    first = NOVEMBER.opens.isoformat()
    shop.post(
        call(1),
        call(2, account="next", occurred_at=first),
        call(3, account="nobody", occurred_at=first),
        at=datetime(2026, 11, 1, 12, tzinfo=UTC),
    )
    october = run(shop)
    assert ["acme", "idle"] == [each.account for each in october.outcomes]
    assert {} == october.report.quarantined
    november = draw_up(shop.engine, products(), NOVEMBER, NOVEMBER.closes, write=False)
    assert ["acme", "idle", "next"] == [each.account for each in november.outcomes]
    assert {"unknown_account": 1} == november.report.quarantined
