"""What can go wrong with an embedded PostgreSQL. Every error names the place, the problem and the remedy."""

from pathlib import Path


class ClusterError(Exception):
    """Base of them all. `place` is the folder to look at, `remedy` what a person can do about it."""

    def __init__(self, problem: str, *, place: Path, remedy: str) -> None:
        super().__init__(f"{place}: {problem}; {remedy}")
        self.problem = problem
        self.place = place
        self.remedy = remedy


class BinariesMissingError(ClusterError):
    """No PostgreSQL that is new enough was found, or it lacks a program."""


class DataFolderUnusableError(ClusterError):
    """The data folder cannot be created or entered, is another user's, or has a name that cannot be used."""


class DataFolderFullError(DataFolderUnusableError):
    """There is no room in the data folder: where it is, is right."""


class DataVersionMismatchError(ClusterError):
    """The data was written by another major version of PostgreSQL than the one found."""


class SocketFolderUnsafeError(ClusterError):
    """The socket folder belongs to someone else, or others may enter it."""


class ClusterNotStartedError(ClusterError):
    """PostgreSQL could not be initialised or started; `problem` ends with its own last words."""


# What PostgreSQL says (in English: its locale is C), and what a person does about it. The first match counts.
_REMEDIES = (
    ("No space left on device", "free disk space there and run the command again: nothing committed is lost"),
    (
        "Disk quota exceeded",
        "raise the quota or free space, and run the command again: nothing committed is lost",
    ),
    ("Read-only file system", "mount it writable, or set TOLLBOOK_DATA to a folder that is"),
    (
        "still in use",
        "processes of an earlier server still run on this data: end them and run the command again",
    ),
    ('"postmaster.pid" already exists', "another server uses this data: end it (its number is in that file) first"),
    ("Cannot allocate memory", "free memory, or raise the memory limit of the container"),
    (
        "look up effective user",
        "give this user id a name in /etc/passwd, or set DATABASE_URL to a running server",
    ),
    ("wrong ownership", "run the command as the owner of the data folder"),
    (
        "Permission denied",
        "let the server's user enter every folder of this path, or set TOLLBOOK_DATA to another",
    ),
)


def remedy_for(words: str, *, otherwise: str) -> str:
    """What to do about PostgreSQL's own `words`; `otherwise` if nothing better is known."""
    return next((remedy for said, remedy in _REMEDIES if said in words), otherwise)
