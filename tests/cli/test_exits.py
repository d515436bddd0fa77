"""The one map from errors to exit codes."""

import errno
import importlib
import os
from pathlib import Path

import psycopg
import pytest
import sqlalchemy.exc

from billing.errors import InputFaultyError
from billing.runs import PeriodLockedError
from billing.store.cluster.errors import DataFolderUnusableError
from billing.store.cluster.folders import usable
from cli.exits import EXITS, Exit, exit_of, words_of
from rates.errors import CardFaultyError, Fault, TollbookError

FAULT = Fault(place="rates.csv:417 prefixes", value="4.95E+12", problem="is destroyed", remedy="mend it")


@pytest.mark.parametrize("name", EXITS)
def test_each_name_is_that_of_a_class_of_errors(name: str) -> None:
    """They are names so that nothing is imported for them; here they are held against the classes."""
    module, _, cls = name.rpartition(".")
    found = getattr(importlib.import_module(module), cls)
    assert issubclass(found, BaseException)
    assert exit_of(found.__new__(found)) == EXITS[name]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TollbookError("x"), Exit.ERROR),
        (CardFaultyError([FAULT]), Exit.BAD_INPUT),
        (InputFaultyError([FAULT]), Exit.BAD_INPUT),
        (PeriodLockedError("x"), Exit.LOCKED),
        (psycopg.OperationalError("down"), Exit.OUTSIDE_FAILED),
        (psycopg.errors.LockNotAvailable("held"), Exit.LOCKED),
        (sqlalchemy.exc.OperationalError("", {}, psycopg.OperationalError("down")), Exit.OUTSIDE_FAILED),
        (FileNotFoundError(2, "No such file", "x"), Exit.ERROR),
    ],
)
def test_what_went_wrong_decides_the_code(error: Exception, code: Exit) -> None:
    assert code == exit_of(error)


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), AssertionError("x"), ZeroDivisionError("x")])
def test_a_defect_is_not_an_expected_error(error: Exception) -> None:
    assert exit_of(error) is None


def test_own_errors_say_each_fault_on_a_line() -> None:
    words = words_of(CardFaultyError([FAULT, FAULT], place="card.toml"))
    assert 3 == len(words)
    assert 'rates.csv:417 prefixes "4.95E+12": is destroyed; mend it' == words[1]


def test_others_errors_are_one_line() -> None:
    wrapped = sqlalchemy.exc.OperationalError("", {}, psycopg.OperationalError("connection failed\n\tis it running?"))
    assert ["connection failed is it running?"] == words_of(wrapped)
    assert ["/x: no space left on device"] == words_of(OSError(28, "No space left on device", "/x"))


def test_a_full_disk_is_no_wrong_call_and_the_command_can_be_run_again(tmp_path: Path) -> None:
    """Where the data lies is right; a folder that cannot be used is what was asked for wrongly."""
    for number, code in ((errno.ENOSPC, Exit.OUTSIDE_FAILED), (errno.EACCES, Exit.USAGE)):
        with pytest.raises(DataFolderUnusableError) as raised, usable(tmp_path):
            raise OSError(number, os.strerror(number))
        assert code == exit_of(raised.value)
