"""Law 2: "Duplicates, permutations, batching, sharding, crashes: byte-identical totals and invoices." Here: mends.

A card is published with gaps, usage comes in, and a version with other rows is published from a day in the past. Then
all is as if that version had been there before any usage; or, where that would charge otherwise what was rated, the
version is refused, and nothing has changed. Whether it would is worked out from a second database, which had it first.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.errors import PublicationBackdatedError
from billing.flows.fold import fold
from billing.flows.publish import publish
from billing.flows.release import release
from billing.flows.verify import verify
from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import open_engine
from cli.world import product_tables
from rates.cardfile import card_from_table
from rates.cards import Card
from tests.shop import AT, OCTOBER, Shop, call, products

BEGIN = datetime(2026, 10, 1, tzinfo=UTC)
PREFIXES = ["1", "44", "4477", "33", "49"]
NUMBERS = ["+14155550100", "+441632960000", "+447700900123", "+33123456789", "+4930123456", "+81312345678"]
SCHEDULE = {"up_to": ["4"], "unit": "minute", "fill": [{"product": ["voice.outbound"]}], "flats": ["0", "1"]}

Table = dict[str, Any]

rows = st.fixed_dictionaries(
    {
        "prices": st.sampled_from([["0.01"], ["0.02"], ["0.02", "0.01"]]),
        "increments": st.sampled_from(["60/60", "1/1"]),
        "destination": st.sampled_from(["", "Abroad"]),
        "setup_fee": st.sampled_from(["", "0.05"]),
    }
)
lists = st.dictionaries(st.sampled_from(PREFIXES), rows, min_size=3)
calls = st.fixed_dictionaries(
    {
        "to": st.sampled_from(NUMBERS),
        "account": st.sampled_from(["acme", "acme", "bolt", "nobody"]),
        "duration_seconds": st.sampled_from(["0", "1", "61", "125", "400"]),
        "status": st.sampled_from(["completed", "completed", "completed", "completed", "busy"]),
        "hour": st.integers(0, 96),
    }
)


@st.composite
def mends(draw: st.DrawFn) -> tuple[Mapping[str, Table], Mapping[str, Table]]:
    """The rows before and after, by prefix: some more, and now and then another one."""
    whole = draw(lists)
    missing = draw(st.sets(st.sampled_from(sorted(whole))))
    changed = draw(st.dictionaries(st.sampled_from(PREFIXES), rows, max_size=1)) if draw(st.booleans()) else {}
    return {prefix: row for prefix, row in whole.items() if prefix not in missing}, {**whole, **changed}


def listed(by_prefix: Mapping[str, Table], since: datetime) -> Card:
    """A card with these rows, and with one to Japan, so that it is never empty."""
    head = {"id": "list", "currency": "USD", "effective_from": since, "tiers": {"t": SCHEDULE}}
    rate = []
    for prefix, said in sorted({"81": {"prices": ["0.5"]}, **by_prefix}.items()):
        row = {name: value for name, value in said.items() if value and name != "prices"}
        row |= {"prices": said["prices"], "tiers": "t"} if len(said["prices"]) > 1 else {"price": said["prices"][0]}
        rate.append({"product": "voice.outbound", "unit": "minute", "increments": "60/60", "prefixes": [prefix], **row})
    found, faults = card_from_table({**head, "rate": rate}, {}, products())
    assert found is not None, faults
    return found


def events(drawn: Sequence[Table]) -> list[dict[str, object]]:
    found = []
    for number, said in enumerate(drawn):
        facts = {name: value for name, value in said.items() if name != "hour"}
        found.append(call(number, occurred_at=(BEGIN + timedelta(hours=said["hour"])).isoformat(), **facts))
    return found


@contextmanager
def new_shop(cluster: Cluster, migrated: str) -> Iterator[Shop]:
    name = f"test_{uuid.uuid4().hex}"
    engine = open_engine(create_database(cluster, name, migrated).sqlalchemy_url)
    try:
        yield Shop(engine=engine)
    finally:
        engine.dispose()
        drop_database(cluster, name)


STORED = {
    "events": "SELECT id, rate_id, price_id, billed, reason, country, payer_id, account_id FROM events ORDER BY id",
    "elements": "SELECT id, rate_id, price_id, billed, country, payer_id FROM event_elements ORDER BY id, price_id",
    "waiting": "SELECT id, reason FROM quarantine ORDER BY id",
}
CHARGED = """
    SELECT id, billed, country, reason, element, destination, prices, unit, schedule
    FROM (SELECT id, billed, country, reason, price_id FROM events
          UNION ALL SELECT id, billed, country, 0, price_id FROM event_elements) AS rated
    LEFT JOIN prices USING (price_id)
"""


def state(shop: Shop) -> dict[str, object]:
    """All that matters of a database: ratings with the numbers of rates and prices, totals, and what waits."""
    return {**{name: shop.rows(query) for name, query in STORED.items()}, "totals": shop.totals()}


def charged(shop: Shop) -> set[tuple[object, ...]]:
    """What each event is charged, without a word of cards; what costs nothing for whatever reason has no country."""
    return {(*row[:2], row[2] if row[4] else None, *row[3:]) for row in shop.rows(CHARGED)}


@settings(max_examples=40, deadline=None)
@given(
    mend=mends(),
    before=st.lists(calls, min_size=6, max_size=14),
    after=st.lists(calls, max_size=6),
    hours=st.integers(1, 48),
    folded=st.booleans(),
    at_once=st.integers(1, 6),
)
def test_a_mended_card_is_as_if_it_had_been_there_or_is_refused(
    cluster: Cluster,
    migrated: str,
    *,
    mend: tuple[Mapping[str, Table], Mapping[str, Table]],
    before: Sequence[Table],
    after: Sequence[Table],
    hours: int,
    folded: bool,
    at_once: int,
) -> None:
    gap, mended = listed(mend[0], BEGIN), listed(mend[1], BEGIN + timedelta(hours=hours))
    usage = events([*before, *after])
    early, late = usage[: len(before)], usage[len(before) :]
    with new_shop(cluster, migrated) as mending, new_shop(cluster, migrated) as foreseen:
        for shop in (mending, foreseen):
            shop.publish(gap)
            shop.admit("acme", "bolt")
        foreseen.publish(mended)
        for shop in (mending, foreseen):
            shop.post(*early)
        if folded:
            fold(mending.engine)
        unmended = state(mending)
        try:
            publish(mending.engine, mended, products(), at=AT, actor="finance", events_at_once=at_once)
        except PublicationBackdatedError:
            assert charged(mending) - charged(foreseen)
            assert unmended == state(mending)
            return
        assert set() == charged(mending) - charged(foreseen)
        release(mending.engine, products(), at=AT, actor="finance", events_at_once=at_once)
        assert state(foreseen) == state(mending)
        for shop in (mending, foreseen):
            shop.post(*late)
        found = [verify(shop.engine, products(), product_tables(), OCTOBER) for shop in (mending, foreseen)]
        assert found[0] == found[1]
        assert found[0].agrees
        assert state(foreseen) == state(mending)
