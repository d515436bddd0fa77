"""Closing a month: it goes as far as nobody is needed, and the same words go on from wherever it stopped."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import psycopg
import pytest

from billing.approvals import ApprovalMissingError, Approvals, ApprovalSelfError
from billing.bounds import Bounds
from billing.closing import Closing, Stage, State
from billing.flows.approve import approve
from billing.flows.close import Rules, close
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.unpark import unpark
from billing.flows.verify import verify
from billing.runs import DEFAULT_RULES, GRACE, PeriodOpenError
from billing.store.approvals import newest_approval
from billing.store.engine import transaction
from billing.verification import Verification
from cli.world import product_tables
from tests.shop import OCTOBER, Shop, call, products

CLOSED = OCTOBER.closes + GRACE
TWO = replace(DEFAULT_RULES, approvals=Approvals.TWO_PEOPLE)
RULES = Rules(issue=TWO, factor=Fraction(3))
BOUNDED = replace(RULES, issue=replace(TWO, bounds=Bounds()))


REFUSE_BOLT = """
CREATE FUNCTION refuse_bolt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.account = 'bolt' THEN RAISE EXCEPTION 'out of order'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse_bolt BEFORE INSERT ON invoices FOR EACH ROW EXECUTE FUNCTION refuse_bolt();
"""


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme", "bolt")
    shop.post(call(1), call(2, account="bolt"))


def go_on(shop: Shop, name: str = "finance", rules: Rules = RULES) -> Closing:
    tables = product_tables()
    return close(shop.engine, products(), tables, OCTOBER, CLOSED, rules=rules, actor="root", drawn_by=name)


def sign(shop: Shop, name: str = "controller") -> None:
    approve(shop.engine, OCTOBER, CLOSED, approver=name, actor="root", rules=TWO)


def states(found: Closing) -> list[State]:
    return [found.states()[stage] for stage in Stage]


def issued(shop: Shop) -> list[object]:
    return [account for (account,) in shop.rows("SELECT account FROM invoices ORDER BY 1")]


def test_it_stops_for_a_signature_and_goes_on_with_it(shop: Shop) -> None:
    found = go_on(shop)
    assert [State.DONE, State.DONE, State.DONE, State.STOPS, State.AHEAD] == states(found)
    assert (2, None, None, True) == (found.drafts, found.approval, found.issued, found.needs_a_person)
    assert [] == issued(shop)
    sign(shop)
    found = go_on(shop)
    assert [State.DONE] * 5 == states(found)
    assert found.run is None, "what is signed is not drawn up again"
    assert found.issued is not None
    assert (2, ["acme", "bolt"], False) == (found.issued.issued, issued(shop), found.needs_a_person)


def test_nothing_unsigned_is_issued_where_nobody_has_to_approve_either(shop: Shop) -> None:
    lax = replace(RULES, issue=DEFAULT_RULES)
    assert State.STOPS is go_on(shop, rules=lax).states()[Stage.APPROVE]
    assert [] == issued(shop)


def test_a_closed_month_is_closed(shop: Shop) -> None:
    go_on(shop)
    sign(shop)
    go_on(shop)
    found = go_on(shop)
    assert (0, None, False, ["acme", "bolt"]) == (found.drafts, found.issued, found.needs_a_person, issued(shop))
    assert [State.DONE] * 5 == states(found)


def test_whoever_signed_may_go_on(shop: Shop) -> None:
    """It draws nothing up then, so that nobody approves what they ran."""
    go_on(shop, "ann")
    sign(shop, "ben")
    go_on(shop, "ben")
    assert ["acme", "bolt"] == issued(shop)


def test_whoever_only_looks_may_sign(shop: Shop) -> None:
    """A close that changes nothing draws nothing up, so two people are enough however often either of them calls it."""
    go_on(shop, "ann")
    go_on(shop, "ben")
    with pytest.raises(ApprovalSelfError):
        sign(shop, "ann")
    sign(shop, "ben")
    assert go_on(shop, "ann").issued is not None


def test_whoever_took_a_draft_away_has_drawn_the_others_up_too(shop: Shop) -> None:
    go_on(shop, "ann")
    shop.post(call(4, to="+81312345678"))
    go_on(shop, "ben", BOUNDED)
    go_on(shop, "cara", BOUNDED)
    for name in ("ann", "ben"):
        with pytest.raises(ApprovalSelfError):
            sign(shop, name)
    sign(shop, "cara")


def test_usage_that_came_after_the_signature_is_drawn_up_and_waits_for_another(shop: Shop) -> None:
    go_on(shop)
    sign(shop)
    shop.post(call(3))
    found = go_on(shop, "ann")
    assert (State.STOPS, []) == (found.states()[Stage.APPROVE], issued(shop))
    with pytest.raises(ApprovalSelfError):
        sign(shop, "ann")
    sign(shop)
    assert go_on(shop).issued is not None
    assert [("acme", 8), ("bolt", 4)] == shop.rows("SELECT account, total_minor FROM invoices ORDER BY 1")


def test_what_broke_off_while_issuing_goes_on(shop: Shop) -> None:
    go_on(shop)
    sign(shop)
    with transaction(shop.engine) as connection:
        connection.execute(REFUSE_BOLT)
    with pytest.raises(psycopg.errors.RaiseException):
        finalize(shop.engine, OCTOBER, CLOSED, rules=TWO, batch=1)
    assert ["acme"] == issued(shop)
    with transaction(shop.engine) as connection:
        connection.execute("DROP TRIGGER refuse_bolt ON invoices")
    found = go_on(shop)
    assert (None, 1) == (found.run, found.drafts)
    assert [("acme", 1), ("bolt", 2)] == shop.rows("SELECT account, number FROM invoices ORDER BY 1")


def test_an_account_that_a_bound_holds_back_is_closed_behind_the_others(shop: Shop) -> None:
    shop.post(call(4, to="+81312345678"))
    found = go_on(shop, rules=BOUNDED)
    assert (State.LOOK, 1) == (found.states()[Stage.DRAW_UP], found.drafts)
    sign(shop)
    found = go_on(shop, rules=BOUNDED)
    assert (State.LOOK, ["bolt"]) == (found.states()[Stage.ISSUE], issued(shop))
    facts = {"name": "controller", "reason": "Japan is not sold"}
    unpark(shop.engine, OCTOBER, "acme", CLOSED, **facts)
    assert State.STOPS is go_on(shop, rules=BOUNDED).states()[Stage.APPROVE]
    sign(shop)
    go_on(shop, rules=BOUNDED)
    assert ["acme", "bolt"] == issued(shop)


def test_nothing_is_issued_that_the_verifier_disagrees_with(shop: Shop) -> None:
    go_on(shop)
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE unfolded SET quantity = quantity + 60")
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True, drawn_by="finance")
    sign(shop)
    found = go_on(shop)
    assert [State.DONE, State.STOPS, State.DONE, State.AHEAD, State.AHEAD] == states(found)
    assert [] == issued(shop)


def test_usage_without_a_price_that_came_after_the_signature_is_looked_at_too(shop: Shop) -> None:
    go_on(shop, rules=BOUNDED)
    sign(shop)
    shop.post(call(4, to="+81312345678"))
    found = go_on(shop, rules=BOUNDED)
    assert found.run is not None
    assert ["acme"] == [each.account for each in found.run.report.stopped]
    assert [] == issued(shop)


def test_usage_that_comes_between_signature_and_verification_stops_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of such an account not its draft is verified, but what it would be now."""
    go_on(shop)
    sign(shop)

    def late(*words: Any, **named: Any) -> Verification:  # noqa: ANN401 (whatever it is called with)
        shop.post(call(9))
        return verify(*words, **named)

    monkeypatch.setattr("billing.flows.close.verify", late)
    found = go_on(shop)
    assert (("acme",), State.STOPS, State.AHEAD) == (
        found.stale,
        found.states()[Stage.VERIFY],
        found.states()[Stage.ISSUE],
    )
    assert [] == issued(shop)


def test_nothing_is_issued_by_another_signature_than_the_one_under_what_was_verified(shop: Shop) -> None:
    go_on(shop)
    sign(shop)
    with transaction(shop.engine) as connection:
        verified = newest_approval(connection, OCTOBER)
    assert verified is not None
    sign(shop, "cara")
    with pytest.raises(ApprovalMissingError, match="signed drafts anew meanwhile"):
        finalize(shop.engine, OCTOBER, CLOSED, rules=replace(TWO, approval_id=verified.approval_id))
    assert [] == issued(shop)


def test_a_month_without_usage_is_closed_at_once(shop: Shop) -> None:
    found = close(
        shop.engine,
        products(),
        product_tables(),
        OCTOBER.next(),
        CLOSED + timedelta(days=60),
        rules=RULES,
        actor="root",
    )
    assert (0, None, False) == (found.drafts, found.issued, found.needs_a_person)


def test_a_month_that_may_still_grow_is_not_closed(shop: Shop) -> None:
    with pytest.raises(PeriodOpenError, match="close the month: the period is open for late usage until"):
        close(shop.engine, products(), product_tables(), OCTOBER, CLOSED - timedelta(seconds=1), rules=RULES)
    assert [] == shop.rows("SELECT 1 FROM draft_runs")
