"""Law 9: "Acknowledged = durable. Same key + other payload = conflict, never a merge".

Whatever is reported under a few identities, by whatever way: the first committed stays, byte for byte, and every
other report is told what it is. (That what was acknowledged is durable: `test_law_02_crashes.py`.)
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.store.engine import transaction
from tests.shop import Shop, call, outcomes

CHANGES: list[dict[str, object]] = [
    {},
    {"duration_seconds": "62"},
    {"to": "+447700900124"},
    {"occurred_at": "2026-10-02T10:11:13Z"},
    {"account": "beta"},
    {"account": "nobody"},
    {"status": "busy"},
    {"country": "GB"},
    {"from": "anonymous"},
]
SAME: list[dict[str, object]] = [{}, {"occurred_at": "2026-10-02T12:11:12+02:00"}, {"quantity": 61}]
REPORT = st.tuples(st.integers(0, 4), st.integers(0, len(CHANGES) - 1), st.sampled_from(SAME))
STORED = (
    "SELECT id, account_id, occurred_at, to_e164, measured, status, stated_country, from_address FROM"
    " (SELECT id, account_id::text, occurred_at, to_e164, measured, status, stated_country, from_address FROM events"
    " UNION ALL SELECT id, account, occurred_at, to_e164, measured, status, stated_country, from_address"
    " FROM quarantine) AS stored ORDER BY id"
)


@pytest.fixture
def opened(shop: Shop) -> Shop:
    shop.publish()
    shop.admit("acme", "beta")
    return shop


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(REPORT, min_size=1, max_size=6), min_size=1, max_size=5))
def test_the_first_report_of_an_identity_stays_and_another_content_is_a_conflict(
    opened: Shop, chunks: list[list[tuple[int, int, dict[str, object]]]]
) -> None:
    with transaction(opened.engine) as connection:
        connection.execute("TRUNCATE event_identity, events, quarantine, unfolded, usage_totals, touched_months")
    first: dict[int, int] = {}
    for chunk in chunks:
        expected = []
        for number, content, _ in chunk:
            if number not in first:
                expected.append("quarantined" if CHANGES[content].get("account") == "nobody" else "accepted")
            else:
                expected.append("duplicate" if first[number] == content else "conflict")
            first.setdefault(number, content)
        events = []
        for number, content, same in chunk:
            changes = CHANGES[content]
            # Another way to write the same, where it does not stand for something else here.
            events.append(call(number, **({} if same.keys() & {"quantity"} and changes else same) | changes))
        before = opened.rows(STORED)
        assert expected == outcomes(opened.post(*events))
        assert before == [row for row in opened.rows(STORED) if row in before]
    assert len(first) == len(opened.rows(STORED))
