"""What can go wrong with accounts, contracts, usage and publications. Faults as values are `rates.errors.Fault`."""

from collections.abc import Iterable

from rates.errors import Fault, TollbookError, lines_of


class EventMissingError(TollbookError):
    """An event is known by its identity and stored nowhere."""


class InputFaultyError(TollbookError):
    """Something that was handed in cannot be used; `faults` holds all that is wrong with it."""

    def __init__(self, faults: Iterable[Fault], *, place: str = "") -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        problem = f"{count:,} {'fault' if count == 1 else 'faults'}"
        super().__init__(problem, place=place, remedy=f"mend {'it' if count == 1 else 'them'} and try again")
        self.args = (self.faults,)  # pickling calls the class again with `args`

    def __str__(self) -> str:
        return "\n".join((super().__str__(), *lines_of(self.faults)))


class IntakeClosedError(TollbookError):
    """Usage is handed in while the program ends: nothing of it is stored."""


class PeriodInvalidError(TollbookError):
    """A text is not a calendar month; `value` is the text."""


class PublicationBackdatedError(TollbookError):
    """A card, account or contract would change how usage was rated that has been rated already."""


class PublicationConflictError(TollbookError):
    """What is published contradicts what was published before."""


class QueueFullError(TollbookError):
    """More usage waits to be stored than may: nothing of this is. `seconds` is when it is worth another try."""

    def __init__(self, seconds: int) -> None:
        problem = "more usage waits to be stored than there is room for; nothing of this was"
        super().__init__(problem, remedy=f"send it again in {seconds} seconds: an event counts once")
        self.seconds = seconds
        self.args = (seconds,)  # pickling calls the class again with `args`


class SchemaMismatchError(TollbookError):
    """The database's schema is older or newer than this version of the program."""


class SourceUnknownError(TollbookError):
    """Usage is to be stored under a number that is no source's; `value` is the number."""


class StoreAwayError(TollbookError):
    """The database could not be reached, or not write, for as long as was waited: what became of usage is not known."""


class StreamUnreadableError(TollbookError):
    """An import's input broke off; what was committed before `place` stays, and the import can be repeated."""
