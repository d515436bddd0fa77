"""Stored usage that one card rated, as it was reported: what a comparison of margins reads."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from billing.columns import encoded
from billing.periods import Period
from billing.store.bulk import Table, copy_out
from billing.store.engine import Connection
from billing.store.ratebooks import read_card, read_card_versions
from rates.cards import Card
from rates.products import Product
from rates.usage import Texts, UsageColumns

_NUMBERS = ("occurred", "to", "from", "measured")
_TEXTS = (
    "stated_country", "to_address", "from_address", "mcc", "mnc", "number_type", "region", "jurisdiction", "package",
    "status", "error_code",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedCalls:
    """Events of one day and product that a card rated, and their names: n rows."""

    usage: UsageColumns
    product: str
    source: Table
    id: Table
    account: Table


def published_versions(connection: Connection, card_id: str, products: Mapping[str, Product]) -> list[Card]:
    """All published versions of a card with their rows, by their beginning."""
    versions = sorted(read_card_versions(connection, card_id), key=lambda version: version.effective_from)
    return [read_card(connection, version, products) for version in versions]


def rated_calls(connection: Connection, card_id: str, period: Period, account: str = "") -> Iterator[RatedCalls]:
    """The priced events of a period whose usage a card rated, day by day; of one account, those it has or pays."""
    for day in range(period.days):
        opens = period.opens + timedelta(days=day)
        rows = _read(connection, card_id, opens, account)
        for product in sorted(set(rows["product"].to_pylist())):
            yield _calls(rows.filter(pc.equal(rows["product"], product)), product)


def _read(connection: Connection, card_id: str, opens: datetime, account: str) -> Table:
    types = {name: pa.int64() for name in _NUMBERS} | dict.fromkeys(
        (*_TEXTS, "attributes", "product", "source", "id", "account"), pa.string()
    )
    values = [card_id, opens.astimezone(UTC), (opens + timedelta(days=1)).astimezone(UTC), account, account, account]
    return copy_out(connection, sql.SQL(_CALLS), types, values)


def _calls(rows: Table, product: str) -> RatedCalls:
    numbers = {name: pc.fill_null(rows[name].combine_chunks(), 0).to_numpy(zero_copy_only=False) for name in _NUMBERS}
    texts = {name: encoded(pc.fill_null(rows[name].combine_chunks(), "")) for name in _TEXTS}
    texts["country"] = texts.pop("stated_country")
    texts |= _declared(encoded(pc.fill_null(rows["attributes"].combine_chunks(), "")))
    usage = UsageColumns(
        products=(product,),
        product=np.zeros(len(rows), dtype=np.int16),
        book=np.zeros(len(rows), dtype=np.int32),
        occurred_at=numbers["occurred"],
        to=numbers["to"],
        from_=numbers["from"],
        measured=numbers["measured"],
        texts=texts,
    )
    return RatedCalls(usage=usage, product=product, source=rows["source"], id=rows["id"], account=rows["account"])


def _declared(attributes: Texts) -> dict[str, Texts]:
    found = [json.loads(text) if text else {} for text in attributes.values]
    columns = {}
    for name in sorted({name for each in found for name in each}):
        values = encoded(pa.array([str(each.get(name, "")) for each in found], pa.string()))
        columns[name] = Texts(values.codes[attributes.codes], values.values)
    return columns


_CALLS = """
    SELECT (extract(epoch FROM occurred_at) * 1000000)::bigint, coalesce(rated_to_e164, to_e164), from_e164, measured,
           stated_country, to_address, from_address, mcc, mnc, number_type, region, jurisdiction, package, status,
           error_code, attributes, products.id, sources.id, event.id, accounts.id
    FROM events AS event
    JOIN card_versions ON rate_id >= rate_base AND rate_id < rate_base + rates AND card_id = %s
    JOIN sources USING (source_id) JOIN products USING (product_id) JOIN accounts USING (account_id)
    WHERE occurred_at >= %s AND occurred_at < %s AND reason = 0
      AND (%s = '' OR accounts.id = %s
           OR payer_id = (SELECT payer.account_id FROM accounts AS payer WHERE payer.id = %s))
"""
