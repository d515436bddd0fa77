"""Whether cards, contracts and accounts fit together in what they count, before one of them is published."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from billing.accounts import Account
from billing.contracts import Contract, Counting, counted_together, counter_faults
from billing.errors import InputFaultyError
from billing.prepaid import prepaid_faults
from billing.store.accounts import Accounts, read_accounts
from billing.store.engine import Connection
from billing.store.queries.cards import priced_kinds
from billing.store.queries.pricing import head_of
from billing.store.ratebooks import CardVersion, read_card_versions
from rates.cardfile import schedules_of
from rates.cards import Card, instant
from rates.errors import Fault
from rates.filling import Filled, filled_of, unfilled
from rates.products import Product
from rates.terms import card_terms, day_faults


def check_card(
    connection: Connection, card: Card, versions: Sequence[CardVersion], products: Mapping[str, Product]
) -> None:
    """Raise InputFaultyError where a card does not fit its versions, or the cards beside it in contracts."""
    before = [card_terms(head_of(version, products)) for version in versions]
    known = day_faults(before)
    if faults := [fault for fault in day_faults([*before, card_terms(card)]) if fault not in known]:
        raise InputFaultyError(faults, place=f"card {card.version}")
    if not card.schedules:
        return
    stored = read_accounts(connection)
    contracts = [each for own in stored.contracts.values() for each in own if card.id in each.cards]
    groups = {group for own in stored.contracts.values() for group in counted_together(own) if card.id in group}
    every = read_card_versions(connection)
    others = [each for each in every if each.card_id != card.id or each in versions]
    counting = _counting(others)
    counting.setdefault(card.id, []).append((card.version, card.schedules))
    faults = [
        *counter_faults([(card.id,), *groups], counting),
        *prepaid_faults(contracts, stored.accounts, {card.id: [(card.version, card.schedules)]}),
        *_unfilled(connection, groups, counting, others, card),
    ]
    if faults:
        raise InputFaultyError(faults, place=f"card {card.version}")


def agreement_faults(
    connection: Connection, contracts: Sequence[Contract], stored: Accounts, cards: Sequence[CardVersion]
) -> list[Fault]:
    """Where the cards of contracts to be added do not count alike, or count what none of them prices."""
    after: dict[str, list[Contract]] = {}
    for contract in contracts:
        after.setdefault(contract.account, [*stored.contracts.get(contract.account, ())]).append(contract)
    groups = set().union(*map(counted_together, after.values()))
    counting = _counting(cards)
    return [
        *counter_faults(groups, counting),
        *prepaid_faults(contracts, stored.accounts, counting),
        *_unfilled(connection, groups, counting, cards),
    ]


def prepaying_faults(connection: Connection, accounts: Mapping[str, Account], before: Accounts) -> list[Fault]:
    """Where accounts become prepaid that have contracts for other ones."""
    became = {name for name, each in accounts.items() if each.prepaid and name in before.contracts}
    contracts = list(chain.from_iterable(before.contracts[name] for name in sorted(became)))
    return prepaid_faults(contracts, accounts, _counting(read_card_versions(connection))) if contracts else []


def imagined_faults(
    connection: Connection,
    contracts: Iterable[Sequence[Contract]],
    accounts: Mapping[str, Account],
    heads: Mapping[int, Card],
) -> list[Fault]:
    """Why the contracts of some accounts could not be, with the cards of `heads` by their numbers.

    Of cards, those with rows are not published. What a published one counts may be left without a rate by such a
    candidate, which is no fault of either.
    """
    every = list(contracts)
    groups = set(chain.from_iterable(map(counted_together, every)))
    named = {name for group in groups for name in group}
    beside = {number: head for number, head in heads.items() if head.id in named}
    kinds = priced_kinds(connection, [*beside])
    counting: dict[str, list[Counting]] = {}
    filled: dict[str, list[Filled]] = {}
    for number, head in beside.items():
        counting.setdefault(head.id, []).append((head.version, head.schedules))
        published = Filled(head.version, head.schedules, kinds.get(number, frozenset()))
        filled.setdefault(head.id, []).append(filled_of(head) if head.rows.num_rows else published)
    tried = tuple(f"card {head.version}: " for head in beside.values() if head.rows.num_rows)
    books = (unfilled(chain.from_iterable(filled.get(name, ()) for name in group)) for group in sorted(groups))
    return [
        *day_faults(map(card_terms, beside.values())),
        *counter_faults(groups, counting),
        *prepaid_faults(chain.from_iterable(every), accounts, counting),
        *(fault for fault in dict.fromkeys(chain.from_iterable(books)) if not tried or fault.place.startswith(tried)),
    ]


def _counting(cards: Sequence[CardVersion]) -> dict[str, list[Counting]]:
    versions: dict[str, list[Counting]] = {}
    for card in cards:
        name = f"{card.card_id}@{instant(card.effective_from)}"
        versions.setdefault(card.card_id, []).append((name, schedules_of(card.head)))
    return versions


def _unfilled(
    connection: Connection,
    groups: Iterable[tuple[str, ...]],
    counting: Mapping[str, Sequence[Counting]],
    cards: Sequence[CardVersion],
    candidate: Card | None = None,
) -> list[Fault]:
    """Where schedules of cards that rate one account count nothing that these price."""
    counted = [group for group in sorted(groups) if any(each for name in group for _, each in counting.get(name, ()))]
    wanted = {name for group in counted for name in group}
    versions = [each for each in cards if each.card_id in wanted]
    kinds = priced_kinds(connection, [version.card_version_id for version in versions]) if wanted else {}
    filled = {} if candidate is None else {candidate.id: [filled_of(candidate)]}
    for version in versions:
        name = f"{version.card_id}@{instant(version.effective_from)}"
        schedules = dict(counting[version.card_id])[name]
        found = Filled(name, schedules, kinds.get(version.card_version_id, frozenset()))
        filled.setdefault(version.card_id, []).append(found)
    books = (unfilled(chain.from_iterable(filled.get(name, ()) for name in group)) for group in counted)
    return list(dict.fromkeys(chain.from_iterable(books)))
