"""Ids for records that have none: the hash of the record, and the how-manieth of its equals in the file it is.

So a file may be imported again, and two records that are truly equal count twice. How often each hash was seen is kept
in a scratch file on disk, a library's sorted tree and nothing of the store, so that memory does not grow with the file.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

_BYTES = 16
_CACHE_KIB = 4096


def _scratch() -> sqlite3.Connection:
    """An empty table that is on disk as soon as it is large, and gone with the process."""
    # The stream is read by a thread of its own, one at a time.
    found = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    found.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    found.execute("PRAGMA journal_mode = OFF")
    found.execute("PRAGMA synchronous = OFF")
    found.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID")
    return found


@dataclass(slots=True, kw_only=True)
class Occurrences:
    """How often each record of a file was there before."""

    _seen: sqlite3.Connection = field(default_factory=_scratch)

    def ids(self, records: Sequence[bytes]) -> list[str]:
        """The ids of n records, in their order: 32 hexadecimal digits, a dash, and the occurrence from 1."""
        digests = [blake2b(record, digest_size=_BYTES).digest() for record in records]
        counted = "INSERT INTO seen VALUES (?, 1) ON CONFLICT (digest) DO UPDATE SET times = times + 1 RETURNING times"
        self._seen.execute("BEGIN")
        times = [self._seen.execute(counted, (digest,)).fetchone()[0] for digest in digests]
        self._seen.execute("COMMIT")
        return [f"{digest.hex()}-{occurrence}" for digest, occurrence in zip(digests, times, strict=True)]
