import pytest

from billing.accounts import Account, AccountId, check_tree, payer_of, read_account

ACME: dict[str, object] = {"id": "acme", "currency": "USD"}


def accounts(*each: dict[str, object]) -> dict[str, Account]:
    found: dict[str, Account] = {}
    for table in each:
        account, faults = read_account(table, "account.toml")
        assert account is not None, faults
        found[account.id] = account
    return found


def test_a_root_pays_and_a_subaccount_does_not_unless_it_says_so() -> None:
    tree = accounts(ACME, {"id": "below", "parent": "acme"}, ACME | {"id": "own", "parent": "below", "pays": True})
    assert ["acme", "acme", "own"] == [payer.id for name in tree if (payer := payer_of(name, tree)) is not None]
    assert [] == check_tree(tree)
    assert payer_of("nobody", tree) is None


def test_all_facts_are_read() -> None:
    address = ["1 High Street", "London"]
    facts: dict[str, object] = {"zone": "Europe/London", "name": "Acme Ltd", "address": address, "tax_id": "GB1"}
    (account,) = accounts(ACME | facts | {"language": "en", "legal_entity": "uk"}).values()
    assert (
        Account(
            id=AccountId("acme"),
            currency="USD",
            zone="Europe/London",
            name="Acme Ltd",
            address=("1 High Street", "London"),
            tax_id="GB1",
            language="en",
            legal_entity="uk",
        )
        == account
    )


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * 201}, "id"),
        ({"id": "a\nb"}, "id"),
        ({"parent": "acme"}, "parent"),
        ({"currency": ""}, "currency"),
        ({"currency": "usd"}, "currency"),
        ({"currency": "XAU"}, "currency"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"zone": "../etc/passwd"}, "zone"),
        ({"pays": "yes"}, "pays"),
        ({"nmae": "Acme"}, "nmae"),
    ],
)
def test_a_fault_says_where_it_is(changes: dict[str, object], place: str) -> None:
    account, faults = read_account(ACME | changes, "account.toml")
    assert account is None
    assert f"account.toml: {place}" in {fault.place for fault in faults}


def test_a_tree_that_does_not_hold_together_is_refused() -> None:
    free = {"pays": False, "currency": ""}
    unknown = accounts(ACME | {"id": "a", "parent": "nobody"})
    circle = accounts(*(ACME | {"id": name, "parent": above} for name, above in ("ab", "bc", "ca")))
    unpaid = accounts({"id": "a", **free}, {"id": "b", "parent": "a", **free})
    two = accounts(ACME, {"id": "b", "parent": "acme", "currency": "EUR"})
    found = [[fault.problem for fault in check_tree(tree)] for tree in (unknown, circle, unpaid, two)]
    assert [
        ["is not an account"],
        ["leads back to the account itself"] * 3,
        ["nobody pays for it"] * 2,
        ["its payer acme is billed in USD"],
    ] == found


def test_whom_a_circle_leads_back_to_is_found_nonetheless() -> None:
    circle = accounts(*({"id": name, "parent": above, "pays": False} for name, above in ("ab", "ba")))
    assert payer_of("a", circle) is None
