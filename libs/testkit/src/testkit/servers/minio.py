"""A MinIO server on one folder."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import urllib3
from minio import Minio
from minio.error import MinioException

from testkit.servers import binaries
from testkit.servers.server import LOOPBACK, Server

_CALL_TIMEOUT_S = 10.0  # Making a bucket on a busy disk.
_HEALTH_TIMEOUT_S = 1.0


class MinioServer(Server):
    """The secret key is made once for the folder."""

    name: ClassVar[str] = "minio"
    access_key: ClassVar[str] = "atelier"

    def __init__(self, *, folder: Path | None = None, port: int | None = None) -> None:
        self._program = binaries.find(binaries.MINIO)
        super().__init__(folder=folder, port=port)

    @property
    def endpoint(self) -> str:
        """`host:port`, as the MinIO client wants it."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.endpoint}"

    @property
    def secret_key(self) -> str:
        return self._kept_secret()

    async def create_bucket(self, name: str) -> None:
        await asyncio.to_thread(self._create_bucket, name)

    def _command(self) -> list[str]:
        options = ["--quiet", "--address", self.endpoint]
        return [str(self._program), "server", *options, str(self.folder / "data")]

    def _environment(self) -> Mapping[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("MINIO_")}
        return ours | {
            "MINIO_ROOT_USER": self.access_key,
            "MINIO_ROOT_PASSWORD": self.secret_key,
            "MINIO_BROWSER": "off",  # The console would listen on a second port.
            "MINIO_UPDATE": "off",  # Do not ask the makers for news.
        }

    async def _is_healthy(self) -> bool:
        return await asyncio.to_thread(self._answers)

    def _answers(self) -> bool:
        try:
            with self._client(_HEALTH_TIMEOUT_S) as client:
                client.list_buckets()  # Signed, so that no other MinIO can answer in our place.
        except (MinioException, urllib3.exceptions.HTTPError, OSError):
            return False
        return True

    def _create_bucket(self, name: str) -> None:
        with self._client(_CALL_TIMEOUT_S) as client:
            client.make_bucket(name)

    @contextmanager
    def _client(self, timeout_s: float) -> Iterator[Minio]:
        pool = urllib3.PoolManager(timeout=timeout_s, retries=False)
        try:
            yield Minio(
                self.endpoint,
                access_key=self.access_key,
                secret_key=self.secret_key,
                secure=False,
                http_client=pool,
            )
        finally:
            pool.clear()
