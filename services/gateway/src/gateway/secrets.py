"""Keyed hashes for keys that only need recognising, encryption for secrets that signatures need."""

import base64
import hashlib
import hmac
import re
import secrets
import zlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

API_KEY_FORM: Final = re.compile(r"[\x21-\x7e]{1,256}")
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NONCE_BYTES: Final = 12


class Vault:
    """Turns secrets into what may be stored. One 32-character secret, one derived key for each purpose."""

    def __init__(self, secret: SecretStr) -> None:
        master = secret.get_secret_value().encode()
        self._pepper = hmac.digest(master, b"atelier/credential-hash/v1", "sha256")
        self._links = hmac.digest(master, b"atelier/job-link/v1", "sha256")
        self._cipher = AESGCM(hmac.digest(master, b"atelier/app-secret/v1", "sha256"))

    def job_token(self, job_id: str) -> str:
        """Return the token under which a job's outputs may be read without a header: 128 bits, always the same."""
        mac = hmac.digest(self._links, job_id.encode(), "sha256")
        return base64.urlsafe_b64encode(mac[:16]).decode().rstrip("=")

    def lookup(self, kind: str, secret: str) -> str:
        """Return the keyed hash (hex) a key is found by; a fast hash is right for random keys."""
        return hmac.new(self._pepper, f"{kind}|{secret}".encode(), hashlib.sha256).hexdigest()

    def seal(self, secret: str, *, bound_to: str) -> bytes:
        """Encrypt; the result only opens for the same `bound_to`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), bound_to.encode())

    def open(self, sealed: bytes, *, bound_to: str) -> str:
        """Decrypt. Raises ValueError when it was sealed with another secret or for another owner."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to.encode()).decode()
        except InvalidTag as error:
            raise ValueError("the stored secret cannot be opened with this deployment's key") from error


def new_api_key() -> str:
    """Return `atelier_<32 random bytes, base62>_<check>`; the check lets scanners and typists recognise one."""
    body = _base62(secrets.randbits(256), 43)
    return f"atelier_{body}_{_base62(zlib.crc32(body.encode()), 6)}"


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
