"""Safe outgoing HTTP: the wall between what partners write (input URLs, webhooks) and our network.

A URL goes through four gates, in this order and once each: its text (`target`), the addresses behind its name
(`dns`, judged by `addresses` and `policy`), the socket that was really opened (`dialer`), and the reply's limits
(`exchange`, `client`). A redirect starts again at the first gate.

A second wall belongs to the deployment: an egress policy or a proxy around the processes that use this one.
"""

from kit.web.addresses import Address, Network
from kit.web.client import Fetched, FetchLimits, Posted, Sink, WebClient
from kit.web.dns import Resolver, SystemResolver
from kit.web.policy import WallPolicy
from kit.web.refusal import TargetUnreachable, may_pass
from kit.web.retry_after import retry_after_s
from kit.web.target import Target, vet

__all__ = [
    "Address",
    "FetchLimits",
    "Fetched",
    "Network",
    "Posted",
    "Resolver",
    "Sink",
    "SystemResolver",
    "Target",
    "TargetUnreachable",
    "WallPolicy",
    "WebClient",
    "may_pass",
    "retry_after_s",
    "vet",
]
