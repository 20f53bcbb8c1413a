"""One route a path: a wrong method is refused with all that the path takes, and never reaches a later pattern."""

from collections.abc import Iterable, Mapping

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send


def one_a_path(routes: Iterable[BaseRoute]) -> list[BaseRoute]:
    """Merge HTTP routes of the same path at the place of the first one; leave all others as they are.

    Starlette looks on for a pattern that takes the method: `GET /tasks/submit` would be answered by `/tasks/{name}`,
    and the `Allow` of a refusal would hold the methods of one route only.
    """
    merged: dict[str, BaseRoute] = {}
    by_path: dict[str, dict[str, ASGIApp]] = {}
    for index, route in enumerate(routes):
        if not isinstance(route, Route):
            merged[f"{index}:"] = route
            continue
        methods = by_path.setdefault(route.path, {})
        methods.update(dict.fromkeys(route.methods or (), route.app))
        if route.path not in merged:
            merged[route.path] = Route(route.path, _Methods(methods))
    return list(merged.values())


class _Methods:
    """The endpoints of one path by method."""

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self._apps = apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._apps.get(scope["method"])
        if app is None:
            raise HTTPException(405, headers={"allow": ", ".join(sorted(self._apps))})
        await app(scope, receive, send)
