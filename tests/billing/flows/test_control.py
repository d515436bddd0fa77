"""Control totals: what a source counted has to match what was accepted, or accounts with such usage are parked."""

from collections.abc import Sequence
from datetime import date

import psycopg
import pytest

from billing.bounds import Released
from billing.controls import Control, ControlKey, ControlsUnmatchedError, Count, control, read_controls
from billing.flows.approve import approve
from billing.flows.control import add_controls
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize, rehearse
from billing.flows.ingest import Intake
from billing.flows.unpark import unpark
from billing.runs import GRACE, IssueReport, Outcome, Run
from billing.store.engine import snapshot, transaction
from billing.store.queries.controls import compared_controls
from tests.shop import AT, OCTOBER, SOURCE, Shop, call, card, payloads, products

DAY = ControlKey(SOURCE, "voice.outbound", date(2026, 10, 2))


@pytest.fixture
def month(shop: Shop) -> Shop:
    """On October 2, by acme: a call, twice, one that is not billed, and one that waits; the next day one by bolt."""
    shop.publish(card())
    shop.admit("acme", "bolt", "idle")
    shop.post(call(1), call(1), call(2, status="busy", duration_seconds="0"), call(3, to="+33123456789"))
    shop.post(call(4, account="bolt", occurred_at="2026-10-03T00:00:00Z"))
    return shop


def say(shop: Shop, *controls: Control) -> int:
    return add_controls(shop.engine, controls, at=AT, actor="ann")


def matches(shop: Shop) -> list[tuple[int, Count, Count, bool]]:
    with snapshot(shop.engine) as connection:
        found = compared_controls(connection, OCTOBER)
    return [(each.revision, each.counted, each.accepted, each.matches) for each in found]


def drawn(shop: Shop) -> Run:
    return draw_up(shop.engine, products(), OCTOBER, OCTOBER.closes + GRACE, write=True)


def issued(shop: Shop) -> IssueReport:
    return finalize(shop.engine, OCTOBER, OCTOBER.closes + GRACE)


def rehearsed(shop: Shop) -> IssueReport:
    return rehearse(shop.engine, OCTOBER, OCTOBER.closes + GRACE)


def release(shop: Shop, account: str) -> Released:
    at = OCTOBER.closes + GRACE
    return unpark(shop.engine, OCTOBER, account, at, name="controller", reason="the switch counts twice")


def parked(run: Run) -> Sequence[str]:
    return [each.account for each in run.report.stopped if each.outcome is Outcome.PARKED]


def test_rated_zero_rated_and_quarantined_count_and_duplicates_count_once(month: Shop) -> None:
    assert 1 == say(month, Control(DAY, Count(3, 122)))
    assert [(1, Count(3, 122), Count(3, 122), True)] == matches(month)
    assert [] == parked(drawn(month))


@pytest.mark.parametrize("count", [Count(4, 122), Count(2, 122), Count(3, 121), Count(0, 0)])
def test_what_does_not_match_parks_the_accounts_with_such_usage_and_the_report_adds_up(
    month: Shop, count: Count
) -> None:
    drawn(month)
    say(month, Control(DAY, count))
    report = drawn(month).report
    assert (3, 1, 1, 1, 0) == (report.active, report.billed, report.zero, report.parked, report.failed)
    stopped = report.stopped[0]
    assert "acme" == stopped.account
    assert f"voice.outbound of 2026-10-02: {SOURCE} counted {count.events} events" in stopped.reason
    assert [("bolt",)] == month.rows("SELECT account FROM draft_invoices")


def test_a_corrected_count_is_a_revision_and_lets_the_account_go_on(month: Shop) -> None:
    say(month, Control(DAY, Count(4, 122)))
    assert 1 == say(month, Control(DAY, Count(3, 122)))
    assert 0 == say(month, Control(DAY, Count(3, 122)))
    assert [(2, Count(3, 122), Count(3, 122), True)] == matches(month)
    assert [] == parked(drawn(month))
    with pytest.raises(psycopg.errors.RestrictViolation), transaction(month.engine) as connection:
        connection.execute("DELETE FROM usage_controls")


def test_a_day_of_which_nothing_came_parks_all_with_usage_of_that_source(month: Shop) -> None:
    say(month, Control(DAY._replace(day=date(2026, 10, 9)), Count(1, 60)))
    assert ["acme", "bolt"] == parked(drawn(month))


def test_other_sources_and_products_stop_no_account_and_so_the_whole_month(month: Shop) -> None:
    say(
        month,
        Control(DAY._replace(source="unknown"), Count(1, 60)),
        Control(DAY._replace(product="sms.outbound"), Count(1, 60)),
        Control(DAY._replace(day=date(2026, 11, 2)), Count(1, 60)),
    )
    report = drawn(month).report
    assert (3, ()) == (report.active, report.stopped)
    assert [False, False] == [each[-1] for each in matches(month)]
    assert ["sms.outbound of 2026-10-02", "voice.outbound of 2026-10-02"] == sorted(
        each.partition(":")[0] for each in report.mismatches
    )
    assert report.needs_a_person, "nobody is stopped, and somebody has to look all the same"
    for issuing in (issued, rehearsed):
        with pytest.raises(ControlsUnmatchedError, match="unknown counted 1 events of 60 in all, and 0 of 0 were acc"):
            issuing(month)
    assert [] == month.rows("SELECT FROM invoices")


@pytest.mark.parametrize("remedy", ["import", "correct"])
def test_a_source_of_which_nothing_came_stops_the_month_until_it_came_or_the_count_is_corrected(
    month: Shop, remedy: str
) -> None:
    lost = Control(DAY._replace(source="sw3"), Count(1, 61))
    say(month, lost)
    drawn(month)
    with pytest.raises(ControlsUnmatchedError, match="sw3 counted 1 events") as stopped:
        issued(month)
    assert "import what is missing and draw it up with `tollbook invoices run 2026-10`" in stopped.value.remedy
    assert "`tollbook usage controls add` of what the source really counted" in stopped.value.remedy
    if remedy == "import":
        Intake(engine=month.engine, products=products(), source="sw3").ingest(payloads([call(1)]), AT)
        drawn(month)
    else:
        say(month, lost._replace(counted=Count()))
    assert (2, ()) == ((found := issued(month)).issued, found.mismatches)


def test_what_is_issued_is_issued_whatever_a_source_counts_later(month: Shop) -> None:
    drawn(month)
    issued(month)
    say(month, Control(DAY._replace(source="sw3"), Count(1, 60)))
    found = issued(month)
    assert (0, 1, True) == (found.issued, len(found.mismatches), found.needs_a_person)


def test_whoever_signs_is_told_which_control_totals_stop_what_is_signed(month: Shop) -> None:
    drawn(month)
    say(month, Control(DAY, Count(4, 122)), Control(DAY._replace(source="sw3"), Count(1, 60)))
    report = approve(month.engine, OCTOBER, OCTOBER.closes + GRACE, approver="controller")
    assert (True, ["acme"]) == (report.written, [*report.unmatched])
    assert ["sw3 counted 1 events of 60 in all"] == [each.split(": ")[1].split(",")[0] for each in report.mismatches]


def test_whose_usage_only_waits_is_parked_too(month: Shop) -> None:
    month.post(call(9, account="idle", to="+33123456789", occurred_at="2026-10-05T10:00:00Z"))
    say(month, Control(DAY._replace(day=date(2026, 10, 5)), Count(2, 122)))
    assert ["idle"] == parked(drawn(month))


def test_where_only_unknown_accounts_used_something_that_day_all_of_that_source_are_parked(month: Shop) -> None:
    month.post(call(9, account="nobody", occurred_at="2026-10-07T10:00:00Z"))
    say(month, Control(DAY._replace(day=date(2026, 10, 7)), Count(2, 122)))
    assert ["acme", "bolt"] == parked(drawn(month))


@pytest.mark.parametrize("count", [Count(4, 122), Count(3, 121)])
def test_a_control_total_that_came_after_the_run_and_does_not_match_is_named_and_not_issued(
    month: Shop, count: Count
) -> None:
    drawn(month)
    say(month, Control(DAY, count))
    found = issued(month)
    assert (1, ["acme"], True) == (found.issued, [*found.unmatched], found.needs_a_person)
    said = f"{SOURCE} counted {count.events} events of {count.quantity} in all, and 3 of 122 were accepted"
    assert (f"voice.outbound of 2026-10-02: {said}",) == found.unmatched["acme"]
    assert [("bolt",)] == month.rows("SELECT account FROM invoices")
    assert [("acme",)] == month.rows("SELECT account FROM draft_invoices")
    say(month, Control(DAY, Count(3, 122)))
    again = issued(month)
    assert (1, {}) == (again.issued, again.unmatched)
    say(month, Control(DAY, count))
    assert {} == issued(month).unmatched, "what is issued is issued"


def test_a_control_total_that_matched_and_does_not_any_more_is_named_and_not_issued(month: Shop) -> None:
    say(month, Control(DAY, Count(3, 122)))
    drawn(month)
    month.post(call(8))
    assert ["acme"] == [*issued(month).unmatched]


def test_a_control_total_that_matches_by_usage_that_came_after_the_draft_issues_no_draft_without_it(
    month: Shop,
) -> None:
    drawn(month)
    say(month, Control(DAY, Count(4, 183)))
    assert ["acme"] == [*issued(month).unmatched]
    month.post(call(5))
    found = issued(month)
    assert ({}, ("acme",), True) == (found.unmatched, found.outdated, found.needs_a_person)
    assert ("acme",) == rehearse(month.engine, OCTOBER, OCTOBER.closes + GRACE).outdated
    assert [("bolt",)] == month.rows("SELECT account FROM invoices")
    drawn(month)
    again = issued(month)
    assert (1, ()) == (again.issued, again.outdated)
    assert [(8,)] == month.rows("SELECT total_minor FROM invoices WHERE account = 'acme'")


def test_late_usage_that_no_control_total_counts_waits_for_the_next_run_and_holds_no_draft(month: Shop) -> None:
    drawn(month)
    say(month, Control(DAY, Count(3, 122)))
    month.post(call(8, account="bolt", occurred_at="2026-10-04T00:00:00Z"))
    found = issued(month)
    assert (2, (), ("bolt",)) == (found.issued, found.outdated, found.late)


def test_an_account_with_a_mismatch_is_released_by_name_and_its_bill_is_drawn_up_and_issued(month: Shop) -> None:
    say(month, Control(DAY, Count(4, 122)))
    stopped = drawn(month).report.stopped[0]
    assert stopped.releasable
    released = release(month, "acme")
    assert ("controller", 4) == (released.person, released.total_minor)
    assert 2 == drawn(month).report.billed
    assert (2, {}) == ((found := issued(month)).issued, found.unmatched)


@pytest.mark.parametrize("other", ["counted", "accepted", "another day"])
def test_a_release_covers_the_mismatch_that_was_seen_and_no_other(month: Shop, other: str) -> None:
    say(month, Control(DAY, Count(4, 122)))
    drawn(month)
    release(month, "acme")
    drawn(month)
    if other == "counted":
        say(month, Control(DAY, Count(4, 123)))
    elif other == "accepted":
        month.post(call(7, duration_seconds="1"))
    else:
        say(month, Control(DAY._replace(day=date(2026, 10, 9)), Count(1, 60)))
    assert ["acme"] == [each for each in issued(month).unmatched if each != "bolt"]
    assert "acme" in parked(drawn(month))
    release(month, "acme")
    assert "acme" not in parked(drawn(month))


def test_a_source_is_named_as_it_is_called(month: Shop) -> None:
    odd = 'switch "7", \\n {a,b}'
    Intake(engine=month.engine, products=products(), source=odd).ingest(payloads([call(1)]), AT)
    say(month, Control(DAY._replace(source=odd), Count(9, 9)))
    assert f"{odd} counted 9 events" in drawn(month).report.stopped[0].reason
    release(month, "acme")
    assert [] == parked(drawn(month))


def test_a_mismatch_that_was_seen_stays_released_beside_what_was_released_later(month: Shop) -> None:
    say(month, Control(DAY, Count(4, 122)))
    drawn(month)
    release(month, "acme")
    say(month, Control(DAY._replace(day=date(2026, 10, 9)), Count(1, 60)))
    second = drawn(month).report.stopped[0].reason
    assert "2026-10-09" in second
    assert "2026-10-02" not in second, "what somebody has looked at is not asked again"
    release(month, "acme")
    release(month, "bolt")
    assert [] == parked(drawn(month))
    say(month, Control(DAY, Count(3, 122)))
    assert [] == parked(drawn(month)), "less differs than was released"


GOOD = {"source": "s", "product": "p", "day": "2026-10-02", "events": "3", "quantity": "4"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("source", ""), ("source", " s"), ("product", "a\nb"), ("day", "2026-10"), ("day", "20261002")]
    + [(name, value) for name in ("events", "quantity") for value in ("", "-1", "1.5", "1e3", "٣", "9" * 19)],
)
def test_a_faulty_cell_is_named(name: str, value: str) -> None:
    found = control({**GOOD, name: value}, "f.csv:2")
    assert isinstance(found, list)
    assert [(f"f.csv:2 {name}", value)] == [(each.place, each.value) for each in found]


def test_files_are_read_by_their_header() -> None:
    found, faults = read_controls("day,source,product,quantity,events\r\n2026-10-02,s,p,4,3\r\n\r\n", "f.csv")
    assert ([control(GOOD, "")], []) == (found, faults)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "f.csv:1"),
        ("source,product\ns,p\n", "f.csv:1"),
        (f"{','.join(GOOD)}\ns,p\n", "f.csv:2"),
        (f"{','.join(GOOD)}\ns,p,{'x' * 200_000}\n", "f.csv:2"),
        (f"{','.join(GOOD)}\n{','.join(GOOD.values())}\n{','.join(GOOD.values())}\n", "f.csv:3"),
    ],
)
def test_a_faulty_file_is_told_by_its_line(text: str, place: str) -> None:
    assert [place] == [each.place for each in read_controls(text, "f.csv")[1]]
