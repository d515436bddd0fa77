"""Fold: changes of the totals become totals; what is read is the same before, during and after."""

import threading

from billing.flows.fold import fold
from billing.payloads import MAX_QUANTITY
from billing.store.engine import transaction
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


def test_a_folder_leaves_alone_what_another_holds_and_does_not_wait_for_it(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    for number in range(3):
        shop.post(call(number))
    before = shop.totals()
    folded: list[int] = []
    folding = threading.Thread(target=lambda: folded.append(fold(shop.engine).changes))
    with transaction(shop.engine) as connection:
        connection.execute("SELECT 1 FROM unfolded LIMIT 1 FOR UPDATE")
        folding.start()
        folding.join(timeout=20)
        assert not folding.is_alive(), "it waits"
        assert ([2], before) == (folded, shop.totals())
    assert (1, before) == (fold(shop.engine).changes, shop.totals())


def test_sums_beyond_what_a_float_holds_are_exact(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    for number in range(2):
        shop.post(call(number))
        with transaction(shop.engine) as connection:
            connection.execute(f"UPDATE unfolded SET quantity = {2**53 + 1}".encode())
        fold(shop.engine)
    ((events, quantity),) = [row[5:] for row in shop.totals()]
    assert (2, 2**54 + 2) == (events, quantity)


def test_a_great_many_events_of_the_largest_quantity_are_folded(shop: Shop) -> None:
    """What is let in at the door fits: sums beyond 64 bits would make every fold fail from then on."""
    shop.publish()
    shop.admit("acme")
    shop.post(call(1))
    with transaction(shop.engine) as connection:
        connection.execute(
            "INSERT INTO unfolded SELECT events, %s, payer_id, account_id, price_id, day, country"
            " FROM unfolded, generate_series(1, 100000)",
            [MAX_QUANTITY],
        )
    assert 100_001 == fold(shop.engine).changes
    assert [(100_001, 100_000 * MAX_QUANTITY + 120)] == [row[5:] for row in shop.totals()]


def test_what_leaves_64_bits_stays_a_change_and_all_else_is_folded(shop: Shop) -> None:
    """One account's sum beyond 64 bits made every fold fail from then on, of all accounts."""
    shop.publish()
    shop.admit("acme", "absurd")
    shop.post(call(1, account="absurd"))
    fold(shop.engine)
    for number in range(2, 5):
        shop.post(call(number, account="absurd"))
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE unfolded SET quantity = %s", [2**62])
    shop.post(call(5), call(6))
    assert [1, 0] == [fold(shop.engine, changes_at_once=4).changes for _ in range(2)]
    assert [(1, 120), (2, 240)] == shop.rows("SELECT events, quantity FROM usage_totals ORDER BY quantity")
    assert [(3, 3 * 2**62)] == shop.rows("SELECT sum(events), sum(quantity) FROM unfolded")
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE unfolded SET quantity = 120")
    assert 3 == fold(shop.engine).changes
    assert [(4, 480), (2, 240)] == [row[5:] for row in sorted(shop.totals(), reverse=True)]


def test_changes_are_counted_by_month_and_payer_as_they_are_folded_and_what_is_left_alone_is_not(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme", "absurd")
    for number in range(3):
        shop.post(call(number), call(10 + number, account="absurd"))
    shop.post(call(20, occurred_at="2026-10-03T00:00:00Z"))
    with transaction(shop.engine) as connection:
        connection.execute(
            "UPDATE unfolded SET quantity = %s FROM accounts AS a WHERE a.account_id = payer_id AND a.id = 'absurd'",
            [2**62],
        )
    counted = "SELECT id, folds FROM touched_months JOIN accounts ON account_id = payer_id ORDER BY id"
    assert 4 == fold(shop.engine).changes
    assert [("acme", 4)] == shop.rows(counted)
    with transaction(shop.engine) as connection:
        connection.execute("UPDATE unfolded SET quantity = 120")
    fold(shop.engine)
    assert [("absurd", 3), ("acme", 4)] == shop.rows(counted)
