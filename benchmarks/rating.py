"""Rating a month again: 20 million calls over 60,000 prefixes to totals by account, price and day, against DuckDB.

Measured is `rates.totals.rate_totals`: the kernel with sums only, for usage that was parsed and stored before.
Both have the month in memory. DuckDB finds the rate by an ASOF join on the intervals into which the prefixes flatten
(the fastest of its ways: a hash join for each prefix length, or for each level of a trie, took longer), applies the
same increments and groups by the same key; its numbers are already aligned to 15 digits, which Tollbook does itself, as
it also finds the country. Two threads each.
"""

import argparse
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.harness import RUNS, Run, alternate, report
from cli.world import products
from rates.cards import Card
from rates.compiled.cards import compile_card, lineages
from rates.matching import Book, Books
from rates.totals import rate_totals
from rates.usage import MICROSECONDS_A_DAY, Totals, UsageColumns

Int64s = NDArray[np.int64]

BOUND = 1.5
EVENTS, PREFIXES, ACCOUNTS, PRICES = 20_000_000, 60_000, 20_000, 4_000
FIRST_DAY, DAYS = 20_728, 31  # October 2026
INCREMENTS = np.array([(60, 60), (30, 6), (1, 1), (6, 6)])
MOST_SECONDS = 7_200
PRODUCT = "voice.outbound"
THREADS = 2


class Month(NamedTuple):
    """A month's calls and the deck that prices them."""

    prefixes: Int64s
    lengths: NDArray[np.int8]
    price: NDArray[np.int32]
    increments: Int64s
    number: Int64s
    digits: Int64s
    account: Int64s
    seconds: Int64s
    occurred_at: Int64s


def make_month(events: int) -> Month:
    """Prefixes of 1 to 9 digits, called by Zipf's law from accounts by Zipf's law; 15 prefixes share a price."""
    rng = np.random.default_rng(20_261_001)
    lengths = rng.integers(1, 10, PREFIXES * 5 // 3)
    prefixes = np.unique(rng.integers(10 ** (lengths - 1), 10**lengths))
    rng.shuffle(prefixes)
    prefixes = prefixes[:PREFIXES]
    lengths = np.char.str_len(prefixes.astype("U9"))
    which = _zipf(rng, PREFIXES, events)
    digits = rng.integers(10, 14, events)
    rest = 10 ** (digits - lengths[which])
    return Month(
        prefixes=prefixes,
        lengths=lengths.astype(np.int8),
        price=rng.integers(0, PRICES, PREFIXES).astype(np.int32),
        increments=INCREMENTS[rng.choice(4, PREFIXES, p=[0.5, 0.2, 0.2, 0.1])],
        number=prefixes[which] * rest + (rng.random(events) * rest).astype(np.int64),
        digits=digits,
        account=rng.permutation(ACCOUNTS)[_zipf(rng, ACCOUNTS, events)],
        seconds=np.minimum(rng.exponential(120, events).astype(np.int64), MOST_SECONDS),
        occurred_at=FIRST_DAY * MICROSECONDS_A_DAY + np.sort(rng.integers(0, DAYS * MICROSECONDS_A_DAY, events)),
    )


def _zipf(rng: np.random.Generator, of: int, draws: int) -> Int64s:
    weights = np.cumsum(1 / np.arange(1, of + 1))
    return np.searchsorted(weights / weights[-1], rng.random(draws))


# ---- Tollbook --------------------------------------------------------------------------------------------------------


def tollbook(month: Month) -> partial[tuple[Totals, Int64s]]:
    """Rating and totals, ready to run."""
    many = len(month.prefixes)
    rows = {
        "row": pa.array(np.arange(many, dtype=np.int32)),
        "product": [PRODUCT] * many,
        "prefixes": month.prefixes.astype("U9"),
        "destination": month.price.astype("U9"),
        "unit": ["minute"] * many,
        "prices": ["0.01"] * many,
        "increments": [f"{first}/{following}" for first, following in month.increments],
    }
    known = products()
    card = Card(id="list", currency="USD", effective_from=datetime(2026, 1, 1, tzinfo=UTC), rows=pa.table(rows))
    books = Books([Book(lineages=tuple(lineages([compile_card(card, known)]).values()))])
    calls = len(month.number)
    usage = UsageColumns(
        products=(PRODUCT,),
        product=np.broadcast_to(np.int16(0), calls),
        book=np.broadcast_to(np.int32(0), calls),
        occurred_at=month.occurred_at,
        to=month.number,
        from_=np.broadcast_to(np.int64(0), calls),
        measured=month.seconds,
    )
    return partial(rate_totals, usage, books, known, month.account, month.account, threads=THREADS)


def by_destination(month: Month) -> Int64s:
    """The number of the price that each price id stands for: the list numbers them as the rows first name them."""
    first = np.unique(month.price, return_index=True)[1]
    return month.price[np.sort(first)].astype(np.int64)


def keyed(totals: Totals, price: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """(account, price, day) packed and ascending, events, quantity: over all countries."""
    return _ordered(_key(totals.account, price[totals.price], totals.day), totals.events, totals.quantity)


def _key(account: Int64s, price: Int64s, day: NDArray[np.int32]) -> Int64s:
    packed: Int64s = (account * PRICES + price) * DAYS + (day - FIRST_DAY)
    return packed


def _ordered(key: Int64s, events: Int64s, quantity: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    order = np.argsort(key)
    key = key[order]
    first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    return key[first], np.add.reduceat(events[order], first), np.add.reduceat(quantity[order], first)


# ---- the reference ---------------------------------------------------------------------------------------------------


def intervals(month: Month) -> pa.Table:
    """The intervals of 15-digit numbers with one longest prefix each, its price (-1: none) and its increments."""
    widths = 10 ** (15 - month.lengths.astype(np.int64))
    starts, ends = month.prefixes * widths, (month.prefixes + 1) * widths
    edges = np.unique(np.concatenate([[0], starts, ends]))
    longest = np.full(len(edges), -1)
    for length in range(1, 10):
        some = np.flatnonzero(month.lengths == length)
        some = some[np.argsort(starts[some])]
        before = np.searchsorted(starts[some], edges, side="right") - 1
        prefix = some[np.maximum(before, 0)]
        inside = (before >= 0) & (edges < ends[prefix])
        longest[inside] = prefix[inside]
    table = {
        "low": edges,
        "price": np.where(longest >= 0, month.price[longest], np.int32(-1)),
        "first": month.increments[longest, 0].astype(np.int32),
        "next": month.increments[longest, 1].astype(np.int32),
    }
    return pa.table(table)


BILLED = "CASE WHEN seconds <= first THEN first ELSE first + ((seconds - first + next - 1) // next) * next END"
JOINED = "FROM calls ASOF JOIN deck ON calls.aligned >= deck.low WHERE seconds > 0 AND price >= 0"
# Into one packed column and back again is a little faster than three columns.
GROUPED = f"""
    SELECT (key // {PRICES * DAYS})::INTEGER AS account, (key // {DAYS} % {PRICES})::INTEGER AS price,
           (key % {DAYS})::INTEGER + {FIRST_DAY} AS day, events, quantity
    FROM (SELECT (account::BIGINT * {PRICES} + price) * {DAYS} + occurred_at // {MICROSECONDS_A_DAY} - {FIRST_DAY}
                 AS key, count(*) AS events, sum({BILLED})::BIGINT AS quantity
          {JOINED} GROUP BY key)"""  # noqa: S608 - of numbers and texts written here


def reference(month: Month) -> duckdb.DuckDBPyConnection:
    """DuckDB with the month in tables."""
    database = duckdb.connect(config={"threads": THREADS})
    database.execute("SET preserve_insertion_order = false")
    calls = pa.table(
        {
            "account": month.account.astype(np.int32),
            "aligned": month.number * 10 ** (15 - month.digits),
            "seconds": month.seconds.astype(np.int32),
            "occurred_at": month.occurred_at,
        }
    )
    database.register("calls_to_load", calls)
    database.register("deck_to_load", intervals(month))
    database.execute("CREATE TABLE calls AS FROM calls_to_load")
    database.execute("CREATE TABLE deck AS FROM deck_to_load ORDER BY low")
    database.unregister("calls_to_load")
    return database


def keyed_reference(database: duckdb.DuckDBPyConnection) -> tuple[Int64s, Int64s, Int64s]:
    """What `keyed` says, of the reference's table."""
    found = database.execute("SELECT account::BIGINT AS account, price, day, events, quantity FROM totals").fetchnumpy()
    return _ordered(_key(found["account"], found["price"], found["day"]), found["events"], found["quantity"])


@dataclass(slots=True, kw_only=True)
class Duel:
    """Both sides by turns; each pair of results is compared before the next."""

    month: Month
    ours: partial[tuple[Totals, Int64s]]
    database: duckdb.DuckDBPyConnection
    totals: Totals | None = None
    agreed: list[int] = field(default_factory=list)

    def prepare_ours(self) -> Run:
        """Compare what the last turns came to, then be ready for the next."""
        self.compare()
        return self._rate

    def prepare_reference(self) -> Run:
        """Forget the last table."""
        self.database.execute("DROP TABLE IF EXISTS totals")
        return partial(self.database.execute, f"CREATE TABLE totals AS {GROUPED}")

    def compare(self) -> None:
        """Both must have come to the same; stops the benchmark if not."""
        if self.totals is None:
            return
        mine, its = keyed(self.totals, by_destination(self.month)), keyed_reference(self.database)
        if not all(np.array_equal(one, other) for one, other in zip(mine, its, strict=True)):
            raise SystemExit("the totals differ from the reference's")
        self.agreed.append(len(mine[0]))
        self.totals = None

    def _rate(self) -> object:
        self.totals, _ = self.ours()
        return self.totals


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the calls, for a quick look")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    month = make_month(int(EVENTS * options.scale))
    duel = Duel(month=month, ours=tollbook(month), database=reference(month))
    times = alternate(duel.prepare_ours, duel.prepare_reference, options.runs)
    duel.compare()
    report(
        "rating",
        times.reference / times.ours,
        BOUND,
        at_most=False,
        sizes={"events": len(month.number), "prefixes": PREFIXES, "accounts": ACCOUNTS, "totals": duel.agreed[-1]},
        times=times,
        compared="calls a second, rated and summed from columns in memory, as a month is rated again with other cards"
        " (no parsing and no store: usage that comes in is measured by benchmarks/import.py), against an ASOF join and"
        f" GROUP BY in DuckDB {duckdb.__version__}, {THREADS} threads each; the results were equal in"
        f" {len(duel.agreed)} of {options.runs} runs",
    )


if __name__ == "__main__":
    main()
