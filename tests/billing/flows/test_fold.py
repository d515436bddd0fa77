"""Fold: changes of the totals become totals; what is read is the same before, during and after."""

from billing.flows.fold import fold
from tests.shop import Shop, call


def test_totals_read_the_same_folded_or_not(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme", "beta")
    shop.post(call(1), call(2, occurred_at="2026-10-03T00:00:00Z"), call(3, account="beta"))
    shop.post(call(4), call(5, account="beta", duration_seconds="600"))
    before = shop.totals()
    folded = fold(shop.engine)
    assert (5, 3, before) == (folded.changes, folded.totals, shop.totals())
    assert [(0, 3)] == shop.rows("SELECT (SELECT count(*) FROM unfolded), (SELECT count(*) FROM usage_totals)")
    shop.post(call(6))
    assert [(3, 360), (1, 120), (2, 720)] == [row[5:] for row in shop.totals()]


def test_folding_in_small_steps_folds_all(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    for number in range(7):
        shop.post(call(number))
    before = shop.totals()
    assert 7 == fold(shop.engine, changes_at_once=2).changes
    assert before == shop.totals()
    assert 0 == fold(shop.engine).changes
