"""What a key may see: an operator's everything, a customer's its billing account and those that it pays for.

What is another's is told exactly as what is nowhere, with `missing`, and before anything else is looked at.
"""

from billing.keys import Key
from billing.server.callers import missing
from billing.server.world import World
from billing.store.queries.sight import Seen, account_seen


def see_account(world: World, key: Key, account: str, *, what: str = "account") -> Seen:
    """An account that is there and that a key may see. Raises ProblemError 404 of anything else, called `what`."""
    with world.reading() as connection:
        found = account_seen(connection, account)
    if found is None or (key.account and found.payer != key.account):
        raise missing(what)
    return found


def may_see(world: World, key: Key, account: str) -> bool:
    """Whether a key may see what is of an account; an operator sees also what is of none."""
    if not key.account:
        return True
    with world.reading() as connection:
        found = account_seen(connection, account)
    return found is not None and found.payer == key.account
