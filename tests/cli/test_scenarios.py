"""The scenarios: each passes, and the independent verifier makes the same lines of the same files."""

import json
import shutil
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from billing import verifier
from billing.bills import Bills, bill
from billing.invoices import record
from billing.scenarios import Scenario, read_scenario, run
from billing.timeline import bill_over_time
from billing.verifier_adjustments import adjust
from billing.verifier_lines import compare
from cli.cardfiles import check_card
from cli.scenarios import run_file
from cli.world import product_tables, products
from rates.money import format_minor
from rates.numbering import PLAN
from tests.cli.conftest import Tollbook

FOLDER = Path(__file__).resolve().parents[1] / "scenarios"
SCENARIOS = sorted(FOLDER.glob("*.toml"))


def read(path: Path) -> Scenario:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    scenario, faults = read_scenario(table, products(), lambda name: check_card(FOLDER / name), place=path.name)
    assert scenario is not None, faults
    return scenario


def reported(scenario: Scenario) -> list[bytes]:
    """All that is reported; where months are closed, what the steps do not."""
    closing = any(step.close or step.publish for step in scenario.steps)
    return [*scenario.payloads, *(each for step in scenario.steps if not closing for each in step.payloads)]


def verified(path: Path, scenario: Scenario, bills: Bills) -> dict[str, Any]:
    """What the verifier makes of the file, its tables as they are; of the events, of those that were taken in."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    start = datetime.combine(scenario.period.start, datetime.min.time(), UTC)
    cards = [{"id": "card", "effective_from": start, **card} for card in table["card"]]
    refused = {reject.row for reject in bills.rejects}
    events = [json.loads(payload) for row, payload in enumerate(reported(scenario)) if row not in refused]
    contracts = table.get("contract")
    if isinstance(contracts, Mapping):
        contracts = [contracts]
    accounts = table.get("account")
    if accounts is None:
        names = {event["account"] for event in events}
        accounts = [{"id": name, "currency": cards[0]["currency"]} for name in sorted(names)]
    ids = list(dict.fromkeys(card["id"] for card in cards))
    if contracts is None:
        contracts = [{"account": each["id"], "cards": ids} for each in accounts if not each.get("parent")]
    return verifier.rate(
        period=str(scenario.period),
        events=events,
        cards=cards,
        products=[*product_tables(), *table.get("product", [])],
        accounts=accounts,
        contracts=[{"account": "a", "effective_from": start, "cards": ids, **contract} for contract in contracts],
        plan=PLAN,
        states=table.get("states", {}),
    )


def lines_of(bills: Bills) -> dict[str, tuple[str, list[dict[str, object]]]]:
    """The total and the lines of each account that has any."""
    return {
        each.account: (
            format_minor(each.total_minor, each.currency),
            [record(line, each.currency) for line in each.lines],
        )
        for each in bills.bills
        if each.lines
    }


LATE = [path for path in SCENARIOS if "close =" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", LATE, ids=lambda path: path.stem)
def test_the_verifier_adjusts_closed_months_to_the_same_lines(path: Path) -> None:
    """Month by month: what is reported by then rated anew, minus what was issued, by the verifier's own account."""
    scenario = read(path)
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    start = datetime.combine(scenario.period.start, datetime.min.time(), UTC)
    cards = [{"id": "card", "effective_from": start, **card} for card in table["card"]]
    reported = [json.loads(payload) for payload in scenario.payloads]
    issued: dict[str, list[Any]] = {}
    expected = []
    for step, given in zip(scenario.steps, table["step"], strict=True):
        reported += [json.loads(payload) for payload in step.payloads]
        if "publish" in given:
            cards = [{"id": "card", "effective_from": start, **given["publish"]}]
        if step.close is None:
            continue
        month, lines = str(step.close), []
        for origin in [*issued, month]:
            rated = verifier.rate(
                period=origin,
                events=reported,
                cards=cards,
                products=product_tables(),
                accounts=[{"id": "a", "currency": "USD"}],
                contracts=[{"account": "a", "effective_from": start, "cards": ["card"], **table.get("contract", {})}],
                plan=PLAN,
            )
            now: Any = [line for each in rated["accounts"] for line in each["lines"]]  # type: ignore[attr-defined]
            found = adjust(now, issued.get(origin, []), period=origin, digits=2)
            if path.stem == "late-beyond-the-limit" and (origin, month) == ("2026-10", "2027-02"):
                continue
            issued.setdefault(origin, []).extend(found)
            net = sum((Fraction(str(line["amount"])) for line in found), Fraction(0))
            expected += [("a", month, "credit_note", each) for each in found] if net < 0 else []
            lines += found if net >= 0 else []
        expected += [("a", month, "usage", each) for each in lines]
    documents = bill_over_time(scenario.payloads, scenario.steps, scenario.deal, scenario.period).bills
    came = [(each.account, each.period, str(each.kind), each) for each in documents]
    assert {each[:3] for each in expected} == {each[:3] for each in came}
    for document in came:
        ours = [each for *named, each in expected if tuple(named) == document[:3]]
        theirs = [record(line, document[3].currency) for line in document[3].lines]
        assert [] == compare(ours, [{**line, "quantity": line["base_quantity"]} for line in theirs])


def test_there_are_at_least_forty_and_the_worked_example_is_among_them() -> None:
    assert 40 <= len(SCENARIOS)
    assert "tiers-worked-example.toml" in {path.name for path in SCENARIOS}


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_it_passes(path: Path) -> None:
    result = run_file(path)
    assert [] == result["faults"]
    assert " " in result["name"], "a name reads like a sentence"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_verifier_makes_the_same_lines_of_it(path: Path) -> None:
    scenario = read(path)
    bills = bill(reported(scenario), scenario.deal, scenario.period)
    came, expected = lines_of(bills), verified(path, scenario, bills)
    assert {each["account"]: each["total"] for each in expected["accounts"]} == {
        name: total for name, (total, _) in came.items()
    }
    for each in expected["accounts"]:
        assert [] == list(compare(each["lines"], came[each["account"]][1]))
    for kind, found in (("quarantined", bills.quarantined), ("zero_rated", bills.zero_rated)):
        theirs = {(each["id"], each["reason"]) for each in expected[kind]}
        assert theirs == {(each.id, str(each.reason)) for each in found}


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_each_figure_that_it_expects_can_fail(path: Path) -> None:
    """Change each expected figure by itself: the scenario must notice every one."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    for place in figures(table["expect"]):
        changed = tomllib.loads(path.read_text(encoding="utf-8"))
        target = changed["expect"]
        for key in place[:-1]:
            target = target[key]
        target[place[-1]] = other(target[place[-1]])
        scenario, faults = read_scenario(changed, products(), lambda name: check_card(FOLDER / name), place=path.name)
        if place[-1] in {"period", "kind"}:
            assert ["is not known here"] == [fault.problem for fault in faults], "one of those that can be billed"
            continue
        assert scenario is not None, faults
        assert run(scenario), f"{place} may be anything"


def figures(expect: Mapping[str, Any], place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The places of all expected values."""
    found: list[tuple[str | int, ...]] = []
    for key, value in expect.items():
        if isinstance(value, list):
            for i, item in enumerate(value):
                found += figures(item, (*place, key, i))
        else:
            found.append((*place, key))
    return found


def other(value: str | int) -> str | int:
    """Another value of the same kind."""
    if isinstance(value, int):
        return value + 1
    return "7919" if value[:1].isdigit() or value[:1] == "-" else f"{value}?"


def test_the_command_prints_what_passed_and_what_did_not(tollbook: Tollbook, tmp_path: Path) -> None:
    shutil.copy(FOLDER / "increments-6-6.toml", tmp_path)
    wrong = (FOLDER / "increments-60-60.toml").read_text().replace('total = "0.04"', 'total = "0.05"')
    (tmp_path / "wrong.toml").write_text(wrong)
    ran = tollbook("scenarios", "run", tmp_path, "--format", "json")
    printed = json.loads(ran.out)
    assert (1, 1, 1) == (ran.code, printed["passed"], printed["failed"])
    (failed,) = [each for each in printed["scenarios"] if not each["passed"]]
    assert {"name", "path", "passed", "faults"} == set(failed)
    assert ["total: expected 0.05, came 0.04"] == failed["faults"]


def test_all_of_them_pass_in_one_command(tollbook: Tollbook) -> None:
    ran = tollbook("scenarios", "run", FOLDER, "--format", "json")
    assert 0 == ran.code
    assert len(SCENARIOS) == json.loads(ran.out)["passed"]


def test_a_folder_without_scenarios_is_nothing_to_do(tollbook: Tollbook, tmp_path: Path) -> None:
    assert 3 == tollbook("scenarios", "run", tmp_path).code


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[step]]\nat = 2026-10-01T00:00:00Z\nclose = true", 'step[0].close "True": is not a string'),
        ('[[step]]\nat = 2026-10-31T00:00:00Z\nclose = "2026-10"', 'step[0].close "2026-10": has not ended by then'),
        ('[[step]]\nat = 2026-12-01T00:00:00Z\nclose = "now"', 'step[0].close "now": not a month; write it as 2026-10'),
        ("[[step]]\nat = 2026-10-01T00:00:00Z", "step[0].usage: is missing; write one of usage, publish, close"),
        ("[[step]]\nat = 2026-10-01T00:00:00Z\npublish = 1", 'step[0].publish "1": is no card'),
        ("[[step]]\nat = 2026-10-01T00:00:00Z\n[step.publish]\na = 1", "step[0].publish.rates: is missing"),
        ("[[step]]\nat = 2026-10-01T00:00:00Z\ncredit = 1", 'step[0].credit "1": credits that are given later are not'),
        ("[[step]]\nusage = []", "step[0].at: is missing"),
        ('[[charge]]\nproduct = "number.monthly"', "charge[0]: every: is missing"),
        ('[[charge]]\nid = "x"\nproduct = "number.setup"\nevery = "once"\n' * 2, "charge[1].id"),
        ("[surprise]\na = 1", "surprise: is not a key of this table"),
        ('[[expect.line]]\nprice = "1"', 'expect.line[1].price "1": is not a field of a line'),
        ('[[expect.line]]\namount = "1,00"', 'expect.line[1].amount "1,00": is not a number'),
        ("[[expect.line]]\namount = 1.5", 'expect.line[1].amount "1.5": is not a string'),
        ('[contract]\ncards = ["other"]', "contract.cards: names a card that is not here"),
        ('[contract]\nsupport = {plan = "business"}', "contract: support: has neither percent nor min"),
        ('[[usage]]\nproduct = "voice.outbound"\nquantity = 1.5', 'usage[0].quantity "1.5": is a float'),
        ('[[usage]]\nproduct = "voice.outbound"\nrepeat = 0', 'usage[0].repeat "0": is below 1'),
        ('[[account]]\nid = "x"', "account[0]: currency: is missing"),
        (
            '[[account]]\nid = "x"\ncurrency = "USD"\n[[account]]\nid = "a"\nparent = "x"\n[contract]',
            "contract a from 2026-10-01: usage of a is paid by x, which does not resell on 2026-10-01",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_place(
    text: str, fault: str, tollbook: Tollbook, tmp_path: Path
) -> None:
    base = (FOLDER / "increments-60-60.toml").read_text()
    head, _, rest = base.partition("[[usage]]")
    keep = "" if text.startswith("[[usage]]") else f"[[usage]]{rest}"
    (tmp_path / "odd.toml").write_text(f"{head}{keep}\n{text}\n" if keep else f'{head}{text}\n[expect]\ntotal = "0"\n')
    ran = tollbook("scenarios", "run", tmp_path, "--format", "json")
    assert 1 == ran.code
    (result,) = json.loads(ran.out)["scenarios"]
    assert any(fault in each for each in result["faults"]), result["faults"]


def test_cards_may_be_named_by_their_path(tollbook: Tollbook, tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text(
        'id = "x"\ncurrency = "USD"\neffective_from = 2026-10-01T00:00:00Z\nrates = "rates.csv"\n'
    )
    (tmp_path / "rates.csv").write_text("product,unit,price\nvoice.outbound,minute,0.02\n")
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "one.toml").write_text(
        'name = "a minute"\nperiod = "2026-10"\ncard = ["../card.toml"]\n'
        '[[usage]]\nproduct = "voice.outbound"\nto = "+4420"\nquantity = "60"\n[expect]\ntotal = "0.02"\n'
    )
    ran = tollbook("scenarios", "run", folder, "--format", "json")
    assert (0, 1) == (ran.code, json.loads(ran.out)["passed"])
