"""Cards from any file: a card or faults with their place and remedy, and what is accepted is written and read alike."""

from typing import Any

from hypothesis import strategies as st

from rates.cardfile import card_from_table, read_card, write_card
from rates.cards import Card, identity
from rates.errors import Fault
from rates.products import read_product
from tests.decks import PRODUCTS
from tests.fuzz.fuzzing import bounded, fuzz, told
from tests.fuzz.mutations import TOML_VALUES, altered, damaged
from tests.fuzz.seeds import card_sheets, card_tables, cards, product_tables
from tests.fuzz.writing import toml_of

HEAD = 'id = "card"\ncurrency = "USD"\neffective_from = 2026-10-01\nrates = "rates.csv"\n'
TIERS = '[tiers.voice-us]\nup_to = ["1000", "5000"]\nunit = "minute"\nfill = [{product = "voice.*"}]\n'


def judge(read: tuple[Card | None, list[Fault]]) -> None:
    card, faults = read
    if card is None:
        told(faults, "card.toml", "rates.csv")
        return
    assert [] == faults
    assert card.rows.num_rows
    assert_writes_alike(card)


def assert_writes_alike(card: Card) -> None:
    head, rates = write_card(card)
    again, faults = read_card(head, {"rates.csv": rates}, PRODUCTS)
    assert [] == faults
    assert again is not None
    assert identity(card) == identity(again)
    assert (head, rates) == write_card(again)
    assert "\x00" not in head
    assert b"\x00" not in rates


@fuzz(damaged([card.encode() for card in cards()]))
def test_a_damaged_card_is_read_or_refused(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    judge(bounded(read_card, text, {}, PRODUCTS))


@fuzz(altered(card_tables(), TOML_VALUES))
def test_a_card_of_strange_values_is_read_or_refused(table: dict[str, Any]) -> None:
    first = bounded(card_from_table, table, {}, PRODUCTS)
    judge(first)
    written, faults = read_card(toml_of(table), {}, PRODUCTS)
    assert (first[0] is None) == (written is None)
    if not any("beyond 64 bits" in str(fault) for fault in faults):  # which no text can say
        assert list(map(str, first[1])) == list(map(str, faults))


@fuzz(damaged(card_sheets()))
def test_damaged_rates_of_a_card_are_read_or_refused(data: bytes) -> None:
    def read(data: bytes) -> tuple[Card | None, list[Fault]]:
        return read_card(HEAD + TIERS, {"rates.csv": data}, PRODUCTS)

    first = bounded(read, data)
    judge(first)
    if b"\r" not in data and not data.startswith(b"\xef\xbb\xbf"):
        again = read(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))
        assert list(map(str, first[1])) == list(map(str, again[1]))
        assert first[0] is None or (again[0] is not None and identity(first[0]) == identity(again[0]))


@fuzz(altered(product_tables(), TOML_VALUES) | st.just({}))
def test_a_product_of_strange_values_is_read_or_refused(table: dict[str, Any]) -> None:
    product, faults = bounded(read_product, table, "product.toml")
    if product is None:
        told(faults, "product.toml")
        return
    assert [] == faults
    # Its cards are read, too, whatever it is.
    for card in card_tables()[:4]:
        read, faults = card_from_table(card, {}, {**PRODUCTS, product.id: product})
        assert (read is None) == bool(faults)
