"""Drafts in the store: written by set, replaced where they changed, and what a run came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from billing.drafts import NO_TOTALS_SHA256, Drafts
from billing.invoices import CORRECTION, Kind, Party, State
from billing.periods import Period
from billing.rerating import Stretch
from billing.runs import Outcome, PeriodLockedError, RunReport, Withdrawal
from billing.store.bulk import copy_in
from billing.store.engine import Connection
from rates.numbering import COUNTRIES
from rates.usage import Totals

_PERIOD_LOCKS = 1
"""The class of advisory locks of periods: a run holds its period alone, finalizers hold it together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Drafts that a transaction has locked to issue them, in the order of their payers."""

    payers: Sequence[int]
    ids: Sequence[int]

    def __len__(self) -> int:
        return len(self.ids)

    def without(self, ids: set[int]) -> "Taken":
        """The same without some."""
        kept = [pair for pair in zip(self.payers, self.ids, strict=True) if pair[1] not in ids]
        return Taken(payers=[payer for payer, _ in kept], ids=[each for _, each in kept])

    @property
    def parameters(self) -> dict[str, object]:
        """Both as placeholders of a statement."""
        # As text: psycopg takes longer to write a list of integers than PostgreSQL to use it.
        return {"payers": _array(self.payers), "ids": _array(self.ids)}


def _array(numbers: Sequence[int]) -> str:
    return f"{{{','.join(map(str, numbers))}}}"


class Seen(NamedTuple):
    """What of the usage a run saw: its snapshot as `record_snapshot` gave it, and folds by month and payer."""

    snapshot_id: int
    folds: Mapping[str, Mapping[int, int]]


def lock_period(connection: Connection, period: Period, *, shared: bool) -> bool:
    """Hold a period's invoices until the transaction ends: alone, or together with others who share it.

    False, at once, where somebody holds it so that both cannot be.
    """
    function = "pg_try_advisory_xact_lock_shared" if shared else "pg_try_advisory_xact_lock"
    key = [_PERIOD_LOCKS, (period.start - date(1970, 1, 1)).days]
    found = connection.execute(f"SELECT {function}(%s, %s)", key).fetchone()
    return found is not None and bool(found[0])


def hold_period(connection: Connection, period: Period, *, shared: bool = False) -> None:
    """Hold a period's invoices as `lock_period` does. Raises PeriodLockedError where somebody else does."""
    if not lock_period(connection, period, shared=shared):
        problem = "a run is at work" if shared else "a run or a finalization is at work"
        raise PeriodLockedError(problem, value=str(period), remedy="wait until it has ended, and try again")


def lock_months(connection: Connection, since: datetime, until: datetime) -> date | None:
    """Hold the invoices of all months with some time between two instants alone, until the transaction ends.

    Gives the first day of a month that somebody else holds, if there is one; what is held then is of no use.
    """
    first, last = (each.astimezone(UTC).date().replace(day=1) for each in (since, until - timedelta(microseconds=1)))
    rows = connection.execute(
        "SELECT month::date, pg_try_advisory_xact_lock(%s, month::date - DATE '1970-01-01')"
        " FROM generate_series(%s::timestamp, %s::timestamp, interval '1 month') AS month ORDER BY month",
        [_PERIOD_LOCKS, first, last],
    )
    return next((month for month, held in rows.fetchall() if not held), None)


def withdraw_drafts(connection: Connection, stretches: Sequence[Stretch], why: Withdrawal) -> int:
    """Take away the drafts of months that stretches reach into, and stop their accounts until the next run.

    Drafts of later months that adjust such a month go too. Whoever does it holds the months in reach alone. Gives how
    many drafts they were.
    """
    columns = map(list, zip(*stretches, strict=True))
    rows = connection.execute(_WITHDRAW, [*columns]).fetchall()
    delete_parts(connection, Taken(payers=[payer for payer, *_ in rows], ids=[each for _, each, _ in rows]))
    connection.execute(
        "INSERT INTO draft_stops (payer_id, period_start, outcome, reason)"
        " SELECT *, %s, %s FROM unnest(%s::integer[], %s::date[]) ON CONFLICT DO NOTHING",
        [Outcome.PARKED, why, [payer for payer, *_ in rows], [month for *_, month in rows]],
    )
    return len(rows)


_WITHDRAW = """
DELETE FROM draft_invoices AS draft
USING unnest(%s::integer[], %s::timestamptz[], %s::timestamptz[]) AS stretch (payer_id, since, until)
WHERE draft.payer_id = stretch.payer_id AND (
    period_start >= date_trunc('month', since) AND period_start < until
    OR EXISTS (SELECT FROM draft_adjustments AS about
               WHERE (about.payer_id, about.invoice_id) = (draft.payer_id, draft.invoice_id)
                 AND about.origin_start >= date_trunc('month', since) AND about.origin_start < until)
)
RETURNING draft.payer_id, draft.invoice_id, period_start
"""


def written_batches(connection: Connection) -> str:
    """The batches whose usage a snapshot sees, as a multirange.

    Provably what is billed: a batch writes its usage and its row in one transaction, so a snapshot has both or neither.
    """
    row = connection.execute(
        "SELECT coalesce(range_agg(int8range(batch, batch, '[]')), '{}')::text FROM written_batches"
    ).fetchone()
    return str(row[0]) if row else "{}"


def record_snapshot(connection: Connection, batches: str) -> int:
    """Keep what usage a run saw, for good; gives the number under which its drafts name it."""
    row = connection.execute(
        "INSERT INTO billed_batches (batches) VALUES (%s) RETURNING snapshot_id", [batches]
    ).fetchone()
    return int(row[0]) if row else 0


def delete_drafts(connection: Connection, period: Period, payers: Sequence[int], *, but: Sequence[int] = ()) -> int:
    """Take away the drafts of some payers, with all that hangs on them, but those of some ids; gives how many."""
    if not payers:
        return 0
    found = connection.execute(
        "DELETE FROM draft_invoices WHERE period_start = %s AND payer_id = ANY(%s) AND invoice_id <> ALL(%s)"
        " RETURNING payer_id, invoice_id",
        [period.start, list(payers), list(but)],
    ).fetchall()
    delete_parts(connection, Taken(payers=[payer for payer, _ in found], ids=[each for _, each in found]))
    return len(found)


def payers_with_drafts(connection: Connection, period: Period) -> list[int]:
    """The payers that have a draft of the period."""
    rows = connection.execute(
        "SELECT DISTINCT payer_id FROM draft_invoices WHERE period_start = %s ORDER BY payer_id", [period.start]
    )
    return [payer for (payer,) in rows]


def insert_drafts(
    connection: Connection,
    period: Period,
    drafts: Drafts,
    parties: Mapping[int, Party],
    billed: Totals,
    billed_sha256: Mapping[int, str],
    seen: Seen,
    adjusted: Mapping[str, Totals] | None = None,
) -> None:
    """Add drafts. `billed` are the integers that were priced, summed over the period, of their payers.

    `adjusted` are those of earlier months that they bill anew.
    """
    if not len(drafts.payer):
        return
    payers, folds = drafts.payer.tolist(), seen.folds
    order = np.argsort(drafts.payer, kind="stable")
    ids = np.empty(len(payers), dtype=np.int64)
    ids[order] = _new_ids(connection, len(payers))
    origins = [Period.parse(origin).start if origin else None for _, origin in drafts.slots]
    own = [paper.kind is Kind.USAGE for paper in drafts.papers]
    named = [parties[payer] for payer in payers]
    n = len(payers)
    copy_in(
        connection,
        "draft_invoices",
        {
            "invoice_id": pa.array(ids),
            "total_minor": pa.array(drafts.total_minor),
            "snapshot_id": pa.array(np.full(n, seen.snapshot_id)),
            "folds": pa.array([folds.get(str(period), {}).get(payer, 0) for payer in payers], pa.int64()),
            "payer_id": pa.array(drafts.payer),
            "lines": pa.array(drafts.line_count),
            "period_start": pa.array([period.start] * n, pa.date32()),
            "period_end": pa.array([period.end] * n, pa.date32()),
            "kind": pa.array([paper.kind.value for paper in drafts.papers]),
            "state": pa.array([State.DRAFT.value] * n),
            **_party_columns(named),
            "billed_sha256": pa.array(
                [
                    f"\\x{billed_sha256.get(payer, NO_TOTALS_SHA256) if of_usage else NO_TOTALS_SHA256}"
                    for payer, of_usage in zip(payers, own, strict=True)
                ]
            ),
            "summed_sha256": pa.array([f"\\x{digest}" for digest in drafts.summed_sha256]),
            "sha256": pa.array([f"\\x{digest}" for digest in drafts.sha256]),
            "origin_start": pa.array(origins, pa.date32()),
            "corrects": pa.array([paper.corrects for paper in drafts.papers]),
            "reason": pa.array(["" if of_usage else CORRECTION for of_usage in own]),
        },
    )
    lines = {name: drafts.lines[name].combine_chunks() for name in drafts.lines.column_names}
    lines["cards"] = _array_literals(lines["cards"])
    copy_in(connection, "draft_lines", {"invoice_id": pa.array(np.repeat(ids, drafts.line_count)), **lines})
    invoices = {payer: each for payer, each, of_usage in zip(payers, ids.tolist(), own, strict=True) if of_usage}
    _insert_totals(connection, "draft_billed_totals", billed, invoices)
    _insert_adjustments(connection, drafts, ids.tolist(), adjusted or {}, folds)


def _insert_totals(
    connection: Connection, table: str, totals: Totals, ids: Mapping[int, int], origin: date | None = None
) -> None:
    """Add the totals of the payers that are among `ids`; of an earlier month where there is an `origin`."""
    owners = np.array(sorted(ids), dtype=np.int64)
    some = totals.take(np.flatnonzero(np.isin(totals.payer, owners)))
    if not len(some):
        return
    named = np.array([ids[payer] for payer in owners.tolist()], dtype=np.int64)
    month = {} if origin is None else {"origin_start": pa.array([origin] * len(some), pa.date32())}
    copy_in(
        connection,
        table,
        {
            "invoice_id": pa.array(named[np.searchsorted(owners, some.payer)]),
            "events": pa.array(some.events),
            "quantity": pa.array(some.quantity),
            "payer_id": pa.array(some.payer),
            "account_id": pa.array(some.account),
            "price_id": pa.array(some.price),
            "country": pa.array(COUNTRIES).take(pa.array(some.country)),
            **month,
        },
    )


def _insert_adjustments(
    connection: Connection,
    drafts: Drafts,
    ids: Sequence[int],
    totals: Mapping[str, Totals],
    folds: Mapping[str, Mapping[int, int]],
) -> None:
    """Add which earlier months drafts bill anew, and the integers of these."""
    owners: dict[str, dict[int, int]] = {}
    rows = []
    for payer, each, paper in zip(drafts.payer.tolist(), ids, drafts.papers, strict=True):
        for about in paper.adjusts:
            origin = Period.parse(about.period)
            owners.setdefault(about.period, {})[payer] = each
            digests = (bytes.fromhex(about.billed_sha256), bytes.fromhex(about.summed_sha256))
            saw = folds.get(about.period, {}).get(payer, 0)
            rows.append((each, payer, about.step, saw, origin.start, origin.end, *digests))
    if not rows:
        return
    connection.cursor().executemany(
        "INSERT INTO draft_adjustments (invoice_id, payer_id, step, folds, origin_start, origin_end, billed_sha256,"
        " summed_sha256) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        rows,
    )
    for period, of in owners.items():
        _insert_totals(connection, "draft_adjusted_totals", totals[period], of, Period.parse(period).start)


def record_run(
    connection: Connection,
    report: RunReport,
    stopped: Mapping[str, int],
    snapshot_id: int,
    drawn_by: str,
    *,
    changed: bool,
) -> None:
    """Keep what a run came to. `stopped` are the payers by the names of the accounts that it stopped at.

    `changed`: it drew a draft, or took one away.
    """
    connection.execute(
        "INSERT INTO draft_runs (period_start, period_end, drawn_at, drawn_by, active, billed, zero, parked, failed,"
        " final, late, snapshot_id, changed) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
        " %s OR NOT EXISTS (SELECT FROM draft_runs WHERE period_start = %s))",
        [
            report.period.start,
            report.period.end,
            report.drawn_at,
            drawn_by,
            report.active,
            report.billed,
            report.zero,
            report.parked,
            report.failed,
            report.final,
            len(report.late),
            snapshot_id,
            changed,
            report.period.start,
        ],
    )
    connection.execute("DELETE FROM draft_stops WHERE period_start = %s", [report.period.start])
    _insert_stops(connection, report, stopped)


def _insert_stops(connection: Connection, report: RunReport, numbers: Mapping[str, int]) -> None:
    stops = report.stopped
    if not stops:
        return
    names = ("outcome", "reason", "releasable", "total_minor", "waiting")
    copy_in(
        connection,
        "draft_stops",
        {
            "payer_id": pa.array([numbers[each.account] for each in stops]),
            "period_start": pa.array([report.period.start] * len(stops), pa.date32()),
            **{name: pa.array([getattr(each, name) for each in stops]) for name in names},
            **{
                name: _array_literals(pa.array([[*getattr(each, name)] for each in stops], pa.list_(pa.string())))
                for name in ("mismatches", "causes")
            },
        },
    )


def _new_ids(connection: Connection, n: int) -> list[int]:
    rows = connection.execute("SELECT nextval('invoice_ids') FROM generate_series(1, %s)", [n])
    return sorted(number for (number,) in rows)


def _party_columns(parties: Sequence[Party]) -> dict[str, pa.Array]:
    texts = ("currency", "account", "name", "tax_id", "language", "legal_entity")
    columns = {name: pa.array([getattr(party, name) for party in parties], pa.string()) for name in texts}
    addresses = pa.array([list(party.address) for party in parties], pa.list_(pa.string()))
    return {**columns, "address": _array_literals(addresses)}


def _array_literals(texts: pa.ListArray) -> pa.Array:
    """Lists of texts as COPY reads arrays."""
    values = pc.replace_substring(pc.replace_substring(texts.flatten(), "\\", "\\\\"), '"', '\\"')
    quoted = pc.binary_join_element_wise('"', values, '"', "")
    joined = pc.binary_join(pa.ListArray.from_arrays(texts.offsets, quoted), ",")
    return pc.binary_join_element_wise("{", joined, "}", "")


def delete_parts(connection: Connection, drafts: Taken) -> None:
    """Take away the lines and totals of drafts."""
    for statement in _DELETE_PARTS:
        connection.execute(statement, drafts.parameters)


_DELETE_PARTS = (
    """
    DELETE FROM draft_adjustments AS part USING unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, id)
    WHERE (part.payer_id, part.invoice_id) = (taken.payer_id, taken.id)
    """,
    """
    DELETE FROM draft_adjusted_totals AS part
    USING unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, id)
    WHERE (part.payer_id, part.invoice_id) = (taken.payer_id, taken.id)
    """,
    """
    DELETE FROM draft_lines AS part USING unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, id)
    WHERE (part.payer_id, part.invoice_id) = (taken.payer_id, taken.id)
    """,
    """
    DELETE FROM draft_billed_totals AS part
    USING unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, id)
    WHERE (part.payer_id, part.invoice_id) = (taken.payer_id, taken.id)
    """,
)
