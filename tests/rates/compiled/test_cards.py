"""Compiled cards: what their rows say beside their match."""

from rates.compiled.cards import compile_card
from rates.prices import PriceList, price_list
from tests.shop import card, products


def test_prices_that_were_listed_already_are_not_listed_again() -> None:
    of = card("voice.outbound,44,minute,60/60,0.02,0.1\nvoice.outbound,33,minute,60/60,0.03,")
    listed = price_list(of, products())
    assert ([0, 1], [2, -1]) == (listed.usage.tolist(), listed.setup.tolist())
    other = PriceList(prices=listed.prices, usage=listed.usage[::-1], setup=listed.setup[::-1])
    compiled = compile_card(of, products(), prices=other, price_base=10)
    assert ([11, 10], [-1, 12]) == (compiled.terms.price.tolist(), compiled.terms.setup.tolist())
