"""How OpenAPI describes the routes: a name for each that stays, its first sentence, its problems, and examples.

Names come from methods and paths, which are the contract, and not from what functions are called.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from billing.server.callers import asked_of
from billing.server.problems import MEDIA_TYPE, Problem

_SHOWN: dict[str, object] = {
    "account": "acme", "account_name": "Acme Ltd", "payer": "acme", "id": "acme", "parent": "acme", "name": "switch-1",
    "source": "switch-1", "product": "voice.outbound", "country": "GB", "destination": "United Kingdom",
    "currency": "USD", "zone": "UTC", "unit": "minute", "base_unit": "second", "element": "usage", "tier": "1",
    "period": "2026-10", "origin_period": "2026-10", "to": "+442079460000", "from": "+14155550123", "prefix": "44",
    "code": "44", "row": "row 1", "card": "list-usd@2026-10-01T00:00:00Z", "version": "list-usd@2026-10-01T00:00:00Z",
    "number": "INV-000001", "invoice": "INV-000001", "status": "completed", "mode": "test", "schedule": "voice",
    "url": "https://example.com/tollbook", "events": 2, "quantity": "120", "base_quantity": "120", "line": 1,
    "line_no": 1, "reason": "", "remedy": "", "pointer": "", "published_by": "office", "actor": "office",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "revision": 1,
    "cards": ["list-usd@2026-10-01T00:00:00Z"], "token": "tb_test_" + 43 * "A", "database": "18.0",
    "unit_price": "0.014",
}  # fmt: skip
"""What a field of a name is shown as, where its schema shows nothing itself."""

_FORMATS = {"date-time": "2026-10-02T10:11:12Z", "date": "2026-10-02", "uuid": "019a1b2c-3d4e-7f60-8a1b-2c3d4e5f6071"}
_PUBLIC = ("401", "403", "404", "409", "413", "422")
"""What no route answers that takes neither a key nor a body."""


def name_of_route(route: APIRoute) -> str:
    """The name of a route: its method and the nouns of its path, of which one with a name behind it is singular."""
    steps = [step for step in route.path_format.split("/") if step not in {"", "v1"}]
    nouns = []
    for place, step in enumerate(steps):
        if not step.startswith("{"):
            named = place + 1 < len(steps) and steps[place + 1].startswith("{")
            nouns.append(_singular(step) if named else step)
    (method,) = route.methods or {"get"}
    return "_".join([method.lower(), *nouns]).replace("-", "_")


def _singular(noun: str) -> str:
    return noun.removesuffix("ies") + "y" if noun.endswith("ies") else noun.removesuffix("s")


def describe(app: FastAPI) -> None:
    """Let an app describe its routes so."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        found = plain()
        _, problems = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
        schemas = found.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(problems["$defs"])
        asked = {name_of_route(route): scope_of(route) for route in routes_of(app)}
        for operation in _operations(found):
            _describe(operation, schemas)
            if scope := asked[operation["operationId"]]:
                operation["security"] = [{next(iter(each)): [scope[0]]} for each in operation["security"]]
                operation["x-customers"] = scope[1]
        return found

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's own way to add to it


def routes_of(app: Any) -> Iterator[APIRoute]:  # noqa: ANN401 (FastAPI publishes no type of what holds routes)
    """The routes of an app, also of those that it includes."""
    for each in app.routes:
        inner = getattr(each, "original_router", None)
        if inner is not None:
            yield from routes_of(inner)
        elif isinstance(each, APIRoute):
            yield each


def scope_of(route: APIRoute) -> tuple[str, bool] | None:
    """The scope that a route takes, and whether customers' keys will do; None where it takes no key."""
    found = [asked for each in route.dependant.dependencies if (asked := asked_of(each.call))]
    return (str(found[0][0]), found[0][1]) if found else None


def _operations(described: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path in described["paths"].values():
        yield from path.values()


def _describe(operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    summary, _, rest = str(operation.get("description", "")).partition("\n")
    operation["summary"] = summary.removesuffix(".")
    operation["description"] = rest.strip()
    if not operation["description"]:
        del operation["description"]
    answers: dict[str, Any] = operation["responses"]
    for status in _PUBLIC if "security" not in operation else ():
        answers.pop(status, None)
    if "application/x-ndjson" in operation.get("requestBody", {}).get("content", {}):
        answers["415"] = {"description": "Usage is posted in other forms.", "content": {MEDIA_TYPE: _told()}}
    for status, answer in answers.items():
        _describe_answer(int(status), answer, schemas)
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        if kind == "application/json":
            _exemplify(content, schemas)


def _describe_answer(status: int, answer: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    if status >= HTTPStatus.BAD_REQUEST:
        answer.setdefault("content", {}).setdefault(MEDIA_TYPE, _told())
    for kind, content in answer.get("content", {}).items():
        if kind == MEDIA_TYPE:
            content["example"] = _problem(status, answer["description"])
        elif kind == "application/json":
            _exemplify(content, schemas)


def _told() -> dict[str, Any]:
    return {"schema": {"$ref": "#/components/schemas/Problem"}}


def _exemplify(content: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    if "example" not in content and "examples" not in content:
        content["example"] = example_of(content["schema"], schemas)


_PROBLEMS = {
    400: ("body-empty", "the body has no event in it"),
    401: ("key-absent", "send a key, as in Authorization: Bearer tb_live_… (or tb_test_…)"),
    403: ("scope-missing", "the key switch-1 is not for this: take one with the scope read"),
    404: ("not-found", "no such account"),
    409: ("publication-conflict", "list-usd was published before with other rates"),
    413: ("body-too-large", "the body is larger than may be: send less at once"),
    415: ("media-type-unknown", "usage is posted as application/json, …"),
    422: ("request-invalid", "1 thing is wrong with the request"),
    503: ("queue-full", "more usage waits to be stored than there is room for; nothing of this was"),
}


def _problem(status: int, said: str) -> dict[str, object]:
    name, detail = _PROBLEMS.get(status, ("defect", said))
    told: dict[str, object] = {"type": f"urn:tollbook:problem:{name}", "title": said, "status": status}
    faulty = status == HTTPStatus.UNPROCESSABLE_ENTITY
    item = {"pointer": "/accounts/0/currency", "reason": "is missing", "remedy": "give it"}
    return told | {"detail": detail, "errors": [item] if faulty else []}


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "") -> object:
    """Something that a schema allows: what it shows itself, or else what is usual for a field of its name."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    for key in ("examples", "enum"):
        if schema.get(key):
            shown: object = schema[key][0]
            return shown
    for key in ("const", "default"):
        if key in schema and schema[key] is not None:
            return schema[key]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return example_of(schema[key][0], schemas, name)
    return _of_type(schema, schemas, name)


def _of_type(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str) -> object:
    kind = schema.get("type")
    if kind == "object":
        given = schema.get("properties", {})
        return {key: example_of(each, schemas, key) for key, each in given.items()}
    usual = _SHOWN.get(name)
    if kind == "array":
        return usual if isinstance(usual, list) else [example_of(schema.get("items", {}), schemas, name)]
    if kind in {"integer", "number"}:
        return usual if isinstance(usual, int) else max(1, int(schema.get("minimum", 1)))
    if kind == "string":
        text = _FORMATS.get(schema.get("format", "")) or usual
        return text if isinstance(text, str) and len(text) >= schema.get("minLength", 0) else name.replace("_", " ")
    return {"boolean": False}.get(str(kind))
