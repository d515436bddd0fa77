"""Contracts with discounts, commitments and credits in the store: drawn up, verified, signed, used up over months."""

import tomllib
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from billing.contracts import Contract
from billing.errors import PublicationBackdatedError
from billing.flows.compose import compose_statement
from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.publish import add_contracts
from billing.flows.verify import verify
from billing.invoices import Invoice, content, sha256
from billing.periods import Period
from billing.runs import GRACE
from billing.store.accounts import read_accounts
from billing.store.approvals import inputs_digests
from billing.store.engine import snapshot
from billing.store.queries.accounts import listed_contracts
from billing.store.queries.invoices import all_invoices
from rates.deals import Commitment, Credit, Deal, Discount
from rates.tiers import Selector
from tests.shop import AT, CATALOGUE, OCTOBER, Shop, call, products

NOVEMBER = Period.parse("2026-11")
TABLES = [tomllib.loads(Path(path).read_text()) for path in sorted(CATALOGUE.glob("*.toml"))]
VOICE = (Selector(product=("voice.*",)),)
DEAL = Deal(
    discounts=(Discount(percent=Decimal("12.5"), on=VOICE),),
    commitment=Commitment(least=Decimal("0.10"), most=Decimal("0.15")),
    credits=(Credit(id="welcome", amount=Decimal("0.12"), until=date(2027, 1, 1), on=VOICE),),
)


def agree(shop: Shop, name: str, deal: Deal, since: date = date(2026, 10, 1), *, reason: str = "") -> Contract:
    contract = Contract(account=name, effective_from=since, cards=("list",), deal=deal)
    add_contracts(shop.engine, [contract], products(), at=AT, actor="finance", reason=reason)
    return contract


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    """Three accounts, of which the first two have agreed something."""
    shop.publish()
    shop.admit("plain")
    for name in ("acme", "idle"):
        shop.admit(name, cards=("list",), since=date(2026, 9, 1))
        agree(shop, name, DEAL)


def drawn(shop: Shop, period: Period = OCTOBER) -> dict[str, Invoice]:
    draw_up(shop.engine, products(), period, period.closes + GRACE, write=True, actor="finance")
    return invoices(shop, period, final=False)


def invoices(shop: Shop, period: Period, *, final: bool) -> dict[str, Invoice]:
    with snapshot(shop.engine) as connection:
        found = {each.party.account: each for each in all_invoices(connection, period, final=final)}
    assert [sha256(content(each)) for each in found.values()] == [each.sha256 for each in found.values()]
    return found


def amounts(invoice: Invoice) -> list[tuple[str, int]]:
    return [(line.element, line.amount_minor) for line in invoice.lines]


def verified(shop: Shop, period: Period = OCTOBER) -> bool:
    found = verify(shop.engine, products(), TABLES, period)
    assert () == found.disagreements
    return found.agrees


def test_a_contract_comes_back_from_the_store_as_it_was_read(shop: Shop) -> None:
    with snapshot(shop.engine) as connection:
        (_, stored) = read_accounts(connection).contracts["acme"]
        said = {(each.account, each.effective_from): each.terms for each in listed_contracts(connection)}
    assert DEAL == stored.deal
    assert said["acme", date(2026, 10, 1)].startswith("12.5 % off voice.*; minimum 0.1 and maximum 0.15")
    assert "" == said["plain", date(2026, 10, 1)]


def test_drafts_have_the_lines_of_the_second_pass_and_are_what_the_verifier_makes(shop: Shop) -> None:
    """Three calls of two minutes at 0.02 less 12.5 %: 0.105, rounded 0.11; a credit of 0.12 pays them."""
    shop.post(call(1), call(2), call(3), call(4, account="plain"))
    found = drawn(shop)
    assert [("credit", -11), ("usage", 11)] == amounts(found["acme"])
    assert [("usage", 4)] == amounts(found["plain"])
    assert [("true_up", 10)] == amounts(found["idle"])
    assert [0, 10] == [found[name].total_minor for name in ("acme", "idle")]
    assert verified(shop)
    finalize(shop.engine, OCTOBER, OCTOBER.closes + GRACE)
    assert [("credit", -11), ("usage", 11)] == amounts(invoices(shop, OCTOBER, final=True)["acme"])
    assert verified(shop)


def test_the_statement_and_the_preview_are_the_run(shop: Shop) -> None:
    shop.post(*(call(n) for n in range(9)))
    lines = drawn(shop)["acme"].lines
    statement = compose_statement(shop.engine, products(), OCTOBER, OCTOBER.closes, "acme")
    assert lines == statement.lines
    assert [("credit", -12), ("maximum_spend", -17), ("usage", 32)] == [
        (line.element, line.amount_minor) for line in statement.lines
    ]
    assert {"voice.outbound": 3} == statement.by_product


def test_what_a_credit_paid_in_earlier_months_is_gone_be_they_drafts_or_final(shop: Shop) -> None:
    shop.post(call(1), call(2))
    shop.post(*(call(n, occurred_at="2026-11-02T10:11:12Z") for n in range(3, 7)), at=NOVEMBER.closes)
    assert [("credit", -7), ("true_up", 3), ("usage", 7)] == sorted(amounts(drawn(shop)["acme"]))
    expected = [("credit", -5), ("usage", 14)]
    assert expected == amounts(drawn(shop, NOVEMBER)["acme"])
    assert verified(shop, NOVEMBER)
    finalize(shop.engine, OCTOBER, OCTOBER.closes + GRACE)
    assert expected == amounts(drawn(shop, NOVEMBER)["acme"])
    finalize(shop.engine, NOVEMBER, NOVEMBER.closes + GRACE)
    assert verified(shop)
    assert verified(shop, NOVEMBER)


def test_a_month_that_is_issued_later_does_not_pay_again_what_a_later_month_paid(shop: Shop) -> None:
    shop.post(*(call(n, occurred_at="2026-11-02T10:11:12Z") for n in range(3, 7)), at=NOVEMBER.closes)
    assert [("credit", -12), ("usage", 14)] == amounts(drawn(shop, NOVEMBER)["acme"])
    finalize(shop.engine, NOVEMBER, NOVEMBER.closes + GRACE)
    shop.post(call(1), call(2), at=NOVEMBER.closes)
    assert [("true_up", 3), ("usage", 7)] == sorted(amounts(drawn(shop)["acme"]))
    assert verified(shop)
    assert verified(shop, NOVEMBER)


def test_other_terms_from_the_past_are_refused_where_usage_is_rated(shop: Shop) -> None:
    shop.post(call(1), call(2, occurred_at="2026-10-08T10:11:12Z"))
    other = replace(DEAL, discounts=())
    with pytest.raises(PublicationBackdatedError, match="discounts, commitment and credits would be others"):
        agree(shop, "acme", other, date(2026, 10, 5))
    agree(shop, "acme", DEAL, date(2026, 10, 6))
    agree(shop, "acme", other, date(2026, 10, 9))
    agree(shop, "acme", DEAL, date(2026, 10, 8), reason="agreed by telephone")


def test_a_contract_of_other_terms_is_another_contract(shop: Shop) -> None:
    with pytest.raises(Exception, match="another contract begins on this day"):
        agree(shop, "acme", replace(DEAL, commitment=None))
    agree(shop, "acme", DEAL)


def test_what_is_signed_depends_on_the_terms(shop: Shop) -> None:
    """Two accounts of which the contracts differ in nothing else."""
    shop.admit("bare", since=date(2026, 9, 1))
    agree(shop, "bare", Deal())
    with snapshot(shop.engine) as connection:
        numbers = read_accounts(connection).numbers
        digests = inputs_digests(connection, OCTOBER, [numbers[name] for name in ("acme", "idle", "bare")])
    assert digests[numbers["acme"]] == digests[numbers["idle"]]
    assert digests[numbers["acme"]] != digests[numbers["bare"]]


def test_ten_accounts_with_terms_of_their_own_are_priced_at_once(shop: Shop) -> None:
    """They share a group: what is agreed of money tells no group apart."""
    names = [f"n{n}" for n in range(10)]
    for place, name in enumerate(names):
        shop.admit(name, since=date(2026, 9, 1))
        agree(shop, name, Deal(discounts=(Discount(percent=Decimal(10 * place + 5)),)))
    shop.post(*(call(place, account=name, duration_seconds="6000") for place, name in enumerate(names)))
    found = drawn(shop)
    assert [200 - 2 * (10 * place + 5) for place in range(10)] == [found[name].total_minor for name in names]
    assert verified(shop)
