"""Contracts with discounts, commitments and credits in the store: drawn up, verified, signed, used up over months."""

import tomllib
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from billing.contracts import Contract
from billing.errors import InputFaultyError, PublicationBackdatedError
from billing.explanations import LineExplanation
from billing.flows.compose import compose_statement
from billing.flows.draw_up import draw_up
from billing.flows.explain import explain_event, explain_line
from billing.flows.finalize import finalize
from billing.flows.ingest import Intake
from billing.flows.publish import add_contracts
from billing.flows.verify import verify
from billing.invoices import Invoice, InvoiceLine, content, sha256
from billing.periods import Period
from billing.runs import GRACE
from billing.store.accounts import read_accounts
from billing.store.approvals import inputs_digests
from billing.store.engine import snapshot
from billing.store.queries.accounts import listed_contracts
from billing.store.queries.invoices import all_invoices
from rates.deals import Commitment, Credit, Deal, Discount
from rates.money import format_fraction
from rates.products import ProductUnknownError
from rates.tiers import Selector
from tests.shop import AT, CATALOGUE, OCTOBER, SOURCE, Shop, call, card, payloads, products, read

NOVEMBER = Period.parse("2026-11")
TABLES = [tomllib.loads(Path(path).read_text()) for path in sorted(CATALOGUE.glob("*.toml"))]
VOICE = (Selector(product=("voice.*",)),)
DEAL = Deal(
    discounts=(Discount(percent=Decimal("12.5"), on=VOICE),),
    commitment=Commitment(least=Decimal("0.10"), most=Decimal("0.15")),
    credits=(Credit(id="welcome", amount=Decimal("0.12"), until=date(2027, 1, 1), on=VOICE),),
)


def agreement(name: str, deal: Deal, since: date = date(2026, 10, 1)) -> Contract:
    return Contract(account=name, effective_from=since, cards=("list",), deal=deal)


def agree(shop: Shop, name: str, deal: Deal, since: date = date(2026, 10, 1), *, reason: str = "") -> Contract:
    contract = agreement(name, deal, since)
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


def test_a_draft_on_which_a_credit_pays_again_what_an_earlier_month_paid_since_is_not_issued(shop: Shop) -> None:
    """Seven cents in October leave five; eleven, in a draft that was drawn up again, leave one."""
    shop.post(call(1), call(2))
    shop.post(*(call(n, occurred_at="2026-11-02T10:11:12Z") for n in range(4, 8)), at=NOVEMBER.closes)
    drawn(shop)
    assert [("credit", -5), ("usage", 14)] == amounts(drawn(shop, NOVEMBER)["acme"])
    shop.post(call(3), at=NOVEMBER.closes)
    assert [("credit", -11), ("usage", 11)] == amounts(drawn(shop)["acme"])
    finalize(shop.engine, OCTOBER, OCTOBER.closes + GRACE)
    report = finalize(shop.engine, NOVEMBER, NOVEMBER.closes + GRACE)
    assert ["acme"] == [*report.carried] == [*report.held]
    assert "acme" not in invoices(shop, NOVEMBER, final=True)
    assert [("credit", -1), ("usage", 14)] == amounts(drawn(shop, NOVEMBER)["acme"])
    assert {} == finalize(shop.engine, NOVEMBER, NOVEMBER.closes + GRACE).carried
    assert verified(shop)
    assert verified(shop, NOVEMBER)


def test_a_month_whose_credits_go_by_a_draft_of_an_earlier_one_waits_until_that_is_issued(shop: Shop) -> None:
    """Issued before it, it would have been billed as if the credit were still whole."""
    shop.post(call(1), call(2))
    shop.post(*(call(n, occurred_at="2026-11-02T10:11:12Z") for n in range(4, 8)), at=NOVEMBER.closes)
    drawn(shop)
    drawn(shop, NOVEMBER)
    assert ["acme", "idle"] == [*finalize(shop.engine, NOVEMBER, NOVEMBER.closes + GRACE).carried]
    assert {} == invoices(shop, NOVEMBER, final=True)
    finalize(shop.engine, OCTOBER, OCTOBER.closes + GRACE)
    assert {} == finalize(shop.engine, NOVEMBER, NOVEMBER.closes + GRACE).carried
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


def test_what_forced_terms_come_to_is_told_by_amount(shop: Shop) -> None:
    """Three calls, at 0.12 as listed, less a half from the past: 0.06; and a minimum of what was not used at all."""
    shop.post(*(call(n, account="plain") for n in range(3)))
    half = Deal(discounts=(Discount(percent=Decimal(50)),))
    least = Deal(commitment=Commitment(least=Decimal(3)))
    both = [agreement("plain", half, date(2026, 10, 2)), agreement("idle", least, date(2026, 10, 2))]
    done = add_contracts(shop.engine, both, products(), at=AT, actor="finance", reason="agreed late")
    assert done.correction is not None
    expected = [("2026-10", "idle", "", 10, 290), ("2026-10", "plain", "voice.outbound", 12, 6)]
    assert expected == [
        (*each.subject[:3], each.before.amount_minor, each.after.amount_minor) for each in done.correction.differences
    ]


def test_what_is_agreed_on_no_product_is_refused_where_a_contract_is_added(shop: Shop) -> None:
    """A misspelt product would be billed without what was agreed on it."""
    misspelt = Deal(discounts=(Discount(percent=Decimal(5), on=(Selector(product=("vioce.*",)),)),))
    with pytest.raises(InputFaultyError) as refused:
        agree(shop, "plain", misspelt, date(2026, 11, 1))
    assert ["selects no product"] == [fault.problem for fault in refused.value.faults]


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


def test_usage_of_a_product_whose_file_is_not_there_is_billed_by_nobody(shop: Shop) -> None:
    """Whether it is discountable is in the file: it could be held to a maximum that is not about it."""
    shop.post(call(1))
    known = {name: product for name, product in products().items() if name != "voice.outbound"}
    report = draw_up(shop.engine, known, OCTOBER, NOVEMBER.opens + GRACE, write=False, actor="finance").report
    assert ["acme"] == [each.account for each in report.stopped]
    problem = "is priced, and no product is declared so here; name the folder of its file (TOLLBOOK_PRODUCTS)"
    assert report.stopped[0].reason.endswith(f'"voice.outbound": {problem}')
    with pytest.raises(ProductUnknownError, match=r"voice\.outbound"):
        Intake(engine=shop.engine, products=known, source=SOURCE).ingest(payloads([call(2)]), AT)


def explained(shop: Shop, account: str, element: str, period: Period = OCTOBER) -> LineExplanation:
    lines = invoices(shop, period, final=False)[account].lines
    number = next(place for place, line in enumerate(lines, start=1) if line.element == element)
    found = explain_line(shop.engine, products(), period, account, number)
    assert found.adds_up
    return found


def test_a_true_up_is_explained_by_its_minimum_and_the_lines_that_count(shop: Shop) -> None:
    shop.post(call(1), call(2))
    agree(shop, "idle", replace(DEAL, commitment=Commitment(least=Decimal(31))), date(2026, 11, 17))
    drawn(shop)
    found = explained(shop, "acme", "true_up")
    assert "minimum 0.1 = 0.10 USD; what counts is 0.07: 0.03 more" == found.arithmetic
    assert [("usage", "voice.outbound")] == [(line.element, line.product) for line in named(shop, found)]
    drawn(shop, NOVEMBER)
    november = explained(shop, "idle", "true_up", NOVEMBER)
    assert "minimum 0.1 × 16 ÷ 30 days = 0.05 USD; what counts is 0.00: 0.05 more" == november.arithmetic
    assert () == november.of


def named(shop: Shop, found: LineExplanation) -> list[InvoiceLine]:
    lines = invoices(shop, OCTOBER, final=False)[found.account].lines
    return [lines[number - 1] for number in found.of]


def test_a_maximum_and_a_credit_are_explained_by_the_lines_that_they_reduce(shop: Shop) -> None:
    shop.post(*(call(n) for n in range(9)))
    drawn(shop)
    maximum, credit = explained(shop, "acme", "maximum_spend"), explained(shop, "acme", "credit")
    assert "maximum 0.15 = 0.15 USD; what counts is 0.32: 0.17 less, of which 0.17 on these lines" == maximum.arithmetic
    assert ["usage"] == [line.element for line in named(shop, maximum)]
    assert (
        "credit of 0.12 USD for usage before 2027-01-01: 0.00 paid on other invoices, 0.12 on this, "
        "of which 0.12 on these lines"
    ) == credit.arithmetic
    assert ["maximum_spend", "usage"] == [line.element for line in named(shop, credit)]


def test_usage_at_a_percent_is_explained_on_the_line_of_its_day(shop: Shop) -> None:
    """Before and after a contract without the percent: two lines, each with its own events."""
    agree(shop, "plain", Deal(discounts=DEAL.discounts), date(2026, 10, 20))
    shop.post(
        *(
            call(n, account="plain", occurred_at=f"2026-10-{day}T10:11:12Z")
            for n, day in ((11, 10), (12, 20), (13, 21))
        ),
        at=OCTOBER.closes,
    )
    drawn(shop)
    lines = invoices(shop, OCTOBER, final=False)["plain"].lines
    assert [("0.0175", 2), ("0.02", 1)] == [(format_fraction(line.unit_price), line.events) for line in lines]
    found = explain_line(shop.engine, products(), OCTOBER, "plain", 1)
    assert found.adds_up
    assert ["call-12", "call-13"] == [each.id for each in found.page]
    assert ["0.035", "0.035"] == [each.exact_amount for each in found.page]
    assert "0.02, 12.5 % off by contract: 0.0175" == found.unit_price
    assert "" == explain_line(shop.engine, products(), OCTOBER, "plain", 2).unit_price
    (part,) = explain_event(shop.engine, products(), SOURCE, "call-13").parts
    assert (1, "12.5 % off by contract", "0.035") == (part.line_no, part.note, part.exact_amount)
    (part,) = explain_event(shop.engine, products(), SOURCE, "call-11").parts
    assert (2, "", "0.04") == (part.line_no, part.note, part.exact_amount)


def test_a_price_after_percents_of_tier_and_contract_is_explained_from_the_listed_one(shop: Shop) -> None:
    """No row of the card has 0.01575: 0.02, a tenth off by the tier, and 12.5 % of that by the contract."""
    shop.publish(
        read("""
            id = "tiered"
            currency = "USD"
            effective_from = 2026-10-01T00:00:00Z
            [tiers.uk]
            up_to = ["2"]
            unit = "minute"
            fill = [{product = "voice.*"}]
            discounts = ["0", "10"]
            [[rate]]
            product = "voice.outbound"
            prefixes = ["44"]
            unit = "minute"
            tiers = "uk"
            price = "0.02"
        """)
    )
    shop.admit("own", since=date(2026, 9, 1))
    deal = Deal(discounts=DEAL.discounts)
    contract = Contract(account="own", effective_from=date(2026, 10, 1), cards=("tiered",), deal=deal)
    add_contracts(shop.engine, [contract], products(), at=AT, actor="finance")
    shop.post(call(31, account="own"), call(32, account="own"))
    found = [explain_line(shop.engine, products(), OCTOBER, "own", number).unit_price for number in (1, 2)]
    words = ["0.02, 10 % off by tier, 12.5 % off by contract: 0.01575", "0.02, 12.5 % off by contract: 0.0175"]
    assert sorted(words) == sorted(found)


def test_fees_and_rounded_events_are_explained_after_the_percent(shop: Shop) -> None:
    rounded = """
        id = "rounded"
        currency = "USD"
        effective_from = 2026-10-01T00:00:00Z
        rounding = {per = "event", decimals = 2}
        [[rate]]
        product = "voice.outbound"
        prefixes = ["33"]
        unit = "minute"
        increments = "1/1"
        price = "0.0333"
        setup_fee = "0.01"
    """
    shop.publish(read(rounded))
    shop.publish(card("voice.outbound,44,minute,60/60,0.02,0.004", id_="fees"))
    shop.admit("own", since=date(2026, 9, 1))
    contract = Contract(account="own", effective_from=date(2026, 10, 1), cards=("rounded", "fees"), deal=DEAL)
    add_contracts(shop.engine, [contract], products(), at=AT, actor="finance")
    shop.post(call(21, account="own", to="+33123456789"), call(22, account="own"))
    drawn(shop)
    lines = invoices(shop, OCTOBER, final=False)["own"].lines
    for number, line in enumerate(lines, start=1):
        found = explain_line(shop.engine, products(), OCTOBER, "own", number)
        assert found.adds_up
        if found.page:
            whole = sum((Fraction(each.exact_amount) for each in found.page), Fraction(0))
            assert Fraction(line.amount_minor, 100) + line.residual == whole
    (part,) = explain_event(shop.engine, products(), SOURCE, "call-21").parts
    assert "with setup 0.01; 0.043855 rounded to 2 decimals, half-up: 0.04; 12.5 % off by contract" == part.note
    assert "0.035" == part.exact_amount
    usage, setup = explain_event(shop.engine, products(), SOURCE, "call-22").parts
    assert ("0.035", "0.0035") == (usage.exact_amount, setup.exact_amount)
    assert verified(shop)
