"""WalletService: translates, and lets use-cases decide."""

from typing import Any

from atelier.billing.v1 import wallet_service_pb2, wallet_service_pb2_grpc
from billing.api import mapping
from billing.api.callers import OPERATORS
from billing.api.statements import StatementRpcs
from billing.usecases import Adjust, GrantUnits, ReadBooks, RefundJob, SetMark, Statements, VerifyBooks
from kit import identity


class WalletService(StatementRpcs, wallet_service_pb2_grpc.WalletServiceServicer):
    """Wallets and the books."""

    def __init__(
        self,
        *,
        grant: GrantUnits,
        adjust: Adjust,
        refund: RefundJob,
        set_mark: SetMark,
        read: ReadBooks,
        statements: Statements,
        verify: VerifyBooks,
    ) -> None:
        """Serve these use-cases."""
        super().__init__(statements)
        self._grant = grant
        self._adjust = adjust
        self._refund = refund
        self._set_mark = set_mark
        self._read = read
        self._verify = verify

    async def GetBalance(
        self, request: wallet_service_pb2.GetBalanceRequest, context: Any
    ) -> wallet_service_pb2.GetBalanceResponse:
        """For the client of the call's identity."""
        balances = await self._read.balances(identity.require_client())
        return wallet_service_pb2.GetBalanceResponse(balances=map(mapping.from_balance, balances))

    async def Grant(self, request: wallet_service_pb2.GrantRequest, context: Any) -> wallet_service_pb2.GrantResponse:
        """For operators."""
        identity.require_service(*OPERATORS)
        granted = await self._grant(mapping.to_grant(request))
        return wallet_service_pb2.GrantResponse(balance=mapping.from_balance(granted.balance), reused=granted.reused)

    async def Adjust(
        self, request: wallet_service_pb2.AdjustRequest, context: Any
    ) -> wallet_service_pb2.AdjustResponse:
        """For operators."""
        identity.require_service(*OPERATORS)
        balance = await self._adjust(mapping.to_adjustment(request))
        return wallet_service_pb2.AdjustResponse(balance=mapping.from_balance(balance))

    async def RefundJob(
        self, request: wallet_service_pb2.RefundJobRequest, context: Any
    ) -> wallet_service_pb2.RefundJobResponse:
        """For operators."""
        identity.require_service(*OPERATORS)
        refunded = await self._refund(mapping.to_refund(request))
        return wallet_service_pb2.RefundJobResponse(
            amount=mapping.from_amount(refunded.given),
            balance=mapping.from_balance(refunded.balance),
            reused=refunded.reused,
        )

    async def SetLowBalanceMark(
        self, request: wallet_service_pb2.SetLowBalanceMarkRequest, context: Any
    ) -> wallet_service_pb2.SetLowBalanceMarkResponse:
        """For operators."""
        identity.require_service(*OPERATORS)
        balance = await self._set_mark(mapping.to_mark(request))
        return wallet_service_pb2.SetLowBalanceMarkResponse(balance=mapping.from_balance(balance))

    async def VerifyLedger(
        self, request: wallet_service_pb2.VerifyLedgerRequest, context: Any
    ) -> wallet_service_pb2.VerifyLedgerResponse:
        """For operators."""
        identity.require_service(*OPERATORS)
        return mapping.from_proof(await self._verify(books_only=request.books_only))
