"""What passes in the database is told as passing over HTTP too, and waited for by whoever stores usage."""

import psycopg
import psycopg.errors
import pytest

from billing.server.problems import status_of
from billing.store.outages import is_passing

_KINDS = sorted(
    {each for each in vars(psycopg.errors).values() if isinstance(each, type) and issubclass(each, psycopg.Error)},
    key=lambda each: each.__name__,
)


@pytest.mark.parametrize("kind", [each for each in _KINDS if each.sqlstate and is_passing(each())])
def test_what_passes_is_told_as_503(kind: type[psycopg.Error]) -> None:
    assert 503 == status_of(kind())
