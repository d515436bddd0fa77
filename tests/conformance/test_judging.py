"""That a verdict means something: what differs is told, and what is left out of a translation is never passed."""

import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import pytest

from billing.bills import Bills
from rates.money import format_fraction
from tests.conformance.figures import KEPT, Case, cases
from tests.conformance.judging import judge
from tests.conformance.report import DOCUMENT, with_counts
from tests.conformance.tariffs import PAYER, BillsDifferError, Sale, billed, bills_of, sold, verify
from tests.conformance.verdicts import CannotSayError, Compared, Given, Outcome, Verdict, outcome_of

ONE = Fraction(1)
_AVERAGES = ("expected_unit_amount", "expected_span_count")
"""Published figures that are not compared; the guide says why."""


def published(facts: Mapping[str, object]) -> Iterator[str]:
    """The facts that are compared: the exact cost instead of the one that was rounded on the way."""
    for key, value in facts.items():
        told = key.startswith("expected_") and not (key == "expected_cost" and "exact_cost" in facts)
        is_figure = isinstance(value, str | int) or (isinstance(value, list) and all(isinstance(v, str) for v in value))
        if (told or key in {"exact_cost", "derived_cost"}) and key not in _AVERAGES and is_figure:
            yield key


def altered(value: object) -> object:
    """The same kind of fact, but another."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, list):
        return [*value[:-1], altered(value[-1])] if value else ["1"]
    return format_fraction(Fraction(str(value)) + 1)


def case_of(facts: Mapping[str, object], model: str) -> Case:
    return Case(system="x", file="x", model=model, name="x", facts=facts)


def test_every_figure_that_is_published_is_compared() -> None:
    """Altered by itself, no figure of a case that passes lets it pass."""
    unnoticed = []
    for case in cases([KEPT]):
        if judge(case).verdict is not Verdict.PASSED:
            continue
        for key in published(case.facts):
            facts = {**case.facts, key: altered(case.facts[key])} if key != "expected_error" else {}
            if facts and judge(case_of(facts, case.model)).verdict is Verdict.PASSED:
                unnoticed.append(f"{case}: {key}")
    assert [] == unnoticed


@pytest.mark.parametrize("where", ["facts", "params"])
def test_a_condition_that_no_translation_reads_is_not_passed(where: str) -> None:
    params: dict[str, object] = {"unit": "2"}
    facts: dict[str, object] = {"system": "x", "model": "per_unit", "quantity": "3", "expected_amount": "6"}
    assert Verdict.PASSED == judge(case_of({**facts, "params": params}, "per_unit")).verdict
    (facts if where == "facts" else params)["only_on_mondays"] = True
    outcome = judge(case_of({**facts, "params": params}, "per_unit"))
    assert (Verdict.UNSAID, "a condition that is not translated: only_on_mondays") == (outcome.verdict, outcome.reason)


def test_a_model_that_is_not_known_is_not_expressible() -> None:
    for facts in ({"model": "tidal"}, {"model": "tidal", "system": "x"}, {}):
        assert Verdict.UNSAID == judge(case_of(facts, "tidal")).verdict


def test_what_a_card_refuses_is_not_expressible() -> None:
    """A price of more decimals than a price has."""
    facts = {"model": "standard", "params": {"amount": "0.1234567890123"}, "units": "1", "amount_unit": "major"}
    outcome = judge(case_of({**facts, "expected_amount": "0.1234567890123"}, "standard"))
    assert Verdict.UNSAID == outcome.verdict
    assert "a card's check refuses it" in outcome.reason


def test_a_figure_that_differs_fails_unless_a_reason_holds() -> None:
    off = Compared(fact="amount", expected="2", came=ONE)
    assert Outcome(verdict=Verdict.FAILED, differences=("amount: published 2, ours 1",)) == outcome_of([off])
    assert Verdict.FAILED == outcome_of([]).verdict
    excused = Compared(fact="amount", expected="2", came=ONE, otherwise="so it is")
    assert (Verdict.OTHERWISE, "so it is") == (outcome_of([excused]).verdict, outcome_of([excused]).reason)
    assert Verdict.FAILED == outcome_of([excused, off]).verdict


@pytest.mark.parametrize(
    ("text", "agrees"),
    [("8.933333333333334", True), ("8.933333333333333", True), ("8.933333333333335", False), ("8.93", False)],
)
def test_a_number_that_does_not_end_agrees_to_the_last_digit_but_one(text: str, *, agrees: bool) -> None:
    assert agrees == Compared(fact="cost", expected=text, came=Fraction(134, 15)).agrees


def test_a_number_that_ends_agrees_exactly() -> None:
    assert not Compared(fact="cost", expected="0.3333333333", came=Fraction("0.33333333331")).agrees


def test_facts_remember_what_was_read() -> None:
    given = Given({"a": "1", "b": "2"}, "b")
    with pytest.raises(CannotSayError, match=r"a$"):
        given.finish()
    assert "1" == given["a"]
    given.finish()
    with pytest.raises(CannotSayError, match="missing: c"):
        given["c"]


def test_a_bill_that_the_verifier_makes_otherwise_is_told() -> None:
    dear, cheap = (sold(Sale(price=Fraction(price), used={PAYER: [ONE]})) for price in (2, 1))
    bills: Bills = bills_of(dear)
    verify(bills, dear)
    with pytest.raises(BillsDifferError, match="the verifier and the engine differ"):
        verify(bills, cheap)


def test_a_quantity_need_not_be_whole() -> None:
    bill = billed(sold(Sale(price=Fraction(8), used={PAYER: [Fraction("0.125"), Fraction("0.3")]})))
    assert (Fraction("0.425"), Fraction("3.4")) == (bill.quantity(), bill.exact)


def test_a_case_is_taken_once_however_often_it_is_given(tmp_path: Path) -> None:
    """Kept and shared figures are the same facts: sentences and nulls apart."""
    (tmp_path / "x.json").write_text(json.dumps({"cases": [{"model": "m", "units": "1", "notes": "n", "to": None}]}))
    more = tmp_path / "more"
    more.mkdir()
    (more / "x.json").write_text(json.dumps({"cases": [{"model": "m", "units": "1"}, {"model": "m", "units": "2"}]}))
    assert ["1", "2"] == [case.facts["units"] for case in cases([tmp_path, more])]


def test_the_guide_has_the_counts_of_now() -> None:
    """`python -m tests.conformance.report` writes them anew."""
    document = DOCUMENT.read_text(encoding="utf-8")
    assert with_counts(document) == document
