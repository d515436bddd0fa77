"""Stored ratings are read with all that was reported, and rewritten in the page in which they lie."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.flows.correct import rerate_period
from billing.flows.publish import publish
from billing.rerating import Stretch
from billing.store.engine import transaction
from billing.store.ratings import ELEMENT, Elements, Stored, stored_ratings
from billing.store.rewriting import Rewriting
from tests.shop import AT, OCTOBER, Shop, call, card, products

GB = "voice.outbound,44,minute,60/60,0.02,0.05"
BEGIN, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)


def stored(shop: Shop, stretches: Sequence[Stretch], limit: int) -> list[Stored]:
    with transaction(shop.engine) as connection:
        return list(stored_ratings(connection, stretches, limit))


def payers(shop: Shop) -> list[int]:
    return [int(str(number)) for (number,) in shop.rows("SELECT account_id FROM accounts ORDER BY id")]


def texts_of(found: Stored) -> list[tuple[str, dict[str, str]]]:
    usage = found.usage
    columns = {**usage.texts, "account": usage.account, "source": usage.source, "product": usage.product}
    return [
        (name, {key: text.values[text.codes[row]] for key, text in columns.items() if text.codes[row]})
        for row, name in enumerate(usage.id.to_pylist())
    ]


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_texts_that_few_events_state_are_those_of_their_events(shop: Shop, limit: int) -> None:
    shop.publish()
    shop.admit("acme", "bolt")
    said = [{}, {"country": "FR"}, {"error_code": "7", "account": "bolt"}, {}, {"number_type": "mobile", "region": "x"}]
    shop.post(*(call(number, status=None, **each) for number, each in enumerate(said)))
    common = {"account": "acme", "source": "voice-eu-1", "product": "voice.outbound"}
    found = stored(shop, [Stretch(payer, BEGIN, END) for payer in payers(shop)], limit)
    assert min(limit, 5) == max(map(len, found))
    assert {f"call-{number}": {**common, **each} for number, each in enumerate(said)} == dict(
        pair for part in found for pair in texts_of(part)
    )


def test_each_payer_has_a_stretch_of_its_own(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme", "bolt")
    days = [datetime(2026, 10, day, tzinfo=UTC) for day in (2, 3, 4)]
    shop.post(
        *(
            call(10 * place + day.day, account=name, occurred_at=day.isoformat())
            for place, name in enumerate(["acme", "bolt"], 1)
            for day in days
        )
    )
    acme, bolt = payers(shop)
    stretches = [Stretch(acme, BEGIN, days[0]), Stretch(acme, days[1], days[2]), Stretch(bolt, days[1], END)]
    found = {name for part in stored(shop, stretches, 2) for name in part.usage.id.to_pylist()}
    assert {"call-13", "call-23", "call-24"} == found


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_elements_are_those_of_their_events(shop: Shop, limit: int) -> None:
    shop.publish(card(f"{GB}\nvoice.outbound,33,minute,60/60,0.03,"))
    shop.admit("acme", "bolt")
    one_instant = {"occurred_at": "2026-10-03T10:00:00Z"}
    shop.post(*(call(number, account=["acme", "bolt"][number % 2], **one_instant) for number in range(5)))
    shop.post(call(9), call(10, to="+33123456789"), call(11, account="bolt"))
    expected = shop.rows("SELECT id, price_id FROM event_elements ORDER BY id")
    assert 7 == len(expected)
    found = [
        (part.usage.id[event].as_py(), price)
        for part in stored(shop, [Stretch(payer, BEGIN, END) for payer in payers(shop)], limit)
        for event, price in zip(part.ratings.extra_event.tolist(), part.ratings.extra_price.tolist(), strict=True)
    ]
    assert expected == sorted(found)


KEYS = st.tuples(st.integers(1, 2), st.integers(0, 2), st.integers(1, 2), st.sampled_from(["", "a", "b", "é"]))


@given(st.lists(KEYS, unique=True).map(sorted), st.data())
def test_elements_that_come_in_parts_are_given_with_their_events(
    events: list[tuple[int, int, int, str]], data: st.DataObject
) -> None:
    every = [key for key in events for _ in range(data.draw(st.integers(0, 2)))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(every)), max_size=3)))
    parts = [every[start:end] for start, end in zip([0, *cuts], [*cuts, len(every)], strict=True)]

    def coming() -> Generator[pa.Table, None, None]:
        yield from map(of_keys, parts)

    elements, size = Elements(coming()), data.draw(st.integers(1, 3))
    for start in range(0, len(events), size):
        some = events[start : start + size]
        found = elements.until(of_keys(some)).select(["payer_id", "id"]).to_pylist()
        assert [{"payer_id": key[0], "id": key[3]} for key in every if key in some] == found


def of_keys(keys: Sequence[tuple[int, int, int, str]]) -> pa.Table:
    rows = [{"payer_id": payer, "occurred_at": at, "source_id": source, "id": name} for payer, at, source, name in keys]
    return pa.Table.from_pylist([dict.fromkeys(ELEMENT.names) | row for row in rows], ELEMENT)


def test_a_month_is_rewritten_in_the_pages_in_which_it_lies(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")
    shop.post(*(call(number) for number in range(500)))
    pages = "SELECT id, (ctid::text::point)[0] FROM events ORDER BY id"
    before, prices = shop.rows(pages), shop.rows("SELECT DISTINCT price_id FROM events")
    assert 1 < len({page for _, page in before})
    dear = card("voice.outbound,44,minute,60/60,0.03", since="2026-10-02")
    assert 500 == publish(shop.engine, dear, products(), at=AT, actor="ann", reason="dear").moved
    assert before == shop.rows(pages)
    assert prices != shop.rows("SELECT DISTINCT price_id FROM events")


def test_what_is_as_it_was_is_not_written(shop: Shop) -> None:
    shop.publish(card(GB))
    shop.admit("acme")
    shop.post(call(1), call(2))
    places = "SELECT id, ctid::text FROM events UNION ALL SELECT id, ctid::text FROM event_elements ORDER BY 1, 2"
    before = shop.rows(places)
    assert 2 == rerate_period(shop.engine, products(), OCTOBER, at=AT, actor="ann", reason="why").events
    assert before == shop.rows(places)


@pytest.mark.parametrize("changes_at_once", [0, 3, 1_000])
def test_totals_are_the_sums_of_ratings_however_many_changes_are_kept(shop: Shop, changes_at_once: int) -> None:
    shop.publish(card(GB))
    shop.admit("acme", "bolt")
    shop.post(*(call(number, account=["acme", "bolt"][number % 2]) for number in range(6)))
    with transaction(shop.engine) as connection:
        rewriting = Rewriting(connection=connection, changes_at_once=changes_at_once)
        stretches = [Stretch(payer, BEGIN, END) for payer in payers(shop)]
        for part in stored_ratings(connection, stretches, 2):
            new = replace(part.ratings, billed=part.ratings.billed + 60)
            rewriting.rewrite(part, new, np.ones(len(part), dtype=np.bool_))
        rewriting.finish()
    assert [(180,)] * 6 == shop.rows("SELECT billed FROM events")
    # Payer, account, price, country, day, events, quantity: of their minutes, and of their setups.
    assert sorted([3 * 180, 3] * 2) == sorted(total[-1] for total in shop.totals())
