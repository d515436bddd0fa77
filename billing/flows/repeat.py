"""Answer a request once, however often it is sent: the first answer is kept, and given to whoever asks the same again.

A claim is committed before the work, and the answer after it. Whoever is killed in between leaves a claim that nobody
answers: after some minutes the same request does its work again, which all flows may be asked to.
"""

from datetime import datetime

from billing.store.engine import Engine, transaction
from billing.store.repeats import Asked, Kept, claim, forget, give_up, keep

__all__ = ["Asked", "Kept", "answered", "begin", "forget_old", "unanswered"]


def begin(engine: Engine, asked: Asked, at: datetime) -> Kept | None:
    """Begin to answer a request. None: nobody has; else the request of its name that somebody has begun or answered."""
    with transaction(engine) as connection:
        return claim(connection, asked, at)


def answered(engine: Engine, asked: Asked, status: int, kind: str, answer: bytes) -> None:
    """Keep the answer to a request that was begun here."""
    with transaction(engine) as connection:
        keep(connection, asked, status, kind, answer)


def unanswered(engine: Engine, asked: Asked) -> None:
    """Let a request that was begun here be asked again at once: it failed."""
    with transaction(engine) as connection:
        give_up(connection, asked)


def forget_old(engine: Engine, at: datetime) -> int:
    """Forget answers that are too old to be given again. Gives how many."""
    with transaction(engine) as connection:
        return forget(connection, at)
