"""Approvals in the store: what a period's drafts are, who drew them, and what was signed of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from psycopg import sql

from billing.approvals import Approval, Signable
from billing.invoices import Slot, State, Step, states_before
from billing.periods import Period
from billing.store.drafts import Taken
from billing.store.engine import Connection
from rates.money import Currency


def signable_drafts(connection: Connection, period: Period) -> dict[Slot, Signable]:
    """All drafts of a period, each with the digest of its inputs as they are now."""
    drafts = connection.execute(
        "SELECT payer_id, coalesce(to_char(origin_start, 'YYYY-MM'), ''), invoice_id, account, encode(sha256, 'hex')"
        " FROM draft_invoices WHERE period_start = %s ORDER BY payer_id, origin_start NULLS FIRST",
        [period.start],
    ).fetchall()
    inputs = inputs_digests(connection, period, sorted({payer for payer, *_ in drafts}))
    return {
        (payer, origin): Signable(
            payer=payer, origin=origin, invoice_id=each, account=name, sha256=digest, inputs_sha256=inputs[payer]
        )
        for payer, origin, each, name, digest in drafts
    }


def inputs_digests(connection: Connection, period: Period, payers: Sequence[int]) -> dict[int, str]:
    """The digests of the contracts and card versions that are in force for some payers within a period."""
    values = {"payers": list(payers), "start": period.start, "end": period.end}
    return dict(connection.execute(_INPUTS, values).fetchall())


def drawn_by(connection: Connection, period: Period) -> tuple[str, ...]:
    """Whoever drew a period's drafts, or took one away last; a run that changed nothing has drawn nothing."""
    rows = connection.execute(
        "SELECT DISTINCT drawn_by FROM draft_runs WHERE period_start = %(start)s AND ("
        " snapshot_id IN (SELECT snapshot_id FROM draft_invoices WHERE period_start = %(start)s)"
        " OR run_id = (SELECT max(run_id) FROM draft_runs WHERE period_start = %(start)s AND changed)) ORDER BY 1",
        {"start": period.start},
    )
    return tuple(name for (name,) in rows)


def draft_totals(connection: Connection, drafts: Taken) -> dict[Currency, int]:
    """The sums of drafts by currency."""
    rows = connection.execute(
        "SELECT currency, sum(total_minor) FROM draft_invoices"
        " JOIN unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id)"
        " USING (payer_id, invoice_id) GROUP BY currency ORDER BY currency",
        drafts.parameters,
    )
    return {Currency(code): int(total) for code, total in rows}


def newest_approval(connection: Connection, period: Period) -> Approval | None:
    """The approval of a period that holds."""
    row = connection.execute(
        "SELECT approval_id, at, approver, drawn_by, drafts, encode(sha256, 'hex') FROM approvals"
        " WHERE period_start = %s ORDER BY approval_id DESC LIMIT 1",
        [period.start],
    ).fetchone()
    if row is None:
        return None
    number, at, approver, drew, drafts, digest = row
    return Approval(approval_id=number, at=at, approver=approver, drawn_by=tuple(drew), drafts=drafts, sha256=digest)


def signed_drafts(connection: Connection, approval: Approval) -> dict[Slot, Signable]:
    """What an approval signed."""
    rows = connection.execute(
        "SELECT payer_id, coalesce(to_char(origin_start, 'YYYY-MM'), ''), invoice_id, account,"
        " encode(sha256, 'hex'), encode(inputs_sha256, 'hex')"
        " FROM approved_drafts WHERE approval_id = %s",
        [approval.approval_id],
    )
    names = ("payer", "origin", "invoice_id", "account", "sha256", "inputs_sha256")
    return {row[:2]: Signable(**dict(zip(names, row, strict=True))) for row in rows}


def insert_approval(
    connection: Connection,
    period: Period,
    drafts: Mapping[Slot, Signable],
    digest: str,
    *,
    at: datetime,
    approver: str,
    drew: Sequence[str],
) -> None:
    """Keep an approval with all that it signs, and move its drafts on."""
    row = connection.execute(
        "INSERT INTO approvals (period_start, at, approver, drawn_by, drafts, sha256)"
        " VALUES (%s, %s, %s, %s, %s, decode(%s, 'hex')) RETURNING approval_id",
        [period.start, at, approver, list(drew), len(drafts), digest],
    ).fetchone()
    signed = list(drafts.values())
    connection.execute(
        "INSERT INTO approved_drafts (approval_id, payer_id, invoice_id, account, sha256, inputs_sha256, origin_start)"
        " SELECT %s, payer, invoice, account, decode(digest, 'hex'), decode(inputs, 'hex'), origin"
        " FROM unnest(%s::integer[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::date[])"
        " AS signed (payer, invoice, account, digest, inputs, origin)",
        [
            row[0] if row else None,
            [each.payer for each in signed],
            [each.invoice_id for each in signed],
            [each.account for each in signed],
            [each.sha256 for each in signed],
            [each.inputs_sha256 for each in signed],
            [Period.parse(each.origin).start if each.origin else None for each in signed],
        ],
    )
    connection.execute(
        "UPDATE draft_invoices SET state = %s WHERE period_start = %s AND state = ANY(%s) AND invoice_id = ANY(%s)",
        [State.APPROVED, period.start, list(states_before(Step.APPROVE)), [each.invoice_id for each in signed]],
    )


def unsigned_among(connection: Connection, period: Period, approval: Approval, drafts: Taken) -> set[int]:
    """The ids of those of some drafts that are not what an approval signed."""
    rows = connection.execute(
        "SELECT invoice_id, payer_id, encode(signed.inputs_sha256, 'hex')"
        " FROM unnest(%(payers)s::integer[], %(ids)s::bigint[]) AS taken(payer_id, invoice_id)"
        " JOIN draft_invoices AS draft USING (payer_id, invoice_id) JOIN approved_drafts AS signed"
        " USING (payer_id, invoice_id) WHERE approval_id = %(approval)s AND signed.sha256 = draft.sha256",
        {**drafts.parameters, "approval": approval.approval_id},
    ).fetchall()
    inputs = inputs_digests(connection, period, [payer for _, payer, _ in rows])
    return {*drafts.ids} - {each for each, payer, digest in rows if inputs[payer] == digest}


def issued_documents(connection: Connection, period: Period) -> frozenset[Slot]:
    """The invoices and credit notes of a period that are issued."""
    rows = connection.execute(
        "SELECT payer_id, coalesce(to_char(origin_start, 'YYYY-MM'), '') FROM invoices WHERE period_start = %s",
        [period.start],
    )
    return frozenset(rows.fetchall())


_INPUTS = sql.SQL("""
WITH asked AS (
    SELECT payer_id FROM unnest(%(payers)s::integer[]) AS asked (payer_id)
), followed AS (
    SELECT account_id AS payer_id, effective_from, cards, terms,
           lead(effective_from) OVER (PARTITION BY account_id ORDER BY effective_from) AS next
    FROM contracts JOIN asked ON account_id = payer_id
), covering AS (
    SELECT * FROM followed WHERE effective_from < %(end)s AND (next IS NULL OR next > %(start)s)
), versions AS (
    SELECT card_id, hash, effective_from,
           lead(effective_from) OVER (PARTITION BY card_id ORDER BY effective_from) AS next
    FROM standing_versions
), said AS (
    SELECT payer_id, 'contract ' || to_char(effective_from, 'YYYY-MM-DD') || ' ' || to_json(cards)::text
                     || CASE terms WHEN '{}' THEN '' ELSE ' ' || terms::text END AS text
    FROM covering
    UNION
    SELECT payer_id, 'card ' || to_json(card_id)::text || ' ' || encode(hash, 'hex')
    FROM covering CROSS JOIN LATERAL unnest(cards) AS named (card_id) JOIN versions USING (card_id)
    WHERE versions.effective_from < %(end)s::timestamp AT TIME ZONE 'UTC'
      AND (versions.next IS NULL OR versions.next > %(start)s::timestamp AT TIME ZONE 'UTC')
)
SELECT payer_id, encode(sha256(convert_to(coalesce(string_agg(text, E'\\n' ORDER BY text COLLATE "C"), ''), 'UTF8')),
                        'hex')
FROM asked LEFT JOIN said USING (payer_id) GROUP BY payer_id
""")
