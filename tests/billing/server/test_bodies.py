"""Bodies that are made to cost much: taking them apart takes time in proportion to their bytes."""

import gzip
import time

import pytest

from billing.server.bodies import payloads_of
from billing.server.problems import ProblemError

PACKED = {"content-type": "application/x-ndjson", "content-encoding": "gzip"}


def test_quotes_without_an_end_behind_brackets_without_end_are_read_once() -> None:
    """Sixty kilobytes: they are taken apart on the event loop, where everybody else would wait for them."""
    began = time.monotonic()
    with pytest.raises(ProblemError, match="nested too deeply"):
        payloads_of(b"[" * 3_000 + b'"' + b'\\"' * 28_000, {})
    assert time.monotonic() - began < 1


def test_a_gzip_of_some_members_is_read_whole_and_one_of_very_many_is_refused() -> None:
    """Each member costs a copy of all that follow it."""
    some = b"".join(gzip.compress(b'{"id":"%d"}\n' % number) for number in range(300))
    assert 300 == len(payloads_of(some, PACKED))
    began = time.monotonic()
    with pytest.raises(ProblemError, match="more than 1,000 members"):
        payloads_of(gzip.compress(b"") * 100_000, PACKED)
    assert time.monotonic() - began < 1
