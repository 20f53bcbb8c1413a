"""Wiring of the gateway: the same for a process of its own and inside the standalone."""

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

from atelier.assets.v1 import asset_service_pb2_grpc as assets_grpc
from atelier.billing.v1 import wallet_service_pb2_grpc as wallet_grpc
from atelier.gateway.v1 import client_admin_service_pb2_grpc, gateway_service_pb2_grpc
from atelier.jobs.v1 import job_admin_service_pb2_grpc as job_admin_grpc
from atelier.jobs.v1 import job_service_pb2_grpc as jobs_grpc
from catalog import load
from gateway.admin_api import ClientAdminServicer
from gateway.api import GatewayServicer
from gateway.clients import GrpcInputs, GrpcJobs, HttpReviewer, WallSender, WallWebhooks
from gateway.config import GatewaySettings
from gateway.consumer import SUBJECTS, JobEventConsumer
from gateway.domain import Day
from gateway.quotes import SignedQuotes
from gateway.secrets import Vault
from gateway.sql import CONSUMER, SqlUnitOfWork
from gateway.tokens import HttpKeySource, PublishedKeys, TokenVerifier
from gateway.usecases.authenticate import Authenticate
from gateway.usecases.clients import ManageClients, ManageDeliveries
from gateway.usecases.deliver import QueueDelivery, SendDeliveries
from gateway.usecases.inputs import CheckInputs
from gateway.usecases.limit import LimitRate
from gateway.usecases.moderate import Moderate
from gateway.usecases.quote import QuoteJob
from gateway.usecases.submit import Submit
from gateway.wordlist import WordList
from kit.events import OutboxRelay
from kit.rpc import AnyServer
from kit.service import Resources
from kit.tasks import end
from kit.tickets import TicketSigner
from kit.web import WallPolicy, WebClient

NAME = "gateway"


class Gateway:
    """The gateway, ready to be put on a server."""

    name = NAME

    def __init__(self, settings: GatewaySettings, resources: Resources) -> None:
        """Build everything; nothing runs yet. Raises CatalogInvalid, ValueError for settings that cannot work."""
        policy = WallPolicy(allow=WallPolicy.parse_allow(settings.allow_private_targets))
        self._web = WebClient(policy)
        self._reviewer = HttpReviewer(settings.moderation_url) if settings.moderation_url else None
        words = WordList.read(settings.moderation_words) if settings.moderation_words else WordList([])
        uow = SqlUnitOfWork(resources.database)
        vault = Vault(settings.vault_secret)
        self._key_source = HttpKeySource(settings.jwks_url) if settings.jwks_url else None
        tokens = TokenVerifier(
            secret=settings.jwt_secret,
            published=PublishedKeys(self._key_source) if self._key_source else None,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
        )
        catalog = load(settings.catalog_dir)
        tickets = TicketSigner(settings.internal_secret)
        timezone = ZoneInfo(settings.timezone)
        orchestrator = resources.connect(settings.jobs_target)
        jobs = jobs_grpc.JobServiceStub(orchestrator)
        assets = assets_grpc.AssetServiceStub(resources.connect(settings.assets_target))
        wallets = wallet_grpc.WalletServiceStub(resources.connect(settings.billing_target))
        authenticate = Authenticate(uow=uow, vault=vault, configured_keys=settings.configured_keys(), tokens=tokens)
        self._deliveries = SendDeliveries(
            uow=uow,
            sender=WallSender(self._web),
            secret=settings.zhinian_webhook_secret,
            now_ms=resources.clock.now_ms,
        )
        inputs = CheckInputs(inputs=GrpcInputs(assets, tickets))
        quotes = SignedQuotes(settings.internal_secret, now_ms=resources.clock.now_ms)
        self._front = GatewayServicer(
            authenticate=authenticate,
            limit_rate=LimitRate(),
            submit=Submit(
                catalog=catalog,
                jobs=GrpcJobs(jobs),
                inputs=inputs,
                webhooks=WallWebhooks(policy),
                moderate=Moderate(words=words, reviewer=self._reviewer),
                quotes=quotes,
                today=lambda: Day.at(datetime.fromtimestamp(resources.clock.now_ms() / 1000, tz=timezone)),
            ),
            quote=QuoteJob(catalog=catalog, inputs=inputs, quotes=quotes),
            catalog=catalog,
            jobs=jobs,
            wallets=wallets,
            assets=assets,
            job_admin=job_admin_grpc.JobAdminServiceStub(orchestrator),
            tickets=tickets,
            vault=vault,
        )
        self._admin = ClientAdminServicer(
            clients=ManageClients(uow=uow, vault=vault, forget=authenticate.forget),
            deliveries=ManageDeliveries(uow=uow, poke=self._deliveries.poke),
        )
        queue_delivery = QueueDelivery(uow=uow, poke=self._deliveries.poke)
        resources.bus.subscribe(CONSUMER, SUBJECTS, JobEventConsumer(jobs=jobs, queue_delivery=queue_delivery))
        # The gateway publishes nothing, but the relay is also who prunes the inbox.
        self._relay = OutboxRelay(resources.database, resources.bus)
        self._tasks: list[asyncio.Task[None]] = []

    def register(self, server: AnyServer) -> None:
        """Put the servicers on a server."""
        server.add(gateway_service_pb2_grpc.add_GatewayServiceServicer_to_server, self._front)
        server.add(client_admin_service_pb2_grpc.add_ClientAdminServiceServicer_to_server, self._admin)

    async def start(self) -> None:
        """Begin to send webhooks."""
        self._tasks = [
            asyncio.create_task(self._deliveries.run(), name="send-webhooks"),
            asyncio.create_task(self._relay.run(), name="relay-gateway"),
        ]

    async def stop(self) -> None:
        """Stop sending; what is under way is sent again after a restart."""
        await end(*self._tasks)
        await self._web.aclose()
        for client in (self._reviewer, self._key_source):
            if client is not None:
                await client.aclose()
