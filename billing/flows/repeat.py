"""Answer a request once, however often it is sent: the first answer is kept, and given to whoever asks the same again.

A claim is committed before the work, and the answer after it; as long as the work takes, whoever does it says now and
then that it is at it. Who is killed in between leaves a claim of which nothing is heard: after some minutes the same
request does its work again, which all flows may be asked to. A claim has a turn, so that one who was taken for dead
answers nothing in the place of who took over.
"""

from datetime import datetime, timedelta

from billing.store.engine import Engine, transaction
from billing.store.repeats import ABANDONED, Asked, Kept, claim, forget, give_up, keep, see

__all__ = ["SAID_EVERY", "Asked", "Kept", "answered", "at_work", "begin", "forget_old", "unanswered"]

SAID_EVERY: timedelta = ABANDONED // 5
"""How often it is said that somebody is at work: a few times may fail."""


def begin(engine: Engine, asked: Asked, at: datetime) -> int | Kept:
    """Begin to answer a request: the turn to do it in; or the request of its name that somebody began or answered."""
    with transaction(engine) as connection:
        return claim(connection, asked, at)


def at_work(engine: Engine, asked: Asked, turn: int, at: datetime) -> bool:
    """Say that a request that was begun here is being answered; False where another one has taken it over."""
    with transaction(engine) as connection:
        return see(connection, asked, turn, at)


def answered(engine: Engine, asked: Asked, turn: int, status: int, kind: str, answer: bytes) -> None:
    """Keep the answer to a request that was begun here."""
    with transaction(engine) as connection:
        keep(connection, asked, turn, status, kind, answer)


def unanswered(engine: Engine, asked: Asked, turn: int) -> None:
    """Let a request that was begun here be asked again at once: it failed."""
    with transaction(engine) as connection:
        give_up(connection, asked, turn)


def forget_old(engine: Engine, at: datetime) -> int:
    """Forget answers that are too old to be given again. Gives how many."""
    with transaction(engine) as connection:
        return forget(connection, at)
