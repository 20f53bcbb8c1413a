"""HTTP/2 to a provider: used where TLS offers it, and as exact as HTTP/1.1 about what may have been taken."""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, RequestReceived, StreamEnded

from provider_adapter.providers.remote.http import NoAnswer, NotSent, Upstream
from provider_adapter.providers.remote.options import RemoteOptions

ONE = "127.0.0.1"


class Server:
    """Answers HTTP/2 with the bytes it was sent, and HTTP/1.1 with "old"."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.taken: list[bytes] = []  #: The whole bodies that HTTP/2 brought.
        self.answer: Callable[[H2Connection, int, bytes], bool] = echo

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        spoken = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await (self._new(reader, writer) if spoken == "h2" else self._old(reader, writer))
        writer.transport.abort()

    async def _old(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")

    async def _new(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        peer.initiate_connection()
        writer.write(peer.data_to_send())
        bodies: dict[int, bytes] = {}
        going_on = True
        while going_on and (data := await reader.read(1 << 16)):
            for event in peer.receive_data(data):
                if isinstance(event, RequestReceived):
                    bodies[event.stream_id] = b""
                elif isinstance(event, DataReceived):
                    bodies[event.stream_id] += event.data
                    peer.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamEnded):
                    self.taken.append(bodies[event.stream_id])
                    going_on = self.answer(peer, event.stream_id, bodies[event.stream_id]) and going_on
                elif isinstance(event, ConnectionTerminated):
                    going_on = False
            writer.write(peer.data_to_send())
            await writer.drain()


def echo(peer: H2Connection, stream: int, body: bytes) -> bool:
    """Send the body back."""
    peer.send_headers(stream, [(":status", "200"), ("content-type", "text/plain")])
    peer.send_data(stream, body, end_stream=True)
    return True


def hang_up(_peer: H2Connection, _stream: int, _body: bytes) -> bool:
    """Close the connection without an answer."""
    return False


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the key and the certificate of 127.0.0.1, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ONE)])
    today = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ONE))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
    return path


@contextlib.asynccontextmanager
async def served(certificate: Path, *offered: str) -> AsyncIterator[Server]:
    """Serve over TLS, offering these protocols."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(offered)
    server = Server()
    listener = await asyncio.start_server(server, ONE, 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


@pytest.fixture
async def server(certificate: Path) -> AsyncIterator[Server]:
    async with served(certificate, "h2", "http/1.1") as server:
        yield server


@contextlib.asynccontextmanager
async def upstream_of(server: Server, certificate: Path, *, http2: bool = True) -> AsyncIterator[Upstream]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(certificate))
        options = RemoteOptions.model_validate(
            {"name": "one", "kind": "one", "base_url": f"https://{ONE}:{server.port}", "answer_s": 5.0, "http2": http2}
        )
        upstream = Upstream(options)
        await upstream.start()
        try:
            yield upstream
        finally:
            await upstream.close()


async def test_calls_share_a_connection_where_it_is_offered(server: Server, certificate: Path) -> None:
    bodies = [b"%d" % number * 4_000 for number in range(10)]
    async with upstream_of(server, certificate) as upstream:
        await upstream.call("POST", "/", content=b"first")
        replies = await asyncio.gather(*(upstream.call("POST", "/", content=body) for body in bodies))
    assert [reply.body for reply in replies] == bodies
    assert server.connections == 1
    assert sorted(server.taken) == sorted([b"first", *bodies])


async def test_http1_serves_where_nothing_else_is_offered_or_wanted(server: Server, certificate: Path) -> None:
    async with upstream_of(server, certificate, http2=False) as upstream:
        assert (await upstream.call("POST", "/", content=b"x")).body == b"old"
    async with served(certificate, "http/1.1") as older, upstream_of(older, certificate) as upstream:
        assert (await upstream.call("POST", "/", content=b"x")).body == b"old"


async def test_lost_connection_leaves_what_was_sent_in_doubt_and_nothing_is_sent_again(
    server: Server, certificate: Path
) -> None:
    async with upstream_of(server, certificate) as upstream:
        await upstream.call("POST", "/", content=b"before")
        server.answer = hang_up
        with pytest.raises(NoAnswer):
            await upstream.call("POST", "/", content=b"paid")
        server.answer = echo
        assert (await upstream.call("POST", "/", content=b"after")).body == b"after"
    assert server.taken == [b"before", b"paid", b"after"]


async def test_unanswered_call_is_in_doubt_when_its_time_is_over(server: Server, certificate: Path) -> None:
    server.answer = lambda _peer, _stream, _body: True
    async with upstream_of(server, certificate) as upstream:
        with pytest.raises(NoAnswer):
            await upstream.call("POST", "/", content=b"paid", timeout_s=0.2)
    assert server.taken == [b"paid"]


async def test_call_that_the_server_says_it_has_not_looked_at_is_made_once_on_another_connection(
    server: Server, certificate: Path
) -> None:
    def not_looked_at(peer: H2Connection, stream: int, _body: bytes) -> bool:
        server.taken.pop()
        server.answer = echo
        peer.close_connection(last_stream_id=stream - 2)
        return True

    async with upstream_of(server, certificate) as upstream:
        await upstream.call("POST", "/", content=b"before")
        server.answer = not_looked_at
        # HTTP/2 promises that what comes after the last stream named was not acted on.
        assert (await upstream.call("POST", "/", content=b"paid")).body == b"paid"
    assert server.taken == [b"before", b"paid"]
    assert server.connections == 2


@pytest.mark.parametrize("value", ["a\r\nb: c", "\x00"])
async def test_credential_that_is_no_header_is_not_sent(server: Server, certificate: Path, value: str) -> None:
    async with upstream_of(server, certificate) as upstream:
        with pytest.raises(NotSent) as caught:
            await upstream.call("POST", "/", headers={"Authorization": value})
    assert value not in str(caught.value)
    assert not server.taken


async def test_closed_port_surely_received_nothing(certificate: Path) -> None:
    nobody = Server()
    nobody.port = 9
    async with upstream_of(nobody, certificate) as upstream:
        with pytest.raises(NotSent):
            await upstream.call("POST", "/", content=b"paid")
