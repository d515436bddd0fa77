"""Publish cards, accounts and contracts: dated, never edited, and never under usage that was rated already."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import chain

from billing.accounts import Account, check_tree, payer_of
from billing.contracts import Contract, Counting, counted_together, counter_faults, unpaid
from billing.errors import InputFaultyError, PublicationBackdatedError, PublicationConflictError
from billing.store.accounts import Accounts, insert_accounts, insert_contracts, read_accounts, update_accounts
from billing.store.audit import record
from billing.store.compiled import CompiledCards
from billing.store.engine import Connection, Engine, transaction
from billing.store.ratebooks import (
    CardVersion,
    insert_card,
    lock_books,
    raise_book_version,
    read_card_versions,
)
from billing.store.totals import Stretch, last_days_rated, last_rated
from rates.cardfile import schedules_of
from rates.cards import Card, identity, instant
from rates.compiled.cards import CardTable, compile_card
from rates.errors import Fault
from rates.prices import PriceList, price_list
from rates.products import Product


class Status(StrEnum):
    """What a publication came to."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A card version in the store, and whether it was there before."""

    status: Status
    version: CardVersion


def publish(
    engine: Engine,
    card: Card,
    products: Mapping[str, Product],
    *,
    at: datetime,
    actor: str,
    kept: CompiledCards | None = None,
) -> Published:
    """Publish a checked card. The same content again changes nothing. `kept`: where compiled cards are kept.

    Raises CardTooWideError for a card whose conditions no table can hold, PublicationBackdatedError where usage
    from `effective_from` on has been rated, by whichever card, of an account whose contract names this one,
    PublicationConflictError for another currency than before or a second version from the same instant, and
    InputFaultyError for a schedule that counts otherwise than in another version, or in a card beside it in a contract.
    """
    content = identity(card)
    prices = price_list(card, products)
    # What cannot be compiled would stop every import after this, and nothing published can be taken back.
    compiled = _compiled(card, products, prices)
    with transaction(engine) as connection:
        lock_books(connection, exclusive=True)
        versions = read_card_versions(connection, card.id)
        same = next((version for version in versions if version.hash == content), None)
        if same is not None:
            return Published(status=Status.UNCHANGED, version=same)
        _check_card(connection, card, versions)
        _check_counters(connection, card)
        version = insert_card(connection, card, content, prices, at=at, actor=actor)
        raise_book_version(connection)
        details = {"hash": content.hex(), "rates": version.rates, "prices": version.prices}
        record(connection, at=at, actor=actor, action="publish", subject=f"card {card.version}", details=details)
    if kept is not None:
        name = str(version.stored_as)
        kept.keep({name: compiled.numbered(version.rate_base, version.price_base)}, [name], products)
    return Published(status=Status.PUBLISHED, version=version)


def add_accounts(engine: Engine, accounts: Sequence[Account], *, at: datetime, actor: str) -> Status:
    """Add accounts, or change what is said about them; their place in the tree and their currency stay.

    Raises InputFaultyError for a tree that does not hold together.
    """
    with transaction(engine) as connection:
        lock_books(connection, exclusive=True)
        stored = read_accounts(connection).accounts
        changed = [account for account in dict.fromkeys(accounts) if stored.get(account.id) != account]
        if not changed:
            return Status.UNCHANGED
        together: dict[str, Account] = {**stored, **{account.id: account for account in changed}}
        faults = [*_twice(changed), *_moved(changed, stored), *check_tree(together)]
        if faults:
            raise InputFaultyError(faults, place="accounts")
        added = [account for account in changed if account.id not in stored]
        insert_accounts(connection, sorted(added, key=lambda a: _depth(a, together)), at)
        update_accounts(connection, [account for account in changed if account.id in stored])
        raise_book_version(connection)
        for account in changed:
            action = "add" if account.id not in stored else "change"
            record(connection, at=at, actor=actor, action=action, subject=f"account {account.id}", details={})
    return Status.PUBLISHED


def add_contracts(engine: Engine, contracts: Sequence[Contract], *, at: datetime, actor: str) -> Status:
    """Add contracts. The same contract again changes nothing.

    Raises InputFaultyError where an account is unknown or does not pay, or a card is unknown or of another currency,
    PublicationConflictError for a second contract from the same day, and PublicationBackdatedError where usage since
    then has been rated.
    """
    with transaction(engine) as connection:
        lock_books(connection, exclusive=True)
        stored = read_accounts(connection)
        changed = [c for c in dict.fromkeys(contracts) if c not in stored.contracts.get(c.account, ())]
        if not changed:
            return Status.UNCHANGED
        cards = read_card_versions(connection)
        faults = [*_contract_faults(changed, stored, cards), *_agreement_faults(changed, stored, cards)]
        if faults:
            raise InputFaultyError(faults, place="contracts")
        _check_contracts(connection, changed, stored)
        insert_contracts(connection, changed, at)
        raise_book_version(connection)
        for contract in changed:
            details = {"effective_from": str(contract.effective_from), "cards": list(contract.cards)}
            subject = f"contract {contract.account}"
            record(connection, at=at, actor=actor, action="add", subject=subject, details=details)
    return Status.PUBLISHED


def _compiled(card: Card, products: Mapping[str, Product], prices: PriceList) -> CardTable:
    compiled = compile_card(card, products, prices=prices)
    for product, element in compiled.parts:
        compiled.table(product, element)
    return compiled


def _check_card(connection: Connection, card: Card, versions: Sequence[CardVersion]) -> None:
    place = f"card {card.id}"
    for version in versions:
        if version.currency != card.currency:
            raise PublicationConflictError(
                f"its published versions are in {version.currency}",
                place=place,
                value=card.currency,
                remedy="give a card in another currency another id",
            )
        if version.effective_from == card.effective_from:
            raise PublicationConflictError(
                "another version is published from this instant",
                place=place,
                value=card.effective_from.isoformat(),
                remedy="publish the change from a later instant",
            )
    if versions:  # no contract names a card before it is published
        _check_nothing_rated(connection, card)


def _check_nothing_rated(connection: Connection, card: Card) -> None:
    """Refuse a version that would have rated usage, by whichever card that was rated instead."""
    stored = read_accounts(connection)
    found = last_rated(connection, list(_under(card.id, card.effective_from, stored)))
    if found is not None:
        number, day = found
        account = next(name for name, each in stored.numbers.items() if each == number)
        raise PublicationBackdatedError(
            f"usage of {account}, whose contract names the card, has been rated up to {day}",
            place=f"card {card.id}",
            value=card.effective_from.isoformat(),
            remedy=f"publish it from a later instant, such as {day + timedelta(days=1)}T00:00:00Z",
        )


def _under(card_id: str, since: datetime, stored: Accounts) -> Iterator[Stretch]:
    """The usage from an instant on that contracts which name a card rate: of all whom the same account pays for."""
    for name, contracts in stored.contracts.items():
        payer = payer_of(name, stored.accounts)
        ends = [*(following.effective_from for following in contracts[1:]), date.max]
        for contract, end in zip(contracts, ends, strict=True):
            if payer is not None and card_id in contract.cards and end > since.astimezone(UTC).date():
                begins = datetime.combine(contract.effective_from, time(), UTC)
                yield Stretch(stored.numbers[payer.id], max(since, begins), end)


def _check_counters(connection: Connection, card: Card) -> None:
    if not card.schedules:
        return
    contracts = read_accounts(connection).contracts.values()
    groups = {group for each in contracts for group in counted_together(each) if card.id in group}
    versions = _counting(read_card_versions(connection))
    versions.setdefault(card.id, []).append((card.version, card.schedules))
    if faults := counter_faults([(card.id,), *groups], versions):
        raise InputFaultyError(faults, place=f"card {card.version}")


def _agreement_faults(contracts: Sequence[Contract], stored: Accounts, cards: Sequence[CardVersion]) -> list[Fault]:
    after: dict[str, list[Contract]] = {}
    for contract in contracts:
        after.setdefault(contract.account, [*stored.contracts.get(contract.account, ())]).append(contract)
    groups = set().union(*map(counted_together, after.values()))
    return counter_faults(groups, _counting(cards))


def _counting(cards: Sequence[CardVersion]) -> dict[str, list[Counting]]:
    versions: dict[str, list[Counting]] = {}
    for card in cards:
        name = f"{card.card_id}@{instant(card.effective_from)}"
        versions.setdefault(card.card_id, []).append((name, schedules_of(card.head)))
    return versions


def _contract_faults(contracts: Sequence[Contract], stored: Accounts, cards: Sequence[CardVersion]) -> list[Fault]:
    currencies = {version.card_id: version.currency for version in cards}
    faults = []
    for contract in contracts:
        place = f"contract {contract.account}"
        payer = payer_of(contract.account, stored.accounts)
        if payer is None:
            faults.append(Fault(place=place, value="", problem="is of no account", remedy="add the account first"))
            continue
        faults += unpaid([contract], stored.accounts)
        for name in contract.cards:
            currency = currencies.get(name)
            if currency is None:
                problem, remedy = "is not a published card", "publish it first"
            elif currency != payer.currency:
                problem, remedy = f"is in {currency}, and {payer.id} is billed in {payer.currency}", "use another card"
            else:
                continue
            faults.append(Fault(place=f"{place}: cards", value=name, problem=problem, remedy=remedy))
    return faults


def _check_contracts(connection: Connection, contracts: Sequence[Contract], stored: Accounts) -> None:
    paying = {payer.id for each in contracts if (payer := payer_of(each.account, stored.accounts)) is not None}
    numbers_paying = [stored.numbers[name] for name in sorted(paying)]
    rated = last_days_rated(connection, min(contract.effective_from for contract in contracts), numbers_paying)
    below = defaultdict[str, list[str]](list)
    for name in stored.accounts:
        payer = payer_of(name, stored.accounts)
        below[payer.id if payer is not None else name].append(name)
    starts = Counter(_start(each) for each in (*contracts, *chain.from_iterable(stored.contracts.values())))
    for contract in contracts:
        place, day = f"contract {contract.account}", str(contract.effective_from)
        if starts[_start(contract)] > 1:
            raise PublicationConflictError(
                "another contract begins on this day",
                place=place,
                value=day,
                remedy="contracts are not edited: begin the new one on another day",
            )
        # Whose usage it would rate: the account's, and of a payer also that of the accounts below it.
        numbers = (stored.numbers[name] for name in (contract.account, *below[contract.account]))
        last = max((rated[number] for number in numbers if number in rated), default=date.min)
        if last >= contract.effective_from:
            raise PublicationBackdatedError(
                f"usage up to {last} has been rated by the contract before it",
                place=place,
                value=day,
                remedy=f"begin it on {last + timedelta(days=1)} or later",
            )


def _start(contract: Contract) -> tuple[str, date]:
    return contract.account, contract.effective_from


def _moved(accounts: Sequence[Account], stored: Mapping[str, Account]) -> list[Fault]:
    return [
        Fault(
            place=f"account {account.id}: {key}",
            value=str(getattr(account, key)),
            problem=f"was {getattr(stored[account.id], key) or 'none'}, and this version does not change it",
            remedy="add another account",
        )
        for account in accounts
        for key in ("parent", "pays", "currency")
        if account.id in stored and getattr(stored[account.id], key) != getattr(account, key)
    ]


def _twice(accounts: Sequence[Account]) -> list[Fault]:
    return [
        Fault(place=f"account {name}", value="", problem="is given twice, and differs", remedy="keep one of them")
        for name, count in Counter(account.id for account in accounts).items()
        if count > 1
    ]


def _depth(account: Account, accounts: Mapping[str, Account]) -> int:
    depth, above = 0, account.parent
    while above:
        depth, above = depth + 1, accounts[above].parent
    return depth
