"""The trial of killed services can fail: each thing that it is to find is planted here, and found."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from tests.killing import Client, Load, Log, Verdict, judged, prepare
from tests.shop import Shop, call

AT = datetime.now(UTC).replace(microsecond=0)
ID = "call-1"


def event(revision: int = 1) -> dict[str, object]:
    """An event as clients send it."""
    return call(1, occurred_at=AT.isoformat(), duration_seconds="61", revision=revision)


@pytest.fixture
def sold(shop: Shop) -> Shop:
    prepare(shop)
    return shop


def verdict(shop: Shop, *told: str) -> Verdict:
    """What is found where an event is stored and its client was told this."""
    log = Log()
    log.sent[ID, 1] = event()
    if told:
        log.told[ID, 1] += told
    return judged(shop, log, AT)


def test_what_is_as_it_was_told_is_no_finding(sold: Shop) -> None:
    sold.post(event(), at=AT)
    assert ([], []) == verdict(sold, "accepted", "duplicate")[3:]


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (Shop.forget, ["accepted"]),
        (lambda _: None, ["conflict"]),
        (lambda _: None, ["accepted", "accepted"]),
        (lambda _: None, ["duplicate", "accepted"]),
        (lambda _: None, ["accepted", "superseded", "quarantined"]),
        (lambda shop: shop.post(event(2), at=AT), []),
    ],
    ids=["lost", "not told", "new twice", "known, then new", "gone, then new", "well"],
)
def test_what_is_planted_is_found(
    sold: Shop, plant: Callable[[Shop], object], told: list[str], request: pytest.FixtureRequest
) -> None:
    sold.post(event(), at=AT)
    plant(sold)
    found = verdict(sold, *told)
    assert ("[well]" in request.node.name) == (not found.lost and not found.doubled)


class Misled(Client):
    """A client that is told of more events than it posted."""

    def _post(self, events: Sequence[dict[str, object]]) -> list[str]:
        return ["accepted"] * (len(events) + 1)


def test_a_client_that_understands_no_answer_is_a_finding(sold: Shop) -> None:
    """Else a trial whose clients all died at once would find nothing lost."""
    load = Load("token", AT)
    client = Misled(load, 1)
    client.start()
    client.join(10)
    found = judged(sold, load.log, AT)
    assert ["client-1 ended"] == [each.partition(":")[0] for each in found.lost if "client" in each]


def test_a_trial_in_which_nothing_was_acknowledged_or_something_never_answered_is_not_passed() -> None:
    assert Verdict(5, 0, 0, [], []).is_passed
    failed = [
        Verdict(0, 0, 0, [], []), Verdict(5, 1, 0, [], []), Verdict(5, 0, 0, ["a"], []), Verdict(5, 0, 0, [], ["a"]),
    ]  # fmt: skip
    assert [False] * 4 == [each.is_passed for each in failed]
