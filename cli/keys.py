"""`tollbook keys`: who may call the service. A key is printed once, where it is made, and never again."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit
from cli.options import DryRunOption, instant_of
from cli.output import Format, FormatOption, emit, emit_record, number, say, text
from cli.words import counted

if TYPE_CHECKING:
    from billing.keys import Issued, Key, Mode, Scope
    from cli.db import Engine

app = typer.Typer(no_args_is_help=True, help="Keys: who may call the service, and what for.")

ExpiresOption = Annotated[
    str, typer.Option("--expires", metavar="INSTANT", help="When it ends by itself, as in 2027-10-01T00:00:00Z.")
]

_SCOPES = "ingest|read|finance|admin"
_LISTED = (
    number("number"),
    text("name", whole=True),
    text("kind", spare=3),
    text("scopes"),
    text("source", spare=2),
    text("account", spare=1),
    text("state"),
    text("ends_at", "ends"),
    text("last_used_at", "last used", spare=4),
    text("added_at", "added", spare=5),
)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called: a service, or a customer's system.")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar=_SCOPES, help="What it may do; once for each. Nothing implies another."),
    ] = None,
    source: Annotated[
        str, typer.Option("--source", metavar="NAME", help="What its usage is from where reports do not say it.")
    ] = "",
    account: Annotated[
        str,
        typer.Option("--account", metavar="ACCOUNT", help="A customer's key: reads it and what it pays for."),
    ] = "",
    expires: ExpiresOption = "",
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Make a key and print it, this once: what is kept of it does not open anything.

    An operator's key has scopes, a customer's has an account. The first key notes for good whether the deployment is
    live or a test (TOLLBOOK_MODE).
    """
    from secrets import token_bytes

    from billing.flows.keys import add_key
    from billing.keys import SECRET_BYTES, Grant, Scope
    from billing.periods import ALWAYS
    from cli.db import writing
    from cli.world import actor, now

    scopes = _scopes(scope or [])
    if bool(scopes) == bool(account):
        raise typer.BadParameter(f"give --scope {_SCOPES} for an operator's key, or --account for a customer's")
    ends = instant_of(expires) if expires else ALWAYS
    grant = Grant(name=name, scopes=scopes or frozenset({Scope.READ}), source=source, account=account, expires_at=ends)
    with writing() as engine:
        issued = add_key(
            engine, grant, token_bytes(SECRET_BYTES), mode=mode_of(engine), at=now(), actor=actor(), dry_run=dry_run
        )
    _show(issued, form, dry_run=dry_run)


@app.command("list")
def list_(
    ended: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """The keys that are live: what each may do, when it ends, and when it was used last, to a minute or two."""
    from billing.keys import live
    from billing.store.queries.keys import deployment_mode, listed_keys
    from cli.db import reading
    from cli.world import now

    with reading() as connection:
        found, mode = listed_keys(connection), deployment_mode(connection)
    at = now()
    good = {key.number for key in live(found, at)}
    rows = [_facts(key) | {"state": _state(key, at)} for key in found if ended or key.number in good]
    emit(rows, _LISTED, form, title=f"Keys of this {mode} deployment")
    if not rows and form is Format.TABLE:
        how = "--all lists those that have ended" if found else "`tollbook keys add NAME` makes one"
        say(f"There is no live key; {how}.")


@app.command("rotate")
def rotate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of a live key.")],
    old_ends: Annotated[
        str,
        typer.Option(
            "--old-ends", metavar="INSTANT", help="Until when the one before is good too; without it, for a day."
        ),
    ] = "",
    expires: ExpiresOption = "",
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Make another key that opens the same, print it, this once, and let the one before end.

    Two keys of a name are live at most. The new one lives as long as the one before was meant to, or until --expires.
    """
    from secrets import token_bytes

    from billing.flows.keys import rotate_key
    from billing.keys import GRACE, SECRET_BYTES
    from cli.db import writing
    from cli.world import actor, now

    at = now()
    with writing() as engine:
        _check_mode(engine)
        issued = rotate_key(
            engine,
            name,
            token_bytes(SECRET_BYTES),
            old_ends=instant_of(old_ends) if old_ends else at + GRACE,
            at=at,
            actor=actor(),
            expires_at=instant_of(expires) if expires else None,
            dry_run=dry_run,
        )
    _show(issued, form, dry_run=dry_run)


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="NAME|NUMBER", help="A key's name, or its number in `keys list`.")],
    every: Annotated[bool, typer.Option("--all", help="All live keys of the name.")] = False,
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """End a key at once and for good: every process of the service refuses it within a second.

    Exit code 3: it has ended already.
    """
    from billing.flows.keys import revoke_key
    from cli.db import writing
    from cli.world import actor, now

    with writing() as engine:
        _check_mode(engine)
        revoked = revoke_key(engine, key, at=now(), actor=actor(), every=every, dry_run=dry_run)
    if form is not Format.TABLE:
        facts = {"revoked": [each.number for each in revoked], "dry_run": dry_run}
        emit_record(facts, form)
    if not revoked:
        say(f"{key} has ended already: nothing has changed.")
        raise typer.Exit(Exit.NOTHING_TO_DO)
    numbers = ", ".join(str(each.number) for each in revoked)
    say(f"{counted(len(revoked), 'key')} of {revoked[0].name} {'would be ' if dry_run else ''}revoked: {numbers}.")


def mode_of(engine: "Engine") -> "Mode":
    """What this deployment is: as its database notes, else TOLLBOOK_MODE; an embedded one is a test without it.

    Raises ModeMismatchError.
    """
    from billing.flows import keys
    from billing.keys import Mode
    from cli.db import settings

    said = settings()
    return keys.mode_of(engine, said.mode, Mode.TEST if said.address is None else None)


def _check_mode(engine: "Engine") -> None:
    """Refuse to change keys of a deployment that is not what TOLLBOOK_MODE says, if it does. Raises ModeMismatchError.

    That is a call for another database.
    """
    from billing.flows import keys
    from billing.keys import Mode
    from cli.db import settings

    keys.mode_of(engine, settings().mode, Mode.TEST)


def _scopes(texts: list[str]) -> "frozenset[Scope]":
    from billing.keys import Scope

    for each in texts:
        if each not in [*Scope]:
            raise typer.BadParameter(f"{each} is not a scope; use some of {', '.join(Scope)}", param_hint="--scope")
    return frozenset(map(Scope, texts))


def _show(issued: "Issued", form: Format, *, dry_run: bool) -> None:
    """Print a new key: on stdout its token alone, or its facts with it; on stderr what it is, for a person."""
    key, before = issued.key, issued.before
    if form is not Format.TABLE:
        told = {"token": "" if dry_run else issued.token.text, "dry_run": dry_run}
        ends = {"before": before.number, "before_ends_at": _when(before.ends_at)} if before else {}
        emit_record(_facts(key) | ends | told, form)
    elif not dry_run:
        typer.echo(issued.token.text)
    opens = f"reads {key.account} and those it pays for" if key.account else f"may {', '.join(sorted(key.scopes))}"
    until = f" until {ends_at}" if (ends_at := _when(key.ends_at)) else ""
    from_ = f", as source {key.source}" if key.source else ""
    if dry_run:
        say(f"A {key.mode} key {key.name} would be made, which {opens}{from_}{until}. Nothing is stored.")
    else:
        say(f"Key {key.number} ({key.mode}), {key.name}, {opens}{from_}{until}. Keep it now: it is not shown again.")
    if before is not None:
        say(f"Key {before.number}, the one before, {'would end' if dry_run else 'ends'} at {_when(before.ends_at)}.")


def _facts(key: "Key") -> dict[str, object]:
    return {
        "number": key.number,
        "name": key.name,
        "mode": str(key.mode),
        "kind": str(key.kind),
        "scopes": sorted(map(str, key.scopes)),
        "source": key.source,
        "account": key.account,
        "added_at": _when(key.added_at),
        "ends_at": _when(key.ends_at),
        "revoked_at": _when(key.revoked_at),
        "last_used_at": _when(key.last_used_at),
    }


def _state(key: "Key", at: datetime) -> str:
    from billing.keys import ended

    problem = ended(key, at)
    return "live" if problem is None else str(problem.refusal)


def _when(at: datetime | None) -> str:
    """An instant to the second, as a person reads it; nothing for what has not happened and for what never comes."""
    from billing.periods import ALWAYS
    from rates.cards import instant

    return "" if at in {None, ALWAYS} else instant(at.replace(microsecond=0))
