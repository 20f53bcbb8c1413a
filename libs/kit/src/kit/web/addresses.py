"""Which addresses the wall lets a request go to: pure judgement, no I/O.

The ranges are our own and not `ipaddress.is_global`, because that property calls several dangerous ranges global on
the Python versions we support (NAT64, 6to4, multicast, site-local, a cloud's metadata address, and more).
"""

from collections.abc import Sequence
from enum import Enum, auto
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

IPV4_DENIED: tuple[IPv4Network, ...] = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # "this network"; Linux connects 0.0.0.0 to loopback
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier NAT; one cloud's metadata lives here
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "168.63.129.16/32",  # a cloud's host agent, on an address that looks public
    )
)

# Everything outside global unicast is denied without being named: loopback, link-local, unique local, site-local,
# multicast, NAT64 (64:ff9b::/96 and 64:ff9b:1::/48), IPv4-compatible and 5f00::/16.
IPV6_GLOBAL_UNICAST = IPv6Network("2000::/3")
IPV6_DENIED: tuple[IPv6Network, ...] = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which carries an IPv4 address inside
        "3fff::/20",  # documentation
    )
)
_IPV4_MAPPED = IPv6Network("::ffff:0:0/96")
_IPV4_MAPPED_BITS = 96


class Standing(Enum):
    """How the wall sees one address."""

    PUBLIC = auto()  #: An ordinary address of the internet.
    ALLOWED = auto()  #: In a range that the operator opened by hand.
    DENIED = auto()


def unwrap(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped IPv6 one (`::ffff:1.2.3.4`); any other address as it is."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def parse_address(text: str) -> Address:
    """Read an address as a resolver or a socket gives it. Raises ValueError."""
    return unwrap(ip_address(text))


def judge(address: Address, *, allow: Sequence[Network], deny: Sequence[Network]) -> Standing:
    """Judge one address. The operator's `deny` beats the operator's `allow`, which beats the built-in ranges."""
    address = unwrap(address)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return Standing.DENIED  # A zone makes it an address of this machine's own links.
    if any(address in network for network in deny):
        return Standing.DENIED
    if any(address in network for network in allow):
        return Standing.ALLOWED
    return Standing.PUBLIC if _is_public(address) else Standing.DENIED


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in IPV4_DENIED)
    return address in IPV6_GLOBAL_UNICAST and not any(address in network for network in IPV6_DENIED)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read comma-separated addresses or CIDRs (`10.1.2.3, 10.8.0.0/16, fd00::/8`); empty text gives none.

    Raises ValueError naming the entry, also when a CIDR has host bits set (`10.1.2.3/8`): a range that opens the wall
    is written exactly or not at all.
    """
    return tuple(_parse_network(entry.strip()) for entry in text.split(",") if entry.strip())


def _parse_network(entry: str) -> Network:
    try:
        network = ip_network(entry)
    except ValueError as error:
        raise ValueError(f"{entry!r} is not an address or a CIDR: {error}") from error
    if isinstance(network, IPv6Network) and network.subnet_of(_IPV4_MAPPED):
        inner = network.network_address.ipv4_mapped
        return IPv4Network((int(inner or 0), network.prefixlen - _IPV4_MAPPED_BITS))
    return network
