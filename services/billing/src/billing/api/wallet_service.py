"""WalletService: translates, and lets use-cases decide."""

from typing import Any, Final

from atelier.billing.v1 import wallet_service_pb2, wallet_service_pb2_grpc
from billing.api import mapping
from billing.api.callers import OPERATORS
from billing.usecases import Adjust, GrantUnits, ReadBooks
from kit import identity
from kit.errors import Unimplemented

PAGE_SIZE_DEFAULT: Final = 50


class WalletService(wallet_service_pb2_grpc.WalletServiceServicer):
    """Wallets and the books."""

    def __init__(self, *, grant: GrantUnits, adjust: Adjust, read: ReadBooks) -> None:
        """Serve these use-cases."""
        self._grant = grant
        self._adjust = adjust
        self._read = read

    async def GetBalance(
        self, request: wallet_service_pb2.GetBalanceRequest, context: Any
    ) -> wallet_service_pb2.GetBalanceResponse:
        """For the client of the call's identity."""
        balances = await self._read.balances(identity.require_client())
        return wallet_service_pb2.GetBalanceResponse(balances=map(mapping.from_balance, balances))

    async def Grant(self, request: wallet_service_pb2.GrantRequest, context: Any) -> wallet_service_pb2.GrantResponse:
        """For operators. Grants that expire are refused until they do."""
        identity.require_service(*OPERATORS)
        if request.HasField("expire_time"):
            raise Unimplemented("Grants that expire are not built yet.", field="expire_time")
        granted = await self._grant(mapping.to_grant(request))
        return wallet_service_pb2.GrantResponse(balance=mapping.from_balance(granted.balance), reused=granted.reused)

    async def Adjust(
        self, request: wallet_service_pb2.AdjustRequest, context: Any
    ) -> wallet_service_pb2.AdjustResponse:
        """For operators."""
        identity.require_service(*OPERATORS)
        balance = await self._adjust(mapping.to_adjustment(request))
        return wallet_service_pb2.AdjustResponse(balance=mapping.from_balance(balance))

    async def ListEntries(
        self, request: wallet_service_pb2.ListEntriesRequest, context: Any
    ) -> wallet_service_pb2.ListEntriesResponse:
        """For operators."""
        identity.require_service(*OPERATORS)
        query = ("entries", request.client_id, request.job_id)
        page = await self._read.entries(
            request.client_id,
            job_id=request.job_id,
            before=mapping.from_page_token(request.page_token, query=query),
            page_size=request.page_size or PAGE_SIZE_DEFAULT,
        )
        return wallet_service_pb2.ListEntriesResponse(
            entries=map(mapping.from_entry, page.entries),
            next_page_token=mapping.to_page_token(page.next_before, query=query),
        )

    async def VerifyLedger(
        self, request: wallet_service_pb2.VerifyLedgerRequest, context: Any
    ) -> wallet_service_pb2.VerifyLedgerResponse:
        """For operators."""
        identity.require_service(*OPERATORS)
        return mapping.from_proof(await self._read.prove())

    async def QuotePrice(
        self, request: wallet_service_pb2.QuotePriceRequest, context: Any
    ) -> wallet_service_pb2.QuotePriceResponse:
        """Not built yet."""
        raise Unimplemented
