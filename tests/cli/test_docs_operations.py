"""`docs/operations.md`: a dump that is restored into a fresh server goes on; its tables say what the program does."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from billing.store.embedded import Address, Cluster, binary, ensure_running
from cli.settings import Settings
from tests.cli.conftest import Tollbook, with_changes

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.*?)(?:    # exit code (\d+))?$", PAGE, flags=re.MULTILINE)
BY_THE_STORE = {"TOLLBOOK_DATA", "TOLLBOOK_PG_BIN", "TOLLBOOK_PRODUCTS", "TOLLBOOK_JURISDICTIONS"}


def column(heading: str) -> list[str]:
    """The first cells of the table under a heading, which stand in backticks."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)


def test_all_settings_are_told() -> None:
    fields = Settings.model_fields
    names = {str(of.validation_alias or f"TOLLBOOK_{name.upper()}") for name, of in fields.items()}
    assert sorted(names | BY_THE_STORE) == sorted(column("Settings"))


def test_what_holds_without_a_setting_is_what_the_page_says() -> None:
    rows = dict(re.findall(r"^\| `TOLLBOOK_(\w+)` \|.*\| `([^`]+)` \|$", PAGE, flags=re.MULTILINE))
    plain = Settings.model_construct()
    told = {name: str(getattr(plain, name.lower())).lower() for name in rows}
    assert told == {name: value.lower() for name, value in rows.items()}
    assert len(rows) > 8


def test_all_figures_are_told() -> None:
    import_module("billing.server.metrics")
    told = [(each.name, each.type) for each in REGISTRY.collect() if each.name.startswith("tollbook")]
    names = [f"{name}_total" if kind == "counter" else name for name, kind in told]
    assert sorted(names) == sorted(column("Alive, ready, figures, logs"))


@pytest.fixture
def elsewhere(new_cluster: Callable[..., Cluster]) -> Address:
    """A fresh server, with an empty database."""
    return ensure_running(new_cluster("elsewhere"), lambda _: None)


def test_what_was_dumped_is_restored_elsewhere_and_goes_on(
    month: Path, cluster: Cluster, elsewhere: Address, tollbook: Tollbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(month)
    monkeypatch.setenv("PATH", f"{binary(cluster, 'pg_dump').parent}:{os.environ['PATH']}")
    monkeypatch.setenv("TOLLBOOK_MODE", "test")
    monkeypatch.setenv("RESTORED", elsewhere.libpq_uri)
    assert 0 == tollbook("keys", "add", "switch-1", "--scope", "ingest").code
    before = statement(tollbook)
    (month / "usage.ndjson").write_text("\n".join(with_changes(id=f"c{n}") for n in (7, 8)))
    printed = {}
    for line, code in COMMANDS:
        words = shlex.split(os.path.expandvars(line))
        if words[0] == "export":
            monkeypatch.setenv(*words[1].split("=", 1))
            assert before == statement(tollbook)
        elif words[0] == "tollbook":
            ran = tollbook(*words[1:])
            assert int(code or 0) == ran.code, f"{line}: exit code {ran.code}\n{ran.out}\n{ran.err}"
            printed[" ".join(words[1:3])] = ran.out + ran.err
        else:
            subprocess.run(words, check=True)
    assert "switch-1" in printed["keys list"]
    assert before != statement(tollbook), "what was sent after the dump counts there"
    assert 0 == tollbook("verify", "2026-10").code


def statement(tollbook: Tollbook) -> str:
    """What October has come to, without when that was asked."""
    ran = tollbook("statement", "acme", "--period", "2026-10", "--format", "csv")
    assert 0 == ran.code
    return ran.out


def test_a_dump_is_of_all_commands() -> None:
    """The page has each of the steps that a restored database is to go through."""
    assert ["pg_dump", "pg_restore", "export"] == [line.split()[0] for line, _ in COMMANDS[:3]]
    assert {"migrate", "usage", "verify", "keys"} == {line.split()[1] for line, _ in COMMANDS[3:]}
