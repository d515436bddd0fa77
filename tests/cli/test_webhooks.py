"""`tollbook webhooks`, against a real receiver on loopback; and `docs/webhooks.md`, whose code and commands are run."""

import itertools
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import freezegun
import pytest

from billing.webhooks import MessageType
from tests.cli.conftest import NOW, Tollbook
from tests.hooking import Receiver, receiving

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def development(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings under which a receiver on loopback may be posted to."""
    monkeypatch.setenv("TOLLBOOK_WEBHOOKS_ALLOW", "127.0.0.0/8, ::1")
    monkeypatch.setenv("TOLLBOOK_WEBHOOKS_HTTP", "true")


@pytest.fixture
def now() -> Iterator[str]:
    """Each command begins a second after the one before: what one tells, the next one finds due."""
    first = datetime.fromisoformat(NOW)
    return ((first + timedelta(seconds=number)).isoformat() for number in itertools.count())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def added(tollbook: Tollbook, url: str, *options: str) -> dict[str, str]:
    ran = tollbook("webhooks", "add", url, *options, "--format", "json")
    assert 0 == ran.code, ran.err
    found: dict[str, str] = json.loads(ran.out)
    return found


def issue(tollbook: Tollbook) -> None:
    """Draw up and issue October."""
    assert 0 == tollbook("invoices", "run", "2026-10").code
    assert 0 == tollbook("invoices", "finalize", "2026-10").code


def test_an_issued_invoice_is_told_and_verifies(month: Path, tollbook: Tollbook, receiver: Receiver) -> None:
    endpoint = added(tollbook, receiver.url(), "--type", "invoice.issued", "--account", "acme")
    assert 3 == tollbook("webhooks", "send").code
    issue(tollbook)
    sent = tollbook("webhooks", "send", "--format", "json")
    assert (0, {"delivered": 1, "retried": 0, "dead": 0, "disabled": []}) == (sent.code, json.loads(sent.out))
    told = receiver.requests[0].verified(endpoint["secret"])
    assert ("invoice.issued", "INV-000001", "0.12") == (told["type"], told["data"]["number"], told["data"]["total"])
    (listed,) = json.loads(tollbook("webhooks", "deliveries", "--format", "json").out)
    assert ("delivered", "INV-000001", "acme", 1, 204) == tuple(
        listed[key] for key in ("state", "subject", "account", "tries", "status")
    )
    assert month.exists()


@pytest.mark.usefixtures("empty_books")
def test_a_worker_sends_what_is_due_and_warns_of_what_it_gave_up(tollbook: Tollbook, receiver: Receiver) -> None:
    id_ = added(tollbook, receiver.url())["id"]
    receiver.answers(500)
    assert 6 == tollbook("webhooks", "test", id_).code
    receiver.answers(410)
    worked = tollbook("work", "--once", "--format", "json")
    while len(receiver.requests) < 2:  # each command is a second later
        worked = tollbook("work", "--once", "--format", "json")
    (told,) = [each for each in json.loads(worked.out) if each["round"] == "webhooks"]
    assert (4, 0) == (worked.code, told["count"])
    assert f"{id_} is disabled" in told["warning"]
    assert "dead letters: 1" in told["warning"]


@pytest.mark.usefixtures("empty_books")
def test_an_endpoint_is_listed_without_its_secret(tollbook: Tollbook, receiver: Receiver) -> None:
    endpoint = added(tollbook, receiver.url(), "--description", "the ledger")
    for command in (("list",), ("show", endpoint["id"])):
        for form in ("table", "json", "csv"):
            ran = tollbook("webhooks", *command, "--format", form)
            assert 0 == ran.code
            assert receiver.url() in ran.out
            assert "whsec_" not in ran.out + ran.err


@pytest.mark.usefixtures("empty_books")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("https://10.0.0.1/hooks",), "is not a public address"),
        (("https://169.254.169.254/latest/meta-data",), "is not a public address"),
        (("https://[::ffff:10.0.0.1]/",), "is not a public address"),
        (("ftp://example.com/",), "is not an address of HTTPS"),
        (("https://example.com/", "--type", "invoice.paid"), "use invoice.issued, credit_note.issued"),
        (("https://example.com/", "--account", "nobody"), "is not known"),
    ],
)
def test_what_cannot_be_an_endpoint_is_bad_input(tollbook: Tollbook, arguments: tuple[str, ...], said: str) -> None:
    ran = tollbook("webhooks", "add", *arguments)
    assert 5 == ran.code
    assert said in ran.err


@pytest.mark.usefixtures("empty_books")
def test_without_the_settings_loopback_and_http_are_refused(
    tollbook: Tollbook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    added(tollbook, receiver.url(host="localhost"))
    monkeypatch.delenv("TOLLBOOK_WEBHOOKS_HTTP")
    monkeypatch.delenv("TOLLBOOK_WEBHOOKS_ALLOW")
    assert "is not encrypted" in (ran := tollbook("webhooks", "add", receiver.url())).err
    assert "is not a public address" in ran.err
    (endpoint,) = json.loads(tollbook("webhooks", "list", "--format", "json").out)
    monkeypatch.setenv("TOLLBOOK_WEBHOOKS_HTTP", "true")
    tried = tollbook("webhooks", "test", endpoint["id"], "--format", "json")
    assert (6, True) == (tried.code, "not a public address" in json.loads(tried.out)[0]["problem"])
    assert [] == receiver.requests


@pytest.mark.usefixtures("empty_books")
def test_a_setting_that_is_no_network_is_named(tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLBOOK_WEBHOOKS_ALLOW", "10.0.0.1/8")
    ran = tollbook("webhooks", "list")
    assert 2 == ran.code
    assert "TOLLBOOK_WEBHOOKS_ALLOW" in ran.err
    assert "write it as 10.0.0.0/8" in ran.err


@pytest.mark.usefixtures("empty_books")
def test_a_dry_run_adds_nothing(tollbook: Tollbook, receiver: Receiver) -> None:
    assert 0 == tollbook("webhooks", "add", receiver.url(), "--dry-run").code
    assert "There is no endpoint" in tollbook("webhooks", "list").err


@pytest.mark.usefixtures("empty_books")
def test_what_fails_is_said_by_exit_codes_until_a_person_has_looked(tollbook: Tollbook, receiver: Receiver) -> None:
    id_ = added(tollbook, receiver.url())["id"]
    receiver.answers(500, b"out of order")
    tried = tollbook("webhooks", "test", id_, "--format", "json")
    assert (6, "out of order") == (tried.code, json.loads(tried.out)[0]["said"])
    receiver.answers(410)
    assert 6 == tollbook("webhooks", "test", id_).code
    listed = tollbook("webhooks", "list")
    assert (4, True) == (listed.code, f"tollbook webhooks enable {id_}" in listed.err)
    dead = tollbook("webhooks", "deliveries", id_, "--state", "dead", "--format", "json")
    assert (4, 2) == (dead.code, len(json.loads(dead.out)))
    message = json.loads(dead.out)[0]["message"]
    assert 1 == tollbook("webhooks", "replay", id_, "--message", message).code, "it is disabled"
    assert 0 == tollbook("webhooks", "enable", id_).code
    assert 3 == tollbook("webhooks", "enable", id_).code
    assert 0 == tollbook("webhooks", "list").code
    receiver.answers(200)
    assert 0 == tollbook("webhooks", "replay", id_, "--message", message).code
    assert 3 == tollbook("webhooks", "replay", id_, "--message", message).code
    assert 0 == tollbook("webhooks", "send").code
    tries = json.loads(tollbook("webhooks", "deliveries", id_, "--message", message, "--format", "json").out)
    assert [410, 200] == [each["status"] for each in tries]
    assert 0 == tollbook("webhooks", "disable", id_).code
    assert 3 == tollbook("webhooks", "disable", id_).code
    assert 0 == tollbook("webhooks", "remove", id_).code
    assert 5 == tollbook("webhooks", "show", id_).code


@pytest.mark.usefixtures("empty_books")
def test_an_endpoint_is_changed_and_has_two_secrets_for_a_day(tollbook: Tollbook, receiver: Receiver) -> None:
    one = added(tollbook, receiver.url(), "--type", "invoice.issued")
    assert 0 == tollbook("webhooks", "change", one["id"], "--url", receiver.url("/new"), "--all-types").code
    assert 2 == tollbook("webhooks", "change", one["id"]).code
    two = json.loads(tollbook("webhooks", "rotate", one["id"], "--format", "json").out)
    assert 0 == tollbook("webhooks", "test", one["id"]).code
    (request,) = receiver.requests
    assert "/new" == request.path
    assert ["webhook.test"] * 2 == [request.verified(each["secret"])["type"] for each in (one, two)]
    shown = json.loads(tollbook("webhooks", "show", one["id"], "--format", "json").out)
    assert "2026-11-22T12:00" in shown["two_secrets_until"]


# --- the page -----------------------------------------------------------------------------------------------

PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line.removeprefix("$ tollbook ").split() for line in PAGE.splitlines() if line.startswith("$ ")]
Receive = Callable[[bytes, dict[str, str], str, sqlite3.Connection], int]


def as_the_page_receives() -> Receive:
    (code,) = PYTHON
    names: dict[str, Receive] = {}
    exec(code, names)  # noqa: S102 (the page's own code)
    return names["receive"]


def test_the_receiver_of_the_page_takes_each_message_once_and_no_forged_one(
    month: Path, tollbook: Tollbook, receiver: Receiver
) -> None:
    endpoint = added(tollbook, receiver.url())
    issue(tollbook)
    assert 0 == tollbook("webhooks", "send").code
    assert 0 == tollbook("webhooks", "replay", endpoint["id"], "--since", "2026-11-01", "--delivered").code
    assert 0 == tollbook("webhooks", "send").code
    receive, database = as_the_page_receives(), sqlite3.connect(":memory:")
    database.executescript("CREATE TABLE seen (id PRIMARY KEY); CREATE TABLE invoices (number, total);")
    with freezegun.freeze_time(NOW):
        told = [receive(each.body, dict(each.headers), endpoint["secret"], database) for each in receiver.requests]
        forged = receiver.requests[0].body.replace(b"0.12", b"0.00")
        refused = receive(forged, dict(receiver.requests[0].headers), endpoint["secret"], database)
    with freezegun.freeze_time(datetime.fromisoformat("2026-11-21T12:06:00Z")):
        late = receive(receiver.requests[0].body, dict(receiver.requests[0].headers), endpoint["secret"], database)
    assert ([204, 204], 401, 401) == (told, refused, late)
    assert [("INV-000001", "0.12")] == database.execute("SELECT * FROM invoices").fetchall()
    assert month.exists()


@pytest.mark.usefixtures("empty_books")
def test_the_commands_of_the_page_are_those_of_the_program(tollbook: Tollbook, receiver: Receiver) -> None:
    id_ = added(tollbook, receiver.url())["id"]
    receiver.answers(410)
    assert 6 == tollbook("webhooks", "test", id_).code
    (dead,) = json.loads(tollbook("webhooks", "deliveries", "--format", "json").out)
    receiver.answers(200)
    told = {"ENDPOINT": id_, "MESSAGE": dead["message"]}
    codes = {" ".join(command): tollbook(*(told.get(word, word) for word in command)).code for command in COMMANDS}
    # `list` and the dead letter ask for a person; what is replayed at last is that the endpoint was disabled.
    assert [0, 4, 4, 0, 0, 0, 0] == list(codes.values()), codes


def test_the_page_has_every_type() -> None:
    assert {*MessageType} == {*re.findall(r"^\| `([a-z_.]+)`", PAGE, flags=re.MULTILINE)}
