"""Law 8: "Preview = run. Re-run = same." Here: what a simulation foresees is what a publication would have billed.

DESIGN 2: "the live statement, the preview, the forecast, the final invoice and the what-if on last month's traffic are
that same function on different totals." Cards, contracts and traffic are drawn as law 3 draws them; a candidate for the
list card is drawn beside them. Its simulation is compared, line by line, with the bills of a world in which it was
published instead; and the simulation of what is published with the bills as they are.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from billing.accounts import payer_of, read_account
from billing.bills import Bills
from billing.contracts import read_contract
from billing.errors import InputFaultyError
from billing.flows.fold import fold
from billing.flows.ingest import Intake
from billing.flows.publish import add_accounts, add_contracts, publish
from billing.flows.simulate import Asked, Candidate, simulate_card
from billing.invoices import record
from billing.simulations import Simulation
from billing.store.embedded import Cluster, create_database, drop_database
from billing.store.engine import Engine, open_engine
from rates.cards import Card
from rates.money import Currency
from tests.laws.test_law_03_engine_is_verifier import OCTOBER, books, card_tables, contracts, traffic, trees
from tests.shop import AT, products
from tests.verified import billed, cards_of

Table = dict[str, Any]
USD = Currency("USD")
LATER = datetime(2026, 11, 15, tzinfo=UTC)


@contextmanager
def fresh(cluster: Cluster, template: str) -> Iterator[Engine]:
    name = f"law_{uuid.uuid4().hex}"
    engine = open_engine(create_database(cluster, name, template).sqlalchemy_url)
    try:
        yield engine
    finally:
        engine.dispose()
        drop_database(cluster, name)


def stocked(engine: Engine, cards: Sequence[Card], tree: list[Table], deals: list[Table], usage: list[Table]) -> None:
    """Publish, admit, and take the traffic in; some of it is folded, some is not."""
    for card in cards:
        publish(engine, card, products(), at=AT, actor="law")
    accounts = [read_account(table, "account")[0] for table in tree]
    add_accounts(engine, [each for each in accounts if each is not None], at=AT, actor="law")
    agreed = [read_contract(table, "contract")[0] for table in deals]
    add_contracts(engine, [each for each in agreed if each is not None], products(), at=AT, actor="law")
    intake = Intake(engine=engine, products=products(), source=None)
    half = len(usage) // 2
    for some in (usage[:half], usage[half:]):
        if some:
            intake.ingest([json.dumps(event).encode() for event in some], LATER)
        if some is usage[:half]:
            fold(engine)


def lines_of(bills: Bills) -> dict[str, list[dict[str, object]]]:
    return {each.account: [record(line, each.currency) for line in each.lines] for each in bills.bills}


def waiting(bills: Bills, usage: list[Table], payer: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Who pays for what waits, by its identity."""
    # Of one identity the highest revision stands, of its reports the first; what was taken back waits nowhere.
    said = [event for event in usage if "account" in event]
    standing = sorted(said, key=lambda event: int(str(event.get("revision", 1))), reverse=True)
    account = {(event["source"], event["id"]): event["account"] for event in reversed(standing)}
    return {(each.source, each.id): payer.get(account[each.source, each.id], "") for each in bills.quarantined}


def assert_foreseen(found: Simulation, real: Bills, imagined: Bills, usage: list[Table], tree: list[Table]) -> None:
    """Both sides are the bills, and what changes sides is counted."""
    now, then = lines_of(real), lines_of(imagined)
    for name, each in found.lines.items():
        assert now.get(name, []) == [record(line, USD) for line in each.now]
        assert then.get(name, []) == [record(line, USD) for line in each.then]
    accounts = {table["id"]: account for table in tree if (account := read_account(table, "account")[0])}
    payer = {name: found_payer.id for name in accounts if (found_payer := payer_of(name, accounts))}
    before, after = (waiting(each, usage, payer) for each in (real, imagined))
    lost = Counter(after[each] for each in after.keys() - before.keys())
    gained = Counter(before[each] for each in before.keys() - after.keys())
    assert lost == Counter(found.unpriced)
    assert gained == Counter(found.priced)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_simulation_foresees_what_a_publication_would_have_billed(
    data: st.DataObject, cluster: Cluster, migrated: str
) -> None:
    tables = data.draw(books())
    tree = data.draw(trees())
    deals = data.draw(contracts(tables, tree))
    usage = data.draw(traffic())
    terms = {key: data.draw(st.sampled_from(tables))[key] for key in ("tiers", "pools")}
    candidate = data.draw(card_tables("list", datetime(2026, 1, 1, tzinfo=UTC), terms))
    read, tried = cards_of(tables), cards_of([candidate])
    assume(read is not None and tried is not None)
    assert read is not None
    assert tried is not None
    others = [card for card in read if card.id != "list"]
    try:
        real = billed(read, tree, deals, usage, OCTOBER)
        imagined = billed([*tried, *others], tree, deals, usage, OCTOBER)
    except InputFaultyError:
        assume(False)  # noqa: FBT003 (drawn again)
        raise
    with fresh(cluster, migrated) as engine:
        stocked(engine, read, tree, deals, usage)
        asked = Asked(with_lines=True)
        found = simulate_card(engine, products(), OCTOBER, Candidate(id="list", currency="USD", card=tried[0]), asked)
        assert_foreseen(found, real, imagined, usage, tree)
        for version in (None, read[0]):
            same = Candidate(id="list", currency="USD", card=version, as_dated=True)
            assert_foreseen(simulate_card(engine, products(), OCTOBER, same, asked), real, real, usage, tree)
