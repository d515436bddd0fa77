"""Matching: what rows with dimensions cost, what the size of a list costs, and what many small cards over one cost.

Four ratios, each of seconds of `rates.rating.rate` on the same calls (all that an event needs once it is parsed; no
totals, no store):

- dimensions: prefixes of which each is priced by number type, once for any origin and once for each of five, against
  the same prefixes alone.
- size: a list of 250,000 rows against one of 10.
- cards: 10,000 accounts, each with a card of its own of 20 rows over one list of 60,000 rows, against the list alone.
- memory: what those cards take over the list of 60,000 rows against what they take over one of 10. Were it accounts
  times the list, it would be thousands of times as much.
"""

import argparse
import gc
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.harness import RUNS, Prepare, Run, alternate, report
from cli.world import products
from rates.cards import Card
from rates.compiled.cards import CardTable, compile_card, lineages
from rates.matching import Book, Books
from rates.rating import Ratings, rate
from rates.usage import Texts, UsageColumns

Int64s = NDArray[np.int64]

DIMENSIONS_BOUND, SIZE_BOUND, CARDS_BOUND, MEMORY_BOUND = 1.5, 1.5, 2.0, 1.5
EVENTS, ACCOUNTS, SMALL_ROWS, LIST_ROWS, MANY_ROWS, FEW_ROWS, PRICED_BY_ORIGIN = (
    2_000_000, 10_000, 20, 60_000, 250_000, 10, 12_000,
)  # fmt: skip
ORIGINS = ("30", "33", "34", "39", "49")
KINDS = ("mobile", "local")
PRODUCT = "voice.outbound"
_AT = 1_791_000_000_000_000  # in October 2026
_BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
_STATUS = "/proc/self/status"


def prefixes(rng: np.random.Generator, many: int) -> list[str]:
    """Distinct prefixes of 1 to 9 digits, most of them within shorter ones."""
    found: dict[str, None] = dict.fromkeys(str(digit) for digit in range(1, 10))
    while len(found) < many:
        lengths = rng.integers(2, 10, many)
        numbers = rng.integers(10**8, 10**9, many)
        found |= dict.fromkeys(str(n)[:k] for n, k in zip(numbers.tolist(), lengths.tolist(), strict=True))
    return list(found)[:many]


def card(name: str, **columns: list[str]) -> CardTable:
    """A card of some columns, compiled."""
    many = len(columns["prefixes"])
    usual = {"product": PRODUCT, "unit": "minute", "prices": "0.01", "increments": "60/60"}
    cells = {key: [text] * many for key, text in usual.items()} | columns
    rows = pa.table({"row": pa.array(np.arange(many, dtype=np.int32)), **cells})
    return compile_card(Card(id=name, currency="USD", effective_from=_BEGINS, rows=rows), products())


def plain(name: str, rng: np.random.Generator, many: int) -> CardTable:
    """A list of prefixes."""
    return card(name, prefixes=prefixes(rng, many))


def dimensioned(name: str, rng: np.random.Generator, many: int) -> CardTable:
    """The same destinations with a row for any origin and one for each of five, for each type of number."""
    cells = [(to, origin, kind) for to in prefixes(rng, many) for kind in KINDS for origin in ("", *ORIGINS)]
    to, origin, kind = (list(column) for column in zip(*cells, strict=True))
    return card(name, prefixes=to, origin_prefixes=origin, number_type=kind)


def calls(rng: np.random.Generator, events: int, books: int) -> UsageColumns:
    """Seeded calls; half of them come from one of the five origins."""
    origin = np.array([int(text) for text in (*ORIGINS, "1", "44", "61", "81", "91")], dtype=np.int64)
    return UsageColumns(
        products=(PRODUCT,),
        product=np.zeros(events, dtype=np.int16),
        book=rng.integers(0, books, events).astype(np.int32),
        occurred_at=np.full(events, _AT, dtype=np.int64),
        to=rng.integers(10**11, 10**12, events),
        from_=origin[rng.integers(0, len(origin), events)] * 10**9 + rng.integers(0, 10**9, events),
        measured=rng.integers(1, 600, events),
        texts={"number_type": Texts(rng.integers(1, 3, events).astype(np.int32), ("", *KINDS))},
    )


def book(*cards: CardTable) -> Book:
    """A book of some cards in order."""
    return Book(lineages=tuple(lineages(list(cards)).values()))


def rating(usage: UsageColumns, books: Books) -> Prepare:
    """Rating, ready to run, with what books share already made."""
    run: Run = partial(rated, usage, books)
    run()
    return lambda: run


def rated(usage: UsageColumns, books: Books) -> Ratings:
    """The ratings, of which most must have a price: a benchmark of refusals would say nothing."""
    found = rate(usage, books, products())
    if np.count_nonzero(found.reason) > len(usage) // 2:
        raise SystemExit("most calls match nothing")
    return found


def held_kib() -> int:
    """What this process holds now, KiB."""
    gc.collect()
    with open(_STATUS, encoding="ascii") as status:  # noqa: PTH123 (read once, here)
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the calls, for a quick look")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    usage = calls(rng, int(EVENTS * options.scale), 1)
    spread = calls(rng, int(EVENTS * options.scale), ACCOUNTS)

    one = Books([book(plain("plain", np.random.default_rng(2), PRICED_BY_ORIGIN))])
    several = Books([book(dimensioned("several", np.random.default_rng(2), PRICED_BY_ORIGIN))])
    dimensions = alternate(rating(usage, several), rating(usage, one), options.runs)
    few, many = (Books([book(plain(f"l{rows}", rng, rows))]) for rows in (FEW_ROWS, MANY_ROWS))
    size = alternate(rating(usage, many), rating(usage, few), options.runs)

    shared, short = plain("list", rng, LIST_ROWS), plain("short", rng, FEW_ROWS)
    alone = Books([book(shared)] * ACCOUNTS)
    rated(spread, alone)
    listed = prefixes(rng, LIST_ROWS)
    start = held_kib()
    small = [card(f"a{i}", prefixes=sorted(set(rng.choice(listed, SMALL_ROWS).tolist()))) for i in range(ACCOUNTS)]
    over_short = Books([book(each, short) for each in small])
    rated(spread, over_short)
    of_short = held_kib() - start
    del over_short
    own = Books([book(each, shared) for each in small])
    rated(spread, own)
    of_list = held_kib() - start
    cards = alternate(rating(spread, own), rating(spread, alone), options.runs)
    rows = sum(len(each.terms) for each in small)
    report(
        "match",
        dimensions.ours / dimensions.reference,
        DIMENSIONS_BOUND,
        at_most=True,
        sizes={
            "events": len(usage),
            "prefixes": PRICED_BY_ORIGIN,
            "dimension_rows": PRICED_BY_ORIGIN * len(KINDS) * (1 + len(ORIGINS)),
            "accounts": ACCOUNTS,
            "account_rows": rows,
            "list_rows": LIST_ROWS,
            "account_cards_mb": of_list // 1024,
            "bytes_an_account_row": of_list * 1024 // rows,
        },
        times=dimensions,
        compared="seconds to rate the same calls: rows by destination, origin (any and five) and number type, against"
        " the destinations alone. size: 250,000 rows against 10. cards: 10,000 accounts with 20 rows of their own over"
        " a list of 60,000, against the list alone. memory: what those cards take over the list of"
        " 60,000 rows, against over one of 10",
        further={
            "size": (size.ours / size.reference, SIZE_BOUND),
            "cards": (cards.ours / cards.reference, CARDS_BOUND),
            "memory": (of_list / max(of_short, 1), MEMORY_BOUND),
        },
    )


if __name__ == "__main__":
    main()
