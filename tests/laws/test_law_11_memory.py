"""Law 11: "Memory of a run is O(batch), not O(events)." Here: of an import, and of its rehearsal."""

import multiprocessing
import resource
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from billing.chunks import Chunk
from billing.flows.fold import fold
from billing.flows.ingest import import_usage
from billing.flows.rehearse import rehearse_usage
from billing.store.engine import open_engine
from tests.shop import AT, SOURCE, Shop, call, payloads, products

A_CHUNK = 5_000
FEW, MANY = 4, 24
MEGABYTES_MORE = 25


def chunks(first: int, count: int) -> Iterator[Chunk]:
    for start in range(first, first + count * A_CHUNK, A_CHUNK):
        numbers = range(start, start + A_CHUNK)
        yield Chunk(payloads([call(number) for number in numbers]), numbers)


def import_few_and_many(url: str, peaks: Connection, rehearsed: bool) -> None:  # noqa: FBT001 (a process's argument)
    """Send the peak memory of this process, in kilobytes, after a small import and after one of six times its size."""
    engine = open_engine(url)
    for first, count in ((0, FEW), (FEW * A_CHUNK, MANY)):
        take_in = rehearse_usage if rehearsed else import_usage
        take_in(engine, SOURCE, chunks(first, count), products=products(), at=AT)
        fold(engine)
        peaks.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    engine.dispose()


@pytest.mark.parametrize("rehearsed", [False, True])
def test_an_import_six_times_as_long_takes_no_more_memory(shop: Shop, *, rehearsed: bool) -> None:
    shop.publish()
    shop.admit("acme")
    processes = multiprocessing.get_context("spawn")
    mine, its = processes.Pipe(duplex=False)
    url = shop.engine.url.render_as_string(hide_password=False)
    importing = processes.Process(target=import_few_and_many, args=(url, its, rehearsed))
    importing.start()
    its.close()
    few, many = mine.recv(), mine.recv()
    importing.join()
    assert [(0 if rehearsed else (FEW + MANY) * A_CHUNK,)] == shop.rows("SELECT count(*) FROM events")
    assert many - few < MEGABYTES_MORE * 1024
