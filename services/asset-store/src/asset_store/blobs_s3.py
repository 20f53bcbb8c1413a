"""Blobs in a bucket of any S3-compatible server, through the S3 API alone.

The SDK blocks, so every call runs in one of a few threads. A file goes up from the spool in parts and appears only
when the last one is there; its size is then asked for with a HEAD.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, ParamSpec, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.error import MinioException, S3Error
from minio.lifecycleconfig import AbortIncompleteMultipartUpload, LifecycleConfig, Rule
from pydantic import SecretStr

from asset_store.domain import is_blob_key
from asset_store.ports import CHUNK_BYTES, BlobEntry, BlobMissing, Staged
from asset_store.threads import THREADS, Threads
from kit.errors import DependencyUnavailable, StorageFull
from kit.logging import get_logger

PART_BYTES: Final = 16 * 1024 * 1024  # Most pictures go up in one request, which leaves nothing behind when it breaks.
CONNECT_S: Final = 5.0
ANSWER_S: Final = 30.0  # Of silence, for one part or one chunk.
RETRIES: Final = 2  # S3 servers answer 503 when they are busy. Every request of ours may be repeated.
READ_BYTES: Final = 4 * CHUNK_BYTES  # One hop into a thread for four messages.

_FULL: Final = frozenset({"XMinioStorageFull", "QuotaExceeded", "EntityTooLarge", "InsufficientStorage"})
_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchObject", "NotFound"})
_OURS_ALREADY: Final = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})
_log = get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class S3Place:
    """Which bucket, and how to get there."""

    endpoint: str  #: "https://s3.example.com" or "http://127.0.0.1:9000".
    bucket: str
    access_key: SecretStr
    secret_key: SecretStr
    region: str = ""  #: Empty means ask the server.
    prefix: str = ""  #: Before every key, e.g. "assets/"; one store owns all keys below it.
    path_style: bool = True  #: Bucket in the path; False for servers that want it in the host name.
    ca_file: str = ""  #: PEM file of the server's authority; empty means the public ones.


class S3Blobs:
    """A `BlobStore` in a bucket."""

    def __init__(self, place: S3Place) -> None:
        """Connect to nothing yet. Raises ValueError for an endpoint that is no http(s) address."""
        self._place = place
        self._threads = Threads("s3")
        url = urlsplit(place.endpoint)
        if url.scheme not in ("http", "https") or not url.netloc or url.path.strip("/"):
            raise ValueError("the S3 endpoint is http(s)://host[:port]")
        self._http = _pool_manager(place.ca_file)
        self._client = Minio(
            url.netloc,
            access_key=place.access_key.get_secret_value(),
            secret_key=place.secret_key.get_secret_value(),
            secure=url.scheme == "https",
            region=place.region or None,
            http_client=self._http,
        )
        if place.path_style:
            self._client.disable_virtual_style_endpoint()  # type: ignore[no-untyped-call]  # The SDK lacks it.
        else:
            self._client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]  # The same.

    async def put(self, key: str, staged: Staged) -> None:
        """See `BlobStore.put`."""
        await self._call(self._put, self._name(key), staged)

    async def read(self, key: str, *, offset: int, length: int) -> AsyncIterator[bytes]:
        """See `BlobStore.read`."""
        try:
            response = await self._call(
                self._client.get_object, self._place.bucket, self._name(key), offset=offset, length=length
            )
        except S3Error as error:
            raise BlobMissing(key) from error
        left = length
        try:
            while left > 0:
                data: bytes = await self._call(response.read, min(READ_BYTES, left))
                if not data:
                    raise DependencyUnavailable("Stored bytes are shorter than their record.")
                left -= len(data)
                for start in range(0, len(data), CHUNK_BYTES):
                    yield data[start : start + CHUNK_BYTES]
        finally:
            if left > 0:
                response.close()  # Half-read: the connection cannot be used again.
            response.release_conn()

    async def delete(self, key: str) -> None:
        """See `BlobStore.delete`."""
        with suppress(S3Error):
            await self._call(self._client.remove_object, self._place.bucket, self._name(key))

    async def scan(self, *, after: str, limit: int) -> Sequence[BlobEntry]:
        """See `BlobStore.scan`."""
        return await self._call(self._scan, after, limit)

    async def check(self) -> None:
        """See `BlobStore.check`. Makes the bucket when it is missing."""
        await self._call(self._make_bucket)

    async def close(self) -> None:
        """See `BlobStore.close`."""
        self._threads.close()
        self._http.clear()

    async def _call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run in a thread; an absent object is left to the caller as S3Error, the rest is raised in our words."""
        try:
            return await self._threads.run(work, *args, **kwargs)
        except S3Error as error:
            if error.code in _ABSENT:
                raise
            if error.code in _FULL:
                raise StorageFull from error
            _log.warning("s3_refused", code=error.code)
            raise DependencyUnavailable("The object store refused the request.") from error
        except (MinioException, urllib3.exceptions.HTTPError, ConnectionError) as error:
            _log.warning("s3_unreachable", error=type(error).__name__)
            raise DependencyUnavailable("The object store does not answer.") from error

    def _name(self, key: str) -> str:
        if not is_blob_key(key):
            raise ValueError("not a blob key")
        return self._place.prefix + key

    def _put(self, name: str, staged: Staged) -> None:
        with staged.path.open("rb") as file:
            self._client.put_object(
                self._place.bucket,
                name,
                file,
                staged.size_bytes,
                metadata={"sha256": staged.sha256},
                part_size=PART_BYTES,
                num_parallel_uploads=1,  # Uploads are many at once already; parts are held in memory.
            )
        stored = self._client.stat_object(self._place.bucket, name)
        if stored.size != staged.size_bytes:
            self._client.remove_object(self._place.bucket, name)
            raise DependencyUnavailable("The object store did not store all bytes.")

    def _scan(self, after: str, limit: int) -> list[BlobEntry]:
        prefix = self._place.prefix
        objects = self._client.list_objects(
            self._place.bucket, prefix=prefix or None, recursive=True, start_after=prefix + after if after else None
        )
        entries: list[BlobEntry] = []
        for found in islice(objects, limit):
            key = (found.object_name or "").removeprefix(prefix)
            if found.last_modified is not None:
                entries.append(BlobEntry(key=key, modified_ms=int(found.last_modified.timestamp() * 1000)))
        return entries

    def _make_bucket(self) -> None:
        if self._client.bucket_exists(self._place.bucket):
            return
        try:
            self._client.make_bucket(self._place.bucket, location=self._place.region or None)
        except S3Error as error:
            if error.code not in _OURS_ALREADY:
                raise
        self._forget_broken_uploads()
        _log.info("bucket_made", bucket=self._place.bucket)

    def _forget_broken_uploads(self) -> None:
        """Let the server drop the parts of uploads that a crash cut off; MinIO does so unasked and refuses the rule."""
        rule = Rule(
            ENABLED,
            rule_filter=Filter(prefix=self._place.prefix),
            rule_id="abort-incomplete-uploads",
            abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(days_after_initiation=1),
        )
        with suppress(S3Error):
            self._client.set_bucket_lifecycle(self._place.bucket, LifecycleConfig([rule]))


def _pool_manager(ca_file: str) -> urllib3.PoolManager:
    options: dict[str, Any] = {"ca_certs": ca_file} if ca_file else {}
    return urllib3.PoolManager(
        maxsize=2 * THREADS,  # A read holds its connection between chunks, so there are more of them than threads.
        block=False,
        timeout=urllib3.Timeout(connect=CONNECT_S, read=ANSWER_S),
        retries=urllib3.Retry(total=RETRIES, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]),
        cert_reqs="CERT_REQUIRED",
        **options,
    )
