"""Files that commands write beside their output: whole or not at all, and never over what somebody may still need."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import typer


def check_target(option: str, path: Path, *, overwrite: bool) -> None:
    """Refuse to write to a folder, or over a file that holds something. Raises typer.BadParameter."""
    if path.is_dir():
        raise typer.BadParameter(f"{option} {path} is a folder; name a file in it")
    if path.is_file() and path.stat().st_size and not overwrite:
        raise typer.BadParameter(
            f"{option} {path} is there already and holds something; name another file, or say --overwrite"
        )


@contextmanager
def writing_whole(path: Path, *, or_nothing: bool = False) -> Iterator[BinaryIO]:
    """A file to write, which has its name when the block ends; until then what had the name before stays.

    Also where the block ends with an error: what was written till then is true. With `or_nothing` it is not, and what
    had the name before stays. Raises OSError before the block begins
    where it cannot be written there.
    """
    if path.exists() and not path.is_file():  # a device or a pipe
        with path.open("wb") as stream:
            yield stream
        return
    target = path.resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        file = part.open("wb")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    with file:
        try:
            yield file
        except BaseException:
            if or_nothing:
                part.unlink()
            else:
                _give_name(file, part, target)
            raise
        _give_name(file, part, target)


def _give_name(file: BinaryIO, part: Path, target: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    part.replace(target)
