"""What a reseller's month costs it and what it bills its customers, as both come to now."""

from collections.abc import Mapping, Sequence

from billing.contracts import resold_to
from billing.flows.price import Pricer
from billing.invoices import lines_by_payer, total_minor
from billing.payers import SubjectMissingError, payers_of, paying
from billing.periods import Period
from billing.resold import Resold, Share
from billing.store.accounts import Accounts, read_accounts
from billing.store.engine import Engine, snapshot
from rates.numbering import COUNTRIES
from rates.products import Product
from rates.usage import Totals


def resold_margin(engine: Engine, products: Mapping[str, Product], period: Period, reseller: str) -> Resold:
    """The margin of a reseller in a period: what its invoices, with what adjusts them, come to by the usage so far.

    Raises SubjectMissingError for an account that does not pay or does not resell, and whatever makes usage
    unpriceable.
    """
    with snapshot(engine) as connection:
        accounts = read_accounts(connection)
        payer = paying(reseller, accounts.accounts)
        under = _under(payer.id, accounts)
        if not under:
            remedy = "give it a contract with resells = true, and those below it contracts of their own"
            raise SubjectMissingError("resells to nobody", place="account", value=reseller, remedy=remedy)
        payers = payers_of(accounts.accounts, accounts.contracts, accounts.numbers, period)
        pricer = Pricer.begin(connection, period, products, payers)
        found = Resold(reseller=payer.id, period=str(period))
        for name in [payer.id, *sorted(set(under.values()))]:
            number = accounts.numbers[name]
            totals = pricer.read([number])
            lines = lines_by_payer(pricer.price_one(number, totals), str(period)).get(number, ())
            found.currencies[name] = payers[number].party.currency
            found.totals[name] = total_minor(lines)
            found.bill(name, lines, _shares(totals, pricer, accounts), under)
        return found


def _under(reseller: str, accounts: Accounts) -> dict[str, str]:
    """To whom the usage of each account below a reseller is resold."""
    found = {name: resold_to(name, accounts.accounts, accounts.contracts) for name in accounts.accounts}
    return {
        name: payer.id
        for name, payer in found.items()
        if payer is not None and paying_for(payer.id, accounts) == reseller
    }


def paying_for(account: str, accounts: Accounts) -> str:
    """Who pays the supplier for an account."""
    while not accounts.accounts[account].pays:
        account = accounts.accounts[account].parent
    return account


def _shares(totals: Totals, pricer: Pricer, accounts: Accounts) -> list[Share]:
    """Who used what of the lines that totals come to."""
    names = {number: name for name, number in accounts.numbers.items()}
    columns: Sequence[list[int]] = [
        getattr(totals, name).tolist() for name in ("account", "price", "country", "events", "quantity")
    ]
    sums: dict[tuple[int, int, int], list[int]] = {}
    for account, price, country, events, quantity in zip(*columns, strict=True):
        added = sums.setdefault((account, price, country), [0, 0])
        added[0] += events
        added[1] += quantity
    found = []
    for (account, number, country), (events, quantity) in sums.items():
        price = pricer.prices[number]
        of = (price.product, price.element, COUNTRIES[country], price.destination)
        found.append(Share(of=of, account=names[account], events=events, quantity=quantity))
    return found
