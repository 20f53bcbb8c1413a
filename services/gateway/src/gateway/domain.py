"""Clients, credentials and webhook deliveries: plain data that refuses to be wrong."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

CLIENT_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
SECRET_CHARS_MAX: Final = 256
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


class CredentialKind(StrEnum):
    """How a client proves who it is."""

    API_KEY = "api_key"
    APP = "app"
    USER_KEY = "user_key"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a client may do at most; 0 means no limit."""

    requests_per_second: int = 0
    burst: int = 0
    jobs_in_flight: int = 0
    jobs_per_day: int = 0

    def __post_init__(self) -> None:
        if min(self.requests_per_second, self.burst, self.jobs_in_flight, self.jobs_per_day) < 0:
            raise ValueError("limits are never negative")


@dataclass(frozen=True, kw_only=True)
class Day:
    """A day of the deployment's calendar, by which daily quotas are counted."""

    number: int  #: Days since 1970-01-01.
    left_s: float  #: Seconds until the next one.

    @staticmethod
    def at(moment: datetime) -> "Day":
        """Return the day of a moment in its own time zone; days there may be an hour longer or shorter."""
        tomorrow = datetime.combine(moment.date() + timedelta(days=1), time(), moment.tzinfo)
        left_s = tomorrow.timestamp() - moment.timestamp()
        return Day(number=moment.date().toordinal() - _EPOCH_ORDINAL, left_s=left_s)


@dataclass(frozen=True, kw_only=True)
class Client:
    """Somebody who may submit jobs and who pays for them."""

    id: str
    disabled: bool = False
    user_id: str = ""  #: The points contract's user id; empty for none.
    limits: Limits = Limits()
    models: tuple[str, ...] = ()  #: Empty means all.
    ip_allow: tuple[str, ...] = ()  #: Addresses and CIDRs; empty means from everywhere.
    weight: int = 1
    create_ms: int = 0

    def __post_init__(self) -> None:
        if not CLIENT_ID.fullmatch(self.id):
            raise ValueError(f"not a client id: {self.id!r}")
        for text in self.ip_allow:
            ipaddress.ip_network(text, strict=False)

    def may_use(self, model: str) -> bool:
        return not self.models or model in self.models

    def may_call_from(self, address: str) -> bool:
        """Tell whether the address is on the allow-list; an unknown address is not, unless there is no list."""
        if not self.ip_allow:
            return True
        try:
            caller = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(caller, ipaddress.IPv6Address) and caller.ipv4_mapped:
            caller = caller.ipv4_mapped
        return any(caller in ipaddress.ip_network(text, strict=False) for text in self.ip_allow)


@dataclass(frozen=True, kw_only=True)
class Credential:
    """One way in. The secret itself is never kept in the clear."""

    id: str
    client_id: str
    kind: CredentialKind
    lookup: str  #: Keyed hash of the secret (hex), or the app id: what an incoming credential is found by.
    sealed_secret: bytes = b""  #: Only for apps: their secret, encrypted, because signatures need it.
    hint: str = ""  #: The last four characters, or the app id.
    revoked: bool = False
    expire_ms: int | None = None
    create_ms: int = 0


class DeliveryState(StrEnum):
    """Where a webhook message stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One webhook message to one URL."""

    id: str  #: The `webhook-id`, the same on every try.
    client_id: str
    job_id: str
    url: str
    body: bytes  #: The exact bytes that are signed and sent.
    state: DeliveryState = DeliveryState.PENDING
    tries: int = 0
    last_status: int = 0  #: HTTP status of the last try; 0 when there was no answer.
    next_try_ms: int | None = None
    create_ms: int = 0


#: Seconds before each try (Standard Webhooks): 28 hours in all, then the delivery is exhausted.
TRY_DELAYS_S: Final[Sequence[int]] = (0, 5, 300, 1800, 7200, 18000, 36000, 36000)
TRY_JITTER: Final = 0.2  # ± a fifth, so that the deliveries of an outage do not come back as one wave.
RETRY_AFTER_S_MAX: Final = 24 * 3600


def delay_before_try_s(tries: int, *, jitter: float, retry_after_s: float | None = None) -> float | None:
    """Seconds until the next try after `tries` failed ones; None when they are exhausted.

    `jitter` is a number between -1 and 1; `retry_after_s` is the receiver's wish, honoured within limits.
    """
    if tries >= len(TRY_DELAYS_S):
        return None
    planned = TRY_DELAYS_S[tries] * (1 + TRY_JITTER * jitter)
    if retry_after_s is None:
        return planned
    return max(planned, min(max(retry_after_s, 1.0), RETRY_AFTER_S_MAX))
