"""Exit codes, and the one map from what went wrong to them (DESIGN 12)."""

from enum import IntEnum


class Exit(IntEnum):
    """What a command's exit code says."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOTHING_TO_DO = 3
    NEEDS_A_PERSON = 4
    """Done, but something waits for a person: quarantined usage, a parked account, an approval."""
    BAD_INPUT = 5
    OUTSIDE_FAILED = 6
    """An outside service or the database failed; running the command again is safe."""
    LOCKED = 7
    INTERRUPTED = 130
    """By Ctrl-C, as shells count it: 128 and the signal's number."""
    READER_LEFT = 141
    """Whoever read the output has left, as `head` does: that of SIGPIPE, as of other programs. Nothing is said."""


# By name, so that no command waits for imports that only its failure needs. The first base class that is named here
# decides; an error that is not here is a defect, and shows where it happened.
EXITS = {
    "rates.errors.TollbookError": Exit.ERROR,
    "rates.errors.CardFaultyError": Exit.BAD_INPUT,
    "rates.compiled.shapes.CardTooWideError": Exit.BAD_INPUT,
    "rates.money.DecimalInvalidError": Exit.BAD_INPUT,
    "rates.money.CurrencyUnknownError": Exit.BAD_INPUT,
    "billing.approvals.ApprovalMissingError": Exit.NEEDS_A_PERSON,
    "billing.approvals.ApprovalSelfError": Exit.NEEDS_A_PERSON,
    "billing.approvals.ApprovalUnseenError": Exit.NEEDS_A_PERSON,
    "billing.bounds.ReleaseNeedlessError": Exit.NOTHING_TO_DO,
    "billing.candidates.CandidateMisplacedError": Exit.USAGE,
    "billing.charges.ChargePostedError": Exit.BAD_INPUT,
    "billing.charges.ChargesUnpostedError": Exit.NEEDS_A_PERSON,
    "billing.charges.SourceReservedError": Exit.BAD_INPUT,
    "billing.controls.ControlsUnmatchedError": Exit.NEEDS_A_PERSON,
    "billing.errors.InputFaultyError": Exit.BAD_INPUT,
    "billing.errors.PeriodInvalidError": Exit.USAGE,
    "billing.errors.PublicationBackdatedError": Exit.BAD_INPUT,
    "billing.errors.PublicationConflictError": Exit.BAD_INPUT,
    "billing.errors.StreamUnreadableError": Exit.BAD_INPUT,
    "billing.keys.KeyConflictError": Exit.BAD_INPUT,
    "billing.keys.KeyUnclearError": Exit.USAGE,
    "billing.keys.ModeMismatchError": Exit.USAGE,
    "billing.runs.PeriodLockedError": Exit.LOCKED,
    "billing.runs.PeriodNotDrawnError": Exit.NOTHING_TO_DO,
    "billing.webhooks.DeliveryUnknownError": Exit.BAD_INPUT,
    "billing.webhooks.EndpointDisabledError": Exit.ERROR,
    "billing.webhooks.EndpointUnchangedError": Exit.NOTHING_TO_DO,
    "billing.webhooks.EndpointUnknownError": Exit.BAD_INPUT,
    "cli.invoices.InvoiceMismatchError": Exit.USAGE,
    "billing.verifier_usage.FaultError": Exit.BAD_INPUT,
    "billing.store.cluster.errors.ClusterError": Exit.ERROR,
    "billing.store.cluster.errors.DataFolderFullError": Exit.OUTSIDE_FAILED,
    "billing.store.cluster.errors.DataFolderUnusableError": Exit.USAGE,
    "billing.store.cluster.errors.ClusterNotStartedError": Exit.OUTSIDE_FAILED,
    "billing.store.addresses.AddressInvalidError": Exit.USAGE,
    "billing.store.addresses.ServerUnreachableError": Exit.OUTSIDE_FAILED,
    "cli.db.SettingsInvalidError": Exit.USAGE,
    "cli.world.FileUnreadableError": Exit.BAD_INPUT,
    "psycopg.OperationalError": Exit.OUTSIDE_FAILED,
    "psycopg.errors.LockNotAvailable": Exit.LOCKED,
    "sqlalchemy.exc.OperationalError": Exit.OUTSIDE_FAILED,
    "builtins.OSError": Exit.ERROR,
}
"""The qualified name of a class of errors -> the exit code of a command that ends with one."""


def exit_of(error: BaseException) -> Exit | None:
    """The exit code of an expected error; None for one that nobody expected."""
    names = (f"{base.__module__}.{base.__qualname__}" for base in type(error).__mro__)
    return next((EXITS[name] for name in names if name in EXITS), None)


def words_of(error: BaseException) -> list[str]:
    """What an error says, a line for each thing. Other people's errors, which ramble on, are one line."""
    if type(error).__module__.partition(".")[0] in {"rates", "billing", "cli"}:
        return str(error).splitlines() or [type(error).__name__]
    if isinstance(error, OSError) and error.filename is not None:
        return [f"{error.filename}: {(error.strerror or '').lower()}"]
    # SQLAlchemy wraps the driver's error, and adds where to read about it.
    said = str(getattr(error, "orig", None) or error)
    return [" ".join(said.split()) or type(error).__name__]
