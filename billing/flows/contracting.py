"""What contracts need before they are added: accounts, cards, and of those that a reseller bills, a clean sheet."""

from collections.abc import Sequence
from datetime import UTC, datetime, time

from billing.accounts import payer_of
from billing.contracts import Contract, in_force, resold_to, subject
from billing.errors import PublicationBackdatedError
from billing.periods import ALWAYS
from billing.reselling import unpaid
from billing.store.accounts import Accounts
from billing.store.engine import Connection
from billing.store.queries.resold import first_used
from billing.store.ratebooks import CardVersion
from rates.cards import instant
from rates.errors import Fault


def contract_faults(contracts: Sequence[Contract], stored: Accounts, cards: Sequence[CardVersion]) -> list[Fault]:
    """Contracts of accounts that are not there or do not pay, or with cards that are not, or of another currency."""
    currencies = {version.card_id: version.currency for version in cards}
    together = {name: [*some] for name, some in stored.contracts.items()}
    for contract in contracts:
        together.setdefault(contract.account, []).append(contract)
    faults = unpaid(together, stored.accounts)
    for contract in contracts:
        place = subject(contract)
        payer = resold_to(contract.account, stored.accounts, together) or payer_of(contract.account, stored.accounts)
        if payer is None:
            faults.append(Fault(place=place, value="", problem="is of no account", remedy="add the account first"))
            continue
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


def require_unused(connection: Connection, contracts: Sequence[Contract], stored: Accounts) -> None:
    """Nothing is stored of the days from which an account is resold to: its other side was never rated, and is not made
    up. Raises PublicationBackdatedError. What waits in quarantine gets its other side when it is looked at again.
    """
    for contract in contracts:
        own = stored.contracts.get(contract.account, ())
        if stored.accounts[contract.account].pays or in_force(own, contract.effective_from) is not None:
            continue
        payer = payer_of(contract.account, stored.accounts)
        starts = [datetime.combine(each.effective_from, time(), UTC) for each in (contract, *own)]
        until = min(starts[1:], default=ALWAYS)
        below = [name for name in stored.accounts if _is_below(name, contract.account, stored)]
        numbers = [stored.numbers[name] for name in below]
        used = None if payer is None else first_used(connection, stored.numbers[payer.id], numbers, starts[0], until)
        if used is not None:
            raise PublicationBackdatedError(
                f"usage that is stored would be resold: {used.source}/{used.id} of {instant(used.at)} is the first, and"
                f" {used.account} was resold to by nobody then",
                place=subject(contract),
                value="",
                remedy=f"let the contract begin after the last of it, such as {used.after}",
            )


def _is_below(name: str, account: str, stored: Accounts) -> bool:
    """Whether an account is another one, or below it without a payer between them."""
    while name != account and name in stored.accounts and not stored.accounts[name].pays:
        name = stored.accounts[name].parent
    return name == account
