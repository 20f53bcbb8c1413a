"""The whole HTTP edge in front of a gateway and an asset store that answer as a test tells them."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from edge.app import build_app
from edge.backend import Backend
from edge.config import EdgeSettings
from kit.errors import AppError

Answer = Any  # A message, an AppError to raise, or a function of the request that returns one of them.


class FakeStub:
    """A stub whose RPCs answer as they are told, and remember what they were asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, Any, dict[str, str]]] = []  #: RPC, request, metadata.

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(request: Any, *, timeout: float, metadata: Any = ()) -> Any:
            assert timeout > 0
            self.asked.append((name, request, dict(metadata)))
            answer = self.answers[name]
            answer = answer(request) if callable(answer) else answer
            if isinstance(answer, AppError):
                raise answer
            return answer

        return call

    def requests(self, name: str) -> list[Any]:
        """What one RPC was asked."""
        return [request for rpc, request, _ in self.asked if rpc == name]


class Front:
    """The edge and the fakes behind it."""

    def __init__(self, **settings: Any) -> None:
        self.gateway, self.assets, self.providers = FakeStub(), FakeStub(), FakeStub()
        stubs: Any = {"gateway": self.gateway, "assets": self.assets, "providers": self.providers}
        backend = Backend(**stubs)  # Fakes by duck typing.
        self.app = build_app(EdgeSettings(internal_secret=SecretStr("i" * 32), **settings), backend)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://edge.test")


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """An edge with default settings."""
    made = Front()
    yield made
    await made.http.aclose()
