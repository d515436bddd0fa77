"""Law 9: "Acknowledged = durable." Here: the service is killed, as a whole and at any moment, while clients post.

More of it by hand: `python -m tests.killing --kills 200`, which kills PostgreSQL too if it is told to.
"""

from pathlib import Path

import pytest

from billing.store.embedded import ensure_running
from billing.store.engine import open_engine
from billing.store.migrate import migrate
from tests.conftest import NewCluster
from tests.killing import prepare, trial
from tests.shop import Shop


@pytest.mark.parametrize(("processes", "kills"), [(1, 2), (2, 1)])
def test_what_a_killed_service_acknowledged_is_there_and_counted_once(
    shop: Shop, tmp_path: Path, processes: int, kills: int
) -> None:
    prepare(shop)
    verdict = trial(shop, tmp_path, kills, "--workers", str(processes), seconds=0.7)
    assert (0, [], []) == (verdict.unanswered, verdict.lost, verdict.doubled)
    assert verdict.acknowledged > 100


def test_what_was_acknowledged_survives_a_killed_postgresql(new_cluster: NewCluster, tmp_path: Path) -> None:
    """As in production: with fsync, and a commit is not answered before it is on the disk."""
    cluster = new_cluster()
    engine = open_engine(ensure_running(cluster, lambda _: None).sqlalchemy_url)
    migrate(engine)
    shop = Shop(engine=engine)
    prepare(shop)
    verdict = trial(shop, tmp_path, 2, cluster=cluster, every=1, seconds=0.7)
    engine.dispose()
    assert (0, [], []) == (verdict.unanswered, verdict.lost, verdict.doubled)
    assert verdict.acknowledged > 100
