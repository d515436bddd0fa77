"""`docs/api.md`: its tables of routes and problems, held against the program."""

import ast
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import billing
import rates
from billing.server import problems
from billing.server.app import build
from billing.server.world import World
from rates.errors import TollbookError

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
ROUTES, _, CATALOGUE = PAGE.partition("\n## Routes\n")[2].partition("\n## Problems\n")
OPERATIONS = build(cast("World", SimpleNamespace())).openapi()["paths"]

NEVER = {
    "address-invalid", "server-unreachable", "schema-mismatch",  # said before the service answers
    "cell-invalid", "currency-unknown", "decimal-invalid", "increments-invalid", "quantity-invalid", "steps-invalid",
    "csv-invalid", "file-unclear", "dates-invalid",  # become faults with a place
    "charge-missing", "charge-posted", "release-needless", "release-refused",  # of commands that HTTP has not
    "pack-invalid", "quantity-overflow",
    "intake-closed", "store-away",  # told as `closing` and `database-unreachable`
}  # fmt: skip
"""Errors that no request comes to: of commands alone, of stages within, or told under another name."""


def rows(text: str) -> list[list[str]]:
    """The cells of the rows of a table that begin with something between backticks."""
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:3] == "| `"]


def told() -> dict[str, int]:
    """The problems of the catalogue and their statuses."""
    return {name.strip("| `"): int(status) for name, status, *_ in rows(CATALOGUE)}


def own() -> dict[str, set[int]]:
    """The problems that the server's code names itself, and the statuses beside them."""
    found: dict[str, set[int]] = {}
    for path in (ROOT / "billing" / "server").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in {"ProblemError", "response", "_Shown"}:
                for name in names(call, path):
                    found.setdefault(name, set()).update(statuses(call))
    return found


def names(call: ast.Call, path: Path) -> Iterator[str]:
    """What a call names a problem: a text, or a variable that is one of some."""
    if len(call.args) < 2:
        return
    named = call.args[1]
    if isinstance(named, ast.Constant):
        yield str(named.value)
    elif isinstance(named, ast.Name):
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == named.id:
                yield from (
                    str(text.value)
                    for text in ast.walk(each.value)
                    if isinstance(text, ast.Constant) and re.fullmatch("[a-z]+(-[a-z]+)*", str(text.value))
                )


def statuses(call: ast.Call) -> set[int]:
    """The status that a call names, if it does."""
    first = call.args[0]
    return {int(HTTPStatus[first.attr])} if isinstance(first, ast.Attribute) and first.attr.isupper() else set()


def every_module() -> Iterator[ModuleType]:
    """The modules of `billing` and `rates`."""
    for package in (billing, rates):
        for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in each.name:
                yield importlib.import_module(each.name)


def mapped() -> dict[str, int]:
    """The named errors of all that the service is made of, and their statuses."""
    found = {}
    for module in every_module():
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, TollbookError) and kind is not TollbookError:
                status = problems.status_of(kind.__new__(kind))
                if status is not None:  # else it is a defect, and told as that
                    found[problems.name_of(kind.__new__(kind))] = int(status)
    return found


def test_each_route_is_in_the_table_with_its_scope() -> None:
    scopes = {}
    for path, methods in OPERATIONS.items():
        for method, operation in methods.items():
            ((scope,),) = [next(iter(each.values())) for each in operation.get("security", [{"": ["–"]}])]
            word = scope if scope == "–" else f"`{scope}`"
            scopes[f"{method.upper()} {path}"] = word + (", customers" if operation.get("x-customers") else "")
    assert scopes == {route.strip("| `"): scope for route, scope, *_ in rows(ROUTES)}


def test_each_problem_of_the_server_is_in_the_catalogue_with_its_status() -> None:
    catalogue = told()
    for name, found in own().items():
        assert name in catalogue, name
        assert found <= {catalogue[name]}, name


def test_each_error_of_the_program_is_in_the_catalogue_or_never_told() -> None:
    catalogue, errors = told(), mapped()
    # A key that is not good is told by the server itself, under the name of the error and with its own status.
    different = {name for name, status in errors.items() if name not in NEVER and catalogue.get(name) != status}
    assert different <= {"key-invalid", "queue-full"}
    assert set() == NEVER & set(catalogue)
    assert set(catalogue) >= {problems.name_of(each.__new__(each)) for each in declared()}


def declared() -> Iterator[type[TollbookError]]:
    """The errors that the map names one by one."""
    for place in (place for place, status in problems.STATUSES.items() if status is not None):
        module, _, name = place.rpartition(".")
        kind = getattr(importlib.import_module(module), name)
        if issubclass(kind, TollbookError) and kind is not TollbookError:
            yield kind


def test_the_catalogue_has_nothing_that_is_never_told() -> None:
    known = {*own(), *mapped()}
    assert set() == set(told()) - known


def test_each_problem_is_told_with_a_meaning_and_a_remedy() -> None:
    assert all(len(row) == 4 and all(row) for row in rows(CATALOGUE))
    listed = [row[0] for row in rows(CATALOGUE)]
    assert len(set(listed)) == len(listed)


def test_the_problem_that_is_shown_is_one() -> None:
    (shown,) = re.findall(r"^```json\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert 422 == problems.Problem.model_validate(json.loads(shown), strict=True).status
