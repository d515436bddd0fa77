"""Simulating a card: what the month would come to, by the pricing of every bill, and nothing is stored."""

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest

from billing.candidates import CandidateMisplacedError
from billing.contracts import Contract
from billing.errors import InputFaultyError
from billing.flows.costs import Costs
from billing.flows.publish import add_accounts
from billing.flows.simulate import Asked, Candidate, simulate_card, simulate_contracts
from billing.payers import SubjectMissingError
from billing.simulations import By, Change, Simulation
from rates.cards import Card
from tests.invoicing import CARD, CLOSED, traffic
from tests.shop import AT, OCTOBER, Shop, account, call, card, products, read, tiered

GB = "voice.outbound,44,minute,60/60,0.02"
FR = "voice.outbound,33,minute,60/60,0.03"
DEAR = GB.replace("0.02", "0.05")


def simulated(shop: Shop, of: Card | str, *, buy: Card | None = None, **how: object) -> Simulation:
    accounts = how.pop("accounts", ())
    costs = None if buy is None else Costs.of([buy], products())
    asked = Asked(accounts=accounts, buy=costs, with_lines=True)  # type: ignore[arg-type]
    currency = "USD" if isinstance(of, str) else of.currency
    given = {"card": None, "id": of} if isinstance(of, str) else {"card": of, "id": of.id}
    candidate = Candidate(currency=currency, **given, **how)  # type: ignore[arg-type]
    return simulate_card(shop.engine, products(), OCTOBER, candidate, asked)


def amounts(found: Simulation, by: By = By.ACCOUNT) -> dict[str, tuple[int, int]]:
    return {each.part.name: (each.now.amount_minor, each.then.amount_minor) for each in found.changes(by)}


def total(found: Simulation) -> Change:
    (change,) = found.changes(By.ALL)
    return change


@pytest.fixture
def month(shop: Shop) -> Shop:
    """Two minutes to Britain by acme and bolt each, and a call to France that nothing prices."""
    shop.publish(card(GB))
    shop.admit("acme", "bolt")
    shop.post(call(0), call(1, account="bolt"), call(2, to="+33123456789"))
    return shop


def test_a_candidate_stands_in_the_place_of_the_card_of_its_id(month: Shop) -> None:
    found = simulated(month, card(DEAR))
    assert {"acme": (4, 10), "bolt": (4, 10)} == amounts(found)
    assert {"GB": (8, 20)} == amounts(found, By.COUNTRY)
    assert {"voice.outbound": (8, 20)} == amounts(found, By.PRODUCT)
    assert (2, 2, 12) == (total(found).now.events, total(found).then.events, total(found).amount_minor)
    assert 2 == found.events


def test_what_loses_and_what_gets_a_price_is_counted_by_account_and_is_in_the_amounts(month: Shop) -> None:
    gained = simulated(month, card(f"{GB}\n{FR}"))
    assert ({}, {"acme": 1}) == (gained.unpriced, gained.priced)
    assert {"acme": (4, 10), "bolt": (4, 4)} == amounts(gained)
    assert not gained.needs_a_person
    lost = simulated(month, card(FR))
    assert ({"acme": 1, "bolt": 1}, {"acme": 1}) == (lost.unpriced, lost.priced)
    assert {"acme": (4, 6), "bolt": (4, 0)} == amounts(lost)
    assert lost.needs_a_person


def test_nothing_is_stored(month: Shop) -> None:
    before = [month.totals(), month.rows("SELECT count(*), sum(reason) FROM quarantine")]
    simulated(month, card(f"{DEAR}\n{FR}"))
    assert before == [month.totals(), month.rows("SELECT count(*), sum(reason) FROM quarantine")]
    assert [(1,)] == month.rows("SELECT count(*) FROM card_versions")


def test_a_card_that_no_contract_names_stands_before_the_others(month: Shop) -> None:
    found = simulated(month, card("voice.outbound,447700,minute,60/60,0.01", id_="special"))
    assert {"acme": (4, 2), "bolt": (4, 2)} == amounts(found)


def test_it_takes_the_place_of_a_card_that_is_named(month: Shop) -> None:
    found = simulated(month, card(FR, id_="special"), replaces="list")
    assert {"acme": 1, "bolt": 1} == found.unpriced
    with pytest.raises(CandidateMisplacedError, match="no contract names it in 2026-10"):
        simulated(month, card(FR, id_="special"), replaces="other")


def test_a_card_in_another_currency_stands_before_no_contract(month: Shop) -> None:
    found = simulated(month, replace(card(DEAR, id_="euros"), currency="EUR"))
    assert {} == found.accounts
    assert [] == found.changes(By.ALL)


def test_only_the_accounts_that_are_asked_for_are_looked_at(month: Shop) -> None:
    found = simulated(month, card(DEAR), accounts=("bolt",))
    assert {"bolt": (4, 10)} == amounts(found)
    assert 1 == found.events
    with pytest.raises(SubjectMissingError):
        simulated(month, card(DEAR), accounts=("nobody",))


def test_a_card_that_begins_later_holds_throughout_unless_it_is_taken_as_dated(month: Shop) -> None:
    later = card(DEAR, since="2026-12-01")
    assert {"acme": (4, 10), "bolt": (4, 10)} == amounts(simulated(month, later))
    assert {"acme": (4, 4), "bolt": (4, 4)} == amounts(simulated(month, later, as_dated=True))
    month.post(call(7, occurred_at="2026-10-10T00:00:00Z"))
    found = simulated(month, card(DEAR, since="2026-10-10"), as_dated=True)
    assert {"acme": (8, 14), "bolt": (4, 4)} == amounts(found)


def test_a_published_card_takes_the_place_of_another(month: Shop) -> None:
    month.publish(card(DEAR, id_="dear"))
    assert {"acme": (4, 10), "bolt": (4, 10)} == amounts(simulated(month, "dear", replaces="list"))
    assert {"acme": (4, 4), "bolt": (4, 4)} == amounts(simulated(month, "list"))


def test_a_candidate_that_a_contract_has_already_is_refused_in_the_place_of_another(month: Shop) -> None:
    month.publish(card(DEAR, id_="dear"))
    month.admit("core", cards=("dear", "list"))
    with pytest.raises(CandidateMisplacedError, match="the contract of core from 2026-10-01 names dear beside list"):
        simulated(month, card(DEAR, id_="dear"), replaces="list")


def test_tiers_are_counted_by_the_candidate_and_days_that_cross_a_bound_are_read_in_order(shop: Shop) -> None:
    shop.publish(tiered(("44", "0.02 0.01")))
    shop.admit("acme")
    shop.post(*(call(n, occurred_at=f"2026-10-02T0{n}:00:00Z", duration_seconds="45") for n in range(4)))
    shop.post(call(9, to="+33123456789", occurred_at="2026-10-02T00:30:00Z", duration_seconds="30"))
    found = simulated(shop, tiered(("44", "0.60 0.06"), ("33", "6.0 0.6")))
    # 45 seconds to Britain, then France: 15 of its seconds still cost the first price. All the rest costs the second.
    lines = {(line.country, line.tier): line.amount_minor for line in found.lines["acme"].then}
    assert {("GB", "1"): 45, ("FR", "1"): 150, ("FR", "2"): 15, ("GB", "2"): 14} == lines
    assert {"acme": 1} == found.priced


def test_schedules_that_count_otherwise_beside_each_other_are_refused(shop: Shop) -> None:
    shop.publish(tiered(("44", "0.02 0.01")))
    shop.publish(tiered(("33", "0.02 0.01"), id_="other"))
    shop.admit("acme", cards=("list", "other"))
    text = CARD.replace('"list"', '"other"').replace("[tiers.voice]", "[tiers.all]").replace('"voice"', '"all"')
    with pytest.raises(InputFaultyError):
        simulated(shop, read(text))


VOLUME = """
id = "other"
currency = "USD"
effective_from = 2026-10-01T00:00:00Z
[tiers.t]
mode = "volume"
up_to = ["10"]
unit = "minute"
fill = [{product = "voice.outbound"}]
[[rate]]
product = "voice.outbound"
unit = "minute"
increments = "60/60"
tiers = "t"
prices = ["0.02", "0.01"]
"""


def test_what_no_contract_could_be_is_not_simulated_either(month: Shop) -> None:
    """A volume schedule for a prepaid account, and one that nothing fills: of a card, and of a contract."""
    add_accounts(month.engine, [account("acme", prepaid=True)], at=AT, actor="finance")
    contract = Contract(account="acme", effective_from=OCTOBER.start, cards=("other",))
    for faulty, problem in (
        (VOLUME, "acme, which has this card, is prepaid"),
        (VOLUME.replace("volume", "graduated").replace('outbound"}]', 'inbound"}]'), "selects nothing that the card"),
    ):
        with pytest.raises(InputFaultyError, match=problem):
            simulated(month, read(faulty), replaces="list")
    month.publish(read(VOLUME))
    with pytest.raises(InputFaultyError, match="acme, which has this card, is prepaid"):
        simulate_contracts(month.engine, products(), OCTOBER, [contract], Asked())


def test_what_is_published_changes_nothing(shop: Shop) -> None:
    shop.publish(read(CARD))
    shop.publish(read(CARD.replace("2026-10-01", "2026-10-20").replace("0.0140", "0.0240")))
    shop.admit(*(f"acct-{number}" for number in range(5)))
    shop.post(*traffic(5, 400), at=CLOSED)
    for candidate in ("list", read(CARD)):
        found = simulated(shop, candidate, as_dated=True)
        assert 5 == len(found.lines)
        assert ({}, {}) == (found.unpriced, found.priced)
        for each in found.lines.values():
            assert each.now == each.then
            assert each.now


def test_a_contract_is_simulated_for_the_whole_month_or_as_dated(month: Shop) -> None:
    month.publish(card(DEAR, id_="dear"))
    dear = Contract(account="acme", effective_from=date(2026, 11, 1), cards=("dear",))
    asked = Asked(with_lines=True)
    found = simulate_contracts(month.engine, products(), OCTOBER, [dear], asked)
    assert {"acme": (4, 10)} == amounts(found)
    assert 1 == found.events
    found = simulate_contracts(month.engine, products(), OCTOBER, [dear], asked, as_dated=True)
    assert {"acme": (4, 4)} == amounts(found)
    assert 0 == found.events, "the same cards rate the month: nothing is rated again"


def test_an_account_that_one_side_cannot_price_is_named_and_in_no_sum(month: Shop) -> None:
    month.post(*(call(10 + number, account="bolt", duration_seconds="172800") for number in range(40)))
    found = simulated(month, card(GB.replace("0.02", "999999999999")))  # more cents than 64 bits hold
    assert ["bolt"] == list(found.failed)
    assert [("acme", 4)] == [(name, now) for name, (now, _) in amounts(found).items()]
    assert 4 == total(found).now.amount_minor
    assert found.needs_a_person


def test_costs_are_of_what_has_a_price_now_and_then(month: Shop) -> None:
    buy = card("voice.outbound,44,minute,1/1,0.01\nvoice.outbound,33,minute,60/60,0.02", id_="buy")
    found = total(simulated(month, card(f"{DEAR}\n{FR}"), buy=buy))
    assert Fraction(2 * 61, 6000) == found.now.cost
    assert Fraction(2 * 61, 6000) + Fraction(4, 100) == found.then.cost


def test_what_nothing_is_bought_for_is_counted_and_costs_nothing(month: Shop) -> None:
    buy = card("trunk.termination,44,minute,1/1,0.01", id_="buy")
    found = simulated(month, card(DEAR), buy=buy)
    assert (2, Fraction(0)) == (found.unbought, total(found).then.cost)
    costs = Costs.of([buy], products(), "trunk.termination")
    candidate = Candidate(id="list", currency="USD", card=card(DEAR))
    found = simulate_card(month.engine, products(), OCTOBER, candidate, Asked(buy=costs))
    assert (0, Fraction(2 * 61, 6000)) == (found.unbought, total(found).then.cost)
    assert {"voice.outbound": Fraction(2 * 61, 6000)} == {
        each.part.name: each.now.cost for each in found.changes(By.PRODUCT)
    }
