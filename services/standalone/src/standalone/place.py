"""The data folder of an embedded deployment: databases, files, and secrets made on the first start."""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

SECRETS_FILE: Final = "secrets.json"
LOCK_FILE: Final = "lock"
SECRET_BYTES: Final = 32
ROOT: Final = Path(__file__).resolve().parents[4]  #: The checkout this code is installed from.


class PlaceInUse(RuntimeError):
    """Another process serves from this data folder."""


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What signs and encrypts in this deployment."""

    internal: SecretStr
    vault: SecretStr
    jwt: SecretStr


@dataclass(frozen=True)
class Place:
    """One data folder."""

    folder: Path

    def database_url(self, name: str) -> str:
        return f"sqlite:///{self.folder.resolve() / name}.db"

    @property
    def assets(self) -> Path:
        return self.folder / "assets"

    def secrets(self) -> Secrets:
        """Read the secrets, making them on the first start. ATELIER_JWT_SECRET and the like beat the file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / SECRETS_FILE
        if not path.exists():
            made = {name: secrets.token_urlsafe(SECRET_BYTES) for name in ("internal", "vault", "jwt")}
            draft = path.with_name(f".{SECRETS_FILE}.{os.getpid()}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(made, file)
                file.flush()
                os.fsync(file.fileno())
            # A link, not a rename: of two first starts at once, one wins and both use its secrets.
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
            draft.unlink()
        stored = json.loads(path.read_text(encoding="utf-8"))
        return Secrets(
            internal=SecretStr(os.environ.get("ATELIER_INTERNAL_SECRET") or stored["internal"]),
            vault=SecretStr(os.environ.get("GATEWAY_VAULT_SECRET") or stored["vault"]),
            jwt=SecretStr(os.environ.get("ATELIER_JWT_SECRET") or stored["jwt"]),
        )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one serving process; the lock ends with the process. Raises PlaceInUse."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK_FILE).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise PlaceInUse(f"another process serves from {self.folder}") from error
            yield
