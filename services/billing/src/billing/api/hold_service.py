"""HoldService: translates, and lets use-cases decide."""

from typing import Any

from atelier.billing.v1 import hold_service_pb2, hold_service_pb2_grpc
from billing.api import mapping
from billing.api.callers import SETTLERS
from billing.usecases import PlaceHold, ReadBooks, SettleHold
from kit import identity


class HoldService(hold_service_pb2_grpc.HoldServiceServicer):
    """Money for jobs."""

    def __init__(self, *, place_hold: PlaceHold, settle_hold: SettleHold, read: ReadBooks) -> None:
        """Serve these use-cases."""
        self._place_hold = place_hold
        self._settle_hold = settle_hold
        self._read = read

    async def PlaceHold(
        self, request: hold_service_pb2.PlaceHoldRequest, context: Any
    ) -> hold_service_pb2.PlaceHoldResponse:
        """For the client of the call's identity."""
        order = mapping.to_hold_order(request, client_id=identity.require_client())
        hold = await self._place_hold(order)
        return hold_service_pb2.PlaceHoldResponse(hold=mapping.from_hold(hold))

    async def SettleHold(
        self, request: hold_service_pb2.SettleHoldRequest, context: Any
    ) -> hold_service_pb2.SettleHoldResponse:
        """For the house."""
        identity.require_service(*SETTLERS)
        hold = await self._settle_hold(mapping.to_settlement(request))
        return hold_service_pb2.SettleHoldResponse(hold=mapping.from_hold(hold))

    async def GetHold(self, request: hold_service_pb2.GetHoldRequest, context: Any) -> hold_service_pb2.GetHoldResponse:
        """For the house."""
        identity.require_service(*SETTLERS)
        hold = await self._read.hold(request.hold_id)
        return hold_service_pb2.GetHoldResponse(hold=mapping.from_hold(hold))
