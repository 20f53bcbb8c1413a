"""Wiring of the asset store: the same for a process of its own and inside the standalone."""

import asyncio
import secrets
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from asset_store.api import AssetServicer, UseCases
from asset_store.blobs_folder import INCOMING, FolderBlobs
from asset_store.config import AssetStoreSettings
from asset_store.events import SUBJECTS, JobEvents
from asset_store.inspector import PictureInspector
from asset_store.jobs_rpc import RpcJobs
from asset_store.pages import PageTokens
from asset_store.ports import BlobStore
from asset_store.spool import FolderSpool
from asset_store.sql import CONSUMER, SqlAssetRecords, SqlLinkRecords, SqlUpkeep
from asset_store.usecases.delete import Erase
from asset_store.usecases.links import CreateLink, OpenLink
from asset_store.usecases.outputs import DecideOutputs, FindAsset, SettleOutputs
from asset_store.usecases.read import ReadAsset
from asset_store.usecases.records import DeleteAsset, ListAssets
from asset_store.usecases.store import StoreFile
from asset_store.usecases.sweep import Sweep
from asset_store.usecases.take import FetchAsset, UploadAsset, VetUrl
from asset_store.web import WalledWeb
from atelier.assets.v1.asset_service_pb2_grpc import add_AssetServiceServicer_to_server
from kit.events import OutboxRelay
from kit.ids import new_id
from kit.rpc import AnyServer
from kit.service import Resources
from kit.tasks import end
from kit.tickets import TicketSigner
from kit.web import Resolver, WallPolicy

NAME: Final = "asset-store"


class AssetStore:
    """The asset store, ready to be put on a server."""

    name = NAME

    def __init__(self, settings: AssetStoreSettings, resources: Resources, *, resolver: Resolver | None = None) -> None:
        """Build everything; nothing runs yet. Raises ValueError for settings that cannot work.

        `resolver` is the system's unless a test brings its own.
        """
        self._settings = settings
        self._blobs = _blobs(settings)
        self._spool = FolderSpool(_spool_folder(settings))
        self._inspector = PictureInspector(processes=settings.decoders)
        self._web = WalledWeb(_wall(settings), resolver=resolver)
        records, upkeep = SqlAssetRecords(resources.database), SqlUpkeep(resources.database)
        links = SqlLinkRecords(resources.database)
        tickets = TicketSigner(settings.internal_secret)
        erase = Erase(blobs=self._blobs, records=records)
        decide = DecideOutputs(jobs=RpcJobs(resources.connect(settings.jobs_target)), upkeep=upkeep, erase=erase)
        find = FindAsset(records=records, decide=decide)
        store = StoreFile(
            spool=self._spool,
            inspector=self._inspector,
            blobs=self._blobs,
            records=records,
            new_id=lambda: new_id("asset"),
            random_bytes=secrets.token_bytes,
        )
        self._servicer = AssetServicer(
            UseCases(
                upload=UploadAsset(tickets=tickets, store=store),
                fetch=FetchAsset(tickets=tickets, store=store, records=records, web=self._web),
                vet=VetUrl(web=self._web),
                read=ReadAsset(tickets=tickets, records=records, blobs=self._blobs),
                find=find,
                list=ListAssets(records=records, decide=decide, tokens=PageTokens(settings.internal_secret)),
                delete=DeleteAsset(find=find, records=records, erase=erase),
                create_link=CreateLink(find=find, links=links, random_bytes=secrets.token_bytes),
                open_link=OpenLink(links=links, tickets=tickets),
            )
        )
        self.sweep = Sweep(
            upkeep=upkeep,
            erase=erase,
            decide=decide,
            blobs=self._blobs,
            spool=self._spool,
            clock=resources.clock,
        )
        # Nothing of ours is ever put into the outbox, but the relay is also who prunes the inbox.
        self._relay = OutboxRelay(resources.database, resources.bus)
        self._tasks: list[asyncio.Task[None]] = []
        resources.bus.subscribe(CONSUMER, SUBJECTS, JobEvents(SettleOutputs(upkeep=upkeep, erase=erase)))

    def register(self, server: AnyServer) -> None:
        """Put the servicer on a server."""
        server.add(add_AssetServiceServicer_to_server, self._servicer)

    async def start(self) -> None:
        """Check the store, begin to sweep, warm a decoder. Raises DependencyUnavailable when bytes cannot be kept."""
        await self._blobs.check()
        self._inspector.warm()
        self._tasks = [
            asyncio.create_task(self.sweep.run(self._settings.sweep_every_s), name="sweep-assets"),
            asyncio.create_task(self._relay.run(), name="relay-assets"),
        ]

    async def stop(self) -> None:
        """Stop sweeping and free processes, threads and connections."""
        await end(*self._tasks)
        await self._inspector.stop()
        await self._web.close()
        await self._blobs.close()
        self._spool.close()


def _blobs(settings: AssetStoreSettings) -> BlobStore:
    if not settings.s3_endpoint:
        return FolderBlobs(settings.folder)
    from asset_store.blobs_s3 import S3Blobs, S3Place  # The SDK takes a quarter of a second to import.

    return S3Blobs(
        S3Place(
            endpoint=settings.s3_endpoint,
            bucket=settings.s3_bucket,
            access_key=settings.s3_access_key,
            secret_key=settings.s3_secret_key,
            region=settings.s3_region,
            prefix=settings.s3_prefix,
            path_style=settings.s3_path_style,
            ca_file=settings.s3_ca_file,
        )
    )


def _spool_folder(settings: AssetStoreSettings) -> Path:
    return Path(settings.spool) if settings.spool else settings.folder / INCOMING


def _wall(settings: AssetStoreSettings) -> WallPolicy:
    own = urlsplit(settings.public_url)
    port = own.port or (443 if own.scheme == "https" else 80)
    return WallPolicy(
        allow=WallPolicy.parse_allow(settings.allow_private_targets),
        own_hosts=frozenset({f"{own.hostname}:{port}"} if own.hostname else ()),
    )
