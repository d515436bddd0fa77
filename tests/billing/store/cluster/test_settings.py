from dataclasses import replace
from pathlib import Path

import pytest

from billing.store.cluster.binaries import Binaries
from billing.store.cluster.folders import Cluster
from billing.store.cluster.settings import configuration, memory_bytes

GIB = 2**30
CLUSTER = Cluster(
    data=Path("/srv/tollbook"),
    binaries=Binaries(folder=Path("/opt/pg/bin"), major=18, minor=4, origin="a test"),
    socket_folder=Path("/srv/tollbook/socket"),
)


def text(cluster: Cluster = CLUSTER, *, memory: int = GIB) -> list[str]:
    return configuration(cluster, memory_bytes=memory, wal_compression="lz4").splitlines()


def test_what_is_committed_is_on_the_disk() -> None:
    assert {"fsync = 'on'", "synchronous_commit = 'on'", "full_page_writes = 'on'"} <= set(text())


def test_it_listens_on_its_socket_and_never_on_the_network() -> None:
    assert {"listen_addresses = ''", "unix_socket_directories = '/srv/tollbook/socket'"} <= set(text())


@pytest.mark.parametrize(
    ("memory", "buffers"), [(GIB // 8, "32MB"), (GIB, "128MB"), (4 * GIB, "512MB"), (64 * GIB, "512MB")]
)
def test_shared_buffers_are_an_eighth_of_the_memory_within_bounds(memory: int, buffers: str) -> None:
    assert f"shared_buffers = '{buffers}'" in text(memory=memory)


def test_settings_passed_in_go_over_the_built_in_ones() -> None:
    lines = text(replace(CLUSTER, settings={"fsync": "off"}))
    assert ["fsync = 'off'"] == [line for line in lines if line.startswith("fsync")]


def test_a_quote_in_a_value_is_doubled() -> None:
    assert "cluster_name = 'o''clock'" in text(replace(CLUSTER, settings={"cluster_name": "o'clock"}))


def test_the_machine_has_some_memory() -> None:
    assert memory_bytes() > 64 * 2**20
