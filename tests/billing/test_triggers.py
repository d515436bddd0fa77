"""Triggers as files have them, and what windows come to: in columns as one by one."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.accounts import Account, AccountId
from billing.triggers import (
    EPOCH,
    Action,
    Counted,
    Measure,
    Subject,
    Sums,
    Trigger,
    Window,
    counted,
    open_since,
    read_trigger,
    subject_of,
    table_of,
)
from rates.numbering import COUNTRY_CODES
from tests.shop import products

TABLE = {
    "id": "t",
    "account": "acme",
    "measure": "quantity",
    "unit": "minute",
    "threshold": "2.5",
    "product": "voice.*",
}
NAMES = ("voice.outbound", "voice.inbound", "sms.outbound", "")


def test_a_trigger_is_written_as_it_was_read() -> None:
    found, faults = read_trigger(TABLE | {"window": "day", "country": "GB", "action": "stop"}, "t", products())
    assert [] == faults
    assert found is not None
    assert (150, 60, Window.DAY, Action.STOP) == (found.threshold, found.unit_size, found.window, found.action)
    assert (found, []) == read_trigger(table_of(found), "t", products())
    assert "2.5" == found.in_words(150)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"threshold": "0"}, "threshold"),
        ({"threshold": "-1"}, "threshold"),
        ({"threshold": "0.001"}, "threshold"),
        ({"threshold": "9223372036854775808", "unit": "second"}, "threshold"),
        ({"unit": "segment"}, "unit"),
        ({"product": "*"}, "unit"),
        ({"product": "gas.*"}, "product"),
        ({"country": "ZZ"}, "country"),
        ({"measure": "amount"}, "unit"),
        ({"measure": "events"}, "unit"),
        ({"measure": "amount", "unit": "JPY", "threshold": "0.5"}, "threshold"),
        ({"id": "x" * 201}, "id"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(change: dict[str, str], key: str) -> None:
    found, faults = read_trigger(TABLE | change, "t", products())
    assert (None, {f"t: {key}"}) == (found, {fault.place for fault in faults})


def test_an_account_counts_all_that_it_pays_for_or_its_own_tree() -> None:
    def made(name: str, parent: str = "", **facts: Any) -> Account:  # noqa: ANN401 (facts of any kind)
        return Account(id=AccountId(name), parent=parent, **({"pays": not parent} | facts))

    family = [made("a"), made("b", "a"), made("c", "b"), made("d", "b", pays=True), made("e", "d")]
    accounts: dict[str, Account] = {each.id: each for each in family}
    assert [Subject("a"), Subject("a", ("b", "c")), Subject("d"), Subject("d", ("e",)), None] == [
        subject_of(name, accounts, {}) for name in ("a", "b", "d", "e", "nobody")
    ]


Row = tuple[int, int, str, int, int]
ROWS = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 3), st.sampled_from(["GB", "FR", ""]), st.integers(20_700, 20_800),
        st.integers(-5, 2**40),
    ),
    max_size=60,
)  # fmt: skip
TRIGGERS = st.lists(
    st.builds(
        Trigger,
        id=st.just("t"),
        account=st.just("a"),
        measure=st.just(Measure.EVENTS),
        threshold=st.integers(1, 2**41),
        unit=st.just("event"),
        product=st.sampled_from(["*", "voice.*", "sms.outbound", "gas"]),
        country=st.sampled_from(["", "GB", "US"]),
        window=st.sampled_from(Window),
    ),
    max_size=12,
)


@given(ROWS, TRIGGERS, st.randoms(use_true_random=False))
def test_windows_come_to_what_their_rows_sum_up_to(rows: list[Row], triggers: list[Trigger], dice: Any) -> None:  # noqa: ANN401
    subjects = [dice.randrange(5) for _ in triggers]
    rows = sorted(rows)
    expected: Counter[tuple[int, date]] = Counter()
    for place, (trigger, subject) in enumerate(zip(triggers, subjects, strict=True)):
        for whose, product, country, day, count in rows:
            named = fnmatchcase(NAMES[product], trigger.product) and trigger.country in {"", country}
            if whose == subject and named:
                on = EPOCH + timedelta(days=day)
                expected[place, on if trigger.window == "day" else on.replace(day=1)] += count
    whose_, product_, country_, day_, count_ = (
        (list(column) for column in zip(*rows, strict=True)) if rows else [[]] * 5
    )
    sums = Sums(
        products=NAMES,
        subject=np.array(whose_, dtype=np.int64),
        product=np.array(product_, dtype=np.int64),
        country=np.array([COUNTRY_CODES[str(each)] for each in country_], dtype=np.int64),
        day=np.array(day_, dtype=np.int64),
        count=np.array(count_, dtype=np.int64),
    )
    found = counted(triggers, np.array(subjects, dtype=np.int64), sums)
    starts = [EPOCH + timedelta(days=day) for day in found.start.tolist()]
    said = dict(zip(zip(found.trigger.tolist(), starts, strict=True), found.count.tolist(), strict=True))
    assert dict(expected) == said
    reached = [n >= triggers[place].threshold for (place, _), n in said.items()]
    assert reached == found.reached(triggers).tolist()


def test_sums_beyond_64_bits_are_exact() -> None:
    trigger = Trigger(id="t", account="a", measure=Measure.QUANTITY, threshold=2**62, unit="second")
    many = np.full(4, 2**62, dtype=np.int64)
    nothing = np.zeros(4, dtype=np.int64)
    sums = Sums(products=NAMES, subject=nothing, product=nothing, country=nothing, day=nothing, count=many)
    found = counted([trigger], nothing[:1], sums)
    assert ([2**64], [True]) == (found.count.tolist(), found.reached([trigger]).tolist())


def test_a_window_is_open_while_it_ends_after_the_trigger_was_added() -> None:
    daily = Trigger(id="t", account="a", measure=Measure.EVENTS, threshold=1, unit="event", window=Window.DAY)
    monthly = Trigger(id="t", account="a", measure=Measure.EVENTS, threshold=1, unit="event")
    day = (date(2026, 10, 31) - EPOCH).days
    number = np.array([0, 0, 1, 1], dtype=np.int64)
    start = np.array([day, day - 1, day - 30, day + 1], dtype=np.int64)
    windows = Counted(trigger=number, start=start, count=number)
    for at, expected in (
        (datetime(2026, 10, 31, 23, 59, tzinfo=UTC), [True, False, True, True]),
        (datetime(2026, 11, 1, tzinfo=UTC), [False, False, False, True]),
    ):
        assert expected == open_since([daily, monthly], [at, at], windows).tolist()
