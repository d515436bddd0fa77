"""The service on a database of its own, for the tests of its routes."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.store.embedded import Cluster, create_database, drop_database
from tests.serving import Served, serving


@pytest.fixture(scope="module")
def database_url(cluster: Cluster, migrated: str) -> Iterator[str]:
    """A database with the newest schema for all tests of a module."""
    name = f"test_{uuid.uuid4().hex}"
    try:
        yield create_database(cluster, name, migrated).libpq_uri
    finally:
        drop_database(cluster, name)


@pytest.fixture(scope="module")
def served(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The service, for all tests of a module."""
    folder: Path = tmp_path_factory.mktemp("served")
    with serving(database_url, folder) as running:
        yield running
