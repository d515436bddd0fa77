"""A run reads of earlier months only what may have changed since it was billed; and nothing that changed escapes it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.drafts import NO_TOTALS_SHA256, totals_sha256
from billing.flows.adjust import Adjusting
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.fold import fold
from billing.flows.publish import publish
from billing.periods import Period
from billing.runs import GRACE
from billing.store.accounts import read_accounts
from billing.store.adjustments import newest_digests
from billing.store.engine import Connection, snapshot, transaction
from billing.store.totals import fold as fold_some
from billing.store.totals import read_totals
from billing.store.touched import Same, settle, touched_since_billed
from tests.shop import OCTOBER, Shop, call, card, products

NOVEMBER = Period.parse("2026-11")
DECEMBER = Period.parse("2026-12")
JANUARY = Period.parse("2027-01")
LATE = datetime(2026, 12, 3, tzinfo=UTC)
_TURN = count()


def run(shop: Shop, period: Period, *, write: bool = True) -> None:
    draw_up(shop.engine, products(), period, period.closes + GRACE, write=write)


def issue(shop: Shop, period: Period) -> None:
    run(shop, period)
    finalize(shop.engine, period, period.closes + GRACE)


def touched(shop: Shop, before: Period = NOVEMBER) -> dict[str, list[str]]:
    """Of which months whose totals would be compared."""
    with snapshot(shop.engine) as connection:
        names = {number: name for name, number in read_accounts(connection).numbers.items()}
        found = touched_since_billed(connection, before)
        return {str(month): [names[payer] for payer in payers] for month, payers in found.items()}


def adjusting(connection: Connection, period: Period) -> Adjusting:
    return Adjusting.begin(connection, period, products(), read_accounts(connection))


def scans(connection: Connection) -> list[tuple[object, ...]]:
    """How often this transaction read the tables in which all history is."""
    return connection.execute(
        "SELECT relname, coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables"
        " WHERE relname IN ('usage_totals', 'billed_months', 'invoice_lines') ORDER BY 1"
    ).fetchall()


def billed(shop: Shop, period: Period) -> list[tuple[object, ...]]:
    return shop.rows(
        f"SELECT account, kind, total_minor FROM invoices WHERE period_start = '{period.start}' ORDER BY 1"
    )


@pytest.fixture
def october(shop: Shop) -> Shop:
    """A call of two minutes, at 0.02, is folded and issued for October."""
    shop.publish()
    shop.admit("acme", "bolt")
    shop.post(call(1))
    fold(shop.engine)
    issue(shop, OCTOBER)
    return shop


def late(shop: Shop) -> None:
    shop.post(call(2), at=LATE)


def dearer(shop: Shop) -> None:
    """Rated again by force: minus the old, plus the new."""
    mended = card("voice.outbound,44,minute,60/60,0.04")
    publish(shop.engine, mended, products(), at=LATE, actor="ann", reason="wrong price")


def longer(shop: Shop) -> None:
    """Amended: minus the old, plus the new."""
    shop.post(call(1, revision=2, duration_seconds="181"), at=LATE)


def moved(shop: Shop) -> None:
    """Amended into another month, which is open."""
    shop.post(call(1, revision=2, occurred_at="2026-11-03T00:00:00Z"), at=LATE)


CHANGES = [late, dearer, longer, moved]


def test_of_months_without_changes_nothing_is_read(october: Shop) -> None:
    assert {} == touched(october)
    with snapshot(october.engine) as connection:
        read_accounts(connection)
        before = scans(connection)
        found = adjusting(connection, NOVEMBER)
        assert before == scans(connection)
    assert ([], []) == (found.months, found.same)


def test_totals_are_read_where_something_may_have_changed(october: Shop) -> None:
    """So that the test above can fail."""
    late(october)
    with snapshot(october.engine) as connection:
        before = scans(connection)
        assert 1 == len(adjusting(connection, NOVEMBER).months)
        assert before != scans(connection)


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_every_kind_of_change_is_found_folded_or_not(
    october: Shop, change: Callable[[Shop], None], *, folded: bool
) -> None:
    change(october)
    if folded:
        fold(october.engine)
    assert {"2026-10": ["acme"]} == touched(october)
    issue(october, NOVEMBER)
    expected = -4 if change is moved else 4
    assert expected in [row[2] for row in billed(october, NOVEMBER)]
    fold(october.engine)
    issue(october, DECEMBER)
    assert ([], {}) == (billed(october, DECEMBER), touched(october, JANUARY))


@pytest.mark.parametrize("folded", [False, True])
def test_a_month_that_was_never_issued_to_a_payer_is_found(october: Shop, *, folded: bool) -> None:
    october.post(call(2, account="bolt"), at=LATE)
    if folded:
        fold(october.engine)
    assert {"2026-10": ["bolt"]} == touched(october)
    issue(october, NOVEMBER)
    assert [("bolt", "usage", 4)] == billed(october, NOVEMBER)


def test_what_was_unfolded_when_it_was_drawn_up_is_compared_once(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    shop.post(call(1))
    issue(shop, OCTOBER)
    assert {"2026-10": ["acme"]} == touched(shop), "it is not folded"
    fold(shop.engine)
    run(shop, NOVEMBER, write=False)
    assert {"2026-10": ["acme"]} == touched(shop), "previews store nothing"
    run(shop, NOVEMBER)
    assert {} == touched(shop)


def test_what_is_folded_between_the_draft_and_its_invoice_is_found(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    shop.post(call(1))
    fold(shop.engine)
    run(shop, OCTOBER)
    late(shop)
    fold(shop.engine)
    finalize(shop.engine, OCTOBER, OCTOBER.closes + GRACE)
    assert {"2026-10": ["acme"]} == touched(shop)
    issue(shop, NOVEMBER)
    assert [("acme", "usage", 4)] == billed(shop, NOVEMBER)


def test_a_fold_that_ends_after_the_snapshot_hides_nothing(october: Shop) -> None:
    """A draft of a fold that is not committed sees what is unfolded, and less folds."""
    late(october)
    with transaction(october.engine) as folding:
        fold_some(folding, 1000)
        run(october, NOVEMBER)
    october.post(call(3), at=LATE)
    finalize(october.engine, NOVEMBER, NOVEMBER.closes + GRACE)
    assert [("acme", "usage", 4)] == billed(october, NOVEMBER)
    fold(october.engine)
    assert {"2026-10": ["acme"]} == touched(october, DECEMBER)
    issue(october, DECEMBER)
    assert [("acme", "usage", 4)] == billed(october, DECEMBER)


def test_what_a_fold_leaves_for_the_next_is_found(october: Shop) -> None:
    late(october)
    october.post(call(3, occurred_at="2026-10-05T00:00:00Z"), at=LATE)
    with transaction(october.engine) as connection:
        assert (1, 1) == fold_some(connection, 1)
    run(october, NOVEMBER)
    fold(october.engine)
    finalize(october.engine, NOVEMBER, NOVEMBER.closes + GRACE)
    assert [("acme", "usage", 8)] == billed(october, NOVEMBER)
    issue(october, DECEMBER)
    assert ([], {}) == (billed(october, DECEMBER), touched(october, DECEMBER))


def test_a_draft_that_was_withdrawn_leaves_its_month_to_be_compared(october: Shop) -> None:
    late(october)
    fold(october.engine)
    run(october, NOVEMBER)
    dearer(october)
    fold(october.engine)
    assert {"2026-10": ["acme"]} == touched(october)
    issue(october, NOVEMBER)
    assert [("acme", "usage", 12)] == billed(october, NOVEMBER)


def taken_back(shop: Shop) -> None:
    """October is what it was, by totals that were folded twice more."""
    late(shop)
    fold(shop.engine)
    run(shop, DECEMBER)
    shop.post(call(2, revision=2, void=True), at=LATE)
    fold(shop.engine)


def compared(shop: Shop) -> list[Same]:
    with snapshot(shop.engine) as connection:
        found = adjusting(connection, NOVEMBER).same
    assert 1 == len(found)
    return found


def test_what_was_compared_before_another_bill_is_not_settled_after_it(october: Shop) -> None:
    """A run finds October as its invoice billed it, while December's draft, of a call since taken back, is issued."""
    taken_back(october)
    same = compared(october)
    finalize(october.engine, DECEMBER, DECEMBER.closes + GRACE)
    with transaction(october.engine) as connection:
        settle(connection, same)
    assert {"2026-10": ["acme"]} == touched(october, JANUARY)
    issue(october, JANUARY)
    assert [("acme", "credit_note", -4)] == billed(october, JANUARY)


def test_what_was_settled_before_another_bill_is_not_settled_any_more(october: Shop) -> None:
    taken_back(october)
    with transaction(october.engine) as connection:
        settle(connection, compared(october))
    assert {} == touched(october)
    finalize(october.engine, DECEMBER, DECEMBER.closes + GRACE)
    assert {"2026-10": ["acme"]} == touched(october, JANUARY)


def test_settling_waits_for_a_bill_that_is_being_issued_and_sees_it(october: Shop) -> None:
    taken_back(october)
    same = compared(october)

    def settling() -> None:
        with transaction(october.engine) as connection:
            settle(connection, same)

    with ThreadPoolExecutor(max_workers=1) as threads:
        with transaction(october.engine) as issuing:
            issuing.execute("SELECT FROM touched_months FOR UPDATE")
            issuing.execute(
                "INSERT INTO billed_months SELECT invoice_id, payer_id, 1, origin_start, sha256(''), NULL"
                " FROM billed_months"
            )
            waiting = threads.submit(settling)
            until = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            while october.rows(until) == [(0,)]:
                assert not waiting.done(), "it does not wait"
        waiting.result()
    assert {"2026-10": ["acme"]} == touched(october)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.sampled_from(["2026-10", "2026-11"])),
        st.tuples(st.just("void"), st.integers(0, 3)),
        st.tuples(st.just("fold"), st.sampled_from([1, 1000])),
        st.tuples(st.just("run"), st.sampled_from([OCTOBER, NOVEMBER, DECEMBER])),
        st.tuples(st.just("finalize"), st.sampled_from([OCTOBER, NOVEMBER, DECEMBER])),
    ),
    min_size=6,
    max_size=16,
)


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """Somebody is billed in each month."""
    shop.publish()
    shop.admit("other")
    for period in (OCTOBER, NOVEMBER, DECEMBER):
        shop.post(
            call(0, id=f"other-{period}", account="other", occurred_at=f"{period}-02T00:00:00Z"), at=period.closes
        )
        issue(shop, period)
    return shop


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_in_whatever_order_nothing_that_differs_is_missed(
    busy: Shop, steps: list[tuple[str, object]]
) -> None:
    name = f"one-{next(_TURN)}"
    busy.admit(name)
    posted: list[dict[str, object]] = []
    for what, of in steps:
        if what == "call":
            posted.append(call(0, id=f"{name}-{len(posted)}", account=name, occurred_at=f"{of}-02T00:00:00Z"))
            busy.post(posted[-1], at=JANUARY.opens)
        elif what == "void" and isinstance(of, int) and of < len(posted):
            busy.post(posted[of] | {"revision": 2, "void": True}, at=JANUARY.opens)
        elif what == "fold" and isinstance(of, int):
            with transaction(busy.engine) as connection:
                fold_some(connection, of)
        elif isinstance(of, Period):
            (run if what == "run" else finalize_early)(busy, of)
        assert [] == missed(busy)


def finalize_early(shop: Shop, period: Period) -> None:
    finalize(shop.engine, period, period.closes + GRACE)


def missed(shop: Shop) -> list[tuple[str, int]]:
    """Whose totals of which issued month are not what was billed, and would not be compared."""
    found: list[tuple[str, int]] = []
    with snapshot(shop.engine) as connection:
        would_be = touched_since_billed(connection, JANUARY)
        for period in (OCTOBER, NOVEMBER, DECEMBER):
            now, then = totals_sha256(read_totals(connection, period)), newest_digests(connection, period)
            found += [
                (str(period), payer)
                for payer in {*now, *then} - {*would_be.get(period, ())}
                if now.get(payer, NO_TOTALS_SHA256) != then.get(payer, NO_TOTALS_SHA256)
            ]
    return found
