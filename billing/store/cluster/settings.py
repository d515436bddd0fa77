"""The settings of an embedded PostgreSQL."""

import os
from contextlib import suppress
from pathlib import Path

from billing.store.cluster.folders import PORT, Cluster

_MIB = 2**20


def configuration(cluster: Cluster, *, memory_bytes: int, wal_compression: str) -> str:
    """The text of the configuration file, for a machine (or container) with so much memory."""
    buffers = max(32, min(512, memory_bytes // _MIB // 8))
    settings = {
        # Reached through the socket only. Whoever may enter its folder is the server's user or root, and can read
        # the data anyway: so pg_hba.conf trusts local connections, and refuses all others.
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(cluster.socket_folder),
        "unix_socket_permissions": "0700",
        "max_connections": "64",
        "cluster_name": "tollbook",
        # Acknowledged means committed, and committed means on the disk.
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "hot_standby": "off",  # what answers can be written to, also after a restore of archived logs
        "wal_compression": wal_compression,
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "shared_buffers": f"{buffers}MB",
        "effective_cache_size": f"{max(64, memory_bytes // _MIB // 2)}MB",
        "work_mem": "16MB",
        "maintenance_work_mem": f"{max(32, buffers // 2)}MB",
        "random_page_cost": "1.1",
        "jit": "off",
        # POSIX segments in /dev/shm vanish when the user who started the server logs out (systemd's RemoveIPC), and
        # a container's /dev/shm holds 64 MB.
        "dynamic_shared_memory_type": "mmap",
        "max_locks_per_transaction": "128",  # partitions
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "logging_collector": "on",
        "log_directory": "../log",
        "log_filename": "postgresql-%a.log",
        "log_rotation_age": "1d",
        "log_truncate_on_rotation": "on",  # a week of logs, no more
        "log_line_prefix": "%m [%p] %q%u@%d ",
        # Rows and parameters hold phone numbers: no details, no statements. The client is told them all the same.
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
        "log_parameter_max_length": "0",
        **cluster.settings,
    }
    quoted = {name: value.replace("'", "''") for name, value in settings.items()}
    lines = (f"{name} = '{value}'\n" for name, value in quoted.items())
    return "# Written anew at every start.\n" + "".join(lines)


def memory_bytes() -> int:
    """The memory of this machine, or of this container if it has less."""
    amounts = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # ValueError: "max", no limit
            amounts.append(int(Path(limit).read_text()))
    return min(amounts)
