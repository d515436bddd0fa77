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

WINDOWS = {"peak": {"days": ["thu", "sat"], "from": "08:00", "to": "20:00", "split": True}}
CENTS = {"per": "event", "decimals": 2, "mode": "half-up"}

Table = dict[str, Any]

linear = st.sampled_from([{"prices": ["0.01"]}, {"prices": ["0.02"]}, {"prices": ["0.02", "0.01"]}])
cut = st.sampled_from(
    [
        {"steps": ["0:0.02", "60:0.01"]},
        {"steps": ["0:0.02", "300:0.01"]},
        {"steps": ["0:0.02", "60:0.01", "120:0.005"]},
        {"prices": ["0.02"], "min_charge": "0.03"},
        {"prices": ["0.02"], "max_charge": "0.09"},
        {"prices": ["0.02"], "peak": "0.03"},
        {"prices": ["0.02"], "peak": "0.02"},
    ]
)
rows = st.fixed_dictionaries(
    {
        "charge": linear | cut,
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


Side = tuple[Mapping[str, Table], Mapping[str, object] | None]
"""The rows of a card by prefix, and how it rounds each event."""


@st.composite
def mends(draw: st.DrawFn) -> tuple[Side, Side]:
    """A card before and after: some rows more, and now and then another one, or another way to round."""
    whole = draw(lists)
    missing = draw(st.sets(st.sampled_from(sorted(whole))))
    changed = draw(st.dictionaries(st.sampled_from(PREFIXES), rows, max_size=1)) if draw(st.booleans()) else {}
    gap = {prefix: row for prefix, row in whole.items() if prefix not in missing}
    rounding = draw(st.sampled_from([None, None, CENTS]))
    other = draw(st.sampled_from([rounding, rounding, rounding, CENTS]))
    return (gap, rounding), ({**whole, **changed}, other)


def listed(side: Side, since: datetime) -> Card:
    """A card with these rows, and with one to Japan, so that it is never empty."""
    by_prefix, rounding = side
    head = {"id": "list", "currency": "USD", "effective_from": since, "tiers": {"t": SCHEDULE}, "windows": WINDOWS}
    head |= {"rounding": rounding} if rounding else {}
    rate: list[Table] = []
    for prefix, said in sorted({"81": {"charge": {"prices": ["0.5"]}}, **by_prefix}.items()):
        row = {name: value for name, value in said.items() if value and name != "charge"}
        row = {"product": "voice.outbound", "unit": "minute", "increments": "60/60", "prefixes": [prefix], **row}
        charge = dict(said["charge"])
        prices, peak = charge.pop("prices", []), charge.pop("peak", "")
        if len(prices) > 1 and not rounding:
            charge |= {"prices": prices, "tiers": "t"}
        elif prices:
            charge |= {"price": prices[0]}
        rate += [{**row, **charge}, *([{**row, "window": "peak", "price": peak}] if peak else [])]
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
    "elements": """
        SELECT id, part, rate_id, price_id, billed, events, country, payer_id FROM event_elements ORDER BY id, part
    """,
    "waiting": "SELECT id, reason FROM quarantine ORDER BY id",
}
CHARGED = """
    SELECT id, billed, country, reason, element, destination, prices.prices, unit, schedule, part,
        head LIKE '%[rounding]%'
    FROM (SELECT id, billed, country, reason, price_id, 0 AS part FROM events
          UNION ALL SELECT id, billed, country, 0, price_id, part FROM event_elements) AS rated
    LEFT JOIN prices USING (price_id)
    LEFT JOIN card_versions ON card_versions.card_version_id = prices.card_version_id
"""


def state(shop: Shop) -> dict[str, object]:
    """All that matters of a database: ratings with the numbers of rates and prices, totals, and what waits."""
    return {**{name: shop.rows(query) for name, query in STORED.items()}, "totals": shop.totals()}


def charged(shop: Shop) -> dict[object, set[tuple[object, ...]]]:
    """What each event is charged, without a word of cards; what costs nothing for whatever reason has no country."""
    found: dict[object, set[tuple[object, ...]]] = {}
    for event, billed, country, *said in shop.rows(CHARGED):
        found.setdefault(event, set()).add((billed, country if said[1] else None, *said))
    return found


def otherwise(these: Shop, those: Shop) -> list[object]:
    """The priced events of the one that are charged otherwise in the other."""
    found, instead = charged(these), charged(those)
    return [event for event in found if found[event] != instead.get(event)]


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
    mend: tuple[Side, Side],
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
            assert otherwise(mending, foreseen)
            assert unmended == state(mending)
            return
        assert [] == otherwise(mending, foreseen)
        release(mending.engine, products(), at=AT, actor="finance", events_at_once=at_once)
        assert state(foreseen) == state(mending)
        for shop in (mending, foreseen):
            shop.post(*late)
        found = [verify(shop.engine, products(), product_tables(), OCTOBER) for shop in (mending, foreseen)]
        assert found[0] == found[1]
        assert found[0].agrees
        assert state(foreseen) == state(mending)
