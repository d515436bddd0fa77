"""A shop with a reseller: what is used below it is billed twice, to it and by it."""

from datetime import date
from decimal import Decimal

import pytest

from billing.contracts import Contract
from billing.flows.publish import add_accounts, add_contracts
from rates.deals import NO_DEAL, Commitment, Deal
from tests.shop import AT, Shop, account, card, products

WHOLESALE = "voice.outbound,44,minute,60/60,0.02"
RETAIL = "voice.outbound,44,minute,60/60,0.05"
SUB = {"pays": False, "parent": "acme"}
FIRST = date(2026, 10, 1)


def sub(id_: str = "sub", **facts: object) -> object:
    """An account to which acme resells."""
    return account(id_, **({**SUB, "legal_entity": "Acme"} | facts))


def contract(name: str, *cards: str, since: date = FIRST, resells: bool = False, least: str = "") -> Contract:
    """A contract of some cards, with a minimum."""
    deal = Deal(commitment=Commitment(least=Decimal(least))) if least else NO_DEAL
    return Contract(account=name, effective_from=since, cards=cards, resells=resells, deal=deal)


def agree(shop: Shop, *contracts: Contract) -> None:
    """Add contracts."""
    add_contracts(shop.engine, contracts, products(), at=AT, actor="finance")


def admit(shop: Shop, *accounts: object) -> None:
    """Add accounts."""
    add_accounts(shop.engine, accounts, at=AT, actor="finance")  # type: ignore[arg-type]


def open_reseller(shop: Shop) -> None:
    """Publish two cards, and let acme resell to `sub`; `deep` is below it, `own` below acme and resold to by nobody."""
    shop.publish(card(WHOLESALE))
    shop.publish(card(RETAIL, id_="retail"))
    admit(shop, account("acme"))
    agree(shop, contract("acme", "list", resells=True))
    admit(shop, sub(), account("deep", pays=False, parent="sub"), account("own", pays=False, parent="acme"))
    agree(shop, contract("sub", "retail"))


@pytest.fixture
def reseller(shop: Shop) -> Shop:
    """A shop in which acme resells to `sub`."""
    open_reseller(shop)
    return shop
