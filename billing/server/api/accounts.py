"""Accounts: who uses and who pays, in pages and one by one; adding them; what is agreed with one of them."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from billing.accounts import read_account
from billing.flows import publish
from billing.flows.let_out import changed_record, let_out
from billing.periods import ALWAYS
from billing.server.api.parties import AccountsGiven, ContractTold, PartiesTold, read_all
from billing.server.callers import Bookkeeper, Reader, missing
from billing.server.paging import cursor_of, place_of
from billing.server.paths import PathName
from billing.server.shapes import Instant, Page, Paged, Text
from billing.server.sight import see_account
from billing.server.world import InWorld
from billing.store.queries.accounts import PaidAccount, account_page, agreed_with, paid_account
from billing.termsheets import held, held_record

router = APIRouter(tags=["accounts"])


class Suspended(BaseModel):
    """When an account was suspended, or is."""

    from_: Instant = Field(alias="from")
    to: Instant | None


class AccountTold(BaseModel):
    """An account. `payer` is who pays for it, in the payer's `currency`; "" where nobody does."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "acme-eu", "parent": "acme", "pays": False, "prepaid": False, "payer": "acme",
                    "currency": "USD", "zone": "Europe/Paris", "name": "Acme Europe", "address": [], "tax_id": "",
                    "language": "", "legal_entity": "", "suspended": [],
                }
            ]
        }
    )  # fmt: skip

    id: str
    parent: str
    pays: bool
    prepaid: bool
    payer: str
    currency: str
    zone: str
    name: str
    address: list[str]
    tax_id: str
    language: str
    legal_entity: str
    suspended: list[Suspended]


class Agreed(BaseModel):
    """The contracts that rate an account's usage: those of whoever pays for it ("": nobody)."""

    account: str
    payer: str
    currency: str
    items: list[ContractTold]


class Listing(Paged):
    """Which accounts."""

    payer: Text = Field(default="", description="Only this billing account and those that it pays for.")


@router.get("/v1/accounts")
def accounts(world: InWorld, key: Reader, asked: Annotated[Listing, Query()]) -> Page[AccountTold]:
    """Accounts in the order of their ids; a customer's are its billing account and those that it pays for."""
    (after,) = place_of(asked.cursor, ("",))
    payer = asked.payer or key.account
    if asked.payer:
        see_account(world, key, asked.payer)
    with world.reading() as connection:
        found = account_page(connection, payer=payer, after=str(after), limit=asked.limit + 1)
    page = found[: asked.limit]
    more = cursor_of((page[-1].account.id,)) if len(found) > asked.limit else None
    return Page(items=[_told(each) for each in page], next=more)


@router.get("/v1/accounts/{account}")
def account(world: InWorld, key: Reader, account: PathName) -> AccountTold:
    """One account."""
    see_account(world, key, account)
    with world.reading() as connection:
        found = paid_account(connection, account)
    if found is None:
        raise missing("account")
    return _told(found)


@router.get("/v1/accounts/{account}/contracts")
def contracts_of(world: InWorld, key: Reader, account: PathName) -> Agreed:
    """What is agreed with whoever pays for an account: contracts with their days and all their terms."""
    see_account(world, key, account)
    with world.reading() as connection:
        found = agreed_with(connection, account)
    if found is None:
        raise missing("account")
    day = world.clock().date()
    items = [
        ContractTold.model_validate(
            {"account": each.contract.account, "resells": each.contract.resells, **held_record(each, day)}
        )
        for each in held(found.contracts)
    ]
    return Agreed(account=account, payer=found.payer, currency=found.currency, items=items)


@router.post("/v1/accounts")
def add_accounts(world: InWorld, key: Bookkeeper, given: AccountsGiven, *, dry_run: bool = False) -> PartiesTold:
    """Add accounts, or say something else about them, and let out of the quarantine what waited for them.

    Their place in the tree and their currency stay. The same again changes nothing.
    """
    found = read_all(given.accounts, "accounts", read_account)
    at, actor = world.clock(), key.name
    rehearse_with = world.products if dry_run else None
    changed = publish.add_accounts(world.unhurried, found, at=at, actor=actor, rehearse_with=rehearse_with)
    released = let_out(world.unhurried, world.products, changed, at=at, actor=actor, kept=world.kept)
    return PartiesTold.model_validate(
        {
            **changed_record(changed, released),
            "dry_run": dry_run,
            "given": len(found),
            "added": changed.added,
            "changed": changed.altered,
            "unchanged": len(dict.fromkeys(found)) - changed.added - changed.altered,
        }
    )


def _told(found: PaidAccount) -> AccountTold:
    account = found.account
    return AccountTold.model_validate(
        {
            "id": account.id,
            "parent": account.parent,
            "pays": account.pays,
            "prepaid": account.prepaid,
            "payer": found.payer,
            "currency": found.currency or account.currency,
            "zone": account.zone,
            "name": account.name,
            "address": list(account.address),
            "tax_id": account.tax_id,
            "language": account.language,
            "legal_entity": account.legal_entity,
            "suspended": [
                {"from": each.begins, "to": None if each.ends == ALWAYS else each.ends} for each in account.suspended
            ],
        }
    )
