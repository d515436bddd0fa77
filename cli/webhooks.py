"""`tollbook webhooks`: who is told what happens here, what arrived, and what to send again."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import Exit
from cli.options import DryRunOption, instant_of
from cli.output import Format, FormatOption, Row, emit, emit_record, number, say, text
from cli.words import counted, of_number

if TYPE_CHECKING:
    from billing.flows.deliver import Delivered
    from billing.store.queries.webhooks import ListedDelivery, ListedEndpoint

app = typer.Typer(no_args_is_help=True, help="Webhooks: who is told of invoices and alarms, and what arrived.")

_Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", help="An endpoint, as `tollbook webhooks list` has it.")]
_Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="TYPE", help="Only messages of this type, as invoice.issued; may be repeated."),
]
_Description = Annotated[str | None, typer.Option(metavar="TEXT", help="What is there, in a line.")]

_ENDPOINTS = (
    text("id", "endpoint", whole=True),
    text("url"),
    text("types", spare=1),
    text("account"),
    text("state"),
    number("waiting"),
    number("dead"),
)
_DELIVERIES = (
    text("endpoint", spare=1),
    text("message", whole=True),
    text("type"),
    text("subject"),
    text("told_at", "told at", spare=2),
    text("state"),
    number("tries"),
    text("next_at", "next try"),
    number("status"),
    text("problem"),
)
_TRIES = (text("at"), number("status"), text("said"), text("problem"))


@app.command("add")
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to post, as https://example.com/hooks.")],
    types: _Types = None,
    account: Annotated[
        str, typer.Option(metavar="ACCOUNT", help="Only messages of this account and those below it.")
    ] = "",
    description: _Description = None,
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Have messages posted to an address from now on. Prints the secret they are signed with: it is shown only here."""
    from billing.flows.webhooks import add_endpoint
    from billing.webhooks import EndpointAsked
    from cli.db import settings, writing
    from cli.world import actor, now

    asked = EndpointAsked(url=url, types=types or (), account=account, description=description or "")
    with writing() as engine:
        endpoint, secret = add_endpoint(engine, asked, at=now(), actor=actor(), reach=settings().reach, dry_run=dry_run)
    if dry_run:
        say("The endpoint could be added.")
        return
    emit_record({"id": endpoint.id, "url": url, "types": [*endpoint.types], "account": account, "secret": secret}, form)
    say("Keep the secret: it is not shown again. `tollbook webhooks rotate` gives another.")


@app.command("list")
def list_(form: FormatOption = Format.TABLE) -> None:
    """All endpoints, what waits for each and what is dead. Exit code 4: one was disabled because it did not answer."""
    from billing.store.queries.webhooks import listed_endpoints
    from cli.db import reading
    from cli.world import now

    with reading() as connection:
        found = listed_endpoints(connection, now())
    rows = [_facts(each) for each in found]
    emit(rows, _ENDPOINTS, form, title="Webhook endpoints")
    if not rows:
        say("There is no endpoint; `tollbook webhooks add URL` adds one.")
    _point_out(found)


@app.command("show")
def show(endpoint: _Endpoint, form: FormatOption = Format.TABLE) -> None:
    """One endpoint. Exit code 4: it was disabled because it did not answer."""
    from billing.flows.webhooks import unknown
    from billing.store.queries.webhooks import listed_endpoints
    from cli.db import reading
    from cli.world import now

    with reading() as connection:
        found = listed_endpoints(connection, now(), endpoint)
    if not endpoint or not found:
        raise unknown(endpoint)
    emit_record(_facts(found[0]), form)
    _point_out(found)


@app.command("change")
def change(
    endpoint: _Endpoint,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Where to post.")] = None,
    types: _Types = None,
    all_types: Annotated[bool, typer.Option("--all-types", help="Messages of every type.")] = False,
    description: _Description = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Change an endpoint; what is not said stays. The secret stays too."""
    from billing.flows.webhooks import change_endpoint
    from cli.db import settings, writing
    from cli.world import actor, now

    if all_types and types:
        raise typer.BadParameter("--all-types and --type exclude each other")
    if url is None and description is None and not types and not all_types:
        raise typer.BadParameter("say what changes: --url, --type, --all-types or --description")
    wanted = [] if all_types else types or None
    with writing() as engine:
        changed = change_endpoint(
            engine,
            endpoint,
            url=url,
            types=wanted,
            description=description,
            at=now(),
            actor=actor(),
            reach=settings().reach,
        )
    emit_record({"id": changed.id, "url": changed.url, "types": [*changed.types], "account": changed.account}, form)


@app.command("rotate")
def rotate(
    endpoint: _Endpoint,
    overlap: Annotated[
        int, typer.Option(metavar="HOURS", min=0, max=24 * 30, help="How long the old secret signs too.")
    ] = 24,
    form: FormatOption = Format.TABLE,
) -> None:
    """Give an endpoint a new secret. Messages are signed with both until the overlap ends; 0 ends the old one now."""
    from billing.flows.webhooks import rotate as rotate_secret
    from cli.db import writing
    from cli.world import actor, now

    with writing() as engine:
        secret = rotate_secret(engine, endpoint, at=now(), actor=actor(), overlap=timedelta(hours=overlap))
    emit_record({"id": endpoint, "secret": secret}, form)
    old = f"The old one signs too for {counted(overlap, 'hour')}." if overlap else "The old one signs no longer."
    say(f"Keep the secret: it is not shown again. {old}")


@app.command("disable")
def disable(endpoint: _Endpoint) -> None:
    """Send nothing more to an endpoint. What waited for it is dead, and can be replayed when it is enabled."""
    from billing.flows.webhooks import disable as disable_endpoint
    from cli.db import writing
    from cli.world import actor, now

    with writing() as engine:
        withdrawn = disable_endpoint(engine, endpoint, at=now(), actor=actor())
    say(f"{endpoint} is disabled; {counted(withdrawn, 'message')} {of_number(withdrawn, 'was', 'were')} withdrawn.")


@app.command("enable")
def enable(endpoint: _Endpoint) -> None:
    """Send to an endpoint again, from now on; `tollbook webhooks replay` sends what it missed."""
    from billing.flows.webhooks import enable as enable_endpoint
    from cli.db import writing
    from cli.world import actor, now
    from rates.cards import instant

    with writing() as engine:
        since = enable_endpoint(engine, endpoint, at=now(), actor=actor())
    say(f"{endpoint} is enabled. What it missed: `tollbook webhooks replay {endpoint} --since {instant(since)}`.")


@app.command("remove")
def remove(endpoint: _Endpoint) -> None:
    """Forget an endpoint and its secrets."""
    from billing.flows.webhooks import remove as remove_endpoint
    from cli.db import writing
    from cli.world import actor, now

    with writing() as engine:
        remove_endpoint(engine, endpoint, at=now(), actor=actor())
    say(f"{endpoint} is removed.")


@app.command("test")
def try_out(endpoint: _Endpoint, form: FormatOption = Format.TABLE) -> None:
    """Send a test message to an endpoint, now. Exit code 6: it did not take it; the message is tried again."""
    from random import randrange

    from billing.flows.deliver import deliver
    from billing.flows.webhooks import send_test
    from billing.outbound.webhooks import Sender
    from billing.store.queries.webhooks import listed_tries
    from cli.db import reading_from, settings, writing
    from cli.world import actor, now

    with writing() as engine:
        message = send_test(engine, endpoint, at=now(), actor=actor())
        deliver(engine, Sender(reach=settings().reach), now, randrange, only=(endpoint, message))
        with reading_from(engine) as connection:
            tries = listed_tries(connection, endpoint, message)
    emit([each._asdict() for each in tries], _TRIES, form, title=message)
    if not any(each.taken for each in tries):
        raise typer.Exit(Exit.OUTSIDE_FAILED)


@app.command("deliveries")
def deliveries(
    endpoint: Annotated[str, typer.Argument(metavar="[ENDPOINT]", help="Of one endpoint; without it of all.")] = "",
    state: Annotated[
        list[str] | None, typer.Option(metavar="STATE", help="Only pending, retry, delivered or dead; may be repeated.")
    ] = None,
    message: Annotated[str, typer.Option(metavar="MESSAGE", help="Every try of one message at the endpoint.")] = "",
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="The newest so many.")] = 100,
    form: FormatOption = Format.TABLE,
) -> None:
    """What was told to whom, and whether it arrived, the newest first. Exit code 4: dead letters are among it."""
    from billing.store.queries.webhooks import listed_deliveries, listed_tries
    from billing.webhooks import State
    from cli.db import reading

    for each in state or ():
        if each not in {*State}:
            raise typer.BadParameter(f"{each} is not a state; use {', '.join(State)}")
    if message and not endpoint:
        raise typer.BadParameter("the tries of a message are those at an endpoint: name it")
    with reading() as connection:
        if message:
            tries = listed_tries(connection, endpoint, message)
            emit([each._asdict() for each in tries], _TRIES, form, title=f"{message} at {endpoint}")
            return
        found = listed_deliveries(connection, endpoint=endpoint, states=state or (), limit=limit)
    emit([_delivery(each) for each in found], _DELIVERIES, form, title="Deliveries")
    if not found:
        say("Nothing was told.")
    if any(each.state == State.DEAD for each in found):
        say("Dead letters are sent again by `tollbook webhooks replay`.")
        raise typer.Exit(Exit.NEEDS_A_PERSON)


@app.command("replay")
def replay(
    endpoint: _Endpoint,
    message: Annotated[str, typer.Option(metavar="MESSAGE", help="One message, as `deliveries` lists it.")] = "",
    since: Annotated[str, typer.Option(metavar="INSTANT", help="What was told from then on and did not arrive.")] = "",
    until: Annotated[str, typer.Option(metavar="INSTANT", help="… and before then; now without it.")] = "",
    delivered: Annotated[bool, typer.Option("--delivered", help="Also what arrived.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Send to an endpoint again, with the same message ids: one message, or what did not arrive of a time."""
    from billing.flows.webhooks import replay_between, replay_message
    from cli.db import writing
    from cli.world import actor, now

    if bool(message) == bool(since) or (message and (until or delivered)):
        raise typer.BadParameter("say --message MESSAGE, or --since INSTANT with --until and --delivered")
    at = now()
    with writing() as engine:
        if message:
            count = int(replay_message(engine, endpoint, message, at=at, actor=actor()))
        else:
            first, last = instant_of(since), instant_of(until)
            count = replay_between(engine, endpoint, first, last, at=at, actor=actor(), delivered=delivered)
    say(f"{counted(count, 'message')} {of_number(count, 'is', 'are')} to be sent; `tollbook webhooks send` sends.")
    if form is not Format.TABLE:
        emit_record({"endpoint": endpoint, "messages": count}, form)
    if not count:
        raise typer.Exit(Exit.NOTHING_TO_DO)


@app.command("send")
def send(form: FormatOption = Format.TABLE) -> None:
    """Try what is due, until nothing more arrives. `tollbook work` does this all the time.

    Exit code 3: nothing was due; 4: a message is dead now or an endpoint was disabled; 6: something is tried again.
    """
    from random import randrange

    from billing.flows.deliver import deliver_all
    from billing.outbound.webhooks import Sender
    from cli.db import settings, writing
    from cli.world import now

    with writing() as engine:
        done = deliver_all(engine, Sender(reach=settings().reach), now, randrange)
    _tell(done, form)
    if done.dead or done.disabled:
        raise typer.Exit(Exit.NEEDS_A_PERSON)
    if done.retried:
        raise typer.Exit(Exit.OUTSIDE_FAILED)
    if not done.tried:
        raise typer.Exit(Exit.NOTHING_TO_DO)


def _tell(done: "Delivered", form: Format) -> None:
    if not done.tried:
        say("Nothing is due.")
    else:
        say(
            f"{counted(done.delivered, 'message')} delivered, {done.retried:,} to be tried again, {done.dead:,} dead;"
            " `tollbook webhooks deliveries` says more."
        )
    for each in done.disabled:
        say(f"{each} is disabled: it did not answer for long, or wants nothing more.")
    if form is not Format.TABLE:
        facts = {"delivered": done.delivered, "retried": done.retried, "dead": done.dead}
        emit_record({**facts, "disabled": [*done.disabled]}, form)


def _facts(endpoint: "ListedEndpoint") -> Row:
    state = f"disabled: {endpoint.disabled_why}" if endpoint.disabled_why else "enabled"
    if not endpoint.disabled_why and endpoint.failing_since is not None:
        state = "failing"
    facts = {**endpoint._asdict(), "types": [*endpoint.types], "state": state}
    return {
        key: _instant(value) if key.endswith(("_at", "_since", "_until")) else value for key, value in facts.items()
    }


def _delivery(each: "ListedDelivery") -> Row:
    facts = {**each._asdict(), "status": each.status or None}
    del facts["number"]
    return {key: _instant(value) if key.endswith("_at") else value for key, value in facts.items()}


def _instant(value: object) -> object:
    from datetime import datetime

    from rates.cards import instant

    return instant(value.replace(microsecond=0)) if isinstance(value, datetime) else value


def _point_out(found: "list[ListedEndpoint]") -> None:
    """Say what the program disabled by itself, and what to do; that needs a person."""
    own = [each for each in found if each.disabled_why in {"gone", "failing"}]
    for each in own:
        why = "answered that it is gone" if each.disabled_why == "gone" else "took nothing for 5 days"
        say(f"{each.id} {why} and is disabled; when it is well: `tollbook webhooks enable {each.id}`.")
    if own:
        raise typer.Exit(Exit.NEEDS_A_PERSON)
