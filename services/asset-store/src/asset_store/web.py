"""Outside URLs, through the house's wall (`kit.web`)."""

from asset_store.ports import Sink
from kit.web import FetchLimits, Resolver, SystemResolver, WallPolicy, WebClient
from kit.web.dns import resolve
from kit.web.refusal import Refusal, refused
from kit.web.target import judge_url

FIELD = "url"


class WalledWeb:
    """See `Web`."""

    def __init__(self, policy: WallPolicy, *, resolver: Resolver | None = None) -> None:
        """`resolver` is the system's unless a test brings its own."""
        self._policy = policy
        self._resolver = resolver or SystemResolver()
        self._client = WebClient(policy, resolver=self._resolver)

    async def fetch(self, url: str, sink: Sink, *, bytes_max: int) -> None:
        """See `Web.fetch`."""
        await self._client.fetch(url, sink, FetchLimits(body_bytes_max=bytes_max), field_name=FIELD)

    async def vet(self, url: str) -> None:
        """See `Web.vet`. Looks the name up too, so that a private target is refused when it is handed in."""
        try:
            target = judge_url(url, self._policy)
            await resolve(target, self._policy, self._resolver)
        except Refusal as refusal:
            raise refused(refusal, field_name=FIELD) from refusal

    async def close(self) -> None:
        """Give back the resolver's threads."""
        await self._client.aclose()
