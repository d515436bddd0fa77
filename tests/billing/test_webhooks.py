"""What webhooks are, without a database or a network."""

import itertools
import json
import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest

from billing.hosts import PUBLIC_ONLY, Reach
from billing.webhooks import (
    LIFE_CYCLE,
    LONGEST_ASKED,
    OPEN,
    RETRY_AFTER,
    Answer,
    DeliveryStateError,
    Message,
    MessageType,
    State,
    Step,
    after,
    asked_of,
    next_of,
    types_of,
    url_faults,
)
from tests.hooking import least

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(("state", "step"), [*itertools.product(State, Step)])
def test_a_delivery_moves_only_as_the_table_says(state: State, step: Step) -> None:
    if (state, step) in LIFE_CYCLE:
        assert LIFE_CYCLE[state, step] is after(state, step)
    else:
        with pytest.raises(DeliveryStateError, match=f"no {step} from here"):
            after(state, step)


def test_what_is_open_ends_and_what_ended_is_opened_by_a_person_only() -> None:
    for state in State:
        steps = {step for of, step in LIFE_CYCLE if of is state}
        assert ({*Step} - {Step.REPLAYED} if state in OPEN else {Step.REPLAYED}) == steps


def test_tries_come_after_the_delays_of_the_standard_and_then_a_delivery_is_dead() -> None:
    """5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h: ten tries over three days (Standard Webhooks 1.0)."""
    state, at, waited = State.PENDING, AT, []
    for failures in itertools.count():
        reached = next_of(state, failures, Answer(status=500), at, least)
        state = reached.state
        if reached.at is None:
            break
        waited.append(reached.at - at)
        at = reached.at
    assert (State.DEAD, [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]) == (
        state,
        [each.total_seconds() for each in waited],
    )
    assert timedelta(hours=75, minutes=35, seconds=5) == sum(RETRY_AFTER, timedelta())


@pytest.mark.parametrize(
    ("status", "said", "seconds"),
    [
        (429, "120", 120),
        (503, "0", 0),
        (503, "3601", 3600),
        (503, "9" * 4000, 3600),
        (429, "Sat, 21 Nov 2026 12:00:30 GMT", 30),
        (429, "Saturday, 21-Nov-26 12:00:30 GMT", 30),
        (429, "Sat, 21 Nov 2026 12:00:30 -0000", 30),
        (429, "Sat, 21 Nov 2026 11:59:30 GMT", 0),
        (429, "Sat, 21 Nov 9999 11:59:30 GMT", 3600),
        (429, "Sat, 21 Nov 9999 23:59:30 -2359", 3600),
        (429, "Sat, 21 Nov 99999999999999999999 11:59:30 GMT", 0),
        (429, "Sat, 21 Nov 2026 11:59:99999999999999999999 GMT", 0),
        (429, "Sat, 21 Nov 2026 11:59:30 +99999999999999999999", 0),
        (429, "-5", 0),
        (429, "1.5", 0),
        (429, "soon", 0),
        (429, "\u0661", 0),
        (429, "", 0),
        (500, "120", 0),
        (200, "120", 0),
    ],
)
def test_an_endpoint_may_ask_to_be_left_alone_for_so_long(status: int, said: str, seconds: int) -> None:
    """Seconds, or a date of HTTP in any of its forms (RFC 9110, 10.2.3); an hour at most."""
    assert timedelta(seconds=seconds) == asked_of(status, said, AT)


def test_what_is_asked_for_puts_a_try_off_and_never_forward() -> None:
    for failures, wait in enumerate(RETRY_AFTER):
        for asked in (timedelta(), timedelta(minutes=1), LONGEST_ASKED):
            reached = next_of(State.RETRY, failures, Answer(status=429, asked=asked), AT, least)
            assert AT + max(wait, asked) == reached.at


def test_a_try_comes_up_to_a_fifth_later_by_chance() -> None:
    asked: list[int] = []

    def most(below: int) -> int:
        asked.append(below)
        return below - 1

    reached = [next_of(State.RETRY, failures, Answer(status=500), AT, most).at for failures in range(len(RETRY_AFTER))]
    assert [AT + wait * 6 / 5 for wait in RETRY_AFTER] == reached
    assert [1001, 60_001] == asked[:2]


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Answer(status=200), State.DELIVERED),
        (Answer(status=204), State.DELIVERED),
        (Answer(status=299), State.DELIVERED),
        (Answer(status=301), State.RETRY),
        (Answer(status=400), State.RETRY),
        (Answer(status=410), State.DEAD),
        (Answer(status=503), State.RETRY),
        (Answer(problem="no answer"), State.RETRY),
    ],
)
def test_only_2xx_is_an_arrival_and_gone_is_the_end(answer: Answer, state: State) -> None:
    assert state is next_of(State.PENDING, 0, answer, AT, least).state


def test_a_body_has_a_type_a_timestamp_and_data() -> None:
    message = Message(type=MessageType.INVOICE_ISSUED, subject="INV-1", account="é", at=AT, data={"total": "1.10"})
    assert {"type": "invoice.issued", "timestamp": "2026-11-21T12:00:00Z", "data": {"total": "1.10"}} == json.loads(
        message.body()
    )


def test_types_are_those_that_there_are() -> None:
    assert ((MessageType.INVOICE_ISSUED, MessageType.TRIGGER_FIRED), []) == types_of(
        ["usage.trigger.fired", "invoice.issued", "invoice.issued"]
    )
    _, faults = types_of(["invoice.paid", "webhook.test"])
    assert ["invoice.paid", "webhook.test"] == [each.value for each in faults]
    assert "invoice.issued, credit_note.issued, usage.trigger.fired, webhook.disabled" in faults[0].remedy


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hooks?x=1",
        "https://example.com",
        "https://hooks.example.com:8443/a%20b",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]:443/",
        "https://xn--bcher-kva.example/",
    ],
)
def test_an_address_of_https_is_an_endpoint(url: str) -> None:
    assert [] == list(url_faults(url, PUBLIC_ONLY))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "not an address of HTTPS"),
        ("example.com/hooks", "not an address of HTTPS"),
        ("ftp://example.com/", "not an address of HTTPS"),
        ("file:///etc/passwd", "not an address of HTTPS"),
        ("https://", "not an address of HTTPS"),
        ("https:///hooks", "not an address of HTTPS"),
        ("https://example.com:0/", "not an address of HTTPS"),
        ("https://example.com:65536/", "not an address of HTTPS"),
        ("https://example.com:x/", "not an address of HTTPS"),
        ("https://[::1/", "not an address of HTTPS"),
        ("http://example.com/", "not encrypted"),
        ("https://user:secret@example.com/", "a user, a password or a fragment"),
        ("https://@example.com/", "a user, a password or a fragment"),
        ("https://example.com/#top", "a user, a password or a fragment"),
        ("https://127.0.0.1/", "not a public address"),
        ("https://[::1]/", "not a public address"),
        ("https://[::ffff:169.254.169.254]/", "not a public address"),
        ("https://169.254.169.254/latest/meta-data", "not a public address"),
        ("https://exa mple.com/", "cannot be posted to|can be posted to"),
        ("https://example.com\\@127.0.0.1/", "can be posted to"),
        ("https://example.com/\r\nX-Header: 1", "can be posted to"),
        ("https://bücher.example/", "can be posted to"),
        (f"https://example.com/{'a' * 2000}", "can be posted to"),
    ],
)
def test_what_cannot_be_posted_to_is_refused_when_it_is_added(url: str, problem: str) -> None:
    (fault, *_) = url_faults(url, PUBLIC_ONLY)
    assert re.search(problem, fault.problem)


def test_settings_allow_a_network_and_http() -> None:
    reach = Reach(allowed=(ip_network("127.0.0.0/8"),), http=True)
    assert [] == list(url_faults("http://127.0.0.1:8080/hooks", reach))
