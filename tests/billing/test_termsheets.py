"""What contracts say in the words of finance, and what one changes of another."""

from datetime import date

from billing.contracts import Contract, read_contract
from billing.termsheets import Changed, changes, held, last_day, term_sheet


def contract(since: date = date(2026, 10, 1), cards: tuple[str, ...] = ("list",), **terms: object) -> Contract:
    found, faults = read_contract(
        {"account": "acme", "effective_from": since, "cards": list(cards), **terms}, "contract.toml"
    )
    assert found is not None, faults
    return found


def told(before: Contract | None, after: Contract) -> dict[str, tuple[str, str, str]]:
    return {each.term: each[1:] for each in changes(before, after)}


def test_a_contract_holds_until_the_next_one_and_the_last_has_no_end() -> None:
    first, second = contract(), contract(date(2026, 11, 1))
    found = held([second, first])
    assert [(first, date(2026, 11, 1)), (second, None)] == [tuple(each) for each in found]
    assert ["ended", "in force"] == [each.state(date(2026, 11, 1)) for each in found]
    assert ["in force", "to come"] == [each.state(date(2026, 10, 31)) for each in found]
    assert ["2026-10-31", ""] == [last_day(each.until) for each in found]


def test_all_that_it_says_is_a_row_in_the_order_of_money() -> None:
    said = contract(
        cards=("special", "list"),
        discounts=[{"percent": "5", "on": [{"product": "voice.*"}]}, {"percent": "2.5"}],
        commitment={"min": "5000", "max": "20000"},
        credits=[{"id": "welcome", "amount": "100", "until": "2027-01-01T00:00:00Z", "on": [{"product": "sms.*"}]}],
    )
    assert [
        ("card 1", "special"),
        ("card 2", "list"),
        ("discount off voice.*", "5 %"),
        ("discount off everything", "2.5 %"),
        ("minimum", "5000"),
        ("maximum", "20000"),
        ("credit welcome", "100 until 2027-01-01 on sms.*"),
    ] == [(each.term, each.value) for each in term_sheet(said)]
    assert [] == term_sheet(None)


def test_cards_are_new_ended_moved_or_stay() -> None:
    found = told(contract(cards=("a", "b", "c")), contract(cards=("b", "d", "c")))
    assert {
        "card b": ("place 2", "place 1", "moved"),
        "card d": ("", "place 2", "new"),
        "card c": ("place 3", "place 3", "unchanged"),
        "card a": ("place 1", "", "ended"),
    } == found


def test_amounts_are_raised_and_lowered_and_the_rest_is_changed() -> None:
    before = contract(
        discounts=[{"percent": "5"}],
        commitment={"min": "900", "max": "20000"},
        credits=[{"id": "welcome", "amount": "100"}, {"id": "gone", "amount": "1"}],
    )
    after = contract(
        discounts=[{"percent": "7"}],
        commitment={"min": "1000", "max": "10000"},
        credits=[{"id": "welcome", "amount": "90"}],
    )
    found = told(before, after)
    assert ("5 %", "7 %", "raised") == found["discount off everything"]
    assert ("900", "1000", "raised") == found["minimum"], "as numbers, not as texts"
    assert ("20000", "10000", "lowered") == found["maximum"]
    assert ("100", "90", "changed") == found["credit welcome"]
    assert ("1", "", "ended") == found["credit gone"]
    assert {"unchanged"} == {each.change for each in changes(before, before)}


def test_a_bound_of_other_usage_is_another_term() -> None:
    before = contract(commitment={"min": "900"})
    after = contract(commitment={"min": "900", "on": [{"product": "voice.*"}]})
    assert {"minimum": ("900", "", "ended"), "minimum of voice.*": ("", "900", "new")} == {
        term: said for term, said in told(before, after).items() if not term.startswith("card")
    }


def test_the_order_of_discounts_is_a_term_since_the_first_one_holds() -> None:
    some: list[dict[str, object]] = [{"percent": "5", "on": [{"product": "voice.*"}]}]
    some.append({"percent": "2", "on": [{"product": "*"}]})
    found = changes(contract(discounts=some), contract(discounts=some[::-1]))
    assert Changed("order of discounts", "off voice.*; off *", "off *; off voice.*", "changed") in found
    assert ["changed"] == [each.change for each in found if each.change != "unchanged"]


def test_without_a_contract_before_all_of_it_is_new() -> None:
    assert {"new"} == {each.change for each in changes(None, contract(discounts=[{"percent": "5"}]))}


def test_of_no_contracts_none_holds() -> None:
    assert [] == held([])
