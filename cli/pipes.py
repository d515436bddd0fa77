"""Output to a reader who may leave before the end, as `head` does: the command then ends at once, and says nothing."""

import io
import os
from typing import TYPE_CHECKING, TextIO

from cli.exits import Exit

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Watched(io.FileIO):
    """Ends the program when nobody reads it any more.

    By SystemExit, here where it is noticed: libraries on the way have their own idea of a broken pipe (exit code 1).
    """

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            # What is still buffered goes nowhere, also at the interpreter's end.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            raise SystemExit(Exit.READER_LEFT) from None


def watched(stream: TextIO | None) -> TextIO | None:
    """The same output, watched; None where the shell closed it. Not of a stream that is no file."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Watched(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        newline="\n",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
