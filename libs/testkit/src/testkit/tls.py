"""A certificate for `assets.example.com` and the authority that signed it, which only tests trust.

Made once and valid until 2120, so that no test needs a tool for making certificates. The key guards nothing.
"""

import ssl
import tempfile
from pathlib import Path
from typing import Final

HOST: Final = "assets.example.com"

_AUTHORITY: Final = """\
-----BEGIN CERTIFICATE-----
MIIBZzCCAQ2gAwIBAgIBATAKBggqhkjOPQQDAjAaMRgwFgYDVQQDDA9BdGVsaWVy
IHRlc3QgQ0EwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBoxGDAW
BgNVBAMMD0F0ZWxpZXIgdGVzdCBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA
BAsAy8JwWQTvBkjTNcG8/G5NSkjnevpB4UdthTfQbfYZSN3xw95tdHUWQJoD4rbw
V98eRSriFqXT2eMP6dz8zRajQjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/
BAQDAgEGMB0GA1UdDgQWBBRcdH3VQZ0wKupjGkggPcjifabfvzAKBggqhkjOPQQD
AgNIADBFAiAJ0ZKWq/sCn5CQncFutfOJFurirGn+xFYDiwGG7M/OdAIhANHyJiCS
4jg7yn2al4YeusVbgyfSCRAFd2gW+X76DtAj
-----END CERTIFICATE-----
"""

_CERTIFICATE: Final = """\
-----BEGIN CERTIFICATE-----
MIIBuzCCAWGgAwIBAgIBAjAKBggqhkjOPQQDAjAaMRgwFgYDVQQDDA9BdGVsaWVy
IHRlc3QgQ0EwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMB0xGzAZ
BgNVBAMMEmFzc2V0cy5leGFtcGxlLmNvbTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABBuKPc0dnV7SPcwAdIElV59bsG36C7VOlBmL/Jgnjs/wvfYWvkbZGyvIhKSP
/24msQM9BhC1wU4SxTVUC+Chg0KjgZIwgY8wCQYDVR0TBAIwADAOBgNVHQ8BAf8E
BAMCB4AwEwYDVR0lBAwwCgYIKwYBBQUHAwEwHQYDVR0RBBYwFIISYXNzZXRzLmV4
YW1wbGUuY29tMB0GA1UdDgQWBBTGNbunKfz7wtZkc+LikAduWt48vDAfBgNVHSME
GDAWgBRcdH3VQZ0wKupjGkggPcjifabfvzAKBggqhkjOPQQDAgNIADBFAiA5lxhH
ujfWDg4K+dHK//HKqn37vDSmrRd5BBysQEEk2QIhAP9CMcruWB31Q7So+IfYpEwf
hxvyMgRbddD3WkW0khGq
-----END CERTIFICATE-----
"""

_KEY: Final = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0vhjC1ZmlssCkqDG
C0EHnC4h0QI/vP5QbjyOonKzqtChRANCAAQbij3NHZ1e0j3MAHSBJVefW7Bt+gu1
TpQZi/yYJ47P8L32Fr5G2RsryISkj/9uJrEDPQYQtcFOEsU1VAvgoYNC
-----END PRIVATE KEY-----
"""


def client_context() -> ssl.SSLContext:
    """A client's context that trusts the test authority and nobody else."""
    return ssl.create_default_context(cadata=_AUTHORITY)


def server_context() -> ssl.SSLContext:
    """A server's context that presents the certificate of `HOST`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:  # The standard library loads a key from files only.
        pem = Path(folder, "server.pem")
        pem.write_text(_CERTIFICATE + _KEY)
        context.load_cert_chain(pem)
    return context
