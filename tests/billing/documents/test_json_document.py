"""An invoice as JSON: one object, its lines as FORMATS 6 has them. That all of it reads back is law 8."""

from dataclasses import replace
from datetime import date

from billing.documents.json_document import document, parse, render
from billing.invoices import State
from tests.billing.test_invoices import INVOICE


def test_a_draft_has_no_number_and_no_dates() -> None:
    found = document(INVOICE)
    assert ("draft", None, None, None) == (found["state"], found["number"], found["issued_on"], found["due_on"])
    assert ("acme", "USD", "0.02") == (found["account"], found["currency"], found["total"])


def test_a_final_invoice_has_them() -> None:
    issued = replace(
        INVOICE, state=State.FINAL, number="INV-000001", issued_on=date(2026, 11, 4), due_on=date(2026, 12, 4)
    )
    found = document(issued)
    assert ("INV-000001", "2026-11-04", "2026-12-04") == (found["number"], found["issued_on"], found["due_on"])


def test_each_invoice_is_one_line() -> None:
    text = "".join(render([INVOICE, INVOICE]))
    assert 2 == text.count("\n")
    assert [document(INVOICE)] * 2 == parse(text)
