"""Law 9: "Acknowledged = durable." Here: what was told stays told. Each window of a trigger fires once, however many
rounds of watching look at once, wherever they are killed, and in whatever order usage comes.
"""

import multiprocessing
import random
import time
from datetime import UTC, date, datetime, timedelta

import pytest

from billing.flows.fold import fold
from billing.flows.limit import set_triggers
from billing.flows.watch import watch
from billing.store.engine import open_engine
from billing.triggers import Action, Measure, Trigger, Window
from tests.shop import AT, Shop, call, products

SINCE = datetime(2026, 10, 1, tzinfo=UTC)
KILLS = 12


def triggers(*, most: int) -> list[Trigger]:
    """Of each measure, window and account, at several thresholds."""
    units = {Measure.EVENTS: "event", Measure.QUANTITY: "second", Measure.AMOUNT: "USD"}
    return [
        Trigger(
            id=f"{account}-{measure}-{window}-{threshold}",
            account=account,
            measure=measure,
            unit=units[measure],
            window=window,
            threshold=threshold,
            action=Action.STOP,
        )
        for account in ("acme", "beta")
        for measure in Measure
        for window in (Window.DAY, Window.MONTH)
        for threshold in range(1, most * 120, 119)
    ]


def keep_watching(url: str) -> None:
    """Rounds of watching until somebody ends the process."""
    engine = open_engine(url)
    while True:
        watch(engine, products(), AT)


def test_each_window_fires_once_with_several_at_work_and_killed(shop: Shop) -> None:
    shop.publish()
    shop.admit("acme", "beta")
    set_triggers(shop.engine, triggers(most=3), at=SINCE, actor="ops")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.laws.test_law_09_firings"])
    url = shop.engine.url.render_as_string(hide_password=False)
    dice = random.Random()
    watching = [processes.Process(target=keep_watching, args=(url,)) for _ in range(2)]
    for each in watching:
        each.start()
    events = 0
    for _ in range(KILLS):
        some = [call(events + n, account=dice.choice(["acme", "beta"]), occurred_at=moment(dice)) for n in range(3)]
        events += 3
        shop.post(*some)
        if dice.random() < 0.5:
            fold(shop.engine)
        time.sleep(dice.random() / 4)
        victim = dice.randrange(2)
        watching[victim].kill()
        watching[victim].join()
        watching[victim] = processes.Process(target=keep_watching, args=(url,))
        watching[victim].start()
    for each in watching:
        each.kill()
        each.join()
    watch(shop.engine, products(), AT)
    check(shop, 3)


def moment(dice: random.Random) -> str:
    return (SINCE + timedelta(hours=dice.randrange(24 * 5))).isoformat()


def check(shop: Shop, most: int) -> None:
    """What has fired is what plain sums over the stored events come to, and budgets know the same sums."""
    sums: dict[tuple[str, str, date], list[int]] = {}
    for account, at, billed in shop.rows(
        "SELECT a.id, occurred_at, billed FROM events JOIN accounts a USING (account_id)"
    ):
        assert isinstance(account, str)
        assert isinstance(at, datetime)
        assert isinstance(billed, int)
        day = at.astimezone(UTC).date()
        for window, first in (("day", day), ("month", day.replace(day=1))):
            found = sums.setdefault((account, window, first), [0, 0, 0])
            found[0] += 1
            found[1] += billed
            found[2] += billed // 60 * 2
    expected = {
        (each.id, start)
        for each in triggers(most=most)
        for (account, window, start), found in sums.items()
        if (account, window) == (each.account, each.window) and found[[*Measure].index(each.measure)] >= each.threshold
    }
    fired = shop.rows("SELECT id, window_start FROM trigger_firings JOIN triggers USING (trigger_id)")
    assert len(set(fired)) == len(fired)
    assert expected == set(fired)
    used = {(name, start): n for name, start, n in shop.rows(_USED)}
    for (name, start), n in used.items():
        account, measure, window, _ = str(name).split("-")
        assert isinstance(start, date)
        assert sums[account, window, start][[*Measure].index(Measure(measure))] == n


_USED = "SELECT id, window_start, used FROM budget_states JOIN triggers USING (trigger_id)"


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_order_of_usage_folds_and_rounds(shop: Shop, seed: int) -> None:
    shop.publish()
    shop.admit("acme", "beta")
    set_triggers(shop.engine, triggers(most=4), at=SINCE, actor="ops")
    dice = random.Random(seed)
    for number in range(16):
        shop.post(call(number, account=dice.choice(["acme", "beta"]), occurred_at=moment(dice)))
        if dice.random() < 0.4:
            fold(shop.engine)
        if dice.random() < 0.4:
            watch(shop.engine, products(), AT)
    watch(shop.engine, products(), AT)
    check(shop, 4)
