from fractions import Fraction

import pytest

from billing.invoices import (
    LIFE_CYCLE,
    LINE_FIELDS,
    Invoice,
    InvoiceLine,
    InvoiceStateError,
    Kind,
    Party,
    State,
    Step,
    after,
    content,
    number_text,
    peoples_quantity,
    record,
    sha256,
    states_before,
)
from rates.money import Currency

USD = Currency("USD")

LINE = InvoiceLine(
    product="voice.outbound",
    element="usage",
    country="US",
    destination="United States",
    tier="1",
    events=2,
    unit="minute",
    unit_size=60,
    unit_price=Fraction("0.0140"),
    amount_minor=2,
    residual=Fraction(1, 1000),
    base_quantity=90,
    base_unit="second",
    origin_period="2026-10",
    cards=("list-usd@2026-10-01T00:00:00Z",),
)

INVOICE = Invoice(
    party=Party(account="acme", currency=USD, name='Acme "Ltd" é', address=("1 Road", "Town")),
    kind=Kind.USAGE,
    period="2026-10",
    state=State.DRAFT,
    lines=(LINE,),
    total_minor=2,
    billed_sha256="00",
    summed_sha256="11",
    sha256="",
)


def test_a_line_is_written_as_formats_6_says() -> None:
    written = record(LINE, USD)
    assert LINE_FIELDS == tuple(written)
    assert {
        "product": "voice.outbound",
        "element": "usage",
        "country": "US",
        "destination": "United States",
        "tier": "1",
        "events": 2,
        "quantity": "1.5",
        "unit": "minute",
        "unit_price": "0.014",
        "amount": "0.02",
        "residual": "1/1000",
        "base_quantity": "90",
        "base_unit": "second",
        "origin_period": "2026-10",
        "cards": ["list-usd@2026-10-01T00:00:00Z"],
    } == written


@pytest.mark.parametrize(
    ("base_quantity", "unit_size", "quantity"),
    [(20, 60, "0.333333"), (40, 60, "0.666667"), (0, 60, "0"), (120, 60, "2"), (1, 10**9, "0"), (-90, 60, "-1.5")],
)
def test_the_quantity_for_people_has_six_decimals_at_most(base_quantity: int, unit_size: int, quantity: str) -> None:
    assert quantity == peoples_quantity(base_quantity, unit_size)


def test_what_is_signed_is_compact_json_with_every_fact_and_no_number() -> None:
    assert content(INVOICE) == (
        '{"account":"acme","name":"Acme \\"Ltd\\" é","address":["1 Road","Town"],"tax_id":"","language":"",'
        '"legal_entity":"","kind":"usage","period":"2026-10","currency":"USD","total_minor":"2","billed_sha256":"00",'
        '"summed_sha256":"11","corrects":"","adjusts":[],'
        '"lines":[{"product":"voice.outbound","element":"usage","country":"US","destination":"United States",'
        '"tier":"1","unit":"minute","unit_size":"60","unit_price":"0.014","base_unit":"second",'
        '"origin_period":"2026-10","cards":["list-usd@2026-10-01T00:00:00Z"],"events":"2","base_quantity":"90",'
        '"amount_minor":"2","residual":"1/1000"}]}'
    )
    assert 64 == len(sha256(content(INVOICE)))


def test_every_state_but_the_last_can_be_left_and_the_last_cannot() -> None:
    assert {State.DRAFT, State.APPROVED} == {state for state, _ in LIFE_CYCLE}
    for step in Step:
        with pytest.raises(InvoiceStateError, match="corrected by another"):
            after(State.FINAL, step)


def test_a_redrawn_draft_loses_its_signature() -> None:
    assert State.DRAFT == after(State.APPROVED, Step.REDRAW)


def test_without_approval_a_draft_is_final_only_where_nobody_must_approve() -> None:
    assert State.FINAL == after(State.DRAFT, Step.FINALIZE)
    with pytest.raises(InvoiceStateError, match="approve it first"):
        after(State.DRAFT, Step.FINALIZE, approval_demanded=True)
    assert State.FINAL == after(State.APPROVED, Step.FINALIZE, approval_demanded=True)
    assert (State.DRAFT, State.APPROVED) == states_before(Step.FINALIZE)
    assert (State.APPROVED,) == states_before(Step.FINALIZE, approval_demanded=True)


def test_a_number_is_printed_with_its_series() -> None:
    assert "INV-000417" == number_text("INV", 417)
    assert "INV-1000000" == number_text("INV", 1_000_000)
