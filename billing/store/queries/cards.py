"""Published cards, for people: which there are, and one of them whole."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from billing.store.engine import Connection
from billing.store.ratebooks import CardVersion, read_card, read_card_versions
from rates.cards import Card, identity
from rates.filling import Kind
from rates.products import Product
from rates.reading import parse_instant


class ListedCard(NamedTuple):
    """A published version of a card in short. `effective_to` is what it says itself, `in_force_until` what came of it.

    A later version supersedes it from its own beginning on.
    """

    id: str
    currency: str
    effective_from: datetime
    effective_to: datetime | None
    in_force_until: datetime | None
    rates: int
    prices: int
    published_at: datetime
    published_by: str
    sha256: str


def published_cards(
    connection: Connection, *, card_id: str = "", after: tuple[str, str] = ("", ""), limit: int | None = None
) -> list[ListedCard]:
    """All published versions, by card and beginning, or those of one card; at most `limit` that follow a place.

    A place is a card's id and a beginning, `2026-10-01T00:00:00.000000`.
    """
    facts = {"card": card_id, "after": after[0], "at": after[1], "limit": limit}
    return [ListedCard(*row) for row in connection.execute(_LISTED, facts)]


def named_card(connection: Connection, name: str, at: datetime, products: Mapping[str, Product]) -> Card | None:
    """A card by its id, as it is in force at an instant, or by `id@instant` that version; None if there is none."""
    card_id, version, begins = name.partition("@")
    if not version:
        return published_card(connection, card_id, at, products)
    try:
        moment = parse_instant(begins)
    except ValueError:
        return None
    found = [each for each in read_card_versions(connection, card_id) if each.effective_from == moment]
    return read_card(connection, found[0], products) if found else None


def published_card(connection: Connection, card_id: str, at: datetime, products: Mapping[str, Product]) -> Card | None:
    """The version of a card that is in force at an instant, with its rows; None if there is none."""
    begun = [version for version in read_card_versions(connection, card_id) if version.effective_from <= at]
    latest = max(begun, key=_beginning, default=None)
    if latest is None or (latest.effective_to is not None and latest.effective_to <= at):
        return None
    return read_card(connection, latest, products)


def card_before(connection: Connection, card: Card, products: Mapping[str, Product]) -> Card | None:
    """The published version that a card would follow, else the one it would replace, with its rows.

    None for a first one and one published already.
    """
    versions = [each for each in read_card_versions(connection, card.id) if each.currency == card.currency]
    earlier = [each for each in versions if each.effective_from < card.effective_from]
    earlier = earlier or [each for each in versions if each.effective_from == card.effective_from]
    if not earlier or identity(card) in {version.hash for version in versions}:
        return None
    return read_card(connection, max(earlier, key=_beginning), products)


def priced_kinds(connection: Connection, versions: Sequence[int]) -> dict[int, frozenset[Kind]]:
    """The kinds of usage that card versions have rates for, by their numbers; see `rates.filling`."""
    rows = connection.execute(
        "SELECT DISTINCT card_version_id, product, coalesce(country, ''), coalesce(number_type, '') FROM rates"
        " WHERE card_version_id = ANY(%s) AND coalesce(element, 'usage') = 'usage' AND blocked IS NULL"
        " AND unit <> 'money'",
        [list(versions)],
    ).fetchall()
    found: dict[int, set[Kind]] = {}
    for version, *kind in rows:
        found.setdefault(version, set()).add(Kind(*kind))
    return {version: frozenset(kinds) for version, kinds in found.items()}


def _beginning(version: CardVersion) -> datetime:
    return version.effective_from


_LISTED = """
SELECT * FROM (
    SELECT card_id, currency, effective_from, effective_to,
        least(effective_to, lead(effective_from) OVER (PARTITION BY card_id ORDER BY effective_from)),
        rates, prices, published_at, published_by, encode(hash, 'hex')
    FROM standing_versions WHERE %(card)s = '' OR card_id = %(card)s
) AS version
WHERE (card_id, to_char(effective_from, 'YYYY-MM-DD"T"HH24:MI:SS.US') COLLATE "C") > (%(after)s, %(at)s)
ORDER BY card_id, effective_from LIMIT %(limit)s
"""
