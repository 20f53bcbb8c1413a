"""What one deployment lets its outgoing requests do."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Final

from kit.web.addresses import Address, Network, Standing, judge, parse_networks

PORTS_DEFAULT: Final = frozenset({80, 443})

# Names that mean "inside": this machine, this network, this cluster. A single label (`intranet`) counts as one too.
INNER_SUFFIXES: Final = (
    "localhost",
    "localdomain",
    "local",
    "internal",
    "svc",
    "cluster.local",
    "home.arpa",
)
# Names of the clouds' metadata services. No allow range opens these.
METADATA_NAMES: Final = frozenset(
    {
        "metadata",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.azure.com",
        "metadata.azure.internal",
        "metadata.tencentyun.com",
        "metadata.platformequinix.com",
        "metadata.packet.net",
        "instance-data",
        "instance-data.ec2.internal",
        "rancher-metadata",
    }
)


@dataclass(frozen=True, kw_only=True)
class WallPolicy:
    """The rules of the wall for one deployment; never per client.

    An address in an `allow` range (environment: `ATELIER_ALLOW_PRIVATE_TARGETS`) is an on-premises host that the
    operator vouches for, so three rules are lifted for it: its range may be private, it may have any port, and it may
    be reached by an inner name (`assets.corp.internal`) provided that every address of that name is allowed. The rest
    of the wall stays: metadata names, our own hosts, the operator's `deny`, redirects, limits.
    """

    #: Ranges that the operator opens. Empty by default.
    allow: Sequence[Network] = ()
    #: Ranges that the operator closes besides the built-in ones. Beats `allow`.
    deny: Sequence[Network] = ()
    #: Ports permitted on any public host besides 80 and 443.
    allow_ports: Set[int] = frozenset()
    #: Our own names, lower case, as `host` or `host:port`: a request to ourselves is never what a client needs.
    own_hosts: Set[str] = frozenset()

    @staticmethod
    def parse_allow(text: str) -> tuple[Network, ...]:
        """Read `ATELIER_ALLOW_PRIVATE_TARGETS`: comma-separated addresses or CIDRs. Raises ValueError."""
        return parse_networks(text)

    def standing(self, address: Address) -> Standing:
        """How the wall of this deployment sees the address."""
        return judge(address, allow=self.allow, deny=self.deny)

    def permits_port(self, port: int) -> bool:
        """Whether the port may be used on a public host."""
        return port in PORTS_DEFAULT or port in self.allow_ports

    def denies_host(self, host: str, port: int) -> bool:
        """Whether the host is a metadata service or ourselves, which nothing opens."""
        with_port = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return host in METADATA_NAMES or host in self.own_hosts or with_port in self.own_hosts


def is_inner_name(host: str) -> bool:
    """Whether the name (lower case, no trailing dot) belongs to this machine, network or cluster."""
    return "." not in host or any(host.endswith("." + suffix) for suffix in INNER_SUFFIXES)
