"""What few events say: read with care, one canonical form for what means the same, refused with the place."""

import json

import pytest

from billing.particulars import Number, ParticularInvalidError, package_of, particulars_of


def refusal(given: dict[str, object]) -> tuple[str, str]:
    with pytest.raises(ParticularInvalidError) as caught:
        particulars_of(given)
    return caught.value.key, caught.value.reason


def test_one_package_that_says_nothing_more_is_the_dimension_and_no_particular() -> None:
    for given in ({"packages": ["caller_name"]}, {"packages": [{"name": "caller_name"}]}):
        assert "caller_name" == package_of(given)
        assert {} == particulars_of(given)


def test_packages_are_told_in_the_order_of_their_names_each_with_its_status() -> None:
    given = {"packages": [{"name": "sim_swap", "status": "failed"}, "caller_name"]}
    assert [["caller_name", ""], ["sim_swap", "failed"]] == json.loads(particulars_of(given)["packages"])
    assert "" == package_of(given)


def test_one_package_with_a_status_of_its_own_is_told_with_it() -> None:
    given = {"packages": [{"name": "sim_swap", "status": "failed"}]}
    assert "" == package_of(given)
    assert [["sim_swap", "failed"]] == json.loads(particulars_of(given)["packages"])


@pytest.mark.parametrize(
    ("packages", "key", "reason"),
    [
        ([], "packages", "names no package: list those that were asked for"),
        ("caller_name", "packages", 'is not a list of packages, as in ["caller_name"]'),
        ([5], "packages/0", "is not the name of a package"),
        ([Number("5")], "packages/0", "is not the name of a package"),
        (["a", ""], "packages/1", "is not the name of a package"),
        ([{"status": "failed"}], "packages/0/name", "is not the name of a package"),
        ([{"name": "a", "price": "1"}], "packages/0", "is not the name of a package, or {name, status}"),
        (["a", {"name": "a", "status": "failed"}], "packages/1", "is asked for twice in one request"),
        (["a\n"], "packages/0", "has a control character or half a character in it"),
        (["a" * 201], "packages/0", "is longer than 200 characters"),
    ],
)
def test_packages_that_are_none_are_refused_with_their_place(packages: object, key: str, reason: str) -> None:
    assert (key, reason) == refusal({"packages": packages})


def test_a_charge_is_what_is_said_and_no_more_than_the_most_that_is_said_beside_it() -> None:
    given = {"usage": {"price": "0.35", "max": "0.50"}, "carrier_fee": {"price": Number("0.0040"), "max": "0.003"}}
    assert {"carrier_fee": "0.003", "usage": "0.35"} == json.loads(particulars_of({"charges": given})["charges"])
    assert {} == particulars_of({"charges": {}})


@pytest.mark.parametrize(
    ("charges", "key", "reason"),
    [
        ([], "charges", "is not an object of elements and what they come to"),
        ({"setup": "1"}, "charges", "may be brought for usage, surcharge, carrier_fee only"),
        ({"usage": 5}, "charges/usage", "is not a number"),
        ({"usage": "1e3"}, "charges/usage", "is not a plain number"),
        ({"usage": "-1"}, "charges/usage", "is negative"),
        ({"usage": "1000000.01"}, "charges/usage", "is absurd: more than 1000000 for one event"),
        ({"usage": "0.0000000001"}, "charges/usage", "10 decimals, but at most 9 are allowed"),
        ({"usage": {"max": "1"}}, "charges/usage/price", "is missing"),
        ({"usage": {"price": "1", "most": "1"}}, "charges/usage", "is not a price, or {price, max}"),
        ({"usage": {"price": "1", "max": "x"}}, "charges/usage/max", "is not a plain number"),
    ],
)
def test_charges_that_are_none_are_refused_with_their_place(charges: object, key: str, reason: str) -> None:
    place, why = refusal({"charges": charges})
    assert key == place
    assert reason in why


def test_charges_of_several_packages_are_refused_since_they_are_of_none_of_them() -> None:
    place, why = refusal({"packages": ["a", "b"], "charges": {"usage": "1"}})
    assert ("charges", True) == (place, why.endswith("report each package by itself"))
    place, why = refusal({"packages": [{"name": "a", "status": "completed"}], "charges": {"usage": "1"}})
    assert ("charges", True) == (place, why.endswith("give it as that of the event"))


def test_another_way_of_delivery_is_a_text() -> None:
    assert {"delivered_as": "sms"} == particulars_of({"delivered_as": "sms"})
    assert {} == particulars_of({"delivered_as": ""})
    assert ("delivered_as", "is not a string") == refusal({"delivered_as": Number("1")})
