"""Drafts as columns: from priced lines and totals to the rows of a run, with the digest that is signed for each.

All of it is per run and column; nothing but the final digest is per invoice. `invoices.content` is the same canonical
form for one invoice, and says what is in it.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import compress, pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from billing.adjustments import AddedLine, Joined, joined
from billing.invoices import Adjusted, Kind, Party, Slot, content_head, json_text
from rates.errors import TollbookError
from rates.lines import LineKey, PricedLines
from rates.money import format_fraction, round_ratio
from rates.numbering import COUNTRIES
from rates.ratios import Ratios
from rates.usage import TOTALS, Totals

Int64s = NDArray[np.int64]

UNIT_PRICE_DECIMALS = 12
"""Decimals of the column of unit prices; a price that has more is kept beside it as exact text."""

_INT64_MAX = (1 << 63) - 1
_EMPTY = pa.scalar("", pa.large_string())


class AmountOverflowError(TollbookError):
    """Amounts or quantities of one account add up to more than 64 bits."""


class Paper(NamedTuple):
    """What sort of document a draft is; which months it adjusts, and of a credit note the number of its invoice."""

    kind: Kind = Kind.USAGE
    adjusts: tuple[Adjusted, ...] = ()
    corrects: str = ""


USAGE_ONLY = Paper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """Drafts of invoices, or of credit notes, one for each payer that has lines.

    `payer`, `total_minor` and `line_count` are int64[n]; `sha256[i]` is the digest of the i-th content in hexadecimal,
    and `summed_sha256[i]` that of its totals; `papers` says of each what sort of document it is.
    `lines` has a row for each line, in the order of payer and line number, and the columns of `line_rows`.
    """

    payer: Int64s
    total_minor: Int64s
    line_count: Int64s
    summed_sha256: Sequence[str]
    sha256: Sequence[str]
    papers: Sequence["Paper"]
    lines: pa.Table

    @property
    def slots(self) -> list[Slot]:
        """Which document each is."""
        return [
            (payer, paper.adjusts[0].period if paper.kind is Kind.CREDIT_NOTE else "")
            for payer, paper in zip(self.payer.tolist(), self.papers, strict=True)
        ]

    def take(self, wanted: NDArray[np.bool_]) -> "Drafts":
        """Some of the drafts, bool[n]."""
        return Drafts(
            payer=self.payer[wanted],
            total_minor=self.total_minor[wanted],
            line_count=self.line_count[wanted],
            summed_sha256=[*compress(self.summed_sha256, wanted.tolist())],
            sha256=[*compress(self.sha256, wanted.tolist())],
            papers=[*compress(self.papers, wanted.tolist())],
            lines=self.lines.filter(pa.array(np.repeat(wanted, self.line_count))),
        )


def together(drafts: Sequence[Drafts]) -> Drafts:
    """The drafts of several groups of payers as one, each payer's lines still together."""
    return Drafts(
        payer=np.concatenate([each.payer for each in drafts]),
        total_minor=np.concatenate([each.total_minor for each in drafts]),
        line_count=np.concatenate([each.line_count for each in drafts]),
        summed_sha256=[digest for each in drafts for digest in each.summed_sha256],
        sha256=[digest for each in drafts for digest in each.sha256],
        papers=[paper for each in drafts for paper in each.papers],
        lines=pa.concat_tables([each.lines for each in drafts]),
    )


def merged(totals: Totals) -> Totals:
    """The totals with one row for each (payer, account, price, day, country), in that order, as a store reads them."""
    keys = (totals.country, totals.day, totals.price, totals.account, totals.payer)
    return totals if _ascending(keys) else _summed(totals, keys)


def billed_totals(totals: Totals) -> Totals:
    """The totals summed over the days of each (payer, account, price, country), in that order; `day` says nothing."""
    return _summed(totals, (totals.country, totals.price, totals.account, totals.payer))


def totals_sha256(totals: Totals) -> dict[int, str]:
    """The digest of each payer's merged daily totals: equal if and only if the integers are."""
    columns = (totals.account, totals.price, totals.day, totals.country, totals.events, totals.quantity)
    rows = memoryview(np.stack([column.astype(">i8") for column in columns], axis=1).tobytes())
    width = 8 * len(columns)
    bounds = np.append(np.flatnonzero(_changes([totals.payer])), len(totals)).tolist()
    return {
        payer: hashlib.sha256(rows[start * width : end * width]).hexdigest()
        for payer, start, end in zip(totals.payer[bounds[:-1]].tolist(), bounds[:-1], bounds[1:], strict=True)
    }


def summed_sha256(billed: Totals) -> dict[int, str]:
    """The digest of each payer's totals of a period as they are stored, in the order of `billed_totals`.

    Of each row the account, price, country, events and quantity: commas between them, a semicolon between rows.
    """
    countries = pa.array([json_text(country) for country in COUNTRIES], pa.large_string())
    columns = (
        _texts(billed.account),
        _texts(billed.price.astype(np.int64)),
        countries.take(pa.array(billed.country)),
        _texts(billed.events),
        pc.binary_join_element_wise(_texts(billed.quantity), pa.scalar(";", pa.large_string()), _EMPTY),
    )
    rows = pc.binary_join_element_wise(*columns, pa.scalar(",", pa.large_string()))
    first = np.flatnonzero(_changes([billed.payer]))
    bodies = zip(billed.payer[first].tolist(), _bodies(rows, first), strict=True)
    return {payer: hashlib.sha256(body).hexdigest() for payer, body in bodies}


NO_TOTALS_SHA256 = hashlib.sha256(b"").hexdigest()
"""The digest of no totals at all, as of a payer that owes a flat fee only."""


def draw(
    priced: PricedLines,
    parties: Mapping[int, Party],
    billed_sha256: Mapping[int, str],
    summed: Mapping[int, str],
    *,
    period: str,
    added: Sequence[AddedLine] = (),
    papers: Mapping[int, Paper] | None = None,
) -> Drafts:
    """The drafts of the payers that have lines, of the period or `added` ones of earlier months. `parties` names each.

    `billed_sha256` is as of `totals_sha256`, and `summed` as of `summed_sha256`; who is not in `papers` has an invoice
    that adjusts nothing.
    """
    among = joined(priced, period, added)
    priced = among.lines
    first = np.flatnonzero(_changes([priced.payer]))
    counts = np.diff(np.append(first, len(priced.payer)))
    payers = priced.payer[first]
    totals = _sums(priced.amount_minor, first, "amounts")
    residuals = _fractions(priced.residuals)
    bodies = _bodies(_line_contents(among, residuals), first)
    said = [(papers or {}).get(payer, USAGE_ONLY) for payer in payers.tolist()]
    digests, behind = [], [summed.get(payer, NO_TOTALS_SHA256) for payer in payers.tolist()]
    for payer, total, body, sums, paper in zip(payers.tolist(), totals.tolist(), bodies, behind, said, strict=True):
        billed = billed_sha256.get(payer, NO_TOTALS_SHA256)
        head = content_head(parties[payer], period, total, billed, sums, *paper)
        digests.append(hashlib.sha256(b"".join((head.encode(), body, b"]}"))).hexdigest())
    numbers = np.arange(len(priced.payer)) - np.repeat(first, counts) + 1
    return Drafts(
        payer=payers,
        total_minor=totals,
        line_count=counts,
        summed_sha256=behind,
        sha256=digests,
        papers=said,
        lines=_line_rows(among, residuals).add_column(0, "line_no", pa.array(numbers, pa.int32())),
    )


def _bodies(contents: pa.LargeStringArray, first: Int64s) -> Iterator[memoryview]:
    """Each payer's rows as they stand in what is digested: slices of one buffer, without what separates the last."""
    offsets = np.frombuffer(contents.buffers()[1], dtype=np.int64, count=len(contents) + 1)
    joined = memoryview(contents.buffers()[2] or b"")
    bounds = offsets[np.append(first, len(contents))].tolist()
    return (joined[start : end - 1] for start, end in pairwise(bounds))


def _line_contents(among: Joined, residuals: pa.Array) -> pa.LargeStringArray:
    """The canonical form of every line and a comma; what lines of one key share is rendered once."""
    priced = among.lines
    starts = pa.array([_key_content(key) for key in priced.keys], pa.large_string())
    cards, codes = _distinct(priced.cards)
    months = pa.array([f',"origin_period":{json_text(period)}' for period in among.origins], pa.large_string())
    shared = pa.array([f',"cards":{json_text(names)}' for names in cards], pa.large_string())
    pieces = (
        starts.take(pa.array(priced.key)),
        months.take(pa.array(among.origin)),
        shared.take(codes),
        pa.scalar(',"events":"', pa.large_string()),
        _texts(priced.events),
        pa.scalar('","base_quantity":"', pa.large_string()),
        _texts(priced.base_quantity),
        pa.scalar('","amount_minor":"', pa.large_string()),
        _texts(priced.amount_minor),
        pa.scalar('","residual":"', pa.large_string()),
        residuals.cast(pa.large_string()),
        pa.scalar('"},', pa.large_string()),
    )
    return pc.binary_join_element_wise(*pieces, _EMPTY)


def _key_content(key: LineKey) -> str:
    shared = {
        "product": key.product,
        "element": key.element,
        "country": key.country,
        "destination": key.destination,
        "tier": key.tier,
        "unit": key.unit,
        "unit_size": str(key.unit_size),
        "unit_price": format_fraction(key.unit_price),
        "base_unit": key.base,
    }
    return json_text(shared)[:-1]


def _line_rows(among: Joined, residuals: pa.Array) -> pa.Table:
    priced = among.lines
    cards, codes = _distinct(priced.cards)
    key = pa.array(priced.key)
    prices = [stored_price(about.unit_price) for about in priced.keys]

    def by_key(values: Sequence[str | int | None], kind: pa.DataType) -> pa.Array:
        return pa.array(values, kind).take(key)

    return pa.table(
        {
            "payer_id": pa.array(priced.payer),
            "product": by_key([about.product for about in priced.keys], pa.string()),
            "element": by_key([about.element for about in priced.keys], pa.string()),
            "country": by_key([about.country for about in priced.keys], pa.string()),
            "destination": by_key([about.destination for about in priced.keys], pa.string()),
            "tier": by_key([about.tier for about in priced.keys], pa.string()),
            "unit": by_key([about.unit for about in priced.keys], pa.string()),
            "unit_size": by_key([about.unit_size for about in priced.keys], pa.int64()),
            "base_unit": by_key([about.base for about in priced.keys], pa.string()),
            "unit_price": by_key([rounded for rounded, _ in prices], pa.string()),
            "unit_price_exact": by_key([exact for _, exact in prices], pa.string()),
            "events": pa.array(priced.events),
            "base_quantity": pa.array(priced.base_quantity),
            "amount_minor": pa.array(priced.amount_minor),
            "residual": residuals,
            "origin_period": pa.array(among.origins, pa.string()).take(pa.array(among.origin)),
            "cards": pa.array([list(names) for names in cards], pa.list_(pa.string())).take(codes),
        }
    )


def stored_price(price: Fraction) -> tuple[str, str | None]:
    """A unit price as the decimal that is stored, and its exact text where the decimal is not exact."""
    scale = 10**UNIT_PRICE_DECIMALS
    rounded = Fraction(round_ratio(price.numerator * scale, price.denominator), scale)
    return format_fraction(rounded), None if rounded == price else format_fraction(price)


def _distinct(cards: Sequence[tuple[str, ...]]) -> tuple[list[tuple[str, ...]], pa.Array]:
    codes: dict[tuple[str, ...], int] = {}
    column = pa.array([codes.setdefault(names, len(codes)) for names in cards], pa.int32())
    return list(codes), column


def _fractions(ratios: Ratios) -> pa.Array:
    """Fractions in lowest terms as text: `-1/300`, and a whole number without a denominator."""
    lowest = ratios.lowest()
    above, below = (_integer_texts(column) for column in (lowest.numerator, lowest.denominator))
    whole = pa.array(lowest.denominator == 1)
    return pc.if_else(whole, above, pc.binary_join_element_wise(above, below, "/"))


def _integer_texts(column: NDArray[Any]) -> pa.Array:
    """Integers as text, also those that 64 bits do not hold."""
    return pa.array(map(str, column.tolist())) if column.dtype == object else pa.array(column).cast(pa.string())


def _texts(column: Int64s) -> pa.Array:
    return pa.array(column).cast(pa.large_string())


def _ascending(keys: tuple[NDArray[Any], ...]) -> bool:
    """Whether rows are strictly ascending by keys, the last key first, as of `lexsort`."""
    equal = np.ones(max(len(keys[0]) - 1, 0), dtype=bool)
    below = np.zeros_like(equal)
    for key in reversed(keys):
        below |= equal & (key[:-1] < key[1:])
        equal &= key[:-1] == key[1:]
    return bool(below.all())


def _changes(columns: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """The rows at which any of the columns changes; the first row is one."""
    changes = np.zeros(len(columns[0]), dtype=bool)
    changes[:1] = True
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return changes


def _summed(totals: Totals, keys: tuple[NDArray[Any], ...]) -> Totals:
    """One row for each combination of keys (the last one leads), its events and quantity added up."""
    order = np.lexsort(keys)
    rows = totals.take(order)
    first = np.flatnonzero(_changes([key[order] for key in keys]))
    if not len(first):
        return rows
    sums = {name: _sums(getattr(rows, name), first, name) for name in ("events", "quantity")}
    return Totals(**{name: sums.get(name, getattr(rows, name)[first]) for name in TOTALS})


def _sums(column: Int64s, first: Int64s, what: str) -> Int64s:
    """The sums of runs that begin at `first`. Raises AmountOverflowError where one leaves 64 bits."""
    if not len(first):
        return column[:0]
    longest = int(np.diff(np.append(first, len(column))).max())
    if max(int(column.max()), -int(column.min())) * longest > _INT64_MAX:
        # Could be, not must be: the largest value and the most rows may be of two accounts.
        exact = np.add.reduceat(column.astype(object), first)
        if max(map(abs, exact)) > _INT64_MAX:
            raise AmountOverflowError(
                f"the sum of the {what} of one account leaves 64 bits",
                place="drafts",
                remedy="look for usage that is absurd, or have its card round each event to fewer decimals",
            )
    sums: Int64s = np.add.reduceat(column, first)
    return sums
