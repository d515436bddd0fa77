"""`tollbook scenarios`: run files that say which invoices must come out of which usage."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.exits import Exit
from cli.output import Format, FormatOption, emit_csv, emit_json, say, show, table, text

app = typer.Typer(no_args_is_help=True, help="Scenarios: cards and usage, and the invoices that must come out.")


@app.command()
def run(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Scenario files, or folders of them.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Run scenarios and compare. No database is needed."""
    results = [run_file(path) for path in _files(paths)]
    if not results:
        say("There is no scenario (*.toml) there.")
        raise typer.Exit(Exit.NOTHING_TO_DO)
    passed = sum(result["passed"] for result in results)
    failed = len(results) - passed
    if form is Format.JSON:
        emit_json({"passed": passed, "failed": failed, "scenarios": results})
    elif form is Format.CSV:
        emit_csv(results, [text("name"), text("path"), text("passed"), text("faults")])
    else:
        _show(results, passed, failed)
    raise typer.Exit(Exit.ERROR if failed else Exit.OK)


def run_file(path: Path) -> dict[str, Any]:
    """Run one scenario: its name, its path, whether it passed, and its faults."""
    from billing.scenarios import read_scenario
    from billing.scenarios import run as run_scenario
    from cli.cardfiles import check_card
    from cli.world import products, read_toml

    written, faults = read_toml(path)
    scenario = None
    if not faults:
        folder = path.parent
        scenario, faults = read_scenario(written, products(), lambda name: check_card(folder / name), place=path.name)
    found = run_scenario(scenario) if scenario is not None else [str(fault) for fault in faults]
    name = scenario.name if scenario is not None else str(written.get("name", path.stem))
    return {"name": name, "path": str(path), "passed": not found, "faults": found}


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.rglob("*.toml")) if path.is_dir() else [path]


def _show(results: list[dict[str, Any]], passed: int, failed: int) -> None:
    rows = [{"scenario": r["name"], "result": "passed" if r["passed"] else "FAILED"} for r in results]
    show(table(rows, [text("result"), text("scenario")]))
    for result in results:
        for fault in result["faults"]:
            say(f"{result['path']}: {fault}")
    say(f"{passed} passed, {failed} failed.")
