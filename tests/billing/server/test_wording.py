"""What is wrong with a request is said with its place and what to do, and not in the words of a library."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pydantic
import pytest

from billing.server.api.parties import AccountsGiven, ContractsGiven
from billing.server.api.prices import Asking
from billing.server.app import build
from billing.server.wording import FORMS, Said, said
from billing.server.world import World

DOCUMENT = build(cast("World", SimpleNamespace())).openapi()


def faults(model: type[pydantic.BaseModel], body: str) -> list[Said]:
    """What is said of a body that is none."""
    with pytest.raises(pydantic.ValidationError) as caught:
        model.model_validate_json(body)
    return [said({**each, "loc": ("body", *each["loc"])}) for each in caught.value.errors()]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{}", ("/accounts", "is missing", "give it")),
        ("[]", ("", "is not an object", "write it between { and }")),
        ('{"accounts": []}', ("/accounts", "has fewer than 1 in it", "")),
        ('{"accounts": [{"id": 7}]}', ("/accounts/0/id", "is not a string", "write it between quotation marks")),
        (
            '{"accounts": [{"id": "a", "currency": "usd"}]}',
            (
                "/accounts/0/currency",
                "is not written as it should be",
                "write the three capital letters of a currency, as in EUR",
            ),
        ),
        (
            '{"accounts": [{"id": "a", "pays": "yes"}]}',
            ("/accounts/0/pays", "is neither true nor false", "write true or false, without quotation marks"),
        ),
    ],
)
def test_a_fault_is_said_with_its_place_and_a_remedy(body: str, expected: tuple[str, str, str]) -> None:
    assert [expected] == faults(AccountsGiven, body)


def test_a_day_that_is_none_is_told_at_its_place() -> None:
    contract = '{"contracts": [{"account": "a", "effective_from": "2026-13-01", "cards": ["c"]}]}'
    told = ("/contracts/0/effective_from", "is not a day of the calendar", "write it as 2026-10-31")
    assert [told] == faults(ContractsGiven, contract)


def test_a_plus_that_became_a_space_is_told() -> None:
    found = faults(Asking, '{"account": "a", "product": "voice.outbound", "to": " 442079460000"}')
    assert [("/to", "begins with a space", "in a URL, write + as %2B")] == found


def asked(part: object) -> Iterator[str]:
    """The patterns of all that requests may say."""
    if isinstance(part, dict):
        if isinstance(part.get("pattern"), str):
            yield part["pattern"]
        if "$ref" in part:
            yield from asked(DOCUMENT["components"]["schemas"][part["$ref"].rpartition("/")[2]])
        for each in part.values():
            yield from asked(each)
    elif isinstance(part, list):
        for each in part:
            yield from asked(each)


def test_each_form_of_a_request_has_a_remedy() -> None:
    requests: list[dict[str, Any]] = [
        {key: operation.get(key) for key in ("parameters", "requestBody")}
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
    ]
    assert set() == set(asked(requests)) - set(FORMS)
