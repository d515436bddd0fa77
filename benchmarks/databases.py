"""Databases to measure in: a server as in production, fsync and all, in a folder of its own that is thrown away."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from billing.store.cluster.binaries import find_binaries
from billing.store.embedded import (
    Address,
    Cluster,
    StopMode,
    cluster_at,
    create_database,
    drop_database,
    ensure_running,
    stop,
)
from billing.store.engine import open_engine
from billing.store.migrate import migrate

_TEMPLATE = "template_benchmark"


@contextmanager
def server(settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """A running server, with an empty database of this schema to make others from."""
    folder = Path(tempfile.mkdtemp(prefix="tollbook-benchmark-"))
    folder.chmod(0o755)  # root's server runs as somebody else
    cluster = cluster_at(folder / "data", find_binaries(os.environ), settings)
    try:
        ensure_running(cluster, _silent)
        engine = open_engine(create_database(cluster, _TEMPLATE).sqlalchemy_url)
        migrate(engine)
        engine.dispose()  # nobody may be connected to what is copied
        yield cluster
    finally:
        stop(cluster, _silent, StopMode.IMMEDIATE)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(cluster.socket_folder, ignore_errors=True)


def restarted(cluster: Cluster, settings: Mapping[str, str]) -> Cluster:
    """The server with other settings, and what it wrote on the disk."""
    stop(cluster, _silent)
    os.sync()  # without fsync, stopping leaves it to the kernel
    again = replace(cluster, settings=settings)
    ensure_running(again, _silent)
    return again


def fresh(cluster: Cluster, name: str) -> Address:
    """An empty database of this schema, in place of the last one of that name."""
    drop_database(cluster, name)
    return create_database(cluster, name, _TEMPLATE)


def _silent(_: str) -> None:
    pass
