"""What `--help` calls the values of options and arguments: words for people, not the names of Python's types."""

from collections.abc import Mapping, Sequence

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

_BY_NAME: Mapping[str, str] = {
    "account": "ACCOUNT",
    "period": "MONTH",
    "source": "NAME",
    "name": "NAME",
    "what": "INVOICE|MONTH",
}
_BY_TYPE: Mapping[str, str] = {
    "file": "FILE",
    "path": "FILE",
    "list[Path]": "FILE",
    "int": "N",
    "int range": "N",
    "str": "TEXT",
    "list[str]": "TEXT",
}


def name_values(context: typer.Context, arguments: Sequence[str]) -> None:
    """Name the values of the commands that some arguments call, where the commands do not name them themselves."""
    _name(context)
    for word in arguments:
        below = context.command.commands.get(word) if isinstance(context.command, TyperGroup) else None
        if below is not None:
            context = typer.Context(below, parent=context)
            _name(context)


def _name(context: typer.Context) -> None:
    for parameter in context.command.get_params(context):
        if isinstance(parameter, TyperOption) and parameter.is_flag:
            parameter.metavar = ""
        elif isinstance(parameter, TyperOption | TyperArgument) and parameter.metavar is None:
            kind = parameter.display_type(context).strip("<>")
            parameter.metavar = _BY_NAME.get(parameter.name, _BY_TYPE.get(kind, kind))
        if isinstance(parameter, TyperArgument):
            # Beside its name the help would show its type once more.
            vars(parameter)["display_type_rich"] = _nothing


def _nothing(*, ctx: typer.Context) -> str:  # noqa: ARG001 (called by that name)
    return ""
