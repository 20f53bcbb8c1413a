"""The two ways a file comes in: sent to us, or fetched by us from an outside URL."""

from collections.abc import AsyncIterator
from urllib.parse import unquote, urlsplit

from asset_store.domain import CLIENT_BYTES_MAX, KINDS, OUTPUT_BYTES_MAX, Asset, Intake, Origin, clean_name
from asset_store.ports import AssetRecords, Sink, Web
from asset_store.usecases.store import StoreFile
from kit.errors import InvalidArgument
from kit.tickets import Ticket, TicketSigner

ACTION = "upload"


class UploadAsset:
    """Stores a file that is sent to us."""

    def __init__(self, *, tickets: TicketSigner, store: StoreFile) -> None:
        self._tickets = tickets
        self._store = store

    async def __call__(self, token: str, *, name: str, kind: str, chunks: AsyncIterator[bytes]) -> Asset:
        """Store the chunks as the ticket allows. Raises TicketInvalid before it takes a byte, and as StoreFile."""
        ticket = self._tickets.verify(token, action=ACTION)
        origin = Origin.OUTPUT if ticket.job_id else Origin.UPLOAD

        async def pour(sink: Sink) -> None:
            async for chunk in chunks:
                await sink(chunk)

        return await self._store(_intake(ticket, origin, name=name, kind=kind), pour)


class FetchAsset:
    """Stores the file behind an outside URL."""

    def __init__(self, *, tickets: TicketSigner, store: StoreFile, records: AssetRecords, web: Web) -> None:
        self._tickets = tickets
        self._store = store
        self._records = records
        self._web = web

    async def __call__(self, token: str, url: str, *, name: str, kind: str) -> Asset:
        """Fetch and store. Raises as UploadAsset, and InputFetchRefused.

        A ticket with an asset id is good for one asset: once that is stored from this URL it is returned without
        asking the URL again, so that a worker's second try gets the very bytes of its first.
        """
        ticket = self._tickets.verify(token, action=ACTION)
        if ticket.asset_id:
            known = await self._records.find(ticket.asset_id, client_id=ticket.client_id)
            if known is not None and known.source_url == url:
                return known
        intake = _intake(ticket, Origin.URL, name=name or _last_part(url), kind=kind, source_url=url)

        async def pour(sink: Sink) -> None:
            await self._web.fetch(url, sink, bytes_max=intake.bytes_max)

        return await self._store(intake, pour)


class VetUrl:
    """Tells whether an outside URL may be fetched."""

    def __init__(self, *, web: Web) -> None:
        self._web = web

    async def __call__(self, url: str) -> None:
        """Return if it may. Raises InputFetchRefused."""
        await self._web.vet(url)


def _intake(ticket: Ticket, origin: Origin, *, name: str, kind: str, source_url: str = "") -> Intake:
    if kind and kind not in KINDS.values():
        raise InvalidArgument('The kind is "image", "video", "vector" or empty.', field="kind")
    usual = OUTPUT_BYTES_MAX if origin is Origin.OUTPUT else CLIENT_BYTES_MAX
    return Intake(
        client_id=ticket.client_id,
        origin=origin,
        bytes_max=min(ticket.bytes_max or usual, OUTPUT_BYTES_MAX),
        asset_id=ticket.asset_id,
        kinds=frozenset({ticket.kind, kind} - {""}),
        name=clean_name(name),
        # What a job reads is the client's; only what it makes is the job's.
        job_id=ticket.job_id if origin is Origin.OUTPUT else "",
        source_url=source_url,
        retention_s=ticket.retention_s,
    )


def _last_part(url: str) -> str:
    try:
        return unquote(urlsplit(url).path, errors="replace").rstrip("/")
    except ValueError:
        return ""
