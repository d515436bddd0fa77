"""Names in paths: a slash in one, written as `%2F`, is a part of the name and no step of the path.

Servers decode a path before it is routed, and then nobody can tell. So such a slash is handed on as a control
character, which no name has, and turned back where the name is read.
"""

import re
from http import HTTPStatus
from typing import Annotated
from urllib.parse import unquote

from fastapi import Path
from pydantic import AfterValidator
from starlette.types import ASGIApp, Receive, Scope, Send

from billing.accounts import LONGEST_ID
from billing.server.problems import ProblemError

_STAND_IN = "\x1f"


def _name(text: str) -> str:
    name = text.replace(_STAND_IN, "/")
    if re.search("[\x00-\x1f\x7f-\x9f]", name):  # nothing is called so
        raise ProblemError(HTTPStatus.NOT_FOUND, "not-found", "nothing has such a name")
    return name


PathName = Annotated[
    str,
    Path(description="Percent-encoded; a slash in it as `%2F`.", min_length=1, max_length=LONGEST_ID),
    AfterValidator(_name),
]
"""A name as a part of a path."""


class EncodedSlashes:
    """Keeps slashes that are parts of names from being steps of a path."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        raw: bytes = scope.get("raw_path") or b""
        if b"%2f" in raw.lower():
            path = raw.decode("latin-1").replace("%2f", "%2F")
            scope["path"] = _STAND_IN.join(unquote(part) for part in path.split("%2F"))
        await self.app(scope, receive, send)
