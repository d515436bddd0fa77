"""Safety bounds in the store: what accounts were billed before, what of them waits, and who released what."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from billing.bounds import UNPRICED, Past, Release
from billing.invoices import Kind
from billing.periods import Period
from billing.reselling import PREFIX
from billing.store.engine import Connection
from rates.money import Currency
from rates.rating import CODES


class Stop(NamedTuple):
    """An account that the newest run stopped at; `releasable` if a person may let it go on."""

    payer: int
    reason: str
    releasable: bool
    total_minor: int
    waiting: int
    mismatches: list[str]
    causes: list[str]

    @property
    def release(self) -> Release:
        """What releasing it covers."""
        return Release.of(self.causes, self.total_minor, self.waiting, self.mismatches)


def past_invoices(connection: Connection, period: Period, months: int) -> dict[tuple[int, Currency], Past]:
    """The last final invoices before a period, by payer and currency; at most `months` of each."""
    rows = connection.execute(
        """
        WITH numbered AS (
            SELECT payer_id, currency, total_minor, period_end,
                   row_number() OVER (PARTITION BY payer_id, currency ORDER BY period_start DESC) AS n
            FROM invoices WHERE period_start < %s AND kind = %s
        )
        SELECT payer_id, currency, array_agg(total_minor ORDER BY n), max(period_end) FROM numbered WHERE n <= %s
        GROUP BY payer_id, currency
        """,
        [period.start, Kind.USAGE, months],
    )
    return {(payer, Currency(code)): Past(totals_minor=tuple(totals), ended=end) for payer, code, totals, end in rows}


def waiting_by_account(connection: Connection, period: Period) -> dict[tuple[str, bool], int]:
    """How many events of a period wait for a price (`UNPRICED`), by the account that they name, and whether it is one
    on the reseller's card.
    """
    rows = connection.execute(
        "SELECT account, starts_with(sources.id, %s), count(*) FROM quarantine JOIN sources USING (source_id)"
        " WHERE occurred_at >= %s AND occurred_at < %s AND reason = ANY(%s) GROUP BY 1, 2",
        [PREFIX, period.opens, period.closes, sorted(CODES[reason] for reason in UNPRICED)],
    )
    return {(account, resold): events for account, resold, events in rows}


def releases(connection: Connection, period: Period) -> dict[int, Release]:
    """What is released of each payer in a period: of every cause the newest release that was given for it."""
    rows = connection.execute(
        "SELECT payer_id, causes, total_minor, waiting, mismatches FROM bound_releases"
        " WHERE period_start = %s ORDER BY payer_id, release_id",
        [period.start],
    )
    found: dict[int, Release] = {}
    for payer, *seen in rows:
        found[payer] = Release.of(*seen).after(found.get(payer))
    return found


def stop_of(connection: Connection, period: Period, account: str) -> Stop | None:
    """What the newest run of a period says of an account that it stopped at."""
    row = connection.execute(
        "SELECT payer_id, reason, releasable, total_minor, waiting, mismatches, causes FROM draft_stops"
        " JOIN accounts ON account_id = payer_id WHERE period_start = %s AND id = %s",
        [period.start, account],
    ).fetchone()
    return None if row is None else Stop(*row)


def insert_release(connection: Connection, period: Period, stop: Stop, facts: Mapping[str, str], at: datetime) -> None:
    """Keep a release for good. `facts` are the `person` and the `reason`."""
    connection.execute(
        "INSERT INTO bound_releases (period_start, payer_id, at, person, reason, held, total_minor, waiting,"
        " mismatches, causes) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            *(period.start, stop.payer, at, facts["person"], facts["reason"]),
            *(stop.reason, stop.total_minor, stop.waiting, stop.mismatches, stop.causes),
        ],
    )
