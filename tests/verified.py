"""One month billed twice, by the engine and by the independent verifier, from the same tables and events."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import assume

from billing import verifier
from billing.accounts import read_account
from billing.bills import Arrangement, Bills, bill, unfilled_faults
from billing.contracts import read_contract
from billing.invoices import record
from billing.periods import Period
from billing.verification import Bill, bill_disagreements, unrated_disagreements
from cli.world import product_tables, products
from rates.cardfile import card_from_table
from rates.cards import Card
from rates.money import format_minor
from rates.numbering import PLAN
from rates.products import Product, by_id, read_product

Table = dict[str, Any]


def products_of(goods: Sequence[Table]) -> Mapping[str, Product]:
    """The products that come along, and those of some tables."""
    read = (read_product(table, table["id"])[0] for table in goods)
    return {**products(), **by_id([product for product in read if product is not None])}


def cards_of(tables: Sequence[Table], goods: Sequence[Table] = ()) -> list[Card] | None:
    """The cards, or None where no publication would let one of them pass."""
    read = [card_from_table(table, {}, products_of(goods))[0] for table in tables]
    return None if None in read else [card for card in read if card is not None]


def billed(
    cards: Sequence[Card],
    tree: list[Table],
    deals: list[Table],
    usage: list[Table],
    month: Period,
    goods: Sequence[Table] = (),
) -> Bills:
    """What the engine makes of it. `goods` are products beside those that come along."""
    accounts = [read_account(table, "account")[0] for table in tree]
    agreed = [read_contract(table, "contract")[0] for table in deals]
    by_account: dict[str, list[Any]] = {}
    for contract in agreed:
        assert contract is not None
        by_account.setdefault(contract.account, []).append(contract)
    deal = Arrangement(
        cards=cards,
        products=products_of(goods),
        accounts={account.id: account for account in accounts if account is not None},
        contracts=by_account,
    )
    # A schedule that nothing fills is refused, as it would be where cards come together in a contract.
    assume(not unfilled_faults(deal))
    return bill([json.dumps(event).encode() for event in usage], deal, month)


def assert_verified(
    ours: Bills,
    tables: list[Table],
    tree: list[Table],
    deals: list[Table],
    usage: list[Table],
    goods: Sequence[Table] = (),
) -> None:
    """Every line, every total, and every event that is on none, with its reason, is the same on both sides."""
    theirs: Table = verifier.rate(
        period=str(ours.period),
        events=usage,
        cards=tables,
        products=[*product_tables(), *goods],
        accounts=tree,
        contracts=deals,
        plan=PLAN,
    )
    assert [] == list(ours.rejects) == theirs["rejected"]
    expected = {
        each["account"]: Bill(currency=each["currency"], total=each["total"], lines=tuple(each["lines"]))
        for each in theirs["accounts"]
    }
    actual = {
        each.account: Bill(
            currency=each.currency,
            total=format_minor(each.total_minor, each.currency),
            lines=tuple(record(line, each.currency) for line in each.lines),
        )
        for each in ours.bills
        if each.lines
    }
    assert [] == bill_disagreements(expected, actual)
    unrated = {
        kind: frozenset((kind, each.source, each.id, str(each.reason)) for each in found)
        for kind, found in (("quarantined", ours.quarantined), ("zero_rated", ours.zero_rated))
    }
    for kind, found in unrated.items():
        said = frozenset((kind, each["source"], each["id"], each["reason"]) for each in theirs[kind])
        assert [] == unrated_disagreements(said, found)
