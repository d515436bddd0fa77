"""Suppose some usage: what it would cost by the accounts, contracts and cards that are stored. Nothing is written."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from billing.accounts import Account, upwards
from billing.bills import Arrangement, Bills, bill
from billing.contracts import Contract
from billing.periods import ALWAYS, Period
from billing.store.accounts import read_accounts
from billing.store.engine import Engine, snapshot
from billing.store.ratebooks import CardVersion, read_card, read_card_versions
from rates.jurisdiction import States
from rates.products import Product

SOURCE = "tollbook.rate"
"""The source of supposed usage that does not name one."""


def suppose(
    engine: Engine,
    products: Mapping[str, Product],
    payloads: Sequence[bytes],
    period: Period,
    accounts: Collection[str],
    *,
    states: States | None = None,
) -> Bills:
    """The bills of some usage alone, as if nothing else were used in the period; `accounts` are those that it names.

    Usage of an account that is not stored waits for it, as it would. Raises what `billing.bills.bill` raises.
    """
    with snapshot(engine) as connection:
        stored = read_accounts(connection)
        known = _above(accounts, stored.accounts)
        contracts = {name: stored.contracts[name] for name in known if name in stored.contracts}
        versions = _in_force(read_card_versions(connection), _cards_of(contracts), _first(contracts, period), period)
        cards = [read_card(connection, version, products) for version in versions]
    deal = Arrangement(cards=cards, products=products, accounts=known, contracts=contracts, states=states)
    return bill(payloads, deal, period, source=SOURCE)


def _above(accounts: Collection[str], stored: Mapping[str, Account]) -> dict[str, Account]:
    """Some accounts, with those above them up to the one that pays."""
    found: dict[str, Account] = {}
    for name in sorted(set(accounts) & stored.keys()):
        for account in upwards(name, stored):
            found[account.id] = account
            if account.pays:
                break
    return found


def _cards_of(contracts: Mapping[str, Sequence[Contract]]) -> set[str]:
    return {card for some in contracts.values() for contract in some for card in contract.cards}


def _first(contracts: Mapping[str, Sequence[Contract]], period: Period) -> Period:
    """The first month that counts: the one before, if support plans are of what it comes to."""
    has_support = any(contract.deal.support for some in contracts.values() for contract in some)
    return period.before() if has_support else period


def _in_force(
    versions: Iterable[CardVersion], cards: Collection[str], first: Period, last: Period
) -> list[CardVersion]:
    """Those versions of some cards that are in force at some instant of some months."""
    by_card: dict[str, list[CardVersion]] = {}
    for version in sorted(versions, key=lambda each: each.effective_from):
        if version.card_id in cards:
            by_card.setdefault(version.card_id, []).append(version)
    found = []
    for some in by_card.values():
        ends = [*(following.effective_from for following in some[1:]), ALWAYS]
        found += [
            version
            for version, end in zip(some, ends, strict=True)
            if version.effective_from < last.closes and min(end, version.effective_to or ALWAYS) > first.opens
        ]
    return found
