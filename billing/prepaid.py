"""Prepaid accounts: what their balance stands for is known after each event, so no price may change afterwards."""

from collections.abc import Iterable, Mapping, Sequence

from billing.accounts import Account
from billing.contracts import Contract, Counting
from rates.errors import Fault
from rates.tiers import Mode


def prepaid_faults(
    contracts: Iterable[Contract], accounts: Mapping[str, Account], cards: Mapping[str, Sequence[Counting]]
) -> list[Fault]:
    """Where a prepaid account is under a volume schedule, which prices a month's usage by what comes after it.

    `cards`: all versions, by card id.
    """
    return [
        Fault(
            place=f"card {version}: tiers.{name}.mode",
            value=schedule.mode,
            problem=f"prices usage by what comes after it, and {contract.account}, which has this card, is prepaid",
            remedy=f"write graduated, or give {contract.account} another card",
        )
        for contract in contracts
        if contract.account in accounts and accounts[contract.account].prepaid
        for card in contract.cards
        for version, schedules in cards.get(card, ())
        for name, schedule in schedules.items()
        if schedule.mode is Mode.VOLUME
    ]
