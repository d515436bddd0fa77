"""Compiled cards on disk: never wrong, and never in the way."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from billing.flows.ingest import Intake
from billing.flows.publish import publish
from billing.flows.release import release
from billing.store.compiled import CompiledCards
from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import open_engine, transaction
from billing.store.ratebooks import Ratebooks, load_books
from rates.cards import Card
from rates.compiled.cards import CardTable
from rates.products import Product
from tests.shop import AT, SOURCE, Shop, call, card, outcomes, payloads, products

LARGE = 2_001
"""Rows of a card that has a file of its own."""


def large(since: str = "2026-10-01", *, reverse: bool = False) -> Card:
    rows = [f"voice.outbound,44{n},minute,60/60,0.{n + 1:04}" for n in range(LARGE)]
    return card("\n".join(reversed(rows) if reverse else rows), id_="large", since=since)


def load(shop: Shop, kept: CompiledCards | None, of: dict[str, Product] | None = None) -> Ratebooks:
    """The books as a new process loads them."""
    with transaction(shop.engine) as connection:
        return load_books(connection, of or products(), kept=kept)


def the_card(books: Ratebooks) -> CardTable:
    (found,) = books.cards.values()
    return found


def same(one: CardTable, other: CardTable) -> bool:
    tables = [each.table("voice.outbound", "usage") for each in (one, other)]
    assert tables[0] is not None
    assert tables[1] is not None
    return np.array_equal(one.terms.price, other.terms.price) and np.array_equal(tables[0].resolved, tables[1].resolved)


@pytest.fixture
def kept(tmp_path: Path) -> CompiledCards:
    return CompiledCards(folder=tmp_path / "cards compiled")


def test_what_one_process_compiles_the_next_one_reads(shop: Shop, kept: CompiledCards) -> None:
    shop.publish(large())
    compiled = the_card(load(shop, kept))
    (file,) = kept.folder.iterdir()
    (name,) = (row[0] for row in shop.rows("SELECT stored_as::text FROM card_versions"))
    assert file.name.startswith(f"{name}-")
    # What another process finds is taken as it is: here with the price of another row.
    prices = compiled.terms.price.copy()
    prices[:2] = prices[1::-1]
    changed = replace(compiled, terms=replace(compiled.terms, price=prices))
    kept.keep({str(name): changed}, [str(name)], products())
    read = the_card(load(shop, kept))
    assert prices.tolist() == read.terms.price.tolist()
    assert compiled.terms.price.tolist() == the_card(load(shop, None)).terms.price.tolist()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "swap"])
def test_a_file_that_is_not_whole_is_made_again(shop: Shop, kept: CompiledCards, damage: str) -> None:
    shop.publish(large())
    compiled = the_card(load(shop, kept))
    (file,) = kept.folder.iterdir()
    good = file.read_bytes()
    middle = len(good) // 2
    file.write_bytes(
        {
            "cut": good[:middle],
            "flip": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
            "empty": b"",
            "swap": good[32:] + good[:32],
        }[damage]
    )
    assert same(compiled, the_card(load(shop, kept)))
    assert good == file.read_bytes()


def test_other_products_are_another_file_in_place_of_the_old_one(shop: Shop, kept: CompiledCards) -> None:
    shop.publish(large())
    load(shop, kept)
    (before,) = kept.folder.iterdir()
    voice = products()["voice.outbound"]
    changed = {**products(), voice.id: replace(voice, match=("to", "from"))}
    assert changed is load(shop, kept, changed).products
    (after,) = kept.folder.iterdir()
    assert before != after


def test_a_card_with_its_rows_in_another_order_is_compiled_by_itself(
    shop: Shop, cluster: Cluster, migrated: str, kept: CompiledCards
) -> None:
    # It has the same identity, which is that of the content in any order, and other rates under the same ids.
    there = Shop(engine=open_engine(create_database(cluster, "elsewhere", migrated).sqlalchemy_url))
    try:
        (one, other), prices = (large(), large(reverse=True)), []
        assert shop.publish(one).version.hash == there.publish(other).version.hash
        for each in (shop, there, shop, there):
            compiled = the_card(load(each, kept))
            assert same(the_card(load(each, None)), compiled)
            prices.append(compiled.parts["voice.outbound", "usage"].patterns.prefix.tolist())
        assert prices[0] == prices[2] == prices[1][::-1] == prices[3][::-1]
    finally:
        there.engine.dispose()
        drop_database(cluster, "elsewhere")


def test_many_small_cards_share_a_file_and_few_have_none(shop: Shop, kept: CompiledCards) -> None:
    for number in range(99):
        shop.publish(card(f"voice.outbound,{number + 1},minute,60/60,0.01", id_=f"card-{number}"))
    load(shop, kept)
    assert not kept.folder.exists()
    shop.publish(card(id_="one-more"))
    compiled = load(shop, kept)
    (file,) = kept.folder.iterdir()
    assert file.name.startswith("small-")
    names = {str(name): 1 for (name,) in shop.rows("SELECT stored_as::text FROM card_versions")}
    assert names.keys() == kept.load(names, products()).keys()
    assert compiled.cards.keys() == load(shop, kept).cards.keys()
    # The next few are not worth writing a hundred again.
    shop.publish(card(id_="and-another"))
    written = file.stat().st_mtime_ns, file.read_bytes()
    assert 101 == len(load(shop, kept).cards)
    assert written[1] == file.read_bytes()


def test_books_that_grow_in_a_process_keep_what_is_new(shop: Shop, kept: CompiledCards) -> None:
    shop.publish(large())
    books = load(shop, kept)
    shop.publish(large(since="2026-11-01"))
    with transaction(shop.engine) as connection:
        grown = load_books(connection, products(), books, kept)
    assert 2 == len(list(kept.folder.iterdir()))
    assert grown.cards[1] is books.cards[1]


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_a_folder_that_others_may_write_to_is_not_used(shop: Shop, kept: CompiledCards, mode: int) -> None:
    shop.publish(large())
    load(shop, kept)
    (file,) = kept.folder.iterdir()
    kept.folder.chmod(mode)
    assert {} == kept.load({file.name[:36]: LARGE}, products())
    file.unlink()
    load(shop, kept)
    assert [] == list(kept.folder.iterdir())
    kept.folder.chmod(0o700)
    load(shop, kept)
    assert 1 == len(list(kept.folder.iterdir()))


def test_a_card_is_compiled_once_when_it_is_published(shop: Shop, kept: CompiledCards) -> None:
    shop.publish(card())
    for since in ("2026-10-01", "2026-11-01"):
        publish(shop.engine, large(since), products(), at=AT, actor="finance", kept=kept)
    files = {file.name: file.stat().st_ino for file in kept.folder.iterdir()}
    rows = shop.rows("SELECT stored_as::text, card_version_id FROM card_versions WHERE rates > 2000")
    numbers = {str(name): number for name, number in rows}
    read, compiled = kept.load(dict.fromkeys(numbers, LARGE), products()), load(shop, None).cards
    assert numbers.keys() == read.keys()
    for name, each in read.items():
        of_store = compiled[int(str(numbers[name]))]
        assert same(of_store, each)
        assert of_store.terms.rate.tolist() == each.terms.rate.tolist()
    load(shop, kept)
    assert files == {file.name: file.stat().st_ino for file in kept.folder.iterdir()}


def test_imports_and_releases_use_what_is_kept(shop: Shop, kept: CompiledCards) -> None:
    shop.publish(large())
    shop.admit("acme", cards=("large",))
    intake = Intake(engine=shop.engine, products=products(), source=SOURCE, kept=kept)
    posted = intake.ingest(payloads([call(1, to="+441999"), call(2, to="+33123")]), AT)
    assert ["accepted", "quarantined"] == outcomes(posted)
    (file,) = kept.folder.iterdir()
    file.unlink()
    shop.publish(card("voice.outbound,33,minute,60/60,0.01", id_="other"))
    release(shop.engine, products(), at=AT, actor="finance", kept=kept)
    assert [file] == list(kept.folder.iterdir())


def test_its_folder_is_closed_to_others(shop: Shop, kept: CompiledCards) -> None:
    shop.publish(large())
    load(shop, kept)
    assert 0o700 == kept.folder.stat().st_mode & 0o777


def test_without_a_place_to_write_the_books_load_all_the_same(shop: Shop, tmp_path: Path) -> None:
    shop.publish(large())
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        assert 1 == len(load(shop, CompiledCards(folder=folder)).cards)


def test_what_was_not_read_for_longest_goes_first(shop: Shop, kept: CompiledCards) -> None:
    _, compiled = named(shop)
    kept.keep({"card-0": compiled}, ["card-0"], products())
    (size,) = (file.stat().st_size for file in kept.folder.iterdir())
    kept = replace(kept, most_bytes=3 * size)
    for number in (1, 2):
        kept.keep({f"card-{number}": compiled}, [f"card-{number}"], products())
    for number in range(3):  # as if they had been read long ago
        (file,) = kept.folder.glob(f"card-{number}-*")
        os.utime(file, (1_000_000 + number, 1_000_000 + number))
    assert ["card-0"] == list(kept.load({"card-0": LARGE}, products()))
    kept.keep({"card-3": compiled}, ["card-3"], products())
    assert {"card-0", "card-2", "card-3"} == {file.name.rpartition("-")[0] for file in kept.folder.iterdir()}


def named(shop: Shop) -> tuple[str, CardTable]:
    """A large card, published and compiled, and the name of its stored copy."""
    shop.publish(large())
    ((name,),) = shop.rows("SELECT stored_as::text FROM card_versions")
    return str(name), the_card(load(shop, None))


def test_writers_and_readers_at_once_never_meet_half_a_file(shop: Shop, kept: CompiledCards) -> None:
    name, compiled = named(shop)
    kept.keep({name: compiled}, [name], products())

    def write(_: int) -> None:
        kept.keep({name: compiled}, [name], products())

    def read(_: int) -> bool:
        return same(compiled, kept.load({name: LARGE}, products())[name])

    with ThreadPoolExecutor(4) as threads:
        writing, reading = threads.map(write, range(100)), threads.map(read, range(100))
        assert 100 == sum(reading)
        list(writing)
    assert 1 == len(list(kept.folder.iterdir()))
