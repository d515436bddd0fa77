"""What limits are held against, as the store has it: kept in memory, and read again where a version moved."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from billing.guards import Guard
from billing.payers import Payer, payers_of
from billing.periods import Period
from billing.store.accounts import Accounts, read_accounts
from billing.store.engine import Connection
from billing.store.limits import StoredTrigger, limits_version, read_guards, read_triggers
from billing.store.queries.pricing import head_of
from billing.store.ratebooks import book_version, read_card_versions
from billing.store.watching import Versions
from billing.triggers import Subject, children_of, subject_of
from rates.cards import Card
from rates.products import Product


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Accounts, cards without their rows by the numbers of their versions, triggers and guards, of some versions."""

    versions: Versions
    accounts: Accounts
    heads: Mapping[int, Card]
    triggers: tuple[StoredTrigger, ...]
    guards: tuple[Guard, ...]

    @classmethod
    def read(cls, connection: Connection, products: Mapping[str, Product], known: Self | None = None) -> Self:
        """As a transaction sees them; what is `known` is that which is given back, if it still holds."""
        versions = Versions(book_version(connection), *limits_version(connection))
        if known is not None and known.versions == versions:
            return known
        same_books = known is not None and known.versions.books == versions.books
        return cls(
            versions=versions,
            accounts=known.accounts if known is not None and same_books else read_accounts(connection),
            heads=_heads(connection, products, {} if known is None else known.heads),
            triggers=tuple(read_triggers(connection)),
            guards=tuple(read_guards(connection, products)),
        )

    def payers(self, period: Period) -> dict[int, Payer]:
        """All who are billed in a period, by their numbers."""
        return payers_of(self.accounts.accounts, self.accounts.contracts, self.accounts.numbers, period)

    def subject(self, account: str) -> Subject | None:
        """Whose usage is that of an account with its tree."""
        if account not in self._subjects:
            known = self.accounts
            self._subjects[account] = subject_of(account, known.accounts, known.contracts, self._children)
        return self._subjects[account]

    @cached_property
    def _subjects(self) -> dict[str, Subject | None]:
        return {}

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        return children_of(self.accounts.accounts)

    @cached_property
    def names(self) -> Mapping[int, str]:
        """The accounts by their numbers."""
        return {number: name for name, number in self.accounts.numbers.items()}


def _heads(connection: Connection, products: Mapping[str, Product], known: Mapping[int, Card]) -> dict[int, Card]:
    versions = read_card_versions(connection)
    return {each.card_version_id: known.get(each.card_version_id) or head_of(each, products) for each in versions}
