"""Charges beyond 64 bits, of one event or of many, stop nobody else: at the door, in the fold, in a run, in a mend."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from billing.corrections import Subject, Worth
from billing.flows.draw_up import draw_up
from billing.flows.fold import fold
from billing.flows.publish import publish
from billing.flows.verify import verify
from billing.runs import GRACE
from tests.shop import CATALOGUE, OCTOBER, Shop, call, outcomes, products, read

CLOSED = OCTOBER.closes + GRACE
TABLES = [tomllib.loads(Path(path).read_text()) for path in sorted(CATALOGUE.glob("*.toml"))]
FINE = """
    id = "fine"
    currency = "USD"
    effective_from = 2026-10-01T00:00:00Z
    rates = "rates.csv"
    [rounding]
    per = "event"
    decimals = 12
"""
COARSE = FINE.replace("decimals = 12", "decimals = 6")
RATES = "product,unit,price\nsms.outbound,segment,1\n"


def message(number: int, segments: int, **changes: object) -> dict[str, object]:
    facts = {"product": "sms.outbound", "duration_seconds": None, "status": "sent", "segments": str(segments)}
    return call(number, account="fine", **facts, **changes)


@pytest.fixture(autouse=True)
def opened(shop: Shop) -> None:
    """Messages of a dollar a segment, rounded to 10^-12 each: 63 bits hold 9,223,372 dollars."""
    shop.publish()
    shop.publish(read(FINE, RATES))
    shop.admit("acme")
    shop.admit("early", "fine", "late", cards=("fine",))


def test_one_event_beyond_64_bits_waits_and_the_others_of_its_batch_do_not(shop: Shop) -> None:
    receipt = shop.post(call(1), message(2, 9_223_373), message(3, 9_223_372))
    assert ["accepted", "quarantined", "accepted"] == outcomes(receipt)
    assert "charge_too_large" == receipt.findings[1].reason
    assert 2 == fold(shop.engine).changes, "the large charge stays a change: a second one would not fit"
    run = draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    assert (2, 0) == (run.report.billed, run.report.failed)
    assert verify(shop.engine, products(), TABLES, OCTOBER).agrees


@pytest.mark.parametrize("days", [1, 2])
def test_an_account_of_many_that_do_not_add_up_fails_alone(shop: Shop, days: int) -> None:
    one, other = message(1, 9_000_000), message(2, 9_000_000, occurred_at=f"2026-10-0{days + 1}T00:00:00Z")
    assert ["accepted"] * 3 == outcomes(shop.post(one, other, call(3)))
    fold(shop.engine)
    run = draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    assert (1, 1) == (run.report.billed, run.report.failed)
    assert run.report.stopped[0].reason.endswith("or have its card round each event to fewer decimals")
    found = verify(shop.engine, products(), TABLES, OCTOBER)
    # Totals of two days are read one by one, and make the line that the verifier makes; of one day there is none.
    assert [["fine"], []][days - 1] == sorted({each.subject.partition(" ")[0] for each in found.disagreements})
    assert 0 == found.unbalanced_totals


def test_a_forced_mend_tells_who_could_not_be_priced_on_either_side_and_prices_the_others(shop: Shop) -> None:
    """Force is the remedy for such an account: it must not be what stops the mend for everybody."""
    shop.post(*(message(number, 9_000_000) for number in (1, 2)))
    shop.post(*(message(number, 1) | {"account": name} for number, name in ((3, "early"), (4, "late"))))
    for of, mends in ((COARSE, True), (FINE, False)):
        changed = publish(shop.engine, read(of, RATES), products(), at=CLOSED, actor="ann", reason="too fine")
        found = changed.correction
        assert found is not None
        assert (4, 4, ["fine"]) == (found.events, found.rewritten, [*found.unpriced])
        assert found.unpriced["fine"].startswith("AmountOverflowError: ")
        assert found.needs_a_person
        broken, sound = (found.before, found.after) if mends else (found.after, found.before)
        assert {"early": 100, "fine": 18_000_000_00, "late": 100} == amounts(sound)
        assert {"early": 100, "late": 100} == amounts(broken)


def amounts(side: Mapping[Subject, Worth]) -> dict[str, int]:
    return {subject.account: worth.amount_minor for subject, worth in side.items()}
