"""Law 9: "Acknowledged = durable. Same key + other payload = conflict, never a merge". Here: the key has a revision."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.revising import CONTENTS, VOID, Model, Told, report
from tests.shop import Shop, card, outcomes

LATER = datetime(2026, 11, 2, tzinfo=UTC)
TOLD = st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(VOID, len(CONTENTS) - 1))
KEPT = (
    "SELECT id, revision, fingerprint FROM event_revisions UNION SELECT id, revision, fingerprint FROM event_identity"
)


@pytest.fixture
def opened(shop: Shop) -> Shop:
    rates = "voice.outbound,44 1,minute,60/60,0.02\nsms.outbound,44,segment,,0.04"
    shop.publish(card(rates, since="2026-01-01"))
    shop.admit("acme", "beta", since=date(2026, 9, 1))
    return shop


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(TOLD, min_size=1, max_size=8), min_size=1, max_size=5))
def test_each_revision_is_told_what_it_is_and_none_takes_the_place_of_its_equal(
    opened: Shop, chunks: list[list[Told]]
) -> None:
    opened.forget()
    model = Model()
    for chunk in chunks:
        before = set(opened.rows(KEPT))
        expected = model.take(chunk)
        assert expected == outcomes(opened.post(*(report(*told) for told in chunk), at=LATER))
        assert before <= set(opened.rows(KEPT))
    assert sum(map(len, model.known.values())) == len(opened.rows(KEPT))
