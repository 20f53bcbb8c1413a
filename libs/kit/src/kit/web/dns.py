"""From a vetted target to the one address that will be dialled."""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from kit.web.addresses import Address, Standing, parse_address
from kit.web.policy import WallPolicy
from kit.web.refusal import Refusal
from kit.web.target import Target

RESOLVE_S: Final = 3.0  # A healthy resolver answers in milliseconds, a cold one within two seconds.
# Own threads, because the system's resolver cannot be interrupted: a dead name server then starves only look-ups.
_LOOKUPS_AT_ONCE_MAX: Final = 16
# EAI_NODATA is a GNU extension: the name exists, but has no address.
_NO_SUCH_NAME: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


class Resolver(Protocol):
    """Asks for the addresses of a name."""

    async def lookup(self, host: str, *, local_names: bool) -> Sequence[str]:
        """All addresses (A and AAAA), best first; empty if the name has none or does not exist.

        `local_names` asks for the hosts file and the search domains too; without it the name is absolute, so that
        `db.prod` can never become `db.prod.svc.cluster.local`. Raises OSError when the resolver itself fails.
        """
        ...

    async def aclose(self) -> None:
        """Give back what the resolver holds. Look-ups under way are abandoned."""
        ...


class SystemResolver:
    """The resolver of the operating system."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE_MAX, thread_name_prefix="web-dns")

    async def lookup(self, host: str, *, local_names: bool) -> Sequence[str]:
        """See Resolver."""
        name = host if local_names else host + "."
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _getaddrinfo, name)

    async def aclose(self) -> None:
        """See Resolver."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _getaddrinfo(name: str) -> list[str]:
    try:
        # No AI_ADDRCONFIG: an AAAA answer counts even where this machine has no IPv6, for any denied one refuses all.
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME:
            return []
        raise
    return [str(sockaddr[0]) for *_, sockaddr in found]


async def resolve(target: Target, policy: WallPolicy, resolver: Resolver, *, timeout_s: float = RESOLVE_S) -> Address:
    """Look the target's name up once and return the address to dial; every address of the name must be permitted.

    Nobody looks the name up again after this, so a name that changes its mind (DNS rebinding) gains nothing.
    Raises Refusal.
    """
    if target.literal is not None:
        return target.literal
    try:
        async with asyncio.timeout(timeout_s):
            found, only_allowed = await _lookup(target, policy, resolver)
        addresses = [parse_address(text) for text in found]
    except TimeoutError as error:
        raise Refusal("resolve_timeout") from error
    except (OSError, ValueError) as error:
        raise Refusal.of("resolve_failed", error) from error
    if not addresses:
        raise Refusal("name_unknown")
    for address in addresses:
        standing = policy.standing(address)
        if standing is Standing.DENIED or (only_allowed and standing is not Standing.ALLOWED):
            raise Refusal("address_denied", address=str(address))
    return addresses[0]


async def _lookup(target: Target, policy: WallPolicy, resolver: Resolver) -> tuple[Sequence[str], bool]:
    """The addresses found, and whether each must be in an allow range."""
    if target.only_allowed:
        return await resolver.lookup(target.host, local_names=True), True
    found = await resolver.lookup(target.host, local_names=False)
    if found or not policy.allow:
        return found, False
    # An on-premises host may be known to the hosts file alone, and is then held to the allow ranges.
    return await resolver.lookup(target.host, local_names=True), True
