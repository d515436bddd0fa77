"""Contracts: which cards rate an account, in which order, from which day, and what is agreed beside them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import chain, takewhile

from billing.accounts import Account, payer_of, upwards
from rates import deals
from rates.deals import NO_DEAL, Deal, read_deal
from rates.errors import Fault
from rates.reading import Reader
from rates.tiers import Schedule, axis_faults

_YEARS = range(1970, 2100)

Counting = tuple[str, Mapping[str, Schedule]]
"""A card version by its name, and its schedules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The cards of an account in order of priority, from 00:00 UTC of a day until its next contract.

    `deal` is what it says of money beside the cards. `resells`: accounts below may have contracts of their own, by
    which their usage is rated once more, for invoices that they get from this account.
    """

    account: str
    effective_from: date
    cards: tuple[str, ...]
    deal: Deal = NO_DEAL
    resells: bool = False


def read_contract(table: Mapping[str, object], place: str) -> tuple[Contract | None, list[Fault]]:
    """A contract from its table, or every fault of it."""
    faults: list[Fault] = []
    read = Reader(place=f"{place}: ", table=table, faults=faults)
    contract = Contract(
        account=read.text("account"),
        effective_from=_day(read, "effective_from"),
        cards=read.texts("cards"),
        deal=read_deal(read),
        resells=read.flag("resells", default=False),
    )
    read.finish()
    if not contract.cards and not read.is_faulty("cards"):
        read.fault("cards", "names no card", 'write cards = ["list-usd"]')
    if len(set(contract.cards)) != len(contract.cards):
        read.fault("cards", "names a card twice", "the order of the cards is their priority")
    return (None if faults else contract), faults


def without_support(contract: Contract) -> Contract:
    """A contract without its support plan."""
    return replace(contract, deal=replace(contract.deal, support=None))


def subject(contract: Contract) -> str:
    """What faults call a contract."""
    return f"contract {contract.account} from {contract.effective_from}"


def overlapping(contracts: Iterable[Contract]) -> list[Fault]:
    """The contracts that begin on a day on which another one of the account begins; each holds until the next."""
    days: dict[str, list[Contract]] = {}
    for contract in dict.fromkeys(contracts):
        days.setdefault(subject(contract), []).append(contract)
    problem = "overlaps another contract that begins on this day"
    remedy = "a contract holds until the next one: begin each on a day of its own"
    return [
        Fault(place=f"{name}: effective_from", value=str(each.effective_from), problem=problem, remedy=remedy)
        for name, same in days.items()
        for each in same[1:]
    ]


def in_force(contracts: Iterable[Contract], day: date) -> Contract | None:
    """The one of an account's contracts that holds on a day: the last that began on it or before."""
    begun = [contract for contract in contracts if contract.effective_from <= day]
    return max(begun, key=lambda contract: contract.effective_from, default=None)


def contract_of(
    account_id: str,
    accounts: Mapping[str, Account],
    contracts: Mapping[str, Sequence[Contract]],
    day: date,
) -> Contract | None:
    """What rates an account's usage of a day: the contract of whoever pays for it; None where there is none."""
    payer = payer_of(account_id, accounts)
    return in_force(contracts.get(payer.id, ()), day) if payer is not None else None


def resold_to(
    account_id: str, accounts: Mapping[str, Account], contracts: Mapping[str, Sequence[Contract]]
) -> Account | None:
    """Who pays a reseller for an account's usage: itself or the nearest above, below who pays the supplier, that has
    contracts. None where nobody resells it.
    """
    payer = payer_of(account_id, accounts)
    if payer is None or not any(each.resells for each in contracts.get(payer.id, ())):
        return None
    below = takewhile(lambda account: not account.pays, upwards(account_id, accounts))
    return next((account for account in below if contracts.get(account.id)), None)


def is_billed(account: Account, accounts: Mapping[str, Account], contracts: Mapping[str, Sequence[Contract]]) -> bool:
    """Whether an account gets invoices: it pays, or it is resold to."""
    resold = None if account.pays else resold_to(account.id, accounts, contracts)
    return account.pays or (resold is not None and resold.id == account.id)


def counter_faults(groups: Iterable[tuple[str, ...]], cards: Mapping[str, Sequence[Counting]]) -> list[Fault]:
    """Where cards that are `counted_together` disagree on what a schedule counts. `cards`: all versions, by card id."""
    books = (chain.from_iterable(cards.get(name, ()) for name in group) for group in sorted(groups))
    return list(dict.fromkeys(chain.from_iterable(map(axis_faults, books))))


def counted_together(contracts: Sequence[Contract]) -> set[tuple[str, ...]]:
    """The cards that rate one account in one month, by whichever of its contracts: its counters run on over them."""
    groups = set[tuple[str, ...]]()
    for contract in contracts:
        first = contract.effective_from.replace(day=1)
        same = [each for each in contracts if each.effective_from.replace(day=1) == first]
        before = in_force(contracts, first)
        cards = chain.from_iterable(each.cards for each in ([before] if before else []) + same)
        groups.add(tuple(dict.fromkeys(cards)))
    return groups


def unsold(contracts: Iterable[Contract], products: Iterable[str]) -> list[Fault]:
    """What contracts agree on of products that nobody knows."""
    return [fault for each in contracts for fault in deals.unsold(each.deal, products, f"contract {each.account}")]


def _day(read: Reader, key: str) -> date:
    day = _any_day(read, key)
    if not read.is_faulty(key) and day.year not in _YEARS:  # each month of them is locked when a contract is added
        read.fault(key, "is not of 1970 to 2099", "write the day from which it holds")
    return day


def _any_day(read: Reader, key: str) -> date:
    value = read.table.get(key)
    if isinstance(value, date) and not isinstance(value, datetime):
        read.seen.add(key)
        return value
    instant = read.instant(key)
    if instant is None:
        return date.min
    if (instant.hour, instant.minute, instant.second, instant.microsecond) != (0, 0, 0, 0):
        read.fault(key, "is not the beginning of a UTC day", f"contracts begin at 00:00 UTC: write {instant.date()}")
    return instant.date()
