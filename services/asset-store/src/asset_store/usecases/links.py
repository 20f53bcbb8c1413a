"""Public names of assets: unguessable, and good without any header."""

from collections.abc import Callable
from typing import Final

from asset_store.domain import Asset
from asset_store.ports import LinkRecords
from asset_store.usecases.outputs import FindAsset
from kit.errors import AssetNotFound
from kit.tickets import Ticket, TicketSigner

TOKEN_BYTES: Final = 16
TICKET_TTL_S: Final = 300.0  # Long enough to begin the download that the link was opened for.
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN_CHARS: Final = 22  # 62 ** 22 > 2 ** 128


class CreateLink:
    """Makes an asset's public name."""

    def __init__(self, *, find: FindAsset, links: LinkRecords, random_bytes: Callable[[int], bytes]) -> None:
        self._find = find
        self._links = links
        self._random_bytes = random_bytes

    async def __call__(self, asset_id: str, variant: str, *, client_id: str, expire_ms: int | None) -> str:
        """Return the token; the same one for the same (asset, variant) while it works. Raises AssetNotFound."""
        await self._find(asset_id, client_id=client_id)
        token = base62(self._random_bytes(TOKEN_BYTES))
        return await self._links.ensure(asset_id, variant, token=token, expire_ms=expire_ms)


class OpenLink:
    """Turns a public name into leave to read."""

    def __init__(self, *, links: LinkRecords, tickets: TicketSigner) -> None:
        self._links = links
        self._tickets = tickets

    async def __call__(self, token: str) -> tuple[str, Asset]:
        """Return a read ticket and the record. Raises AssetNotFound."""
        asset = await self._links.open(token)
        if asset is None:
            raise AssetNotFound
        ticket = Ticket(action="read", client_id=asset.client_id, asset_id=asset.id)
        return self._tickets.sign(ticket, TICKET_TTL_S), asset


def base62(data: bytes) -> str:
    """Write 16 bytes as 22 characters of base 62."""
    assert len(data) == TOKEN_BYTES
    number = int.from_bytes(data, "big")
    text = ""
    for _ in range(_TOKEN_CHARS):
        number, digit = divmod(number, len(_BASE62))
        text = _BASE62[digit] + text
    return text
