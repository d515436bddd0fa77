"""Which figures are taken, and what is printed of them at the end."""

from pathlib import Path

import pytest

from tests.conformance.figures import KEPT, SHARED, cases
from tests.conformance.report import Judged, plain_lines

PROPERTY = "conformance"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--vectors", metavar="DIR", help="judge the published figures in this directory, and no others")


def pytest_configure(config: pytest.Config) -> None:
    given = config.getoption("--vectors", default=None)
    if given is not None and not any(Path(given).glob("*.json")):
        raise pytest.UsageError(f"--vectors {given}: there is no *.json in it")


@pytest.fixture(scope="session")
def directories(pytestconfig: pytest.Config) -> list[Path]:
    """Where the figures are that are judged."""
    return chosen(pytestconfig)


def chosen(config: pytest.Config) -> list[Path]:
    """The directory that was asked for; else what is kept in the project, and what lies beside it."""
    given = config.getoption("--vectors", default=None)
    if given is None:
        return [KEPT, SHARED]
    return [Path(given)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        found = cases(chosen(metafunc.config))
        metafunc.parametrize("case", found, ids=map(str, found))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [each for kind in terminalreporter.stats.values() for each in kind]
    found = [
        Judged(*value)
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == PROPERTY and getattr(report, "when", "") == "call"
    ]
    if found:
        terminalreporter.section("conformance with published figures")
        for line in plain_lines(found):
            terminalreporter.line(line)
