"""What OpenAPI says of the routes: names that stay, a sentence, problems, and examples that fit their schemas."""

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import jsonschema_rs
import pytest

from billing import payloads
from billing.guards import read_guard
from billing.server.app import build
from billing.server.posted import EVENT
from billing.server.problems import MEDIA_TYPE
from billing.server.world import World
from billing.triggers import read_trigger
from tests.shop import products

NOTHING = cast("World", SimpleNamespace())
DOCUMENT: dict[str, Any] = build(NOTHING).openapi()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}

NAMES = {
    "GET /v1/accounts": "get_accounts",
    "GET /v1/accounts/{account}": "get_account",
    "PUT /v1/events/{source}/{event_id}": "put_event",
    "POST /v1/events/{source}/{event_id}/void": "post_event_void",
    "GET /v1/webhooks/{endpoint}/deliveries/{message}": "get_webhook_delivery",
    "GET /v1/invoices/{invoice}/lines/{line}/events": "get_invoice_line_events",
}


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every body of an operation: of what it is the body, its media type, what is said of it."""
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield "request", kind, content
    for status, answer in operation["responses"].items():
        for kind, content in answer.get("content", {}).items():
            yield status, kind, content


def examples(content: dict[str, Any]) -> list[Any]:
    """What is shown of a body."""
    return [*([content["example"]] if "example" in content else []), *content.get("examples", {}).values()]


def faults(schema: dict[str, Any], shown: object) -> list[str]:
    """What keeps something from fitting a schema of the document."""
    whole = {**schema, "components": DOCUMENT["components"]}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return [f"{'/'.join(map(str, each.instance_path))}: {each.message}" for each in validator.iter_errors(shown)]


def test_names_of_operations_are_of_their_methods_and_paths() -> None:
    assert NAMES == {place: OPERATIONS[place]["operationId"] for place in NAMES}
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert sorted(set(names)) == sorted(names)
    assert all(re.fullmatch("(get|post|put|patch|delete)(_[a-z]+)+", name) for name in names)


@pytest.mark.parametrize("place", OPERATIONS)
def test_a_route_has_a_sentence_a_tag_and_a_key(place: str) -> None:
    operation = OPERATIONS[place]
    assert 1 == len(operation["tags"])
    assert 5 < len(operation["summary"]) <= 130
    assert ("health" in operation["tags"]) == ("security" not in operation)


@pytest.mark.parametrize("place", OPERATIONS)
def test_a_route_tells_its_problems(place: str) -> None:
    told = {status for status, kind, _ in contents(OPERATIONS[place]) if kind == MEDIA_TYPE}
    asked = {"400", "401", "403", "404", "409", "413", "422", "503"}
    assert ({"503"} <= told) if "health" in OPERATIONS[place]["tags"] else (asked <= told)


@pytest.mark.parametrize("place", OPERATIONS)
def test_what_a_route_shows_fits_what_it_says(place: str) -> None:
    for of, kind, content in contents(OPERATIONS[place]):
        if "json" in kind:
            shown = examples(content)
            assert shown, f"{of} {kind} shows nothing"
            for each in shown:
                assert [] == faults(content["schema"], each), f"{of} {kind}"


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_what_a_schema_shows_fits_it(name: str) -> None:
    schema = DOCUMENT["components"]["schemas"][name]
    for each in schema.get("examples", []):
        assert [] == faults(schema, each)
    for key, field in schema.get("properties", {}).items():
        for each in field.get("examples", []):
            assert [] == faults(field, each), key


def test_a_schema_refuses_what_does_not_fit() -> None:
    assert faults({"$ref": "#/components/schemas/Problem"}, {"type": 7})


def test_a_path_is_written_in_one_way() -> None:
    """Two that differ in the names of their parts alone are the same path."""
    alike = [re.sub(r"\{[^}]*\}", "{}", path) for path in DOCUMENT["paths"]]
    assert sorted(set(alike)) == sorted(alike)


def test_a_route_says_what_scope_it_takes_and_whether_customers_may_call_it() -> None:
    events, usage, cards = (OPERATIONS[place] for place in ("POST /v1/events", "GET /v1/usage", "GET /v1/cards"))
    assert ([{"HTTPBearer": ["ingest"]}], False) == (events["security"], events["x-customers"])
    assert ([{"HTTPBearer": ["read"]}], True) == (usage["security"], usage["x-customers"])
    assert ([{"HTTPBearer": ["read"]}], False) == (cards["security"], cards["x-customers"])


def test_an_event_has_the_fields_that_are_taken() -> None:
    assert payloads.KEYS == set(EVENT["properties"])


def test_a_trigger_a_guard_and_a_key_that_are_shown_may_be_sent() -> None:
    shown = {name: DOCUMENT["components"]["schemas"][name]["examples"][0] for name in ("TriggerAsked", "GuardAsked")}
    assert [] == read_trigger({"id": "t", **shown["TriggerAsked"]}, "t", products())[1]
    assert [] == read_guard({"id": "g", **shown["GuardAsked"]}, "g", products())[1]
    (key,) = examples(OPERATIONS["POST /v1/keys"]["requestBody"]["content"]["application/json"])
    assert {"name": "switch-1", "scopes": ["ingest"], "source": "switch-1"} == key
