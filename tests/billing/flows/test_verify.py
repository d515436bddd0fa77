"""Verify: the independent rating agrees with what is stored, and says where it does not."""

import tomllib
import tracemalloc
from pathlib import Path

import pytest

from billing.flows.draw_up import draw_up
from billing.flows.finalize import finalize
from billing.flows.publish import publish
from billing.flows.verify import verify
from billing.runs import GRACE
from billing.store.engine import snapshot, transaction
from billing.store.queries.verification import raw_cards
from billing.verification import Verification
from billing.verifier_usage import FaultError
from rates.cardfile import card_from_table
from rates.cards import Card
from tests.shop import CATALOGUE, OCTOBER, Shop, call, card, products

CLOSED = OCTOBER.closes + GRACE
TABLES = [tomllib.loads(Path(path).read_text()) for path in sorted(CATALOGUE.glob("*.toml"))]
ACME = "(SELECT account_id FROM accounts WHERE id = 'acme')"


@pytest.fixture(autouse=True)
def month(shop: Shop) -> None:
    """Two accounts with two calls each, one call that nothing prices, one that does not bill, and one of November."""
    shop.publish()
    shop.admit("acme", "bolt")
    shop.post(*(call(number, account=name) for number, name in enumerate(["acme", "bolt", "acme", "bolt"])))
    shop.post(call(5, to="+33123456789"), call(6, status="busy"), at=CLOSED)
    shop.post(call(7, occurred_at="2026-11-01T00:00:00Z"), at=CLOSED)
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)


def verified(shop: Shop) -> Verification:
    return verify(shop.engine, products(), TABLES, OCTOBER)


def plant(shop: Shop, change: str) -> None:
    with transaction(shop.engine) as connection:
        assert connection.execute(change.encode()).rowcount


def said(found: Verification) -> list[tuple[str, str]]:
    """Where the two differ, whose and in what."""
    return [(each.subject.partition(" ")[0], each.fact) for each in found.disagreements]


def test_what_is_right_is_agreed_on_and_counted(shop: Shop) -> None:
    for _ in range(2):
        found = verified(shop)
        assert found.agrees
        assert ((), 0, ()) == (found.disagreements, found.unbalanced_totals, found.outdated)
        assert (6, 4, 1, 1, 0) == (found.events, found.billed, found.zero_rated, found.quarantined, found.too_late)
        assert (2, 2) == (found.accounts, found.lines)
        finalize(shop.engine, OCTOBER, CLOSED)


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ("UPDATE draft_lines SET amount_minor = amount_minor + 1", {"amount"}),
        ("UPDATE draft_lines SET residual = '1/300'", {"residual"}),
        ("UPDATE draft_lines SET events = events + 1", {"events"}),
        ("UPDATE draft_lines SET base_quantity = base_quantity + 60", {"base_quantity", "quantity"}),
        ("UPDATE draft_lines SET unit_price = 0.03", {"line"}),
        ("UPDATE draft_lines SET tier = '2'", {"line"}),
        ("UPDATE draft_invoices SET total_minor = total_minor + 1", {"total"}),
        ("UPDATE draft_invoices SET currency = 'EUR'", {"currency"}),
    ],
)
def test_one_wrong_figure_of_one_account_is_named(shop: Shop, change: str, facts: set[str]) -> None:
    plant(shop, f"{change} WHERE payer_id = {ACME}")
    found = verified(shop)
    assert not found.agrees
    assert {("acme", fact) for fact in facts} == set(said(found))


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ("UPDATE events SET billed = billed + 60", []),
        ("UPDATE unfolded SET quantity = quantity + 60", ["base_quantity", "quantity", "amount", "total"]),
        ("UPDATE unfolded SET events = events - 1", ["events"]),
        ("DELETE FROM unfolded", ["account"]),
    ],
)
def test_totals_that_are_not_the_sum_of_the_ratings_are_found(shop: Shop, change: str, facts: list[str]) -> None:
    plant(shop, f"{change} WHERE payer_id = {ACME}")
    plant(shop, "DELETE FROM draft_invoices")
    found = verified(shop)
    assert (False, 1) == (found.agrees, found.unbalanced_totals)
    assert {("acme", fact) for fact in facts} == set(said(found))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE quarantine SET reason = 1",
        "UPDATE events SET reason = 1 WHERE status = 'busy'",
        "UPDATE quarantine SET to_e164 = 447700900123",
        "UPDATE events SET status = 'completed' WHERE status = 'busy'",
    ],
)
def test_an_event_that_is_on_no_line_for_another_reason_is_found(shop: Shop, change: str) -> None:
    plant(shop, change)
    found = verified(shop)
    assert not found.agrees
    assert "event" in {each.fact for each in found.disagreements}


def test_an_accepted_event_that_is_nowhere_is_missed(shop: Shop) -> None:
    plant(shop, "DELETE FROM events WHERE id = 'call-0'")
    found = verified(shop)
    assert (False, 1) == (found.agrees, found.unbalanced_totals)
    assert ("acme", "events") in said(found)


def test_an_account_whose_usage_has_changed_since_its_draft_is_verified_as_it_would_be_now(shop: Shop) -> None:
    shop.post(call(8))
    found = verified(shop)
    assert (True, ("acme",)) == (found.agrees, found.outdated)


@pytest.mark.parametrize("discounts", [[], ["0", "12.5"]])
def test_one_price_under_several_tiers_is_verified_as_the_card_states_it(shop: Shop, discounts: list[str]) -> None:
    """Cards are kept with `price` folded into `prices`: the verifier must not take it for one price too few."""
    schedule = {"up_to": ["3"], "unit": "minute", "discounts": discounts, "fill": [{"product": ["voice.outbound"]}]}
    rate = {"product": "voice.outbound", "prefixes": ["44"], "unit": "minute", "increments": "60/60", "tiers": "t"}
    head = {"id": "tiered", "currency": "USD", "effective_from": OCTOBER.opens, "tiers": {"t": schedule}}
    tiered, faults = card_from_table({**head, "rate": [{**rate, "price": "0.02"}]}, {}, products())
    assert tiered is not None, faults
    shop.publish(tiered)
    shop.admit("cora", cards=("tiered",))
    shop.post(call(8, account="cora", duration_seconds="600"))
    found = verified(shop)
    assert (True, 3) == (found.agrees, found.accounts)
    assert 4 == found.lines


def test_the_verifier_reads_no_rows_of_replaced_card_versions(shop: Shop) -> None:
    """Each of its processes reads the cards: what nobody is rated by any more would cost memory in all of them."""
    shop.publish(deck(1))
    before = peak_of_cards(shop)
    for price in (2, 3, 4):
        publish(shop.engine, deck(price), products(), at=CLOSED, actor="ann", reason="mistyped")
    assert peak_of_cards(shop) < before * 3 // 2
    with snapshot(shop.engine) as connection:
        rates = {each["id"]: each["rate"] for each in raw_cards(connection)}
    assert {"deck", "list"} == {*rates}
    assert [{"prefixes": "440000", "price": "0.4"}] == [
        {name: row[name] for name in ("prefixes", "price")}
        for row in rates["deck"][:1]  # type: ignore[index]
    ]


def deck(price: int) -> Card:
    return card("\n".join(f"voice.outbound,{44_0000 + n},minute,60/60,0.{price}" for n in range(2_000)), id_="deck")


def peak_of_cards(shop: Shop) -> int:
    """The most memory in bytes that the cards take while they are read."""
    with snapshot(shop.engine) as connection:
        tracemalloc.start()
        try:
            raw_cards(connection)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_what_the_verifier_cannot_read_is_told_from_another_process(shop: Shop) -> None:
    broken = {"id": "voice.mars", "units": {"minute": "x"}}
    with pytest.raises(FaultError, match=r"voice\.mars") as raised:
        verify(shop.engine, products(), [*TABLES, broken], OCTOBER, processes=2)
    assert f"{raised.value.place}: {raised.value.fault}" == str(raised.value)
