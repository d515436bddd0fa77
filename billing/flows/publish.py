"""Publish cards, accounts and contracts: dated, never edited, and without changing what any usage is charged.

What begins in the past reaches usage that was rated. It is published if all of that stays charged and counted as it
is, and moves it along; so a row that was missing is added from the day on which it was missed. What waited for it is
let out by `flows.release`, apart, since it can be repeated and nobody has to wait for it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache, partial
from itertools import chain

from billing.accounts import Account, change_faults, check_tree
from billing.contracts import Contract, subject, unsold
from billing.corrections import Correction
from billing.errors import InputFaultyError, PublicationConflictError
from billing.flows.backdate import Moved, move, reach_of_card, reach_of_contracts
from billing.flows.contracting import contract_faults, require_unused
from billing.flows.correct import Force, details_of
from billing.flows.counters import agreement_faults, check_card, prepaying_faults
from billing.flows.release import Released, foresee
from billing.flows.rerate import EVENTS_AT_ONCE
from billing.rated import rate_usage
from billing.reselling import resellers, unpaid
from billing.store.accounts import (
    Accounts,
    insert_accounts,
    insert_contracts,
    read_accounts,
    terms_of,
    update_accounts,
)
from billing.store.audit import record
from billing.store.charges import lock_charges
from billing.store.compiled import CompiledCards
from billing.store.engine import Connection, Engine, rehearsal, transaction
from billing.store.quarantine import earliest_waiting
from billing.store.ratebooks import (
    CardVersion,
    insert_card,
    load_books,
    lock_books,
    raise_book_version,
    read_card_versions,
)
from billing.usage import at_micros
from rates.cards import Card, identity, instant
from rates.compiled.cards import CardTable, compile_card
from rates.errors import Fault
from rates.prices import PriceList, price_list
from rates.products import Product
from rates.rating import CODES, Reason


class Status(StrEnum):
    """What a publication came to."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What came of a change: how many rated events moved with it, and how many drafts of invoices were withdrawn.

    `foreseen`: of a rehearsal, what a release would come to. Of accounts and contracts `added` counts those that were
    new, `altered` those of which something else is said now. `correction`: what a forced change did to amounts.
    """

    status: Status
    moved: int = 0
    withdrawn: int = 0
    added: int = 0
    altered: int = 0
    foreseen: Released | None = None
    correction: Correction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Changed):
    """A card version in the store, and whether it was there before."""

    version: CardVersion


UNCHANGED = Changed(status=Status.UNCHANGED)

_LOOKED_AT = 1000  # waiting events that are rated to say in a refusal which of them a card would price


def publish(  # noqa: PLR0913 (what is published, by whom, and how)
    engine: Engine,
    card: Card,
    products: Mapping[str, Product],
    *,
    at: datetime,
    actor: str,
    kept: CompiledCards | None = None,
    dry_run: bool = False,
    reason: str = "",
    events_at_once: int = EVENTS_AT_ONCE,
) -> Published:
    """Publish a checked card. The same content again changes nothing. `kept`: where compiled cards are kept.

    With `dry_run` all is done, and nothing stays. With a `reason` it is forced: `actor` answers for what is charged
    otherwise, on final invoices too (the next run bills that), and a version from the same instant is replaced. Raises
    CardTooWideError for a card whose conditions no table can hold, PublicationBackdatedError where usage that was rated
    would be charged otherwise, PublicationConflictError for another currency than before or (unless it is forced) a
    second version from the same instant, InputFaultyError for a schedule that counts otherwise than in another version,
    or in a card beside it in a contract, and PeriodLockedError where invoices of usage that moves are just being drawn
    up or issued.
    """
    content = identity(card)
    prices = price_list(card, products)
    # What cannot be compiled would stop every import after this, and nothing published can be taken back.
    compiled = _compiled(card, products, prices)
    with (rehearsal if dry_run else transaction)(engine) as connection:
        lock_books(connection, exclusive=True)
        versions = read_card_versions(connection, card.id)
        same = next((version for version in versions if version.hash == content), None)
        if same is not None:
            return Published(status=Status.UNCHANGED, version=same)
        replaced = _replaced(card, versions, partial(_waits_for, connection, compiled, products, kept), reason)
        check_card(connection, card, [each for each in versions if each is not replaced], products)
        version = insert_card(connection, card, content, prices, at=at, actor=actor, instead=replaced)
        raise_book_version(connection)
        compiled = compiled.numbered(version.rate_base, version.price_base)
        books = cache(partial(load_books, connection, products, None, kept, {version.card_version_id: compiled}))
        reach = reach_of_card(connection, card, versions, products)
        force = Force(engine=engine, products=products, reason=reason) if reason else None
        moved = move(connection, reach, books, at=at, events_at_once=events_at_once, force=force)
        details = {
            "hash": content.hex(),
            "rates": version.rates,
            "prices": version.prices,
            "moved": moved.events,
            "withdrawn": moved.drafts,
            **({} if replaced is None else {"replaces": replaced.hash.hex()}),
            **_forced(moved, reason),
        }
        record(connection, at=at, actor=actor, action="publish", subject=f"card {card.version}", details=details)
        foreseen = foresee(connection, books()) if dry_run else None
    if kept is not None and not dry_run:
        name = str(version.stored_as)
        kept.keep({name: compiled}, [name], products)
    return Published(
        status=Status.PUBLISHED,
        version=version,
        moved=moved.events,
        withdrawn=moved.drafts,
        foreseen=foreseen,
        correction=moved.correction,
    )


def add_accounts(
    engine: Engine,
    accounts: Sequence[Account],
    *,
    at: datetime,
    actor: str,
    rehearse_with: Mapping[str, Product] | None = None,
) -> Changed:
    """Add accounts, or change what is said about them; their place in the tree and their currency stay.

    With products to rehearse with, all is done, and nothing stays. Raises InputFaultyError for a tree that does not
    hold together.
    """
    with (transaction if rehearse_with is None else rehearsal)(engine) as connection:
        if any(account.suspended for account in accounts):
            lock_charges(connection, exclusive=True)
        lock_books(connection, exclusive=True)
        before = read_accounts(connection)
        stored = before.accounts
        changed = [account for account in dict.fromkeys(accounts) if stored.get(account.id) != account]
        if not changed:
            return UNCHANGED
        together: dict[str, Account] = {**stored, **{account.id: account for account in changed}}
        wrong = [*_twice(changed), *change_faults(changed, stored)]
        wrong += [*check_tree(together, resellers(before.contracts)), *unpaid(before.contracts, together)]
        if faults := wrong or prepaying_faults(connection, together, before):
            raise InputFaultyError(faults, place="accounts")
        added = [account for account in changed if account.id not in stored]
        insert_accounts(connection, sorted(added, key=lambda a: _depth(a, together)), at)
        update_accounts(connection, [account for account in changed if account.id in stored])
        raise_book_version(connection)
        for account in changed:
            action = "add" if account.id not in stored else "change"
            details = (
                {"suspended": [list(map(instant, each)) for each in account.suspended]} if account.suspended else {}
            )
            record(connection, at=at, actor=actor, action=action, subject=f"account {account.id}", details=details)
        foreseen = None if rehearse_with is None else foresee(connection, load_books(connection, rehearse_with))
    altered = len(changed) - len(added)
    return Changed(status=Status.PUBLISHED, added=len(added), altered=altered, foreseen=foreseen)


def add_contracts(  # noqa: PLR0913 (what is added, by whom, and how)
    engine: Engine,
    contracts: Sequence[Contract],
    products: Mapping[str, Product],
    *,
    at: datetime,
    actor: str,
    kept: CompiledCards | None = None,
    dry_run: bool = False,
    reason: str = "",
    events_at_once: int = EVENTS_AT_ONCE,
) -> Changed:
    """Add contracts. The same contract again changes nothing. `kept`: where compiled cards are kept.

    With `dry_run` all is done, and nothing stays. With a `reason` it is forced: `actor` answers for what is charged
    otherwise, except where invoices are final. Raises InputFaultyError where an account is unknown or does not pay,
    or a card is unknown or of another currency, PublicationConflictError for a second contract from the same day,
    PublicationBackdatedError where usage that was rated would be charged otherwise, and PeriodLockedError where
    invoices of usage that moves are just being drawn up or issued.
    """
    with (rehearsal if dry_run else transaction)(engine) as connection:
        lock_books(connection, exclusive=True)
        stored = read_accounts(connection)
        changed = [c for c in dict.fromkeys(contracts) if c not in stored.contracts.get(c.account, ())]
        if not changed:
            return UNCHANGED
        cards = read_card_versions(connection)
        faults = [*contract_faults(changed, stored, cards), *agreement_faults(connection, changed, stored, cards)]
        if faults := [*faults, *unsold(changed, products)]:
            raise InputFaultyError(faults, place="contracts")
        _check_days(changed, stored)
        require_unused(connection, changed, stored)
        insert_contracts(connection, changed, at)
        raise_book_version(connection)
        books = cache(partial(load_books, connection, products, None, kept))
        reach = reach_of_contracts(connection, changed, stored, cards, products)
        force = Force(engine=engine, products=products, reason=reason) if reason else None
        moved = move(connection, reach, books, at=at, events_at_once=events_at_once, force=force)
        for contract in changed:
            details: dict[str, object] = {"effective_from": str(contract.effective_from), "cards": list(contract.cards)}
            details |= {**terms_of(contract), **_forced(moved, reason)}
            subject = f"contract {contract.account}"
            record(connection, at=at, actor=actor, action="add", subject=subject, details=details)
        foreseen = foresee(connection, books()) if dry_run else None
    return Changed(
        status=Status.PUBLISHED,
        moved=moved.events,
        withdrawn=moved.drafts,
        added=len(changed),
        foreseen=foreseen,
        correction=moved.correction,
    )


def _forced(moved: Moved, reason: str) -> dict[str, object]:
    """What the audit log keeps of a forced change."""
    if not reason:
        return {}
    return {"forced": {"reason": reason} if moved.correction is None else details_of(moved.correction, reason)}


def _waits_for(
    connection: Connection,
    compiled: CardTable,
    products: Mapping[str, Product],
    kept: CompiledCards | None,
    version: CardVersion,
) -> str:
    """Until when a card may begin that came to stand in place of a version, to let out what waits for it.

    Only the first events that wait for a row are looked at: imports wait meanwhile.
    """
    usage = earliest_waiting(connection, version.effective_from, CODES[Reason.NO_RATE], _LOOKED_AT)
    if usage is None:
        return ""
    table = compiled.numbered(version.rate_base, version.price_base)
    books = load_books(connection, products, None, kept, {version.card_version_id: table})
    rated = rate_usage(usage, books.assignment, books.books, products)
    at = usage.occurred_at[~rated.ratings.is_quarantined]
    if not len(at):
        return ""
    return f", no later than {instant(at_micros(int(at[0])))}, when the first event that waits for it occurred"


def _compiled(card: Card, products: Mapping[str, Product], prices: PriceList) -> CardTable:
    compiled = compile_card(card, products, prices=prices)
    for product, element in compiled.parts:
        compiled.table(product, element)
    return compiled


def _replaced(
    card: Card, versions: Sequence[CardVersion], until: Callable[[CardVersion], str], reason: str
) -> CardVersion | None:
    """The version in whose place a card stands, for a `reason`; None without one. Raises PublicationConflictError."""
    place = f"card {card.id}"
    for version in versions:
        if version.currency != card.currency:
            raise PublicationConflictError(
                f"its published versions are in {version.currency}",
                place=place,
                value=card.currency,
                remedy="give a card in another currency another id",
            )
    same = next((version for version in versions if version.effective_from == card.effective_from), None)
    if same is not None and not reason:
        raise PublicationConflictError(
            "another version is published from this instant",
            place=place,
            value=instant(card.effective_from),
            remedy=f"publish the change from a later instant{until(same)}; --force puts it in the other's place",
        )
    return same


def _check_days(contracts: Sequence[Contract], stored: Accounts) -> None:
    starts = Counter(_start(each) for each in (*contracts, *chain.from_iterable(stored.contracts.values())))
    for contract in contracts:
        if starts[_start(contract)] > 1:
            raise PublicationConflictError(
                "another contract begins on this day",
                place=subject(contract),
                value=str(contract.effective_from),
                remedy="contracts are not edited: begin the new one on another day",
            )


def _start(contract: Contract) -> tuple[str, date]:
    return contract.account, contract.effective_from


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
