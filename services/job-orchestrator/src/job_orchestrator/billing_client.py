"""The port `Billing` over billing's contract."""

from typing import Final

from atelier.billing.v1 import hold_pb2, hold_service_pb2
from atelier.billing.v1.hold_service_pb2_grpc import HoldServiceStub
from job_orchestrator.domain.order import Amount, Order
from job_orchestrator.mapping.job import to_price_proto, to_timestamp
from job_orchestrator.ports import Hold
from kit.identity import acting_as
from kit.rpc import Channel

# A hold is one transaction: it takes milliseconds, and what waits behind it is a partner's request.
HOLD_TIMEOUT_S: Final = 5.0


class GrpcBilling:
    """Holds by RPC. A call whose outcome is unknown may be repeated: billing knows a hold by its id."""

    def __init__(self, channel: Channel) -> None:
        """Call through `channel`."""
        self._stub = HoldServiceStub(channel)

    async def place_hold(self, order: Order, *, expire_ms: int) -> Hold:
        """See `Billing.place_hold`."""
        request = hold_service_pb2.PlaceHoldRequest(
            hold_id=order.job_id,
            price=to_price_proto(order.price),
            expire_time=to_timestamp(expire_ms),
            model=order.model,
        )
        with acting_as(order.client_id):
            response = await self._stub.PlaceHold(request, timeout=HOLD_TIMEOUT_S)
        hold = response.hold
        return Hold(
            amount=Amount(unit=hold.amount.unit, value=hold.amount.value),
            resolved=hold.state != hold_pb2.HOLD_STATE_HELD,
        )

    async def release_hold(self, *, job_id: str, client_id: str) -> None:
        """See `Billing.release_hold`."""
        request = hold_service_pb2.SettleHoldRequest(hold_id=job_id, amount=0)
        with acting_as(client_id):
            await self._stub.SettleHold(request, timeout=HOLD_TIMEOUT_S)
