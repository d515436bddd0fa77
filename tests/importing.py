"""An import in a process of its own, to be killed at any moment."""

from multiprocessing.connection import Connection
from pathlib import Path

from billing.flows.ingest import import_usage
from billing.receipts import Taken
from billing.sources.ndjson import read_chunks
from billing.store.engine import open_engine
from tests.shop import AT, SOURCE, products


def import_file(url: str, path: str, acknowledged: Connection, events_a_chunk: int) -> None:
    """Import a file, and send the number of the last line of each chunk that is committed."""

    def note(taken: Taken) -> None:
        acknowledged.send(taken.chunk.lines[-1])

    engine = open_engine(url)
    with Path(path).open("rb") as stream:
        chunks = read_chunks(stream, events=events_a_chunk)
        import_usage(engine, SOURCE, chunks, products=products(), at=AT, on_chunk=note)
    engine.dispose()
