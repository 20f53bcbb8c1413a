"""The partners' receiver of webhooks: it takes every message and remembers which job it told of."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Final, Self

from testkit.web import Site, respond

PATH: Final = "/hook"
#: For the deployment's environment: the receiver is on this machine.
ENVIRONMENT: Final[Mapping[str, str]] = {"ATELIER_ALLOW_PRIVATE_TARGETS": "127.0.0.1"}


class Hooks:
    """Listens on a free port."""

    def __init__(self) -> None:
        self._site = Site({PATH: respond(b"")})

    async def __aenter__(self) -> Self:
        await self._site.__aenter__()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._site.__aexit__(None, None, None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._site.port}{PATH}"

    @property
    def told(self) -> dict[str, set[tuple[str, str]]]:
        """Job → the distinct messages about it, as (id, status): a message may be sent again, but stays the same."""
        found: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for request in self._site.requests:
            job = json.loads(request.body)["job"]
            found[job["id"]].add((request.headers["webhook-id"], job["status"]))
        return dict(found)
