"""Opens the connection of one request: to the vetted address and no other."""

import asyncio
import ssl
from typing import Final

import certifi
import httpcore

from kit.web.addresses import Address, parse_address
from kit.web.refusal import Refusal
from kit.web.target import Target

# What dialling may raise besides our own Refusal: the socket's trouble and TLS trouble.
_DIAL_ERRORS: Final = (httpcore.NetworkError, httpcore.TimeoutException, OSError, ssl.SSLError, EOFError)


class Dialer:
    """Connects to exactly the address it is given, with the name's own SNI. Proxy variables have no effect here."""

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        backend: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._ssl_context = ssl_context or _default_ssl_context()
        self._ssl_context.set_alpn_protocols(["http/1.1"])
        self._backend = backend or httpcore.AnyIOBackend()

    async def dial(self, target: Target, address: Address, *, timeout_s: float) -> httpcore.AsyncNetworkStream:
        """Return the open stream, TLS included for https. Raises Refusal; the caller closes the stream."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._open(target, address)
        except TimeoutError as error:
            raise Refusal("connect_timeout", address=str(address)) from error
        except _DIAL_ERRORS as error:
            raise Refusal.of("connect_failed", error, address=str(address)) from error

    async def _open(self, target: Target, address: Address) -> httpcore.AsyncNetworkStream:
        stream = await self._backend.connect_tcp(str(address), target.port)
        try:
            _check_peer(stream, address, target.port)
            if target.scheme == "https":
                return await stream.start_tls(self._ssl_context, server_hostname=target.host)
        except BaseException:
            await stream.aclose()
            raise
        return stream


def _check_peer(stream: httpcore.AsyncNetworkStream, address: Address, port: int) -> None:
    """Refuse a socket that ended up elsewhere, before a single byte is sent through it."""
    peer = stream.get_extra_info("server_addr")
    try:
        host, peer_port = str(peer[0]), int(peer[1])
        matches = parse_address(host) == address and peer_port == port
    except (TypeError, LookupError, ValueError):
        matches = False
    if not matches:
        raise Refusal("peer_differs", address=str(address), peer=str(peer))


def _default_ssl_context() -> ssl.SSLContext:
    """Trust the machine's store, where an operator puts a private CA, and the public roots where that is empty."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
