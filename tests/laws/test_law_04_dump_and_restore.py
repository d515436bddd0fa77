"""Law 4: "Dump, restore into a fresh cluster, ingest, fold: nothing missing".

A fresh cluster's transaction numbers and sequences are those of another server: nothing may hang on them.
"""

import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from billing.flows.draw_up import draw_up
from billing.flows.explain import explain_line
from billing.flows.finalize import finalize
from billing.flows.fold import fold
from billing.periods import Period
from billing.store.embedded import Address, Cluster, address_of, binary, ensure_running
from billing.store.engine import open_engine, transaction
from tests.invoicing import CLOSED
from tests.shop import OCTOBER, Row, Shop, call, outcomes, products

NewCluster = Callable[..., Cluster]
NOVEMBER = Period.parse("2026-11")


def test_a_dump_that_is_restored_elsewhere_goes_on_where_it_stopped(
    cluster: Cluster, shop: Shop, new_cluster: NewCluster, tmp_path: Path
) -> None:
    shop.publish()
    shop.admit("acme", "beta")
    shop.post(*(call(number) for number in range(100)))
    fold(shop.engine)
    shop.post(*(call(number) for number in range(50, 150)), call(150, account="nobody"))
    with transaction(shop.engine) as writing:
        # Of a write that is not committed, nothing is dumped: its source reports it again.
        writing.execute("INSERT INTO unfolded SELECT * FROM unfolded")
        dump = tmp_path / "dump.sql"
        source = address_of(cluster, str(shop.engine.url.database))
        with dump.open("wb") as out:
            subprocess.run([binary(cluster, "pg_dump"), "--no-owner", source.libpq_uri], stdout=out, check=True)
        writing.execute("DELETE FROM unfolded WHERE xmin::text = pg_current_xact_id()::text")
    there = restored(new_cluster("elsewhere"), dump)
    assert shop.totals() == there.totals()
    for each in (shop, there):
        reported = outcomes(each.post(*(call(number, account="beta") for number in range(140, 200))))
        assert {"conflict": 11, "accepted": 49} == Counter(reported)
        fold(each.engine)
    expected: list[Row] = shop.totals()
    assert (expected, 150 + 49) == (there.totals(), sum(row[5] for row in expected))
    there.engine.dispose()


def test_a_restored_invoice_still_knows_which_events_it_billed(
    cluster: Cluster, shop: Shop, new_cluster: NewCluster, tmp_path: Path
) -> None:
    shop.publish()
    shop.admit("acme")
    shop.post(call(1))
    draw_up(shop.engine, products(), OCTOBER, CLOSED, write=True)
    finalize(shop.engine, OCTOBER, CLOSED)
    shop.post(call(2))
    dump = tmp_path / "dump.sql"
    source = address_of(cluster, str(shop.engine.url.database))
    subprocess.run([binary(cluster, "pg_dump"), "--no-owner", "-f", str(dump), source.libpq_uri], check=True)
    there = restored(new_cluster("elsewhere"), dump)
    there.post(call(3))
    found = explain_line(there.engine, products(), OCTOBER, "acme", 1)
    assert (True, ["call-1"], 2) == (found.adds_up, [share.id for share in found.page], found.later)
    for _ in ("not folded", "folded"):
        drawn = draw_up(there.engine, products(), NOVEMBER, NOVEMBER.closes, write=False)
        assert ["acme"] == [each.account for each in drawn.outcomes if each.adjusts]
        fold(there.engine)
    there.engine.dispose()


def restored(cluster: Cluster, dump: Path) -> Shop:
    address: Address = ensure_running(cluster, lambda _: None)
    with dump.open("rb") as read:
        options = ("-q", "-v", "ON_ERROR_STOP=1")
        subprocess.run(
            [binary(cluster, "psql"), *options, address.libpq_uri], stdin=read, check=True, stdout=subprocess.DEVNULL
        )
    return Shop(engine=open_engine(address.sqlalchemy_url))
