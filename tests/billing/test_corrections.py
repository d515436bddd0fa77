"""What a correction came to: before and after by subject and in all, and whether somebody has to look."""

import pytest

from billing.corrections import Correction, Difference, Subject, Worth

ACME = Subject("2026-10", "acme", "voice.outbound", "USD")
BOLT = ACME._replace(account="bolt")
EURO = ACME._replace(account="euro", currency="EUR")


def test_what_is_on_one_side_only_is_a_difference_too() -> None:
    found = Correction(before={ACME: Worth(2, 20)}, after={BOLT: Worth(1, 5), EURO: Worth(1, 7)})
    assert [
        Difference(ACME, Worth(2, 20), Worth()),
        Difference(BOLT, Worth(), Worth(1, 5)),
        Difference(EURO, Worth(), Worth(1, 7)),
    ] == list(found.differences)
    assert [("EUR", 7), ("USD", -15)] == [(each.subject.currency, each.amount_minor) for each in found.in_all]


def test_months_and_currencies_are_summed_apart_and_only_where_something_has_changed() -> None:
    final, text = ACME._replace(period="2026-09"), ACME._replace(product="sms.outbound")
    before = {final: Worth(5, 50), ACME: Worth(2, 20), text: Worth(1, 3), EURO: Worth(1, 7)}
    found = Correction(before=before, after={**before, ACME: Worth(2, 30)})
    (in_all,) = found.in_all
    assert Difference(Subject("2026-10", "", "", "USD"), Worth(3, 23), Worth(3, 33)) == in_all


@pytest.mark.parametrize("found", [Correction(quarantined=1), Correction(unpriced={"acme": "why"})])
def test_what_is_left_needs_a_person(found: Correction) -> None:
    assert found.needs_a_person


def test_what_was_only_charged_otherwise_needs_nobody() -> None:
    assert not Correction(events=3, rewritten=2, withdrawn=1, after={ACME: Worth(1, 1)}).needs_a_person
