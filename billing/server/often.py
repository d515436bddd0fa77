"""Routes that are asked very often: answered before the framework looks for a route and makes its arguments.

They stand among the others too, and are documented there; whatever is not exactly one of them goes on to those.
"""

from collections.abc import Iterable
from traceback import clear_frames

from fastapi import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from billing.server.callers import reporter
from billing.server.problems import answer_to
from billing.server.world import World


class Often:
    """Answers routes that have no parameters and take a request, the world, and a key that reports usage."""

    def __init__(self, app: ASGIApp, world: World, routes: Iterable[BaseRoute]) -> None:
        self.app, self.world = app, world
        known = [route for route in routes if isinstance(route, Route)]
        self._routes = {(method, route.path): route for route in known for method in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = route  # for the log
        request = Request(scope, receive)
        try:
            answer = await route.endpoint(request, self.world, await reporter(request, self.world))
        except Exception as error:
            expected = answer_to(error)
            if expected is None:
                raise
            answer = expected
            clear_frames(error.__traceback__)  # they hold the body, and may be garbage for long
        await answer(scope, receive, send)
