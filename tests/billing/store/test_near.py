"""Near-duplicates: what says the same under another id is found, all of it and nothing else, a page at a time."""

from collections import defaultdict
from datetime import date, timedelta

import pytest

from billing.flows.ingest import Intake
from billing.periods import Period
from billing.store.engine import Engine, snapshot, transaction
from billing.store.partitions import make_partitions
from billing.store.queries.near import Twin, twins
from tests.shop import AT, OCTOBER, Shop, call, payloads, products


@pytest.fixture
def open_shop(shop: Shop) -> Shop:
    shop.publish()
    shop.admit("acme", "beta")
    return shop


def post_from(shop: Shop, source: str, *events: dict[str, object]) -> None:
    Intake(engine=shop.engine, products=products(), source=source).ingest(payloads(events), AT)


def found(engine: Engine, *, span: Period = OCTOBER, accounts: list[str] | None = None, limit: int = 100) -> list[Twin]:
    with snapshot(engine) as connection:
        return twins(connection, span, accounts=accounts, limit=limit)


def named(some: list[Twin]) -> list[tuple[str, str, str, str]]:
    return [(twin.source, twin.id, twin.first_source, twin.first_id) for twin in some]


def test_the_same_call_under_another_id_or_from_another_source_is_one(open_shop: Shop) -> None:
    open_shop.post(call(1))
    open_shop.post(call(2, occurred_at="2026-10-03T00:00:00Z"), at=AT + timedelta(minutes=1))
    open_shop.post(call(3), at=AT + timedelta(minutes=1))
    post_from(open_shop, "switch-2", call(1) | {"id": "other"}, call(2, occurred_at="2026-10-03T00:00:00Z"))
    (first, second, third) = found(open_shop.engine)
    assert {"call-3", "other"} == {first.id, second.id}
    assert ("voice-eu-1", "call-1") == (first.first_source, first.first_id)
    assert ("voice-eu-1", "call-1") == (second.first_source, second.first_id)
    assert ("voice-eu-1", "call-2", "switch-2", "call-2") == named([third])[0]
    assert ("acme", "voice.outbound", "", "+447700900123", 61) == (
        first.account, first.product, first.from_, first.to, first.measured,
    )  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"account": "beta"},
        {"occurred_at": "2026-10-02T10:11:12.000001Z"},
        {"to": "+447700900124"},
        {"from": "+14155550123"},
        {"duration_seconds": "62"},
        {"product": "voice.sip", "to": "sip:alice@example.org"},
    ],
    ids="-".join,
)
def test_what_differs_in_anything_that_is_asked_is_none(open_shop: Shop, changes: dict[str, object]) -> None:
    open_shop.post(call(1), call(2, **changes))
    assert [] == found(open_shop.engine)


def test_what_tells_no_party_or_measures_nothing_is_not_compared(open_shop: Shop) -> None:
    """Numbers of a month's charges all look alike, and so do calls that nobody answered."""
    unanswered, nobody = {"duration_seconds": "0"}, {"product": "voice.conference", "to": None}
    open_shop.post(call(1, **unanswered), call(2, **unanswered), call(3, **nobody), call(4, **nobody))
    with transaction(open_shop.engine) as connection:
        connection.execute("UPDATE events SET to_e164 = NULL WHERE measured > 0")
    assert [] == found(open_shop.engine)


def test_what_a_source_takes_back_is_none_any_more(open_shop: Shop) -> None:
    open_shop.post(call(1), call(2))
    assert ["call-2"] == [twin.id for twin in found(open_shop.engine)]
    open_shop.post({"id": "call-2", "revision": 2, "void": True})
    assert [] == found(open_shop.engine)


def test_days_and_accounts_are_chosen(open_shop: Shop) -> None:
    for account in ("acme", "beta"):
        for day in ("02", "03"):
            both = [
                call(n, id=f"{account}-{day}-{n}", account=account, occurred_at=f"2026-10-{day}T00:00:00Z")
                for n in (1, 2)
            ]
            open_shop.post(*both)
    third = Period(start=date(2026, 10, 3), end=date(2026, 10, 4))
    assert ["acme-03-2", "beta-03-2"] == [twin.id for twin in found(open_shop.engine, span=third)]
    assert ["acme-02-2", "acme-03-2"] == [twin.id for twin in found(open_shop.engine, accounts=["acme"])]


def test_at_scale_every_one_is_found_page_by_page(engine: Engine) -> None:
    """100,000 events of which most share their second with others, against a comparison of all with all."""
    load(engine)
    with snapshot(engine) as connection:
        rows = connection.execute(
            "SELECT payer_id, occurred_at, measured, to_e164, received_at, source_id, id FROM events WHERE measured > 0"
        ).fetchall()
        groups = defaultdict(list)
        for *key, received_at, source, name in rows:
            groups[tuple(key)].append((received_at, source, name))
        wanted = [
            (*key[:2], source, name, *min(group)[1:])
            for key, group in groups.items()
            for _, source, name in sorted(group)[1:]
        ]
        walked: list[Twin] = []
        while page := twins(connection, OCTOBER, after=walked[-1].place if walked else None, limit=97):
            walked += page
    told = [
        (
            each.place.payer,
            each.place.occurred_at,
            each.place.source,
            each.id,
            int(each.first_source[-1]),
            each.first_id,
        )
        for each in walked
    ]
    assert 500 < len(wanted)
    assert sorted(wanted) == told


def load(engine: Engine) -> None:
    """Calls of few payers in few seconds to few numbers, from two sources."""
    with transaction(engine) as connection:
        make_partitions(connection, [OCTOBER.start])
    with transaction(engine) as connection:
        connection.execute("INSERT INTO sources (id) VALUES ('switch-1'), ('switch-2')")
        connection.execute("INSERT INTO products (id) VALUES ('voice.outbound')")
        connection.execute(
            "INSERT INTO accounts (id, pays, prepaid, currency, zone, name, address, tax_id, language, legal_entity,"
            " suspended, added_at) SELECT 'a' || g, true, false, 'USD', 'UTC', '', '{}', '', '', '', '{}', now()"
            " FROM generate_series(1, 5) g"
        )
        connection.execute("SELECT setseed(0.25)")
        connection.execute(
            "INSERT INTO events (occurred_at, received_at, batch, to_e164, measured, billed, payer_id, account_id,"
            "  source_id, revision, product_id, reason, id, country)"
            " SELECT timestamptz '2026-10-01Z' + make_interval(secs => floor(random() * 3000)),"
            "  timestamptz '2026-10-02Z' + make_interval(secs => floor(random() * 10)), 1,"
            "  447000000000 + floor(random() * 8)::bigint, floor(random() * 40)::bigint, 1, payer, payer,"
            "  1 + g % 2, 1, 1, 0, 'c' || g, 'GB'"
            " FROM (SELECT g, 1 + floor(random() * 5)::int AS payer FROM generate_series(1, 100000) g) AS calls"
        )
        connection.execute("ANALYZE events")
