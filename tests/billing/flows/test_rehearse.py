"""A rehearsal: what an import would come to, foreseen to the letter, and nothing of it stored."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from billing.chunks import Chunk
from billing.flows.ingest import import_usage
from billing.flows.publish import publish
from billing.flows.rehearse import Rehearsal, rehearse_usage
from billing.receipts import Outcome, Taken
from billing.store.compiled import CompiledCards
from billing.store.engine import rehearsal, transaction
from rates.compiled.cards import CardTable
from rates.products import Product
from tests.shop import AT, SOURCE, Shop, call, card, payloads, products

STORED = """
SELECT (SELECT count(*) FROM event_identity), (SELECT count(*) FROM events), (SELECT count(*) FROM quarantine),
    (SELECT count(*) FROM sources), (SELECT count(*) FROM products), (SELECT count(*) FROM unfolded),
    (SELECT count(*) FROM pg_inherits), (SELECT last_value FROM batches), (SELECT is_called FROM batches)
"""


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme")


def chunked(events: Sequence[Mapping[str, object]], size: int) -> list[Chunk]:
    lines = payloads(events)
    return [
        Chunk(lines[i : i + size], range(i + 1, i + 1 + len(lines[i : i + size]))) for i in range(0, len(lines), size)
    ]


def told(taken: Sequence[Taken]) -> list[tuple[int, str, str]]:
    """Line, outcome and reason of each payload."""
    return [
        (line, str(receipt.outcome(row)), receipt.reason(row))
        for chunk, receipt in taken
        for row, line in enumerate(chunk.lines)
    ]


def rehearsed(shop: Shop, chunks: Sequence[Chunk], source: str | None = SOURCE) -> list[tuple[int, str, str]]:
    heard: list[Taken] = []
    rehearse_usage(shop.engine, source, chunks, products=products(), at=AT, on_chunk=heard.append)
    return told(heard)


def imported(shop: Shop, chunks: Sequence[Chunk], source: str | None = SOURCE) -> list[tuple[int, str, str]]:
    heard: list[Taken] = []
    import_usage(shop.engine, source, chunks, products=products(), at=AT, on_chunk=heard.append)
    return told(heard)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_it_comes_to_what_the_import_comes_to_however_it_is_cut(shop: Shop, size: int) -> None:
    """Known, twice in a chunk, in another chunk, in conflict with either; amended; of several accounts and months."""
    dice = np.random.default_rng(20261002)
    changes: list[dict[str, object]] = [
        {},
        {"duration_seconds": "62"},
        {"account": "nobody"},
        {"status": "busy"},
        {"occurred_at": "2026-02-03T00:00:00Z"},
        {"duration_seconds": "-1"},
        {"to": "+33123456789"},
        {"revision": 2},
        {"revision": 2, "account": "nobody"},
        {"revision": 3, "duration_seconds": "5"},
        {"revision": 3, "void": True},
        {"revision": 4},
    ]
    events = [
        call(int(n), **changes[int(k)])
        for n, k in zip(dice.integers(0, 60, 300), dice.integers(0, len(changes), 300), strict=True)
    ]
    shop.post(*(call(number) for number in range(0, 60, 3)))
    before = shop.rows(STORED)
    chunks = chunked(events, size)
    foreseen = rehearsed(shop, chunks)
    assert before == shop.rows(STORED)
    assert foreseen == rehearsed(shop, chunks)
    assert foreseen == imported(shop, chunks)
    assert {str(outcome) for outcome in Outcome} == {outcome for _, outcome, _ in foreseen}


def test_in_a_database_without_sources_it_leaves_none_and_tells_them_apart(shop: Shop) -> None:
    before = shop.rows(STORED)
    chunks = chunked([call(n, source=source) for n in range(3) for source in ("a", "b", "a")], 4)
    assert ["accepted", "accepted", "duplicate"] * 3 == [outcome for _, outcome, _ in rehearsed(shop, chunks, None)]
    assert before == shop.rows(STORED)


def test_nobody_waits_for_a_rehearsal(shop: Shop) -> None:
    """Whoever imports the same events meanwhile, or publishes, goes first; and the rehearsal sees it."""
    events = [call(1), call(2, to="+33123456789")]
    done: list[str] = []

    def others() -> None:
        imported(shop, chunked([call(1)], 1))
        publish(shop.engine, card("voice.outbound,33,minute,60/60,0.02", id_="france"), products(), at=AT, actor="x")
        shop.admit("beta", cards=("france",))
        done.append("others")

    def chunks() -> Iterator[Chunk]:
        yield from chunked([*events, call(3, account="beta", to="+33123456789")], 3)
        other = threading.Thread(target=others)
        other.start()
        other.join(30)
        done.append("rehearsal")
        yield from chunked([call(1), call(4, account="beta", to="+33123456789")], 2)

    heard: list[Taken] = []
    rehearse_usage(shop.engine, SOURCE, chunks(), products=products(), at=AT, on_chunk=heard.append)
    assert ["others", "rehearsal"] == done
    assert ["duplicate", "accepted"] == [outcome for _, outcome, _ in told(heard)[3:]]


def test_what_breaks_off_leaves_nothing_either(shop: Shop) -> None:
    def broken() -> Iterator[Chunk]:
        yield from chunked([call(1)], 1)
        raise OSError("the stream breaks off")

    before = shop.rows(STORED)
    heard: list[Taken] = []
    with pytest.raises(OSError, match="breaks off"):
        rehearse_usage(shop.engine, SOURCE, broken(), products=products(), at=AT, on_chunk=heard.append)
    assert (1, before) == (len(heard), shop.rows(STORED))
    with transaction(shop.engine) as connection:
        assert [(None,)] == connection.execute("SELECT to_regclass('pg_temp.foreseen')").fetchall()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted(CompiledCards):
    """Kept cards; while somebody looks there for those that a publication brought, `meanwhile` happens, once."""

    meanwhile: list[Callable[[], None]]

    def load(self, wanted: Mapping[str, int], products: Mapping[str, Product]) -> dict[str, CardTable]:
        """Those that were kept before it happened."""
        while self.meanwhile:
            self.meanwhile.pop()()
        return CompiledCards.load(self, wanted, products)


def test_books_that_change_while_they_are_read_again_are_those_of_one_version(shop: Shop, tmp_path: Path) -> None:
    """A contract is not seen without the card that was published before it."""

    def publish_more() -> None:
        publish(shop.engine, card("voice.outbound,33,minute,60/60,0.02", id_="france"), products(), at=AT, actor="x")
        shop.admit("beta", cards=("france",))

    meanwhile: list[Callable[[], None]] = []
    kept = Interrupted(folder=tmp_path, meanwhile=meanwhile)
    with rehearsal(shop.engine) as connection:
        foreseeing = Rehearsal(engine=shop.engine, products=products(), source=SOURCE, kept=kept, connection=connection)
        prepared = foreseeing.prepare(payloads([call(1, account="beta", to="+33123456789")]), AT)
        shop.admit("gamma")
        meanwhile.append(publish_more)
        receipt = foreseeing.write(prepared, AT)
    assert [] == meanwhile
    assert ("quarantined", "unknown_account") == (str(receipt.outcome(0)), receipt.reason(0))
