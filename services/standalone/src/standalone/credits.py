"""The operator's commands on wallets: call, print."""

from dataclasses import dataclass
from typing import Final

from rich.console import Console

from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from atelier.common.v1 import money_pb2
from atelier.gateway.v1 import client_admin_service_pb2 as admin_pb2
from kit.ids import new_id
from standalone.bootstrap import CALL_TIMEOUT_S, UNITS, OperatorStubs
from standalone.operator import stubs
from standalone.place import Place
from standalone.tables import print_table
from standalone.times import from_moment, to_moment

UNIT_NAMES: Final = {unit: name for name, unit in UNITS.items()}
_out = Console()


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a grant is made."""

    expires: str = ""
    priority: int = 0
    grant_id: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why the books are changed by hand, and by whom."""

    id: str
    reason: str
    author: str


async def grant(place: Place, client_id: str, amount: int, *, unit: str, terms: Terms) -> None:
    request = wallet_pb2.GrantRequest(
        grant_id=terms.grant_id or new_id("grant"),
        client_id=client_id,
        amount=money_pb2.Amount(unit=to_unit(unit), value=amount),
        expire_time=to_moment(terms.expires, day_ends=True),
        priority=terms.priority,
        note=terms.note,
    )
    async with stubs(place) as operator:
        await _known(operator, client_id)
        answer = await operator.wallets.Grant(request, timeout=CALL_TIMEOUT_S)
    done = "had been granted before" if answer.reused else "granted"
    _say(f"{client_id}: {amount} {unit} {done}; {answer.balance.available} available")


async def adjust(place: Place, client_id: str, delta: int, *, unit: str, cause: Cause) -> None:
    request = wallet_pb2.AdjustRequest(
        adjustment_id=cause.id or new_id("adjust"),
        client_id=client_id,
        unit=to_unit(unit),
        delta=delta,
        reason=cause.reason,
        author=cause.author,
    )
    async with stubs(place) as operator:
        await _known(operator, client_id)
        answer = await operator.wallets.Adjust(request, timeout=CALL_TIMEOUT_S)
    _say(f"{client_id}: {delta:+} {unit}; {answer.balance.available} available")


async def refund(place: Place, job_id: str, amount: int, *, cause: Cause) -> None:
    request = wallet_pb2.RefundJobRequest(
        refund_id=cause.id or new_id("refund"),
        job_id=job_id,
        amount=amount,
        reason=cause.reason,
        author=cause.author,
    )
    async with stubs(place) as operator:
        answer = await operator.wallets.RefundJob(request, timeout=CALL_TIMEOUT_S)
    done = "had been refunded before" if answer.reused else "refunded"
    unit = UNIT_NAMES[answer.amount.unit]
    _say(f"{job_id}: {answer.amount.value} {unit} {done}; {answer.balance.available} available")


async def alert(place: Place, client_id: str, *, unit: str, below: int) -> None:
    request = wallet_pb2.SetLowBalanceMarkRequest(client_id=client_id, unit=to_unit(unit), below=below)
    async with stubs(place) as operator:
        await _known(operator, client_id)
        answer = await operator.wallets.SetLowBalanceMark(request, timeout=CALL_TIMEOUT_S)
    left = answer.balance.available
    if not below:
        _say(f"{client_id}: no alert for {unit}")
    else:
        low = ", which is low already" if left < below else ""
        _say(f"{client_id}: low below {below} {unit}; {left} available{low}")


async def balance(place: Place, client_id: str) -> None:
    async with stubs(place) as operator:
        await _known(operator, client_id)
        answer = await operator.balance_of(client_id, timeout_s=CALL_TIMEOUT_S)
    rows = [
        (UNIT_NAMES[line.unit], str(line.available), str(line.held), str(line.spent), from_moment(line.expire_time))
        for line in answer.balances
    ]
    print_table(("unit", "available", "held", "spent", "next expiry"), rows)


def to_unit(name: str) -> "money_pb2.Unit":
    """Return the unit of that name. Raises ValueError."""
    if name not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(UNITS)}")
    return UNITS[name]


async def _known(operator: OperatorStubs, client_id: str) -> None:
    """Raise ClientNotFound: a typing error must not open a wallet that nobody can spend from."""
    await operator.clients.GetClient(admin_pb2.GetClientRequest(client_id=client_id), timeout=CALL_TIMEOUT_S)


def _say(text: str) -> None:
    _out.print(text, highlight=False, markup=False, soft_wrap=True)
