"""Explaining what of an event's charge is not linear: steps, windows, limits, rounding per event."""

import pytest

from billing.explanations import EventExplanation, LineExplanation
from billing.flows.compose import compose_statement
from billing.flows.draw_up import draw_up
from billing.flows.explain import explain_event, explain_line
from billing.flows.finalize import finalize
from rates.cardfile import read_card
from tests.invoicing import CLOSED
from tests.shop import OCTOBER, SOURCE, Shop, call, products

HEAD = 'id = "list"\ncurrency = "USD"\neffective_from = 2026-10-01T00:00:00Z\n'
WINDOWS = """timezone = "Europe/London"
[windows.peak]
days = ["fri"]
from = "08:00"
to = "20:00"
split = true
"""
RATE = '[[rate]]\nproduct = "voice.outbound"\ndestination = "United Kingdom"\nunit = "minute"\nincrements = "1/1"\n'


def open_shop(shop: Shop, text: str) -> None:
    card, faults = read_card(text, {}, products())
    assert card is not None, faults
    shop.publish(card)
    shop.admit("acme")


def explained(shop: Shop, *seconds: int, at: str = "2026-10-02T10:00:00Z") -> list[EventExplanation]:
    calls = [call(n, duration_seconds=str(length), occurred_at=at) for n, length in enumerate(seconds)]
    shop.post(*calls, at=CLOSED)
    return [explain_event(shop.engine, products(), SOURCE, f"call-{n}") for n in range(len(seconds))]


def check_lines(shop: Shop) -> list[str]:
    """Every line adds up from its events; what each of them says."""
    lines = compose_statement(shop.engine, products(), OCTOBER, OCTOBER.opens, "acme").lines
    found = [explain_line(shop.engine, products(), OCTOBER, "acme", n) for n in range(1, len(lines) + 1)]
    assert all(each.adds_up for each in found)
    return [in_words(each) for each in found]


def in_words(found: LineExplanation) -> str:
    return f"{found.line.element}: {found.arithmetic}: {[share.exact_amount for share in found.page]}"


def test_each_step_of_a_call_is_a_part_and_the_whole_is_what_was_billed(shop: Shop) -> None:
    open_shop(shop, f'{HEAD}{RATE}steps = "0:0.10 60:0.05"\n')
    long, short = explained(shop, 90, 60)
    assert (90, "90 -> first 1, then 89 × 1 -> 90 (1/1)") == (long.billed, long.increments)
    assert [
        ("from second 0 on", "60 second ÷ 60 = 1 minute × 0.1 = 0.1"),
        ("from second 60 on", "30 second ÷ 60 = 0.5 minute × 0.05 = 0.025"),
    ] == [(part.note, part.arithmetic) for part in long.parts]
    assert 2 == len({part.line_no for part in long.parts})
    assert ["from second 0 on"] == [part.note for part in short.parts]
    assert [
        "usage: 30 second ÷ 60 = 0.5 minute × 0.05 = 0.025, rounded 0.03 USD: ['0.025']",
        "usage: 120 second ÷ 60 = 2 minute × 0.1 = 0.2, rounded 0.20 USD: ['0.1', '0.1']",
    ] == check_lines(shop)


def test_each_part_of_a_call_says_the_window_whose_price_it_has(shop: Shop) -> None:
    open_shop(shop, f'{HEAD}{WINDOWS}{RATE}window = "peak"\nprice = "0.2"\n{RATE}price = "0.02"\n')
    (found,) = explained(shop, 120, at="2026-10-02T18:59:00Z")
    said = "peak (fri 08:00-20:00 Europe/London, split)"
    assert [(said, 60, "0.2"), ("", 60, "0.02")] == [
        (part.window, part.base_quantity, part.exact_amount) for part in found.parts
    ]
    assert ["row 1", "row 2"] == [part.row for part in found.parts]
    assert 2 == len(check_lines(shop))


def test_a_call_that_enters_a_window_and_leaves_it_is_one_event_on_its_line(shop: Shop) -> None:
    open_shop(shop, f'{HEAD}{WINDOWS}{RATE}window = "peak"\nprice = "0.2"\n{RATE}price = "0.02"\n')
    short, long = explained(shop, 3600, 15 * 3600, at="2026-10-02T06:00:00Z")  # an hour, twelve of peak, two hours
    assert [3600] == [part.base_quantity for part in short.parts]
    assert [3600, 12 * 3600, 2 * 3600] == [part.base_quantity for part in long.parts]
    assert [
        "usage: 14400 second ÷ 60 = 240 minute × 0.02 = 4.8, rounded 4.80 USD: ['1.2', '3.6']",
        "usage: 43200 second ÷ 60 = 720 minute × 0.2 = 144, rounded 144.00 USD: ['144']",
    ] == check_lines(shop)


def test_a_clamped_call_says_what_it_would_have_come_to(shop: Shop) -> None:
    limits = 'setup_fee = "0.05"\nmin_charge = "0.15"\nmax_charge = "1"\n'
    open_shop(shop, f'{HEAD}{RATE}price = "0.60"\n{limits}')
    low, within, high = explained(shop, 9, 10, 96)
    assert [("minimum", "0.14 is less than the minimum: 0.15", "0.15", 9)] == [
        (part.element, part.note, part.exact_amount, low.billed) for part in low.parts
    ]
    assert [("usage", ""), ("setup", "")] == [(part.element, part.note) for part in within.parts]
    assert ["1.01 is more than the maximum: 1"] == [part.note for part in high.parts]
    assert {1, 2, 3, 4} == {part.line_no for each in (low, within, high) for part in each.parts}
    assert "minimum: 1 event × 0.15 = 0.15, rounded 0.15 USD: ['0.15']" in check_lines(shop)


def test_a_surcharge_that_makes_it_too_much_is_named(shop: Shop) -> None:
    surcharge = RATE.replace("United Kingdom", "Origin") + 'element = "surcharge"\nprice = "6"\n'
    open_shop(shop, f'{HEAD}{RATE}price = "0.60"\nmax_charge = "1"\n{surcharge}')
    (found,) = explained(shop, 60)
    assert ["its usage, setup and surcharge are more than the maximum: 1"] == [part.note for part in found.parts]


@pytest.mark.parametrize(
    ("mode", "charges"), [("half-up", ["0.14", "0.11"]), ("down", ["0.13", "0.1"]), ("half-even", ["0.14", "0.1"])]
)
def test_a_call_that_is_rounded_by_itself_says_its_charge_and_its_line_adds_charges_up(
    shop: Shop, mode: str, charges: list[str]
) -> None:
    rounding = f'[rounding]\nper = "event"\ndecimals = 2\nmode = "{mode}"\n'
    open_shop(shop, f'{HEAD}{rounding}{RATE}steps = "0:0.10 60:0.05"\nsetup_fee = "0.005"\n')
    first, second = explained(shop, 97, 60)  # 0.1 + 37 s × 0.05 and 0.1, each with 0.005
    assert [charges[0], "0"] == [part.exact_amount for part in first.parts]
    said = f"from second 0 on; with setup 0.005; 163/1200 rounded to 2 decimals, {mode}: {charges[0]}"
    assert said == first.parts[0].note
    assert f"0.105 rounded to 2 decimals, {mode}: {charges[1]}" in second.parts[0].note
    assert "from second 60 on" == first.parts[1].note
    zero, whole = check_lines(shop)
    assert zero.endswith("event by event rounded, with their setup: 0, rounded 0.00 USD: ['0']")
    assert whole.endswith(f" USD: {charges}")


@pytest.mark.parametrize("rounding", ["", '[rounding]\nper = "event"\ndecimals = 2\n'], ids=["per line", "per event"])
def test_parts_that_came_after_the_invoice_are_not_among_those_that_it_billed(shop: Shop, rounding: str) -> None:
    open_shop(shop, f'{HEAD}{rounding}{RATE}steps = "0:0.10 60:0.05"\n')
    shop.post(call(0, duration_seconds="90", occurred_at="2026-10-02T10:00:00Z"), at=CLOSED)
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    finalize(shop.engine, OCTOBER, CLOSED)
    before = check_lines(shop)
    shop.post(call(1, duration_seconds="120", occurred_at="2026-10-02T09:00:00Z"), at=CLOSED)
    lines = [explain_line(shop.engine, products(), OCTOBER, "acme", number) for number in (1, 2)]
    assert before == [in_words(each) for each in lines]
    assert [(True, 1, "INV-000001")] * 2 == [(each.adds_up, each.later, each.invoice) for each in lines]
    billed, late = (explain_event(shop.engine, products(), SOURCE, name) for name in ("call-0", "call-1"))
    assert ({1, 2}, False) == ({part.line_no for part in billed.parts}, billed.late)
    assert ([None, None], [60, 60], True) == (
        [part.line_no for part in late.parts],
        [part.base_quantity for part in late.parts],
        late.late,
    )
