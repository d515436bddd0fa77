"""Law 8: what was previewed is what is run, what is run again is the same, what is exported reads back.

"Preview = run. Re-run = same. Export → parse = source." And law 2, of invoices: "Duplicates, permutations, batching
[…]: byte-identical totals and invoices."
"""

import random
from dataclasses import replace
from datetime import date
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.documents import csv_document, json_document
from billing.flows.draw_up import draw_up
from billing.flows.fold import fold
from billing.invoices import Invoice, InvoiceLine, Kind, Party, State, record, total_minor
from billing.store.engine import snapshot, transaction
from billing.store.queries.invoices import all_invoices
from rates.money import Currency
from tests.invoicing import CLOSED, card, traffic
from tests.shop import OCTOBER, Shop, products

ACCOUNTS = 5
DRAFTS = "SELECT * FROM draft_invoices ORDER BY payer_id"
LINES = "SELECT * FROM draft_lines ORDER BY payer_id, line_no"
TOTALS = "SELECT * FROM draft_billed_totals ORDER BY payer_id, account_id, price_id, country"


def opened(shop: Shop) -> None:
    shop.publish(card())
    shop.admit(*(f"acct-{number}" for number in range(ACCOUNTS)), "idle")


def test_the_preview_is_the_run_and_the_run_again_is_the_same_to_the_byte(shop: Shop) -> None:
    opened(shop)
    for seed in range(3):
        fresh = [{**event, "id": f"{seed}-{event['id']}"} for event in traffic(ACCOUNTS, 200, seed)]
        shop.post(*fresh, at=CLOSED)
        preview = draw_up(shop.engine, products(), OCTOBER, CLOSED, write=False)
        run = draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
        assert (preview.outcomes, replace(preview.report, written=True)) == (run.outcomes, run.report)
        stored = shop.rows("SELECT account, encode(sha256, 'hex') FROM draft_invoices ORDER BY payer_id")
        assert [(each.account, each.sha256) for each in run.outcomes if each.lines] == stored
        before = [shop.rows(query) for query in (DRAFTS, LINES, TOTALS)]
        assert run.outcomes == draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True).outcomes
        assert before == [shop.rows(query) for query in (DRAFTS, LINES, TOTALS)]


def test_any_order_any_batches_and_any_repetition_make_the_same_invoices(shop: Shop) -> None:
    opened(shop)
    events, dice, seen = traffic(ACCOUNTS, 300), random.Random(8), set()
    for _ in range(4):
        with transaction(shop.engine) as connection:
            connection.execute(
                "TRUNCATE event_identity, events, event_elements, quarantine, unfolded, usage_totals, touched_months,"
                " draft_invoices, draft_lines, draft_billed_totals"
            )
        reported = [*events, *dice.choices(events, k=50)]
        dice.shuffle(reported)
        while reported:
            size = dice.randint(1, 120)
            shop.post(*reported[:size], at=CLOSED)
            reported = reported[size:]
            if dice.random() < 0.5:
                fold(shop.engine, changes_at_once=20)
        run = draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
        seen.add(tuple(each.sha256 for each in run.outcomes))
    assert 1 == len(seen)


TEXTS = st.text(st.sampled_from("=+-@\t\r'\" ,;\n€é\u2028aZ09"), max_size=6) | st.sampled_from(
    ["=1+1", "'=1", "@x", "-2", "\t", "''+"]
)
MONEY = st.sampled_from([Currency("USD"), Currency("JPY"), Currency("KWD")])
LINE = st.builds(
    InvoiceLine,
    product=TEXTS,
    element=TEXTS,
    country=st.sampled_from(["", "US"]),
    destination=TEXTS,
    tier=st.sampled_from(["", "1", "free"]),
    events=st.integers(0, 10**9),
    unit=st.sampled_from(["minute", "event"]),
    unit_size=st.sampled_from([1, 60, 10**9]),
    unit_price=st.integers(0, 10**15).map(lambda units: Fraction(units, 10**14)),
    amount_minor=st.integers(-(10**12), 10**12),
    residual=st.fractions(max_denominator=1000),
    base_quantity=st.integers(0, 2**62),
    base_unit=st.just("second"),
    origin_period=st.just("2026-10"),
    cards=st.lists(st.sampled_from(["list@2026-10-01T00:00:00Z", "a@b"]), min_size=1, max_size=2).map(tuple),
)


@st.composite
def invoices(draw: st.DrawFn) -> Invoice:
    lines = tuple(draw(st.lists(LINE, max_size=4)))
    party = Party(
        account=draw(TEXTS),
        currency=draw(MONEY),
        name=draw(TEXTS),
        address=tuple(draw(st.lists(TEXTS, max_size=2))),
        tax_id=draw(TEXTS),
        legal_entity=draw(TEXTS),
    )
    issued = draw(st.booleans())
    return Invoice(
        party=party,
        kind=Kind.USAGE,
        period="2026-10",
        state=State.FINAL if issued else State.DRAFT,
        lines=lines,
        total_minor=total_minor(lines),
        billed_sha256="00" * 32,
        summed_sha256="22" * 32,
        sha256="11" * 32,
        number="INV-000001" if issued else "",
        issued_on=date(2026, 11, 4) if issued else None,
        due_on=date(2026, 12, 4) if issued else None,
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(invoices(), max_size=3))
def test_what_is_exported_as_json_reads_back(exported: list[Invoice]) -> None:
    text = "".join(json_document.render(exported))
    assert [json_document.document(invoice) for invoice in exported] == json_document.parse(text)
    assert len(exported) == text.count("\n")


@settings(max_examples=200, deadline=None)
@given(st.lists(invoices(), max_size=3))
def test_what_is_exported_as_csv_reads_back_and_no_cell_is_a_formula(exported: list[Invoice]) -> None:
    text = "".join(csv_document.render(exported))
    source = [
        {
            "number": invoice.number,
            "account": invoice.party.account,
            "period": invoice.period,
            "issued_on": "2026-11-04" if invoice.issued_on else "",
            "currency": invoice.party.currency,
            **record(line, invoice.party.currency),
            "line": number,
            "state": invoice.state.value,
            "due_on": "2026-12-04" if invoice.due_on else "",
            "kind": invoice.kind.value,
            "corrects": invoice.corrects,
        }
        for invoice in exported
        for number, line in enumerate(invoice.lines, start=1)
    ]
    assert source == csv_document.parse(text)
    for row in csv_document.cells(text):
        for column, cell in row.items():
            assert column in csv_document.NUMBERS or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_the_invoices_of_a_run_read_back(shop: Shop) -> None:
    opened(shop)
    shop.post(*traffic(ACCOUNTS, 200), at=CLOSED)
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    with snapshot(shop.engine) as connection:
        found = list(all_invoices(connection, OCTOBER, final=False))
    assert ACCOUNTS == len(json_document.parse("".join(json_document.render(found))))
    assert sum(len(invoice.lines) for invoice in found) == len(csv_document.parse("".join(csv_document.render(found))))
