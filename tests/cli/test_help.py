"""`--help` of every command: words for people, and each option and argument explained."""

import re
from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperGroup

from cli.main import app
from tests.cli.conftest import Tollbook


def commands(context: typer.Context) -> Iterator[list[str]]:
    """Every command and group, as the words that call it."""
    yield context.command_path.split()[1:]
    if isinstance(context.command, TyperGroup):
        for name, below in context.command.commands.items():
            yield from commands(typer.Context(below, parent=context, info_name=name))


ROOT = typer.Context(typer.main.get_command(app), info_name="tollbook")
COMMANDS = list(commands(ROOT))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_values_are_named_for_people(words: list[str], tollbook: Tollbook) -> None:
    ran = tollbook(*words, "--help")
    assert 0 == ran.code
    shown = re.sub(r"\[[0-9<=]*x[0-9<>=]*\]|--no-work", "", ran.out)
    assert [] == [ugly for ugly in ("<", ">", "list[", "bool", "Path", "]...]", "--no-") if ugly in shown]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_value_is_explained(words: list[str]) -> None:
    context = ROOT
    for word in words:
        assert isinstance(context.command, TyperGroup)
        context = typer.Context(context.command.commands[word], parent=context, info_name=word)
    assert [] == [each.name for each in context.command.get_params(context) if not getattr(each, "help", "")]


def test_commands_are_listed_as_the_work_goes(tollbook: Tollbook) -> None:
    out = tollbook("--help").out
    order = [out.index(f"│ {name}") for name in ("cards", "usage", "invoices", "rate", "doctor")]
    assert sorted(order) == order


def test_a_missing_argument_is_called_what_the_help_calls_it(tollbook: Tollbook) -> None:
    ran = tollbook("cards", "check")
    assert 2 == ran.code
    assert "Missing argument 'FILE'" in ran.err


@pytest.mark.parametrize(("command", "arguments"), [("diff", "OLD NEW"), ("margin", "BUY SELL")])
def test_two_cards_are_called_by_what_each_is(command: str, arguments: str, tollbook: Tollbook) -> None:
    usage = next(line for line in tollbook("cards", command, "--help").out.splitlines() if "Usage:" in line)
    assert f"cards {command} [OPTIONS] {arguments}" in usage.replace("{", "").replace("}", "")
