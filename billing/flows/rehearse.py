"""Foresee what an import would come to: parsed, rated and compared like the import itself, and nothing stored.

The same steps by the same code. Where an import writes, a rehearsal notes identities in a temporary table of one
transaction that is rolled back: what stands twice in a file is foreseen too, nobody waits for it, and no source, month
or number is left behind.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from billing.chunks import Chunk
from billing.flows.ingest import Intake, Numbers, Prepared, receipt_of, require_free, sources_of, take_in
from billing.receipts import Outcome, Receipt, Taken
from billing.store.compiled import CompiledCards
from billing.store.engine import Connection, Engine, rehearsal, snapshot
from billing.store.identity import foresee, known_source_ids
from billing.store.ratebooks import book_version, load_books
from billing.usage import Parsed
from rates.jurisdiction import States
from rates.products import Product


@dataclass(slots=True, kw_only=True)
class Rehearsal(Intake):
    """An intake that stores nothing. `connection` is that of a transaction which is rolled back.

    Sources that the database does not know get numbers below zero, which are nobody's; so do the chunks.
    """

    connection: Connection
    _chunks: int = 0

    def write(self, prepared: Prepared, at: datetime) -> Receipt:
        """What would become of prepared payloads, after all that was prepared before them."""
        batch = prepared.batch
        # Not locked: whoever publishes meanwhile is not to wait for somebody who only looks. So it is a snapshot that
        # has all of the books as of one version.
        if book_version(self.connection) != batch.book_version:
            with snapshot(self.engine) as connection:
                self._books = load_books(connection, self.products, self._books, self.kept)
            batch = self._batch(prepared.parsed, prepared.numbers, at, self._books)
        return receipt_of(self.products, prepared, batch, foresee(self.connection, batch.number, batch.claims))

    def _look_up(self, connection: Connection, parsed: Parsed) -> Numbers:
        missing = [name for name in sources_of(parsed) if name not in self._sources]
        sources = self._sources | known_source_ids(connection, missing) if missing else self._sources
        for name in missing:
            sources.setdefault(name, -1 - len(sources))
        self._chunks += 1
        return Numbers(products={}, sources=sources, batch=-self._chunks)

    def _make_months(self, parsed: Parsed, at: datetime) -> None:
        """Nothing is written, so that no month is needed."""


def rehearse_usage(
    engine: Engine,
    source: str | None,
    chunks: Iterable[Chunk],
    *,
    products: Mapping[str, Product],
    at: datetime,
    on_chunk: Callable[[Taken], None] = lambda _: None,
    kept: CompiledCards | None = None,
    states: States | None = None,
) -> dict[Outcome, int]:
    """What `import_usage` would come to now, and tell `on_chunk`. Memory is a few chunks'."""
    require_free(source)
    with rehearsal(engine) as connection:
        foreseeing = Rehearsal(
            engine=engine, products=products, source=source, kept=kept, states=states, connection=connection
        )
        return take_in(foreseeing, chunks, at, on_chunk)
